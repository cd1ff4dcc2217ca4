// SPDX-License-Identifier: MIT
// A convolution as a product of matrices: rows are the pixels of dst, columns its channels, the depth is that of a weight,
// [ksize, ksize, C]. A run of channels that begins at a multiple of its length and is no longer than DD_CHUNK never leaves a
// tap, so that it lies side by side in one pixel of src, or outside of the picture.
#ifndef DD_KERNELS_CUDA_CONV2D_CUH
#define DD_KERNELS_CUDA_CONV2D_CUH

#include "kernels/cuda/picture.cuh"

// Where a pixel of dst stands; picture: the first pixel of its picture in src; y < 0: there is no such pixel.
struct place {
    int64_t picture;
    int y, x;
};

static __device__ __forceinline__ place place_of(const dd_conv2d_args &g, int64_t pixel, int64_t pixels)
{
    if (pixel >= pixels) return {0, -1, -1};
    const int64_t plane = (int64_t)g.h * g.w_out, b = pixel / plane;
    const int at = (int)(pixel - b * plane);
    return {g.upsample ? b * (plane / 4) : b * plane, at / g.w_out, at % g.w_out};
}

// What a place sees at depth k, NULL where that is outside of the picture.
template <class T> static __device__ __forceinline__ const T *seen(const dd_conv2d_args &g, const place &p, int k)
{
    const int tap = k / g.c, half = g.ksize / 2, y = p.y + tap / g.ksize - half, x = p.x + tap % g.ksize - half;
    if (p.y < 0 || y < 0 || y >= g.h || x < 0 || x >= g.w_out) return NULL;
    const int shift = g.upsample ? 1 : 0;
    const int64_t pixel = p.picture + (int64_t)(y >> shift) * (g.w_out >> shift) + (x >> shift);
    return (const T *)g.src + pixel * g.c + (k - tap * g.c);
}

#endif
