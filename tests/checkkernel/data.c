/* SPDX-License-Identifier: MIT
 * Random bits, patterns of values, masks. */
#include "tests/checkkernel/data.h"

ck_rng ck_rng_open(uint64_t seed, const char *name)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (const char *p = name; *p; p++) h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    return (ck_rng){.s = h ^ (seed * 0x9e3779b97f4a7c15u)};
}

uint64_t ck_rng_bits(ck_rng *r) /* splitmix64 */
{
    uint64_t z = r->s += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int ck_rng_below(ck_rng *r, int n) { return (int)(ck_rng_bits(r) % (uint64_t)n); }

double ck_rng_unit(ck_rng *r) { return (double)(ck_rng_bits(r) >> 11) * 0x1p-53; }

double ck_rng_normal(ck_rng *r)
{
    const uint64_t b = ck_rng_bits(r);
    const int64_t sum = (int64_t)((b & 0xffff) + (b >> 16 & 0xffff) + (b >> 32 & 0xffff) + (b >> 48));
    return (double)(sum - 131070) / 37837.2272; /* 65536 / sqrt(3) */
}

const char *ck_pattern_name(ck_pattern p)
{
    static const char *const names[CK_PATTERNS] = {"uniform",  "normal", "mean100", "outliers",
                                                   "constant", "tiny",   "small",   "zeros"};
    return names[p];
}

void ck_fill(ck_rng *r, float *p, size_t n, ck_pattern how)
{
    for (size_t i = 0; i < n; i++) {
        switch (how) {
        case CK_UNIFORM: p[i] = (float)(2 * ck_rng_unit(r) - 1); break;
        case CK_MEAN100: p[i] = (float)(100 + 0.1 * ck_rng_normal(r)); break;
        case CK_OUTLIERS: p[i] = (float)(ck_rng_normal(r) * (ck_rng_below(r, 64) == 0 ? 1000 : 1)); break;
        case CK_CONSTANT: p[i] = 0.7f; break;
        case CK_TINY: p[i] = (float)(ck_rng_normal(r) * 1e-4); break;
        case CK_SMALL: p[i] = (float)(ck_rng_normal(r) * 0x1p-125); break;
        case CK_ZEROS: p[i] = 0; break;
        case CK_NORMAL:
        case CK_PATTERNS: p[i] = (float)ck_rng_normal(r); break;
        }
    }
}

const char *ck_mask_name(ck_mask m)
{
    static const char *const names[CK_MASKS] = {"null", "none", "all", "one", "alternate", "random"};
    return names[m];
}

void ck_mask_fill(ck_rng *r, bool *on, int n, ck_mask how)
{
    for (int i = 0; i < n; i++) {
        switch (how) {
        case CK_NONE: on[i] = false; break;
        case CK_ONE: on[i] = i == (n > 1 ? 1 : 0); break;
        case CK_ALTERNATE: on[i] = i % 2 == 0; break;
        case CK_RANDOM: on[i] = ck_rng_bits(r) & 1; break;
        case CK_NULL:
        case CK_ALL:
        case CK_MASKS: on[i] = true; break;
        }
    }
}
