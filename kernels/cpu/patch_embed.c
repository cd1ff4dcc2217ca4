/* SPDX-License-Identifier: MIT
 * Front of the patch embedding. The work itself is patch_embed_tmpl.h. */
#include "kernels/cpu/work.h"

dd_status dd_cpu_patch_embed_run(const dd_exec *exec, const dd_patch_embed_args *args, dd_task *task)
{
    if (!dd_cpu_exec_ok(exec, DD_SCRATCH_MIN) || args == NULL || !dd_cpu_packed_ok(args->w)) return DD_ERR_ARG;
    if (args->latents == NULL || args->bias == NULL || args->pos == NULL || args->x == NULL) return DD_ERR_ARG;
    if (args->b <= 0 || args->r <= 0 || args->c <= 0 || args->p <= 0 || args->size <= 0 || args->size % args->p != 0)
        return DD_ERR_ARG;
    const int64_t k = (int64_t)args->c * args->p * args->p, grid = args->size / args->p;
    if (args->w->n != args->d || args->w->k != k || args->w->unit != args->w->n) return DD_ERR_ARG;
    if (k > DD_PATCH_FLOATS) return DD_ERR_UNSUPPORTED;
    const int64_t images = args->r < args->b ? args->r : args->b;
    dd_patch_job j = {.g = args, .scratch = exec->scratch, .n = images * grid * grid, .grid = grid};
    j.rows = dd_cpu_item_rows(j.n, 1, dd_cpu_threads(exec));
    if (j.rows > DD_PATCH_FLOATS / k) j.rows = (int)(DD_PATCH_FLOATS / k);
    return dd_cpu_for(exec, (j.n + j.rows - 1) / j.rows, task, &j);
}
