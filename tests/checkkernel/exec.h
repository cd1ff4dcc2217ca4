/* SPDX-License-Identifier: MIT
 * Ways to run an op: without a pool, and on 1, 2 and 3 threads. Scratch has exactly the size that the implementation
 * asks for, a guard zone behind it, and poison in it before every run. */
#ifndef DD_TESTS_CHECKKERNEL_EXEC_H
#define DD_TESTS_CHECKKERNEL_EXEC_H

#include <stdbool.h>

#include "kernels/ops.h"

#define CK_MAX_THREADS 64

typedef struct ck_exec {
    dd_exec exec;
    void *scratch[CK_MAX_THREADS];
    size_t capacity;
    int threads; /* 0: no pool */
    int32_t step;
} ck_exec;

void ck_exec_open(ck_exec *e, int threads);
void ck_exec_close(ck_exec *e);
void ck_exec_prepare(ck_exec *e, size_t scratch_bytes, int32_t step); /* before every run */
bool ck_exec_scratch_ok(const ck_exec *e);                            /* after it */

#endif
