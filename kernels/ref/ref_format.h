/* SPDX-License-Identifier: MIT
 * Elements of a matrix of activations in any dd_format, one at a time. */
#ifndef DD_KERNELS_REF_REF_FORMAT_H
#define DD_KERNELS_REF_REF_FORMAT_H

#include "kernels/ops.h"

static inline float dd_ref_load(const void *p, dd_format format, int64_t ld, int64_t row, int64_t col)
{
    switch (format) {
    case DD_FMT_F32:
    case DD_FMT_TF32: return ((const float *)p)[row * ld + col];
    case DD_FMT_F16: return dd_f16_to_f32(((const uint16_t *)p)[row * ld + col]);
    case DD_FMT_BF16: return dd_bf16_to_f32(((const uint16_t *)p)[row * ld + col]);
    case DD_FMT_BF16_BLOCKS:
    case DD_FMT_COUNT: break;
    }
    return dd_bf16_to_f32(((const uint16_t *)p)[dd_block_at(ld, row, col)]);
}

static inline void dd_ref_store(void *p, dd_format format, int64_t ld, int64_t row, int64_t col, double x)
{
    const float f = (float)x;
    switch (format) {
    case DD_FMT_F32: ((float *)p)[row * ld + col] = f; return;
    case DD_FMT_TF32: ((float *)p)[row * ld + col] = dd_f32_to_tf32(f); return;
    case DD_FMT_F16: ((uint16_t *)p)[row * ld + col] = dd_f32_to_f16(f); return;
    case DD_FMT_BF16: ((uint16_t *)p)[row * ld + col] = dd_f32_to_bf16(f); return;
    case DD_FMT_BF16_BLOCKS:
    case DD_FMT_COUNT: break;
    }
    ((uint16_t *)p)[dd_block_at(ld, row, col)] = dd_f32_to_bf16(f);
}

/* The zeros that blocks want behind the last column. */
static inline void dd_ref_finish_row(void *p, dd_format format, int64_t ld, int64_t row, int64_t width)
{
    if (format != DD_FMT_BF16_BLOCKS) return;
    for (int64_t col = width; col % DD_BLOCK != 0; col++) ((uint16_t *)p)[dd_block_at(ld, row, col)] = 0;
}

#endif
