/* SPDX-License-Identifier: MIT
 * Public API: a plan within a budget. Errors are measured, the choice is made (host/plan/search.h), and what was chosen is
 * run once more, for its true error and cost. */
#include <math.h>
#include <stdlib.h>

#include "host/api_search.h"
#include "host/plan/policy.h"
#include "host/plan/report.h"

#define MAX_IMAGES 64

void dydit_search_options_init(dydit_search_options *o, size_t size)
{
    const dydit_search_options defaults = {.size = size};
    dd_api_defaults(o, size, &defaults, sizeof defaults);
}

static dd_status check_options(const dd_search *s)
{
    const dydit_sample_options *o = &s->o;
    if (!(s->s.budget > 0 && s->s.budget < 1))
        return DD_FAIL(s->err, DD_ERR_ARG, "budget %.4g is not between 0 and 1, a share of the complete model's work",
                       s->s.budget);
    if (o->policy)
        return DD_FAIL(s->err, DD_ERR_ARG,
                       "a search and the policy %.80s exclude each other: both choose what is reused", o->policy);
    if (o->switch_model || (o->plan && o->plan->plan->other))
        return DD_FAIL(s->err, DD_ERR_ARG, "a search is for one model, not for two by timestep");
    if (o->n_images < 1 || o->n_images > MAX_IMAGES)
        return DD_FAIL(s->err, DD_ERR_ARG, "a search over %lld images: 1 to %d", (long long)o->n_images, MAX_IMAGES);
    return DD_OK;
}

/* What is of no use here is off; all images are one batch. */
static void simplify(dydit_sample_options *o)
{
    o->batch_size = (int)o->n_images;
    o->compare_dense = o->keep_trajectory = o->profile = o->preview_interval = 0;
    o->preview = NULL;
    o->batch_done = NULL;
}

static dd_status too_small(const dd_search *s, double budget)
{
    return DD_FAIL(s->err, DD_ERR_ARG, "budget %.4g cannot be kept to: plan \"%.40s\" with reuse costs at least %.4g",
                   budget, s->start->policy, ceil(s->least * 1e4) / 1e4);
}

static double macs_of(const dd_search *s, double budget) { return fmax(floor(budget * s->dense - s->fixed), 0); }

/* Before anything is measured. */
static dd_status check_budget(dd_search *s)
{
    dd_search_choice c;
    uint64_t least = 0;
    DD_TRY(dd_search_choice_alloc(&c, s->table, s->err));
    const dd_status st = dd_search_choose(s->table, (uint64_t)macs_of(s, s->s.budget), &c, &least, s->err);
    dd_search_choice_free(&c);
    DD_TRY(st);
    s->least = ((double)least + s->fixed) / s->dense;
    return s->least > s->s.budget ? too_small(s, s->s.budget) : DD_OK;
}

/* What a table gives for a budget: its plan, run. asked: what the user knows as the budget. */
static dd_status choose(dd_search *s, int table, double budget, double asked, dd_plan **plan, dd_search_point *point)
{
    const dd_search_table *t = &s->table[table];
    dd_search_choice c;
    uint64_t least = 0;
    DD_TRY(dd_search_choice_alloc(&c, t, s->err));
    dd_status st = dd_search_choose(t, (uint64_t)macs_of(s, budget), &c, &least, s->err);
    if (st == DD_OK && (double)least > macs_of(s, budget)) st = too_small(s, asked);
    if (st == DD_OK) st = dd_search_apply(plan, s->start, s->model->m, &c, asked, s->err);
    dd_search_choice_free(&c);
    DD_TRY(st);
    *point = (dd_search_point){.budget = asked};
    st = dd_search_run(s, *plan, point);
    if (st != DD_OK) dd_plan_free(plan);
    return st;
}

/* The same, never above the budget: routers may keep more tokens under the new plan than under the one they were counted with. */
static dd_status choose_within(dd_search *s, int table, double budget, dd_plan **plan, dd_search_point *point)
{
    double tighter = budget;
    for (int i = 0; i < DD_SEARCH_TRIES; i++) {
        DD_TRY(choose(s, table, tighter, budget, plan, point));
        if (point->ratio <= budget) return DD_OK;
        dd_plan_free(plan);
        tighter *= 0.999 * budget / point->ratio;
    }
    return DD_FAIL(s->err, DD_ERR_ARG, "budget %.4g cannot be kept to: token routers keep more where less is computed",
                   budget);
}

