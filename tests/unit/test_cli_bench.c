/* SPDX-License-Identifier: MIT
 * Statistics of the benchmark and the rule of its comparison (docs/bench.md), on made-up times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "host/cli/bench_stats.h"

static void near(double have, double want)
{
    if (!(fabs(have - want) <= 1e-12 * fabs(want) + 1e-15)) fail_msg("%.17g is not %.17g", have, want);
}

static void spreads(void **state)
{
    (void)state;
    const double odd[5] = {3, 1, 2, 10, 4}, even[4] = {4, 1, 3, 2}, one[1] = {7};
    bench_spread s = bench_spread_of(odd, 5);
    near(s.median, 3);
    near(s.min, 1);
    near(s.max, 10);
    near(s.mad, 1); /* 2 1 0 1 7 */
    near(odd[0], 3);
    s = bench_spread_of(even, 4);
    near(s.median, 2.5);
    near(s.mad, 1); /* 1.5 0.5 0.5 1.5 */
    s = bench_spread_of(one, 1);
    near(s.median, 7);
    near(s.mad, 0);
}

static const double calm[5] = {1.00, 1.01, 0.99, 1.005, 0.995};

static bench_comparison against_calm(double factor)
{
    double now[5];
    for (int i = 0; i < 5; i++) now[i] = calm[i] * factor;
    return bench_compare_times(calm, 5, now, 5, 0.05);
}

static void verdicts(void **state)
{
    (void)state;
    assert_int_equal(against_calm(1).verdict, BENCH_SAME);
    assert_int_equal(against_calm(1.04).verdict, BENCH_SAME);
    assert_int_equal(against_calm(0.97).verdict, BENCH_SAME);
    assert_int_equal(against_calm(1.1).verdict, BENCH_SLOWER);
    assert_int_equal(against_calm(0.9).verdict, BENCH_FASTER);
    near(against_calm(1.1).change, 0.1);
    near(against_calm(1.1).needed, 0.05);
}

/* Swapping the two sides swaps the verdict. */
static void symmetric(void **state)
{
    (void)state;
    for (double factor = 0.8; factor < 1.3; factor += 0.01) {
        double now[5];
        for (int i = 0; i < 5; i++) now[i] = calm[i] * factor;
        const bench_verdict a = bench_compare_times(calm, 5, now, 5, 0.05).verdict;
        const bench_verdict b = bench_compare_times(now, 5, calm, 5, 0.05).verdict;
        assert_int_equal(a == BENCH_SLOWER, b == BENCH_FASTER);
        assert_int_equal(a == BENCH_FASTER, b == BENCH_SLOWER);
    }
}

static void noise_raises_the_bar(void **state)
{
    (void)state;
    const double noisy[5] = {1.0, 1.1, 0.9, 1.05, 0.95}, moved[5] = {1.1, 1.21, 0.99, 1.155, 1.045};
    const bench_comparison c = bench_compare_times(noisy, 5, moved, 5, 0.05);
    assert_int_equal(c.verdict, BENCH_SAME);
    /* MAD 0.05, sigma 0.07413, error of the median of 5 is 0.04155, twice in quadrature, times 3 */
    near(c.needed, 3 * sqrt(2) * 1.2533 * 1.4826 * 0.05 / sqrt(5));
    const double wild[3] = {1, 2, 3};
    assert_int_equal(bench_compare_times(wild, 3, wild, 3, 0.05).verdict, BENCH_UNCLEAR);
}

static void one_disturbed_repeat_decides_nothing(void **state)
{
    (void)state;
    const double hit[5] = {1.00, 1.01, 0.99, 9.0, 0.995};
    assert_int_equal(bench_compare_times(calm, 5, hit, 5, 0.05).verdict, BENCH_SAME);
    const double lucky[5] = {1.2, 1.21, 1.19, 0.99, 1.2}; /* its best repeat is no slower than before */
    assert_int_equal(bench_compare_times(calm, 5, lucky, 5, 0.05).verdict, BENCH_SAME);
}

static void too_little_to_go_by(void **state)
{
    (void)state;
    const double slow[5] = {2, 2, 2, 2, 2}, zero[3] = {0, 0, 0}, nan[3] = {NAN, NAN, NAN};
    assert_int_equal(bench_compare_times(calm, 2, slow, 5, 0.05).verdict, BENCH_UNCLEAR);
    assert_int_equal(bench_compare_times(calm, 5, slow, 2, 0.05).verdict, BENCH_UNCLEAR);
    assert_int_equal(bench_compare_times(calm, 0, slow, 0, 0.05).verdict, BENCH_UNCLEAR);
    assert_int_equal(bench_compare_times(zero, 3, slow, 5, 0.05).verdict, BENCH_UNCLEAR);
    assert_int_equal(bench_compare_times(nan, 3, slow, 5, 0.05).verdict, BENCH_UNCLEAR);
    assert_int_equal(bench_compare_times(calm, 5, slow, 5, 0.05).verdict, BENCH_SLOWER);
}

/* Below the absolute gate nothing counts, however large the ratio. */
static void tiny_times(void **state)
{
    (void)state;
    const double a[3] = {1e-4, 1e-4, 1e-4}, b[3] = {2e-4, 2e-4, 2e-4};
    assert_int_equal(bench_compare_times(a, 3, b, 3, 0.05).verdict, BENCH_SAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spreads),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(symmetric),
        cmocka_unit_test(noise_raises_the_bar),
        cmocka_unit_test(one_disturbed_repeat_decides_nothing),
        cmocka_unit_test(too_little_to_go_by),
        cmocka_unit_test(tiny_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
