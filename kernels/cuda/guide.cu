// SPDX-License-Identifier: MIT
// Formula: the first `channels` channels of both halves become u + scale (c - u), c conditional, u null.
// Layout: [2B,co,size,size], rows [conditional; null], in place.
// Thread mapping: a thread per element of the guided channels of an image, consecutive along it; grid y strides images.
// Budget: at most 24 registers, no shared memory, at least 6 blocks.
// Preconditions: channels <= co.
// Precision: float32, each operation rounded, as the released models compute it.
#include "kernels/cuda/common.cuh"

#define THREADS 256

static __global__ void __launch_bounds__(THREADS) guide_kernel(dd_guide_args a)
{
    const int64_t plane = (int64_t)a.size * a.size, image = a.co * plane;
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= a.channels * plane) return;
    for (int64_t b = blockIdx.y; b < a.b; b += gridDim.y) {
        float *c = a.out + b * image + i, *u = c + a.b * image;
        const float null = *u, guided = null + a.scale * (*c - null);
        *c = guided;
        *u = guided;
    }
}

dd_status dd_cuda_guide(const dd_exec *exec, const dd_guide_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->out == NULL || args->b <= 0 || args->size <= 0) return DD_ERR_ARG;
    if (args->channels < 0 || args->channels > args->co) return DD_ERR_ARG;
    if (args->channels == 0) return DD_OK;
    const int64_t x = ceil_div((int64_t)args->channels * args->size * args->size, THREADS);
    if (!grid_ok(x, 1)) return DD_ERR_ARG;
    const int y = args->b < 65535 ? args->b : 65535;
    guide_kernel<<<dim3((unsigned)x, (unsigned)y), THREADS, 0, stream_of(exec)>>>(*args);
    return launched();
}
