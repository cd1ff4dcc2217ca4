/* SPDX-License-Identifier: MIT
 * Formula: acc[i,n] = sum over active k of a[i,k] w[n,k]; then + bias, gelu(acc + bias), or c += gate (acc + bias).
 * Layout: a and c row-major, compact along sliced axes; w in panels of up to 48 columns.
 * Thread mapping: items of (panel or pair of panels, 64 rows), blocks of 512 rows outside panels, so that a panel comes
 * from memory once per block and is shared by the threads through the last-level cache.
 * Budget: scratch 64 x 48 accumulators (12 KiB, L1); K in slabs of up to 1152 (216 KiB of a panel, L2).
 * Preconditions: checked in gemm.c. Precision: float32, one accumulator per element, k ascending; bias added last. */
#include "kernels/cpu/work.h"

#define GEMM_K_CHUNKS 144 /* of 8 */
#define GEMM_BLOCK_ROWS 512

typedef struct gemm_item {
    dd_panel panel;
    dd_panel first; /* of a pair; `panel` is the second */
    bool pair;
    dd_panel next;   /* another panel, probably the first that this thread comes to after this one, */
    int part, parts; /* and which part of it to fetch meanwhile; 0 parts: nothing */
    int64_t row, rows;
    float bias[DD_PANEL + DD_VL]; /* of both */
} gemm_item;

/* The panel of an item, and which of the n items of that panel and block it is. */
typedef struct gemm_place {
    int panel;
    int64_t block, at, n;
} gemm_place;

static gemm_place gemm_place_of(const dd_gemm_job *j, int64_t item)
{
    const int64_t per = GEMM_BLOCK_ROWS / j->mc, block = item / (per * j->panels), rem = item - block * per * j->panels;
    const int64_t left = j->blocks - block * per, n = left < per ? left : per;
    return (gemm_place){.panel = (int)(rem / n), .block = block, .at = rem % n, .n = n};
}

/* With AVX-512 a panel of 24 columns leaves half a vector idle, so those of two neighbouring active units are one item,
 * the one of the second. gemm_left: this is the first of a pair. */
static bool gemm_pairs(const dd_panel *p) { return DD_HALF && p->width == 24; }

static bool gemm_left(const dd_gemm_job *j, const dd_panel *p)
{
    return gemm_pairs(p) && p->slot % 2 == 0 && (p->slot + 1) * j->g->w->unit_panels < j->panels;
}

/* Items go to the threads in turn. With fewer threads than items of a panel each thread sees n / threads of these, and
 * fetches the next panel in as many parts; a panel of several slabs would not stay in the cache so long. */
static gemm_item gemm_item_at(const dd_gemm_job *j, int item)
{
    const gemm_place p = gemm_place_of(j, item);
    const bool shared = p.n > j->threads;
    const int64_t following = shared ? item - p.at + p.n : item + (int64_t)j->threads;
    gemm_item it = {.row = (p.block * (GEMM_BLOCK_ROWS / j->mc) + p.at) * j->mc};
    it.panel = it.next = dd_panel_active(j->g->w, j->n_list, p.panel);
    it.rows = j->m - it.row < j->mc ? j->m - it.row : j->mc;
    it.pair = gemm_pairs(&it.panel) && it.panel.slot % 2 == 1;
    if (it.pair) it.first = dd_panel_active(j->g->w, j->n_list, p.panel - j->g->w->unit_panels);
    if (gemm_left(j, &it.panel)) it.rows = 0;
    if (following >= j->blocks * j->panels) return it;
    const int next = gemm_place_of(j, following).panel;
    it.next = dd_panel_active(j->g->w, j->n_list, next);
    if (gemm_left(j, &it.next)) it.next = dd_panel_active(j->g->w, j->n_list, next + 1);
    const bool parts = shared && j->k_chunks <= GEMM_K_CHUNKS;
    it.parts = parts ? (int)(p.n / j->threads) : 1;
    it.part = parts ? (int)(p.at / j->threads) : 0;
    return it;
}

/* Cuts the slab of n chunks of K from `first` on into runs; what is fetched lies behind it or, after the last slab, at
 * the beginning. */
static int gemm_runs(const dd_gemm_job *j, int first, int n, micro_run *runs)
{
    const int32_t *list = j->k_list ? j->k_list + 1 : NULL;
    const int next = first + n == j->k_chunks ? 0 : first + n;
    int n_runs = 0;
    if (!list) {
        runs[0] = (micro_run){.n = n, .chunk = first, .ahead = next};
        return 1;
    }
    for (int i = 0; i < n; i++) {
        const int32_t chunk = list[first + i], ahead = list[next + i < j->k_chunks ? next + i : next];
        micro_run *r = runs + n_runs - 1;
        if (i > 0 && chunk == r->chunk + r->n && ahead == r->ahead + r->n) r->n++;
        else runs[n_runs++] = (micro_run){.n = 1, .chunk = chunk, .ahead = ahead};
    }
    return n_runs;
}

/* A vector from an axis of which n > 0 floats are left. */
DD_INLINE vf gemm_part(const float *p, int n) { return n >= DD_VL ? vload(p) : vload_part(p, n); }

/* Sums of up to 8 rows, ready for the epilogue. */
typedef struct gemm_tile {
    const float *acc, *bias;
    const dd_panel *panel;
    int64_t row; /* of the item */
    int rows;
} gemm_tile;

