/* SPDX-License-Identifier: MIT
 * Measures: every case of bench_cases.c on every implementation that is here, next to the peak of the CPU (probed before
 * and after every case) and its memory bandwidth, in one process. Warm-up, then runs until there are enough; weights
 * rotate, so that those of a GEMM come from memory as they do in a network. */
#include "tests/checkkernel/bench.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/base/pool.h"
#include "kernels/cpu/peak.h"

#define MIN_RUNS 11
#define MAX_RUNS 400
#define MIN_SECONDS 0.15

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- what the machine can do ---- */

typedef struct probe_job {
    const dd_cpu_probe *probe;
    int64_t rounds;
    const char *memory;
    size_t lines; /* of each item */
    uint64_t sums[CK_MAX_THREADS];
} probe_job;

static void probe_task(void *arg, int item, int thread)
{
    const probe_job *j = arg;
    (void)item;
    (void)thread;
    j->probe->run(j->rounds);
}

static void read_task(void *arg, int item, int thread)
{
    probe_job *j = arg;
    (void)thread;
    j->sums[item] += dd_cpu_read_lines(j->memory + (size_t)item * j->lines * 64, j->lines);
}

static double best_of(ck_exec *e, dd_task *task, probe_job *j, int repeats)
{
    double best = 1e30;
    for (int i = 0; i < repeats; i++) {
        const double start = seconds();
        e->exec.parallel_for(e->exec.pool, e->threads, task, j);
        const double t = seconds() - start;
        if (t < best) best = t;
    }
    return best;
}

static double peak_gflops(ck_exec *e, const ck_impl *impl, bool bf16)
{
    probe_job j = {.probe = impl->isa >= 0 ? dd_cpu_peak_probe((dd_cpu_isa)impl->isa, bf16) : NULL, .rounds = 1000};
    if (j.probe == NULL) return 0;
    while (best_of(e, probe_task, &j, 1) < 0.005) j.rounds *= 2;
    return 2e-9 * j.probe->macs_per_round * (double)j.rounds * e->threads / best_of(e, probe_task, &j, 3);
}

static double read_gbs(ck_exec *e)
{
    const size_t bytes = (size_t)256 << 20;
    char *memory = ck_alloc(bytes);
    probe_job j = {.memory = memory, .lines = bytes / 64 / (size_t)e->threads};
    memset(memory, 1, bytes);
    const double t = best_of(e, read_task, &j, 9);
    free(memory);
    return 1e-9 * 64 * (double)j.lines * e->threads / t;
}

/* ---- one case ---- */

static dd_status run_once(ck_bench_work *w, const ck_bench_case *c, const ck_impl *impl, ck_exec *e, int i,
                          double *took)
{
    if (ck_ops[c->op]->bind) ck_ops[c->op]->bind(&w->args, w->weights[i % w->n_weights]);
    dd_gated_add_args *g = &w->args.gated_add;
    const int64_t branch = c->rows ? c->rows : c->m, set = i % CK_BENCH_STEP * DD_MAX_BRANCHES;
    for (int b = 0; c->op == DD_OP_gated_add && b < g->n; b++) g->branch[b].f = w->branches + (set + b) * branch * g->d;
    const double start = seconds();
    const dd_status st = ck_call(impl->ops, c->op, &e->exec, &w->args);
    *took = seconds() - start;
    return st;
}

static bool measure(ck_bench_report *r, const ck_bench_case *c, const ck_impl *impl, dd_format format, ck_exec *e)
{
    static double times[MAX_RUNS];
    ck_bench_work w;
    double total = 0, took;
    int n = 0;
    dd_status st = ck_bench_open(&w, c, impl, format);
    ck_exec_prepare(e, w.scratch, 0);
    for (int i = 0; i < 2 && st == DD_OK; i++) st = run_once(&w, c, impl, e, i, &took);
    const bool bf16 = format != DD_FMT_F32;
    double peak = peak_gflops(e, impl, bf16);
    while (st == DD_OK && n < MAX_RUNS && (n < MIN_RUNS || total < MIN_SECONDS)) {
        st = run_once(&w, c, impl, e, n + 2, &took);
        total += times[n++] = took;
    }
    ck_bench_close(&w);
    peak = fmax(peak, peak_gflops(e, impl, bf16));
    if (st != DD_OK) {
        printf("%-12s %-18s %-44s %s\n", ck_op_name(c->op), impl->name, c->name, ck_status_name(st));
        return false;
    }
    qsort(times, (size_t)n, sizeof *times, ascending);
    ck_bench_result q = {.c = c, .impl = impl, .format = format, .runs = n};
    q.low_ms = 1e3 * times[n / 10];
    q.median_ms = 1e3 * times[n / 2];
    q.high_ms = 1e3 * times[n * 9 / 10];
    q.gflops = 1e-6 * w.flops / q.median_ms;
    q.gbs = 1e-6 * w.bytes / q.median_ms;
    q.peak_gflops = peak;
    if (peak > 0) q.of_peak = q.gflops / peak;
    q.of_bandwidth = q.gbs / r->bandwidth;
    if (r->n < r->capacity) r->results[r->n++] = q;
    ck_bench_print(&q);
    return true;
}

/* The reference takes part only if it is named. */
static bool takes_part(const ck_options *o, const ck_impl *impl)
{
    return impl->missing == NULL && ck_wanted(o->impl, impl->name) && (o->impl || impl->isa >= 0);
}

int ck_run_bench(const ck_options *o)
{
    int n_impls;
    const ck_impl *impls = ck_impls(&n_impls);
    ck_bench_report r = {
        .o = o, .threads = o->threads ? o->threads : dd_cpu_count(), .capacity = 2 * n_impls * ck_bench_n};
    ck_exec e;
    bool ok = true;
    r.results = ck_alloc((size_t)r.capacity * sizeof *r.results);
    ck_exec_open(&e, r.threads);
    r.bandwidth = read_gbs(&e);
    printf("%d threads, reading %.1f GB/s\n", r.threads, r.bandwidth);
    for (int k = 0; k < n_impls; k++) {
        if (!takes_part(o, &impls[k])) continue;
        for (int f = 0; f < (impls[k].bf16 == DD_FMT_F32 ? 1 : 2); f++) {
            for (int i = 0; i < ck_bench_n; i++) {
                const ck_bench_case *c = &ck_bench_cases[i];
                if (!ck_wanted(o->op, ck_op_name(c->op)) || (o->case_name && fnmatch(o->case_name, c->name, 0) != 0))
                    continue;
                if (f == 1 && c->op == DD_OP_route) continue; /* always float32 */
                ok &= measure(&r, c, &impls[k], f ? impls[k].bf16 : DD_FMT_F32, &e);
            }
        }
    }
    ck_bench_summary(&r);
    if (o->json) ok &= ck_bench_json(&r, o->json);
    if (o->compare) ok &= ck_bench_compare(&r, o->compare);
    ck_exec_close(&e);
    free(r.results);
    if (r.n == 0) printf("nothing was timed\n");
    return ok && r.n > 0 ? 0 : 1;
}
