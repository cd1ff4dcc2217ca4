/* SPDX-License-Identifier: MIT
 * Front of the weighted sum of residual streams. The work itself is depth_average_tmpl.h or depth_average_bf16_tmpl.h. */
#include "kernels/cpu/work.h"

dd_status dd_cpu_depth_average_run(const dd_exec *exec, const dd_depth_average_args *args, dd_format format,
                                   dd_task *task)
{
    if (!dd_cpu_exec_ok(exec, 0) || !dd_depth_average_ok(args)) return DD_ERR_ARG;
    const dd_adaln_args *norm = &args->norm;
    if (norm->y != NULL && (norm->y_format != format || !dd_format_ok(format, norm->ldy, args->d))) return DD_ERR_ARG;
    dd_depth_average_job j = {.g = args, .n = (int64_t)args->r * args->s, .step = *exec->step, .rows = 16};
    return dd_cpu_for(exec, (j.n + j.rows - 1) / j.rows, task, &j);
}
