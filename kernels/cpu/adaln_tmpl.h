/* SPDX-License-Identifier: MIT
 * Formula: y = (x - mean) / sqrt(var + eps) * (1 + scale) + shift, mean and var over the row, var biased.
 * Layout: rows of D floats; with a list x is gathered and y compact. Thread mapping: items of 16 rows.
 * Budget: registers; a row is read three times, from the L1 cache after the first. Preconditions: checked in adaln.c.
 * Precision: float32, see adaln_vec.h. */
#include "kernels/cpu/adaln_vec.h"

static void adaln_row(const dd_adaln_args *g, const float *x, float *y, const float *cond)
{
    const int d = g->d;
    const float *shift = cond + g->shift, *scale = cond + g->scale;
    const adaln_norm norm = adaln_statistics(x, d, g->eps);
    for (int i = 0; i < d; i += DD_VL) {
        const int left = d - i;
        const vf value = adaln_values(norm, x + i, shift + i, scale + i, left);
        if (left >= DD_VL) vstore(y + i, value);
        else vstore_part(y + i, value, left);
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
        adaln_row(g, g->x + row * g->d, (float *)g->y + i * g->ldy, cond);
    }
}

static dd_status adaln(const dd_exec *exec, const dd_adaln_args *args)
{
    return dd_cpu_adaln_run(exec, args, DD_FMT_F32, adaln_task);
}
