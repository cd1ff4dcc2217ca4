/* SPDX-License-Identifier: MIT
 * Front of the sum of stored branches. The work itself is gated_add_tmpl.h. */
#include "kernels/cpu/work.h"

/* Of x, for an item: with a gate and a piece of a branch it fits in 32 KiB. */
#define ITEM_BYTES 20480

dd_status dd_cpu_gated_add_run(const dd_exec *exec, const dd_gated_add_args *args, dd_task *task)
{
    if (!dd_cpu_exec_ok(exec, 0) || !dd_gated_add_ok(args)) return DD_ERR_ARG;
    const int64_t fit = ITEM_BYTES / ((int64_t)sizeof(float) * args->d);
    dd_gated_add_job j = {.g = args, .step = *exec->step, .rows = fit < 1 ? 1 : (int)fit};
    const int64_t all = (int64_t)args->r * args->s;
    return dd_cpu_for(exec, (all + j.rows - 1) / j.rows, task, &j);
}
