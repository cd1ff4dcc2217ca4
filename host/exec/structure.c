/* SPDX-License-Identifier: MIT
 * Nodes of a step from the model's and what the cells ask for; removal of dead nodes. */
#include "host/exec/structure.h"

#include <stdlib.h>

static bool adds_to_dst(const dd_node *n)
{
    return n->op == DD_OP_gated_add || (n->op == DD_OP_gemm && n->epilogue == DD_EPI_RESIDUAL);
}

int dd_node_vectors(const dd_step_node *node, int64_t *at)
{
    const dd_node *n = node->norm ? node->norm : &node->node;
    const bool gated = n->op == DD_OP_gated_add ? n->mod[0] >= 0 : n->op == DD_OP_gemm && adds_to_dst(n);
    const int count = n->op == DD_OP_adaln ? 2 : gated;
    for (int i = 0; i < count; i++) at[i] = n->mod[i];
    return count;
}

int dd_node_uses(const dd_model *m, const dd_step_node *node, dd_use *uses)
{
    const dd_node *d = &node->node;
    const bool route = d->op == DD_OP_route;
    int64_t vectors[DD_MAX_VECTORS];
    int n = 0;
    if (d->op == DD_OP_depth_average) {
        const dd_average *a = &m->averages[d->average];
        for (int i = 0; i < a->n; i++) uses[n++] = (dd_use){a->src[i], true, false};
    }
    if (node->norm) uses[n++] = (dd_use){node->norm->dst, false, true};
    if (d->src >= 0) uses[n++] = (dd_use){d->src, true, false};
    if (d->dst >= 0) uses[n++] = (dd_use){d->dst, adds_to_dst(d), true};
    if (dd_node_vectors(node, vectors) > 0) uses[n++] = (dd_use){m->buf_cond, true, false};
    if (node->idx >= 0) uses[n++] = (dd_use){node->idx, !route, route};
    if (node->count >= 0) uses[n++] = (dd_use){node->count, !route, route};
    if (node->keep >= 0) uses[n++] = (dd_use){node->keep, false, true};
    if (node->change >= 0) uses[n++] = (dd_use){node->change, false, true};
    if (node->masked) { /* the router that writes the mask also writes these */
        uses[n++] = (dd_use){m->buf_route_idx, true, false};
        uses[n++] = (dd_use){m->buf_route_count, true, false};
    }
    return n;
}

bool dd_same_structure(const dd_plan *plan, const dd_actions *actions, int a, int b)
{
    if (a == b) return true;
    if (plan->rows[a].guided != plan->rows[b].guided || plan->rows[a].weight_set != plan->rows[b].weight_set)
        return false;
    for (int s = 0; s < plan->n_sites; s++) {
        const dd_cell *ca = dd_plan_cell(plan, a, s), *cb = dd_plan_cell(plan, b, s);
        const dd_action *x = dd_action_at(actions, a, s), *y = dd_action_at(actions, b, s);
        if (x->op != y->op || x->keeps != y->keeps || x->routes != y->routes || x->listed != y->listed ||
            x->masked != y->masked || ca->format != cb->format || (x->routes && ca->router != cb->router))
            return false;
    }
    return true;
}

/* ---- nodes ---------------------------------------------------------------------------------------------------- */

typedef struct build {
    dd_structure *out;
    const dd_model *m;
    const dd_actions *actions;
    int step;
} build;

static dd_step_node *add(const build *b, const dd_node *n, const char *label)
{
    dd_step_node *to = &b->out->at[b->out->n++];
    *to = (dd_step_node){.node = *n, .label = label, .runs = true, .idx = -1, .count = -1, .keep = -1, .change = -1};
    return to;
}

/* Rows on which the nodes of a site work: those of its slot where the branch is kept or comes from there. */
static void set_rows(const build *b, const dd_action *a, dd_step_node *to)
{
    const int site = to->node.site;
    const bool router = to->node.op == DD_OP_route, held = a->op != DD_CELL_COMPUTE && !(router && a->masked) &&
                                                           (a->op != DD_CELL_COMPUTE_STORE || a->keeps & DD_SLOT_SUMS);
    if (!router && !a->listed) return;
    to->idx = held ? dd_slot_buffer(b->m, site, DD_SLOT_IDX) : b->m->buf_route_idx;
    to->count = held ? dd_slot_buffer(b->m, site, DD_SLOT_COUNT) : b->m->buf_route_count;
}

/* Where the GEMM that ends a branch leaves it for the sum: in its slot, or, as GEMMs write float32, in a buffer from which the
 * sum goes on into a slot of fewer bits. */
static int branch_buffer(const build *b, int site)
{
    const bool branch = b->actions->slots[site] & DD_SLOT_BIT(DD_SLOT_BRANCH);
    return b->actions->staged ? b->m->buf_branch : dd_slot_buffer(b->m, site, branch ? DD_SLOT_BRANCH : DD_SLOT_CHANGE);
}

