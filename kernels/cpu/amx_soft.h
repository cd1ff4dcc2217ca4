/* SPDX-License-Identifier: MIT
 * The tile instructions of AMX in C, for tests on machines that lack them (amx_tile.h, DD_SOFT_ISA). Semantics of the
 * Intel manual for palette 1: a load fills rows x colsb bytes and clears the rest of the tile, a store writes rows x
 * colsb bytes; tdpbf16ps sums the products of even and of odd k separately, by fused multiply-adds in float32 from 0, adds
 * the two sums and then adds to the accumulator, rounding to nearest, with denormal inputs and results flushed to zero.
 * What the hardware answers by a fault ends the program: this is no part of a release. */
#ifndef DD_KERNELS_CPU_AMX_SOFT_H
#define DD_KERNELS_CPU_AMX_SOFT_H

#include <immintrin.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/dtype.h"

static _Thread_local struct soft_tiles {
    dd_tile_config config; /* palette 0: initial state */
    _Alignas(64) uint8_t t[8][16][64];
} soft_tiles;

static inline void soft_fault(const char *what)
{
    fprintf(stderr, "AMX emulation: %s\n", what);
    abort();
}

static inline void tile_end(void) { memset(&soft_tiles, 0, sizeof soft_tiles); }

static inline void tile_config(const dd_tile_config *c)
{
    if (c->palette > 1) soft_fault("palette");
    for (int i = 0; i < 14; i++)
        if (c->reserved[i]) soft_fault("reserved bytes of the configuration");
    for (int i = 0; i < 16; i++) {
        if (c->colsb[i] > (i < 8 ? 64 : 0) || c->rows[i] > (i < 8 ? 16 : 0)) soft_fault("shape of a tile");
        if ((c->colsb[i] == 0) != (c->rows[i] == 0)) soft_fault("tile with rows or columns only");
    }
    tile_end();
    if (c->palette) soft_tiles.config = *c;
}

static inline void soft_tile_ok(int t)
{
    if (t < 0 || t > 7) soft_fault("number of a tile");
    if (soft_tiles.config.palette != 1) soft_fault("tiles without a configuration");
    if (soft_tiles.config.rows[t] == 0) soft_fault("tile without a shape");
}

static inline void tile_zero(int t)
{
    soft_tile_ok(t);
    memset(soft_tiles.t[t], 0, sizeof soft_tiles.t[t]);
}

static inline void tile_load(int t, const void *p, int64_t stride)
{
    tile_zero(t);
    for (int r = 0; r < soft_tiles.config.rows[t]; r++)
        memcpy(soft_tiles.t[t][r], (const char *)p + r * stride, soft_tiles.config.colsb[t]);
}

static inline void tile_load_stream(int t, const void *p, int64_t stride) { tile_load(t, p, stride); }

static inline void tile_store(int t, void *p, int64_t stride)
{
    soft_tile_ok(t);
    for (int r = 0; r < soft_tiles.config.rows[t]; r++)
        memcpy((char *)p + r * stride, soft_tiles.t[t][r], soft_tiles.config.colsb[t]);
}

/* One row of the accumulator; sums[0] of the even k, sums[1] of the odd ones. Out of line: see tile_dot. */
static __attribute__((noinline)) void soft_dot_row(float *c, const uint16_t *a, uint8_t (*b)[64], int pairs, int n)
{
    float sums[2][16] = {{0}};
    for (int k = 0; k < pairs; k++)
        for (int odd = 0; odd < 2; odd++) {
            const float x = dd_bf16_to_f32(a[2 * k + odd]);
            for (int i = 0; i < n; i++) {
                uint32_t pair;
                memcpy(&pair, b[k] + 4 * i, sizeof pair);
                sums[odd][i] = fmaf(x, dd_f32_from_bits(odd ? pair & 0xffff0000u : pair << 16), sums[odd][i]);
            }
        }
    for (int i = 0; i < n; i++) c[i] += sums[0][i] + sums[1][i];
}

static inline void tile_dot(int c, int a, int b)
{
    const dd_tile_config *f = &soft_tiles.config;
    soft_tile_ok(c), soft_tile_ok(a), soft_tile_ok(b);
    if (c == a || c == b || a == b) soft_fault("the same tile twice");
    if (f->colsb[c] % 4 || f->colsb[a] % 4 || f->colsb[b] % 4) soft_fault("columns are no multiple of 4 bytes");
    if (f->rows[c] != f->rows[a] || f->colsb[c] != f->colsb[b] || f->colsb[a] / 4 != f->rows[b])
        soft_fault("shapes do not match");
    const unsigned csr = _mm_getcsr();
    _mm_setcsr(0x9fc0); /* no exceptions, to nearest, denormals are zero, flush to zero */
    for (int r = 0; r < f->rows[c]; r++) {
        float row[16], *acc = (float *)(void *)soft_tiles.t[c][r];
        uint16_t x[32];
        memcpy(x, soft_tiles.t[a][r], sizeof x);
        memcpy(row, acc, sizeof row);
        soft_dot_row(row, x, soft_tiles.t[b], f->rows[b], f->colsb[c] / 4);
        memcpy(acc, row, sizeof row);
    }
    _mm_setcsr(csr);
}

#endif
