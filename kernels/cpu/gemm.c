/* SPDX-License-Identifier: MIT
 * Front of the GEMM: checks and the division into items. The work itself is gemm_tmpl.h. */
#include "kernels/cpu/work.h"

dd_status dd_cpu_gemm_run(const dd_exec *exec, const dd_gemm_args *args, dd_task *task)
{
    if (!dd_cpu_exec_ok(exec, DD_SCRATCH_MIN) || args == NULL || !dd_cpu_packed_ok(args->w)) return DD_ERR_ARG;
    if (args->a == NULL || args->c == NULL || args->m < 0) return DD_ERR_ARG;
    if ((unsigned)args->epilogue > DD_EPI_RESIDUAL) return DD_ERR_ARG;
    const dd_packed *w = args->w;
    dd_gemm_job j = {.g = args, .scratch = exec->scratch, .step = *exec->step};
    j.n_list = dd_slices_at(args->n, j.step);
    j.k_list = dd_slices_at(args->k, j.step);
    if (!dd_slices_ok(j.n_list, w->n, w->unit) || !dd_slices_ok(j.k_list, w->k, DD_CHUNK)) return DD_ERR_ARG;
    const int64_t k = dd_slices_width(j.k_list, w->k);
    j.c_unit = args->c_unit ? args->c_unit : w->unit;
    const int64_t width = dd_result_width(dd_slices_width(j.n_list, w->n), w->unit, j.c_unit);
    if (args->a_format != DD_FMT_F32 || args->c_format != DD_FMT_F32 || width < 0) return DD_ERR_ARG;
    if (args->lda < k || args->ldc < width) return DD_ERR_ARG;
    j.k_chunks = (int)(k / DD_CHUNK);
    j.k_tail = (int)(k % DD_CHUNK);
    j.m = dd_row_count(&args->rows, args->m);
    if (j.m < 0) return DD_ERR_ARG;
    if (args->epilogue == DD_EPI_RESIDUAL) {
        if (!dd_cond_table_ok(&args->gate) || args->s <= 0 || !dd_row_list_ok(&args->rows, j.m, args->m))
            return DD_ERR_ARG;
    }
    j.panels = dd_panels_active(w, j.n_list);
    if (j.m == 0 || j.panels == 0) return DD_OK;
    j.threads = dd_cpu_threads(exec);
    j.mc = dd_cpu_item_rows(j.m, j.panels, j.threads);
    j.blocks = (j.m + j.mc - 1) / j.mc;
    return dd_cpu_for(exec, j.blocks * j.panels, task, &j);
}
