/* SPDX-License-Identifier: MIT
 * One function per op kind fills its arguments from a node; the rest is order. */
#include "host/exec/lower.h"

#include <stdlib.h>
#include <string.h>

#include "host/exec/backend.h"
#include "host/exec/structure.h"

typedef struct lowering {
    const dd_binding *b;
    const dd_model *m;
    int rows;   /* of this program */
    int sum_of; /* buffer that the last op, a gated_add, adds to; -1: it is none */
    dd_program *out;
    dd_err *err;
} lowering;

static dd_slices slices(const dd_binding *b, const dd_axis_table *axis)
{
    if (axis->list_at < 0) return (dd_slices){NULL, NULL};
    return (dd_slices){b->ints + axis->list_at, b->ints + axis->offset_at};
}

static dd_slices host_slices(const dd_binding *b, const dd_axis_table *axis)
{
    if (axis->list_at < 0) return (dd_slices){NULL, NULL};
    return (dd_slices){b->tables->ints + axis->list_at, b->tables->ints + axis->offset_at};
}

static dd_cond_table cond_table(const dd_binding *b)
{
    const int64_t width = b->spec->model->cond_width;
    return (dd_cond_table){
        .table = b->buffer[b->spec->model->buf_cond],
        .slot_stride = width, /* n_labels is in the table of slots: the ops of a step do not depend on it */
        .cond_stride = width,
        .slot = b->ints + b->tables->slot_at,
        .row_cond = b->row_cond};
}

static dd_row_list row_list(const lowering *l, const dd_step_node *n)
{
    if (n->idx < 0) return (dd_row_list){NULL, NULL};
    return (dd_row_list){l->b->buffer[n->idx], l->b->buffer[n->count]};
}

static const float *constant(const lowering *l, int index) { return index < 0 ? NULL : l->b->weights->consts[index]; }

static void fill_patch_embed(const lowering *l, const dd_node *n, dd_patch_embed_args *a)
{
    const dd_config *c = &l->m->cfg;
    *a = (dd_patch_embed_args){.latents = l->b->buffer[n->src],
                               .w = l->b->weights->packed[n->weight],
                               .bias = constant(l, n->bias),
                               .pos = constant(l, n->aux[0]),
                               .x = l->b->buffer[n->dst],
                               .b = l->b->images,
                               .r = l->rows,
                               .c = c->in_channels,
                               .size = c->input_size,
                               .p = c->patch_size,
                               .d = c->hidden_size};
}

static void fill_adaln(const lowering *l, const dd_node *n, dd_row_list rows, dd_adaln_args *a)
{
    *a = (dd_adaln_args){.x = l->b->buffer[n->src],
                         .y = l->b->buffer[n->dst],
                         .y_format = dd_spec_format(l->b->spec, n->dst),
                         .ldy = dd_spec_ld(l->b->spec, n->dst),
                         .rows = rows,
                         .cond = cond_table(l->b),
                         .shift = n->mod[0],
                         .scale = n->mod[1],
                         .r = l->rows,
                         .s = l->m->cfg.tokens,
                         .d = l->m->cfg.hidden_size,
                         .eps = n->eps};
}

static void fill_depth_average(const lowering *l, const dd_step_node *node, dd_depth_average_args *a)
{
    const dd_average *sum = &l->m->averages[node->node.average];
    *a = (dd_depth_average_args){.y = l->b->buffer[node->node.dst],
                                 .n = sum->n,
                                 .r = l->rows,
                                 .s = l->m->cfg.tokens,
                                 .d = l->m->cfg.hidden_size};
    for (int i = 0; i < sum->n; i++) a->x[i] = l->b->buffer[sum->src[i]], a->weight[i] = sum->weight[i];
    if (node->norm) fill_adaln(l, node->norm, (dd_row_list){NULL, NULL}, &a->norm);
}

