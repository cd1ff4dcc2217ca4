/* SPDX-License-Identifier: MIT
 * Functions good enough for a result that is rounded to bf16 (half an ulp: 2^-9 to 2^-8, relative), in AVX-512. */
#ifndef DD_KERNELS_CPU_AMX_MATH_H
#define DD_KERNELS_CPU_AMX_MATH_H

#include "kernels/cpu/cpu_vec.h"

/* 2^t: a polynomial of degree 3 on t - floor(t), relative error -1.01e-4 to 1.38e-4. -infinity gives 0. */
DD_INLINE vf vexp2_bf16(vf t)
{
    const vf r = _mm512_reduce_ps(t, 1);
    vf p = vfma(vsplat(0.0790238f), r, vsplat(0.2241270f));
    p = vfma(p, r, vsplat(0.6967472f));
    p = vfma(p, r, vsplat(0.9999004f));
    return _mm512_scalef_ps(p, t);
}

/* GELU, tanh form: x / (1 + 2^t), t = -2 sqrt(2/pi) log2(e) (x + 0.044715 x^3). */
DD_INLINE vf vgelu_bf16(vf x)
{
    const vf t = x * vfma(x * x, vsplat(-0.1029432f), vsplat(-2.3022082f));
    return x * _mm512_rcp14_ps(vexp2_bf16(t) + vsplat(1.0f));
}

#endif
