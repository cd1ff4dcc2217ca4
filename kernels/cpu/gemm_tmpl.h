/* SPDX-License-Identifier: MIT
 * Formula: acc[i,n] = sum over active k of a[i,k] w[n,k]; then + bias, gelu(acc + bias), or c += gate (acc + bias).
 * Layout: a and c row-major, compact along sliced axes; w in panels of up to 48 columns.
 * Thread mapping: items of (panel, 64 rows), blocks of 512 rows outside panels, so that a panel comes from memory once
 * per block and is shared by the threads through the last-level cache.
 * Budget: scratch 64 x 48 accumulators (12 KiB, L1); K in chunks of 1152 (a panel chunk is 216 KiB, L2).
 * Preconditions: checked in gemm.c. Precision: float32, one accumulator per element, k ascending; bias added last. */
#include "kernels/cpu/work.h"

#define GEMM_K_CHUNKS 144 /* of 8 */
#define GEMM_BLOCK_ROWS 512

typedef struct gemm_item {
    dd_panel panel;
    dd_panel next; /* the panel that comes after it, for prefetching */
    int64_t row, rows;
} gemm_item;

static gemm_item gemm_item_at(const dd_gemm_job *j, int item)
{
    const int64_t per = GEMM_BLOCK_ROWS / j->mc, block = item / (per * j->panels), rem = item - block * per * j->panels;
    const int64_t left = j->blocks - block * per, n = left < per ? left : per, i = rem / n;
    gemm_item it = {.row = (block * per + rem % n) * j->mc};
    it.panel = dd_panel_active(j->g->w, j->n_list, (int)i);
    it.next = dd_panel_active(j->g->w, j->n_list, (int)(i + 1 < j->panels ? i + 1 : i));
    it.rows = j->m - it.row < j->mc ? j->m - it.row : j->mc;
    return it;
}

/* Accumulates the whole K of an item, chunk by chunk; meanwhile each tile fetches its share of what comes next. */
static void gemm_sums(const dd_gemm_job *j, const gemm_item *it, float *acc)
{
    const dd_gemm_args *g = j->g;
    for (int first = 0; first == 0 || first < j->k_chunks; first += GEMM_K_CHUNKS) {
        const int left = j->k_chunks - first, n = left < GEMM_K_CHUNKS ? left : GEMM_K_CHUNKS;
        const bool last = left <= GEMM_K_CHUNKS;
        const int64_t ldw = it->panel.width, tiles = (it->rows + 7) / 8;
        tile t = {.a = (const float *)g->a + it->row * g->lda + first * DD_CHUNK,
                  .lda = g->lda,
                  .w = it->panel.w,
                  .ldw = ldw};
        t.chunks = j->k_list ? j->k_list + 1 + first : NULL;
        if (!t.chunks) t.w += first * (DD_CHUNK * ldw);
        t.n_chunks = n;
        t.tail = last ? j->k_tail : 0;
        t.acc = acc;
        t.ld_acc = DD_LD_ACC;
        t.add = first > 0;
        const float *ahead = last ? it->next.w : t.w + n * (DD_CHUNK * ldw);
        const int64_t lines = (ldw * DD_CHUNK / 16 + tiles - 1) / tiles; /* per chunk of K and tile */
        for (int64_t r = 0; r < it->rows; r += 8) {
            t.ahead = j->k_list || tiles < 4 ? NULL : (const char *)ahead + r / 8 * n * lines * 64;
            t.ahead_lines = (int)lines;
            micro_rows(&t, it->rows - r < 8 ? (int)(it->rows - r) : 8);
            t.a += 8 * t.lda;
            t.acc += 8 * DD_LD_ACC;
        }
    }
}

/* A vector from an axis of which n > 0 floats are left. */
DD_INLINE vf gemm_part(const float *p, int n) { return n >= DD_VL ? vload(p) : vload_part(p, n); }

DD_INLINE void gemm_store(const dd_gemm_job *j, const gemm_item *it, const float *acc, const dd_epilogue epilogue)
{
    const dd_gemm_args *g = j->g;
    const int valid = it->panel.valid;
    float bias[DD_PANEL] = {0};
    if (g->bias) memcpy(bias, g->bias + it->panel.col, (size_t)valid * sizeof *bias);
    for (int64_t r = 0; r < it->rows; r++, acc += DD_LD_ACC) {
        int64_t row = it->row + r;
        const float *gate = NULL;
        if (epilogue == DD_EPI_RESIDUAL) {
            row = dd_row_at(&g->rows, row);
            gate = dd_cond_at(&g->gate, j->step, row / g->s) + g->gate_off + it->panel.col;
        }
        float *c = (float *)g->c + row * g->ldc + it->panel.slot * j->c_unit + it->panel.in_unit;
        for (int v = 0; v < valid; v += DD_VL) {
            vf x = vload(acc + v) + vload(bias + v);
            if (epilogue == DD_EPI_GELU) x = vgelu(x);
            if (epilogue == DD_EPI_RESIDUAL) x = vfma(gemm_part(gate + v, valid - v), x, gemm_part(c + v, valid - v));
            if (valid - v >= DD_VL) vstore(c + v, x);
            else vstore_part(c + v, x, valid - v);
        }
    }
}

static void gemm_task(void *arg, int item, int thread)
{
    const dd_gemm_job *j = arg;
    float *acc = j->scratch[thread];
    const gemm_item it = gemm_item_at(j, item);
    gemm_sums(j, &it, acc);
    switch (j->g->epilogue) {
    case DD_EPI_BIAS: gemm_store(j, &it, acc, DD_EPI_BIAS); break;
    case DD_EPI_GELU: gemm_store(j, &it, acc, DD_EPI_GELU); break;
    case DD_EPI_RESIDUAL: gemm_store(j, &it, acc, DD_EPI_RESIDUAL); break;
    }
}

static dd_status gemm(const dd_exec *exec, const dd_gemm_args *args) { return dd_cpu_gemm_run(exec, args, gemm_task); }
