/* SPDX-License-Identifier: MIT
 * Results as text and as JSON, and their comparison with those of another run. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/checkkernel/bench.h"

#ifndef CK_FLAGS
#define CK_FLAGS "unknown"
#endif

void ck_bench_print(const ck_bench_result *r)
{
    printf("%-12s %-18s %-7s %-44s %9.3f ms (%.3f-%.3f, %d runs)", ck_op_name(r->c->op), r->impl->name,
           dd_format_name(r->format), r->c->name, r->median_ms, r->low_ms, r->high_ms, r->runs);
    if (r->gflops > 0) printf(" %7.1f GFLOP/s", r->gflops);
    if (r->gflops > 0 && r->of_peak > 0) printf(" %5.1f %%", 100 * r->of_peak);
    printf(" %6.1f GB/s %5.1f %%\n", r->gbs, 100 * r->of_bandwidth);
}

void ck_bench_summary(const ck_bench_report *r)
{
    for (int i = 0; i < r->n; i++) {
        const ck_bench_result *q = &r->results[i];
        double sum = 0, share = 0;
        int n = 0;
        bool first = q->c->op == DD_OP_gemm;
        for (int j = 0; j < r->n; j++) {
            const ck_bench_result *p = &r->results[j];
            if (p->c->op != DD_OP_gemm || p->impl != q->impl || p->format != q->format) continue;
            if (j < i) first = false;
            sum += log(p->gflops);
            share += p->of_peak > 0 ? log(p->of_peak) : 0;
            n++;
        }
        if (!first) continue;
        printf("geometric mean of %d GEMMs, %s %s: %.1f GFLOP/s", n, q->impl->name, dd_format_name(q->format),
               exp(sum / n));
        if (q->of_peak > 0) printf(", %.1f %% of the peak", 100 * exp(share / n));
        printf("\n");
    }
}

static void cpu_model(char *out, size_t size)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(out, size, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL) continue;
        snprintf(out, size, "%s", colon + 2);
        out[strcspn(out, "\n")] = 0;
        break;
    }
    if (f) fclose(f);
}

static json_t *result_json(const ck_bench_result *q)
{
    return json_pack("{s:s s:s s:s s:s s:i s:f s:f s:f s:f s:f s:f s:f s:f}", "op", ck_op_name(q->c->op), "impl",
                     q->impl->name, "format", dd_format_name(q->format), "case", q->c->name, "runs", q->runs,
                     "median_ms", q->median_ms, "low_ms", q->low_ms, "high_ms", q->high_ms, "gflops", q->gflops,
                     "of_peak", q->of_peak, "peak_gflops", q->peak_gflops, "gbs", q->gbs, "of_bandwidth",
                     q->of_bandwidth);
}

bool ck_bench_json(const ck_bench_report *r, const char *path)
{
    char cpu[200];
    json_t *results = json_array();
    for (int i = 0; i < r->n; i++) json_array_append_new(results, result_json(&r->results[i]));
    cpu_model(cpu, sizeof cpu);
    json_t *root = json_pack("{s:s s:s s:i s:s s:s s:f s:o}", "tool", "checkkernel --bench", "cpu", cpu, "threads",
                             r->threads, "commit", r->o->commit ? r->o->commit : "unknown", "compiler", __VERSION__,
                             "read_gbs", r->bandwidth, "results", results);
    json_object_set_new(root, "flags", json_string(CK_FLAGS));
    const bool ok = json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) == 0;
    if (!ok) fprintf(stderr, "checkkernel: cannot write %s\n", path);
    json_decref(root);
    return ok;
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

bool ck_bench_compare(const ck_bench_report *r, const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error), *list = json_object_get(root, "results"), *o;
    double sum = 0;
    int n = 0;
    size_t k;
    if (root == NULL) fprintf(stderr, "checkkernel: %s: %s\n", path, error.text);
    for (int i = 0; i < r->n; i++) json_array_foreach(list, k, o)
        {
            const ck_bench_result *q = &r->results[i];
            const double old = json_number_value(json_object_get(o, "median_ms"));
            if (strcmp(text(o, "impl"), q->impl->name) != 0 || strcmp(text(o, "case"), q->c->name) != 0) continue;
            if (strcmp(text(o, "format"), dd_format_name(q->format)) != 0 || !(old > 0)) continue;
            printf("%-18s %-7s %-44s %9.3f ms, was %9.3f: %.3f times the speed\n", q->impl->name,
                   dd_format_name(q->format), q->c->name, q->median_ms, old, old / q->median_ms);
            sum += log(old / q->median_ms);
            n++;
        }
    if (n) printf("geometric mean of %d: %.3f times the speed\n", n, exp(sum / n));
    json_decref(root);
    return root != NULL;
}
