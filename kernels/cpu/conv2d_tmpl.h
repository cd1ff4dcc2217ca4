/* SPDX-License-Identifier: MIT
 * Formula: dst[pixel, n] = sum over taps and channels of src[pixel shifted by the tap, c] w[n, (tap, c)] + bias + residual.
 * Layout: pixels with their channels side by side, so that a tap of a pixel is a run of channels in memory, or of zeros
 * outside of the picture: rows of a GEMM, given by pointers; nothing is gathered. w in panels of up to 48 columns, K = taps
 * x channels.
 * Thread mapping: items of (panel, 64 pixels), blocks of 512 pixels outside panels, as in gemm_tmpl.h.
 * Budget: scratch 64 x 48 accumulators (12 KiB, L1); K in slabs of whole taps, or of 1024 channels of one, up to 1536 (288 KiB of a panel, L2).
 * Preconditions: checked in conv2d.c. Precision: float32, one accumulator per element, taps then channels ascending; bias,
 * then residual added last. */
#include "kernels/cpu/micro_conv_tmpl.h"
#include "kernels/cpu/picture.h"

#define CONV_SLAB 1536

typedef struct conv_item {
    dd_panel panel, next; /* next: that of the item that this thread probably comes to after this one */
    int64_t row;
    int rows;
    dd_conv_pixel pixels[DD_ROWS];
} conv_item;

static void conv_item_open(const dd_conv_job *j, int item, conv_item *it)
{
    int64_t block, later;
    it->panel = dd_panel_active(j->g->w, NULL, dd_conv_panel(j, item, &block));
    const bool last = item + (int64_t)j->threads >= j->blocks * j->panels;
    const int next = last ? 0 : dd_conv_panel(j, item + (int64_t)j->threads, &later);
    it->next = dd_panel_active(j->g->w, NULL, next);
    it->row = block * j->mc;
    it->rows = j->m - it->row < j->mc ? (int)(j->m - it->row) : j->mc;
    dd_conv_pixels(j, it->row, it->rows, it->pixels);
}

/* Sums of `rows` pixels from row `row` of the item on, finished. */
static void conv_store(const dd_conv_job *j, const conv_item *it, int row, int rows, const float *acc)
{
    const dd_conv2d_args *g = j->g;
    const dd_panel *p = &it->panel;
    const float *bias = g->bias + p->col;
    for (int r = 0; r < rows; r++, acc += DD_LD_ACC) {
        const int64_t at = (it->row + row + r) * g->n + p->col;
        float *dst = (float *)g->dst + at;
        const float *old = g->residual ? g->residual + at : NULL;
        int v = 0;
        for (; v + DD_VL <= p->valid; v += DD_VL) {
            vf x = vload(acc + v) + vload(bias + v);
            if (old) x += vload(old + v);
            vstore(dst + v, x);
        }
        if (v == p->valid) continue;
        vf x = vload(acc + v) + vload_part(bias + v, p->valid - v);
        if (old) x += vload_part(old + v, p->valid - v);
        vstore_part(dst + v, x, p->valid - v);
    }
}

/* Pieces first .. last-1 of K for all pixels of the item, eight at a time; k: where they begin in w. Each tile meanwhile
 * fetches its share of the weights that come next. */
static void conv_slab(const dd_conv_job *j, const conv_item *it, int first, int last, int64_t k, float *acc)
{
    conv_run runs[DD_CONV_TAPS];
    dd_conv_piece pieces[DD_CONV_TAPS];
    const bool end = last == j->pieces;
    const int width = it->panel.width, tiles = (it->rows + 7) / 8, lines = width / 2,
              each = (lines + tiles - 1) / tiles;
    conv_tile t = {.runs = runs, .n_runs = last - first, .w = it->panel.w + k * width, .ldw = width, .add = first > 0};
    int64_t length = 0;
    for (int i = 0; i < t.n_runs; i++) {
        pieces[i] = dd_conv_piece_at(j, first + i);
        length += runs[i].n = pieces[i].n;
    }
    const char *next = (const char *)(end ? it->next.w : t.w + length * width);
    t.ld_acc = DD_LD_ACC;
    t.ahead_bytes = width * (int64_t)(DD_CHUNK * sizeof(float));
    for (int r = 0; r < it->rows; r += 8) {
        const int rows = it->rows - r < 8 ? it->rows - r : 8, line = r / 8 * each;
        for (int i = 0; i < t.n_runs; i++)
            dd_conv_rows(j, &pieces[i], it->pixels + r, rows, sizeof(float), runs[i].row);
        t.acc = acc + r * DD_LD_ACC;
        t.ahead = next + line * 64;
        t.ahead_lines = lines - line < each ? (lines > line ? lines - line : 0) : each;
        micro_conv_rows(&t, rows);
        if (end) conv_store(j, it, r, rows, t.acc);
    }
}

static void conv2d_task(void *arg, int item, int thread)
{
    const dd_conv_job *j = arg;
    conv_item it;
    conv_item_open(j, item, &it);
    int64_t k = 0;
    for (int first = 0; first < j->pieces; first += j->slab) {
        const int last = first + j->slab < j->pieces ? first + j->slab : j->pieces;
        conv_slab(j, &it, first, last, k, j->scratch[thread]);
        for (int i = first; i < last; i++) k += dd_conv_piece_at(j, i).n;
    }
}

static dd_status conv2d(const dd_exec *exec, const dd_conv2d_args *args)
{
    dd_conv_job j;
    if (args == NULL || !dd_cpu_packed_ok(args->w)) return DD_ERR_ARG;
    if (args->src_format != DD_FMT_F32 || args->dst_format != DD_FMT_F32) return DD_ERR_ARG;
    const dd_status st = dd_cpu_conv2d_open(exec, args, CONV_SLAB, &j);
    return st == DD_OK ? dd_cpu_for(exec, j.blocks * j.panels, conv2d_task, &j) : st;
}