static void fill_gemm(const lowering *l, const dd_step_node *node, dd_gemm_args *a, int m)
{
    const dd_node *n = &node->node;
    const dd_run_spec *spec = l->b->spec;
    float *dst = l->b->buffer[n->dst];
    *a = (dd_gemm_args){.a = l->b->buffer[n->src],
                        .w = l->b->weights->packed[n->weight],
                        .bias = constant(l, n->bias),
                        .c = dst + n->dst_col, /* not 0 only in float32 */
                        .a_format = dd_spec_format(spec, n->src),
                        .c_format = dd_spec_format(spec, n->dst),
                        .lda = dd_spec_ld(spec, n->src),
                        .ldc = dd_spec_ld(spec, n->dst),
                        .c_unit = dd_spec_buffer(spec, n->dst).unit ? dd_spec_unit(spec, n->dst) : 0,
                        .m = m,
                        .rows = row_list(l, node),
                        .n = slices(l->b, &l->b->tables->n_axis[n->weight]),
                        .k = slices(l->b, &l->b->tables->k_axis[n->weight]),
                        .host_n = host_slices(l->b, &l->b->tables->n_axis[n->weight]),
                        .host_k = host_slices(l->b, &l->b->tables->k_axis[n->weight]),
                        .epilogue = n->epilogue,
                        .s = l->m->cfg.tokens};
    if (n->epilogue != DD_EPI_RESIDUAL) {
        a->rows.idx = NULL;
        return;
    }
    a->gate = cond_table(l->b);
    a->gate_off = n->mod[0];
}

static void fill_attention(const lowering *l, const dd_node *n, dd_attention_args *a)
{
    const dd_run_spec *spec = l->b->spec;
    *a = (dd_attention_args){.qkv = l->b->buffer[n->src],
                             .out = l->b->buffer[n->dst],
                             .qkv_format = dd_spec_format(spec, n->src),
                             .out_format = dd_spec_format(spec, n->dst),
                             .ldq = dd_spec_ld(spec, n->src),
                             .ldo = dd_spec_ld(spec, n->dst),
                             .ld_head = dd_spec_unit(spec, n->src),
                             .heads = slices(l->b, &l->b->tables->n_axis[n->weight]),
                             .r = l->rows,
                             .s = l->m->cfg.tokens,
                             .h = l->m->cfg.num_heads,
                             .e = l->m->cfg.head_dim};
}

static void fill_route(const lowering *l, const dd_step_node *node, dd_route_args *a)
{
    const dd_node *n = &node->node;
    const dd_config *c = &l->m->cfg;
    const int64_t router = l->m->sites[n->site].router, tokens = (int64_t)l->rows * c->tokens;
    const dd_binding *b = l->b;
    *a = (dd_route_args){.x = b->buffer[n->src],
                         .w1 = b->weights->packed[n->weight],
                         .b1 = constant(l, n->bias),
                         .w2 = constant(l, n->aux[0]),
                         .b2 = constant(l, n->aux[1]),
                         .forced = b->forced ? b->forced + router * tokens : NULL,
                         .idx = b->buffer[node->idx],
                         .count = b->buffer[node->count],
                         .mask = b->mask ? b->mask + router * tokens : NULL,
                         .kept = b->kept ? b->kept + router * b->spec->plan->n_steps : NULL,
                         .hits = b->hits,
                         .split = b->spec->input != DD_FMT_F32,
                         .r = l->rows,
                         .s = c->tokens,
                         .d = c->hidden_size,
                         .j = c->router_hidden};
}

static dd_branch branch(const lowering *l, const dd_step_node *node)
{
    const dd_node *n = &node->node;
    const int64_t tokens = (int64_t)l->rows * l->m->cfg.tokens;
    const dd_run_spec *spec = l->b->spec;
    dd_branch b = {.f = l->b->buffer[n->src],
                   .f_format = dd_spec_format(spec, n->src),
                   .out_format = spec->cache,
                   .rows = row_list(l, node),
                   .gate = n->mod[0]};
    if (node->keep >= 0) b.keep = l->b->buffer[node->keep];
    if (node->change >= 0) b.change = l->b->buffer[node->change];
    if (node->masked && l->b->mask) b.mask = l->b->mask + l->m->sites[n->site].router * tokens;
    return b;
}

/* Sums that follow each other go over x once. */
static bool joins(const lowering *l, const dd_step_node *node)
{
    return l->out->n_ops > 0 && node->node.op == DD_OP_gated_add && l->sum_of == node->node.dst &&
           l->out->ops[l->out->n_ops - 1].args.gated_add.n < DD_MAX_BRANCHES;
}

