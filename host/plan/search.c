/* SPDX-License-Identifier: MIT
 * At a price per multiply-add every cell between two refreshes chooses for itself, so that a stretch between two has a cost
 * that depends on these two alone: the best set of refreshes is a shortest path over the steps. The lowest price that the
 * budget bears (Everett 1963; Shoham and Gersho 1988) gives the least error that there is for what its plan costs; the rest
 * of the budget is spent greedily. */
#include "host/plan/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BISECTIONS 64
#define PRICE_RANGE 1e-24 /* of the highest price, where bisection begins */

static size_t at(const dd_search_table *t, int step, int site)
{
    return (size_t)step * (size_t)t->n_sites + (size_t)site;
}

static double error_at(const dd_search_table *t, int step, int site, int age)
{
    return t->error[at(t, step, site) * DD_SEARCH_MAX_AGE + (size_t)(age - 1)];
}

/* A site that was left out at the refresh has nothing to reuse. */
static bool can_reuse(const dd_search_table *t, int refresh, int step, int site)
{
    return t->macs[at(t, refresh, site)] > 0 && t->macs[at(t, step, site)] > 0;
}

dd_status dd_search_choice_alloc(dd_search_choice *out, const dd_search_table *t, dd_err *err)
{
    out->refresh = calloc((size_t)t->n_steps, 1);
    out->reuse = calloc((size_t)t->n_steps, (size_t)t->n_sites);
    if (out->refresh && out->reuse) return DD_OK;
    dd_search_choice_free(out);
    return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a search over %d steps", t->n_steps);
}

void dd_search_choice_free(dd_search_choice *c)
{
    free(c->refresh);
    free(c->reuse);
    *c = (dd_search_choice){0};
}

uint64_t dd_search_macs(const dd_search_table *t, const dd_search_choice *c)
{
    const size_t n = (size_t)t->n_steps * (size_t)t->n_sites;
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += c && c->reuse[i] ? 0 : t->macs[i];
    return sum;
}

double dd_search_error(const dd_search_table *t, const dd_search_choice *c)
{
    double sum = 0;
    for (int s = 0, age = 0; s < t->n_steps; s++) {
        age = c->refresh[s] ? 0 : age + 1;
        for (int i = 0; i < t->n_sites; i++) sum += c->reuse[at(t, s, i)] ? error_at(t, s, i, age) : 0;
    }
    return sum;
}

/* ---- the choice at a price ------------------------------------------------------------------------------------ */

static double refresh_cost(const dd_search_table *t, double price, int step)
{
    double sum = 0;
    for (int i = 0; i < t->n_sites; i++) sum += price * (double)t->macs[at(t, step, i)];
    return sum;
}

/* Of a step after a refresh; reuse [n_sites], or NULL. */
static double step_cost(const dd_search_table *t, double price, int refresh, int step, unsigned char *reuse)
{
    double sum = 0;
    for (int i = 0; i < t->n_sites; i++) {
        const double computed = price * (double)t->macs[at(t, step, i)];
        const double reused = can_reuse(t, refresh, step, i) ? error_at(t, step, i, step - refresh) : INFINITY;
        if (reuse) reuse[i] = reused < computed;
        sum += fmin(reused, computed);
    }
    return sum;
}

/* From a refresh on to all that can be the next, the end of the run (n_steps) among them. */
static void extend(const dd_search_table *t, double price, int from, double *cost, int *before)
{
    double run = cost[from];
    for (int s = from + 1; s <= t->n_steps; s++) {
        const double next = run + (s < t->n_steps ? refresh_cost(t, price, s) : 0);
        if (next < cost[s]) {
            cost[s] = next;
            before[s] = from;
        }
        if (s == t->n_steps || t->refresh[s] || s - from > DD_SEARCH_MAX_AGE) return;
        run += step_cost(t, price, from, s, NULL);
    }
}

dd_status dd_search_price(const dd_search_table *t, double price, const dd_search_choice *out, dd_err *err)
{
    const size_t steps = (size_t)t->n_steps;
    double *cost = malloc((steps + 1) * sizeof *cost);
    int *before = malloc((steps + 1) * sizeof *before);
    const bool ok = cost && before;
    for (size_t s = 0; ok && s <= steps; s++) cost[s] = s ? INFINITY : refresh_cost(t, price, 0);
    for (int s = 0; ok && s < t->n_steps; s++) extend(t, price, s, cost, before);
    if (ok) {
        memset(out->refresh, 0, steps);
        memset(out->reuse, 0, steps * (size_t)t->n_sites);
    }
    for (int end = t->n_steps; ok && end > 0; end = before[end]) {
        out->refresh[before[end]] = 1;
        for (int s = before[end] + 1; s < end; s++) step_cost(t, price, before[end], s, out->reuse + at(t, s, 0));
    }
    free(cost);
    free(before);
    return ok ? DD_OK : DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a search over %d steps", t->n_steps);
}

/* ---- the budget ----------------------------------------------------------------------------------------------- */

static void spend(const dd_search_table *t, uint64_t budget, const dd_search_choice *c)
{
    uint64_t left = budget - dd_search_macs(t, c);
    for (;;) {
        double best = 0;
        size_t chosen = 0;
        for (int s = 0, age = 0; s < t->n_steps; s++) {
            age = c->refresh[s] ? 0 : age + 1;
            for (int i = 0; i < t->n_sites; i++) {
                const size_t cell = at(t, s, i);
                if (!c->reuse[cell] || t->macs[cell] > left) continue;
                const double value = error_at(t, s, i, age) / (double)t->macs[cell];
                if (!(value > best)) continue;
                best = value;
                chosen = cell;
            }
        }
        if (!(best > 0)) return;
        c->reuse[chosen] = 0;
        left -= t->macs[chosen];
    }
}

/* Above it no error is worth a multiply-add, so that the choice is the cheapest one. */
static double highest_price(const dd_search_table *t)
{
    const size_t n = (size_t)t->n_steps * (size_t)t->n_sites;
    uint64_t least = UINT64_MAX;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double most = 0;
        if (t->macs[i] && t->macs[i] < least) least = t->macs[i];
        for (size_t a = 0; a < DD_SEARCH_MAX_AGE; a++) most = fmax(most, t->error[i * DD_SEARCH_MAX_AGE + a]);
        sum += most;
    }
    return 2 * (sum > 0 ? sum : 1) / (double)least;
}

dd_status dd_search_choose(const dd_search_table *t, uint64_t budget, const dd_search_choice *out, uint64_t *least,
                           dd_err *err)
{
    double high = highest_price(t), low = high * PRICE_RANGE;
    dd_search_choice trial;
    DD_TRY(dd_search_choice_alloc(&trial, t, err));
    dd_status st = dd_search_price(t, high, out, err);
    *least = st == DD_OK ? dd_search_macs(t, out) : 0;
    const bool can = *least <= budget;
    for (int i = 0; st == DD_OK && can && i < BISECTIONS; i++) {
        const double middle = sqrt(low) * sqrt(high);
        st = dd_search_price(t, middle, &trial, err);
        if (st != DD_OK) break;
        if (dd_search_macs(t, &trial) > budget) {
            low = middle;
            continue;
        }
        high = middle;
        memcpy(out->refresh, trial.refresh, (size_t)t->n_steps);
        memcpy(out->reuse, trial.reuse, (size_t)t->n_steps * (size_t)t->n_sites);
    }
    dd_search_choice_free(&trial);
    if (st == DD_OK && can) spend(t, budget, out);
    return st;
}
