/* SPDX-License-Identifier: MIT
 * Vectors of 32 columns into a matrix in DD_FMT_BF16_BLOCKS, from any column on. */
#ifndef DD_KERNELS_CPU_BF16_BLOCKS_H
#define DD_KERNELS_CPU_BF16_BLOCKS_H

#include "kernels/cpu/bf16_insn.h"
#include "kernels/ops.h"

/* The lanes `live` of x to columns col .. col+31 of a row; they lie in one block or in two neighbours. */
DD_INLINE void bf16_blocks_store(void *c, int64_t ld, int64_t row, int64_t col, __mmask32 live, vbf x)
{
    const int at = (int)(col % DD_BLOCK);
    uint16_t *block = (uint16_t *)c + dd_block_at(ld, row, col - at);
    const __mmask32 here = live & ~bf16_from(DD_BLOCK - at);
    _mm512_mask_storeu_epi16(block + at, here, x);
    if (here != live) _mm512_mask_storeu_epi16(block + DD_BLOCK * DD_BLOCK + at - DD_BLOCK, live & ~here, x);
}

/* The zeros behind the last column. */
DD_INLINE void bf16_blocks_finish(void *c, int64_t ld, int64_t row, int64_t width)
{
    const int tail = (int)(width % DD_BLOCK);
    if (tail == 0) return;
    uint16_t *block = (uint16_t *)c + dd_block_at(ld, row, width - tail);
    _mm512_mask_storeu_epi16(block, bf16_from(tail), _mm512_setzero_si512());
}

#endif
