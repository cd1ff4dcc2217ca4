/* SPDX-License-Identifier: MIT
 * What the tests of the ops on AMX tiles share: matrices of bf16 between guards, slices of any kind. */
#ifndef DD_TESTS_UNIT_AMX_TEST_H
#define DD_TESTS_UNIT_AMX_TEST_H

#include "tests/unit/kernel_test.h"

#define EPS_BF16 0x1p-8 /* the error of one rounding to bf16, relative */
#define NAN_BF16 0x7fc1u
#define SLICE_RANDOM N_SLICINGS

static inline bool amx_here(void)
{
    if (dd_cpu_has(DD_ISA_AMX)) return true;
    print_message("no AMX on this machine or in this build; make CONFIG=softisa emulates it\n");
    return false;
}

/* ---- matrices of 16-bit elements between guards ---- */

static inline uint16_t *bits(const buf *b) { return (uint16_t *)(void *)b->p; }

/* rows x ld of NaN; blocks hold rows up to a multiple of 32. */
static inline buf half_open(int64_t rows, int64_t ld, dd_format format)
{
    if (format == DD_FMT_BF16_BLOCKS) rows = (rows + 31) / 32 * 32;
    const buf b = buf_open((size_t)(rows * ld + 1) / 2);
    for (size_t i = 0; i < 2 * b.n; i++) bits(&b)[i] = NAN_BF16;
    return b;
}

static inline int64_t half_at(dd_format format, int64_t ld, int64_t row, int64_t col)
{
    return format == DD_FMT_BF16_BLOCKS ? dd_block_at(ld, row, col) : row * ld + col;
}

/* Random values in rows x cols of it; in blocks the columns up to a multiple of 32 become zero. */
static inline void half_fill(rnd *r, const buf *b, dd_format format, int64_t rows, int64_t cols, int64_t ld,
                             pattern how)
{
    const int64_t end = format == DD_FMT_BF16_BLOCKS ? (cols + 31) / 32 * 32 : cols;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < end; j++) {
            float x = 0;
            if (j < cols) fill(r, &x, 1, how);
            bits(b)[half_at(format, ld, i, j)] = dd_f32_to_bf16(x);
        }
}

/* ---- slices ---- */

static inline void set_slices(slices *s, rnd *r, int how, int64_t width, int64_t unit)
{
    if (how != SLICE_RANDOM) {
        slices_set(s, (slicing)how, width, unit);
        return;
    }
    memset(s, 0, sizeof *s);
    s->offset = 1;
    bool on = false;
    for (int64_t c = 0; c < width / DD_CHUNK; c++) {
        if (c * DD_CHUNK % unit == 0) on = rnd_bits(r) % 3 != 0;
        if (on) s->list[1 + ++s->list[1]] = (int32_t)c;
    }
    s->s = (dd_slices){.pool = s->list, .offset = &s->offset};
}

static inline int64_t slices_width(const slices *s, int64_t width)
{
    return s->s.pool ? 8 * (int64_t)s->list[s->offset] : width;
}

static inline int64_t slices_col(const slices *s, int64_t i)
{
    return s->s.pool ? s->list[s->offset + 1 + i / 8] * (int64_t)8 + i % 8 : i;
}

#endif
