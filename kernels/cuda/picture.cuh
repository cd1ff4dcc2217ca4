// SPDX-License-Identifier: MIT
// Preconditions that the ops on pictures share. Pixels lie in rows of C, a multiple of DD_CHUNK, so that every chunk of a
// picture that begins at a multiple of DD_VECTOR can be read and written as vectors.
#ifndef DD_KERNELS_CUDA_PICTURE_CUH
#define DD_KERNELS_CUDA_PICTURE_CUH

#include "kernels/cuda/common.cuh"
#include "kernels/cuda/element.cuh"

// Pictures whose pixels can be counted in 32 bits, with channels in whole chunks.
static inline bool picture_ok(int32_t b, int32_t h, int32_t w, int32_t c)
{
    if (b <= 0 || h <= 0 || w <= 0 || c <= 0 || c % DD_CHUNK != 0) return false;
    return (int64_t)h * w <= INT32_MAX && (int64_t)b * ((int64_t)h * w) <= INT32_MAX;
}

static inline bool pixel_format_ok(dd_format f) { return (unsigned)f < DD_FMT_COUNT && f != DD_FMT_BF16_BLOCKS; }

// Do chunks begin at multiples of DD_VECTOR, whatever the format?
static inline bool chunks_ok(const void *p) { return (uintptr_t)p % DD_VECTOR == 0; }

template <class T> static __device__ __forceinline__ void store_part(T *p, const float (&v)[DD_CHUNK], bool vector)
{
    if (vector) {
        store_chunk(p, v);
        return;
    }
#pragma unroll
    for (int i = 0; i < DD_CHUNK; i++) p[i] = rounded<T>(v[i]);
}

#endif
