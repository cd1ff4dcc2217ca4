/* SPDX-License-Identifier: MIT
 * Vectors of one instruction set, for the templates *_tmpl.h. The including file sets DD_VL: 16 (AVX-512), 8
 * (AVX2+FMA) or 4 (portable). vf holds DD_VL floats; with DD_VL 16, vh holds 8, for panels whose width is an odd
 * multiple of 8. Every lane is computed alike, so a result does not depend on the lane it falls into. */
#ifndef DD_KERNELS_CPU_CPU_VEC_H
#define DD_KERNELS_CPU_CPU_VEC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define DD_INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define DD_UNROLL(n) _Pragma("clang loop unroll(full)") /* "unroll" alone leaves accumulators in memory */
#pragma STDC FP_CONTRACT OFF
#else
#define DD_UNROLL_(x) _Pragma(#x)
#define DD_UNROLL(n) DD_UNROLL_(GCC unroll n)
#endif

#if DD_VL == 16
#include <immintrin.h>
typedef __m512 vf;
typedef __m256 vh;
DD_INLINE vf vload(const float *p) { return _mm512_loadu_ps(p); }
DD_INLINE void vstore(float *p, vf x) { _mm512_storeu_ps(p, x); }
DD_INLINE vf vsplat(float x) { return _mm512_set1_ps(x); }
DD_INLINE vf vfma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
DD_INLINE vf vmin(vf bound, vf x) { return _mm512_min_ps(bound, x); } /* x where x is NaN */
DD_INLINE vf vmax(vf bound, vf x) { return _mm512_max_ps(bound, x); }
DD_INLINE vf vscale2(vf p, vf n) { return _mm512_scalef_ps(p, n); } /* p 2^n, one rounding */
DD_INLINE vf vload_part(const float *p, int n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
DD_INLINE void vstore_part(float *p, vf x, int n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), x); }
DD_INLINE vh vload_h(const float *p) { return _mm256_loadu_ps(p); }
DD_INLINE vh vfma_h(vh a, vh b, vh c) { return _mm256_fmadd_ps(a, b, c); }
DD_INLINE vh vlow(vf x) { return _mm512_castps512_ps256(x); }
DD_INLINE void vstore_h(float *p, vh x) { _mm512_storeu_ps(p, _mm512_zextps256_ps512(x)); } /* 8 zeros behind */
DD_INLINE void vstore_low(float *p, vh x) { _mm256_storeu_ps(p, x); }
DD_INLINE vf vjoin(vh low, vh high) { return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1); }
DD_INLINE vh vhigh(vf x) { return _mm512_extractf32x8_ps(x, 1); }
#else
#if DD_VL == 8
#include <immintrin.h>
typedef __m256 vf;
DD_INLINE vf vload(const float *p) { return _mm256_loadu_ps(p); }
DD_INLINE void vstore(float *p, vf x) { _mm256_storeu_ps(p, x); }
DD_INLINE vf vsplat(float x) { return _mm256_set1_ps(x); }
DD_INLINE vf vfma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
DD_INLINE vf vmin(vf bound, vf x) { return _mm256_min_ps(bound, x); }
DD_INLINE vf vmax(vf bound, vf x) { return _mm256_max_ps(bound, x); }
typedef __m256i vi;
DD_INLINE vf vpow2(vi n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
DD_INLINE vf vscale2(vf p, vf n)
{
    const vi i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1);
    return p * vpow2(half) * vpow2(_mm256_sub_epi32(i, half));
}
#else
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef uint32_t vu __attribute__((vector_size(16)));
typedef float vf_unaligned __attribute__((vector_size(16), aligned(4), may_alias));
DD_INLINE vf vload(const float *p) { return *(const vf_unaligned *)p; }
DD_INLINE void vstore(float *p, vf x) { *(vf_unaligned *)p = x; }
DD_INLINE vf vsplat(float x) { return (vf){x, x, x, x}; }
DD_INLINE vf vfma(vf a, vf b, vf c) { return a * b + c; } /* two roundings */
DD_INLINE vf vpick(vi take, vf a, vf b) { return (vf)((take & (vi)a) | (~take & (vi)b)); }
DD_INLINE vf vmin(vf bound, vf x) { return vpick((vi)(x > bound), bound, x); }
DD_INLINE vf vmax(vf bound, vf x) { return vpick((vi)(x < bound), bound, x); }
DD_INLINE vf vpow2(vi n)
{
    const vu bias = {127, 127, 127, 127};
    return (vf)(((vu)n + bias) << 23);
}
DD_INLINE vf vscale2(vf p, vf n)
{
    const vf magic = vsplat(0x1.8p23f); /* the low bits of n + magic are the integer n */
    const vi i = (vi)(((vu)(n + magic) - (vu)magic) << 23) >> 23, half = i >> 1; /* 9 bits: NaN gives some power of 2 */
    return p * vpow2(half) * vpow2(i - half);
}
#endif
/* The first n lanes, 0 < n <= DD_VL; the others are 0 or left alone in memory. */
DD_INLINE vf vload_part(const float *p, int n)
{
    float t[DD_VL] = {0};
    if (n >= DD_VL) return vload(p);
    memcpy(t, p, (size_t)n * sizeof *t);
    return vload(t);
}
DD_INLINE void vstore_part(float *p, vf x, int n)
{
    float t[DD_VL];
    vstore(n >= DD_VL ? p : t, x);
    if (n < DD_VL) memcpy(p, t, (size_t)n * sizeof *t);
}
#endif

