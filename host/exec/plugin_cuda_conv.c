/* SPDX-License-Identifier: MIT
 * Which convolutions cuDNN does, and its memory: allocated when a decoder opens, none without the library in use. */
#include <stdio.h>

#include "host/exec/plugin_cuda.h"
#include "kernels/cuda/cuda.h"

/* By AUTO those whose products tensor cores do: float32 ones are the own kernels'. */
static bool by_library(const dd_cuda_conv *v, dd_format pixels)
{
    return v->by == DD_CONV_LIBRARY || (v->by == DD_CONV_AUTO && pixels != DD_FMT_F32);
}

/* What the library declines it has not begun. A plan that cannot be made is an error only to who asked for the library. */
static dd_status conv2d(const dd_exec *exec, const dd_conv2d_args *args)
{
    const dd_cuda *c = exec->engine;
    const dd_status ok = dd_cuda_conv2d_ok(exec, args);
    bool begun = false;
    if (ok != DD_OK) return ok;
    if (!c || !c->conv.dnn || !by_library(&c->conv, args->src_format)) return dd_cuda_ops.conv2d(exec, args);
    const dd_status st = dd_cuda_dnn_conv2d(c->conv.dnn, exec, args, &begun);
    const bool declined = st == DD_ERR_UNSUPPORTED || (st == DD_ERR_DEVICE && !begun && c->conv.by == DD_CONV_AUTO);
    return declined ? dd_cuda_ops.conv2d(exec, args) : st;
}

static void find(dd_backend *be)
{
    dd_cuda *c = dd_cuda_of(be);
    dd_library *l = &c->engine.base.convolutions;
    if (!l->where[0]) c->conv.api = dd_cuda_dnn_load(l);
}

static dd_status use(dd_backend *be, dd_conv_by by, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    const dd_library *l = &c->engine.base.convolutions;
    if (by == DD_CONV_LIBRARY) {
        find(be);
        if (!c->conv.api) return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s cannot be used: %.*s", l->name, 900, l->where);
    }
    c->conv.by = by;
    return DD_OK;
}

void dd_cuda_conv_init(dd_cuda *c)
{
    dd_engine *e = &c->engine.base;
    snprintf(e->convolutions.name, sizeof e->convolutions.name, "cuDNN");
    e->find_convolutions = find;
    e->use_convolutions = use;
    c->engine.ops.conv2d = conv2d;
}

static bool wanted(dd_cuda *c, const dd_limits *limits)
{
    if (!limits->pictures || !by_library(&c->conv, limits->pixels)) return false;
    find(&c->base);
    return c->conv.api != NULL;
}

size_t dd_cuda_conv_bytes(dd_cuda *c, const dd_limits *limits) { return wanted(c, limits) ? DD_DNN_WORKSPACE : 0; }

bool dd_cuda_conv_failed(dd_cuda *c, const char *what, dd_err *err)
{
    const char *why = c->conv.dnn ? dd_cuda_dnn_error(c->conv.dnn) : "";
    if (!why[0]) return false;
    (void)DD_FAIL(err, DD_ERR_DEVICE, "%s failed on %s: %s", what, c->detail, why);
    return true;
}

static void close_engine(dd_cuda *c)
{
    dd_cuda_dnn_close(c->conv.dnn);
    c->conv.dnn = NULL;
    dd_cuda_release(&c->base, c->conv.memory);
    c->conv.memory = NULL;
}

dd_status dd_cuda_conv_reserve(dd_cuda *c, const dd_limits *limits, dd_err *err)
{
    dd_cuda_conv *v = &c->conv;
    if (v->dnn || !wanted(c, limits)) return DD_OK;
    DD_TRY(dd_cuda_alloc(&c->base, DD_DNN_WORKSPACE, &v->memory, err));
    const dd_dnn_setup setup = {.api = v->api, .workspace = v->memory, .workspace_bytes = DD_DNN_WORKSPACE};
    dd_status st = dd_cuda_dnn_open(&v->dnn, &setup);
    if (st == DD_OK) return DD_OK;
    if (st == DD_ERR_NOMEM) (void)DD_FAIL(err, st, "out of memory for the engine of cuDNN");
    else (void)dd_cuda_conv_failed(c, "opening of the engine", err);
    (void)cudaGetLastError();
    close_engine(c);
    if (v->by == DD_CONV_LIBRARY) return st;
    v->by = DD_CONV_OWN; /* a library that is there and does not work is no reason not to run */
    dd_err_clear(err);
    return DD_OK;
}

dd_status dd_cuda_conv_prepare(dd_cuda *c, const dd_program *program, dd_err *err)
{
    const dd_cuda_conv *v = &c->conv;
    for (int i = 0; v->dnn && i < program->n_ops; i++) {
        const dd_op *op = &program->ops[i];
        char what[256];
        if (op->id != DD_OP_conv2d || !by_library(v, op->args.conv2d.src_format)) continue;
        if (dd_cuda_dnn_prepare(v->dnn, &op->args.conv2d) == DD_OK || v->by == DD_CONV_AUTO) continue;
        snprintf(what, sizeof what, "op %.200s (conv2d)", op->label);
        (void)dd_cuda_conv_failed(c, what, err);
        return DD_ERR_DEVICE;
    }
    return DD_OK;
}

void dd_cuda_conv_close(dd_cuda *c) { close_engine(c); }
