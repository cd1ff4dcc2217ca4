/* SPDX-License-Identifier: MIT
 * The convolution with bf16 inputs in vectors: its kernel, items and stores; the kernel on tiles shares the last two.
 * Formula: dst[pixel, n] = sum over taps and channels of src[pixel shifted by the tap, c] w[n, (tap, c)] + bias + residual.
 * Layout: pixels in bf16, rows of a GEMM given by pointers as in conv2d_tmpl.h, pairs broadcast from memory; w in panels
 * of 32 columns (panel_bf16.h), K = taps x channels; dst float32 or bf16.
 * Thread mapping: items of (panel, 64 pixels), blocks of 512 pixels outside panels.
 * Budget: 8 rows x 32 columns = 16 accumulators + 2 of w + 1; scratch 64 x 32 accumulators; K in slabs of whole taps, or of 1024 channels of one, up to
 * 4608 (288 KiB of a panel, L2). Preconditions: checked in conv2d.c.
 * Precision: per element one float32 accumulator, taps, then pairs of channels ascending, within a pair the odd one first;
 * two roundings a pair; bias, then residual in float32, one rounding to bf16. */
#ifndef DD_KERNELS_CPU_CONV2D_BF16_ROWS_H
#define DD_KERNELS_CPU_CONV2D_BF16_ROWS_H

#include "kernels/cpu/bf16_insn.h"
#include "kernels/cpu/panel_bf16.h"
#include "kernels/cpu/picture.h"

#define CONV_BF16_SLAB 4608
#define CONV_BF16_ROWS 8

typedef struct conv_bf16_run {
    const void *row[CONV_BF16_ROWS];
    int64_t n; /* channels */
} conv_bf16_run;

typedef struct conv_bf16_tile {
    const conv_bf16_run *runs;
    int n_runs;
    const uint16_t *w; /* panel, where the first run begins */
    float *acc;        /* [rows][32] */
    bool add;          /* continue the sums that are in acc */
    const char *ahead; /* memory to be used next, fetched into the L2 cache meanwhile */
    int ahead_lines;   /* of 64 bytes, for each 8 of K */
} conv_bf16_tile;

DD_INLINE vbf conv_bf16_pair(const uint16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return _mm512_set1_epi32(pair);
}

DD_INLINE void micro_conv_bf16(const conv_bf16_tile *t, const int mr, const int nv)
{
    vf c[CONV_BF16_ROWS][2];
    DD_UNROLL(8)
    for (int r = 0; r < mr; r++) {
        DD_UNROLL(2)
        for (int v = 0; v < nv; v++) c[r][v] = t->add ? vload(t->acc + r * DD_PANEL_BF16 + v * DD_VL) : vsplat(0);
    }
    const uint16_t *w = t->w;
    const char *ahead = t->ahead;
    for (const conv_bf16_run *run = t->runs, *end = run + t->n_runs; run < end; run++) {
        const uint16_t *row[CONV_BF16_ROWS];
        DD_UNROLL(8)
        for (int r = 0; r < mr; r++) row[r] = run->row[r];
        for (int64_t k = 0; k < run->n; k += DD_CHUNK) {
            for (int l = 0; l < t->ahead_lines; l++) __builtin_prefetch(ahead + l * 64, 0, 2);
            ahead += DD_PANEL_BF16_CHUNK * (int64_t)sizeof *w;
            DD_UNROLL(4)
            for (int u = 0; u < DD_CHUNK; u += 2, w += 2 * DD_PANEL_BF16) {
                vbf b[2];
                DD_UNROLL(2)
                for (int v = 0; v < nv; v++) b[v] = _mm512_load_si512(w + v * DD_PANEL_BF16);
                DD_UNROLL(8)
                for (int r = 0; r < mr; r++) {
                    const vbf x = conv_bf16_pair(row[r] + k + u);
                    DD_UNROLL(2)
                    for (int v = 0; v < nv; v++) vdot_into(&c[r][v], x, b[v]);
                }
            }
        }
    }
    DD_UNROLL(8)
    for (int r = 0; r < mr; r++) {
        DD_UNROLL(2)
        for (int v = 0; v < nv; v++) vstore(t->acc + r * DD_PANEL_BF16 + v * DD_VL, c[r][v]);
    }
}

/* Out of line, one function per number of rows and of vectors. */
typedef void micro_conv_bf16_fn(const conv_bf16_tile *t);
#define DD_CONV_BF16(mr)                                                                    \
    static __attribute__((noinline)) void micro_conv_bf16_##mr##_1(const conv_bf16_tile *t) \
    {                                                                                       \
        micro_conv_bf16(t, mr, 1);                                                          \
    }                                                                                       \
    static __attribute__((noinline)) void micro_conv_bf16_##mr##_2(const conv_bf16_tile *t) \
    {                                                                                       \
        micro_conv_bf16(t, mr, 2);                                                          \
    }
DD_CONV_BF16(1)
DD_CONV_BF16(2)
DD_CONV_BF16(3)
DD_CONV_BF16(4)
DD_CONV_BF16(5)
DD_CONV_BF16(6)
DD_CONV_BF16(7)
DD_CONV_BF16(8)
static micro_conv_bf16_fn *const micro_conv_bf16_table[CONV_BF16_ROWS][2] = {
    {micro_conv_bf16_1_1, micro_conv_bf16_1_2}, {micro_conv_bf16_2_1, micro_conv_bf16_2_2},
    {micro_conv_bf16_3_1, micro_conv_bf16_3_2}, {micro_conv_bf16_4_1, micro_conv_bf16_4_2},
    {micro_conv_bf16_5_1, micro_conv_bf16_5_2}, {micro_conv_bf16_6_1, micro_conv_bf16_6_2},
    {micro_conv_bf16_7_1, micro_conv_bf16_7_2}, {micro_conv_bf16_8_1, micro_conv_bf16_8_2},
};

