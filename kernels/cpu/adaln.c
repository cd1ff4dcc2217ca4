/* SPDX-License-Identifier: MIT
 * Front of LayerNorm + modulate. The work itself is adaln_tmpl.h or adaln_bf16_tmpl.h. */
#include "kernels/cpu/work.h"

dd_status dd_cpu_adaln_run(const dd_exec *exec, const dd_adaln_args *args, dd_format format, dd_task *task)
{
    if (!dd_cpu_exec_ok(exec, 0) || args == NULL || args->x == NULL || args->y == NULL) return DD_ERR_ARG;
    if (args->r <= 0 || args->s <= 0 || args->d <= 0 || !dd_cond_table_ok(&args->cond)) return DD_ERR_ARG;
    if (!(args->eps > 0) || args->y_format != format || !dd_format_ok(args->y_format, args->ldy, args->d))
        return DD_ERR_ARG;
    const int64_t all = (int64_t)args->r * args->s;
    dd_adaln_job j = {.g = args, .n = dd_row_count(&args->rows, all), .step = *exec->step, .rows = 16};
    if (j.n < 0 || !dd_row_list_ok(&args->rows, j.n, all)) return DD_ERR_ARG;
    return dd_cpu_for(exec, (j.n + j.rows - 1) / j.rows, task, &j);
}
