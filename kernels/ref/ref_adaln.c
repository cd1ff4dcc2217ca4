/* SPDX-License-Identifier: MIT
 * Formula: y = (x - mean) / sqrt(var + eps) * (1 + scale) + shift, mean and var over the row, var biased.
 * Layout: rows of D floats; with a list, y is compact, in any format. Threads: one. Budget: none.
 * Preconditions: rows ascending and below R*S. Precision: double, two passes, one rounding at the store. */
#include <math.h>

#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"

dd_status dd_ref_adaln(const dd_exec *exec, const dd_adaln_args *args)
{
    if (!dd_exec_ok(exec) || args == NULL || args->x == NULL || args->y == NULL) return DD_ERR_ARG;
    if (args->r <= 0 || args->s <= 0 || args->d <= 0 || !dd_cond_table_ok(&args->cond)) return DD_ERR_ARG;
    const int64_t d = args->d, all = (int64_t)args->r * args->s, n = dd_row_count(&args->rows, all);
    if (!(args->eps > 0) || !dd_format_ok(args->y_format, args->ldy, d)) return DD_ERR_ARG;
    if (n < 0 || !dd_row_list_ok(&args->rows, n, all)) return DD_ERR_ARG;
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = dd_row_at(&args->rows, i);
        const float *x = args->x + row * d, *cond = dd_cond_at(&args->cond, *exec->step, row / args->s);
        const float *shift = cond + args->shift, *scale = cond + args->scale;
        double mean = 0, var = 0;
        for (int64_t j = 0; j < d; j++) mean += x[j];
        mean /= (double)d;
        for (int64_t j = 0; j < d; j++) var += (x[j] - mean) * (x[j] - mean);
        const double rstd = 1 / sqrt(var / (double)d + (double)args->eps);
        for (int64_t j = 0; j < d; j++)
            dd_ref_store(args->y, args->y_format, args->ldy, i, j,
                         (x[j] - mean) * rstd * (1 + (double)scale[j]) + shift[j]);
        dd_ref_finish_row(args->y, args->y_format, args->ldy, i, d);
    }
    return DD_OK;
}
