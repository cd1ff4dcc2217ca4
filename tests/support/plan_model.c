/* SPDX-License-Identifier: MIT
 * Hand-made models; see plan_model.h. */
#include "tests/support/plan_model.h"

#include <stdio.h>
#include <stdlib.h>

#define FEATURES 256

/* 4 D^2 N + 2 N^2 D and 8 D^2 N for all units (docs/plan.md, "Costs"). */
static uint64_t attention_macs(const dd_config *c, int units, int64_t tokens)
{
    const uint64_t d = (uint64_t)c->hidden_size, e = (uint64_t)c->head_dim, n = (uint64_t)tokens;
    return (uint64_t)units * (4 * d * e * n + 2 * n * n * e);
}

static uint64_t mlp_macs(const dd_config *c, int units, int64_t tokens)
{
    return (uint64_t)units * 2 * (uint64_t)c->hidden_size * (uint64_t)c->group_size * (uint64_t)tokens;
}

dd_model *plan_model_new(int depth, int hidden, int heads, int tokens)
{
    dd_model *m = calloc(1, sizeof *m);
    dd_site *sites = calloc((size_t)depth * 2, sizeof *sites);
    if (!m || !sites) {
        free(m);
        free(sites);
        return NULL;
    }
    m->sites = sites;
    m->n_sites = 2 * depth;
    m->id = 0x0123456789abcdefu;
    m->cfg = (dd_config){.depth = depth, .hidden_size = hidden, .num_heads = heads, .tokens = tokens};
    m->cfg.head_dim = hidden / heads;
    m->cfg.mlp_hidden = 4 * hidden;
    m->cfg.group_size = 4 * hidden / heads;
    snprintf(m->cfg.arch, sizeof m->cfg.arch, "DyDiT-test-%d", depth);
    for (int i = 0; i < 2 * depth; i++) {
        const int mlp = i % 2;
        sites[i] = (dd_site){.block = i / 2,
                             .kind = mlp ? DD_SITE_MLP : DD_SITE_ATTENTION,
                             .units = heads,
                             .residual = true,
                             .router = -1,
                             .macs = mlp ? mlp_macs : attention_macs,
                             .cond_macs = 3 * (uint64_t)hidden * (uint64_t)hidden,
                             .gate_macs = (uint64_t)hidden * (uint64_t)hidden};
        snprintf(sites[i].name, sizeof sites[i].name, "blocks.%d.%s", i / 2, mlp ? "mlp" : "attn");
    }
    m->fixed_macs_row = (uint64_t)tokens * (uint64_t)hidden * 4 * 12; /* patch 2: 4 channels in, 8 out */
    m->cond_macs = (uint64_t)hidden * (uint64_t)hidden * (6 * (uint64_t)depth + 2);
    return m;
}

/* Uniform in -a .. a, the same everywhere. */
static const float *values(int64_t n, float a, uint64_t seed)
{
    float *v = malloc((size_t)n * sizeof *v);
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
    for (int64_t i = 0; v && i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        v[i] = a * ((float)(x >> 40) * 0x1p-23f - 1.0f);
    }
    return v;
}

int plan_model_add_routers(dd_model *m)
{
    const int64_t d = m->cfg.hidden_size;
    int ok = 1;
    m->cfg.dynamic = true;
    m->cfg.router_hidden = m->cfg.hidden_size / 16;
    m->router_macs_token = ((uint64_t)d + 1) * (uint64_t)m->cfg.router_hidden;
    m->temb_w0 = values(d * FEATURES, 0.2f, 1);
    m->temb_b0 = values(d, 0.2f, 2);
    m->temb_w1 = values(d * d, 0.3f, 3);
    m->temb_b1 = values(d, 0.3f, 4);
    m->step_routers = calloc((size_t)m->n_sites, sizeof *m->step_routers);
    if (!m->temb_w0 || !m->temb_b0 || !m->temb_w1 || !m->temb_b1 || !m->step_routers) return 0;
    m->n_step_routers = m->n_sites;
    for (int i = 0; i < m->n_sites; i++) {
        const int64_t n = m->cfg.num_heads - 1;
        if (m->sites[i].kind == DD_SITE_MLP) m->sites[i].router = m->n_routers++;
        m->step_routers[i] = (dd_step_router){i, values(n * d, 0.5f, 10 + 2 * (uint64_t)i),
                                              values(n, 0.5f, 11 + 2 * (uint64_t)i)};
        ok = ok && m->step_routers[i].weight && m->step_routers[i].bias;
    }
    return ok;
}

void plan_model_free(dd_model *m)
{
    if (!m) return;
    for (int i = 0; i < m->n_step_routers; i++) {
        free((void *)(uintptr_t)m->step_routers[i].weight);
        free((void *)(uintptr_t)m->step_routers[i].bias);
    }
    free((void *)(uintptr_t)m->temb_w0);
    free((void *)(uintptr_t)m->temb_b0);
    free((void *)(uintptr_t)m->temb_w1);
    free((void *)(uintptr_t)m->temb_b1);
    free(m->step_routers);
    free(m->sites);
    free(m);
}
