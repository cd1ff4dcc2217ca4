/* SPDX-License-Identifier: MIT
 * Scratch of the attention. K and V of one head are packed like weights (panel.h): K transposed, [E][keys], V as
 * [keys][E]; keys are padded to a multiple of 8 with zeros. */
#ifndef DD_KERNELS_CPU_ATTENTION_H
#define DD_KERNELS_CPU_ATTENTION_H

#include "kernels/cpu/work.h"

#define DD_MAX_HEAD_DIM 128
#define DD_QUERIES 8 /* at a time */

typedef struct dd_attention_areas {
    int64_t keys;                     /* tokens, padded */
    int64_t ld_score, ld_out;         /* row strides */
    int64_t k, v, score, out, floats; /* offsets in the scratch, and its size */
} dd_attention_areas;

static inline dd_attention_areas dd_attention_layout(int64_t tokens, int64_t e)
{
    dd_attention_areas a = {.keys = dd_round_up(tokens, DD_CHUNK)};
    a.ld_score = dd_round_up(tokens, 16); /* whole vectors of the widest instruction set */
    a.ld_out = dd_round_up(e, 16);
    a.k = 0;
    a.v = dd_round_up(a.k + a.keys * e, 16);
    a.score = dd_round_up(a.v + a.keys * e, 16);
    a.out = a.score + DD_QUERIES * a.ld_score;
    a.floats = a.out + DD_QUERIES * a.ld_out;
    return a;
}

#endif
