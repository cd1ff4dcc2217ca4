/* SPDX-License-Identifier: MIT
 * Seeded data: random bits, patterns of values, masks. Everything follows from the seed and the name of a case, so that
 * a case is the same whether it runs alone or among others. */
#ifndef DD_TESTS_CHECKKERNEL_DATA_H
#define DD_TESTS_CHECKKERNEL_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ck_rng {
    uint64_t s;
} ck_rng;

ck_rng ck_rng_open(uint64_t seed, const char *name);
uint64_t ck_rng_bits(ck_rng *r);
int ck_rng_below(ck_rng *r, int n); /* 0 .. n-1 */
double ck_rng_unit(ck_rng *r);      /* [0, 1) */
double ck_rng_normal(ck_rng *r);    /* sum of four uniform values: mean 0, variance 1, at most 3.5 */

typedef enum ck_pattern {
    CK_UNIFORM,
    CK_NORMAL,
    CK_MEAN100,  /* sd 0.1: what a one-pass variance cannot stand */
    CK_OUTLIERS, /* one of 64 is 1000 times larger */
    CK_CONSTANT, /* 0.7 */
    CK_TINY,     /* sd 1e-4: the square is below the LayerNorm epsilon */
    CK_SMALL,    /* sd 2^-125: some subnormal, and so are many products with others */
    CK_ZEROS,
    CK_PATTERNS
} ck_pattern;

const char *ck_pattern_name(ck_pattern p);
void ck_fill(ck_rng *r, float *p, size_t n, ck_pattern how);

typedef enum ck_mask {
    CK_NULL, /* no list at all */
    CK_NONE,
    CK_ALL,
    CK_ONE, /* the second, or the only one */
    CK_ALTERNATE,
    CK_RANDOM,
    CK_MASKS
} ck_mask;

const char *ck_mask_name(ck_mask m);
void ck_mask_fill(ck_rng *r, bool *on, int n, ck_mask how);

#endif
