/* SPDX-License-Identifier: MIT
 * Opens a checkpoint as a model: file, configuration, unexpected names, builder, id. */
#include "host/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/str.h"
#include "host/model/builder.h"
#include "host/model/checkpoint.h"

/* Names the model of a plan: names and shapes of all tensors, and the values of the routers. */
static dd_status hash_model(dd_model *m, const dd_key *keys, int n, dd_err *err)
{
    uint64_t h = DD_HASH_INIT;
    for (int i = 0; i < n; i++) {
        h = dd_hash(h, keys[i].name, strlen(keys[i].name) + 1);
        h = dd_hash(h, keys[i].shape, sizeof keys[i].shape[0] * (size_t)keys[i].rank);
        const dd_tensor *t = dd_tensors_find(m->file, keys[i].name);
        if (!t) continue;
        m->n_params += t->count;
        if (!keys[i].router || t->count == 0) continue;
        float *v = malloc((size_t)t->count * sizeof *v);
        if (!v) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for tensor %s", m->path, keys[i].name);
        const dd_status st = dd_tensors_read_f32(m->file, t, v, err);
        if (st == DD_OK) h = dd_hash(h, v, (size_t)t->count * sizeof *v);
        free(v);
        DD_TRY(st);
    }
    m->id = dd_hash(h, &m->cfg.num_heads, sizeof m->cfg.num_heads);
    if (m->cfg.diffusers) m->id = dd_hash(m->id, &m->cfg.mlp_norm_eps, sizeof m->cfg.mlp_norm_eps);
    return DD_OK;
}

/* A name of the network that this family does not have means another architecture, so running on would be wrong. */
static dd_status refuse_unexpected(const dd_model *m, const dd_key *keys, int n, dd_err *err)
{
    for (int i = 0; i < dd_tensors_count(m->file); i++) {
        const char *name = dd_tensors_at(m->file, i)->name;
        if (!dd_key_is_network(name) || dd_key_find(keys, n, name)) continue;
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: tensor %s does not belong to a %s", m->path, name, m->cfg.arch);
    }
    return DD_OK;
}

static dd_status build(dd_model *m, const char *preset, dd_err *err)
{
    dd_key *keys = NULL;
    int n = 0;
    DD_TRY(dd_config_from_file(&m->cfg, m->file, preset, err));
    DD_TRY(dd_dit_keys(&m->cfg, &keys, &n, err));
    dd_builder b = {.m = m, .keys = keys, .n_keys = n, .err = err};
    dd_status st;
    m->sites = calloc((size_t)m->cfg.depth * 2, sizeof *m->sites);
    m->step_routers = calloc((size_t)m->cfg.depth * 2, sizeof *m->step_routers);
    if (!m->sites || !m->step_routers)
        DD_TRY_GOTO(st, DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for the model", m->path), done);
    DD_TRY_GOTO(st, refuse_unexpected(m, keys, n, err), done);
    DD_TRY_GOTO(st, dd_dit_build(&b), done);
    st = hash_model(m, keys, n, err);
done:
    free(keys);
    return st;
}

dd_status dd_model_adopt(dd_model **out, dd_tensors *file, const char *preset, dd_err *err)
{
    const char *path = dd_tensors_path(file);
    dd_status st;
    *out = NULL;
    dd_model *m = calloc(1, sizeof *m);
    if (!m) {
        st = DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", path);
        dd_tensors_close(&file);
        return st;
    }
    m->file = file;
    m->path = calloc(strlen(path) + 1, 1);
    if (!m->path) DD_TRY_GOTO(st, DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", path), fail);
    memcpy(m->path, path, strlen(path));
    DD_TRY_GOTO(st, build(m, preset, err), fail);
    *out = m;
    return DD_OK;
fail:
    dd_model_close(&m);
    return st;
}

dd_status dd_model_open(dd_model **out, const char *path, const char *preset, dd_err *err)
{
    dd_tensors *file = NULL;
    *out = NULL;
    DD_TRY(dd_checkpoint_open(&file, path, NULL, err));
    return dd_model_adopt(out, file, preset, err);
}

void dd_model_close(dd_model **model)
{
    dd_model *m = *model;
    if (!m) return;
    for (int i = 0; i < m->n_consts; i++) free((void *)(uintptr_t)m->consts[i].data);
    free(m->consts);
    free(m->weights);
    free(m->buffers);
    free(m->sites);
    free(m->step_routers);
    free(m->prologue.at);
    free(m->body.at);
    free(m->averages);
    dd_config_fini(&m->cfg);
    dd_tensors_close(&m->file);
    free(m->path);
    free(m);
    *model = NULL;
}

int dd_model_site(const dd_model *m, const char *name)
{
    for (int i = 0; i < m->n_sites; i++)
        if (strcmp(m->sites[i].name, name) == 0) return i;
    return -1;
}