static void fill_gated_add(const lowering *l, const dd_step_node *node, dd_gated_add_args *a)
{
    *a = (dd_gated_add_args){.x = l->b->buffer[node->node.dst],
                             .cond = cond_table(l->b),
                             .branch = {branch(l, node)},
                             .n = 1,
                             .r = l->rows,
                             .s = l->m->cfg.tokens,
                             .d = l->m->cfg.hidden_size};
}

static void fill_copy(const lowering *l, const dd_node *n, dd_copy_args *a)
{
    const size_t count = (size_t)l->rows * (size_t)l->m->cfg.tokens * (size_t)l->m->cfg.hidden_size;
    *a = (dd_copy_args){.dst = l->b->buffer[n->dst], .src = l->b->buffer[n->src], .bytes = count * sizeof(float)};
}

static void fill_unpatchify(const lowering *l, const dd_node *n, dd_unpatchify_args *a)
{
    const dd_config *c = &l->m->cfg;
    *a = (dd_unpatchify_args){.tokens = l->b->buffer[n->src],
                              .out = l->b->buffer[n->dst],
                              .r = l->rows,
                              .co = c->out_channels,
                              .size = c->input_size,
                              .p = c->patch_size};
}

static void fill_cond(const lowering *l, const dd_node *n, dd_cond_args *a)
{
    *a = (dd_cond_args){.temb = l->b->temb,
                        .emb = constant(l, n->aux[0]),
                        .labels = l->b->labels,
                        .c = l->b->buffer[n->dst],
                        .c_format = dd_spec_format(l->b->spec, n->dst),
                        .ldc = dd_spec_ld(l->b->spec, n->dst),
                        .slots = l->b->tables->cond.slots,
                        .steps = l->b->spec->plan->n_steps,
                        .n_cond = l->b->n_labels,
                        .d = l->m->cfg.hidden_size};
}

static bool has_op(const dd_ops *ops, dd_op_id id)
{
    switch (id) {
#define DD_OP(name)    \
    case DD_OP_##name: \
        return ops->name != NULL;
#include "kernels/ops.def"
#undef DD_OP
    case DD_OP_COUNT: break;
    }
    return false;
}

static dd_status append(lowering *l, dd_op_id id, int site, const char *label, dd_op **op)
{
    if (!has_op(l->b->ops, id))
        return DD_FAIL(l->err, DD_ERR_UNSUPPORTED, "%s: backend %s has no op %s", label, l->b->backend_name,
                       dd_op_name(id));
    *op = &l->out->ops[l->out->n_ops++];
    **op = (dd_op){.id = id, .site = site, .weight = -1, .label = label};
    l->sum_of = -1;
    return DD_OK;
}

/* Keeps the tokens after a block, for traces. */
static dd_status append_trace(lowering *l, const dd_node *n)
{
    dd_op *op = NULL;
    const int64_t count = (int64_t)l->rows * l->m->cfg.tokens * l->m->cfg.hidden_size;
    DD_TRY(append(l, DD_OP_copy, -1, "trace", &op));
    op->args.copy = (dd_copy_args){.dst = l->b->hidden + n->block_end * count,
                                   .src = l->b->buffer[n->dst],
                                   .bytes = (size_t)count * sizeof(float)};
    return DD_OK;
}

static dd_status append_node(lowering *l, const dd_step_node *node, int gemm_rows)
{
    const dd_node *n = &node->node;
    dd_op *op = NULL;
    if (joins(l, node)) {
        dd_gated_add_args *sum = &l->out->ops[l->out->n_ops - 1].args.gated_add;
        sum->branch[sum->n++] = branch(l, node);
        return DD_OK;
    }
    DD_TRY(append(l, n->op, n->site, node->label, &op));
    op->weight = n->weight;
    switch (n->op) {
    case DD_OP_patch_embed: fill_patch_embed(l, n, &op->args.patch_embed); break;
    case DD_OP_adaln: fill_adaln(l, n, row_list(l, node), &op->args.adaln); break;
    case DD_OP_depth_average: fill_depth_average(l, node, &op->args.depth_average); break;
    case DD_OP_gemm: fill_gemm(l, node, &op->args.gemm, gemm_rows); break;
    case DD_OP_gated_add: fill_gated_add(l, node, &op->args.gated_add); break;
    case DD_OP_attention: fill_attention(l, n, &op->args.attention); break;
    case DD_OP_route: fill_route(l, node, &op->args.route); break;
    case DD_OP_unpatchify: fill_unpatchify(l, n, &op->args.unpatchify); break;
    case DD_OP_cond: fill_cond(l, n, &op->args.cond); break;
    case DD_OP_copy: fill_copy(l, n, &op->args.copy); break;
    default: return DD_FAIL(l->err, DD_ERR_INTERNAL, "node %s has an op that models do not use", node->label);
    }
    l->sum_of = n->op == DD_OP_gated_add ? n->dst : -1;
    return DD_OK;
}

