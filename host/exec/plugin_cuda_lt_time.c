/* SPDX-License-Identifier: MIT
 * How long a GEMM takes by the own kernel and by the library: events round some launches, both in turn, the median of each. A
 * weight comes from the cache of the device for both alike, which it does not in a network where it is larger. */
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

static dd_status launch(const timing *t, bool library)
{
    dd_cuda *c = t->c;
    const dd_status st = library ? dd_cuda_lt_gemm(c->engine.lt, &c->exec, t->args)
                                 : dd_cuda_ops.gemm(&c->exec, t->args);
    if (st == DD_OK) return DD_OK;
    if (st == DD_ERR_UNSUPPORTED) return DD_FAIL(t->err, st, "%s knows no way for this GEMM", c->engine.base.name);
    const cudaError_t e = cudaGetLastError();
    if (e == cudaSuccess && dd_cuda_engine_failed(c, "a GEMM that is timed", t->err)) return DD_ERR_DEVICE;
    return dd_cuda_check(c, e == cudaSuccess ? cudaErrorUnknown : e, "a GEMM that is timed", t->err);
}

static dd_status sample(const timing *t, bool library, double *us)
{
    dd_cuda *c = t->c;
    float ms;
    DD_CUDA_TRY(c, t->err, cudaEventRecord, t->from, c->stream);
    for (int i = 0; i < LAUNCHES; i++) DD_TRY(launch(t, library));
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

/* The first sample of either finds kernels and clocks cold: it does not count. */
static dd_status measure(const timing *t, dd_gemm_times *times)
{
    double us[2][SAMPLES];
    for (int i = -1; i < SAMPLES; i++)
        for (int library = 0; library < 2; library++) DD_TRY(sample(t, library, &us[library][i < 0 ? 0 : i]));
    for (int library = 0; library < 2; library++) qsort(us[library], SAMPLES, sizeof us[0][0], ascending);
    *times = (dd_gemm_times){us[0][SAMPLES / 2], us[1][SAMPLES / 2]};
    return DD_OK;
}

dd_status dd_cuda_engine_time(dd_backend *be, const dd_gemm_args *args, int32_t step, dd_gemm_times *times, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    timing t = {.c = c, .args = args, .err = err};
    DD_TRY(dd_cuda_enter(c, err));
    if (!c->engine.lt) return DD_FAIL(err, DD_ERR_INTERNAL, "%s is not in use", c->engine.base.name);
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
