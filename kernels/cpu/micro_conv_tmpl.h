/* SPDX-License-Identifier: MIT
 * The micro kernel of micro_tmpl.h for rows that lie anywhere: acc[r, col] (+)= sum over runs and k of run.row[r][k]
 * w[k,col], for up to 8 rows and one panel.
 * Formula: as above. Layout: rows broadcast from memory and never packed; w a K-major panel; acc row-major.
 * Threads: none. Budget: accumulators as there, and eight row pointers beside one common offset.
 * Preconditions: the stores of a row may touch 8 floats behind a width that is an odd multiple of 8.
 * Precision: per element one float32 accumulator, k ascending, in every variant; so a value does not depend on the
 * tile. */
#ifndef DD_KERNELS_CPU_MICRO_CONV_TMPL_H
#define DD_KERNELS_CPU_MICRO_CONV_TMPL_H

#include "kernels/cpu/micro_tmpl.h"

/* K in order: n channels of each row. */
typedef struct conv_run {
    const void *row[8];
    int64_t n;
} conv_run;

typedef struct conv_tile {
    const conv_run *runs;
    int n_runs;
    const float *w; /* panel, where the first run begins */
    int64_t ldw;    /* its width */
    float *acc;
    int64_t ld_acc;
    int add;           /* continue the sums that are in acc */
    const char *ahead; /* memory to be used next, fetched into the L2 cache meanwhile */
    int ahead_lines;   /* of 64 bytes, for each 8 of K */
    int64_t ahead_bytes;
} conv_tile;

DD_INLINE void conv_k(const int mr, const int nv, const int half, vf (*c)[DD_STRIP], void *ch, const float *const *row,
                      int64_t k, const float *w)
{
    vf b[DD_STRIP];
    DD_UNROLL(3)
    for (int v = 0; v < nv; v++) b[v] = vload(w + v * DD_VL);
#if DD_HALF
    vh *h = ch, bh = half ? vload_h(w + nv * DD_VL) : vlow(vsplat(0));
#else
    (void)ch;
    (void)half;
#endif
    DD_UNROLL(8)
    for (int r = 0; r < mr; r++) {
        const vf x = vsplat(row[r][k]);
        DD_UNROLL(3)
        for (int v = 0; v < nv; v++) vfma_into(&c[r][v], x, b[v]);
#if DD_HALF
        if (half) h[r] = vfma_h(vlow(x), bh, h[r]);
#endif
    }
}

DD_INLINE void micro_conv(const conv_tile *t, int first, int col, const int mr, const int nv, const int half)
{
    vf c[DD_MR][DD_STRIP];
    float *acc = t->acc + first * t->ld_acc + col;
    const int64_t ldw = DD_WIDE ? nv * DD_VL + half * 8 : t->ldw;
#if DD_HALF
    vh h[DD_MR];
#else
    char h[1];
#endif
    DD_UNROLL(8)
    for (int r = 0; r < mr; r++) {
        DD_UNROLL(3)
        for (int v = 0; v < nv; v++) c[r][v] = t->add ? vload(acc + r * t->ld_acc + v * DD_VL) : vsplat(0);
#if DD_HALF
        if (half) h[r] = t->add ? vload_h(acc + r * t->ld_acc + nv * DD_VL) : vlow(vsplat(0));
#endif
    }
    const float *w = t->w + col;
    const char *ahead = t->ahead;
    for (const conv_run *run = t->runs, *end = run + t->n_runs; run < end; run++) {
        const float *row[DD_MR];
        DD_UNROLL(8)
        for (int r = 0; r < mr; r++) row[r] = run->row[first + r];
        for (int64_t k = 0; k < run->n; k += 8) {
            for (int l = 0; l < t->ahead_lines; l++) __builtin_prefetch(ahead + l * 64, 0, 2);
            ahead += t->ahead_bytes;
            DD_UNROLL(8)
            for (int u = 0; u < 8; u++) {
                conv_k(mr, nv, half, c, h, row, k + u, w);
                w += ldw;
            }
        }
    }
    DD_UNROLL(8)
    for (int r = 0; r < mr; r++) {
        DD_UNROLL(3)
        for (int v = 0; v < nv; v++) vstore(acc + r * t->ld_acc + v * DD_VL, c[r][v]);
#if DD_HALF
        if (half) vstore_h(acc + r * t->ld_acc + nv * DD_VL, h[r]);
#endif
    }
}

/* Out of line, one function per shape. */
typedef void micro_conv_fn(const conv_tile *t, int first, int col);
#define DD_CONV(mr, nv, half)                                                                                     \
    static __attribute__((noinline)) void micro_conv_##mr##_##nv##_##half(const conv_tile *t, int first, int col) \
    {                                                                                                             \
        micro_conv(t, first, col, mr, nv, half);                                                                  \
    }
#if DD_VL == 16
#define DD_CONV_SET(nv, half) DD_CONV(1, nv, half) DD_CONV(2, nv, half) DD_CONV(4, nv, half) DD_CONV(8, nv, half)
#define DD_CONV_ENTRY(nv, half)                                                                                        \
    {                                                                                                                  \
        micro_conv_1_##nv##_##half, micro_conv_2_##nv##_##half, micro_conv_4_##nv##_##half, micro_conv_8_##nv##_##half \
    }
DD_CONV_SET(0, 1)
DD_CONV_SET(1, 0)
DD_CONV_SET(1, 1)
DD_CONV_SET(2, 0)
DD_CONV_SET(2, 1)
DD_CONV_SET(3, 0)
static micro_conv_fn *const micro_conv_table[][4] = {DD_CONV_ENTRY(0, 1), DD_CONV_ENTRY(1, 0), DD_CONV_ENTRY(1, 1),
                                                     DD_CONV_ENTRY(2, 0), DD_CONV_ENTRY(2, 1), DD_CONV_ENTRY(3, 0)};
#else
#define DD_CONV_SET(nv) DD_CONV(1, nv, 0) DD_CONV(2, nv, 0) DD_CONV(4, nv, 0)
#define DD_CONV_ENTRY(nv)                                                   \
    {                                                                       \
        micro_conv_1_##nv##_0, micro_conv_2_##nv##_0, micro_conv_4_##nv##_0 \
    }
#if DD_VL == 8
DD_CONV_SET(1)
DD_CONV_SET(2)
DD_CONV_SET(3)
static micro_conv_fn *const micro_conv_table[][3] = {DD_CONV_ENTRY(1), DD_CONV_ENTRY(2), DD_CONV_ENTRY(3)};
#else
DD_CONV_SET(2)
static micro_conv_fn *const micro_conv_table[][3] = {DD_CONV_ENTRY(2)};
#endif
#endif

/* rows <= 8 of a whole panel. */
static void micro_conv_rows(const conv_tile *t, int rows)
{
    const int strip = DD_STRIP * DD_VL, width = (int)t->ldw;
    for (int row = 0; row < rows;) {
        int log = 0;
        while (2 << log <= DD_MR && 2 << log <= rows - row) log++;
        for (int col = 0; col < width; col += strip) {
            const int w = width - col < strip ? width - col : strip;
            micro_conv_table[w / 8 - 1][log](t, row, col);
        }
        row += 1 << log;
    }
}

#endif
