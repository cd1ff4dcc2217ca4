/* SPDX-License-Identifier: MIT
 * Box-Muller over blocks of 16. The logarithm, sine and cosine are those of the Cephes library (Stephen L. Moshier,
 * https://www.netlib.org/cephes/, single precision); which of their multiply-adds round once is what PyTorch's AVX2
 * code does. Every operation below is rounded on its own unless it says fmaf: order and grouping are part of the
 * result. */
#include "host/sample/normal.h"

#include <math.h>
#include <stdint.h>

#include "kernels/dtype.h"

#if defined(__GNUC__)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE static inline
#endif

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define HAVE_FMA_TARGET 1
#endif

/* ln x for x in [2^-24, 1]: x = m 2^e with m in [sqrt(1/2), sqrt(2)), polynomial in m - 1, ln 2 split in two. */
ALWAYS_INLINE float log_cephes(float x)
{
    static const float poly[9] = {7.0376836292E-2f,  -1.1514610310E-1f, 1.1676998740E-1f,
                                  -1.2420140846E-1f, 1.4249322787E-1f,  -1.6668057665E-1f,
                                  2.0000714765E-1f,  -2.4999993993E-1f, 3.3333331174E-1f};
    const uint32_t bits = dd_f32_bits(x);
    float e = (float)((int32_t)(bits >> 23) - 126);
    float m = dd_f32_from_bits((bits & 0x007fffffu) | 0x3f000000u); /* in [1/2, 1) */
    if (m < 0.707106781186547524f) {
        e -= 1.0f;
        m = (m - 1.0f) + m;
    } else {
        m -= 1.0f;
    }
    const float m2 = m * m;
    float y = poly[0];
    for (int i = 1; i < 9; i++) y = fmaf(y, m, poly[i]);
    y *= m;
    y = fmaf(y, m2, e * -2.12194440e-4f);
    y = fmaf(m2, -0.5f, y);
    return fmaf(e, 0.693359375f, m + y);
}

/* Sine and cosine of x in [0, 2 pi): octant, reduction by pi/4 split in three, one polynomial each. */
ALWAYS_INLINE void sincos_cephes(float x, float *sine, float *cosine)
{
    const int32_t octant = ((int32_t)(x * 1.27323954473516f) + 1) & ~1;
    const float n = (float)octant;
    x = fmaf(n, -0.78515625f, x);
    x = fmaf(n, -2.4187564849853515625e-4f, x);
    x = fmaf(n, -3.77489497744594108e-8f, x);
    const float x2 = x * x;

    float c = fmaf(2.443315711809948E-005f, x2, -1.388731625493765E-003f);
    c = fmaf(c, x2, 4.166664568298827E-002f) * x2;
    c = fmaf(c, x2, -(x2 * 0.5f)) + 1.0f;

    float s = fmaf(-1.9515295891E-4f, x2, 8.3321608736E-3f);
    s = fmaf(s, x2, -1.6666654611E-1f) * x2;
    s = fmaf(s, x, x);

    const float a = octant & 2 ? c : s, b = octant & 2 ? s : c;
    *sine = octant & 4 ? -a : a;
    *cosine = (octant + 2) & 4 ? -b : b;
}

ALWAYS_INLINE void blocks_inline(float *d, size_t blocks)
{
    for (; blocks > 0; blocks--, d += 16)
        for (int j = 0; j < 8; j++) {
            float s, c;
            const float r = sqrtf(-2.0f * log_cephes(1.0f - d[j])); /* 1 - d is never 0 */
            sincos_cephes(6.283185307179586f * d[j + 8], &s, &c);
            d[j] = r * c;
            d[j + 8] = r * s;
        }
}

void dd_normal_blocks_portable(float *d, size_t blocks) { blocks_inline(d, blocks); }

#ifdef HAVE_FMA_TARGET
/* On the x86-64 baseline fmaf is a call; compiled for FMA it is one instruction, with the same result by definition. */
__attribute__((target("fma"))) static void blocks_with_fma(float *d, size_t blocks) { blocks_inline(d, blocks); }

void dd_normal_blocks_fma(float *d, size_t blocks)
{
    if (__builtin_cpu_supports("fma")) blocks_with_fma(d, blocks);
    else dd_normal_blocks_portable(d, blocks);
}
#else
void dd_normal_blocks_fma(float *d, size_t blocks) { dd_normal_blocks_portable(d, blocks); }
#endif

void dd_normal_blocks(float *d, size_t blocks) { dd_normal_blocks_fma(d, blocks); }
