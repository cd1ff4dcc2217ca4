/* SPDX-License-Identifier: MIT
 * MACs of plan cells. What each site costs is the model's knowledge; what runs is the plan's. */
#include "host/plan/cost.h"

#include <math.h>

int64_t dd_cost_tokens(int64_t tokens, double share)
{
    return share >= 0.0 && share <= 1.0 ? llround(share * (double)tokens) : tokens;
}

/* Tokens of one row that a cell works on. */
static int64_t cell_tokens(const dd_cell *c, int64_t tokens, const double *kept, int site)
{
    return c->rows == DD_ROWS_ROUTED && kept ? dd_cost_tokens(tokens, kept[site]) : tokens;
}

uint64_t dd_cost_cell(const dd_plan *plan, const dd_model *m, int step, int site, const double *kept)
{
    const dd_cell *c = dd_plan_cell(plan, step, site);
    const int64_t tokens = m->cfg.tokens;
    const int computes = dd_cell_computes(c);
    uint64_t macs = 0;
    if (computes) macs = m->sites[site].macs(&m->cfg, dd_popcount64(c->units), cell_tokens(c, tokens, kept, site));
    if (c->rows != DD_ROWS_ALL && (computes || c->op == DD_CELL_REUSE_BRANCH)) /* elsewhere no router runs */
        macs += m->router_macs_token * (uint64_t)tokens;
    return macs;
}

dd_cost dd_cost_step(const dd_plan *plan, const dd_model *m, int step, int64_t rows, const double *kept)
{
    dd_cost row = {m->fixed_macs_row, m->fixed_macs_row};
    for (int i = 0; i < m->n_sites; i++) {
        row.dense += m->sites[i].macs(&m->cfg, m->sites[i].units, m->cfg.tokens);
        if (dd_plan_live(plan, m, step, i)) row.executed += dd_cost_cell(plan, m, step, i, kept);
    }
    return (dd_cost){row.dense * (uint64_t)rows, row.executed * (uint64_t)rows};
}

dd_cost dd_cost_cond(const dd_plan *plan, const dd_model *m, int step, int64_t labels)
{
    dd_cost label = {m->cond_macs, m->cond_macs};
    for (int i = 0; i < m->n_sites; i++) {
        const dd_cell *c = dd_plan_cell(plan, step, i);
        const int live = dd_plan_live(plan, m, step, i);
        if (live && dd_cell_computes(c)) continue;
        label.executed -= m->sites[i].cond_macs;
        if (live && c->op == DD_CELL_REUSE_BRANCH) label.executed += m->sites[i].gate_macs;
    }
    return (dd_cost){label.dense * (uint64_t)labels, label.executed * (uint64_t)labels};
}
