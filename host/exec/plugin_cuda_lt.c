/* SPDX-License-Identifier: MIT
 * Which GEMMs cuBLASLt does, and its memory: all of it allocated when a session opens, none without the library in use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/exec/plugin_cuda.h"
#include "kernels/cuda/cuda.h"

#define MEMORY_BYTES (DD_LT_WORKSPACE + DD_LT_STAGING + 2 * DD_LT_PACKED)

static bool shape_of(const dd_gemm_args *args, int32_t step, dd_gemm_shape *shape)
{
    dd_lt_size size;
    if (!dd_cuda_lt_takes(args, step, &size)) return false;
    *shape = (dd_gemm_shape){size.m, size.n, size.k, args->a_format, args->c_format, args->epilogue, size.sliced};
    return true;
}

static bool chosen(const dd_cuda_engine *e, const dd_gemm_args *args, int32_t step)
{
    dd_gemm_shape shape;
    if (!e->lt || !shape_of(args, step, &shape)) return false;
    if (e->n_shapes < 0) return true;
    for (int i = 0; i < e->n_shapes; i++)
        if (dd_gemm_shape_equal(&e->shapes[i], &shape)) return true;
    return false;
}

/* What the library declines it has not begun. */
static dd_status gemm(const dd_exec *exec, const dd_gemm_args *args)
{
    const dd_cuda *c = exec->engine;
    if (args && args->w && c && chosen(&c->engine, args, exec->host_step)) {
        const dd_status st = dd_cuda_lt_gemm(c->engine.lt, exec, args);
        if (st != DD_ERR_UNSUPPORTED) return st;
    }
    return dd_cuda_ops.gemm(exec, args);
}

static void find(dd_backend *be)
{
    dd_cuda_engine *e = &dd_cuda_of(be)->engine;
    if (e->base.where[0]) return;
    e->api = dd_cuda_lt_load(e->base.version, sizeof e->base.version, e->base.where, sizeof e->base.where);
}

static void forget(dd_cuda_engine *e)
{
    free(e->shapes);
    e->shapes = NULL;
    e->n_shapes = 0;
}

static dd_status use(dd_backend *be, const dd_gemm_shape *shapes, int n, dd_err *err)
{
    dd_cuda_engine *e = &dd_cuda_of(be)->engine;
    if (n == 0) {
        forget(e);
        return DD_OK;
    }
    find(be);
    if (!e->api) return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s cannot be used: %.*s", e->base.name, 900, e->base.where);
    dd_gemm_shape *copy = NULL;
    if (n > 0) {
        copy = malloc((size_t)n * sizeof *copy);
        if (!copy) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for %d shapes of GEMMs", n);
        memcpy(copy, shapes, (size_t)n * sizeof *copy);
    }
    forget(e);
    e->shapes = copy;
    e->n_shapes = n;
    return DD_OK;
}

void dd_cuda_engine_init(dd_cuda *c)
{
    dd_cuda_engine *e = &c->engine;
    snprintf(e->base.name, sizeof e->base.name, "cuBLASLt");
    e->base.find = find;
    e->base.use = use;
    e->base.shape_of = shape_of;
    e->base.time = dd_cuda_engine_time;
    e->ops = dd_cuda_ops;
    e->ops.gemm = gemm;
}

size_t dd_cuda_engine_bytes(const dd_cuda *c) { return c->engine.n_shapes ? MEMORY_BYTES : 0; }

bool dd_cuda_engine_failed(dd_cuda *c, const char *op, dd_err *err)
{
    const char *why = c->engine.lt ? dd_cuda_lt_error(c->engine.lt) : "";
    if (!why[0]) return false;
    (void)DD_FAIL(err, DD_ERR_DEVICE, "%s failed on %s: %s", op, c->detail, why);
    return true;
}

dd_status dd_cuda_engine_reserve(dd_cuda *c, dd_err *err)
{
    dd_cuda_engine *e = &c->engine;
    if (!e->n_shapes || e->lt) return DD_OK;
    if (!e->memory) DD_TRY(dd_cuda_alloc(&c->base, MEMORY_BYTES, &e->memory, err));
    char *const staging = (char *)e->memory + DD_LT_WORKSPACE, *const packed = staging + DD_LT_STAGING;
    const dd_lt_memory memory = {.workspace = e->memory,
                                 .staging = staging,
                                 .packed = {packed, packed + DD_LT_PACKED},
                                 .workspace_bytes = DD_LT_WORKSPACE,
                                 .staging_bytes = DD_LT_STAGING,
                                 .packed_bytes = DD_LT_PACKED};
    dd_status st = dd_cuda_lt_open(&e->lt, e->api, &memory);
    if (st == DD_OK) return DD_OK;
    if (st == DD_ERR_NOMEM) (void)DD_FAIL(err, st, "out of memory for the engine of %s", e->base.name);
    else if (!dd_cuda_engine_failed(c, "opening of the engine", err)) {
        const cudaError_t why = cudaGetLastError();
        st = dd_cuda_check(c, why == cudaSuccess ? cudaErrorUnknown : why, "opening of the engine", err);
    }
    dd_cuda_lt_close(e->lt);
    e->lt = NULL;
    return st;
}

dd_status dd_cuda_engine_begin(dd_cuda *c, int32_t step, dd_err *err)
{
    c->exec.host_step = step;
    if (!c->engine.lt || dd_cuda_lt_begin(c->engine.lt, c->stream) == DD_OK) return DD_OK;
    return dd_cuda_check(c, cudaGetLastError(), "cudaEventRecord", err);
}

void dd_cuda_engine_close(dd_cuda *c)
{
    dd_cuda_engine *e = &c->engine;
    dd_cuda_lt_close(e->lt);
    e->lt = NULL;
    dd_cuda_release(&c->base, e->memory);
    forget(e);
}
