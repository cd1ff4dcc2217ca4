/* SPDX-License-Identifier: MIT
 * Random streams: hashes and values that PyTorch 1.13.1 gave on x86-64 with AVX2, and known answers of the
 * generator. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host/sample/normal.h"
#include "host/sample/rng.h"
#include "kernels/dtype.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define BIG (8 * 4 * 32 * 32)

static dd_torch_rng g;
static float values[BIG], other[BIG];

/* ---- SHA-256 (FIPS 180-4) of float32 values as little-endian bytes ---- */

static uint32_t rotr(uint32_t x, int n) { return x >> n | x << (32 - n); }

/* The first 32 bits of the fractional part of x, x below 20. */
static uint32_t fraction(long double x) { return (uint32_t)((x - floorl(x)) * 0x1p32L); }

static void sha256_block(uint32_t h[8], const uint32_t k[64], const uint8_t *p)
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++, p += 4)
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (int i = 16; i < 64; i++) {
        const uint32_t a = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
        const uint32_t b = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    memcpy(s, h, sizeof s);
    for (int i = 0; i < 64; i++) {
        const uint32_t e = rotr(s[4], 6) ^ rotr(s[4], 11) ^ rotr(s[4], 25),
                       a = rotr(s[0], 2) ^ rotr(s[0], 13) ^ rotr(s[0], 22);
        const uint32_t t1 = s[7] + e + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
        const uint32_t t2 = a + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof s[0]);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
}

