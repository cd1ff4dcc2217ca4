/* SPDX-License-Identifier: MIT
 * A row of a weighted sum in vectors of float32, for depth_average_tmpl.h and depth_average_bf16_tmpl.h.
 * Precision: float32, one fused multiply-add per source, in their order. */
#ifndef DD_KERNELS_CPU_DEPTH_AVERAGE_VEC_H
#define DD_KERNELS_CPU_DEPTH_AVERAGE_VEC_H

#include "kernels/cpu/cpu_vec.h"
#include "kernels/cpu/work.h"

#define DEPTH_VECTORS 4 /* side by side: neighbouring lines of a source are read together */

/* Elements [at, at + d). All sources of a column are read before it is written: y may be one of them. */
static void depth_average_row(const dd_depth_average_args *g, int64_t at, int d)
{
    const int whole = d / (DEPTH_VECTORS * DD_VL) * (DEPTH_VECTORS * DD_VL);
    int j;
    for (j = 0; j < whole; j += DEPTH_VECTORS * DD_VL) {
        vf sum[DEPTH_VECTORS];
        for (int v = 0; v < DEPTH_VECTORS; v++) sum[v] = vsplat(g->weight[0]) * vload(g->x[0] + at + j + v * DD_VL);
        for (int i = 1; i < g->n; i++) {
            const float *x = g->x[i] + at + j;
            const vf weight = vsplat(g->weight[i]);
            for (int v = 0; v < DEPTH_VECTORS; v++) sum[v] = vfma(weight, vload(x + v * DD_VL), sum[v]);
        }
        for (int v = 0; v < DEPTH_VECTORS; v++) vstore(g->y + at + j + v * DD_VL, sum[v]);
    }
    for (; j < d; j += DD_VL) {
        const int left = d - j < DD_VL ? d - j : DD_VL;
        vf sum = vsplat(g->weight[0]) * vload_part(g->x[0] + at + j, left);
        for (int i = 1; i < g->n; i++) sum = vfma(vsplat(g->weight[i]), vload_part(g->x[i] + at + j, left), sum);
        vstore_part(g->y + at + j, sum, left);
    }
}

#endif
