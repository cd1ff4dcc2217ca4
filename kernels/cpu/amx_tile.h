/* SPDX-License-Identifier: MIT
 * The tiles of AMX: eight registers of 16 rows x 64 bytes per thread. The number of a tile is a literal, 0 to 7.
 *
 * tile_begin gives all eight their full shape, tile_end puts the unit into its initial state. A task of the pool calls
 * both (some hundred cycles beside 10 us and more of work): a thread that waits between two ops then has no tiles that a
 * context switch must save or that keep its core out of deep sleep.
 *
 * gcc 12 does not know that a tile load reads memory: tile_fence stands between ordinary stores and the loads that read
 * them. It also believes that ldtilecfg reads 8 bytes; the configuration is a constant, so there are no stores to lose. */
#ifndef DD_KERNELS_CPU_AMX_TILE_H
#define DD_KERNELS_CPU_AMX_TILE_H

#include <stdint.h>

typedef struct dd_tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t colsb[16]; /* bytes of a row; 8 to 15 do not exist */
    uint8_t rows[16];
} dd_tile_config;

_Static_assert(sizeof(dd_tile_config) == 64, "what ldtilecfg reads");

#ifdef DD_SOFT_ISA
#include "kernels/cpu/amx_soft.h"
#else
#include <immintrin.h>
#define tile_config(c) _tile_loadconfig(c)
#define tile_end() _tile_release()
#define tile_zero(t) _tile_zero(t)
#define tile_load(t, p, stride) _tile_loadd(t, p, stride)               /* rows are `stride` bytes apart */
#define tile_load_stream(t, p, stride) _tile_stream_loadd(t, p, stride) /* pushes nothing else out of the L1 cache */
#define tile_store(t, p, stride) _tile_stored(t, p, stride)
#define tile_dot(c, a, b) _tile_dpbf16ps(c, a, b) /* c[m,n] += sum of a[m,k] b[k/2, 2n + k%2]: 16 x 16 x 32 */
#endif

#define tile_fence() __asm__ volatile("" ::: "memory")

static inline void tile_begin(void)
{
    static const _Alignas(64) dd_tile_config full = {
        .palette = 1, .colsb = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    tile_config(&full);
}

#endif
