/* SPDX-License-Identifier: MIT
 * Times the cases of a benchmark: warm-up, repeats with the probe of the peak beside each, and the run by ops. */
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/bench_stats.h"
#include "cli/stop.h"

/* One case at one batch size. */
typedef struct timing {
    bench_job *job;
    const bench_case *c;
    int batch;
    bool paired; /* a dense run beside each dynamic one */
    dydit_sample_options run, dense;
    double seconds[BENCH_MAX_REPEAT], dense_seconds[BENCH_MAX_REPEAT];
    double peak[BENCH_MAX_REPEAT]; /* multiply-adds per second; 0: cannot be measured */
    dydit_stats stats;
    json_t *settings;        /* of a run's report */
    json_t *ops, *dense_ops; /* seconds of every kind of op, or NULL */
} timing;

int bench_sample(const bench_job *job, const dydit_sample_options *o, dydit_result **r)
{
    if (cli_stop_asked()) return cli_fail(CLI_STOPPED, "stopped; nothing was written");
    const dydit_status st = dydit_sample(job->model, o, r);
    if (st == DYDIT_ERR_CANCELLED) return cli_fail(CLI_STOPPED, "stopped; nothing was written");
    return st == DYDIT_OK ? CLI_OK : cli_fail_status(job->ctx, st);
}

/* One run's seconds; *report gets its JSON report where asked for. */
static int run_once(const timing *t, const dydit_sample_options *o, dydit_stats *s, json_t **report)
{
    dydit_result *r = NULL;
    char *text = NULL;
    const int rc = bench_sample(t->job, o, &r);
    if (rc != CLI_OK) return rc;
    *s = (dydit_stats){.size = sizeof *s};
    dydit_status st = dydit_result_stats(r, s);
    if (st == DYDIT_OK && report) st = dydit_result_report(r, DYDIT_JSON, &text);
    dydit_result_close(&r);
    if (st != DYDIT_OK) return cli_fail_status(t->job->ctx, st);
    if (report) *report = json_loads(text, 0, NULL);
    dydit_free(text);
    return report && !*report ? cli_fail(CLI_SYSTEM, "out of memory") : CLI_OK;
}

/* A backend without a probe reads as 0. */
static int measure_peak(const timing *t, double *macs_per_s)
{
    const dydit_status st = dydit_measure_macs(t->job->ctx, macs_per_s);
    if (st == DYDIT_ERR_UNSUPPORTED) *macs_per_s = 0;
    return st == DYDIT_OK || st == DYDIT_ERR_UNSUPPORTED ? CLI_OK : cli_fail_status(t->job->ctx, st);
}

static int warm_up(timing *t)
{
    dydit_stats s;
    for (int i = 0; i < t->job->a.warmup; i++) {
        int rc = run_once(t, &t->run, &s, NULL);
        if (rc == CLI_OK && t->paired) rc = run_once(t, &t->dense, &s, NULL);
        if (rc != CLI_OK) return rc;
    }
    return CLI_OK;
}

/* The order within a pair alternates, so that a drift of the machine's speed favours neither. */
static int time_pair(timing *t, int i)
{
    dydit_stats dense = {0};
    json_t *report = NULL;
    int rc = CLI_OK;
    if (t->paired && i % 2 == 0) rc = run_once(t, &t->dense, &dense, NULL);
    if (rc == CLI_OK) rc = run_once(t, &t->run, &t->stats, i == 0 ? &report : NULL);
    if (rc == CLI_OK && t->paired && i % 2 == 1) rc = run_once(t, &t->dense, &dense, NULL);
    if (report) t->settings = json_incref(json_object_get(report, "settings"));
    json_decref(report);
    t->seconds[i] = t->stats.seconds;
    t->dense_seconds[i] = dense.seconds;
    return rc;
}

/* To a profiler: only the timed runs count. */
static int profiler(const timing *t, int on)
{
    const dydit_status st = dydit_profiler(t->job->ctx, on);
    return st == DYDIT_OK ? CLI_OK : cli_fail_status(t->job->ctx, st);
}

static int repeat(timing *t)
{
    double before, after;
    int rc = measure_peak(t, &before);
    if (rc == CLI_OK) rc = profiler(t, 1);
    for (int i = 0; rc == CLI_OK && i < t->job->a.repeat; i++, before = after) {
        if (!t->job->a.common.quiet && cli_stderr_is_terminal()) {
            char line[128];
            snprintf(line, sizeof line, "%s, batch %d: repeat %d of %d", bench_mode_name(t->c->mode), t->batch, i + 1,
                     t->job->a.repeat);
            cli_bar_draw(line);
        }
        rc = time_pair(t, i);
        if (rc == CLI_OK) rc = measure_peak(t, &after);
        t->peak[i] = after > before ? after : before;
    }
    cli_bar_clear();
    return rc == CLI_OK ? profiler(t, 0) : rc;
}

static int profile_one(timing *t, dydit_sample_options *o, json_t **ops)
{
    json_t *report = NULL;
    dydit_stats s;
    o->profile = 1;
    const int rc = run_once(t, o, &s, &report);
    if (rc == CLI_OK) *ops = json_incref(json_object_get(report, "profile"));
    json_decref(report);
    return rc;
}

/* Runs of their own, since waiting for every op takes time. */
static int profile(timing *t)
{
    if (!t->job->a.profile) return CLI_OK;
    const int rc = profile_one(t, &t->run, &t->ops);
    return rc == CLI_OK && t->paired ? profile_one(t, &t->dense, &t->dense_ops) : rc;
}

