/* SPDX-License-Identifier: MIT
 * The hash behind random labels: pinned values (the same seed must give the same labels for ever), uniformity, and
 * independence of neighbouring seeds and images. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/sample/rng.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void values_are_stable(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed, i;
        uint32_t classes, want;
    } cases[] = {{0, 0, 1000u, 281u},
                 {0, 1, 1000u, 556u},
                 {0, 2, 1000u, 638u},
                 {0x2au, 0, 1000u, 270u},
                 {0x2au, 0xc34fu, 1000u, 223u},
                 {0xffffffffffffffffu, 0xffffffffffffffffu, 1000u, 865u},
                 {0, 0x100000000u, 1000u, 969u},
                 {7, 7, 26u, 24u},
                 {0x75bcd15u, 1, 4294967295u, 3782102967u}};
    for (size_t k = 0; k < COUNT(cases); k++)
        assert_int_equal(dd_label_hash(cases[k].seed, cases[k].i, cases[k].classes), cases[k].want);
}

/* Chi-squared with 999 degrees of freedom: 999 +- 6 standard deviations (45 each), in all three directions. */
static void values_are_uniform(void **state)
{
    (void)state;
    for (int mode = 0; mode < 3; mode++) {
        static double seen[1000];
        memset(seen, 0, sizeof seen);
        const int n = 200000;
        for (int k = 0; k < n; k++) {
            const uint64_t u = (uint64_t)k;
            const uint64_t seed = mode == 0 ? 0 : mode == 1 ? u : u / 500, i = mode == 0 ? u : mode == 1 ? 3 : u % 500;
            const uint32_t label = dd_label_hash(seed, i, 1000);
            assert_true(label < 1000);
            seen[label]++;
        }
        double chi2 = 0;
        for (int c = 0; c < 1000; c++) chi2 += (seen[c] - n / 1000.0) * (seen[c] - n / 1000.0) / (n / 1000.0);
        if (!(fabs(chi2 - 999) <= 6 * 45)) fail_msg("direction %d: chi-squared %g", mode, chi2);
    }
}

/* Neighbouring images and neighbouring seeds share a label no more often than chance: 1000 of 1e6 pairs, 6
 * deviations. */
static void neighbours_are_unrelated(void **state)
{
    (void)state;
    int images = 0, seeds = 0, diagonal = 0;
    for (uint64_t k = 0; k < 1000000; k++) {
        const uint32_t a = dd_label_hash(k / 1000, k % 1000, 1000);
        images += a == dd_label_hash(k / 1000, k % 1000 + 1, 1000);
        seeds += a == dd_label_hash(k / 1000 + 1, k % 1000, 1000);
        diagonal += a == dd_label_hash(k / 1000 + 1, k % 1000 - 1, 1000);
    }
    assert_in_range(images, 1000 - 6 * 32, 1000 + 6 * 32);
    assert_in_range(seeds, 1000 - 6 * 32, 1000 + 6 * 32);
    assert_in_range(diagonal, 1000 - 6 * 32, 1000 + 6 * 32);
}

static void range_is_covered(void **state)
{
    (void)state;
    assert_int_equal(dd_label_hash(1, 2, 1), 0);
    int seen[26] = {0};
    for (uint64_t i = 0; i < 1000; i++) seen[dd_label_hash(0, i, 26)]++;
    for (int c = 0; c < 26; c++) assert_true(seen[c] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_stable),
        cmocka_unit_test(values_are_uniform),
        cmocka_unit_test(neighbours_are_unrelated),
        cmocka_unit_test(range_is_covered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
