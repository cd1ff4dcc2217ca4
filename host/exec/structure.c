/* SPDX-License-Identifier: MIT
 * Node selection and removal of dead nodes. */
#include "host/exec/structure.h"

#include <stdlib.h>

bool dd_node_routed(const dd_plan *plan, const dd_node *node, int step)
{
    return node->site >= 0 && dd_plan_cell(plan, step, node->site)->rows == DD_ROWS_ROUTED;
}

int dd_node_uses(const dd_model *m, const dd_node *node, bool routed, dd_use *uses)
{
    int n = 0;
    const bool in_place = node->op == DD_OP_gemm && node->epilogue == DD_EPI_RESIDUAL;
    if (node->src >= 0) uses[n++] = (dd_use){node->src, true, false};
    if (node->dst >= 0) uses[n++] = (dd_use){node->dst, in_place, true};
    if (node->op == DD_OP_adaln || in_place) uses[n++] = (dd_use){m->buf_cond, true, false};
    if (node->op == DD_OP_route || (routed && (node->op == DD_OP_adaln || node->op == DD_OP_gemm))) {
        const bool writes = node->op == DD_OP_route;
        uses[n++] = (dd_use){m->buf_route_idx, !writes, writes};
        uses[n++] = (dd_use){m->buf_route_count, !writes, writes};
    }
    return n;
}

bool dd_same_structure(const dd_plan *plan, int a, int b)
{
    if (a == b) return true;
    if (plan->rows[a].guided != plan->rows[b].guided || plan->rows[a].weight_set != plan->rows[b].weight_set)
        return false;
    for (int s = 0; s < plan->n_sites; s++) {
        const dd_cell *ca = dd_plan_cell(plan, a, s), *cb = dd_plan_cell(plan, b, s);
        if (ca->op != cb->op || ca->rows != cb->rows || ca->format != cb->format || ca->router != cb->router)
            return false;
    }
    return true;
}

static dd_status wanted(const dd_model *m, const dd_plan *plan, const dd_node *node, int step, bool *runs, dd_err *err)
{
    *runs = true;
    if (node->site < 0) return DD_OK;
    const dd_cell *cell = dd_plan_cell(plan, step, node->site);
    switch (cell->op) {
    case DD_CELL_COMPUTE: *runs = !node->routed_only || cell->rows == DD_ROWS_ROUTED; return DD_OK;
    case DD_CELL_SKIP: *runs = false; return DD_OK;
    default:
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "plan: step %d, site %s: op %s cannot be run by this version", step,
                       m->sites[node->site].name, dd_cell_op_name(cell->op));
    }
}

/* Backwards over the program: a node stays if something it writes is read later or outlives the program. */
static void drop_dead(const dd_model *m, const dd_plan *plan, int step, bool *keep, bool *live)
{
    dd_use uses[DD_MAX_USES];
    for (int b = 0; b < m->n_buffers; b++) live[b] = m->buffers[b].persistent;
    for (int i = m->body.n - 1; i >= 0; i--) {
        const dd_node *node = &m->body.at[i];
        if (!keep[i]) continue;
        const int n = dd_node_uses(m, node, dd_node_routed(plan, node, step), uses);
        bool needed = false;
        for (int u = 0; u < n; u++) needed = needed || (uses[u].write && live[uses[u].buffer]);
        keep[i] = needed;
        if (!needed) continue;
        for (int u = 0; u < n; u++)
            if (uses[u].write && !uses[u].read && !m->buffers[uses[u].buffer].persistent) live[uses[u].buffer] = false;
        for (int u = 0; u < n; u++)
            if (uses[u].read) live[uses[u].buffer] = true;
    }
}

dd_status dd_structure_select(const dd_model *m, const dd_plan *plan, int step, bool *keep, dd_err *err)
{
    for (int i = 0; i < m->body.n; i++) DD_TRY(wanted(m, plan, &m->body.at[i], step, &keep[i], err));
    bool *live = calloc((size_t)m->n_buffers, sizeof *live);
    if (!live) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory while lowering a plan");
    drop_dead(m, plan, step, keep, live);
    free(live);
    return DD_OK;
}