/* c += a b where c has to stay in its register: from the builtins gcc 12 makes fmadd132 forms and moves between
 * registers, which cost the micro kernel a tenth of its speed. */
DD_INLINE void vfma_into(vf *c, vf a, vf b)
{
#if DD_VL >= 8
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(*c) : "v"(a), "v"(b));
#else
    *c = vfma(a, b, *c);
#endif
}

/* Sum and maximum over the lanes, by a fixed tree. A NaN may be lost in the maximum. */
#if DD_VL == 16
DD_INLINE float vsum(vf x) { return _mm512_reduce_add_ps(x); }
DD_INLINE float vmax_lane(vf x) { return _mm512_reduce_max_ps(x); }
#else
DD_INLINE float vsum(vf x)
{
    float t[DD_VL];
    vstore(t, x);
#if DD_VL == 8
    return ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
#else
    return (t[0] + t[2]) + (t[1] + t[3]);
#endif
}

DD_INLINE float vmax_lane(vf x)
{
    float t[DD_VL];
    vstore(t, x);
    for (int n = DD_VL / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) t[i] = t[i + n] > t[i] ? t[i + n] : t[i];
    return t[0];
}
#endif

/* e^x. n = rint(x / ln 2), r = x - n ln 2 in two parts (the first exact), a degree 6 polynomial on |r| <= ln 2 / 2
 * with the coefficients of Cephes expf, and a scaling that overflows to infinity and underflows to 0. NaN stays NaN.
 * About 1 ulp with, 2 ulp without fused multiply-add (tests/unit/test_kernels_cpu_misc.c sweeps it). */
DD_INLINE vf vexp(vf x)
{
    const vf magic = vsplat(0x1.8p23f);
    x = vmin(vsplat(89.0f), vmax(vsplat(-105.0f), x));
    const vf n = vfma(x, vsplat(0x1.715476p+0f), magic) - magic;
    const vf r = vfma(n, vsplat(2.12194440e-4f), vfma(n, vsplat(-0.693359375f), x));
    vf p = vfma(vsplat(1.9875691500e-4f), r, vsplat(1.3981999507e-3f));
    p = vfma(p, r, vsplat(8.3334519073e-3f));
    p = vfma(p, r, vsplat(4.1665795894e-2f));
    p = vfma(p, r, vsplat(1.6666665459e-1f));
    p = vfma(p, r, vsplat(5.0000001201e-1f));
    return vscale2(vfma(p, r * r, r) + vsplat(1.0f), n);
}

/* GELU, tanh form: x/2 (1 + tanh u) = x / (1 + e^(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3). The error of the exponent
 * grows with |u|, where the result is far below the error of its neighbours. Below -80 the exponential vanishes next to
 * 1; the bound keeps it from becoming denormal, which costs 100 times a normal result. */
DD_INLINE vf vgelu(vf x)
{
    const vf u2 = x * vfma(x * x, vsplat(-0.0713548162726f), vsplat(-1.59576912161f)); /* -2 sqrt(2/pi) (0.044715, 1) */
    return x / (vsplat(1.0f) + vexp(vmax(vsplat(-80.0f), u2)));
}

#endif
