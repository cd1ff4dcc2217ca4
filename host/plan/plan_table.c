/* SPDX-License-Identifier: MIT
 * A plan as a table of text: one line per step, at most 100 columns. */
#include <stdio.h>

#include "host/base/str.h"
#include "host/plan/plan_report.h"

static void add_rule(dd_str *s, bool with_kept)
{
    dd_str_add(s, "----  --------  ------  -----------  -----------");
    dd_str_add(s, with_kept ? "  -------  ---------  ---------  -------\n" : "  ---------  ---------  -------\n");
}

static void add_head(dd_str *s, bool with_kept)
{
    dd_str_addf(s, "%4s  %8s  %6s  %11s  %11s", "step", "timestep", "guided", "heads", "groups");
    if (with_kept) dd_str_addf(s, "  %7s", "tokens");
    dd_str_addf(s, "  %9s  %9s  %7s\n", "dense", "executed", "ratio");
    add_rule(s, with_kept);
}

static void add_cost(dd_str *s, dd_cost c)
{
    char dense[DD_NUMBER_TEXT], executed[DD_NUMBER_TEXT], ratio[DD_NUMBER_TEXT];
    dd_str_addf(s, "  %9s  %9s  %7s\n", dd_text_macs(dense, c.dense), dd_text_macs(executed, c.executed),
                dd_text_percent(ratio, dd_cost_ratio(c)));
}

static void add_units(dd_str *s, const dd_tally *t)
{
    char text[DD_NUMBER_TEXT] = "-";
    if (t->total > 0) snprintf(text, sizeof text, "%d/%d", t->active, t->total);
    dd_str_addf(s, "  %11s", text);
}

static void add_share(dd_str *s, int width, double part, int of)
{
    char text[DD_NUMBER_TEXT] = "-";
    if (of > 0) dd_text_percent(text, part / of);
    dd_str_addf(s, "  %*s", width, text);
}

static void add_sum(dd_tally *sum, const dd_tally *t)
{
    sum->active += t->active;
    sum->total += t->total;
    sum->computed += t->computed;
    sum->tokens += t->tokens;
}

static void add_steps(dd_str *s, const dd_report *r)
{
    dd_tally sum[3] = {{0}};
    int n_guided = 0;
    for (int step = 0; step < r->plan->n_steps; step++) {
        const dd_plan_row *row = &r->plan->rows[step];
        char t[DD_NUMBER_TEXT];
        dd_tally part[3];
        for (int q = 0; q < 3; q++) {
            part[q] = dd_report_tally(r, (dd_quantity)q, step, -1);
            add_sum(&sum[q], &part[q]);
        }
        n_guided += row->guided;
        dd_str_addf(s, "%4d  %8s  %6s", step, dd_text_timestep(t, row->timestep), row->guided ? "yes" : "no");
        add_units(s, &part[DD_HEADS]);
        add_units(s, &part[DD_GROUPS]);
        if (r->kept) add_share(s, 7, part[DD_TOKENS].tokens, part[DD_TOKENS].computed);
        add_cost(s, dd_report_cost(r, step));
    }
    char guided[DD_NUMBER_TEXT] = "all";
    if (n_guided < r->plan->n_steps) snprintf(guided, sizeof guided, "%d", n_guided);
    add_rule(s, r->kept != NULL);
    dd_str_addf(s, "%-14s  %6s", "total", n_guided > 0 ? guided : "none");
    add_share(s, 11, sum[DD_HEADS].active, sum[DD_HEADS].total);
    add_share(s, 11, sum[DD_GROUPS].active, sum[DD_GROUPS].total);
    if (r->kept) add_share(s, 7, sum[DD_TOKENS].tokens, sum[DD_TOKENS].computed);
    add_cost(s, dd_report_cost_run(r));
}

/* Of a plan that does without some of them. */
static void add_cond(dd_str *s, dd_cost c)
{
    char dense[DD_NUMBER_TEXT], executed[DD_NUMBER_TEXT], ratio[DD_NUMBER_TEXT];
    if (c.executed == c.dense) return;
    dd_str_addf(s, "adaLN vectors, per label: %s of %s (%s)\n", dd_text_macs(executed, c.executed),
                dd_text_macs(dense, c.dense), dd_text_percent(ratio, dd_cost_ratio(c)));
}

/* A line wherever the weights become others. */
static void add_switches(dd_str *s, const dd_plan *plan)
{
    for (int i = 1; i < plan->n_steps; i++) {
        const dd_plan *now = dd_plan_at(plan, i);
        char t[DD_NUMBER_TEXT];
        if (now == dd_plan_at(plan, i - 1)) continue;
        dd_str_addf(s, "from step %d on (timestep %s) %s, policy %s\n", i, dd_text_timestep(t, plan->rows[i].timestep),
                    now->arch, now->policy);
    }
}

dd_status dd_plan_table(const dd_report *r, char **out, dd_err *err)
{
    const dd_plan *plan = r->plan;
    dd_str s = {0};
    *out = NULL;
    DD_TRY(dd_report_check(r, err));
    dd_str_addf(&s, "%s, policy %s, %d step%s\n", plan->arch, plan->policy, plan->n_steps,
                plan->n_steps == 1 ? "" : "s");
    add_switches(&s, plan);
    dd_str_add(&s, "\n");
    add_head(&s, r->kept != NULL);
    add_steps(&s, r);
    dd_str_add(&s, "\nMACs per image, both rows of guided steps included; conditioning (adaLN vectors) not included\n");
    add_cond(&s, dd_report_cond_run(r));
    if (!r->kept && dd_report_routed(r))
        dd_str_add(&s,
                   "token routing is decided on the data: executed counts all tokens of routed sites (upper bound)\n");
    return dd_str_take(&s, out, err);
}