/* The constants are the first fractional bits of square and cube roots of the first primes. */
static void sha256_hex(const float *v, size_t n, char hex[65])
{
    uint32_t h[8], k[64];
    for (int p = 2, found = 0; found < 64; p++) {
        int prime = 1;
        for (int d = 2; d * d <= p; d++) prime &= p % d != 0;
        if (!prime) continue;
        if (found < 8) h[found] = fraction(sqrtl(p));
        k[found++] = fraction(cbrtl(p));
    }
    uint8_t block[64];
    const uint64_t bytes = n * 4, total = (bytes + 9 + 63) / 64 * 64;
    for (uint64_t at = 0; at < total; at++) {
        uint8_t byte = 0;
        if (at < bytes) byte = (uint8_t)(dd_f32_bits(v[at / 4]) >> (at % 4 * 8));
        else if (at == bytes) byte = 0x80;
        else if (at >= total - 8) byte = (uint8_t)(bytes * 8 >> ((total - 1 - at) * 8));
        block[at % 64] = byte;
        if (at % 64 == 63) sha256_block(h, k, block);
    }
    for (int i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08x", (unsigned)h[i]);
}

static void sha256_known_answers(void **state)
{
    (void)state;
    char hex[65];
    sha256_hex(values, 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    const float text = dd_f32_from_bits(0x64636261u); /* "abcd" */
    sha256_hex(&text, 1, hex);
    assert_string_equal(hex, "88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589");
}

/* ---- the generator ---- */

static void mt19937_known_answers(void **state)
{
    (void)state;
    static const uint32_t want[] = {3499211612u, 581869302u, 3890346734u, 3586334585u, 545404204u};
    dd_torch_seed(&g, 5489);
    for (size_t i = 0; i < COUNT(want); i++) assert_int_equal(dd_torch_u32(&g), want[i]);
    uint32_t last = 0;
    for (int i = 5; i < 10000; i++) last = dd_torch_u32(&g);
    assert_int_equal(last, 4123659995u); /* the 10000th, as the C++ standard has it */
}

static void only_the_low_half_of_a_seed_counts(void **state)
{
    (void)state;
    dd_torch_seed(&g, 5);
    const uint32_t a = dd_torch_u32(&g);
    dd_torch_seed(&g, (UINT64_C(1) << 32) + 5);
    assert_int_equal(dd_torch_u32(&g), a);
}

static void rand_first_words(void **state)
{
    (void)state;
    static const uint32_t want[] = {0x3efe1558u, 0x3f44aa2fu, 0x3db533a8u, 0x3e073300u};
    dd_torch_seed(&g, 0);
    for (size_t i = 0; i < COUNT(want); i++)
        assert_int_equal(dd_f32_bits((float)(dd_torch_u32(&g) & 0xffffffu) * 0x1p-24f), want[i]);
}

static void randint_lists(void **state)
{
    (void)state;
    static const uint32_t want[2][8] = {{44, 239, 933, 760, 963, 379, 427, 503},
                                        {542, 67, 876, 414, 26, 335, 620, 924}};
    for (int s = 0; s < 2; s++) {
        dd_torch_seed(&g, s ? 42 : 0);
        for (int i = 0; i < 8; i++) assert_int_equal(dd_torch_randint(&g, 1000), want[s][i]);
    }
}

/* ---- randn ---- */

static void randn_hashes(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed;
        const char *hash;
    } cases[] = {{0, "314e575b52e5779b8478bcbf344af70f0453ca8d19810daefef634a731ee32ed"},
                 {42, "2d20b77660fde17ac30bb287198be94fc36668f27ef670bdfe44234ea211f4cb"}};
    static const uint32_t first[] = {0xbf901b85u, 0xbf93808au, 0xbe804bd6u, 0xbede255du};
    for (size_t k = 0; k < COUNT(cases); k++) {
        char hex[65];
        dd_torch_seed(&g, cases[k].seed);
        dd_torch_randn(&g, values, BIG);
        if (k == 0)
            for (size_t i = 0; i < COUNT(first); i++) assert_int_equal(dd_f32_bits(values[i]), first[i]);
        sha256_hex(values, BIG, hex);
        assert_string_equal(hex, cases[k].hash);
    }
}

static void whole_blocks_are_a_prefix_of_more(void **state)
{
    (void)state;
    dd_torch_seed(&g, 7);
    dd_torch_randn(&g, values, BIG);
    for (size_t n = 16; n <= 4096; n *= 4) {
        dd_torch_seed(&g, 7);
        dd_torch_randn(&g, other, n);
        assert_memory_equal(values, other, n * sizeof *values);
    }
}

/* n % 16 != 0: n uniforms, then 16 more for the last 16 places. */
static void the_tail_is_drawn_anew(void **state)
{
    (void)state;
    static const size_t sizes[] = {17, 23, 31, 33, 100};
    for (size_t k = 0; k < COUNT(sizes); k++) {
        const size_t n = sizes[k];
        dd_torch_seed(&g, 3);
        for (size_t i = 0; i < n; i++) values[i] = (float)(dd_torch_u32(&g) & 0xffffffu) * 0x1p-24f;
        dd_normal_blocks(values, n / 16);
        dd_torch_randn(&g, values + n - 16, 16); /* a block of its own continues the stream alike */
        const uint32_t next = dd_torch_u32(&g);

        dd_torch_seed(&g, 3);
        other[n] = 1e30f;
        dd_torch_randn(&g, other, n);
        assert_memory_equal(values, other, n * sizeof *values);
        assert_true(other[n] == 1e30f);
        assert_int_equal(dd_torch_u32(&g), next);
    }
}

/* Fewer than 16: the double path. torch prints 4 decimals. */
static void short_draws(void **state)
{
    (void)state;
    static const double want[] = {1.5410, -0.2934, -2.1788, 0.5684};
    dd_torch_seed(&g, 0);
    dd_torch_randn(&g, values, 15);
    for (size_t i = 0; i < COUNT(want); i++) assert_true(fabs((double)values[i] - want[i]) <= 0.5e-4 + 1e-7);

    /* Split at odd places: the second value of a pair waits for the next call, over a long draw too. */
    dd_torch_seed(&g, 0);
    dd_torch_randn(&g, other, 1);
    dd_torch_randn(&g, other + 1, 3);
    dd_torch_randn(&g, other + 4, 0);
    dd_torch_randn(&g, other + 4, 11);
    assert_memory_equal(values, other, 15 * sizeof *values);

    dd_torch_seed(&g, 0);
    dd_torch_randn(&g, other, 1);
    dd_torch_randn(&g, other + 100, 64);
    dd_torch_randn(&g, other + 1, 1);
    assert_memory_equal(values, other, 2 * sizeof *values);

    dd_torch_seed(&g, 0); /* and is forgotten by a new seed */
    assert_int_equal(g.has_cached, 0);
}

static void both_implementations_agree(void **state)
{
    (void)state;
    dd_torch_seed(&g, 11);
    for (size_t i = 0; i < BIG; i++) values[i] = (float)(dd_torch_u32(&g) & 0xffffffu) * 0x1p-24f;
    static const float edges[] = {0.0f, 0x1p-24f, 0.25f, 0.29289323f, 0.5f, 0.75f, 0.9f, 0x1.fffffep-1f};
    for (size_t i = 0; i < 8; i++)
        for (size_t j = 0; j < 8; j++) values[16 * i + j] = edges[j], values[16 * i + 8 + j] = edges[(i + j) % 8];
    memcpy(other, values, sizeof other);
    dd_normal_blocks_portable(values, BIG / 16);
    dd_normal_blocks_fma(other, BIG / 16);
    assert_memory_equal(values, other, sizeof other);
    for (size_t i = 0; i < BIG; i++) assert_true(dd_f32_finite(values[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_known_answers),
        cmocka_unit_test(mt19937_known_answers),
        cmocka_unit_test(only_the_low_half_of_a_seed_counts),
        cmocka_unit_test(rand_first_words),
        cmocka_unit_test(randint_lists),
        cmocka_unit_test(randn_hashes),
        cmocka_unit_test(whole_blocks_are_a_prefix_of_more),
        cmocka_unit_test(the_tail_is_drawn_anew),
        cmocka_unit_test(short_draws),
        cmocka_unit_test(both_implementations_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
