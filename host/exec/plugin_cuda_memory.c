/* SPDX-License-Identifier: MIT
 * Device memory. */
#include "host/exec/plugin_cuda.h"

/* Another try where the buffer of raw rows can be given back. cudaMalloc aligns to 256 bytes. */
static cudaError_t allocate(dd_cuda *c, size_t bytes, void **out)
{
    cudaError_t e = cudaMalloc(out, bytes);
    if (e != cudaErrorMemoryAllocation || !c->raw) return e;
    (void)cudaGetLastError();
    dd_cuda_raw_close(c);
    return cudaMalloc(out, bytes);
}

dd_status dd_cuda_alloc(dd_backend *be, size_t bytes, void **out, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    if (bytes == 0) bytes = 1;
    *out = NULL;
    DD_TRY(dd_cuda_enter(c, err));
    const cudaError_t e = allocate(c, bytes, out);
    if (e == cudaErrorMemoryAllocation) {
        uint64_t available = 0;
        (void)cudaGetLastError();
        (void)dd_cuda_memory_free(be, &available, NULL);
        return DD_FAIL(err, DD_ERR_NOMEM, "out of device memory: %.6g MB more are needed, %.6g MB are free",
                       (double)bytes / 1e6, (double)available / 1e6);
    }
    DD_TRY(dd_cuda_check(c, e, "cudaMalloc", err));
    const dd_status st = dd_cuda_check(c, cudaMemsetAsync(*out, 0, bytes, c->stream), "cudaMemsetAsync", err);
    if (st != DD_OK) {
        (void)dd_cuda_check(c, cudaFree(*out), "cudaFree", NULL);
        *out = NULL;
    }
    return st;
}

/* On a lost device too, where nothing is left for cudaFree to do. */
void dd_cuda_release(dd_backend *be, void *p)
{
    dd_cuda *c = dd_cuda_of(be);
    if (!p) return;
    (void)dd_cuda_enter(c, NULL);
    dd_cuda_weight_forget(c, p);
    (void)dd_cuda_check(c, cudaFree(p), "cudaFree", NULL);
}

dd_status dd_cuda_clear(dd_backend *be, void *dst, size_t bytes, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    DD_TRY(dd_cuda_enter(c, err));
    DD_CUDA_TRY(c, err, cudaMemsetAsync, dst, 0, bytes, c->stream);
    return DD_OK;
}

dd_status dd_cuda_memory_free(dd_backend *be, uint64_t *bytes, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    size_t available, total;
    DD_TRY(dd_cuda_enter(c, err));
    DD_CUDA_TRY(c, err, cudaMemGetInfo, &available, &total);
    *bytes = available;
    return DD_OK;
}
