/* SPDX-License-Identifier: MIT
 * How long a GEMM takes by each that can do it: events round some launches, all in turn, the median of each. A weight comes
 * from the cache of the device for all alike, which it does not in a network where it is larger. */
#include <stdlib.h>

#include "host/exec/plugin_cuda.h"
#include "kernels/cuda/cuda.h"

#define SAMPLES 11
#define LAUNCHES 8 /* of a sample: an event costs some microseconds */

typedef struct timing {
    dd_cuda *c;
    const dd_gemm_args *args;
    cudaEvent_t from, to;
    dd_err *err;
} timing;

static dd_status launch(const timing *t, dd_gemm_by by)
{
    dd_cuda *c = t->c;
    const dd_status st = dd_cuda_engine_gemm(c, by, t->args);
    if (st == DD_OK || st == DD_ERR_UNSUPPORTED) return st; /* no failure: find_able asks */
    const cudaError_t e = cudaGetLastError();
    if (e == cudaSuccess && dd_cuda_engine_failed(c, "a GEMM that is timed", t->err)) return DD_ERR_DEVICE;
    return dd_cuda_check(c, e == cudaSuccess ? cudaErrorUnknown : e, "a GEMM that is timed", t->err);
}

static dd_status sample(const timing *t, dd_gemm_by by, double *us)
{
    dd_cuda *c = t->c;
    float ms;
    DD_CUDA_TRY(c, t->err, cudaEventRecord, t->from, c->stream);
    for (int i = 0; i < LAUNCHES; i++) DD_TRY(launch(t, by));
    DD_CUDA_TRY(c, t->err, cudaEventRecord, t->to, c->stream);
    DD_CUDA_TRY(c, t->err, cudaEventSynchronize, t->to);
    DD_CUDA_TRY(c, t->err, cudaEventElapsedTime, &ms, t->from, t->to);
    *us = (double)ms * 1e3 / LAUNCHES;
    return DD_OK;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Who can do it is seen by a launch of each, which finds kernels and clocks cold: it is not timed. */
static dd_status find_able(const timing *t, bool *able)
{
    for (int by = 0; by < DD_BY_COUNT; by++) {
        const dd_status st = launch(t, (dd_gemm_by)by);
        if (st != DD_OK && st != DD_ERR_UNSUPPORTED) return st;
        able[by] = st == DD_OK;
    }
    if (able[DD_BY_LIBRARY] || able[DD_BY_WGMMA]) return DD_OK;
    return DD_FAIL(t->err, DD_ERR_UNSUPPORTED, "the own kernel alone knows a way for this GEMM");
}

static dd_status measure(const timing *t, dd_gemm_times *times)
{
    double us[DD_BY_COUNT][SAMPLES];
    bool able[DD_BY_COUNT];
    DD_TRY(find_able(t, able));
    for (int i = 0; i < SAMPLES; i++)
        for (int by = 0; by < DD_BY_COUNT; by++)
            if (able[by]) DD_TRY(sample(t, (dd_gemm_by)by, &us[by][i]));
    for (int by = 0; by < DD_BY_COUNT; by++) {
        if (able[by]) qsort(us[by], SAMPLES, sizeof us[0][0], ascending);
        times->us[by] = able[by] ? us[by][SAMPLES / 2] : -1;
    }
    return DD_OK;
}

dd_status dd_cuda_engine_time(dd_backend *be, const dd_gemm_args *args, int32_t step, dd_gemm_times *times, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    timing t = {.c = c, .args = args, .err = err};
    DD_TRY(dd_cuda_enter(c, err));
    if (dd_cuda_set_step(c->stream, c->step, step) != DD_OK)
        return dd_cuda_check(c, cudaGetLastError(), "setting the step counter", err);
    DD_TRY(dd_cuda_engine_begin(c, step, err));
    dd_status st = dd_cuda_check(c, cudaEventCreate(&t.from), "cudaEventCreate", err);
    if (st == DD_OK) st = dd_cuda_check(c, cudaEventCreate(&t.to), "cudaEventCreate", err);
    if (st == DD_OK) st = measure(&t, times);
    if (t.from) (void)dd_cuda_check(c, cudaEventDestroy(t.from), "cudaEventDestroy", NULL);
    if (t.to) (void)dd_cuda_check(c, cudaEventDestroy(t.to), "cudaEventDestroy", NULL);
    return st;
}