/* The stored branch (or change) onto x. */
static void add_sum(const build *b, const dd_node *residual, const dd_action *a)
{
    const int site = residual->site;
    const unsigned slots = b->actions->slots[site];
    const bool delta = a->op == DD_CELL_REUSE_DELTA, branch = slots & DD_SLOT_BIT(DD_SLOT_BRANCH) && !delta;
    dd_node n = *residual;
    n.op = DD_OP_gated_add;
    n.weight = n.bias = -1;
    const bool staged = b->actions->staged && dd_cell_op_computes(a->op);
    n.src = staged ? b->m->buf_branch : dd_slot_buffer(b->m, site, branch ? DD_SLOT_BRANCH : DD_SLOT_CHANGE);
    if (delta) n.mod[0] = -1;
    dd_step_node *to = add(b, &n, b->m->sites[site].name);
    to->masked = a->masked;
    if (staged && branch) to->keep = dd_slot_buffer(b->m, site, DD_SLOT_BRANCH);
    if (a->keeps & DD_SLOT_BIT(DD_SLOT_CHANGE)) to->change = dd_slot_buffer(b->m, site, DD_SLOT_CHANGE);
    set_rows(b, a, to);
}

static void add_copy(const build *b, const dd_node *residual, bool back)
{
    const int slot = dd_slot_buffer(b->m, residual->site, DD_SLOT_OUTPUT), x = residual->dst;
    const dd_node n = {.op = DD_OP_copy,
                       .site = residual->site,
                       .src = back ? slot : x,
                       .dst = back ? x : slot,
                       .weight = -1,
                       .bias = -1,
                       .block_end = -1};
    add(b, &n, b->m->sites[n.site].name);
}

/* The last node of a site, which adds the branch to x: where results are kept and reused. */
static void add_residual(const build *b, const dd_node *n, const dd_action *a)
{
    const bool reuses = a->op == DD_CELL_REUSE_BRANCH || a->op == DD_CELL_REUSE_DELTA;
    const bool keeps = a->op == DD_CELL_COMPUTE_STORE && a->keeps & DD_SLOT_SUMS;
    dd_step_node *to = add(b, n, n->label);
    set_rows(b, a, to);
    to->runs = dd_cell_op_computes(a->op);
    to->node.block_end = -1;
    if (keeps) {
        to->node.epilogue = DD_EPI_BIAS;
        to->node.dst = branch_buffer(b, n->site);
    }
    if (keeps || reuses) add_sum(b, n, a);
    if (a->op == DD_CELL_COMPUTE_STORE && a->keeps & DD_SLOT_BIT(DD_SLOT_OUTPUT)) add_copy(b, n, false);
    if (a->op == DD_CELL_REUSE_OUTPUT) add_copy(b, n, true);
    b->out->at[b->out->n - 1].node.block_end = n->block_end;
}

static void add_node(const build *b, const dd_node *n)
{
    if (n->site < 0) {
        add(b, n, n->label);
        return;
    }
    const dd_action *a = dd_action_at(b->actions, b->step, n->site);
    if (adds_to_dst(n)) {
        add_residual(b, n, a);
        return;
    }
    dd_step_node *to = add(b, n, n->label);
    set_rows(b, a, to);
    to->runs = n->routed_only ? a->routes : dd_cell_op_computes(a->op);
}

/* ---- dead nodes ----------------------------------------------------------------------------------------------- */

static bool outlives(const dd_model *m, int buffer) { return buffer >= m->n_buffers || m->buffers[buffer].persistent; }

/* Backwards over the program: a node stays if something it writes is read later or outlives the program. */
static void drop_dead(const dd_model *m, dd_structure *s, bool traced, bool *live)
{
    dd_use uses[DD_MAX_USES];
    for (int b = 0; b < dd_buffer_count(m); b++) live[b] = outlives(m, b);
    for (int i = s->n - 1; i >= 0; i--) {
        dd_step_node *node = &s->at[i];
        if (traced && node->node.block_end >= 0) live[node->node.dst] = true;
        if (!node->runs) continue;
        const int n = dd_node_uses(m, node, uses);
        bool needed = false;
        for (int u = 0; u < n; u++) needed = needed || (uses[u].write && live[uses[u].buffer]);
        node->runs = needed;
        if (!needed) continue;
        for (int u = 0; u < n; u++)
            if (uses[u].write && !uses[u].read && !outlives(m, uses[u].buffer)) live[uses[u].buffer] = false;
        for (int u = 0; u < n; u++)
            if (uses[u].read) live[uses[u].buffer] = true;
    }
}

/* An adaln of all rows behind the average whose result it reads becomes part of it. */
static void join_norms(dd_structure *s)
{
    dd_step_node *last = NULL; /* that runs */
    for (int i = 0; i < s->n; i++) {
        dd_step_node *node = &s->at[i];
        if (!node->runs) continue;
        if (last && last->node.op == DD_OP_depth_average && node->node.op == DD_OP_adaln && node->idx < 0 &&
            node->node.src == last->node.dst) {
            last->norm = &node->node;
            node->runs = false;
        }
        last = node;
    }
}

dd_status dd_structure_build(dd_structure *out, const dd_model *m, const dd_actions *actions, int step, bool traced,
                             dd_err *err)
{
    const build b = {out, m, actions, step};
    bool *live = calloc((size_t)dd_buffer_count(m), sizeof *live);
    *out = (dd_structure){.at = calloc((size_t)m->body.n + 2 * (size_t)m->n_sites + 1, sizeof *out->at)};
    if (!live || !out->at) {
        free(live);
        dd_structure_free(out);
        return DD_FAIL(err, DD_ERR_NOMEM, "out of memory while lowering a plan");
    }
    for (int i = 0; i < m->body.n; i++) add_node(&b, &m->body.at[i]);
    drop_dead(m, out, traced, live);
    join_norms(out);
    free(live);
    return DD_OK;
}

void dd_structure_free(dd_structure *s)
{
    free(s->at);
    *s = (dd_structure){0};
}
