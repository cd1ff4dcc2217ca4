/* SPDX-License-Identifier: MIT
 * The DiT family with optional DyDiT routers, stated as sites and ops over buffers
 * (Peebles & Xie 2022, arXiv 2212.09748; Zhao et al. 2024, arXiv 2410.03456, section 3).
 *
 * Row of the conditioning table: per block {shift, scale, gate} of attention and {shift, scale, gate} of the MLP, then
 * {shift, scale} of the last layer, each hidden_size wide. */
#include <stdio.h>

#include "host/model/history.h"

typedef struct dit {
    dd_builder *b;
    int latents, h, qkv, att, hid, fin, out, c, cond; /* buffers */
    int x;                                            /* that of the residual stream, where building is */
} dit;

static uint64_t attention_macs(const dd_config *c, int units, int64_t tokens)
{
    const uint64_t d = (uint64_t)c->hidden_size, e = (uint64_t)c->head_dim, n = (uint64_t)tokens;
    return (uint64_t)units * (4 * d * e * n + 2 * n * n * e);
}

static uint64_t mlp_macs(const dd_config *c, int units, int64_t tokens)
{
    return (uint64_t)units * 2 * (uint64_t)c->hidden_size * (uint64_t)c->group_size * (uint64_t)tokens;
}

static const dd_slice_map whole = {.site = -1};

static int weight(dit *d, int block, const char *part, dd_slice_map n, dd_slice_map k)
{
    char name[72];
    snprintf(name, sizeof name, "blocks.%d.%s.weight", block, part);
    return dd_build_weight(d->b, name, n, k);
}

static int block_const(dit *d, int block, const char *part)
{
    char name[72];
    snprintf(name, sizeof name, "blocks.%d.%s", block, part);
    return dd_build_const(d->b, name);
}

static int block_bias(dit *d, int block, const char *part, int weight)
{
    char name[72];
    snprintf(name, sizeof name, "blocks.%d.%s", block, part);
    return dd_build_bias(d->b, name, weight);
}

static int add_site(dit *d, int block, dd_site_kind kind)
{
    dd_model *m = d->b->m;
    dd_site *s = &m->sites[m->n_sites]; /* room for two per block */
    const uint64_t vector = (uint64_t)m->cfg.hidden_size * (uint64_t)m->cfg.hidden_size;
    *s = (dd_site){.block = block,
                   .kind = kind,
                   .units = m->cfg.num_heads,
                   .residual = true,
                   .in = d->x,
                   .out = d->x,
                   .router = kind == DD_SITE_MLP && m->cfg.dynamic ? m->n_routers++ : -1,
                   .macs = kind == DD_SITE_MLP ? mlp_macs : attention_macs,
                   .cond_macs = 3 * vector,
                   .gate_macs = vector};
    snprintf(s->name, sizeof s->name, "blocks.%d.%s", block, kind == DD_SITE_MLP ? "mlp" : "attn");
    return m->n_sites++;
}

static void add_step_router(dit *d, int site, const char *part)
{
    dd_model *m = d->b->m;
    char name[40];
    if (!m->cfg.dynamic) return;
    snprintf(name, sizeof name, "%s.router.weight", part);
    const int w = block_const(d, m->sites[site].block, name);
    snprintf(name, sizeof name, "%s.router.bias", part);
    const int bias = block_const(d, m->sites[site].block, name);
    if (d->b->st != DD_OK) return;
    m->step_routers[m->n_step_routers++] = (dd_step_router){site, dd_build_values(d->b, w),
                                                            dd_build_values(d->b, bias)};
}

static void add_attention(dit *d, int i)
{
    dd_node_list *body = &d->b->m->body;
    const dd_config *c = &d->b->m->cfg;
    const int site = add_site(d, i, DD_SITE_ATTENTION);
    const int64_t w = c->hidden_size, e = c->head_dim, row = 6 * w * i;
    const dd_slice_map qkv = {site, 3 * e, 3}, heads = {site, e, 1};
    add_step_router(d, site, "attn_rate");

    dd_node *n = dd_build_node(d->b, body, DD_OP_adaln, site, "blocks.%d.attn.adaln", i);
    n->src = d->x, n->dst = d->h, n->mod[0] = row, n->mod[1] = row + w, n->eps = DD_LN_EPS;

    int wi = weight(d, i, "attn.qkv", qkv, whole), bi = block_bias(d, i, "attn.qkv.bias", wi);
    n = dd_build_node(d->b, body, DD_OP_gemm, site, "blocks.%d.attn.qkv", i);
    n->src = d->h, n->dst = d->qkv, n->weight = wi, n->bias = bi, n->epilogue = DD_EPI_BIAS;

    n = dd_build_node(d->b, body, DD_OP_attention, site, "blocks.%d.attn.sdpa", i);
    n->src = d->qkv, n->dst = d->att, n->weight = wi; /* its slices are those of qkv */

    wi = weight(d, i, "attn.proj", whole, heads), bi = block_const(d, i, "attn.proj.bias");
    n = dd_build_node(d->b, body, DD_OP_gemm, site, "blocks.%d.attn.proj", i);
    n->src = d->att, n->dst = d->x, n->weight = wi, n->bias = bi, n->epilogue = DD_EPI_RESIDUAL,
    n->mod[0] = row + 2 * w;
}

