/* SPDX-License-Identifier: MIT
 * The micro kernel: acc[r, col] (+)= sum over k of a[r,k] w[k,col], for up to 8 rows and one panel.
 * Formula: as above. Layout: a row-major, broadcast from memory and never packed; w a K-major panel; acc row-major.
 * Threads: none. Budget: AVX-512 8 rows x 48 (or twice 24) columns = 24 accumulators + 3 of w + 1; AVX2 4 x 24 =
 * 12 + 3 + 1; portable 4 x 8 = 8 + 2 + 1. Preconditions: the stores of a row may touch 8 floats behind a width that is
 * an odd multiple of 8.
 * Precision: per element one float32 accumulator, k ascending, in every variant; so a value does not depend on the
 * tile. */
#ifndef DD_KERNELS_CPU_MICRO_TMPL_H
#define DD_KERNELS_CPU_MICRO_TMPL_H

#include "kernels/cpu/cpu_vec.h"

/* Neighbouring chunks of K, and where the chunks of `ahead` that are fetched meanwhile begin. */
typedef struct micro_run {
    int32_t n, chunk, ahead;
} micro_run;

typedef struct tile {
    const float *a;
    int64_t lda;
    const float *w;        /* panel, chunk 0 of K */
    int64_t ldw;           /* its width */
    int64_t other;         /* AVX-512: distance to a second panel, both 24 wide, whose sums follow those of the first */
    int n_chunks, tail;    /* K = 8 n_chunks + tail */
    const micro_run *runs; /* n_runs runs with n_chunks chunks in all; NULL: chunks 0, 1, ..., nothing is fetched */
    int n_runs;
    float *acc;
    int64_t ld_acc;
    int add; /* continue the sums that are in acc */
    /* Memory to be used next, fetched into the L2 cache meanwhile: of each chunk some lines of 64 bytes. */
    const char *ahead;   /* in chunk 0 */
    int64_t ahead_bytes; /* from one chunk to the next */
    int ahead_lines;
} tile;

#define DD_PAIR 2 /* in place of `half`: not half a vector but two panels of 24 columns */
#if DD_VL == 16
#define DD_MR 8
#define DD_STRIP 3 /* vectors of a column strip */
#define DD_HALF 1
#define DD_WIDE 1 /* a strip is a whole panel */
#elif DD_VL == 8
#define DD_MR 4
#define DD_STRIP 3
#define DD_HALF 0
#define DD_WIDE 0
#else
#define DD_MR 4
#define DD_STRIP 2
#define DD_HALF 0
#define DD_WIDE 0
#endif

/* Eight rows in four registers. */
typedef struct rows_at {
    const float *row0, *row4;
    int64_t one, three; /* from a row to the next, and to the third after it */
    int64_t other;      /* as in tile */
} rows_at;

DD_INLINE const float *row_at(const rows_at *a, const int r)
{
    const float *p = r < 4 ? a->row0 : a->row4;
    return r % 4 == 0 ? p : r % 4 == 1 ? p + a->one : r % 4 == 2 ? p + 2 * a->one : p + a->three;
}

#if DD_HALF
typedef vh half_sum;
#else
typedef char half_sum; /* none */
#endif

/* What the panel has at one k, from w on: nv vectors and perhaps a half. Of a pair of panels the vectors hold 16 columns of
 * the first, 16 of the second, which is `other` away, and 8 of each. All bounds are constants after inlining. */
DD_INLINE void columns_at(const int nv, const int half, const float *w, int64_t other, vf *b, half_sum *bh)
{
    DD_UNROLL(3)
    for (int v = 0; v < nv; v++) b[v] = vload(w + v * DD_VL);
#if DD_HALF
    if (half == DD_PAIR) {
        b[1] = vload(w + other);
        b[2] = vjoin(vload_h(w + DD_VL), vload_h(w + other + DD_VL));
    }
    *bh = half == 1 ? vload_h(w + nv * DD_VL) : vlow(vsplat(0));
#else
    (void)half;
    (void)other;
    *bh = 0;
#endif
}

