/* SPDX-License-Identifier: MIT
 * From a plan to what can be searched, and from what was found to a plan. */
#include <stdio.h>
#include <stdlib.h>

#include "host/plan/cost.h"
#include "host/plan/search.h"

void dd_search_table_free(dd_search_table *t)
{
    free(t->error);
    free(t->macs);
    free(t->refresh);
    *t = (dd_search_table){0};
}

static dd_status check_start(const dd_plan *plan, dd_err *err)
{
    const int n = plan->n_steps * plan->n_sites;
    for (int i = 0; i < n; i++)
        if (!dd_cell_computes(&plan->cells[i]) && plan->cells[i].op != DD_CELL_SKIP)
            return DD_FAIL(err, DD_ERR_ARG, "a search over plan \"%s\", which itself reuses results (step %d, %s)",
                           plan->policy, i / plan->n_sites, plan->site_name[i % plan->n_sites]);
    return DD_OK;
}

static void fill(dd_search_table *t, const dd_plan *plan, const dd_model *m, const double *kept)
{
    for (int s = 0; s < t->n_steps; s++) {
        const size_t row = (size_t)s * (size_t)t->n_sites;
        t->refresh[s] = s == 0 || plan->rows[s].guided != plan->rows[s - 1].guided;
        for (int i = 0; i < t->n_sites; i++)
            t->macs[row + (size_t)i] = dd_cost_cell(plan, m, s, i, kept ? kept + row : NULL) *
                                       (plan->rows[s].guided ? 2 : 1);
    }
}

dd_status dd_search_table_build(dd_search_table *t, const dd_plan *plan, const dd_model *m, const double *kept,
                                dd_err *err)
{
    const size_t n = (size_t)plan->n_steps * (size_t)plan->n_sites;
    *t = (dd_search_table){.n_steps = plan->n_steps, .n_sites = plan->n_sites};
    DD_TRY(dd_plan_check_model(plan, m, "plan", err));
    DD_TRY(check_start(plan, err));
    t->error = calloc(n * DD_SEARCH_MAX_AGE, sizeof *t->error);
    t->macs = calloc(n, sizeof *t->macs);
    t->refresh = calloc((size_t)plan->n_steps, 1);
    if (!t->error || !t->macs || !t->refresh) {
        dd_search_table_free(t);
        return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a search over %d steps", plan->n_steps);
    }
    fill(t, plan, m, kept);
    return DD_OK;
}

/* Is what a refresh computes read before the next one? */
static bool is_read(const dd_plan *start, const dd_search_choice *c, int refresh, int site)
{
    for (int s = refresh + 1; s < start->n_steps && !c->refresh[s]; s++)
        if (c->reuse[(size_t)s * (size_t)start->n_sites + (size_t)site]) return true;
    return false;
}

dd_status dd_search_apply(dd_plan **out, const dd_plan *start, const dd_model *m, const dd_search_choice *choice,
                          double budget, dd_err *err)
{
    DD_TRY(dd_plan_copy(out, start, err));
    for (int s = 0; s < start->n_steps; s++)
        for (int i = 0; i < start->n_sites; i++) {
            dd_cell *c = dd_plan_cell(*out, s, i);
            if (choice->reuse[(size_t)s * (size_t)start->n_sites + (size_t)i])
                *c = (dd_cell){.units = dd_units_all(m->sites[i].units),
                               .op = DD_CELL_REUSE_BRANCH,
                               .format = c->format,
                               .router = -1};
            else if (dd_cell_computes(c))
                c->op = choice->refresh[s] && is_read(start, choice, s, i) ? DD_CELL_COMPUTE_STORE : DD_CELL_COMPUTE;
        }
    if (budget > 0) snprintf((*out)->policy, sizeof(*out)->policy, "%.40s+search:%.4g", start->policy, budget);
    const dd_status st = dd_plan_validate(*out, m, "plan", err);
    if (st != DD_OK) dd_plan_free(out);
    return st;
}
