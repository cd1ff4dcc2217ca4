/* SPDX-License-Identifier: MIT
 * What a step costs that reuses every branch, against reading as many bytes as its slots have: after every step, by the same
 * number of threads. Slots in float32 and in bf16. Prints JSON (docs/plan.md, "What a reuse step costs").
 *
 *     reuse_step [--model DiT-XL/2] [--threads N] [--repeat N] */
#define _DEFAULT_SOURCE /* getloadavg */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dydit.h"

#define STEPS 22 /* the first and the last compute; the first reuses after that are not counted */
#define FIRST 3
#define COUNTED (STEPS - 1 - FIRST)
#define MAX_REPEAT 32
#define MAX_THREADS 256

typedef struct reuse_args {
    const char *model;
    int threads, repeat;
} reuse_args;

static double now(void)
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

static double median(const double *v, int n)
{
    double sorted[MAX_REPEAT * STEPS];
    memcpy(sorted, v, (size_t)n * sizeof *v);
    qsort(sorted, (size_t)n, sizeof *v, ascending);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

typedef struct reader {
    const uint64_t *data;
    size_t n; /* a multiple of 8 */
    uint64_t sum;
} reader;

static void *read_all(void *arg)
{
    reader *r = arg;
    uint64_t s[8] = {0};
    for (size_t i = 0; i < r->n; i += 8)
        for (int k = 0; k < 8; k++) s[k] += r->data[i + (size_t)k];
    for (int k = 0; k < 8; k++) r->sum += s[k];
    return NULL;
}

/* Seconds in which the threads read all of it once, the start of the threads included; -1: there were none. */
static double time_read(const uint64_t *data, size_t bytes, int threads)
{
    pthread_t id[MAX_THREADS];
    reader part[MAX_THREADS];
    const size_t words = bytes / sizeof *data / (size_t)threads / 8 * 8;
    const double t0 = now();
    int started = 1;
    for (int i = 0; i < threads; i++) part[i] = (reader){.data = data + (size_t)i * words, .n = words};
    while (started < threads && pthread_create(&id[started], NULL, read_all, &part[started]) == 0) started++;
    read_all(&part[0]);
    for (int i = 1; i < started; i++) pthread_join(id[i], NULL);
    return started == threads ? now() - t0 : -1;
}

/* ---- steps ---------------------------------------------------------------------------------------------------- */

typedef struct watch {
    const uint64_t *data;
    size_t bytes;
    int threads;
    double last, step[STEPS], read[STEPS];
} watch;

static int on_progress(void *user, const dydit_progress *p)
{
    watch *w = user;
    const int i = p->step >= 1 && p->step <= STEPS ? p->step - 1 : 0;
    w->step[i] = now() - w->last;
    w->read[i] = time_read(w->data, w->bytes, w->threads);
    w->last = now();
    return w->read[i] < 0;
}

static void print_list(const char *name, const double *v, int n)
{
    printf("   \"%s\": [", name);
    for (int i = 0; i < n; i++) printf("%s%.6f", i ? ", " : "", v[i]);
    printf("],\n");
}

/* What a case measured: [repeat, COUNTED] steps and reads, [repeat] seconds of conditioning per step. */
typedef struct figures {
    double step[MAX_REPEAT * STEPS], read[MAX_REPEAT * STEPS], cond[MAX_REPEAT];
} figures;

static void print_case(const reuse_args *a, const char *cache, size_t bytes, const figures *f)
{
    const double *step = f->step, *read = f->read;
    const int n = a->repeat * COUNTED;
    const double s = median(step, n), r = median(read, n);
    double ratio[MAX_REPEAT];
    for (int i = 0; i < a->repeat; i++)
        ratio[i] = median(step + i * COUNTED, COUNTED) / median(read + i * COUNTED, COUNTED);
    printf("  {\n   \"cache_dtype\": \"%s\",\n   \"slot_bytes\": %zu,\n", cache, bytes);
    print_list("step_seconds", step, n);
    print_list("read_seconds", read, n);
    print_list("ratios", ratio, a->repeat);
    print_list("conditioning_seconds_per_step", f->cond, a->repeat);
    printf("   \"step_seconds_median\": %.6f,\n   \"read_seconds_median\": %.6f,\n", s, r);
    printf("   \"read_bytes_per_s\": %.4g,\n   \"ratio_median\": %.4f\n  }", (double)bytes / r,
           median(ratio, a->repeat));
}

static bool measure(dydit_model *model, const reuse_args *a, dydit_sample_options *o)
{
    static figures f;
    static watch w;
    dydit_estimate e = {.size = sizeof e};
    if (dydit_estimate_sample(model, o, &e) != DYDIT_OK) return false;
    uint64_t *data = malloc((size_t)e.slot_bytes);
    if (!data) return false;
    memset(data, 1, (size_t)e.slot_bytes);
    w = (watch){.data = data, .bytes = (size_t)e.slot_bytes, .threads = a->threads};
    o->user = &w;
    dydit_result *warm = NULL; /* weights are packed in the first run */
    bool ok = dydit_sample(model, o, &warm) == DYDIT_OK;
    dydit_result_close(&warm);
    for (int i = 0; ok && i < a->repeat; i++) {
        dydit_result *r = NULL;
        w.last = now();
        ok = dydit_sample(model, o, &r) == DYDIT_OK;
        dydit_result_close(&r);
        memcpy(f.step + i * COUNTED, w.step + FIRST, COUNTED * sizeof *f.step);
        memcpy(f.read + i * COUNTED, w.read + FIRST, COUNTED * sizeof *f.read);
        f.cond[i] = (w.step[0] - w.step[STEPS - 1]) /
                    STEPS; /* of two steps that compute, the first makes that of all */
    }
    free(data);
    if (ok) print_case(a, o->cache_dtype, (size_t)e.slot_bytes, &f);
    return ok;
}

static bool measure_all(dydit_ctx *ctx, dydit_model *model, const reuse_args *a)
{
    const int label = 207;
    char policy[32];
    double load[3] = {0};
    char *info = NULL;
    dydit_sample_options o;
    if (dydit_info(ctx, DYDIT_JSON, &info) != DYDIT_OK) return false;
    getloadavg(load, 3);
    snprintf(policy, sizeof policy, "fora:interval=%d", STEPS);
    dydit_sample_options_init(&o, sizeof o);
    o.steps = "ddim22", o.policy = policy;
    o.labels = &label, o.n_images = 1, o.progress = on_progress;
    printf("{\n \"schema\": \"dydit-reuse-step\",\n \"schema_version\": 1,\n");
    printf(" \"info\": %s,\n \"load_average\": [%.2f, %.2f, %.2f],\n", info, load[0], load[1], load[2]);
    dydit_free(info);
    printf(" \"model\": \"%s\",\n", a->model);
    printf(" \"threads\": %d,\n \"batch\": 1,\n \"guided\": true,\n \"repeat\": %d,\n \"cases\": [\n", a->threads,
           a->repeat);
    o.cache_dtype = "f32";
    if (!measure(model, a, &o)) return false;
    printf(",\n");
    o.cache_dtype = "bf16";
    if (!measure(model, a, &o)) return false;
    printf("\n ]\n}\n");
    return true;
}

static bool parse(reuse_args *a, int argc, char **argv)
{
    *a = (reuse_args){.model = "DiT-XL/2", .threads = 2, .repeat = 5};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--model") == 0) a->model = argv[i + 1];
        else if (strcmp(argv[i], "--threads") == 0) a->threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--repeat") == 0) a->repeat = atoi(argv[i + 1]);
        else return false;
    }
    return argc % 2 == 1 && a->threads >= 1 && a->threads <= MAX_THREADS && a->repeat >= 1 && a->repeat <= MAX_REPEAT;
}

int main(int argc, char **argv)
{
    reuse_args a;
    dydit_options c;
    dydit_ctx *ctx = NULL;
    dydit_model *model = NULL;
    if (!parse(&a, argc, argv)) {
        fprintf(stderr, "usage: reuse_step [--model NAME] [--threads N] [--repeat N]\n");
        return 2;
    }
    dydit_options_init(&c, sizeof c);
    c.backend = "cpu", c.threads = a.threads, c.precision = "fp32";
    const bool ok = dydit_open(&ctx, &c) == DYDIT_OK && dydit_model_random(ctx, &model, a.model, 32, 0) == DYDIT_OK &&
                    measure_all(ctx, model, &a);
    if (!ok) fprintf(stderr, "reuse_step: %s\n", dydit_message(ctx));
    dydit_model_close(&model);
    dydit_close(&ctx);
    return ok ? 0 : 1;
}
