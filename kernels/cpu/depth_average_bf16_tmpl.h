/* SPDX-License-Identifier: MIT
 * Formula: y = sum over i of weight[i] * x[i]; norm.y = LayerNorm and modulation of y, as adaln_bf16_tmpl.h.
 * Layout: rows of D floats, norm.y in blocks of bf16. Thread mapping: items of 16 rows. Budget: registers; a row of y is
 * in the L1 cache when its LayerNorm reads it. Preconditions: checked in depth_average.c.
 * Precision: float32, see depth_average_vec.h and adaln_vec.h; one rounding to bf16. */
#include "kernels/cpu/adaln_bf16_tmpl.h"
#include "kernels/cpu/depth_average_vec.h"

static void depth_average_bf16_task(void *arg, int item, int thread)
{
    (void)thread;
    const dd_depth_average_job *j = arg;
    const dd_depth_average_args *g = j->g;
    const dd_adaln_args *norm = &g->norm;
    const int64_t first = (int64_t)item * j->rows, last = first + j->rows < j->n ? first + j->rows : j->n;
    for (int64_t row = first; row < last; row++) {
        depth_average_row(g, row * g->d, g->d);
        const float *cond = dd_cond_at(&norm->cond, j->step, row / g->s);
        adaln_bf16_row(norm, g->y + row * g->d, (uint16_t *)norm->y + dd_block_at(norm->ldy, row, 0), cond);
    }
}

static dd_status depth_average_bf16(const dd_exec *exec, const dd_depth_average_args *args)
{
    return dd_cpu_depth_average_run(exec, args, DD_FMT_BF16_BLOCKS, depth_average_bf16_task);
}
