// SPDX-License-Identifier: MIT
// Formula: *step = value.
// Layout: one integer, which ops index their tables of steps by.
// Thread mapping: one thread. A kernel and no copy from the host, so that steps in flight need no host memory each and a
// graph can record it.
// Budget: at most 8 registers, no shared memory, at least 16 blocks.
// Preconditions: step is not NULL.
// Precision: exact.
#include "kernels/cuda/common.cuh"

static __global__ void __launch_bounds__(1) set_step_kernel(int32_t *step, int32_t value) { *step = value; }

dd_status dd_cuda_set_step(void *stream, int32_t *step, int32_t value)
{
    if (step == NULL || value < 0) return DD_ERR_ARG;
    set_step_kernel<<<1, 1, 0, (cudaStream_t)stream>>>(step, value);
    return launched();
}

dd_status dd_cuda_has_code(void)
{
    cudaFuncAttributes attributes;
    switch (cudaFuncGetAttributes(&attributes, set_step_kernel)) {
    case cudaSuccess: return DD_OK;
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion: (void)cudaGetLastError(); return DD_ERR_UNSUPPORTED;
    default: return DD_ERR_DEVICE;
    }
}
