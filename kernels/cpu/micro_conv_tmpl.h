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

DD_INLINE void conv_k(const int mr, const int nv, const int half, vf (*c)[DD_STRIP], half_sum *h,
                      const float *const *row, int64_t k, const float *w)
{
    vf b[DD_STRIP];
    half_sum bh;
    columns_at(nv, half, w, 0, b, &bh);
    DD_UNROLL(8)
    for (int r = 0; r < mr; r++) row_add(nv, half, c[r], &h[r], row[r][k], b, bh);
}

DD_INLINE void micro_conv(const conv_tile *t, int first, int col, const int mr, const int nv, const int half)
{
    vf c[DD_MR][DD_STRIP];
    float *acc = t->acc + first * t->ld_acc + col;
    const int64_t ldw = DD_WIDE ? nv * DD_VL + half * 8 : t->ldw;
    half_sum h[DD_MR];
    sums_begin(mr, nv, half, c, h, acc, t->ld_acc, t->add);
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
    sums_end(mr, nv, half, c, h, acc, t->ld_acc);
}

DD_MICRO_SETS(micro_conv)
static micro_fn *const micro_conv_table[][DD_ROW_COUNTS] = {DD_MICRO_ENTRIES(micro_conv)};

/* rows <= 8 of a whole panel. */
static void micro_conv_rows(const conv_tile *t, int rows) { micro_walk(micro_conv_table, t, (int)t->ldw, rows); }

#endif
