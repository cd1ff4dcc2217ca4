/* SPDX-License-Identifier: MIT
 * Which cases a benchmark has, and the plans they run. */
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"

const char *bench_mode_name(bench_mode mode)
{
    static const char *const names[BENCH_MODES] = {"dense", "tdw", "tdw+sdt", "own"};
    return mode < BENCH_MODES ? names[mode] : "?";
}

/* Random weights, or the checkpoint. */
int bench_open(bench_job *job)
{
    const bench_args *a = &job->a;
    const int rc = a->common.ckpt
                       ? cli_open(&a->common, &job->ctx, &job->model)
                       : cli_open_random(&a->common, a->common.preset, a->image_size, a->seed, &job->ctx, &job->model);
    if (rc != CLI_OK) return rc;
    job->info.size = sizeof job->info;
    const dydit_status st = dydit_model_get_info(job->model, &job->info);
    if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
    const int pixels = job->info.input_size * (job->info.is_latent ? CLI_PIXELS_PER_LATENT : 1);
    if (a->image_size > 0 && a->image_size != pixels) {
        return cli_fail(CLI_USAGE, "--image-size %d: the pictures of %s have %d x %d pixels", a->image_size,
                        a->common.ckpt, pixels, pixels);
    }
    return CLI_OK;
}

static int add_mode(bench_job *job, bench_mode mode)
{
    const bench_args *a = &job->a;
    const bool by_ratio = mode == BENCH_TDW || mode == BENCH_SDT;
    if ((mode == BENCH_SDT || mode == BENCH_OWN) && !job->info.dynamic) {
        return cli_fail(CLI_USAGE, "--mode %s: %s has no routers", bench_mode_name(mode), job->info.arch);
    }
    for (int i = 0; i < (by_ratio ? a->ratios.n : 1); i++) {
        if (job->n_cases == BENCH_MAX_CASES) return cli_fail(CLI_USAGE, "--mode: more than %d cases", BENCH_MAX_CASES);
        job->cases[job->n_cases++] = (bench_case){.mode = mode,
                                                  .ratio = by_ratio ? a->ratios.v[i] : 0,
                                                  .tokens = mode == BENCH_SDT && !a->common.ckpt ? a->tokens : 0};
    }
    return CLI_OK;
}

static int add_named(bench_job *job, const char *list)
{
    for (const char *p = list;; p++) {
        const size_t n = strcspn(p, ",");
        int mode = 0;
        while (mode < BENCH_MODES && (strlen(bench_mode_name((bench_mode)mode)) != n ||
                                      strncmp(p, bench_mode_name((bench_mode)mode), n) != 0)) {
            mode++;
        }
        if (mode == BENCH_MODES) {
            return cli_fail(CLI_USAGE, "--mode: '%.*s' is not one of dense, tdw, tdw+sdt, own", (int)(n < 60 ? n : 60),
                            p);
        }
        const int rc = add_mode(job, (bench_mode)mode);
        if (rc != CLI_OK) return rc;
        p += n;
        if (!*p) return CLI_OK;
    }
}

static int add_all(bench_job *job)
{
    const bool one_model = !job->a.later.text; /* plans of a chosen cost are of one */
    int rc = CLI_OK;
    /* Else every case is timed beside it; under a policy it is a case of its own. */
    if (!job->a.vs_dense || job->a.policy || !one_model) rc = add_mode(job, BENCH_DENSE);
    if (rc == CLI_OK && one_model) rc = add_mode(job, BENCH_TDW);
    if (rc == CLI_OK && one_model && job->info.dynamic) rc = add_mode(job, BENCH_SDT);
    if (rc == CLI_OK && job->info.dynamic && job->a.common.ckpt) rc = add_mode(job, BENCH_OWN);
    return rc;
}

static int build_plan(const bench_job *job, bench_case *c, double tokens)
{
    dydit_sample_options o;
    dydit_plan *plan = NULL;
    bench_options(job, c, 1, &o);
    o.plan = NULL;
    const dydit_status st = c->mode == BENCH_TDW || c->mode == BENCH_SDT
                                ? dydit_plan_synthetic(job->model, &o, c->ratio, tokens, &plan)
                                : dydit_plan_build(job->model, &o, &plan); /* only to find faults early */
    if (st != DYDIT_OK && c->ratio > 0) {
        return cli_fail(cli_exit_code(st), "--ratio %g of %s: %s", c->ratio, bench_mode_name(c->mode),
                        dydit_message(job->ctx));
    }
    if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
    dydit_plan_close(&c->plan);
    if (c->ratio > 0) c->plan = plan;
    else dydit_plan_close(&plan);
    return CLI_OK;
}

static int make_labels(bench_job *job)
{
    int most = 1;
    for (int i = 0; i < job->a.batches.n; i++) {
        if ((int)job->a.batches.v[i] > most) most = (int)job->a.batches.v[i];
    }
    job->labels = malloc((size_t)most * sizeof *job->labels);
    if (!job->labels) return cli_fail(CLI_SYSTEM, "out of memory for %d labels", most);
    const dydit_status st = dydit_labels_random(job->model, job->a.seed, 0, most, job->labels);
    return st == DYDIT_OK ? CLI_OK : cli_fail_status(job->ctx, st);
}

int bench_cases_build(bench_job *job)
{
    int rc = job->a.modes ? add_named(job, job->a.modes) : add_all(job);
    if (rc == CLI_OK) rc = make_labels(job);
    for (int i = 0; rc == CLI_OK && i < job->n_cases; i++) {
        bench_case *c = &job->cases[i];
        rc = build_plan(job, c, c->mode == BENCH_SDT ? job->a.tokens : 1);
    }
    return rc;
}

/* One run tells what the routers really keep, so the widths are chosen again with the error taken out. */
static int correct_ratio(bench_job *job, bench_case *c, double *asked)
{
    dydit_sample_options o;
    dydit_result *r = NULL;
    dydit_stats s = {.size = sizeof s};
    bench_options(job, c, 1, &o);
    int rc = bench_sample(job, &o, &r);
    if (rc != CLI_OK) return rc;
    const dydit_status st = dydit_result_stats(r, &s);
    dydit_result_close(&r);
    if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
    const double next = *asked * c->ratio * s.mac_ratio;
    dydit_plan *plan = NULL;
    if (dydit_plan_synthetic(job->model, &o, next, job->a.tokens, &plan) != DYDIT_OK) {
        if (!job->a.common.quiet)
            cli_note("%s %g: no widths come nearer to this ratio", bench_mode_name(c->mode), c->ratio);
        return CLI_OK; /* the plan stays as it was */
    }
    dydit_plan_close(&c->plan);
    c->plan = plan;
    *asked = next;
    return CLI_OK;
}

int bench_case_fit(bench_job *job, bench_case *c)
{
    const bool random = !job->a.common.ckpt;
    dydit_sample_options o;
    double asked = c->ratio;
    if (c->mode != BENCH_SDT) return CLI_OK;
    bench_options(job, c, 1, &o);
    const dydit_status st = random ? dydit_model_calibrate(job->model, &o, c->tokens) : DYDIT_OK;
    if (st == DYDIT_ERR_CANCELLED) return cli_fail(CLI_STOPPED, "stopped; nothing was written");
    if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
    int rc = correct_ratio(job, c, &asked);
    if (rc == CLI_OK && !random) rc = correct_ratio(job, c, &asked); /* it began further off */
    return rc;
}

void bench_cases_free(bench_job *job)
{
    for (int i = 0; i < job->n_cases; i++) dydit_plan_close(&job->cases[i].plan);
    free(job->labels);
}
