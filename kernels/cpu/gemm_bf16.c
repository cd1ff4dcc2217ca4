/* SPDX-License-Identifier: MIT
 * Front of the GEMM with bf16 inputs, shared by AVX512-BF16 and AMX: checks, and what a job of it needs. Each divides
 * the work and multiplies in its own way. */
#include "kernels/cpu/panel_bf16.h"
#include "kernels/cpu/work.h"

dd_status dd_cpu_gemm_bf16_open(const dd_exec *exec, const dd_gemm_args *args, dd_gemm_job *j)
{
    if (!dd_cpu_exec_ok(exec, DD_SCRATCH_MIN) || args == NULL || !dd_cpu_packed_bf16_ok(args->w)) return DD_ERR_ARG;
    if (args->a == NULL || args->c == NULL || args->m < 0) return DD_ERR_ARG;
    if ((unsigned)args->epilogue > DD_EPI_RESIDUAL || args->a_format != DD_FMT_BF16_BLOCKS) return DD_ERR_ARG;
    const dd_packed *w = args->w;
    *j = (dd_gemm_job){.g = args, .scratch = exec->scratch, .step = *exec->step};
    j->n_list = dd_slices_at(args->n, j->step);
    j->k_list = dd_slices_at(args->k, j->step);
    if (!dd_slices_ok(j->n_list, w->n, w->unit) || !dd_slices_ok(j->k_list, w->k, DD_CHUNK)) return DD_ERR_ARG;
    const int64_t k = dd_slices_width(j->k_list, w->k);
    j->c_unit = args->c_unit ? args->c_unit : w->unit;
    j->width = dd_result_width(dd_slices_width(j->n_list, w->n), w->unit, j->c_unit);
    if (j->width < 0 || !dd_cpu_format_ok(args->a_format, args->lda, k)) return DD_ERR_ARG;
    if (!dd_cpu_format_ok(args->c_format, args->ldc, j->width)) return DD_ERR_ARG;
    j->k_chunks = (int)((k + DD_CHUNK - 1) / DD_CHUNK); /* behind k both a and w are zero */
    j->m = dd_row_count(&args->rows, args->m);
    if (j->m < 0) return DD_ERR_ARG;
    if (args->epilogue == DD_EPI_RESIDUAL) {
        if (args->c_format != DD_FMT_F32 || !dd_cond_table_ok(&args->gate) || args->s <= 0) return DD_ERR_ARG;
        if (!dd_row_list_ok(&args->rows, j->m, args->m)) return DD_ERR_ARG;
    }
    j->panels = dd_panels_active(w, j->n_list);
    return DD_OK;
}
