/* SPDX-License-Identifier: MIT
 * From a table of what to keep and reuse to cells: sources, liveness, and the tokens of routed sites. */
#include "host/plan/policy_reuse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

dd_status dd_reuse_begin(dd_reuse *r, const dd_plan *plan, const dd_model *m, const char *policy,
                         dd_reuse_tokens tokens, dd_err *err)
{
    *r = (dd_reuse){.policy = policy, .tokens = tokens, .n_sites = plan->n_sites};
    DD_TRY(dd_plan_check_model(plan, m, "plan", err));
    for (int i = 0; i < plan->n_steps * plan->n_sites; i++)
        if (!dd_cell_computes(&plan->cells[i]) && plan->cells[i].op != DD_CELL_SKIP)
            return DD_FAIL(err, DD_ERR_ARG, "policy %s over plan \"%s\", which itself reuses results (step %d, %s)",
                           policy, plan->policy, i / plan->n_sites, m->sites[i % plan->n_sites].name);
    r->ops = calloc((size_t)plan->n_steps * (size_t)plan->n_sites, sizeof *r->ops); /* DD_CELL_COMPUTE */
    return r->ops ? DD_OK : DD_FAIL(err, DD_ERR_NOMEM, "out of memory for policy %s", policy);
}

void dd_reuse_fini(dd_reuse *r)
{
    free(r->ops);
    r->ops = NULL;
}

static void compute(dd_cell *c)
{
    c->op = DD_CELL_COMPUTE;
    if (c->rows == DD_ROWS_MASKED) c->rows = DD_ROWS_ROUTED; /* what only storing can have */
}

static void reuse(dd_cell *c, int op, int units, dd_reuse_tokens tokens)
{
    const bool routed = op == DD_CELL_REUSE_BRANCH && tokens != DD_REUSE_FROZEN && c->router >= 0;
    *c = (dd_cell){.units = dd_units_all(units),
                   .op = (uint8_t)op,
                   .rows = routed ? DD_ROWS_ROUTED : DD_ROWS_ALL,
                   .format = c->format,
                   .router = (int16_t)(routed ? c->router : -1)};
}

/* Of the cell that filled the slot. */
static void store(dd_cell *c, int read_by, dd_reuse_tokens tokens)
{
    c->op = DD_CELL_COMPUTE_STORE;
    if (read_by == DD_CELL_REUSE_BRANCH && tokens == DD_REUSE_FRESH && c->rows == DD_ROWS_ROUTED)
        c->rows = DD_ROWS_MASKED;
}

/* Does what a row stores serve the next one? Guidance doubles the rows, and results are of the weights that made them. */
static bool fits(const dd_plan_row *row, const dd_plan_row *before)
{
    return row->guided == before->guided && row->weight_set == before->weight_set;
}

static void fill_site(const dd_reuse *r, dd_plan *p, int site)
{
    dd_cell *source = NULL;
    for (int s = 0; s < p->n_steps; s++) {
        dd_cell *c = dd_plan_cell(p, s, site);
        const int op = *dd_reuse_op(r, s, site);
        if (s > 0 && !fits(&p->rows[s], &p->rows[s - 1])) source = NULL;
        if (source && !dd_cell_op_computes(op)) {
            if (c->op == DD_CELL_SKIP) continue;
            reuse(c, source->op == DD_CELL_SKIP ? DD_CELL_SKIP : op, p->site_units[site], r->tokens);
            if (source->op != DD_CELL_SKIP) store(source, op, r->tokens);
            continue;
        }
        if (c->op != DD_CELL_SKIP) compute(c);
        if (op != DD_CELL_COMPUTE) source = c;
    }
}

dd_status dd_reuse_apply(const dd_reuse *r, dd_plan *plan, const dd_model *m, const char *label, dd_err *err)
{
    char before[sizeof plan->policy];
    for (int i = 0; i < plan->n_sites; i++) fill_site(r, plan, i);
    memcpy(before, plan->policy, sizeof before);
    snprintf(plan->policy, sizeof plan->policy, "%.40s+%.20s", before, label);
    return dd_plan_validate(plan, m, "plan", err);
}
