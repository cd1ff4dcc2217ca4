/* SPDX-License-Identifier: MIT
 * Counts and numbers of plan reports. */
#include "host/plan/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool counts(const dd_site *site, dd_quantity what)
{
    if (what == DD_TOKENS) return site->router >= 0;
    return site->kind == (what == DD_HEADS ? DD_SITE_ATTENTION : DD_SITE_MLP);
}

static double share_of_tokens(const dd_report *r, int step, int site)
{
    if (dd_plan_cell(r->plan, step, site)->rows != DD_ROWS_ROUTED || !r->kept) return 1;
    const double kept = r->kept[(int64_t)step * r->plan->n_sites + site];
    return kept >= 0 && kept <= 1 ? kept : 1; /* as cost.c takes it */
}

dd_tally dd_report_tally(const dd_report *whole, dd_quantity what, int step, int block)
{
    const dd_report *r = dd_report_at(whole, step);
    dd_tally t = {0};
    for (int i = 0; i < r->model->n_sites; i++) {
        const dd_site *site = &r->model->sites[i];
        const dd_cell *c = dd_plan_cell(r->plan, step, i);
        if (!counts(site, what) || (block >= 0 && site->block != block)) continue;
        t.sites++;
        t.total += site->units;
        if (dd_cell_computes(c) && dd_plan_live(r->plan, r->model, step, i)) {
            t.computed++;
            t.active += dd_popcount64(c->units);
            t.tokens += share_of_tokens(r, step, i);
        } else if (!dd_cell_computes(c) && c->op != DD_CELL_SKIP) {
            t.reused++;
        }
    }
    return t;
}

double dd_tally_share(const dd_tally *t, dd_quantity what)
{
    if (what == DD_TOKENS) return t->computed > 0 ? t->tokens / t->computed : 0;
    return t->total > 0 ? (double)t->active / t->total : 0;
}

dd_cost dd_report_cost(const dd_report *whole, int step)
{
    const dd_report *r = dd_report_at(whole, step);
    const double *kept = r->kept ? r->kept + (int64_t)step * r->plan->n_sites : NULL;
    return dd_cost_step(r->plan, r->model, step, r->plan->rows[step].guided ? 2 : 1, kept);
}

dd_cost dd_report_cost_run(const dd_report *r)
{
    dd_cost sum = {0};
    for (int s = 0; s < r->plan->n_steps; s++) {
        const dd_cost c = dd_report_cost(r, s);
        sum.dense += c.dense;
        sum.executed += c.executed;
    }
    return sum;
}

dd_cost dd_report_cond_run(const dd_report *r)
{
    dd_cost sum = {0};
    for (int s = 0; s < r->plan->n_steps; s++) {
        const dd_report *at = dd_report_at(r, s);
        const dd_cost c = dd_cost_cond(at->plan, at->model, s, 1);
        sum.dense += c.dense;
        sum.executed += c.executed;
    }
    return sum;
}

double dd_cost_ratio(dd_cost c) { return c.dense > 0 ? (double)c.executed / (double)c.dense : 0; }

dd_status dd_report_check(const dd_report *r, dd_err *err)
{
    DD_TRY(dd_plan_check_model(r->plan, r->model, "plan", err));
    if (!r->plan->other != !r->other) return DD_FAIL(err, DD_ERR_INTERNAL, "a report of one weight set of two");
    return r->other ? dd_report_check(r->other, err) : DD_OK;
}

bool dd_report_routed(const dd_report *r)
{
    const int64_t n = (int64_t)r->plan->n_steps * r->plan->n_sites;
    for (int64_t i = 0; i < n; i++)
        if (dd_cell_computes(&r->plan->cells[i]) && r->plan->cells[i].rows == DD_ROWS_ROUTED) return true;
    return r->other && dd_report_routed(r->other);
}

/* Integer arithmetic, because printf's decimal point depends on the locale. */
char *dd_text_fixed(char *text, double v, int decimals)
{
    const double limit = 1e12; /* far beyond anything reported, safe to scale; NaN becomes 0 */
    const double clamped = v >= -limit && v <= limit ? v : v > limit ? limit : v < -limit ? -limit : 0;
    double scale = 1;
    for (int i = 0; i < decimals; i++) scale *= 10;
    long long left = llabs(llround(clamped * scale));
    const bool negative = clamped < 0 && left > 0;
    char digits[DD_NUMBER_TEXT];
    char *p = digits + sizeof digits - 1;
    *p = '\0';
    for (int i = 0; i <= decimals || left > 0; i++, left /= 10) {
        if (i > 0 && i == decimals) *--p = '.';
        *--p = (char)('0' + left % 10);
    }
    if (negative) *--p = '-';
    memcpy(text, p, (size_t)(digits + sizeof digits - p));
    return text;
}

char *dd_text_timestep(char *text, float t) { return dd_text_fixed(text, (double)t, t == floorf(t) ? 0 : 2); }

char *dd_text_percent(char *text, double share)
{
    char digits[DD_NUMBER_TEXT];
    snprintf(text, DD_NUMBER_TEXT, "%.20s %%", dd_text_fixed(digits, 100 * share, 1));
    return text;
}

char *dd_text_macs(char *text, uint64_t macs)
{
    static const char unit[] = "kMGTPE";
    if (macs < 1000) {
        snprintf(text, DD_NUMBER_TEXT, "%" PRIu64 " ", macs); /* where others have their unit */
        return text;
    }
    int u = 0;
    double v = (double)macs / 1e3;
    for (; v >= 999.95 && u < 5; u++) v /= 1e3;
    char digits[DD_NUMBER_TEXT];
    dd_text_fixed(digits, v, v < 9.9995 ? 3 : v < 99.995 ? 2 : 1);
    snprintf(text, DD_NUMBER_TEXT, "%.20s %c", digits, unit[u]);
    return text;
}
