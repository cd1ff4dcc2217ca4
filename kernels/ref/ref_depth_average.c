/* SPDX-License-Identifier: MIT
 * Formula: y = sum over i of weight[i] * x[i]; norm.y = LayerNorm and modulation of y, as ref_adaln.c.
 * Layout: rows of D floats; norm.y in any format. Threads: one. Budget: none.
 * Preconditions: dd_depth_average_ok. Precision: double, one rounding at each store; norm.y is that of the sum before it
 * is rounded. */
#include <math.h>

#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"

static double sum_at(const dd_depth_average_args *a, int64_t at)
{
    double sum = -0.0; /* adding to it keeps the sign of a zero */
    for (int i = 0; i < a->n; i++) sum += (double)a->weight[i] * (double)a->x[i][at];
    return sum;
}

static void norm_row(const dd_depth_average_args *a, int64_t row, const float *cond)
{
    const dd_adaln_args *g = &a->norm;
    const float *shift = cond + g->shift, *scale = cond + g->scale;
    const int64_t d = g->d, first = row * d;
    double mean = 0, var = 0;
    for (int64_t j = 0; j < d; j++) mean += sum_at(a, first + j);
    mean /= (double)d;
    for (int64_t j = 0; j < d; j++) var += (sum_at(a, first + j) - mean) * (sum_at(a, first + j) - mean);
    const double rstd = 1 / sqrt(var / (double)d + (double)g->eps);
    for (int64_t j = 0; j < d; j++)
        dd_ref_store(g->y, g->y_format, g->ldy, row, j,
                     (sum_at(a, first + j) - mean) * rstd * (1 + (double)scale[j]) + (double)shift[j]);
    dd_ref_finish_row(g->y, g->y_format, g->ldy, row, d);
}

dd_status dd_ref_depth_average(const dd_exec *exec, const dd_depth_average_args *args)
{
    if (!dd_exec_ok(exec) || !dd_depth_average_ok(args)) return DD_ERR_ARG;
    const dd_adaln_args *g = &args->norm;
    const int64_t all = (int64_t)args->r * args->s, d = args->d;
    if (g->y != NULL && !dd_format_ok(g->y_format, g->ldy, d)) return DD_ERR_ARG;
    for (int64_t row = 0; row < all; row++) { /* y last: it may be one of the x */
        if (g->y != NULL) norm_row(args, row, dd_cond_at(&g->cond, *exec->step, row / g->s));
        for (int64_t at = row * d; at < (row + 1) * d; at++) args->y[at] = (float)sum_at(args, at);
    }
    return DD_OK;
}
