/* SPDX-License-Identifier: MIT
 * Programs recorded as CUDA graphs. An op reads all that changes from step to step through the step counter, so that one
 * graph serves every step of its program; its handle lives in the program, so that no other program can be taken for it.
 *
 * Nothing runs while it is captured, and host memory that an op reads must outlive the graph. A kernel that was not
 * launched before is loaded in the capture, which drivers of CUDA 12.3 and later allow; a run before it that is not
 * captured would cost a step of every batch size. Work that an op gives to another stream is captured with it, if that
 * stream waits for an event recorded in c->stream first, and c->stream waits for one of that stream before the program
 * ends. */
#include "host/exec/plugin_cuda.h"

/* A call that failed while the stream was captured, or to end it, may leave it so. */
static void end_capture(dd_cuda *c)
{
    enum cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    cudaGraph_t graph = NULL;
    if (cudaStreamIsCapturing(c->stream, &status) == cudaSuccess && status != cudaStreamCaptureStatusNone)
        (void)cudaStreamEndCapture(c->stream, &graph);
    if (graph) (void)cudaGraphDestroy(graph);
    (void)cudaGetLastError();
}

/* Thread-local: what other threads do with the device meanwhile is no concern of this capture. */
static dd_status capture(dd_cuda *c, const dd_program *program, cudaGraph_t *graph, dd_err *err)
{
    c->exec.host_step = 0; /* any step does: the host looks at no slices while it records */
    DD_CUDA_TRY(c, err, cudaStreamBeginCapture, c->stream, cudaStreamCaptureModeThreadLocal);
    dd_status st = dd_cuda_launch_ops(c, program, err);
    if (st == DD_OK) st = dd_cuda_check(c, cudaStreamEndCapture(c->stream, graph), "cudaStreamEndCapture", err);
    if (st == DD_OK) return DD_OK;
    end_capture(c);
    return st;
}

static dd_status no_memory(dd_cuda *c, int n_nodes, dd_err *err)
{
    uint64_t available = 0;
    (void)cudaGetLastError();
    (void)dd_cuda_memory_free(&c->base, &available, NULL);
    return DD_FAIL(
        err, DD_ERR_NOMEM,
        "out of device memory for a graph of %d nodes: it takes about %.3g MB (an estimate), %.6g MB are free; "
        "with no-graph it is not needed",
        n_nodes, (double)n_nodes * DD_GRAPH_NODE_BYTES / 1e6, (double)available / 1e6);
}

/* Uploaded as well, so that a launch finds all its memory there. */
static dd_status instantiate(dd_cuda *c, cudaGraph_t graph, dd_program *program, dd_err *err)
{
    cudaGraphExec_t exec = NULL;
    size_t n_nodes = 0;
    DD_CUDA_TRY(c, err, cudaGraphGetNodes, graph, NULL, &n_nodes);
    cudaError_t e = cudaGraphInstantiate(&exec, graph, 0);
    if (e == cudaErrorMemoryAllocation) return no_memory(c, (int)n_nodes, err);
    DD_TRY(dd_cuda_check(c, e, "cudaGraphInstantiate", err));
    e = cudaGraphUpload(exec, c->stream);
    if (e == cudaSuccess) {
        program->recorded = exec;
        program->n_nodes = (int)n_nodes;
        return DD_OK;
    }
    const dd_status st = e == cudaErrorMemoryAllocation ? no_memory(c, (int)n_nodes, err)
                                                        : dd_cuda_check(c, e, "cudaGraphUpload", err);
    (void)dd_cuda_check(c, cudaGraphExecDestroy(exec), "cudaGraphExecDestroy", NULL);
    return st;
}

dd_status dd_cuda_record(dd_backend *be, dd_program *program, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    cudaGraph_t graph = NULL;
    DD_TRY(dd_cuda_enter(c, err));
    DD_TRY(dd_cuda_conv_prepare(c, program, err));
    DD_TRY(capture(c, program, &graph, err));
    const dd_status st = instantiate(c, graph, program, err);
    (void)dd_cuda_check(c, cudaGraphDestroy(graph), "cudaGraphDestroy", NULL);
    return st;
}

/* On a lost device too, where nothing is left of the graph. */
void dd_cuda_forget(dd_backend *be, dd_program *program)
{
    dd_cuda *c = dd_cuda_of(be);
    if (!program->recorded) return;
    (void)dd_cuda_enter(c, NULL);
    (void)dd_cuda_check(c, cudaGraphExecDestroy(program->recorded), "cudaGraphExecDestroy", NULL);
    program->recorded = NULL;
    program->n_nodes = 0;
}
