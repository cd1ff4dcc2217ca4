/* SPDX-License-Identifier: MIT
 * Front of the GEMM on tiles: checks, and the shares of the threads. The work itself is amx_gemm_tmpl.h. */
#include "kernels/cpu/amx_gemm.h"

/* One share per thread: the panel that a share needs next is then known and can be fetched ahead. Sharing the panels
 * halves the weights that each of two cores reads, sharing the rows leaves the activations where they are; the first is
 * better for few rows, and for outputs that another op reads row by row after a barrier anyway. Equal work comes before
 * either. The result never depends on this. */
static void share_out(dd_amx_gemm_job *j, int threads)
{
    const bool by_rows = j->g->epilogue == DD_EPI_RESIDUAL && j->m > DD_FEW_ROWS;
    int64_t least = INT64_MAX;
    for (int other = 1; other <= threads; other++) {
        const int most = threads / other;
        int rows = by_rows ? most : other, panels = by_rows ? other : most;
        if (rows > j->blocks) rows = j->blocks;
        if (panels > j->panels) panels = j->panels;
        const int64_t work = (int64_t)((j->blocks + rows - 1) / rows) * ((j->panels + panels - 1) / panels);
        if (work >= least) continue;
        least = work;
        j->row_parts = rows;
        j->panel_parts = panels;
    }
}

dd_status dd_cpu_amx_gemm_run(const dd_exec *exec, const dd_gemm_args *args, dd_task *task)
{
    if (!dd_cpu_exec_ok(exec, sizeof(dd_amx_gemm_scratch)) || args == NULL) return DD_ERR_ARG;
    if (!dd_cpu_packed_bf16_ok(args->w) || args->a == NULL || args->c == NULL || args->m < 0) return DD_ERR_ARG;
    if ((unsigned)args->epilogue > DD_EPI_RESIDUAL) return DD_ERR_ARG;
    const dd_packed *w = args->w;
    dd_amx_gemm_job j = {.g = args, .scratch = exec->scratch, .step = *exec->step};
    j.n_list = dd_slices_at(args->n, j.step);
    j.k_list = dd_slices_at(args->k, j.step);
    if (!dd_slices_ok(j.n_list, w->n, w->unit) || !dd_slices_ok(j.k_list, w->k, DD_CHUNK)) return DD_ERR_ARG;
    const int64_t k = dd_slices_width(j.k_list, w->k);
    j.c_unit = args->c_unit ? args->c_unit : w->unit;
    j.width = dd_result_width(dd_slices_width(j.n_list, w->n), w->unit, j.c_unit);
    if (j.width < 0 || args->a_format != DD_FMT_BF16_BLOCKS) return DD_ERR_ARG;
    if (!dd_format_ok(args->a_format, args->lda, k) || !dd_format_ok(args->c_format, args->ldc, j.width))
        return DD_ERR_ARG;
    j.steps = (int)((k + DD_STEP - 1) / DD_STEP);
    j.chunks = (int)(k / DD_CHUNK);
    j.m = dd_row_count(&args->rows, args->m);
    if (j.m < 0) return DD_ERR_ARG;
    if (args->epilogue == DD_EPI_RESIDUAL) {
        if (args->c_format != DD_FMT_F32 || !dd_cond_table_ok(&args->gate) || args->s <= 0) return DD_ERR_ARG;
        if (!dd_row_list_ok(&args->rows, j.m, args->m)) return DD_ERR_ARG;
    }
    j.panels = dd_panels_active(w, j.n_list);
    if (j.m == 0 || j.panels == 0) return DD_OK;
    j.blocks = (int)((j.m + DD_BLOCK - 1) / DD_BLOCK);
    share_out(&j, dd_cpu_threads(exec));
    return dd_cpu_for(exec, (int64_t)j.row_parts * j.panel_parts, task, &j);
}
