/* SPDX-License-Identifier: MIT
 * Which cells have an effect: what the run leaves out because nobody reads it (host/exec/structure.c), stated for plans. */
#include "host/plan/plan.h"

static int has_slot(const dd_plan *p, int site)
{
    for (int s = 0; s < p->n_steps; s++) {
        const int op = dd_plan_cell(p, s, site)->op;
        if (!dd_cell_op_computes(op) && op != DD_CELL_SKIP) return 1;
    }
    return 0;
}

int dd_plan_live(const dd_plan *p, const dd_model *m, int step, int site)
{
    for (int i = site; i < p->n_sites; i++) {
        if (m->n_averages && m->sites[i].block != m->sites[site].block) return 1;
        const int op = dd_plan_cell(p, step, i)->op;
        if (op == DD_CELL_REUSE_OUTPUT && i > site) return 0;
        if (op == DD_CELL_COMPUTE_STORE && has_slot(p, i)) return 1;
    }
    return 1;
}
