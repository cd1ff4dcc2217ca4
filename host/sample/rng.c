/* SPDX-License-Identifier: MIT
 * Random streams: Mersenne Twister (Matsumoto & Nishimura 1998) drawn from in the order of PyTorch's CPU generator, and
 * the counter-based hash for labels. Facts about the order are checked by hash in tests/unit/test_rng.c. */
#include "host/sample/rng.h"

#include <math.h>

#include "host/sample/normal.h"

#define MT_N 624
#define MT_M 397

void dd_torch_seed(dd_torch_rng *g, uint64_t seed)
{
    g->mt[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < MT_N; i++) g->mt[i] = 1812433253u * (g->mt[i - 1] ^ (g->mt[i - 1] >> 30)) + i;
    g->pos = MT_N;
    g->has_cached = 0;
    g->cached = 0;
}

static void mt_refill(dd_torch_rng *g)
{
    for (int i = 0; i < MT_N; i++) {
        const uint32_t y = (g->mt[i] & 0x80000000u) | (g->mt[(i + 1) % MT_N] & 0x7fffffffu);
        g->mt[i] = g->mt[(i + MT_M) % MT_N] ^ (y >> 1) ^ (y & 1u ? 0x9908b0dfu : 0u);
    }
    g->pos = 0;
}

uint32_t dd_torch_u32(dd_torch_rng *g)
{
    if (g->pos >= MT_N) mt_refill(g);
    uint32_t y = g->mt[g->pos++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static void uniforms(dd_torch_rng *g, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = (float)(dd_torch_u32(g) & 0xffffffu) * 0x1p-24f;
}

static double uniform_double(dd_torch_rng *g)
{
    const uint64_t high = dd_torch_u32(g);
    const uint64_t word = high << 32 | dd_torch_u32(g);
    return (double)(word & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

/* Box-Muller one by one, in double: each pair of uniforms gives a value and one kept for the next call. */
static double normal_double(dd_torch_rng *g)
{
    if (g->has_cached) {
        g->has_cached = 0;
        return g->cached;
    }
    const double u1 = uniform_double(g), u2 = uniform_double(g);
    const double r = sqrt(-2.0 * log1p(-u2)), theta = 2.0 * 3.14159265358979323846 * u1;
    g->cached = r * sin(theta);
    g->has_cached = 1;
    return r * cos(theta);
}

void dd_torch_randn(dd_torch_rng *g, float *dst, size_t n)
{
    if (n < 16) {
        for (size_t i = 0; i < n; i++) dst[i] = (float)normal_double(g);
        return;
    }
    uniforms(g, dst, n);
    dd_normal_blocks(dst, n / 16);
    if (n % 16 != 0) { /* the last 16 values are drawn anew, overlapping the last whole block */
        uniforms(g, dst + n - 16, 16);
        dd_normal_blocks(dst + n - 16, 1);
    }
}

uint32_t dd_torch_randint(dd_torch_rng *g, uint32_t range)
{
    const uint32_t r = dd_torch_u32(g);
    return range ? r % range : r;
}

/* Finaliser of SplitMix64 (Steele, Lea & Flood 2014, constants of D. Stafford's variant 13): a bijection. */
static uint64_t mix64(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint32_t dd_label_hash(uint64_t seed, uint64_t i, uint32_t classes)
{
    const uint64_t golden = 0x9e3779b97f4a7c15u;
    const uint64_t h = mix64(mix64(seed + golden) ^ mix64(i * golden + 1));
    return (uint32_t)(((h >> 32) * classes) >> 32);
}
