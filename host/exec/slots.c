/* SPDX-License-Identifier: MIT
 * Follows each site through the steps: what is stored, who reads it, what is not needed any more. */
#include "host/exec/slots.h"

#include <stdlib.h>
#include <string.h>

static bool reuses(const dd_cell *c)
{
    return c->op == DD_CELL_REUSE_BRANCH || c->op == DD_CELL_REUSE_DELTA || c->op == DD_CELL_REUSE_OUTPUT;
}

static unsigned slots_of(const dd_plan *plan, int site)
{
    unsigned slots = 0;
    bool listed = false;
    for (int s = 0; s < plan->n_steps; s++) {
        const dd_cell *c = dd_plan_cell(plan, s, site);
        if (c->op == DD_CELL_REUSE_BRANCH) slots |= DD_SLOT_BIT(DD_SLOT_BRANCH);
        if (c->op == DD_CELL_REUSE_DELTA) slots |= DD_SLOT_BIT(DD_SLOT_CHANGE);
        if (c->op == DD_CELL_REUSE_OUTPUT) slots |= DD_SLOT_BIT(DD_SLOT_OUTPUT);
        if (c->op == DD_CELL_COMPUTE_STORE && c->rows == DD_ROWS_ROUTED) listed = true;
    }
    if (listed && slots & DD_SLOT_SUMS) slots |= DD_SLOT_BIT(DD_SLOT_IDX) | DD_SLOT_BIT(DD_SLOT_COUNT);
    return slots;
}

static bool computes_all(const dd_plan *plan, int step)
{
    for (int i = 0; i < plan->n_sites; i++)
        if (!dd_cell_computes(dd_plan_cell(plan, step, i))) return false;
    return true;
}

/* A COMPUTE cell may fill slots that are `free` as well as not, if the rows are of a kind that these can hold. */
static bool stores(const dd_plan *plan, int step, int site, unsigned slots, bool free_slots)
{
    const dd_cell *c = dd_plan_cell(plan, step, site);
    if (slots == 0 || !dd_cell_computes(c)) return false;
    if (c->op == DD_CELL_COMPUTE_STORE) return true;
    const bool fits = c->rows != DD_ROWS_ROUTED || slots & DD_SLOT_BIT(DD_SLOT_IDX) || !(slots & DD_SLOT_SUMS);
    return free_slots && fits && computes_all(plan, step);
}

static dd_action action_of(const dd_cell *c, const dd_cell *source, bool stores, unsigned slots)
{
    dd_action a = {.op = c->op};
    switch ((dd_cell_op)c->op) {
    case DD_CELL_COMPUTE:
    case DD_CELL_COMPUTE_STORE:
        a.op = stores ? DD_CELL_COMPUTE_STORE : DD_CELL_COMPUTE;
        if (stores) a.keeps = (uint8_t)(slots & (DD_SLOT_SUMS | DD_SLOT_BIT(DD_SLOT_OUTPUT)));
        a.routes = c->rows != DD_ROWS_ALL;
        /* without a sum to be masked later, the rows that do not get it need not be computed */
        a.masked = c->rows == DD_ROWS_MASKED && a.keeps & DD_SLOT_SUMS;
        a.listed = a.routes && !a.masked;
        break;
    case DD_CELL_REUSE_BRANCH: a.routes = a.masked = c->rows != DD_ROWS_ALL; /* fall through */
    case DD_CELL_REUSE_DELTA: a.listed = source->rows == DD_ROWS_ROUTED; break;
    default: break;
    }
    return a;
}

/* room [n_steps]: 1 where a later step reads what the site holds after this one. */
static void follow(dd_actions *a, const dd_plan *plan, int site, bool *needed)
{
    const unsigned slots = a->slots[site];
    const dd_cell *source = NULL;
    bool read = false;
    for (int s = plan->n_steps - 1; s >= 0; s--) {
        const dd_cell *c = dd_plan_cell(plan, s, site);
        needed[s] = read;
        if (c->op == DD_CELL_COMPUTE_STORE) read = false;
        if (reuses(c)) read = true;
    }
    for (int s = 0; s < plan->n_steps; s++) {
        const dd_cell *c = dd_plan_cell(plan, s, site);
        if (c->op == DD_CELL_COMPUTE_STORE) source = c;
        const bool keeps = stores(plan, s, site, slots, !needed[s]);
        a->at[(int64_t)s * a->n_sites + site] = action_of(c, source, keeps, slots);
    }
}

dd_status dd_actions_build(dd_actions *out, const dd_plan *plan, dd_err *err)
{
    const size_t steps = (size_t)plan->n_steps, sites = (size_t)plan->n_sites;
    bool *needed = malloc(steps + 1);
    *out = (dd_actions){.n_steps = plan->n_steps,
                        .n_sites = plan->n_sites,
                        .at = calloc(steps * sites + 1, sizeof *out->at),
                        .slots = calloc(sites + 1, 1)};
    if (!needed || !out->at || !out->slots) {
        free(needed);
        dd_actions_free(out);
        return DD_FAIL(err, DD_ERR_NOMEM, "out of memory while lowering a plan");
    }
    for (int i = 0; i < plan->n_sites; i++) out->slots[i] = (unsigned char)slots_of(plan, i);
    for (int i = 0; i < plan->n_sites; i++) follow(out, plan, i, needed);
    free(needed);
    return DD_OK;
}

void dd_actions_free(dd_actions *a)
{
    free(a->at);
    free(a->slots);
    *a = (dd_actions){0};
}
