/* SPDX-License-Identifier: MIT
 * Formula: x[row,:] += gate * f[row,:] for every branch in turn; keep = f; change = gate * f, 0 where the mask says no.
 * Layout: rows of D; x float32, the others float32 or bf16 and compact with a list. Threads: one. Budget: none.
 * Preconditions: rows ascending and below R*S. Precision: double over all branches, one rounding at each store. */
#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"

/* Which row of the branch holds `row` of x, -1: none. */
static int64_t find(const dd_branch *b, int64_t row)
{
    if (b->rows.idx == NULL) return row;
    const int64_t at = dd_row_lower(b->rows.idx, *b->rows.count, row);
    return at < *b->rows.count && b->rows.idx[at] == row ? at : -1;
}

static double added(const dd_branch *b, int64_t at, int64_t d, int64_t j, int on, const float *cond)
{
    if (at < 0) return 0;
    const double f = dd_ref_load(b->f, b->f_format, d, at, j);
    const double change = on ? (b->gate >= 0 ? cond[b->gate + j] * f : f) : 0;
    if (b->keep != NULL) dd_ref_store(b->keep, b->out_format, d, at, j, f);
    if (b->change != NULL) dd_ref_store(b->change, b->out_format, d, at, j, change);
    return change;
}

dd_status dd_ref_gated_add(const dd_exec *exec, const dd_gated_add_args *args)
{
    if (!dd_exec_ok(exec) || !dd_gated_add_ok(args)) return DD_ERR_ARG;
    const int64_t all = (int64_t)args->r * args->s, d = args->d;
    for (int64_t row = 0; row < all; row++) {
        const float *cond = args->cond.table ? dd_cond_at(&args->cond, *exec->step, row / args->s) : NULL;
        int64_t at[DD_MAX_BRANCHES];
        for (int i = 0; i < args->n; i++) at[i] = find(&args->branch[i], row);
        for (int64_t j = 0; j < d; j++) {
            double x = args->x[row * d + j];
            for (int i = 0; i < args->n; i++) {
                const dd_branch *b = &args->branch[i];
                x += added(b, at[i], d, j, b->mask == NULL || b->mask[row], cond);
            }
            args->x[row * d + j] = (float)x;
        }
    }
    return DD_OK;
}
