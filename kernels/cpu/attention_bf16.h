/* SPDX-License-Identifier: MIT
 * Scratch of the attention with bf16 inputs. K and V of one head are packed like weights (panel_bf16.h): K transposed in
 * panels of 32 keys, V in panels of 32 of its columns; keys are padded with zeros. Offsets are in bytes, multiples of 64. */
#ifndef DD_KERNELS_CPU_ATTENTION_BF16_H
#define DD_KERNELS_CPU_ATTENTION_BF16_H

#include "kernels/cpu/work.h"

#define DD_QUERIES_BF16 8 /* at a time */

typedef struct dd_attention_bf16_areas {
    int64_t keys;       /* tokens, padded to panels of 32 */
    int64_t key_chunks; /* of 8, that V has */
    int64_t k;          /* [keys/32][E/2][32][2] */
    int64_t v;          /* [panels of E][key_chunks*4][32][2] */
    int64_t q;          /* [E/32][32][32], of which 8 rows are used */
    int64_t p;          /* [keys/32][32][32], likewise: weights e^(score - max) */
    int64_t score;      /* [keys/32][8][32] float32 */
    int64_t out;        /* [8][32] float32 */
    int64_t bytes;
} dd_attention_bf16_areas;

static inline dd_attention_bf16_areas dd_attention_bf16_layout(int64_t tokens, int64_t e)
{
    const int64_t block = DD_BLOCK * DD_BLOCK * 2, e_blocks = (e + DD_BLOCK - 1) / DD_BLOCK;
    dd_attention_bf16_areas a = {.keys = dd_round_up(tokens, DD_BLOCK),
                                 .key_chunks = (tokens + DD_CHUNK - 1) / DD_CHUNK};
    a.v = a.k + a.keys * e * 2;
    a.q = a.v + e_blocks * a.key_chunks * (DD_CHUNK * DD_BLOCK * 2);
    a.p = a.q + e_blocks * block;
    a.score = a.p + a.keys / DD_BLOCK * block;
    a.out = a.score + a.keys * DD_QUERIES_BF16 * 4;
    a.bytes = a.out + DD_BLOCK * DD_QUERIES_BF16 * 4;
    return a;
}

#endif