static dd_status append_guide(lowering *l)
{
    const dd_config *c = &l->m->cfg;
    dd_op *op = NULL;
    DD_TRY(append(l, DD_OP_guide, -1, "guide", &op));
    op->args.guide = (dd_guide_args){.out = l->b->buffer[l->m->buf_out],
                                     .scale = l->b->spec->cfg_scale,
                                     .b = l->b->images,
                                     .co = c->out_channels,
                                     .channels = l->b->spec->cfg_channels,
                                     .size = c->input_size};
    return DD_OK;
}

static dd_status append_noise(lowering *l, dd_draw draw, float *dst)
{
    const dd_draws *d = &l->b->spec->draws;
    const int64_t n = dd_draws_count(d, draw, l->b->images);
    dd_op *op = NULL;
    DD_TRY(append(l, DD_OP_noise, -1, "noise", &op));
    op->args.noise = (dd_noise_args){.dst = dst,
                                     .stream = l->b->streams[draw],
                                     .stride = draw == DD_DRAW_STEP ? dd_card_growth(&d->card, n) : 0,
                                     .count = d->images.latent_count,
                                     .threads = dd_card_threads(&d->card, n),
                                     .b = l->b->images};
    return DD_OK;
}

static dd_status append_solve(lowering *l)
{
    const dd_config *c = &l->m->cfg;
    dd_op *op = NULL;
    DD_TRY(append(l, DD_OP_solve, -1, "solve", &op));
    op->args.solve = (dd_solve_args){.solver = l->b->spec->solver,
                                     .coef = l->b->coefs,
                                     .x = l->b->buffer[l->m->buf_latents],
                                     .out = l->b->buffer[l->m->buf_out],
                                     .noise = l->b->noise,
                                     .x0 = l->b->x0,
                                     .b = l->b->images,
                                     .c = c->in_channels,
                                     .co = c->out_channels,
                                     .size = c->input_size};
    float **const kept[] = {&op->args.solve.x0_1, &op->args.solve.x0_2, &op->args.solve.y_1};
    for (int i = 0; i < dd_spec_kept(l->b->spec) && l->b->kept_x; i++)
        *kept[i] = l->b->kept_x + (int64_t)i * l->b->images * c->latent_count;
    return DD_OK;
}

static dd_status lower_steps(lowering *l, const dd_structure *s, int step)
{
    const dd_plan *plan = l->b->spec->plan;
    for (int i = 0; i < s->n; i++) {
        const dd_step_node *n = &s->at[i];
        if (n->runs) DD_TRY(append_node(l, n, l->rows * l->m->cfg.tokens));
        if (n->node.block_end >= 0 && l->b->hidden) DD_TRY(append_trace(l, &n->node));
    }
    if (plan->rows[step].guided) DD_TRY(append_guide(l));
    if (l->b->spec->draw_noise) DD_TRY(append_noise(l, DD_DRAW_STEP, l->b->noise));
    if (l->b->spec->coefs) DD_TRY(append_solve(l));
    return DD_OK;
}

