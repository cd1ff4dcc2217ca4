/* SPDX-License-Identifier: MIT
 * The instructions of AVX512-BF16 in use, and with DD_SOFT_ISA statements that do the same on any AVX-512 CPU.
 *
 * vdpbf16ps adds to each of 16 floats the products of a pair of bf16, the odd element first, then the even one, each as
 * one fused multiply-add rounded to nearest even. Denormal inputs, sums in between and results count as zeros of their
 * sign, whatever MXCSR says. vcvtneps2bf16 rounds to nearest even, flushes denormal inputs, keeps NaN and makes it
 * quiet. Held against a Xeon with AMX: no difference over all 2^32 inputs of the conversion, nor over 32 million random
 * sums including denormals, infinities and NaN (their payload aside). tests/unit/test_kernels_bf16.c repeats a part. */
#ifndef DD_KERNELS_CPU_BF16_INSN_H
#define DD_KERNELS_CPU_BF16_INSN_H

#include "kernels/cpu/cpu_vec.h"

typedef __m512i vbf; /* 32 bf16 */

#ifdef DD_SOFT_ISA
DD_INLINE __mmask16 bf16_tiny(vbf bits) { return _mm512_testn_epi32_mask(bits, _mm512_set1_epi32(0x7f800000)); }

DD_INLINE vf bf16_flush(vf x)
{
    const vbf u = _mm512_castps_si512(x);
    return _mm512_castsi512_ps(_mm512_mask_and_epi32(u, bf16_tiny(u), u, _mm512_set1_epi32(INT32_MIN)));
}

DD_INLINE vf bf16_odd(vbf x) { return bf16_flush(_mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(-65536)))); }
DD_INLINE vf bf16_even(vbf x) { return bf16_flush(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16))); }

DD_INLINE void vdot_into(vf *c, vbf a, vbf b)
{
    const vf t = bf16_flush(vfma(bf16_odd(a), bf16_odd(b), bf16_flush(*c)));
    *c = bf16_flush(vfma(bf16_even(a), bf16_even(b), t));
}

DD_INLINE __m256i vnarrow(vf x)
{
    const vbf u = _mm512_castps_si512(x), high = _mm512_srli_epi32(u, 16), one = _mm512_set1_epi32(1);
    const vbf bias = _mm512_add_epi32(_mm512_set1_epi32(0x7fff), _mm512_and_si512(high, one));
    vbf r = _mm512_srli_epi32(_mm512_add_epi32(u, bias), 16);
    r = _mm512_mask_and_epi32(r, bf16_tiny(u), high, _mm512_set1_epi32(0x8000));
    r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), high, _mm512_set1_epi32(0x40));
    return _mm512_cvtepi32_epi16(r);
}

DD_INLINE vbf vnarrow2(vf low, vf high)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(vnarrow(low)), vnarrow(high), 1);
}
#else
/* c += a1 b1, then a0 b0, of every pair */
DD_INLINE void vdot_into(vf *c, vbf a, vbf b) { *c = _mm512_dpbf16_ps(*c, (__m512bh)a, (__m512bh)b); }

DD_INLINE __m256i vnarrow(vf x) { return (__m256i)_mm512_cvtneps_pbh(x); }                  /* 16 */
DD_INLINE vbf vnarrow2(vf low, vf high) { return (__m512i)_mm512_cvtne2ps_pbh(high, low); } /* 32, low first */
#endif

/* The lanes first .. 31 of a row of 32 bf16. */
DD_INLINE __mmask32 bf16_from(int first) { return first < 32 ? (__mmask32)(~0u << first) : 0; }

#endif