/* ---- the case as JSON ----------------------------------------------------------------------------------------- */

static json_t *optional(double v) { return v > 0 ? json_real(v) : json_null(); }

static json_t *spread(const double *v, int n)
{
    const bench_spread s = bench_spread_of(v, n);
    json_t *raw = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(raw, json_real(v[i]));
    return json_pack("{sfsfsfsfso}", "median", s.median, "min", s.min, "max", s.max, "mad", s.mad, "raw", raw);
}

static void add_pairs(const timing *t, json_t *c)
{
    double ratio[BENCH_MAX_REPEAT];
    const int n = t->job->a.repeat;
    if (!t->paired) return;
    for (int i = 0; i < n; i++) ratio[i] = t->seconds[i] > 0 ? t->dense_seconds[i] / t->seconds[i] : 0;
    json_t *speedup = spread(ratio, n);
    json_object_set_new(speedup, "paired", json_true());
    json_object_set_new(c, "dense_seconds", spread(t->dense_seconds, n));
    json_object_set_new(c, "speedup", speedup);
    if (t->dense_ops) json_object_set(c, "dense_ops", t->dense_ops);
}

static void add_peak(const timing *t, json_t *c)
{
    double share[BENCH_MAX_REPEAT];
    const int n = t->job->a.repeat;
    for (int i = 0; i < n; i++) {
        if (!(t->peak[i] > 0) || !(t->seconds[i] > 0)) return;
        share[i] = t->stats.macs_executed / t->seconds[i] / t->peak[i];
    }
    json_object_set_new(c, "peak_macs_per_s", spread(t->peak, n));
    json_object_set_new(c, "share_of_peak", json_real(bench_spread_of(share, n).median));
}

static json_t *case_doc(const timing *t, int n_steps)
{
    const dydit_stats *s = &t->stats;
    const bench_spread time = bench_spread_of(t->seconds, t->job->a.repeat);
    json_t *c = json_object();
    json_object_set_new(c, "mode", json_string(bench_mode_name(t->c->mode)));
    json_object_set_new(c, "ratio", optional(t->c->ratio));
    json_object_set_new(c, "tokens", optional(t->c->tokens));
    json_object_set_new(c, "batch", json_integer(t->batch));
    json_object_set_new(c, "seconds", spread(t->seconds, t->job->a.repeat));
    json_object_set_new(c, "s_per_image", json_real(time.median / t->batch));
    json_object_set_new(c, "s_per_step", json_real(time.median / n_steps));
    json_object_set_new(c, "images_per_s", json_real(time.median > 0 ? t->batch / time.median : 0));
    json_object_set_new(c, "forward_rows", json_integer(s->forward_rows));
    json_object_set_new(c, "macs_executed", json_integer((json_int_t)s->macs_executed));
    json_object_set_new(c, "macs_dense", json_integer((json_int_t)s->macs_dense));
    json_object_set_new(c, "mac_ratio", json_real(s->mac_ratio));
    json_object_set_new(c, "active",
                        json_pack("{sfsfsf}", "heads", s->heads, "groups", s->groups, "tokens", s->tokens));
    json_object_set_new(c, "peak_bytes", json_integer((json_int_t)s->peak_bytes));
    json_object_set_new(c, "graphs",
                        json_pack("{sisisisi}", "programs", s->programs, "graphs", s->graphs, "nodes", s->graph_nodes,
                                  "recorded", s->graphs_recorded));
    add_pairs(t, c);
    add_peak(t, c);
    if (t->ops) json_object_set(c, "ops", t->ops);
    return c;
}

/* What only a run can tell: the precision in force, the sampler, how many steps there were. */
static int add_protocol(const timing *t)
{
    json_t *protocol = json_object_get(t->job->doc, "protocol");
    const int rows = t->job->a.cfg_scale > 1 ? 2 * t->batch : t->batch;
    const int n_steps = (int)(t->stats.forward_rows / rows);
    static const char *const keys[] = {"sampler", "steps", "precision"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_object_set(protocol, keys[i], json_object_get(t->settings, keys[i]));
    }
    json_object_set_new(protocol, "n_steps", json_integer(n_steps));
    return n_steps;
}

static int time_case(bench_job *job, const bench_case *c, int batch)
{
    timing *t = calloc(1, sizeof *t);
    const bench_case complete = {.mode = BENCH_DENSE};
    if (!t) return cli_fail(CLI_SYSTEM, "out of memory");
    *t = (timing){
        .job = job, .c = c, .batch = batch, .paired = job->a.vs_dense && (c->mode != BENCH_DENSE || job->a.policy)};
    bench_options(job, c, batch, &t->run);
    bench_options(job, &complete, batch, &t->dense);
    bench_policy(&job->a, &t->run);
    int rc = warm_up(t);
    if (rc == CLI_OK) rc = repeat(t);
    if (rc == CLI_OK) rc = profile(t);
    if (rc == CLI_OK) json_array_append_new(json_object_get(job->doc, "cases"), case_doc(t, add_protocol(t)));
    json_decref(t->settings);
    json_decref(t->ops);
    json_decref(t->dense_ops);
    free(t);
    return rc;
}

int bench_run(bench_job *job)
{
    for (int i = 0; i < job->n_cases; i++) {
        int rc = bench_case_fit(job, &job->cases[i]);
        for (int b = 0; rc == CLI_OK && b < job->a.batches.n; b++) {
            rc = time_case(job, &job->cases[i], (int)job->a.batches.v[b]);
        }
        if (rc != CLI_OK) return rc;
    }
    bench_doc_finish(job->doc);
    return CLI_OK;
}