static void add_mlp(dit *d, int i)
{
    dd_node_list *body = &d->b->m->body;
    const dd_config *c = &d->b->m->cfg;
    const int site = add_site(d, i, DD_SITE_MLP);
    const int64_t w = c->hidden_size, row = 6 * w * i + 3 * w;
    const dd_slice_map groups = {site, c->group_size, 1};
    add_step_router(d, site, "mlp_rate");
    dd_node *n;
    if (c->dynamic) {
        const int w1 = weight(d, i, "token_selection.mlp_head.0", whole, whole);
        const int b1 = block_const(d, i, "token_selection.mlp_head.0.bias");
        const int w2 = block_const(d, i, "token_selection.mlp_head.2.weight");
        const int b2 = block_const(d, i, "token_selection.mlp_head.2.bias");
        n = dd_build_node(d->b, body, DD_OP_route, site, "blocks.%d.mlp.route", i);
        dd_build_float32(d->b, w1);
        n->src = d->x, n->weight = w1, n->bias = b1, n->aux[0] = w2, n->aux[1] = b2, n->routed_only = true;
    }
    n = dd_build_node(d->b, body, DD_OP_adaln, site, "blocks.%d.mlp.adaln", i);
    n->src = d->x, n->dst = d->h, n->mod[0] = row, n->mod[1] = row + w, n->eps = c->mlp_norm_eps;

    int wi = weight(d, i, "mlp.fc1", groups, whole), bi = block_const(d, i, "mlp.fc1.bias");
    n = dd_build_node(d->b, body, DD_OP_gemm, site, "blocks.%d.mlp.fc1", i);
    n->src = d->h, n->dst = d->hid, n->weight = wi, n->bias = bi, n->epilogue = DD_EPI_GELU;

    wi = weight(d, i, "mlp.fc2", whole, groups), bi = block_const(d, i, "mlp.fc2.bias");
    n = dd_build_node(d->b, body, DD_OP_gemm, site, "blocks.%d.mlp.fc2", i);
    n->src = d->hid, n->dst = d->x, n->weight = wi, n->bias = bi, n->epilogue = DD_EPI_RESIDUAL,
    n->mod[0] = row + 2 * w;
    n->block_end = i;
}

/* adaLN vectors of all blocks and the last layer: they depend on (step, label) only. */
static void add_prologue(dit *d)
{
    dd_model *m = d->b->m;
    const int64_t w = m->cfg.hidden_size;
    const int table = dd_build_const(d->b, "y_embedder.embedding_table.weight");
    dd_node *n = dd_build_node(d->b, &m->prologue, DD_OP_cond, -1, "cond");
    n->dst = d->c, n->aux[0] = table;
    for (int i = 0; i <= m->cfg.depth; i++) {
        const bool last = i == m->cfg.depth;
        int wi, bi;
        if (last) {
            wi = dd_build_weight(d->b, "final_layer.adaLN_modulation.1.weight", whole, whole);
            bi = dd_build_const(d->b, "final_layer.adaLN_modulation.1.bias");
        } else {
            wi = weight(d, i, "adaLN_modulation.1", whole, whole);
            dd_build_unit(d->b, wi, w); /* steps that reuse a branch read the gate alone */
            bi = block_const(d, i, "adaLN_modulation.1.bias");
        }
        n = dd_build_node(d->b, &m->prologue, DD_OP_gemm, -1, last ? "final.cond" : "blocks.%d.cond", i);
        n->src = d->c, n->dst = d->cond, n->weight = wi, n->bias = bi, n->epilogue = DD_EPI_BIAS,
        n->dst_col = 6 * w * i;
    }
}

