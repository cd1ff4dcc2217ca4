/* SPDX-License-Identifier: MIT
 * Robust statistics: one repeat that was disturbed must not decide anything. */
#include "cli/bench_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAD_TO_SIGMA 1.4826   /* of a normal distribution */
#define MEDIAN_TO_MEAN 1.2533 /* standard error of a median over that of a mean */
#define SIGMAS 3.0            /* of the difference */
#define NOISE_MAX 0.25        /* wider spreads allow no verdict */
#define LEAST_SECONDS 0.0002  /* smaller differences are the clock's and the scheduler's */

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

bench_spread bench_spread_of(const double *v, int n)
{
    double t[BENCH_MAX_REPEAT];
    bench_spread s;
    memcpy(t, v, (size_t)n * sizeof *t);
    s.median = median_of(t, n);
    s.min = t[0];
    s.max = t[n - 1];
    for (int i = 0; i < n; i++) t[i] = fabs(v[i] - s.median);
    s.mad = median_of(t, n);
    return s;
}

const char *bench_verdict_name(bench_verdict v)
{
    switch (v) {
    case BENCH_SAME: return "same";
    case BENCH_FASTER: return "faster";
    case BENCH_SLOWER: return "slower";
    case BENCH_UNCLEAR: break;
    }
    return "unclear";
}

/* Relative standard error of a median. */
static double relative_error(const bench_spread *s, int n)
{
    return MEDIAN_TO_MEAN * MAD_TO_SIGMA * s->mad / sqrt((double)n) / s->median;
}

bench_comparison bench_compare_times(const double *before, int n_before, const double *now, int n_now, double limit)
{
    bench_comparison c = {BENCH_UNCLEAR, 0, limit};
    if (n_before < 1 || n_now < 1) return c;
    const bench_spread a = bench_spread_of(before, n_before), b = bench_spread_of(now, n_now);
    if (!(a.median > 0) || !(b.median > 0)) return c;
    const double ea = relative_error(&a, n_before), eb = relative_error(&b, n_now);
    const double noise = SIGMAS * sqrt(ea * ea + eb * eb);
    c.change = b.median / a.median - 1;
    if (noise > c.needed) c.needed = noise;
    if (n_before < BENCH_MIN_REPEAT || n_now < BENCH_MIN_REPEAT || noise > NOISE_MAX) return c;
    const int matters = fabs(b.median - a.median) > LEAST_SECONDS;
    if (matters && c.change > c.needed && b.min > a.median) c.verdict = BENCH_SLOWER;
    else if (matters && 1 / (1 + c.change) - 1 > c.needed && b.max < a.median) c.verdict = BENCH_FASTER;
    else c.verdict = BENCH_SAME;
    return c;
}