dd_status dd_lower_body(dd_program *out, const dd_binding *b, int step, dd_err *err)
{
    const dd_model *m = b->spec->model;
    lowering l = {
        .b = b, .m = m, .rows = b->images * (b->spec->plan->rows[step].guided ? 2 : 1), .out = out, .err = err};
    dd_structure s;
    dd_status st;
    *out = (dd_program){0};
    DD_TRY(dd_structure_build(&s, m, b->actions, step, b->spec->want_hidden, err));
    out->ops = calloc((size_t)(s.n + m->cfg.depth + 3), sizeof *out->ops);
    if (!out->ops) DD_TRY_GOTO(st, DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a program"), done);
    st = lower_steps(&l, &s, step);
done:
    dd_structure_free(&s);
    if (st != DD_OK) dd_program_free(out);
    return st;
}

dd_status dd_lower_count(int *n_ops, const dd_run_spec *spec, const dd_actions *actions, int step, dd_err *err)
{
    dd_structure s;
    int joined = 0, onto = -1; /* sums in the last op, 0: it is none; what they are added to */
    DD_TRY(dd_structure_build(&s, spec->model, actions, step, spec->want_hidden, err));
    *n_ops = (spec->plan->rows[step].guided ? 1 : 0) + spec->draw_noise + (spec->coefs != NULL);
    for (int i = 0; i < s.n; i++) {
        const bool sum = s.at[i].node.op == DD_OP_gated_add, traced = spec->want_hidden && s.at[i].node.block_end >= 0;
        const bool joins = sum && joined > 0 && joined < DD_MAX_BRANCHES && onto == s.at[i].node.dst;
        if (s.at[i].runs && joins) joined++;
        else if (s.at[i].runs) joined = sum, onto = s.at[i].node.dst, ++*n_ops;
        if (traced) joined = 0, ++*n_ops;
    }
    dd_structure_free(&s);
    return DD_OK;
}

/* A GEMM for every run of vectors that are computed for as many steps. */
static dd_status append_cond(lowering *l, const dd_step_node *node, int chunk)
{
    const dd_cond *cond = &l->b->tables->cond;
    const int64_t d = l->m->cfg.hidden_size;
    const int from = (int)(node->node.dst_col / d), n = (int)(l->m->weights[node->node.weight].desc.n / d);
    for (int v = 0, end; v < n; v = end) {
        const int steps = dd_cond_counts(cond, chunk)[from + v];
        end = dd_cond_run_end(cond, chunk, from + v, from + n) - from;
        if (steps == 0) continue;
        const dd_axis_table part = dd_tables_run(l->b->tables, v, end, n);
        DD_TRY(append_node(l, node, steps * l->b->n_labels));
        dd_gemm_args *a = &l->out->ops[l->out->n_ops - 1].args.gemm;
        a->c = (float *)a->c + v * d;
        a->n = slices(l->b, &part);
        a->host_n = host_slices(l->b, &part);
    }
    return DD_OK;
}

dd_status dd_lower_prologue(dd_program *out, const dd_binding *b, int chunk, dd_err *err)
{
    const dd_model *m = b->spec->model;
    lowering l = {.b = b, .m = m, .out = out, .err = err};
    *out = (dd_program){0};
    out->ops = calloc((size_t)(m->prologue.n + b->tables->cond.n_vectors), sizeof *out->ops);
    if (!out->ops) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a program");
    for (int i = 0; i < m->prologue.n; i++) {
        const dd_node *n = &m->prologue.at[i];
        const dd_step_node node = {
            .node = *n, .label = n->label, .runs = true, .idx = -1, .count = -1, .keep = -1, .change = -1};
        const dd_status st = n->op == DD_OP_gemm ? append_cond(&l, &node, chunk) : append_node(&l, &node, 0);
        if (st == DD_OK) continue;
        dd_program_free(out);
        return st;
    }
    return DD_OK;
}

dd_status dd_lower_start(dd_program *out, const dd_binding *b, dd_err *err)
{
    const dd_model *m = b->spec->model;
    lowering l = {.b = b, .m = m, .out = out, .err = err};
    *out = (dd_program){0};
    if (!b->spec->draw_latents) return DD_OK;
    out->ops = calloc(1, sizeof *out->ops);
    if (!out->ops) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a program");
    const dd_status st = append_noise(&l, DD_DRAW_LATENTS, b->buffer[m->buf_latents]);
    if (st != DD_OK) dd_program_free(out);
    return st;
}

void dd_program_free(dd_program *p)
{
    free(p->ops);
    *p = (dd_program){0};
}
