/* SPDX-License-Identifier: MIT
 * Storage types and exact scalar conversions. Used by every backend and by the readers. */
#ifndef DD_KERNELS_DTYPE_H
#define DD_KERNELS_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "dydit is not built with fast-math: it breaks NaN checks and the exactness of skipping"
#endif

/* Short functions that CUDA kernels use as well. */
#ifdef __CUDACC__
#define DD_HD_INLINE static inline __host__ __device__
#else
#define DD_HD_INLINE static inline
#endif

/* DD_TF32 is float32 whose values have 11 bits, what tensor cores multiply: of packed weights, never of a file. */
typedef enum dd_dtype { DD_F32 = 0, DD_F16, DD_BF16, DD_F64, DD_I64, DD_I32, DD_U8, DD_TF32 } dd_dtype;

/* Bytes of one element. */
static inline size_t dd_dtype_bytes(dd_dtype t)
{
    switch (t) {
    case DD_F64:
    case DD_I64: return 8;
    case DD_F32:
    case DD_TF32:
    case DD_I32: return 4;
    case DD_F16:
    case DD_BF16: return 2;
    case DD_U8: return 1;
    }
    return 0;
}

DD_HD_INLINE float dd_f32_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

DD_HD_INLINE uint32_t dd_f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

DD_HD_INLINE float dd_bf16_to_f32(uint16_t h) { return dd_f32_from_bits((uint32_t)h << 16); }

/* Round to nearest, ties to even; NaN stays NaN. */
DD_HD_INLINE uint16_t dd_f32_to_bf16(float f)
{
    uint32_t u = dd_f32_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

DD_HD_INLINE float dd_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = (h >> 10) & 0x1fu, man = h & 0x3ffu;
    if (exp == 0x1fu) return dd_f32_from_bits(sign | 0x7f800000u | (man << 13));
    if (exp != 0) return dd_f32_from_bits(sign | ((exp + 112u) << 23) | (man << 13));
    float f = (float)man * 0x1p-24f; /* subnormal: exact */
    return sign ? -f : f;
}

/* Round to nearest, ties to even; 65520 and above becomes infinity, NaN stays NaN. */
DD_HD_INLINE uint16_t dd_f32_to_f16(float f)
{
    const uint32_t u = dd_f32_bits(f), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;
    if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (a >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
    if (a >= 0x38800000u) return (uint16_t)(sign | ((a - 0x38000000u + 0xfffu + (a >> 13 & 1u)) >> 13));
    /* Subnormal: 0.5 has the unit 2^-24 for its last bit, so that the sum rounds as wanted. */
    return (uint16_t)(sign | (dd_f32_bits(dd_f32_from_bits(a) + 0.5f) - 0x3f000000u));
}

/* The nearest value of TF32, ties to even: 11 bits, the exponents of float32. NaN stays NaN. */
DD_HD_INLINE float dd_f32_to_tf32(float f)
{
    const uint32_t u = dd_f32_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return dd_f32_from_bits(u | 0x00400000u);
    return dd_f32_from_bits((u + 0xfffu + (u >> 13 & 1u)) & ~0x1fffu);
}

/* What becomes of a value in F32, F16, BF16 or TF32. */
DD_HD_INLINE float dd_rounded(float f, dd_dtype t)
{
    switch (t) {
    case DD_F16: return dd_f16_to_f32(dd_f32_to_f16(f));
    case DD_BF16: return dd_bf16_to_f32(dd_f32_to_bf16(f));
    case DD_TF32: return dd_f32_to_tf32(f);
    default: return f;
    }
}

/* A value of F32, F16 or BF16 at any address. */
static inline float dd_load_f32(const void *p, dd_dtype t)
{
    if (t == DD_F32) {
        float f;
        memcpy(&f, p, sizeof f);
        return f;
    }
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return t == DD_F16 ? dd_f16_to_f32(h) : dd_bf16_to_f32(h);
}

/* A test of the exponent bits: NaN and infinity are caught whatever the compiler assumes. */
DD_HD_INLINE int dd_f32_finite(float f) { return (dd_f32_bits(f) & 0x7f800000u) != 0x7f800000u; }

/* A routed unit is on when the float32 sigmoid of its logit exceeds 0.5. With every operation rounded to float32 that
 * happens exactly for logits above 1.5 * 2^-24: exp(-x) must round to at most 1 - 2^-23 (tests/unit/test_dtype.c). One
 * comparison, so that all backends decide alike. */
#define DD_LOGIT_ON 0x1.8p-24f
DD_HD_INLINE int dd_logit_on(float logit) { return logit > DD_LOGIT_ON; }

#endif
