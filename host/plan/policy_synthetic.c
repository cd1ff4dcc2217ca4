/* SPDX-License-Identifier: MIT
 * A plan of a wanted cost for benchmarks. One factor scales all widths; the executed MACs grow with it in steps of
 * single units, because sites round at different points, so bisection finds the ratio. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/plan/cost.h"
#include "host/plan/policy.h"

#define LAST_TIMESTEP 999.0
#define BISECTIONS 60

typedef struct task {
    dd_plan *plan;
    const dd_model *model;
    double *kept; /* [n_sites] expected share of tokens */
    bool routed;
} task;

/* Where the share of a site is rounded up, 0..1: golden-ratio steps, so that the mean over sites is exact. */
static double rounding(int site)
{
    const double x = (site + 1) * 0.6180339887498949;
    return x - floor(x);
}

static int gcd(int a, int b) { return b ? gcd(b, a % b) : a; }

/* Unit 0 and the first n-1 others in an order of the site's own. */
static uint64_t pick_units(int site, int n, int units)
{
    uint64_t mask = 1;
    const int others = units - 1;
    int stride = 7;
    while (others > 1 && gcd(stride, others) != 1) stride++;
    for (int k = 0; k < n - 1; k++) mask |= (uint64_t)1 << (1 + (5 * site + k * stride) % others);
    return mask;
}

static void fill(const task *t, double factor)
{
    for (int s = 0; s < t->plan->n_steps; s++) {
        const double late = 1 - (double)t->plan->rows[s].timestep / LAST_TIMESTEP;
        const double share = factor * (DD_SYNTHETIC_LOW + (DD_SYNTHETIC_HIGH - DD_SYNTHETIC_LOW) * late);
        for (int i = 0; i < t->model->n_sites; i++) {
            const int units = t->model->sites[i].units;
            const double n = floor(fmin(share, 1) * units + rounding(i));
            dd_plan_cell(t->plan, s, i)->units = pick_units(i, n < 1 ? 1 : n > units ? units : (int)n, units);
        }
    }
}

static double ratio_of(const task *t, double factor)
{
    double dense = 0, executed = 0;
    fill(t, factor);
    for (int s = 0; s < t->plan->n_steps; s++) {
        const dd_cost c = dd_cost_step(t->plan, t->model, s, t->plan->rows[s].guided ? 2 : 1, t->kept);
        dense += (double)c.dense;
        executed += (double)c.executed;
    }
    return executed / dense;
}

static dd_status search(const task *t, double ratio, dd_err *err)
{
    double lo = 0, hi = 2 / DD_SYNTHETIC_LOW; /* one unit everywhere, all units everywhere */
    const double least = ratio_of(t, lo), most = ratio_of(t, hi);
    if (!(ratio >= least && ratio <= most))
        return DD_FAIL(err, DD_ERR_ARG, "a MAC ratio of %.4g cannot be had: from one unit to all it is %.4g to %.4g",
                       ratio, least, most);
    for (int i = 0; i < BISECTIONS; i++) {
        const double mid = (lo + hi) / 2;
        if (ratio_of(t, mid) < ratio) lo = mid;
        else hi = mid;
    }
    const double below = ratio - ratio_of(t, lo), above = ratio_of(t, hi) - ratio;
    if (below < above) fill(t, lo);
    return DD_OK;
}

static void route_tokens(const task *t)
{
    for (int s = 0; s < t->plan->n_steps; s++)
        for (int i = 0; i < t->model->n_sites; i++) {
            const int router = t->model->sites[i].router;
            dd_cell *c = dd_plan_cell(t->plan, s, i);
            const bool routed = t->routed && router >= 0;
            *c = (dd_cell){.rows = routed ? DD_ROWS_ROUTED : DD_ROWS_ALL, .router = (int16_t)(routed ? router : -1)};
        }
}

dd_status dd_policy_synthetic(dd_plan *plan, const dd_model *m, double ratio, double tokens, dd_err *err)
{
    DD_TRY(dd_plan_check_model(plan, m, "plan", err));
    if (!(tokens > 0 && tokens <= 1))
        return DD_FAIL(err, DD_ERR_ARG, "a share of tokens of %.4g is not above 0 and at most 1", tokens);
    const task t = {plan, m, malloc((size_t)m->n_sites * sizeof(double)), tokens < 1};
    if (!t.kept) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a synthetic plan");
    for (int i = 0; i < m->n_sites; i++) t.kept[i] = tokens;
    dd_status st = DD_OK;
    if (t.routed && m->n_routers == 0)
        st = DD_FAIL(err, DD_ERR_ARG, "%s has no token routers: every token runs", m->cfg.arch);
    if (st == DD_OK) {
        route_tokens(&t);
        st = search(&t, ratio, err);
    }
    free(t.kept);
    if (st == DD_OK && t.routed)
        snprintf(plan->policy, sizeof plan->policy, "synthetic %.4g, tokens %.4g", ratio, tokens);
    else if (st == DD_OK) snprintf(plan->policy, sizeof plan->policy, "synthetic %.4g", ratio);
    return st;
}
