/* SPDX-License-Identifier: MIT
 * Threads and scratch. */
#include "tests/checkkernel/exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/pool.h"
#include "tests/checkkernel/tensor.h"

#define GUARD 128
#define POISON 0xff /* a NaN as float32 and as bfloat16 */

void ck_exec_open(ck_exec *e, int threads)
{
    dd_pool *pool = NULL;
    *e = (ck_exec){.threads = threads};
    e->exec = (dd_exec){.step = &e->step, .n_threads = threads ? threads : 1, .scratch = e->scratch};
    if (threads == 0) return;
    if (threads > CK_MAX_THREADS || dd_pool_open(&pool, threads, NULL) != DD_OK) {
        fprintf(stderr, "checkkernel: no pool of %d threads\n", threads);
        exit(2);
    }
    e->exec.pool = pool;
    e->exec.parallel_for = dd_pool_for;
}

void ck_exec_close(ck_exec *e)
{
    dd_pool *pool = e->exec.pool;
    if (pool) dd_pool_close(&pool);
    for (int i = 0; i < e->exec.n_threads; i++) free(e->scratch[i]);
}

void ck_exec_prepare(ck_exec *e, size_t scratch_bytes, int32_t step)
{
    if (scratch_bytes > e->capacity || e->scratch[0] == NULL) {
        for (int i = 0; i < e->exec.n_threads; i++) {
            free(e->scratch[i]);
            e->scratch[i] = ck_alloc(scratch_bytes + GUARD);
        }
        e->capacity = scratch_bytes;
    }
    for (int i = 0; i < e->exec.n_threads; i++) memset(e->scratch[i], POISON, scratch_bytes + GUARD);
    e->exec.scratch_bytes = scratch_bytes;
    e->step = step;
}

bool ck_exec_scratch_ok(const ck_exec *e)
{
    for (int i = 0; i < e->exec.n_threads; i++) {
        const unsigned char *p = (const unsigned char *)e->scratch[i] + e->exec.scratch_bytes;
        for (int j = 0; j < GUARD; j++)
            if (p[j] != POISON) return false;
    }
    return true;
}
