// SPDX-License-Identifier: MIT
// Elements as they are stored. Kernels compute in float32 and are templates over the types of what they read and write;
// conversions are those of kernels/dtype.h: exact to float32, to nearest even from it, NaN stays NaN.
#ifndef DD_KERNELS_CUDA_ELEMENT_CUH
#define DD_KERNELS_CUDA_ELEMENT_CUH

#include <cuda_runtime.h>

#include "kernels/ops.h"

struct bf16 {
    uint16_t bits;
};

struct f16 {
    uint16_t bits;
};

// A float32 whose last 13 bits are zero.
struct tf32 {
    float value;
};

#define DD_VECTOR 16 // bytes of the widest load

__device__ __forceinline__ float to_f32(float v) { return v; }
__device__ __forceinline__ float to_f32(bf16 v) { return dd_bf16_to_f32(v.bits); }
__device__ __forceinline__ float to_f32(f16 v) { return dd_f16_to_f32(v.bits); }
__device__ __forceinline__ float to_f32(tf32 v) { return v.value; }

template <class T> __device__ __forceinline__ T rounded(float v);
template <> __device__ __forceinline__ float rounded<float>(float v) { return v; }
template <> __device__ __forceinline__ bf16 rounded<bf16>(float v) { return bf16{dd_f32_to_bf16(v)}; }
template <> __device__ __forceinline__ f16 rounded<f16>(float v) { return f16{dd_f32_to_f16(v)}; }
template <> __device__ __forceinline__ tf32 rounded<tf32>(float v) { return tf32{dd_f32_to_tf32(v)}; }

// DD_CHUNK neighbours at an address that is a multiple of DD_VECTOR.
__device__ __forceinline__ void load_chunk(float (&v)[DD_CHUNK], const float *p)
{
    const float4 a = ((const float4 *)p)[0], b = ((const float4 *)p)[1];
    v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w;
    v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}

__device__ __forceinline__ void load_chunk(float (&v)[DD_CHUNK], const tf32 *p) { load_chunk(v, &p->value); }

template <class T> __device__ __forceinline__ void load_chunk(float (&v)[DD_CHUNK], const T *p)
{
    static_assert(sizeof(T) * DD_CHUNK == sizeof(uint4), "a chunk is one load");
    const uint4 u = *(const uint4 *)p;
    const uint32_t pairs[] = {u.x, u.y, u.z, u.w};
#pragma unroll
    for (int i = 0; i < DD_CHUNK; i++) v[i] = to_f32(T{(uint16_t)(pairs[i / 2] >> 16 * (i % 2))});
}

// The first `live` of them, zeros behind. vector: where a chunk begins, the address is a multiple of DD_VECTOR.
template <class T> __device__ __forceinline__ void load_part(float (&v)[DD_CHUNK], const T *p, int live, bool vector)
{
    if (vector && live >= DD_CHUNK) {
        load_chunk(v, p);
        return;
    }
#pragma unroll
    for (int i = 0; i < DD_CHUNK; i++) v[i] = i < live ? to_f32(p[i]) : 0.0f;
}

__device__ __forceinline__ void store_chunk(float *p, const float (&v)[DD_CHUNK])
{
    ((float4 *)p)[0] = make_float4(v[0], v[1], v[2], v[3]);
    ((float4 *)p)[1] = make_float4(v[4], v[5], v[6], v[7]);
}

__device__ __forceinline__ void store_chunk(tf32 *p, const float (&v)[DD_CHUNK])
{
    float x[DD_CHUNK];
#pragma unroll
    for (int i = 0; i < DD_CHUNK; i++) x[i] = dd_f32_to_tf32(v[i]);
    store_chunk(&p->value, x);
}

template <class T> __device__ __forceinline__ void store_chunk(T *p, const float (&v)[DD_CHUNK])
{
    static_assert(sizeof(T) * DD_CHUNK == sizeof(uint4), "a chunk is one store");
    uint32_t pairs[DD_CHUNK / 2];
#pragma unroll
    for (int i = 0; i < DD_CHUNK / 2; i++)
        pairs[i] = rounded<T>(v[2 * i]).bits | (uint32_t)rounded<T>(v[2 * i + 1]).bits << 16;
    *(uint4 *)p = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
}

// May chunks of a row be read as vectors, in rows that are ld elements apart?
template <class T> static inline bool vector_ok(const void *p, int64_t ld)
{
    return (uintptr_t)p % DD_VECTOR == 0 && ld * (int64_t)sizeof(T) % DD_VECTOR == 0;
}

#endif
