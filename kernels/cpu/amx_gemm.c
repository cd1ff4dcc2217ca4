/* SPDX-License-Identifier: MIT
 * Front of the GEMM on tiles: the shares of the threads. The work itself is amx_gemm_tmpl.h. */
#include "kernels/cpu/amx_gemm.h"

/* One share per thread: the panel that a share needs next is then known and can be fetched ahead. Sharing the panels
 * halves the weights that each of two cores reads, sharing the rows leaves the activations where they are; the first is
 * better for few rows, and for outputs that another op reads row by row after a barrier anyway. Equal work comes before
 * either. The result never depends on this. */
static void share_out(dd_amx_gemm_job *j, int threads)
{
    const int64_t blocks = j->base.blocks, panels = j->base.panels;
    const bool by_rows = j->base.g->epilogue == DD_EPI_RESIDUAL && j->base.m > DD_FEW_ROWS;
    int64_t least = INT64_MAX;
    for (int other = 1; other <= threads; other++) {
        const int most = threads / other;
        int64_t r = by_rows ? most : other, p = by_rows ? other : most;
        if (r > blocks) r = blocks;
        if (p > panels) p = panels;
        const int64_t work = (blocks + r - 1) / r * ((panels + p - 1) / p);
        if (work >= least) continue;
        least = work;
        j->row_parts = (int)r;
        j->panel_parts = (int)p;
    }
}

dd_status dd_cpu_amx_gemm_run(const dd_exec *exec, const dd_gemm_args *args, dd_task *task)
{
    dd_amx_gemm_job j;
    const dd_status st = dd_cpu_gemm_bf16_open(exec, args, &j.base);
    if (st != DD_OK || j.base.m == 0 || j.base.panels == 0) return st;
    if (!dd_cpu_exec_ok(exec, sizeof(dd_amx_gemm_scratch))) return DD_ERR_ARG;
    j.base.mc = DD_BLOCK;
    j.base.blocks = (j.base.m + DD_BLOCK - 1) / DD_BLOCK;
    share_out(&j, dd_cpu_threads(exec));
    return dd_cpu_for(exec, (int64_t)j.row_parts * j.panel_parts, task, &j);
}