typedef struct conv_bf16_item {
    dd_panel_bf16 panel;
    const uint16_t *next; /* the panel of the item that this thread probably comes to after this one */
    int64_t row;
    int rows;
    dd_conv_pixel pixels[DD_ROWS];
} conv_bf16_item;

/* Sums of `rows` pixels from row `row` of the item on, finished. */
static void conv_bf16_store(const dd_conv_job *j, const conv_bf16_item *it, int row, int rows, const float *acc)
{
    const dd_conv2d_args *g = j->g;
    const dd_panel_bf16 *p = &it->panel;
    const __mmask32 live = ~bf16_from(p->valid);
    for (int r = 0; r < rows; r++, acc += DD_PANEL_BF16) {
        const int64_t at = (it->row + row + r) * g->n + p->col;
        vf x[2];
        for (int v = 0; v < 2; v++) {
            const __mmask16 here = (__mmask16)(live >> 16 * v);
            x[v] = vload(acc + 16 * v) + _mm512_maskz_loadu_ps(here, g->bias + p->col + 16 * v);
            if (g->residual) x[v] += _mm512_maskz_loadu_ps(here, g->residual + at + 16 * v);
            if (g->dst_format == DD_FMT_F32) _mm512_mask_storeu_ps((float *)g->dst + at + 16 * v, here, x[v]);
        }
        if (g->dst_format == DD_FMT_BF16) _mm512_mask_storeu_epi16((uint16_t *)g->dst + at, live, vnarrow2(x[0], x[1]));
    }
}

/* Pieces first .. last-1 of K for all pixels of the item; k: where they begin in w. */
static void conv_bf16_slab(const dd_conv_job *j, const conv_bf16_item *it, int first, int last, int64_t k, float *acc)
{
    conv_bf16_run runs[DD_CONV_TAPS];
    dd_conv_piece pieces[DD_CONV_TAPS];
    const bool end = last == j->pieces;
    const int tiles = (it->rows + CONV_BF16_ROWS - 1) / CONV_BF16_ROWS, each = (8 + tiles - 1) / tiles;
    conv_bf16_tile t = {.runs = runs, .n_runs = last - first, .w = it->panel.w + k * DD_PANEL_BF16, .add = first > 0};
    int64_t length = 0;
    for (int i = 0; i < t.n_runs; i++) {
        pieces[i] = dd_conv_piece_at(j, first + i);
        length += runs[i].n = pieces[i].n;
    }
    const char *next = (const char *)(end ? it->next : t.w + length * DD_PANEL_BF16);
    for (int r = 0; r < it->rows; r += CONV_BF16_ROWS) {
        const int rows = it->rows - r < CONV_BF16_ROWS ? it->rows - r : CONV_BF16_ROWS;
        const int line = r / CONV_BF16_ROWS * each;
        for (int i = 0; i < t.n_runs; i++)
            dd_conv_rows(j, &pieces[i], it->pixels + r, rows, sizeof(uint16_t), runs[i].row);
        t.acc = acc + r * DD_PANEL_BF16;
        t.ahead = next + line * 64;
        t.ahead_lines = line >= 8 ? 0 : 8 - line < each ? 8 - line : each;
        micro_conv_bf16_table[rows - 1][it->panel.valid > DD_VL](&t);
        if (end) conv_bf16_store(j, it, r, rows, t.acc);
    }
}

static void conv_bf16_open(const dd_conv_job *j, int item, conv_bf16_item *it)
{
    int64_t block, later;
    const bool final = item + (int64_t)j->threads >= j->blocks * j->panels;
    it->panel = dd_panel_bf16_active(j->g->w, NULL, dd_conv_panel(j, item, &block));
    it->next = dd_panel_bf16_active(j->g->w, NULL, final ? 0 : dd_conv_panel(j, item + (int64_t)j->threads, &later)).w;
    it->row = block * j->mc;
    it->rows = j->m - it->row < j->mc ? (int)(j->m - it->row) : j->mc;
    dd_conv_pixels(j, it->row, it->rows, it->pixels);
}

static void conv2d_bf16_task(void *arg, int item, int thread)
{
    const dd_conv_job *j = arg;
    conv_bf16_item it;
    int64_t k = 0;
    conv_bf16_open(j, item, &it);
    for (int first = 0; first < j->pieces; first += j->slab) {
        const int last = first + j->slab < j->pieces ? first + j->slab : j->pieces;
        conv_bf16_slab(j, &it, first, last, k, j->scratch[thread]);
        for (int i = first; i < last; i++) k += dd_conv_piece_at(j, i).n;
    }
}

static dd_status conv2d_bf16_run(const dd_exec *exec, const dd_conv2d_args *args, dd_task *task)
{
    dd_conv_job j;
    if (args == NULL || !dd_cpu_packed_bf16_ok(args->w) || args->src_format != DD_FMT_BF16) return DD_ERR_ARG;
    if (!dd_cpu_pixels_ok(args->dst_format, true)) return DD_ERR_ARG;
    const dd_status st = dd_cpu_conv2d_open(exec, args, CONV_BF16_SLAB, &j);
    return st == DD_OK ? dd_cpu_for(exec, j.blocks * j.panels, task, &j) : st;
}

#endif
