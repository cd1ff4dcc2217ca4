/* SPDX-License-Identifier: MIT
 * Which GEMMs cuBLASLt and wgmma do, and the library's memory: all of it allocated when a session opens, none without the
 * library in use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/exec/plugin_cuda.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/gemm_wgmma.h"

#define MEMORY_BYTES (DD_LT_WORKSPACE + DD_LT_STAGING + 2 * DD_LT_PACKED)

static bool shape_of(const dd_gemm_args *args, int32_t step, dd_gemm_shape *shape)
{
    dd_lt_size size;
    if (!dd_cuda_lt_size(args, step, &size)) return false;
    *shape = (dd_gemm_shape){size.m, size.n, size.k, args->a_format, args->c_format, args->epilogue, size.sliced};
    return true;
}

static dd_gemm_by chosen(const dd_cuda_engine *e, const dd_gemm_args *args, int32_t step)
{
    dd_gemm_shape shape;
    if (e->n_choices == 0 || !shape_of(args, step, &shape)) return e->rest;
    for (int i = 0; i < e->n_choices; i++)
        if (dd_gemm_shape_equal(&e->choices[i].shape, &shape)) return e->choices[i].by;
    return e->rest;
}

dd_status dd_cuda_engine_gemm(const dd_cuda *c, dd_gemm_by by, const dd_gemm_args *args)
{
    switch (by) {
    case DD_BY_OWN: return dd_cuda_ops.gemm(&c->exec, args);
    case DD_BY_LIBRARY: return c->engine.lt ? dd_cuda_lt_gemm(c->engine.lt, &c->exec, args) : DD_ERR_UNSUPPORTED;
    case DD_BY_WGMMA: return dd_cuda_gemm_wgmma(&c->exec, args, dd_cuda_gemm_wgmma_tile(args));
    }
    return DD_ERR_UNSUPPORTED;
}

/* What one of the others declines it has not begun. */
static dd_status gemm(const dd_exec *exec, const dd_gemm_args *args)
{
    const dd_cuda *c = exec->engine;
    const dd_gemm_by by = args && args->w && c ? chosen(&c->engine, args, exec->host_step) : DD_BY_OWN;
    const dd_status st = by == DD_BY_OWN ? DD_ERR_UNSUPPORTED : dd_cuda_engine_gemm(c, by, args);
    return st == DD_ERR_UNSUPPORTED ? dd_cuda_ops.gemm(exec, args) : st;
}

static void find(dd_backend *be)
{
    dd_cuda *c = dd_cuda_of(be);
    dd_cuda_engine *e = &c->engine;
    if (e->base.where[0]) return;
    e->base.wgmma = dd_cuda_enter(c, NULL) == DD_OK && dd_cuda_wgmma_here();
    e->api = dd_cuda_lt_load(e->base.version, sizeof e->base.version, e->base.where, sizeof e->base.where);
}

static void forget(dd_cuda_engine *e)
{
    free(e->choices);
    e->choices = NULL;
    e->n_choices = 0;
    e->rest = DD_BY_OWN;
}

static bool uses(dd_gemm_by by, dd_gemm_by rest, const dd_gemm_choice *choices, int n)
{
    for (int i = 0; i < n; i++)
        if (choices[i].by == by) return true;
    return rest == by;
}

static bool uses_library(const dd_cuda_engine *e) { return uses(DD_BY_LIBRARY, e->rest, e->choices, e->n_choices); }

static dd_status check_use(dd_cuda *c, dd_gemm_by rest, const dd_gemm_choice *choices, int n, dd_err *err)
{
    const dd_cuda_engine *e = &c->engine;
    const bool library = uses(DD_BY_LIBRARY, rest, choices, n), wgmma = uses(DD_BY_WGMMA, rest, choices, n);
    if (library || wgmma) find(&c->base);
    if (library && !e->api)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s cannot be used: %.*s", e->base.name, 900, e->base.where);
    if (wgmma && !e->base.wgmma)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED,
                       "wgmma cannot be used: it needs a device of compute capability 9.0, in use is %s, and a build "
                       "with ARCHS that have 90",
                       c->detail);
    return DD_OK;
}

static dd_status use(dd_backend *be, dd_gemm_by rest, const dd_gemm_choice *choices, int n, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    dd_cuda_engine *e = &c->engine;
    dd_gemm_choice *copy = NULL;
    DD_TRY(check_use(c, rest, choices, n, err));
    if (n > 0) {
        copy = malloc((size_t)n * sizeof *copy);
        if (!copy) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for %d shapes of GEMMs", n);
        memcpy(copy, choices, (size_t)n * sizeof *copy);
    }
    forget(e);
    e->choices = copy;
    e->n_choices = n;
    e->rest = rest;
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

size_t dd_cuda_engine_bytes(const dd_cuda *c) { return uses_library(&c->engine) ? MEMORY_BYTES : 0; }

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
    if (!uses_library(e) || e->lt) return DD_OK;
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
