/* SPDX-License-Identifier: MIT
 * Errors for a search: of the output of single steps by forward passes (host/exec/probe.h), and how much of that is left in
 * the picture by whole runs in which one step reuses everything. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/api_search.h"
#include "host/plan/report.h"

#define PROBED_SOURCES 25 /* at most; longer runs are probed at every n-th step */

int dd_search_pass(void *search)
{
    dd_search *s = search;
    s->passes++;
    if (!s->s.progress) return 0;
    return s->s.progress(s->s.user, s->all_passes ? (double)s->passes / (double)s->all_passes : 0);
}

static int on_step(void *search, const dydit_progress *p)
{
    (void)p;
    return dd_search_pass(search);
}

/* One run of a plan; *r: the caller closes it. */
static dd_status sample(dd_search *s, dd_plan *plan, int keep_trajectory, dydit_result **r)
{
    const dydit_plan handle = {.model = s->model, .plan = plan};
    dydit_sample_options o = s->o;
    o.plan = &handle;
    o.keep_trajectory = keep_trajectory;
    o.progress = on_step;
    o.user = s;
    return dd_api_sample(s->model, &o, NULL, r, s->err);
}

static dd_status ratio_of(const dd_search *s, const dydit_result *r, double *ratio)
{
    dd_executed e;
    const dd_status st = dd_executed_init(&e, r, s->err);
    if (st == DD_OK) *ratio = dd_cost_ratio(dd_report_cost_run(&e.part[0]));
    dd_executed_fini(&e);
    return st;
}

static double error_of(const dydit_result *r, const dydit_result *ref)
{
    const size_t n = (size_t)ref->n * (size_t)ref->model->m->cfg.latent_count;
    double sum = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = (double)r->out.latents[i] - (double)ref->out.latents[i];
        sum += d * d;
        all += (double)ref->out.latents[i] * (double)ref->out.latents[i];
    }
    return all > 0 ? sum / all : 0;
}

dd_status dd_search_run(dd_search *s, dd_plan *plan, dd_search_point *point)
{
    dydit_result *r = NULL;
    DD_TRY(sample(s, plan, 0, &r));
    const dd_status st = ratio_of(s, r, &point->ratio);
    point->error = error_of(r, s->ref);
    dydit_result_close(&r);
    return st;
}

/* ---- sensitivity ------------------------------------------------------------------------------------------------ */

/* The error of the output of a step that reuses everything from the one before. 0: none, or not measured. */
static double output_error(const dd_search *s, int step)
{
    return fmax(s->probe.joint[(size_t)step * DD_PROBE_AGES], 0);
}

/* Up to DD_SEARCH_SENSITIVE steps whose output was measured, spread over the run; returns how many. */
static int sensitive_steps(const dd_search *s, int *step)
{
    int n = 0, out = 0;
    for (int i = 0; i < s->start->n_steps; i++) n += output_error(s, i) > 0;
    const int wanted = n < DD_SEARCH_SENSITIVE ? n : DD_SEARCH_SENSITIVE;
    for (int i = 0, k = 0; i < s->start->n_steps; i++) {
        if (!(output_error(s, i) > 0)) continue;
        if (out < wanted && k == (wanted == 1 ? 0 : out * (n - 1) / (wanted - 1))) step[out++] = i;
        k++;
    }
    return out;
}

/* All steps are refreshes but this one, where all sites reuse. */
static dd_status reuse_at(dd_search *s, int step, const dd_search_choice *c, dd_plan **plan)
{
    const size_t steps = (size_t)s->start->n_steps, sites = (size_t)s->start->n_sites;
    memset(c->refresh, 1, steps);
    memset(c->reuse, 0, steps * sites);
    c->refresh[step] = 0;
    for (size_t i = 0; i < sites; i++) {
        const size_t cell = (size_t)step * sites + i;
        c->reuse[cell] = s->table[0].macs[cell] > 0 && s->table[0].macs[cell - sites] > 0;
    }
    return dd_search_apply(plan, s->start, s->model->m, c, 0, s->err);
}

