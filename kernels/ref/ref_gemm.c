/* SPDX-License-Identifier: MIT
 * Formula: acc[i,n] = sum over active k of a[i,k] w[n,k]; then + bias, gelu(acc + bias), or c += gate (acc + bias).
 * Layout: a and c in any format, compact along sliced axes; w row-major [n,k]. Threads: the rows, over exec's pool.
 * Budget: none. Preconditions: slices ascending and of whole units, leading dimensions wide enough, rows ascending.
 * Precision: double from the first product to the rounding at the store. */
#include <math.h>

#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"
#include "kernels/ref/ref_pack.h"

typedef struct job {
    const dd_gemm_args *a;
    const int32_t *n_list, *k_list;
    int64_t n, k; /* active widths */
    int64_t c_unit;
    int32_t step;
} job;

static double gelu(double x)
{
    return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))); /* sqrt(2/pi) */
}

static int64_t column(const int32_t *list, int64_t i)
{
    return list ? (int64_t)list[1 + i / DD_CHUNK] * DD_CHUNK + i % DD_CHUNK : i;
}

static void gemm_row(void *arg, int item, int thread)
{
    (void)thread;
    const job *j = arg;
    const dd_gemm_args *g = j->a;
    const int64_t row = g->epilogue == DD_EPI_RESIDUAL ? dd_row_at(&g->rows, item) : item;
    const float *gate = NULL;
    if (g->epilogue == DD_EPI_RESIDUAL) gate = dd_cond_at(&g->gate, j->step, row / g->s) + g->gate_off;
    for (int64_t i = 0; i < j->n; i++) {
        const int64_t n = column(j->n_list, i);
        const float *w = g->w->data + n * g->w->k;
        double acc = 0;
        for (int64_t k = 0; k < j->k; k++)
            acc += (double)dd_ref_load(g->a, g->a_format, g->lda, item, k) * w[column(j->k_list, k)];
        acc += g->bias ? (double)g->bias[n] : 0;
        if (g->epilogue == DD_EPI_GELU) acc = gelu(acc);
        const int64_t col = i / g->w->n_unit * j->c_unit + i % g->w->n_unit;
        if (gate) acc = dd_ref_load(g->c, g->c_format, g->ldc, row, col) + gate[n] * acc;
        dd_ref_store(g->c, g->c_format, g->ldc, row, col, acc);
    }
    dd_ref_finish_row(g->c, g->c_format, g->ldc, row, dd_result_width(j->n, g->w->n_unit, j->c_unit));
}

dd_status dd_ref_gemm(const dd_exec *exec, const dd_gemm_args *args)
{
    if (!dd_exec_ok(exec) || args == NULL || !dd_ref_packed_ok(args->w)) return DD_ERR_ARG;
    if (args->a == NULL || args->c == NULL || args->m < 0) return DD_ERR_ARG;
    if ((unsigned)args->epilogue > DD_EPI_RESIDUAL) return DD_ERR_ARG;
    job j = {.a = args, .step = *exec->step};
    j.n_list = dd_slices_at(args->n, j.step);
    j.k_list = dd_slices_at(args->k, j.step);
    if (!dd_slices_ok(j.n_list, args->w->n, args->w->n_unit)) return DD_ERR_ARG;
    if (!dd_slices_ok(j.k_list, args->w->k, DD_CHUNK)) return DD_ERR_ARG;
    j.n = dd_slices_width(j.n_list, args->w->n);
    j.k = dd_slices_width(j.k_list, args->w->k);
    j.c_unit = args->c_unit ? args->c_unit : args->w->n_unit;
    const int64_t width = dd_result_width(j.n, args->w->n_unit, j.c_unit);
    if (width < 0 || !dd_format_ok(args->a_format, args->lda, j.k) || !dd_format_ok(args->c_format, args->ldc, width))
        return DD_ERR_ARG;
    if (dd_format_dtype(args->a_format) != args->w->as) return DD_ERR_ARG;
    if (args->epilogue == DD_EPI_RESIDUAL && args->c_format != DD_FMT_F32) return DD_ERR_ARG;
    const int64_t m = dd_row_count(&args->rows, args->m);
    if (m < 0) return DD_ERR_ARG;
    if (args->epilogue == DD_EPI_RESIDUAL) {
        if (!dd_cond_table_ok(&args->gate) || args->s <= 0 || !dd_row_list_ok(&args->rows, m, args->m))
            return DD_ERR_ARG;
    }
    if (exec->parallel_for != NULL) {
        exec->parallel_for(exec->pool, (int)m, gemm_row, &j);
    } else {
        for (int i = 0; i < (int)m; i++) gemm_row(&j, i, 0);
    }
    return DD_OK;
}
