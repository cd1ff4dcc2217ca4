/* SPDX-License-Identifier: MIT
 * The micro kernel of AVX512-BF16: acc[r, col] = sum over k of a[r,k] w[k,col], for up to 8 rows and one panel.
 * Formula: as above. Layout: a in blocks of 32 x 32 (its rows in one row of blocks), pairs broadcast from memory; w a
 * panel of panel_bf16.h; acc rows of 32 floats.
 * Threads: none. Budget: 8 rows x 32 columns = 16 accumulators + 2 of w + 1.
 * Preconditions: k in whole chunks; a or w is zero where the last chunk has none.
 * Precision: per element one float32 accumulator, pairs ascending, within a pair the odd k first; two roundings a pair.
 * The same in every variant, so that a value does not depend on the tile. */
#ifndef DD_KERNELS_CPU_MICRO_BF16_H
#define DD_KERNELS_CPU_MICRO_BF16_H

#include "kernels/cpu/bf16_insn.h"
#include "kernels/cpu/panel_bf16.h"

#define DD_MR_BF16 8

typedef struct tile_bf16 {
    const uint16_t *a;     /* the first row in its first block */
    const uint16_t *w;     /* panel, chunk 0 of K */
    const int32_t *chunks; /* indices of the K chunks of w, or NULL: 0, 1, ... */
    int n_chunks;
    float *acc;        /* [rows][32], 64-byte aligned */
    const char *ahead; /* memory to be used next: fetched into the L2 cache meanwhile. NULL: nothing */
    int ahead_lines;   /* lines of 64 bytes per chunk of K */
} tile_bf16;

DD_INLINE vbf micro_bf16_pair(const uint16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return _mm512_set1_epi32(pair);
}

/* All bounds but the number of chunks are constants after inlining. */
DD_INLINE void micro_bf16(const tile_bf16 *t, const int mr, const int nv)
{
    vf c[DD_MR_BF16][2];
    DD_UNROLL(8)
    for (int r = 0; r < mr; r++) {
        DD_UNROLL(2)
        for (int v = 0; v < nv; v++) c[r][v] = vsplat(0);
    }
    const char *ahead = t->ahead;
    for (int i = 0; i < t->n_chunks; i++) {
        const uint16_t *a = t->a + i / 4 * (DD_BLOCK * DD_BLOCK) + i % 4 * DD_CHUNK;
        const uint16_t *w = t->w + (t->chunks ? t->chunks[i] : i) * (int64_t)DD_PANEL_BF16_CHUNK;
        if (ahead) {
            for (int l = 0; l < t->ahead_lines; l++, ahead += 64) __builtin_prefetch(ahead, 0, 2);
        }
        DD_UNROLL(4)
        for (int k = 0; k < DD_CHUNK; k += 2, w += 2 * DD_PANEL_BF16) {
            vbf b[2];
            DD_UNROLL(2)
            for (int v = 0; v < nv; v++) b[v] = _mm512_load_si512(w + v * DD_PANEL_BF16);
            DD_UNROLL(8)
            for (int r = 0; r < mr; r++) {
                const vbf x = micro_bf16_pair(a + r * DD_BLOCK + k);
                DD_UNROLL(2)
                for (int v = 0; v < nv; v++) vdot_into(&c[r][v], x, b[v]);
            }
        }
    }
    DD_UNROLL(8)
    for (int r = 0; r < mr; r++) {
        DD_UNROLL(2)
        for (int v = 0; v < nv; v++) _mm512_store_ps(t->acc + r * DD_PANEL_BF16 + v * DD_VL, c[r][v]);
    }
}

/* Out of line, one function per number of rows and of vectors. */
typedef void micro_bf16_fn(const tile_bf16 *t);
#define DD_MICRO_BF16(mr)                                                                                   \
    static __attribute__((noinline)) void micro_bf16_##mr##_1(const tile_bf16 *t) { micro_bf16(t, mr, 1); } \
    static __attribute__((noinline)) void micro_bf16_##mr##_2(const tile_bf16 *t) { micro_bf16(t, mr, 2); }
DD_MICRO_BF16(1)
DD_MICRO_BF16(2)
DD_MICRO_BF16(3)
DD_MICRO_BF16(4)
DD_MICRO_BF16(5)
DD_MICRO_BF16(6)
DD_MICRO_BF16(7)
DD_MICRO_BF16(8)
static micro_bf16_fn *const micro_bf16_table[DD_MR_BF16][2] = {
    {micro_bf16_1_1, micro_bf16_1_2}, {micro_bf16_2_1, micro_bf16_2_2}, {micro_bf16_3_1, micro_bf16_3_2},
    {micro_bf16_4_1, micro_bf16_4_2}, {micro_bf16_5_1, micro_bf16_5_2}, {micro_bf16_6_1, micro_bf16_6_2},
    {micro_bf16_7_1, micro_bf16_7_2}, {micro_bf16_8_1, micro_bf16_8_2},
};

/* rows <= 8, valid columns of the panel. */
DD_INLINE void micro_bf16_rows(const tile_bf16 *t, int rows, int valid)
{
    micro_bf16_table[rows - 1][valid > DD_VL](t);
}

#endif
