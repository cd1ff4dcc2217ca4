/* SPDX-License-Identifier: MIT
 * FORA (arXiv 2407.01425): all branches are computed at every N-th step and reused, with the gates of the present step, in
 * between. Over a plan that other policies have filled: where a branch is computed, their masks stay. */
#include "host/plan/policy.h"

#include <stdio.h>
#include <string.h>

/* i counts down to 0 as the respaced index does; stored rows do not fit another guidance. */
static bool refreshes(const dd_plan *p, int step, int interval)
{
    if (step == 0 || (p->n_steps - 1 - step) % interval == 0) return true;
    return p->rows[step].guided != p->rows[step - 1].guided;
}

/* source: the cell of the last step that computed. What was left out there is left out. */
static void reuse(dd_cell *c, const dd_cell *source, int units, dd_reuse_tokens tokens)
{
    const bool skips = source->op == DD_CELL_SKIP, routed = tokens != DD_REUSE_FROZEN && c->router >= 0 && !skips;
    *c = (dd_cell){.units = dd_units_all(units),
                   .op = skips ? DD_CELL_SKIP : DD_CELL_REUSE_BRANCH,
                   .rows = routed ? DD_ROWS_ROUTED : DD_ROWS_ALL,
                   .format = c->format,
                   .router = (int16_t)(routed ? c->router : -1)};
}

/* Only what the next step reads is stored. */
static void store(dd_cell *c, dd_reuse_tokens tokens)
{
    c->op = DD_CELL_COMPUTE_STORE;
    if (tokens == DD_REUSE_FRESH && c->rows == DD_ROWS_ROUTED) c->rows = DD_ROWS_MASKED;
}

dd_status dd_policy_fora(dd_plan *plan, const dd_model *m, int interval, dd_reuse_tokens tokens, dd_err *err)
{
    char before[sizeof plan->policy];
    DD_TRY(dd_plan_check_model(plan, m, "plan", err));
    if (interval < 1 || interval > DD_PLAN_MAX_STEPS)
        return DD_FAIL(err, DD_ERR_ARG, "policy fora: interval %d is out of range: 1 to %d", interval,
                       DD_PLAN_MAX_STEPS);
    for (int i = 0; i < plan->n_steps * plan->n_sites; i++)
        if (!dd_cell_computes(&plan->cells[i]) && plan->cells[i].op != DD_CELL_SKIP)
            return DD_FAIL(err, DD_ERR_ARG, "policy fora over plan \"%s\", which itself reuses results (step %d, %s)",
                           plan->policy, i / plan->n_sites, m->sites[i % plan->n_sites].name);
    int source = 0;
    for (int s = 0; s < plan->n_steps; s++) {
        const bool fresh = refreshes(plan, s, interval);
        const bool read = s + 1 < plan->n_steps && !refreshes(plan, s + 1, interval);
        if (fresh) source = s;
        for (int i = 0; i < plan->n_sites; i++) {
            dd_cell *c = dd_plan_cell(plan, s, i);
            if (c->op == DD_CELL_SKIP) continue;
            if (!fresh) reuse(c, dd_plan_cell(plan, source, i), m->sites[i].units, tokens);
            else if (read) store(c, tokens);
        }
    }
    memcpy(before, plan->policy, sizeof before);
    snprintf(plan->policy, sizeof plan->policy, "%.40s+fora:%d", before, interval);
    return dd_plan_validate(plan, m, "plan", err);
}