/* sensitivity [n_steps], negative where it is not measured. */
static dd_status measure_sensitivity(dd_search *s, double *sensitivity)
{
    int step[DD_SEARCH_SENSITIVE];
    const int n = sensitive_steps(s, step);
    dd_search_choice choice;
    DD_TRY(dd_search_choice_alloc(&choice, s->table, s->err));
    dd_status st = DD_OK;
    for (int k = 0; st == DD_OK && k < n; k++) {
        dd_search_point point = {0};
        dd_plan *plan = NULL;
        st = reuse_at(s, step[k], &choice, &plan);
        if (st == DD_OK) st = dd_search_run(s, plan, &point);
        dd_plan_free(&plan);
        sensitivity[step[k]] = point.error / output_error(s, step[k]);
    }
    dd_search_choice_free(&choice);
    return st;
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

static dd_status build_tables(dd_search *s)
{
    dd_executed e;
    dd_status st = dd_executed_init(&e, s->ref, s->err);
    for (int k = 0; st == DD_OK && k < DD_SEARCH_POWERS; k++)
        st = dd_search_table_build(&s->table[k], s->start, s->model->m, e.kept[0], s->err);
    if (st == DD_OK) {
        const dd_cost run = dd_report_cost_run(&e.part[0]);
        s->dense = (double)run.dense;
        s->fixed = (double)(run.executed - dd_search_macs(s->table, NULL));
    }
    dd_executed_fini(&e);
    return st;
}

typedef struct probing {
    dd_probe_job job;
    uint64_t weights;
} probing;

static dd_status measure_need(const void *run, int batch, uint64_t *bytes, uint64_t *device_bytes, dd_err *err)
{
    const probing *p = run;
    dd_run_spec spec = *p->job.spec;
    dd_probe_job job = p->job;
    spec.max_images = batch;
    job.spec = &spec;
    DD_TRY(dd_probe_bytes(&job, device_bytes, err));
    *bytes = *device_bytes + p->weights;
    return DD_OK;
}

static dd_status run_probes(dd_search *s)
{
    dydit_ctx *ctx = s->model->ctx;
    const dd_run_spec spec = dd_settings_spec(&s->set, s->model->m, s->start, NULL, (int)s->o.n_images);
    const probing p = {.job = {.spec = &spec,
                               .be = ctx->be,
                               .weights = s->model->weights,
                               .labels = s->o.labels,
                               .start = s->ref->out.start,
                               .trajectory = s->ref->out.trajectory,
                               .stride = (s->start->n_steps + PROBED_SOURCES - 1) / PROBED_SOURCES,
                               .cancel = &ctx->cancel,
                               .on_pass = dd_search_pass,
                               .user = s},
                       .weights = s->model->weights->bytes};
    const dd_need need = {
        .be = ctx->be, .limit = s->o.max_mem, .batch = (int)s->o.n_images, .measure = measure_need, .run = &p};
    s->all_passes = s->start->n_steps *
                        (1 + DD_SEARCH_SENSITIVE + DD_SEARCH_POWERS * (1 + DD_SEARCH_POINTS) + DD_SEARCH_FORA) +
                    dd_probe_passes(&p.job);
    dd_status st = dd_memory_check(&need, s->err);
    if (st == DD_OK) st = dd_probe_run(&p.job, &s->probe, s->err);
    if (st != DD_OK) dd_memory_say_what_fits(&need, s->err);
    return st;
}

dd_status dd_search_begin(dd_search *s)
{
    DD_TRY(sample(s, s->start, 1, &s->ref));
    return build_tables(s);
}

dd_status dd_search_measure(dd_search *s)
{
    static const double power[DD_SEARCH_POWERS] = {1, 0.5, 0};
    const int n = s->start->n_steps;
    double *raised = malloc((size_t)n * sizeof *raised);
    s->sensitivity = malloc((size_t)n * sizeof *s->sensitivity);
    if (!raised || !s->sensitivity) {
        free(raised);
        return DD_FAIL(s->err, DD_ERR_NOMEM, "out of memory for a search");
    }
    for (int i = 0; i < n; i++) s->sensitivity[i] = -1;
    dd_status st = run_probes(s);
    if (st == DD_OK) st = measure_sensitivity(s, s->sensitivity);
    for (int k = 0; st == DD_OK && k < DD_SEARCH_POWERS; k++) {
        for (int i = 0; i < n; i++) raised[i] = s->sensitivity[i] < 0 ? -1 : pow(s->sensitivity[i], power[k]);
        const dd_search_measured m = {DD_PROBE_AGES, dd_probe_age, s->probe.error, s->probe.joint, raised};
        dd_search_errors(&s->table[k], &m);
    }
    free(raised);
    return st;
}
