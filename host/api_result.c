/* SPDX-License-Identifier: MIT
 * Public API: latents and trajectories of a run as safetensors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/io/safetensors.h"

const float *dydit_result_latents(const dydit_result *r, int64_t *n_images)
{
    if (!r) return NULL;
    if (n_images) *n_images = r->n;
    return r->out.latents;
}

dd_status dd_result_has_pictures(const dydit_result *r, const char *what, dd_err *err)
{
    if (r->out.latents) return DD_OK;
    return DD_FAIL(err, DD_ERR_ARG, "%s: the run kept no pictures, they were handed over batch by batch", what);
}

static dd_tensor_entry entry(const char *name, dd_dtype dtype, const void *data, int rank, int64_t d0, int64_t d1,
                             int64_t d2, int64_t d3, int64_t d4)
{
    return (dd_tensor_entry){.name = name, .dtype = dtype, .rank = rank, .shape = {d0, d1, d2, d3, d4}, .data = data};
}

dydit_status dydit_result_write_latents(const dydit_result *r, const char *path)
{
    if (!r || !path) return DYDIT_ERR_ARG;
    dd_err *err = &r->model->ctx->err;
    dd_api_begin(r->model->ctx);
    const dd_status there = dd_result_has_pictures(r, path, err);
    if (there != DD_OK) return (dydit_status)there;
    const dd_config *c = &r->model->m->cfg;
    float *labels = malloc((size_t)r->n * sizeof *labels);
    if (!labels) return (dydit_status)DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", path);
    for (int64_t i = 0; i < r->n; i++) labels[i] = (float)r->labels[i];
    const dd_tensor_entry list[] = {
        entry("latents", DD_F32, r->out.latents, 4, r->n, c->in_channels, c->input_size, c->input_size, 0),
        entry("labels", DD_F32, labels, 1, r->n, 0, 0, 0, 0)};
    const dd_text_pair meta[] = {{"arch", c->arch}, {"sampler", r->set.sampler}, {"steps", r->set.steps}};
    const dd_status st = dd_safetensors_write(path, list, 2, meta, 3, err);
    free(labels);
    return (dydit_status)st;
}

typedef struct masks {
    float *t, *heads, *groups;
} masks;

static dd_status collect(const dydit_result *r, masks *k, dd_err *err)
{
    const dd_model *m = r->model->m;
    const size_t steps = (unsigned)r->plan->n_steps, depth = (unsigned)m->cfg.depth, h = (unsigned)m->cfg.num_heads;
    k->t = calloc(steps, sizeof *k->t);
    k->heads = calloc(steps * depth * h, sizeof *k->heads);
    k->groups = calloc(steps * depth * h, sizeof *k->groups);
    if (!k->t || !k->heads || !k->groups) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the trajectory");
    for (size_t t = 0; t < steps; t++) {
        k->t[t] = r->plan->rows[t].timestep;
        for (int s = 0; s < m->n_sites; s++) { /* both models of a switch have these */
            const dd_cell *c = dd_plan_cell(dd_plan_at(r->plan, (int)t), (int)t, s);
            float *dst = m->sites[s].kind == DD_SITE_MLP ? k->groups : k->heads;
            for (size_t u = 0; u < h; u++)
                dst[(t * depth + (size_t)m->sites[s].block) * h + u] = dd_cell_computes(c) ? (float)(c->units >> u & 1)
                                                                                           : 0;
        }
    }
    return DD_OK;
}

dydit_status dydit_result_write_trajectory(const dydit_result *r, const char *path)
{
    masks k = {0};
    if (!r || !path) return DYDIT_ERR_ARG;
    dd_err *err = &r->model->ctx->err;
    dd_api_begin(r->model->ctx);
    if (!r->out.trajectory) return (dydit_status)DD_FAIL(err, DD_ERR_ARG, "%s: this run kept no trajectory", path);
    const dd_model *m = r->model->m;
    const dd_config *c = &m->cfg;
    const int64_t steps = r->plan->n_steps, size = c->input_size, h = c->num_heads;
    int guided = 0;
    for (int t = 0; t < r->plan->n_steps; t++) guided |= r->plan->rows[t].guided;
    dd_status st = collect(r, &k, err);
    if (st == DD_OK) {
        const dd_tensor_entry list[] = {
            entry("x", DD_F32, r->out.trajectory, 5, steps, r->n, c->in_channels, size, size),
            entry("t", DD_F32, k.t, 1, steps, 0, 0, 0, 0), entry("heads", DD_F32, k.heads, 3, steps, c->depth, h, 0, 0),
            entry("groups", DD_F32, k.groups, 3, steps, c->depth, h, 0, 0),
            entry("tokens", DD_U8, r->out.tokens, 4, steps, r->out.routers, r->n * (guided ? 2 : 1), c->tokens, 0)};
        st = dd_safetensors_write(path, list, r->out.routers > 0 ? 5 : 4, NULL, 0, err);
    }
    free(k.t);
    free(k.heads);
    free(k.groups);
    return (dydit_status)st;
}
