/* SPDX-License-Identifier: MIT
 * A row of LayerNorm + modulate in vectors of float32, for the stores of adaln_tmpl.h and adaln_bf16_tmpl.h.
 * Precision: two passes; the second also sums x - mean and corrects mean and variance by it (Chan's corrected two-pass
 * form), so that a large mean costs no accuracy. */
#ifndef DD_KERNELS_CPU_ADALN_VEC_H
#define DD_KERNELS_CPU_ADALN_VEC_H

#include "kernels/cpu/cpu_vec.h"
#include "kernels/cpu/work.h"

typedef struct adaln_norm {
    float mean, off, rstd;
} adaln_norm;

DD_INLINE adaln_norm adaln_statistics(const float *x, int d, float eps)
{
    const int whole = d / (4 * DD_VL) * (4 * DD_VL);
    vf a[4] = {vsplat(0), vsplat(0), vsplat(0), vsplat(0)};
    int i;
    for (i = 0; i < whole; i += 4 * DD_VL)
        for (int v = 0; v < 4; v++) a[v] += vload(x + i + v * DD_VL);
    float sum = vsum((a[0] + a[1]) + (a[2] + a[3])), rest = 0;
    for (; i < d; i++) rest += x[i];
    const float n = (float)d, mean = (sum + rest) / n;
    vf q[4] = {vsplat(0), vsplat(0), vsplat(0), vsplat(0)};
    for (int v = 0; v < 4; v++) a[v] = vsplat(0);
    for (i = 0; i < whole; i += 4 * DD_VL)
        for (int v = 0; v < 4; v++) {
            const vf t = vload(x + i + v * DD_VL) - vsplat(mean);
            a[v] += t;
            q[v] = vfma(t, t, q[v]);
        }
    float square = vsum((q[0] + q[1]) + (q[2] + q[3])), rest_square = 0;
    sum = vsum((a[0] + a[1]) + (a[2] + a[3]));
    for (rest = 0; i < d; i++) {
        const float t = x[i] - mean;
        rest += t;
        rest_square += t * t;
    }
    const float off = (sum + rest) / n, var = (square + rest_square) / n - off * off;
    return (adaln_norm){.mean = mean, .off = off, .rstd = 1.0f / sqrtf(var + eps)};
}

/* The first n > 0 values from p on, at most a vector. */
DD_INLINE vf adaln_part(const float *p, int n) { return n >= DD_VL ? vload(p) : vload_part(p, n); }

/* n results. */
DD_INLINE vf adaln_values(adaln_norm norm, const float *x, const float *shift, const float *scale, int n)
{
    const vf t = ((adaln_part(x, n) - vsplat(norm.mean)) - vsplat(norm.off)) * vsplat(norm.rstd);
    return vfma(t, vsplat(1.0f) + adaln_part(scale, n), adaln_part(shift, n));
}

#endif
