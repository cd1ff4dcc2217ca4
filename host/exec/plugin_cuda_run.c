/* SPDX-License-Identifier: MIT
 * Running programs, and keeping the host from running away from the device. */
#include <stdio.h>

#include "host/exec/backend_common.h"
#include "host/exec/plugin_cuda.h"
#include "kernels/cuda/cuda.h"

dd_status dd_cuda_run_open(dd_cuda *c, dd_err *err)
{
    void *p;
    for (int i = 0; i < DD_CUDA_STEPS; i++)
        DD_CUDA_TRY(c, err, cudaEventCreateWithFlags, &c->step_end[i], cudaEventDisableTiming | cudaEventBlockingSync);
    DD_TRY(dd_cuda_alloc(&c->base, 2 * sizeof *c->step, &p, err));
    c->step = p;
    c->bad = c->step + 1;
    c->exec = (dd_exec){.step = c->step, .stream = c->stream, .engine = c, .n_threads = 1};
    return DD_OK;
}

void dd_cuda_run_close(dd_cuda *c)
{
    for (int i = 0; i < DD_CUDA_STEPS; i++)
        if (c->step_end[i]) (void)dd_cuda_check(c, cudaEventDestroy(c->step_end[i]), "cudaEventDestroy", NULL);
    dd_cuda_release(&c->base, c->step);
}

static dd_status op_failed(dd_cuda *c, const dd_op *op, dd_err *err)
{
    char what[256];
    const cudaError_t e = cudaGetLastError();
    snprintf(what, sizeof what, "op %.200s (%s)", op->label, dd_op_name(op->id));
    if (e == cudaSuccess && op->id == DD_OP_conv2d && dd_cuda_conv_failed(c, what, err)) return DD_ERR_DEVICE;
    if (e == cudaSuccess && op->id == DD_OP_gemm && dd_cuda_engine_failed(c, what, err)) return DD_ERR_DEVICE;
    return dd_cuda_check(c, e == cudaSuccess ? cudaErrorUnknown : e, what, err);
}

static dd_status launch_op(dd_cuda *c, const dd_op *op, dd_err *err)
{
    dd_cuda_nvtx_op_begin(c, op);
    const dd_status st = dd_op_call(c->base.ops, &c->exec, op);
    dd_cuda_nvtx_op_end(c);
    if (st == DD_ERR_DEVICE) return op_failed(c, op, err);
    return st == DD_OK ? DD_OK : dd_op_refused(&c->base, op, st, err);
}

dd_status dd_cuda_launch_ops(dd_cuda *c, const dd_program *program, dd_err *err)
{
    dd_status st = DD_OK;
    dd_cuda_nvtx_program_begin(c, program);
    for (int i = 0; st == DD_OK && i < program->n_ops; i++) st = launch_op(c, &program->ops[i], err);
    dd_cuda_nvtx_program_end(c);
    return st;
}

static dd_status replay(dd_cuda *c, const dd_program *program, dd_err *err)
{
    dd_cuda_nvtx_program_begin(c, program);
    const cudaError_t e = cudaGraphLaunch(program->recorded, c->stream);
    dd_cuda_nvtx_program_end(c);
    return dd_cuda_check(c, e, "cudaGraphLaunch", err);
}

/* The step counter is set by a kernel of its own also before a graph: as a node of it, its parameter would have to be
 * changed on the host for every launch. */
dd_status dd_cuda_run(dd_backend *be, const dd_program *program, int32_t step, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    DD_TRY(dd_cuda_enter(c, err));
    if (dd_cuda_set_step(c->stream, c->step, step) != DD_OK)
        return dd_cuda_check(c, cudaGetLastError(), "setting the step counter", err);
    DD_TRY(dd_cuda_engine_begin(c, step, err));
    return program->recorded ? replay(c, program, err) : dd_cuda_launch_ops(c, program, err);
}

dd_status dd_cuda_sync(dd_backend *be, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    DD_TRY(dd_cuda_enter(c, err));
    return dd_cuda_wait(c, err);
}

dd_status dd_cuda_pace(dd_backend *be, int in_flight, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    const uint64_t allowed = in_flight < DD_CUDA_STEPS ? (uint64_t)in_flight : DD_CUDA_STEPS - 1;
    DD_TRY(dd_cuda_enter(c, err));
    DD_CUDA_TRY(c, err, cudaEventRecord, c->step_end[c->steps % DD_CUDA_STEPS], c->stream);
    c->steps++;
    if (c->steps <= allowed) return DD_OK;
    DD_CUDA_TRY(c, err, cudaEventSynchronize, c->step_end[(c->steps - allowed - 1) % DD_CUDA_STEPS]);
    return DD_OK;
}