static dd_status choose_best(dd_search *s, double budget, dd_plan **plan, dd_search_point *point)
{
    for (int k = 0; k < DD_SEARCH_POWERS; k++) {
        dd_plan *other = NULL;
        dd_search_point its;
        const dd_status st = choose_within(s, k, budget, &other, &its);
        if (st != DD_OK) {
            dd_plan_free(plan);
            return st;
        }
        if (!*plan || its.error < point->error) {
            dd_plan_free(plan);
            *plan = other;
            *point = its;
        } else dd_plan_free(&other);
    }
    return DD_OK;
}

/* Budgets from that of the starting plan down to half of the wanted one, as far as that is possible. */
static dd_status run_curve(dd_search *s)
{
    const double high = (s->fixed + (double)dd_search_macs(s->table, NULL)) / s->dense;
    const double low = fmin(fmax(1.02 * s->least, s->s.budget / 2), high);
    for (int i = 0; i < DD_SEARCH_POINTS; i++) {
        dd_plan *plan = NULL;
        const double budget = high + (low - high) * (i + 1) / DD_SEARCH_POINTS;
        const dd_status st = choose_best(s, budget, &plan, &s->curve[s->n_curve]);
        dd_plan_free(&plan);
        if (st == DD_OK) s->n_curve++;
        else if (st == DD_ERR_ARG) dd_err_clear(s->err); /* a budget that nobody asked for */
        else return st;
    }
    return DD_OK;
}

static dd_status run_fora(dd_search *s)
{
    for (int i = 0; i < DD_SEARCH_FORA; i++) {
        dd_search_point *point = &s->fora[s->n_fora++];
        dd_plan *plan = NULL;
        *point = (dd_search_point){.interval = 2 + i};
        DD_TRY(dd_plan_copy(&plan, s->start, s->err));
        dd_status st = dd_policy_fora(plan, s->model->m, point->interval, DD_REUSE_FROZEN, s->err);
        if (st == DD_OK) st = dd_search_run(s, plan, point);
        dd_plan_free(&plan);
        DD_TRY(st);
    }
    return DD_OK;
}

static dd_status search(dd_search *s, dd_plan **plan, char **report)
{
    DD_TRY(check_options(s));
    simplify(&s->o);
    DD_TRY(dd_settings_resolve(&s->set, s->model, &s->o, s->err));
    DD_TRY(dd_settings_plan(&s->start, &s->set, s->model, s->o.plan ? s->o.plan->plan : NULL, s->err));
    DD_TRY(dd_search_begin(s));
    DD_TRY(check_budget(s));
    DD_TRY(dd_search_measure(s));
    DD_TRY(choose_best(s, s->s.budget, plan, &s->chosen));
    if (!report) return DD_OK;
    DD_TRY(run_curve(s));
    DD_TRY(run_fora(s));
    return dd_search_report(s, report);
}

dydit_status dydit_plan_search(dydit_model *model, const dydit_sample_options *options, const dydit_search_options *how,
                               dydit_plan **out, char **report)
{
    if (!model || !out || !how) return DYDIT_ERR_ARG;
    dd_search s = {.model = model, .err = &model->ctx->err};
    dd_plan *plan = NULL;
    dd_api_begin(model->ctx);
    atomic_store(&model->ctx->cancel, 0);
    *out = NULL;
    if (report) *report = NULL;
    dydit_sample_options_init(&s.o, sizeof s.o);
    dydit_search_options_init(&s.s, sizeof s.s);
    dd_status st = dd_api_options(&s.o, sizeof s.o, options, "dydit_sample_options", s.err);
    if (st == DD_OK) st = dd_api_options(&s.s, sizeof s.s, how, "dydit_search_options", s.err);
    if (st == DD_OK) st = search(&s, &plan, report);
    if (st == DD_OK) st = dd_api_wrap_plan(out, model, NULL, plan, s.err);
    else dd_plan_free(&plan);
    if (st != DD_OK && report) {
        free(*report);
        *report = NULL;
    }
    dydit_result_close(&s.ref);
    dd_probe_out_fini(&s.probe);
    free(s.sensitivity);
    for (int k = 0; k < DD_SEARCH_POWERS; k++) dd_search_table_free(&s.table[k]);
    dd_plan_free(&s.start);
    return (dydit_status)st;
}
