/* SPDX-License-Identifier: MIT
 * Front of the token router, and the ordered list: decisions are made in parallel into the mask, then one pass in order
 * numbers them, so that the list does not depend on the threads. The scores are route_tmpl.h. */
#include "kernels/cpu/work.h"

static void list_kept(const dd_route_args *a, int64_t n, int32_t step)
{
    int32_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        a->idx[kept] = (int32_t)i; /* overwritten by the next one if not kept; kept <= i */
        kept += a->mask[i];
    }
    if (a->hits) {
        for (int64_t i = 0; i < n; i++) a->hits[i] += a->mask[i];
    }
    *a->count = kept;
    if (a->kept) a->kept[step] = kept;
}

dd_status dd_cpu_route_run(const dd_exec *exec, const dd_route_args *args, dd_task *task)
{
    if (args == NULL || args->idx == NULL || args->count == NULL || args->mask == NULL) return DD_ERR_ARG;
    if (!dd_cpu_exec_ok(exec, args->forced ? 0 : DD_SCRATCH_MIN)) return DD_ERR_ARG;
    if (args->r <= 0 || args->s <= 0 || (int64_t)args->r * args->s > INT32_MAX) return DD_ERR_ARG;
    dd_route_job j = {.g = args, .scratch = exec->scratch, .n = (int64_t)args->r * args->s};
    if (args->forced) {
        for (int64_t i = 0; i < j.n; i++) args->mask[i] = args->forced[i] != 0;
    } else {
        if (!dd_cpu_packed_ok(args->w1) || args->w1->n != args->j || args->w1->k != args->d) return DD_ERR_ARG;
        if (args->w1->unit != args->w1->n) return DD_ERR_ARG;
        if (args->x == NULL || args->b1 == NULL || args->w2 == NULL || args->b2 == NULL) return DD_ERR_ARG;
        j.rows = dd_cpu_item_rows(j.n, 1, dd_cpu_threads(exec));
        const dd_status st = dd_cpu_for(exec, (j.n + j.rows - 1) / j.rows, task, &j);
        if (st != DD_OK) return st;
    }
    list_kept(args, j.n, *exec->step);
    return DD_OK;
}