static void add_ends(dit *d, bool first)
{
    dd_model *m = d->b->m;
    const int64_t w = m->cfg.hidden_size, row = 6 * w * m->cfg.depth;
    dd_node *n;
    if (first) {
        const int wi = dd_build_weight(d->b, "x_embedder.proj.weight", whole, whole);
        const int bi = dd_build_const(d->b, "x_embedder.proj.bias"), pos = dd_build_const(d->b, "pos_embed");
        n = dd_build_node(d->b, &m->body, DD_OP_patch_embed, -1, "embed");
        dd_build_float32(d->b, wi);
        n->src = d->latents, n->dst = d->x, n->weight = wi, n->bias = bi, n->aux[0] = pos;
        return;
    }
    const int wi = dd_build_weight(d->b, "final_layer.linear.weight", whole, whole);
    const int bi = dd_build_const(d->b, "final_layer.linear.bias");
    n = dd_build_node(d->b, &m->body, DD_OP_adaln, -1, "final.adaln");
    n->src = d->x, n->dst = d->h, n->mod[0] = row, n->mod[1] = row + w, n->eps = DD_LN_EPS;
    n = dd_build_node(d->b, &m->body, DD_OP_gemm, -1, "final.linear");
    n->src = d->h, n->dst = d->fin, n->weight = wi, n->bias = bi, n->epilogue = DD_EPI_BIAS;
    n = dd_build_node(d->b, &m->body, DD_OP_unpatchify, -1, "final.unpatchify");
    n->src = d->fin, n->dst = d->out;
}

static void add_buffers(dit *d)
{
    dd_model *m = d->b->m;
    const dd_config *c = &m->cfg;
    const int64_t w = c->hidden_size, pp = (int64_t)c->patch_size * c->patch_size;
    m->cond_width = w * (6 * (int64_t)c->depth + 2);
    d->latents = dd_build_buffer(d->b, "latents", DD_EXT_IMAGE, c->latent_count, DD_F32, true);
    d->out = dd_build_buffer(d->b, "out", DD_EXT_ROW, c->latent_count / c->in_channels * c->out_channels, DD_F32, true);
    d->x = dd_build_buffer(d->b, "x", DD_EXT_TOKEN, w, DD_F32, false);
    d->h = dd_build_operand(d->b, "h", DD_EXT_TOKEN, w, false);
    d->qkv = dd_build_rows(d->b, "qkv", DD_EXT_TOKEN, 3 * w, 3 * (int64_t)c->head_dim);
    d->att = dd_build_operand(d->b, "att", DD_EXT_TOKEN, w, false);
    d->hid = dd_build_operand(d->b, "hid", DD_EXT_TOKEN, c->mlp_hidden, false);
    d->fin = dd_build_buffer(d->b, "fin", DD_EXT_TOKEN, pp * c->out_channels, DD_F32, false);
    d->c = dd_build_operand(d->b, "c", DD_EXT_COND, w, true);
    d->cond = dd_build_buffer(d->b, "cond", DD_EXT_COND, m->cond_width, DD_F32, true);
    m->buf_route_idx = dd_build_buffer(d->b, "route_idx", DD_EXT_TOKEN, 1, DD_I32, false);
    m->buf_route_count = dd_build_buffer(d->b, "route_count", DD_EXT_ONCE, 1, DD_I32, false);
    m->buf_branch = dd_build_buffer(d->b, "branch", DD_EXT_TOKEN, w, DD_F32, false);
    m->buf_latents = d->latents, m->buf_out = d->out, m->buf_cond_c = d->c, m->buf_cond = d->cond;
}

static void add_costs(dd_model *m)
{
    const dd_config *c = &m->cfg;
    const uint64_t d = (uint64_t)c->hidden_size, n = (uint64_t)c->tokens;
    const uint64_t pp = (uint64_t)c->patch_size * (uint64_t)c->patch_size;
    m->fixed_macs_row = n * d * pp * (uint64_t)(c->in_channels + c->out_channels);
    m->cond_macs = d * (uint64_t)m->cond_width;
    m->router_macs_token = (d + 1) * (uint64_t)c->router_hidden;
}

dd_status dd_dit_build(dd_builder *b)
{
    dd_model *m = b->m;
    dit d = {.b = b};
    dd_history h;
    add_buffers(&d);
    const char *const temb[4] = {"t_embedder.mlp.0.weight", "t_embedder.mlp.0.bias", "t_embedder.mlp.2.weight",
                                 "t_embedder.mlp.2.bias"};
    const float **slot[4] = {&m->temb_w0, &m->temb_b0, &m->temb_w1, &m->temb_b1};
    for (int i = 0; i < 4; i++) *slot[i] = dd_build_values(b, dd_build_const(b, temb[i]));
    add_prologue(&d);
    add_ends(&d, true);
    dd_history_open(&h, b, d.x);
    for (int i = 0; i < m->cfg.depth && b->st == DD_OK; i++) {
        dd_history_after(&h, i);
        d.x = h.x;
        add_attention(&d, i);
        add_mlp(&d, i);
    }
    dd_history_after(&h, m->cfg.depth);
    d.x = h.x;
    dd_history_close(&h);
    add_ends(&d, false);
    add_costs(m);
    return b->st;
}
