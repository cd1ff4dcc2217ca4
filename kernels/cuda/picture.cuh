// SPDX-License-Identifier: MIT
// Preconditions that the ops on pictures share. Pixels lie in rows of C, a multiple of DD_CHUNK, so that every chunk of a
// picture that begins at a multiple of DD_VECTOR can be read and written as vectors.
#ifndef DD_KERNELS_CUDA_PICTURE_CUH
#define DD_KERNELS_CUDA_PICTURE_CUH

#include "kernels/cuda/common.cuh"
#include "kernels/cuda/element.cuh"

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
