/* SPDX-License-Identifier: MIT
 * Medians and spreads of repeated timings, and whether two sets of them differ (docs/bench.md, "Comparing"). */
#ifndef CLI_BENCH_STATS_H
#define CLI_BENCH_STATS_H

#define BENCH_MAX_REPEAT 1000
#define BENCH_MIN_REPEAT 3 /* fewer repeats tell no spread */

typedef struct bench_spread {
    double median, min, max;
    double mad; /* median of the distances from the median */
} bench_spread;

/* v [n], 1 <= n <= BENCH_MAX_REPEAT; v is left as it is. */
bench_spread bench_spread_of(const double *v, int n);

typedef enum bench_verdict { BENCH_SAME, BENCH_FASTER, BENCH_SLOWER, BENCH_UNCLEAR } bench_verdict;
const char *bench_verdict_name(bench_verdict v); /* "slower" */

typedef struct bench_comparison {
    bench_verdict verdict;
    double change; /* new median over old one, less 1 */
    double needed; /* change that would count: the limit, or what the spread asks for if that is more */
} bench_comparison;

/* Seconds before and now; limit: smallest change that matters, 0.05 = 5 %. */
bench_comparison bench_compare_times(const double *before, int n_before, const double *now, int n_now, double limit);

#endif