/* The sums of a row go on with a value of it. */
DD_INLINE void row_add(const int nv, const int half, vf *c, half_sum *h, float value, const vf *b, half_sum bh)
{
    const vf x = vsplat(value);
    DD_UNROLL(3)
    for (int v = 0; v < nv; v++) vfma_into(&c[v], x, b[v]);
#if DD_HALF
    if (half == 1) *h = vfma_h(vlow(x), bh, *h);
#else
    (void)half;
    (void)h;
    (void)bh;
#endif
}

/* Sums of mr rows: those that are in acc, or zeros. */
DD_INLINE void sums_begin(const int mr, const int nv, const int half, vf (*c)[DD_STRIP], half_sum *h, const float *acc,
                          int64_t ld_acc, int add)
{
    DD_UNROLL(8)
    for (int r = 0; r < mr; r++) {
        DD_UNROLL(3)
        for (int v = 0; v < nv; v++) c[r][v] = add ? vload(acc + r * ld_acc + v * DD_VL) : vsplat(0);
#if DD_HALF
        if (half == DD_PAIR && add) {
            const float *sums = acc + r * ld_acc;
            c[r][1] = vload(sums + 24);
            c[r][2] = vjoin(vload_h(sums + 16), vload_h(sums + 40));
        }
        if (half == 1) h[r] = add ? vload_h(acc + r * ld_acc + nv * DD_VL) : vlow(vsplat(0));
#else
        (void)half;
        (void)h;
#endif
    }
}

DD_INLINE void sums_end(const int mr, const int nv, const int half, vf (*c)[DD_STRIP], const half_sum *h, float *acc,
                        int64_t ld_acc)
{
    DD_UNROLL(8)
    for (int r = 0; r < mr; r++) {
        DD_UNROLL(3)
        for (int v = 0; v < nv && half != DD_PAIR; v++) vstore(acc + r * ld_acc + v * DD_VL, c[r][v]);
#if DD_HALF
        if (half == DD_PAIR) {
            float *sums = acc + r * ld_acc;
            vstore(sums, c[r][0]);
            vstore(sums + 24, c[r][1]);
            vstore_low(sums + 16, vlow(c[r][2]));
            vstore_low(sums + 40, vhigh(c[r][2]));
        }
        if (half == 1) vstore_h(acc + r * ld_acc + nv * DD_VL, h[r]);
#else
        (void)h;
#endif
    }
}

/* One k of mr rows. */
DD_INLINE void micro_k(const int mr, const int nv, const int half, vf (*c)[DD_STRIP], half_sum *h, const rows_at *a,
                       int64_t k, const float *w)
{
    vf b[DD_STRIP];
    half_sum bh;
    columns_at(nv, half, w, a->other, b, &bh);
    DD_UNROLL(8)
    for (int r = 0; r < mr; r++) row_add(nv, half, c[r], &h[r], row_at(a, r)[k], b, bh);
}

DD_INLINE void micro(const tile *t, int row, int col, const int mr, const int nv, const int half)
{
    vf c[DD_MR][DD_STRIP];
    float *acc = t->acc + row * t->ld_acc + col;
    const int64_t ldw = half == DD_PAIR ? 24 : DD_WIDE ? nv * DD_VL + half * 8 : t->ldw;
    half_sum h[DD_MR];
    sums_begin(mr, nv, half, c, h, acc, t->ld_acc, t->add);
    rows_at a = {.row0 = t->a + row * t->lda, .one = t->lda, .three = 3 * t->lda, .other = t->other};
    a.row4 = mr > 4 ? a.row0 + 4 * t->lda : a.row0;
    __asm__("" : "+r"(a.one), "+r"(a.three)); /* not to be taken apart into eight pointers */
    const micro_run all = {.n = t->n_chunks}, *run = t->runs ? t->runs : &all, *end = run + (t->runs ? t->n_runs : 1);
    const float *w = t->w + col;
    for (; run < end; run++) {
        const char *ahead = t->ahead_lines > 0 ? t->ahead + run->ahead * t->ahead_bytes : (const char *)t->w;
        w = t->w + col + run->chunk * (8 * ldw);
        for (int n = run->n; n > 0; n--) {
            for (int l = 0; l < t->ahead_lines; l++) __builtin_prefetch(ahead + l * 64, 0, 2);
            ahead += t->ahead_bytes;
            DD_UNROLL(8)
            for (int u = 0; u < 8; u++) {
                micro_k(mr, nv, half, c, h, &a, u, w);
                w += ldw;
            }
            a.row0 += 8;
            if (mr > 4) a.row4 += 8;
        }
    }
    for (int k = 0; k < t->tail; k++) micro_k(mr, nv, half, c, h, &a, k, w + k * ldw);
    sums_end(mr, nv, half, c, h, acc, t->ld_acc);
}

