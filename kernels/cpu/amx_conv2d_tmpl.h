/* SPDX-License-Identifier: MIT
 * Formula: dst[pixel, n] = sum over taps and channels of src[pixel shifted by the tap, c] w[n, (tap, c)] + bias + residual.
 * Layout: pixels in bf16; 16 of them beside each other in memory are a tile of 16 x 32 channels as they lie there; others,
 * at the border and where pixels are repeated, are gathered into scratch, 64 bytes of each. w in panels of 32 columns.
 * Thread mapping: items of (panel, 64 pixels), blocks of 512 pixels outside panels.
 * Budget: 2 x 2 accumulator tiles, 2 of pixels, 2 of w; scratch 32 x 32 sums and two gathered tiles; a panel over the whole
 * of K (288 KiB at 9 x 512) stays in the L2 cache.
 * Preconditions: checked in conv2d.c; channels in whole steps of 32, others take conv2d_bf16_rows.h.
 * Precision: as amx_gemm_tmpl.h; bias, then residual in float32, one rounding to bf16. */
#include "kernels/cpu/amx_gemm.h"
#include "kernels/cpu/amx_tile.h"
#include "kernels/cpu/conv2d_bf16_rows.h"

#define CONV_AMX_ROWS 16 /* of a tile */

typedef struct conv_amx_scratch {
    float sum[DD_BLOCK * DD_BLOCK];
    unsigned char gathered[2][CONV_AMX_ROWS * 64];
} conv_amx_scratch;

_Static_assert(sizeof(conv_amx_scratch) <= DD_SCRATCH_MIN, "scratch of the convolution on tiles");

/* A piece of K of 16 pixels. */
typedef struct conv_amx_tile {
    const void *row[CONV_AMX_ROWS];
    bool in_order; /* side by side in memory */
} conv_amx_tile;

static void conv_amx_open(const dd_conv_job *j, const dd_conv_piece *piece, const dd_conv_pixel *p, int rows,
                          conv_amx_tile *t)
{
    const int n = rows < CONV_AMX_ROWS ? rows : CONV_AMX_ROWS;
    dd_conv_rows(j, piece, p, n, sizeof(uint16_t), t->row);
    for (int i = n; i < CONV_AMX_ROWS; i++) t->row[i] = dd_cpu_zeros;
    t->in_order = n == CONV_AMX_ROWS;
    for (int i = 1; i < n && t->in_order; i++)
        t->in_order = (uintptr_t)t->row[i] == (uintptr_t)t->row[0] + (uintptr_t)(i * j->pixel);
}

/* Where the 32 channels from byte `at` of a piece on are a tile with rows of *stride bytes. */
DD_INLINE const unsigned char *conv_amx_a(const conv_amx_tile *t, int64_t at, int64_t pixel, unsigned char *gathered,
                                          int64_t *stride)
{
    *stride = t->in_order ? pixel : 64;
    if (t->in_order) return (const unsigned char *)t->row[0] + at;
    for (int i = 0; i < CONV_AMX_ROWS; i++)
        _mm512_store_si512(gathered + i * 64, _mm512_loadu_si512((const unsigned char *)t->row[i] + at));
    return gathered;
}

/* Sums of up to 32 pixels into s->sum. */
static void conv_amx_block(const dd_conv_job *j, const unsigned char *w, const dd_conv_pixel *p, int rows,
                           const char *ahead, int lines, conv_amx_scratch *s)
{
    conv_amx_tile low, high;
    const bool two = rows > CONV_AMX_ROWS;
    int64_t stride;
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    for (int i = 0; i < j->pieces; i++) {
        const dd_conv_piece piece = dd_conv_piece_at(j, i);
        conv_amx_open(j, &piece, p, rows, &low);
        if (two) conv_amx_open(j, &piece, p + CONV_AMX_ROWS, rows - CONV_AMX_ROWS, &high);
        for (int64_t at = 0; at < 2 * piece.n; at += 64, w += DD_STEP_BYTES, ahead += DD_STEP_BYTES) {
            for (int l = 0; l < lines; l++) __builtin_prefetch(ahead + l * 64, 0, 2);
            const unsigned char *a = conv_amx_a(&low, at, j->pixel, s->gathered[0], &stride);
            tile_fence();
            tile_load(4, a, stride);
            tile_load(6, w, 128);
            tile_dot(0, 4, 6);
            tile_load(7, w + 64, 128);
            tile_dot(1, 4, 7);
            if (!two) continue;
            a = conv_amx_a(&high, at, j->pixel, s->gathered[1], &stride);
            tile_fence();
            tile_load(5, a, stride);
            tile_dot(2, 5, 6);
            tile_dot(3, 5, 7);
        }
    }
    tile_store(0, s->sum, 128);
    tile_store(1, s->sum + 16, 128);
    tile_store(2, s->sum + 512, 128);
    tile_store(3, s->sum + 528, 128);
    tile_fence();
}

static void conv2d_amx_task(void *arg, int item, int thread)
{
    const dd_conv_job *j = arg;
    conv_amx_scratch *s = j->scratch[thread];
    conv_bf16_item it;
    conv_bf16_open(j, item, &it);
    const int blocks = (it.rows + DD_BLOCK - 1) / DD_BLOCK, lines = DD_STEP_BYTES / 64 / blocks;
    tile_begin();
    for (int r = 0; r < it.rows; r += DD_BLOCK) {
        const int rows = it.rows - r < DD_BLOCK ? it.rows - r : DD_BLOCK;
        const char *ahead = (const char *)it.next + r / DD_BLOCK * lines * 64;
        conv_amx_block(j, (const unsigned char *)it.panel.w, it.pixels + r, rows, ahead, lines, s);
        conv_bf16_store(j, &it, r, rows, s->sum);
    }
    tile_end();
}

static dd_status conv2d_bf16(const dd_exec *exec, const dd_conv2d_args *args)
{
    return conv2d_bf16_run(exec, args, args->c % DD_STEP ? conv2d_bf16_task : conv2d_amx_task);
}
