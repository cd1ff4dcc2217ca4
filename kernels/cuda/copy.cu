// SPDX-License-Identifier: MIT
// One buffer to another; the buffers do not overlap. A copy of the runtime, which a graph records as a node.
#include "kernels/cuda/common.cuh"

dd_status dd_cuda_copy(const dd_exec *exec, const dd_copy_args *args)
{
    if (!exec_ok(exec) || args == NULL) return DD_ERR_ARG;
    if (args->bytes == 0) return DD_OK;
    if (args->dst == NULL || args->src == NULL) return DD_ERR_ARG;
    const cudaError_t e = cudaMemcpyAsync(args->dst, args->src, args->bytes, cudaMemcpyDeviceToDevice, stream_of(exec));
    return e == cudaSuccess ? DD_OK : DD_ERR_DEVICE;
}
