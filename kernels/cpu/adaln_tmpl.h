/* SPDX-License-Identifier: MIT
 * Formula: y = (x - mean) / sqrt(var + eps) * (1 + scale) + shift, mean and var over the row, var biased.
 * Layout: rows of D floats; with a list x is gathered and y compact. Thread mapping: items of 16 rows.
 * Budget: registers; a row is read three times, from the L1 cache after the first. Preconditions: checked in adaln.c.
 * Precision: float32, two passes; the second also sums x - mean and corrects mean and variance by it (Chan's corrected
 * two-pass form), so that a large mean costs no accuracy. */
#include "kernels/cpu/work.h"

static void adaln_row(const float *x, float *y, const float *shift, const float *scale, int d)
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
    const float rstd = 1.0f / sqrtf(var + DD_LN_EPS);
    for (i = 0; i < d; i += DD_VL) {
        const int left = d - i;
        if (left >= DD_VL) {
            const vf t = ((vload(x + i) - vsplat(mean)) - vsplat(off)) * vsplat(rstd);
            vstore(y + i, vfma(t, vsplat(1.0f) + vload(scale + i), vload(shift + i)));
        } else {
            const vf t = ((vload_part(x + i, left) - vsplat(mean)) - vsplat(off)) * vsplat(rstd);
            vstore_part(y + i, vfma(t, vsplat(1.0f) + vload_part(scale + i, left), vload_part(shift + i, left)), left);
        }
    }
}

static void adaln_task(void *arg, int item, int thread)
{
    (void)thread;
    const dd_adaln_job *j = arg;
    const dd_adaln_args *g = j->g;
    const int64_t first = (int64_t)item * j->rows, last = first + j->rows < j->n ? first + j->rows : j->n;
    for (int64_t i = first; i < last; i++) {
        const int64_t row = dd_row_at(&g->rows, i);
        const float *cond = dd_cond_at(&g->cond, j->step, row / g->s);
        adaln_row(g->x + row * g->d, (float *)g->y + i * g->ldy, cond + g->shift, cond + g->scale, g->d);
    }
}

static dd_status adaln(const dd_exec *exec, const dd_adaln_args *args)
{
    return dd_cpu_adaln_run(exec, args, adaln_task);
}
