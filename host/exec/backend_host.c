/* SPDX-License-Identifier: MIT
 * Memory, transfers and the op loop of backends in host memory. */
#define _GNU_SOURCE /* madvise */
#include "host/exec/backend_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host/base/sizes.h"

#define ALIGN 64
#define LARGE_PAGE ((size_t)2 << 20) /* and the size from which blocks are made of such */

/* A weight is read once per step: with pages of 4 KiB its address translations miss as often as its lines. Where the
 * system gives no large pages, nothing changes but the speed. Large blocks are zeroed by the system when they are first
 * touched, which is when threads pack weights into them. The word before a block is the address to free. */
static dd_status host_alloc(dd_backend *be, size_t bytes, void **out, dd_err *err)
{
    const size_t align = bytes >= LARGE_PAGE ? LARGE_PAGE : ALIGN;
    size_t n;
    (void)be;
    *out = NULL;
    char *base = NULL;
    if (dd_align_size(bytes ? bytes : 1, ALIGN, &n) && n <= SIZE_MAX - 2 * align)
        base = align == LARGE_PAGE ? calloc(1, n + 2 * align) : aligned_alloc(ALIGN, n + ALIGN);
    if (!base) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory: %zu bytes more are needed", bytes);
    char *p = base + align - (uintptr_t)base % align;
    if (align == ALIGN) memset(p, 0, n);
#ifdef MADV_HUGEPAGE
    else (void)madvise(p, n, MADV_HUGEPAGE);
#endif
    ((void **)(void *)p)[-1] = base;
    *out = p;
    return DD_OK;
}

static void host_release(dd_backend *be, void *p)
{
    (void)be;
    if (p) free(((void **)p)[-1]);
}

static dd_status host_copy(dd_backend *be, void *dst, const void *src, size_t bytes, dd_err *err)
{
    (void)be, (void)err;
    if (bytes) memcpy(dst, src, bytes);
    return DD_OK;
}

static dd_status host_clear(dd_backend *be, void *dst, size_t bytes, dd_err *err)
{
    (void)be, (void)err;
    if (bytes) memset(dst, 0, bytes);
    return DD_OK;
}

static size_t host_scratch_bytes(dd_backend *be, const dd_limits *limits)
{
    const dd_host_backend *hb = (const dd_host_backend *)be;
    return hb->thread_scratch ? hb->thread_scratch(limits) * (size_t)hb->exec.n_threads : 0;
}

static void free_scratch(dd_host_backend *hb)
{
    if (hb->exec.scratch)
        for (int i = 0; i < hb->exec.n_threads; i++) host_release(&hb->base, hb->exec.scratch[i]);
    free(hb->exec.scratch);
    hb->exec.scratch = NULL;
    hb->exec.scratch_bytes = 0;
}

static dd_status host_reserve(dd_backend *be, const dd_limits *limits, dd_err *err)
{
    dd_host_backend *hb = (dd_host_backend *)be;
    const size_t need = hb->thread_scratch ? hb->thread_scratch(limits) : 0;
    if (need <= hb->exec.scratch_bytes) return DD_OK;
    free_scratch(hb);
    hb->exec.scratch = calloc((size_t)hb->exec.n_threads, sizeof *hb->exec.scratch);
    if (!hb->exec.scratch) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the threads' work areas");
    for (int i = 0; i < hb->exec.n_threads; i++) DD_TRY(host_alloc(be, need, &hb->exec.scratch[i], err));
    hb->exec.scratch_bytes = need;
    return DD_OK;
}

static dd_status host_run(dd_backend *be, const dd_program *program, int32_t step, dd_err *err)
{
    dd_host_backend *hb = (dd_host_backend *)be;
    hb->step = step;
    for (int i = 0; i < program->n_ops; i++) {
        const dd_op *op = &program->ops[i];
        const dd_status st = dd_op_call(be->ops, &hb->exec, op);
        if (st != DD_OK) return dd_op_refused(be, op, st, err);
    }
    return DD_OK;
}

static dd_status host_sync(dd_backend *be, dd_err *err)
{
    (void)be, (void)err;
    return DD_OK;
}

static dd_status host_pace(dd_backend *be, int in_flight, dd_err *err)
{
    (void)be, (void)in_flight, (void)err;
    return DD_OK;
}

static void host_close(dd_backend *be)
{
    dd_host_backend *hb = (dd_host_backend *)be;
    free_scratch(hb);
    dd_pool_close(&hb->pool);
    free(hb);
}

dd_status dd_host_backend_new(dd_host_backend **out, int threads, dd_err *err)
{
    dd_host_backend *hb = calloc(1, sizeof *hb);
    *out = NULL;
    if (!hb) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the backend");
    const dd_status st = dd_pool_open(&hb->pool, threads, err);
    if (st != DD_OK) {
        free(hb);
        return st;
    }
    hb->exec = (dd_exec){
        .step = &hb->step, .pool = hb->pool, .parallel_for = dd_pool_for, .n_threads = dd_pool_threads(hb->pool)};
    hb->base = (dd_backend){.threads = hb->exec.n_threads,
                            .detail = hb->detail,
                            .alloc = host_alloc,
                            .release = host_release,
                            .upload = host_copy,
                            .download = host_copy,
                            .clear = host_clear,
                            .scratch_bytes = host_scratch_bytes,
                            .reserve = host_reserve,
                            .run = host_run,
                            .sync = host_sync,
                            .pace = host_pace,
                            .close = host_close};
    *out = hb;
    return DD_OK;
}
