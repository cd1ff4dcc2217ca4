// SPDX-License-Identifier: MIT
// Formula: dst[b,y,x,c] = scale * src[b,c,y,x] for c < c_src, 0 in the channels that fill up.
// Layout: planes [B,c_src,H,W] to pixels [B,H,W,C].
// Thread mapping: a thread per chunk of a pixel, neighbouring threads have neighbouring pixels: reads of every plane coalesce,
// and writes do where a pixel is one chunk, as that of latents is.
// Budget: at most 40 registers, no shared memory, at least 6 blocks.
// Preconditions: C a multiple of DD_CHUNK, c_src at most C.
// Precision: a float32 product, then the rounding to what is stored.
#include "kernels/cuda/picture.cuh"

#define THREADS 256

template <class T>
static __global__ void __launch_bounds__(THREADS) to_pixels_kernel(dd_to_pixels_args a, int64_t pixels, bool vector)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, plane = (int64_t)a.h * a.w;
    const int first = (int)blockIdx.y * DD_CHUNK;
    if (i >= pixels) return;
    const float *src = a.src + (i / plane * a.c_src + first) * plane + i % plane;
    float v[DD_CHUNK];
#pragma unroll
    for (int c = 0; c < DD_CHUNK; c++) v[c] = first + c < a.c_src ? a.scale * src[c * plane] : 0.0f;
    store_part((T *)a.dst + i * a.c + first, v, vector);
}

dd_status dd_cuda_to_pixels(const dd_exec *exec, const dd_to_pixels_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->src == NULL || args->dst == NULL) return DD_ERR_ARG;
    if (!dd_picture_ok(args->b, args->h, args->w, args->c) || args->c_src <= 0 || args->c_src > args->c)
        return DD_ERR_ARG;
    const int64_t pixels = (int64_t)args->b * args->h * args->w;
    const dim3 grid((unsigned)ceil_div(pixels, THREADS), (unsigned)(args->c / DD_CHUNK));
    if (!grid_ok(grid.x, grid.y)) return DD_ERR_ARG;
    const bool vector = chunks_ok(args->dst);
    const cudaStream_t stream = stream_of(exec);
    switch (args->dst_format) {
    case DD_FMT_F32: to_pixels_kernel<float><<<grid, THREADS, 0, stream>>>(*args, pixels, vector); break;
    case DD_FMT_TF32: to_pixels_kernel<tf32><<<grid, THREADS, 0, stream>>>(*args, pixels, vector); break;
    case DD_FMT_BF16: to_pixels_kernel<bf16><<<grid, THREADS, 0, stream>>>(*args, pixels, vector); break;
    case DD_FMT_F16: to_pixels_kernel<f16><<<grid, THREADS, 0, stream>>>(*args, pixels, vector); break;
    default: return DD_ERR_UNSUPPORTED;
    }
    return launched();
}