/* Out of line, one function per shape of a kernel f: f_ROWS_VECTORS_HALF. */
typedef void micro_fn(const void *t, int row, int col);
#define DD_MICRO(f, mr, nv, half)                                                                   \
    static __attribute__((noinline)) void f##_##mr##_##nv##_##half(const void *t, int row, int col) \
    {                                                                                               \
        f(t, row, col, mr, nv, half);                                                               \
    }
#if DD_VL == 16
#define DD_ROW_COUNTS 4
#define DD_MICRO_SET(f, nv, half) \
    DD_MICRO(f, 1, nv, half) DD_MICRO(f, 2, nv, half) DD_MICRO(f, 4, nv, half) DD_MICRO(f, 8, nv, half)
#define DD_MICRO_ENTRY(f, nv, half)                                                        \
    {                                                                                      \
        f##_1_##nv##_##half, f##_2_##nv##_##half, f##_4_##nv##_##half, f##_8_##nv##_##half \
    }
#define DD_MICRO_SETS(f)  \
    DD_MICRO_SET(f, 0, 1) \
    DD_MICRO_SET(f, 1, 0) DD_MICRO_SET(f, 1, 1) DD_MICRO_SET(f, 2, 0) DD_MICRO_SET(f, 2, 1) DD_MICRO_SET(f, 3, 0)
#define DD_MICRO_ENTRIES(f)                                                                             \
    DD_MICRO_ENTRY(f, 0, 1), DD_MICRO_ENTRY(f, 1, 0), DD_MICRO_ENTRY(f, 1, 1), DD_MICRO_ENTRY(f, 2, 0), \
        DD_MICRO_ENTRY(f, 2, 1), DD_MICRO_ENTRY(f, 3, 0)
#else
#define DD_ROW_COUNTS 3
#define DD_MICRO_SET(f, nv) DD_MICRO(f, 1, nv, 0) DD_MICRO(f, 2, nv, 0) DD_MICRO(f, 4, nv, 0)
#define DD_MICRO_ENTRY(f, nv)                          \
    {                                                  \
        f##_1_##nv##_0, f##_2_##nv##_0, f##_4_##nv##_0 \
    }
#if DD_VL == 8
#define DD_MICRO_SETS(f) DD_MICRO_SET(f, 1) DD_MICRO_SET(f, 2) DD_MICRO_SET(f, 3)
#define DD_MICRO_ENTRIES(f) DD_MICRO_ENTRY(f, 1), DD_MICRO_ENTRY(f, 2), DD_MICRO_ENTRY(f, 3)
#else
#define DD_MICRO_SETS(f) DD_MICRO_SET(f, 2)
#define DD_MICRO_ENTRIES(f) DD_MICRO_ENTRY(f, 2)
#endif
#endif

DD_MICRO_SETS(micro)
#if DD_HALF
DD_MICRO_SET(micro, 3, 2)
#endif
static micro_fn *const micro_table[][DD_ROW_COUNTS] = {
    DD_MICRO_ENTRIES(micro),
#if DD_HALF
    DD_MICRO_ENTRY(micro, 3, 2) /* a pair */
#endif
};

/* rows <= 8 of a panel of `width` columns, by the entries of a table that begin at `table`. */
static void micro_walk(micro_fn *const (*table)[DD_ROW_COUNTS], const void *t, int width, int rows)
{
    const int strip = DD_STRIP * DD_VL;
    for (int row = 0; row < rows;) {
        int log = 0;
        while (2 << log <= DD_MR && 2 << log <= rows - row) log++;
        for (int col = 0; col < width; col += strip) {
            const int w = width - col < strip ? width - col : strip;
            table[w / 8 - 1][log](t, row, col);
        }
        row += 1 << log;
    }
}

/* rows <= 8 of a whole panel. */
static void micro_rows(const tile *t, int rows)
{
    const int pair = DD_HALF && t->other != 0 ? 4 : 0; /* behind those for single panels */
    micro_walk(micro_table + pair, t, (int)t->ldw, rows);
}

#endif