DD_INLINE void gemm_store(const dd_gemm_job *j, const gemm_item *it, const gemm_tile *t, const dd_epilogue epilogue)
{
    const dd_gemm_args *g = j->g;
    const float *acc = t->acc;
    const dd_panel *p = t->panel;
    const int valid = p->valid;
    for (int r = 0; r < t->rows; r++, acc += DD_LD_ACC) {
        int64_t row = it->row + t->row + r;
        const float *gate = NULL;
        if (epilogue == DD_EPI_RESIDUAL) {
            row = dd_row_at(&g->rows, row);
            gate = dd_cond_at(&g->gate, j->step, row / g->s) + g->gate_off + p->col;
        }
        float *c = (float *)g->c + row * g->ldc + p->slot * j->c_unit + p->in_unit;
        for (int v = 0; v < valid; v += DD_VL) {
            vf x = vload(acc + v) + vload(t->bias + v);
            if (epilogue == DD_EPI_GELU) x = vgelu(x);
            if (epilogue == DD_EPI_RESIDUAL) x = vfma(gemm_part(gate + v, valid - v), x, gemm_part(c + v, valid - v));
            if (valid - v >= DD_VL) vstore(c + v, x);
            else vstore_part(c + v, x, valid - v);
        }
    }
}

static void gemm_finish(const dd_gemm_job *j, const gemm_item *it, const gemm_tile *t)
{
    switch (j->g->epilogue) {
    case DD_EPI_BIAS: gemm_store(j, it, t, DD_EPI_BIAS); break;
    case DD_EPI_GELU: gemm_store(j, it, t, DD_EPI_GELU); break;
    case DD_EPI_RESIDUAL: gemm_store(j, it, t, DD_EPI_RESIDUAL); break;
    }
}

/* One slab of K, chunks first .. first + n. Each tile meanwhile fetches its share of what comes next: of the next slab,
 * or of this item's part of the next panel. */
static void gemm_slab(const dd_gemm_job *j, const gemm_item *it, int first, int n, float *acc)
{
    const dd_gemm_args *g = j->g;
    micro_run runs[GEMM_K_CHUNKS];
    const bool last = first + n == j->k_chunks;
    const dd_panel *to = last ? &it->next : &it->panel;
    const int64_t tiles = (it->rows + 7) / 8, lines = to->width / 2, shares = tiles * (last ? it->parts : 1);
    const int64_t each = shares ? (lines + shares - 1) / shares : 0;
    int64_t line = last ? it->part * tiles * each : 0;
    tile t = {.a = (const float *)g->a + it->row * g->lda + first * DD_CHUNK, .lda = g->lda, .w = it->panel.w};
    t.ldw = it->panel.width;
    if (it->pair) {
        t.w = it->first.w;
        t.other = it->panel.w - it->first.w;
    }
    t.n_chunks = n;
    t.tail = last ? j->k_tail : 0;
    t.runs = runs;
    t.n_runs = gemm_runs(j, first, n, runs);
    t.acc = acc;
    t.ld_acc = DD_LD_ACC;
    t.add = first > 0;
    t.ahead_bytes = to->width * (int64_t)(DD_CHUNK * sizeof(float));
    for (int64_t r = 0; r < it->rows; r += 8, line += each) {
        t.ahead = (const char *)to->w + line * 64;
        t.ahead_lines = (int)(lines - line < each ? lines - line : each);
        const int rows = it->rows - r < 8 ? (int)(it->rows - r) : 8;
        micro_rows(&t, rows);
        gemm_tile sums = {.acc = t.acc, .bias = it->bias, .panel = &it->panel, .row = r, .rows = rows};
        if (last && it->pair) {
            sums.panel = &it->first;
            gemm_finish(j, it, &sums);
            sums = (gemm_tile){.acc = t.acc + 24, .bias = it->bias + 24, .panel = &it->panel, .row = r, .rows = rows};
        }
        if (last) gemm_finish(j, it, &sums);
        t.a += 8 * t.lda;
        t.acc += 8 * DD_LD_ACC;
    }
}

/* Accumulates the whole K of an item in slabs of about equal length. */
static void gemm_sums(const dd_gemm_job *j, const gemm_item *it, float *acc)
{
    const int slabs = (j->k_chunks + GEMM_K_CHUNKS - 1) / GEMM_K_CHUNKS;
    const int each = slabs ? (j->k_chunks + slabs - 1) / slabs : 0;
    for (int first = 0; first == 0 || first < j->k_chunks; first += each) {
        gemm_slab(j, it, first, j->k_chunks - first < each ? j->k_chunks - first : each, acc);
        if (each == 0) break;
    }
}

static void gemm_task(void *arg, int item, int thread)
{
    const dd_gemm_job *j = arg;
    gemm_item it = gemm_item_at(j, item);
    if (it.rows == 0) return;
    const float *bias = j->g->bias;
    if (bias && it.pair) memcpy(it.bias, bias + it.first.col, (size_t)it.first.valid * sizeof *bias);
    if (bias) memcpy(it.bias + (it.pair ? 24 : 0), bias + it.panel.col, (size_t)it.panel.valid * sizeof *bias);
    gemm_sums(j, &it, j->scratch[thread]);
}

static dd_status gemm(const dd_exec *exec, const dd_gemm_args *args) { return dd_cpu_gemm_run(exec, args, gemm_task); }
