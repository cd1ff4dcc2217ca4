/* SPDX-License-Identifier: MIT
 * What the tests of bf16 kernels share: matrices in any format, and the paths that can be run here. */
#ifndef DD_TESTS_UNIT_BF16_TEST_H
#define DD_TESTS_UNIT_BF16_TEST_H

#include "tests/unit/kernel_test.h"

#define BF16_EPS 0x1p-8 /* the error of one rounding to bf16 (8 significant bits), relative */
#define TINY 0x1p-126   /* what a flushed value may lose */

/* A bf16 path that CPU (or the emulation) has; DYDIT_ISA_TRUST=1 takes one that CPUID hides, as in the program. */
static inline bool bf16_path(dd_cpu_isa isa)
{
    const char *trust = getenv("DYDIT_ISA_TRUST");
    if (!dd_cpu_has_bf16(isa)) return false;
    return dd_cpu_has(isa) || (trust && strcmp(trust, "1") == 0 && dd_cpu_may_have(isa));
}

#define FOR_BF16_PATHS(isa)                                           \
    for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa < DD_ISA_COUNT; isa++) \
        if (!bf16_path(isa)) continue;                                \
        else

/* To begin each test with. */
static inline void bf16_or_skip(void)
{
    int n = 0;
    FOR_BF16_PATHS(isa) n++;
    if (n > 0) return;
    print_message("this CPU has no bf16 instructions\n");
    skip();
}

typedef struct mat {
    buf b; /* of poison between guards */
    dd_format format;
    int64_t rows, ld;
} mat;

static inline mat mat_open(dd_format format, int64_t rows, int64_t width, int64_t spare)
{
    mat m = {.format = format, .rows = rows, .ld = width + spare};
    if (format == DD_FMT_BF16_BLOCKS) m.ld = (width + spare + DD_BLOCK - 1) / DD_BLOCK * DD_BLOCK;
    const int64_t high = format == DD_FMT_BF16_BLOCKS ? (rows + DD_BLOCK - 1) / DD_BLOCK * DD_BLOCK : rows;
    m.b = buf_open((size_t)(format == DD_FMT_F32 ? high * m.ld : (high * m.ld + 1) / 2));
    return m;
}

static inline void mat_close(mat *m) { buf_close(&m->b); }

static inline uint16_t *mat_half(const mat *m, int64_t row, int64_t col)
{
    uint16_t *p = (uint16_t *)(void *)m->b.p;
    return p + (m->format == DD_FMT_BF16 ? row * m->ld + col : dd_block_at(m->ld, row, col));
}

static inline uint32_t mat_bits(const mat *m, int64_t row, int64_t col)
{
    return m->format == DD_FMT_F32 ? dd_f32_bits(m->b.p[row * m->ld + col]) : *mat_half(m, row, col);
}

static inline float mat_at(const mat *m, int64_t row, int64_t col)
{
    const uint32_t bits = mat_bits(m, row, col);
    return m->format == DD_FMT_F32 ? dd_f32_from_bits(bits) : dd_bf16_to_f32((uint16_t)bits);
}

static inline void mat_set(mat *m, int64_t row, int64_t col, float x)
{
    if (m->format == DD_FMT_F32) m->b.p[row * m->ld + col] = x;
    else *mat_half(m, row, col) = dd_f32_to_bf16(x);
}

/* Random columns 0 .. width-1 of every row; zeros behind them in blocks. */
static inline mat mat_random(rnd *r, dd_format format, int64_t rows, int64_t width, int64_t spare, pattern how)
{
    mat m = mat_open(format, rows, width, spare);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < width; j++) {
            float x;
            fill(r, &x, 1, how);
            mat_set(&m, i, j, x);
        }
        for (int64_t j = width; format == DD_FMT_BF16_BLOCKS && j % DD_BLOCK != 0; j++) mat_set(&m, i, j, 0);
    }
    return m;
}

static inline mat mat_clone(const mat *m)
{
    mat c = *m;
    c.b = buf_clone(&m->b);
    return c;
}

/* Zeros behind `width` up to a block, and everything from there on as it was before; rows that only round up a block
 * hold anything. */
static inline void mat_check_rest(const mat *m, const mat *before, int64_t width, const char *what)
{
    int64_t j = width;
    for (int64_t i = 0; i < m->rows; i++) {
        for (j = width; m->format == DD_FMT_BF16_BLOCKS && j % DD_BLOCK != 0; j++)
            if (mat_bits(m, i, j) != 0) fail_msg("%s: no zero at %lld,%lld", what, (long long)i, (long long)j);
        for (; j < m->ld; j++)
            if (mat_bits(m, i, j) != mat_bits(before, i, j))
                fail_msg("%s: %lld,%lld was written", what, (long long)i, (long long)j);
    }
}

/* ---- weights ---- */

/* Rounds data to values of bf16 first. */
static inline weight weight_bf16_pack(buf data, int64_t n, int64_t k, int64_t unit)
{
    for (size_t i = 0; i < data.n; i++) data.p[i] = dd_bf16_to_f32(dd_f32_to_bf16(data.p[i]));
    return weight_pack_as(data, n, k, unit, DD_BF16);
}

#endif
