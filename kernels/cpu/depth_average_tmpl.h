/* SPDX-License-Identifier: MIT
 * Formula: y = sum over i of weight[i] * x[i]; norm.y = LayerNorm and modulation of y, as adaln_tmpl.h.
 * Layout: rows of D floats. Thread mapping: items of 16 rows. Budget: registers; a row of y is in the L1 cache when its
 * LayerNorm reads it. Preconditions: checked in depth_average.c.
 * Precision: float32, see depth_average_vec.h and adaln_vec.h. */
#include "kernels/cpu/adaln_tmpl.h"
#include "kernels/cpu/depth_average_vec.h"

static void depth_average_task(void *arg, int item, int thread)
{
    (void)thread;
    const dd_depth_average_job *j = arg;
    const dd_depth_average_args *g = j->g;
    const dd_adaln_args *norm = &g->norm;
    const int64_t first = (int64_t)item * j->rows, last = first + j->rows < j->n ? first + j->rows : j->n;
    for (int64_t row = first; row < last; row++) {
        depth_average_row(g, row * g->d, g->d);
        if (norm->y == NULL) continue;
        const float *cond = dd_cond_at(&norm->cond, j->step, row / g->s);
        adaln_row(norm, g->y + row * g->d, (float *)norm->y + row * norm->ldy, cond);
    }
}

static dd_status depth_average(const dd_exec *exec, const dd_depth_average_args *args)
{
    return dd_cpu_depth_average_run(exec, args, DD_FMT_F32, depth_average_task);
}
