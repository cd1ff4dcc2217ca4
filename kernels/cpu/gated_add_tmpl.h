/* SPDX-License-Identifier: MIT
 * Formula: x[row,:] += gate * f[row,:] for every branch in turn; change = gate * f, 0 where the mask says no.
 * Layout: rows of D floats; with a list f and change are compact. Thread mapping: items of 16 rows of x, which stay in
 * the cache while the branches stream past. Budget: registers. Preconditions: checked in gated_add.c.
 * Precision: float32; one fused multiply-add per branch, as the residual epilogue of the GEMM; change is rounded. */
#include "kernels/cpu/cpu_vec.h"
#include "kernels/cpu/work.h"

DD_INLINE vf gated_part(const float *p, int n) { return n >= DD_VL ? vload(p) : vload_part(p, n); }

DD_INLINE void gated_keep(float *p, vf v, int n)
{
    if (n >= DD_VL) vstore(p, v);
    else vstore_part(p, v, n);
}

/* gate NULL: 1. change NULL: not wanted. */
static void gated_row(float *x, const float *f, const float *gate, float *change, int d)
{
    for (int j = 0; j < d; j += DD_VL) {
        const int left = d - j;
        const vf v = gated_part(f + j, left), g = gate ? gated_part(gate + j, left) : vsplat(1);
        const vf sum = vfma(g, v, gated_part(x + j, left));
        if (change) gated_keep(change + j, g * v, left);
        gated_keep(x + j, sum, left);
    }
}

/* Rows [first, last) of x get one branch. */
static void gated_branch(const dd_gated_add_job *job, const dd_branch *b, int64_t first, int64_t last)
{
    const dd_gated_add_args *g = job->g;
    const int64_t d = g->d, held = b->rows.idx ? *b->rows.count : last;
    for (int64_t i = b->rows.idx ? dd_row_lower(b->rows.idx, held, first) : first; i < held; i++) {
        const int64_t row = dd_row_at(&b->rows, i);
        if (row >= last) break;
        float *change = b->change ? b->change + i * d : NULL;
        if (b->mask && !b->mask[row]) {
            for (int64_t j = 0; change && j < d; j++) change[j] = 0;
            continue;
        }
        const float *gate = b->gate < 0 ? NULL : dd_cond_at(&g->cond, job->step, row / g->s) + b->gate;
        gated_row(g->x + row * d, b->f + i * d, gate, change, g->d);
    }
}

static void gated_add_task(void *arg, int item, int thread)
{
    (void)thread;
    const dd_gated_add_job *job = arg;
    const dd_gated_add_args *g = job->g;
    const int64_t all = (int64_t)g->r * g->s, first = (int64_t)item * job->rows;
    const int64_t last = first + job->rows < all ? first + job->rows : all;
    for (int i = 0; i < g->n; i++) gated_branch(job, &g->branch[i], first, last);
}

static dd_status gated_add(const dd_exec *exec, const dd_gated_add_args *args)
{
    return dd_cpu_gated_add_run(exec, args, gated_add_task);
}
