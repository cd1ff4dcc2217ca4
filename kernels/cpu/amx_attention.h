/* SPDX-License-Identifier: MIT
 * Scratch of the attention on tiles: all of one head. K and V are packed as right operands, 1 KiB tiles of 16 pairs x 16
 * columns: k [E steps of 32][blocks of 16 keys], pairs along E; v [steps of 32 keys][blocks of 16 columns], pairs of keys.
 * Keys are padded to a multiple of 32, E likewise, with zeros. For 32 queries: q (a copy, where the tiles cannot be loaded
 * in place), p [steps of 32 keys][32][32], scores and results as pairs of accumulator tiles, 16 rows each. */
#ifndef DD_KERNELS_CPU_AMX_ATTENTION_H
#define DD_KERNELS_CPU_AMX_ATTENTION_H

#include "kernels/cpu/work.h"

#define DD_TILE 1024 /* bytes of a tile, and of an accumulator tile */
#define DD_AMX_QUERIES 32

typedef struct dd_amx_attention_areas {
    int64_t e_steps, key_steps;            /* of 32 */
    int64_t e_tiles;                       /* of 16 columns, an even number */
    int64_t k, v, q, p, score, out, bytes; /* offsets in the scratch, and its size */
} dd_amx_attention_areas;

static inline dd_amx_attention_areas dd_amx_attention_layout(int64_t tokens, int64_t e)
{
    dd_amx_attention_areas a = {.e_steps = (e + 31) / 32, .key_steps = (tokens + 31) / 32};
    a.e_tiles = 2 * a.e_steps;
    a.k = 0;
    a.v = a.k + a.e_steps * 2 * a.key_steps * DD_TILE;
    a.q = a.v + a.key_steps * a.e_tiles * DD_TILE;
    a.p = a.q + a.e_steps * 2 * DD_TILE;
    a.score = a.p + a.key_steps * 2 * DD_TILE;
    a.out = a.score + 2 * 2 * a.key_steps * DD_TILE;
    a.bytes = a.out + 2 * a.e_tiles * DD_TILE;
    return a;
}

static inline size_t dd_amx_attention_scratch(int64_t tokens, int64_t e)
{
    return tokens <= 0 || e <= 0 ? 0 : (size_t)dd_amx_attention_layout(tokens, e).bytes;
}

#endif
