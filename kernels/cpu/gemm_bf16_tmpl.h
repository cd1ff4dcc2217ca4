/* SPDX-License-Identifier: MIT
 * Formula: acc[i,n] = sum over active k of a[i,k] w[n,k]; then + bias, gelu(acc + bias), or c += gate (acc + bias).
 * Layout: a in blocks of bf16, c in any format, compact along sliced axes; w in panels of 32 columns (panel_bf16.h).
 * Thread mapping: items of (panel, 64 rows), blocks of 512 rows outside panels, so that a panel comes from memory once
 * per block and is shared by the threads through the last-level cache.
 * Budget: scratch 8 x 32 accumulators (1 KiB); a panel over the whole of K (72 KiB at 1152, 288 KiB at 4608) stays in
 * the L2 cache. Preconditions: checked in gemm_bf16.c.
 * Precision: see micro_bf16.h; bias, GELU and residual in float32, one rounding to bf16. */
#include "kernels/cpu/gemm_bf16_store.h"
#include "kernels/cpu/micro_bf16.h"

#define GEMM_BF16_BLOCK_ROWS 512

typedef struct gemm_bf16_item {
    dd_panel_bf16 panel;
    const uint16_t *next; /* the panel that comes after it, for prefetching */
    int64_t row, rows;
    bool last; /* of the active panels */
} gemm_bf16_item;

static gemm_bf16_item gemm_bf16_item_at(const dd_gemm_job *j, int item)
{
    const int64_t per = GEMM_BF16_BLOCK_ROWS / j->mc, block = item / (per * j->panels);
    const int64_t rem = item - block * per * j->panels, left = j->blocks - block * per, n = left < per ? left : per;
    const int i = (int)(rem / n);
    gemm_bf16_item it = {.row = (block * per + rem % n) * j->mc, .last = i == j->panels - 1};
    it.panel = dd_panel_bf16_active(j->g->w, j->n_list, i);
    it.next = dd_panel_bf16_active(j->g->w, j->n_list, it.last ? 0 : i + 1).w;
    it.rows = j->m - it.row < j->mc ? j->m - it.row : j->mc;
    return it;
}

static void gemm_bf16_task(void *arg, int item, int thread)
{
    const dd_gemm_job *j = arg;
    const dd_gemm_args *g = j->g;
    const gemm_bf16_item it = gemm_bf16_item_at(j, item);
    const int64_t tiles = (it.rows + DD_MR_BF16 - 1) / DD_MR_BF16, lines = (8 + tiles - 1) / tiles; /* 8 per chunk */
    tile_bf16 t = {.w = it.panel.w, .chunks = j->k_list ? j->k_list + 1 : NULL, .n_chunks = j->k_chunks};
    t.acc = j->scratch[thread];
    t.ahead_lines = (int)lines;
    gemm_bf16_store s = gemm_bf16_store_open(j, &it.panel, it.last);
    for (int64_t r = 0; r < it.rows; r += DD_MR_BF16) {
        const int n = it.rows - r < DD_MR_BF16 ? (int)(it.rows - r) : DD_MR_BF16;
        t.a = (const uint16_t *)g->a + dd_block_at(g->lda, it.row + r, 0);
        t.ahead = j->k_list || tiles < 4 ? NULL : (const char *)it.next + r / DD_MR_BF16 * t.n_chunks * lines * 64;
        micro_bf16_rows(&t, n, it.panel.valid);
        gemm_bf16_store_rows(&s, t.acc, it.row + r, n);
    }
}

static dd_status gemm_bf16(const dd_exec *exec, const dd_gemm_args *args)
{
    dd_gemm_job j;
    const dd_status st = dd_cpu_gemm_bf16_open(exec, args, &j);
    if (st != DD_OK || j.m == 0 || j.panels == 0) return st;
    j.mc = dd_cpu_item_rows(j.m, j.panels, dd_cpu_threads(exec));
    j.blocks = (j.m + j.mc - 1) / j.mc;
    return dd_cpu_for(exec, j.blocks * j.panels, gemm_bf16_task, &j);
}
