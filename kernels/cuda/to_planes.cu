// SPDX-License-Identifier: MIT
// Formula: dst[b,c,y,x] = src[b,y,x,c] for c < c_dst.
// Layout: pixels [B,H,W,C] to planes [B,c_dst,H,W].
// Thread mapping: a thread per element of dst, consecutive along the plane, so that writes coalesce; the planes of a pixel are
// read by blocks that follow each other (grid y), from the cache after the first.
// Budget: at most 24 registers, no shared memory, at least 6 blocks.
// Preconditions: C a multiple of DD_CHUNK, c_dst at most C.
// Precision: exact, values are moved.
#include "kernels/cuda/picture.cuh"

#define THREADS 256

static __global__ void __launch_bounds__(THREADS) to_planes_kernel(dd_to_planes_args a, int64_t pixels)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, plane = (int64_t)a.h * a.w;
    const int c = (int)blockIdx.y;
    if (i >= pixels) return;
    a.dst[(i / plane * a.c_dst + c) * plane + i % plane] = a.src[i * a.c + c];
}

dd_status dd_cuda_to_planes(const dd_exec *exec, const dd_to_planes_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->src == NULL || args->dst == NULL) return DD_ERR_ARG;
    if (!dd_picture_ok(args->b, args->h, args->w, args->c) || args->c_dst <= 0 || args->c_dst > args->c)
        return DD_ERR_ARG;
    const int64_t pixels = (int64_t)args->b * args->h * args->w;
    const dim3 grid((unsigned)ceil_div(pixels, THREADS), (unsigned)args->c_dst);
    if (!grid_ok(grid.x, grid.y)) return DD_ERR_ARG;
    to_planes_kernel<<<grid, THREADS, 0, stream_of(exec)>>>(*args, pixels);
    return launched();
}
