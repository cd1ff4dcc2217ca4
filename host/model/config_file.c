/* SPDX-License-Identifier: MIT
 * Reads a model's geometry from a checkpoint: tensor shapes first, then metadata and preset, which may add what shapes
 * cannot tell (heads of a dense DiT, labels) but must not contradict them. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/model/dwa.h"
#include "kernels/ops.h"

typedef struct reader {
    const dd_tensors *file;
    const char *path;
    dd_err *err;
} reader;

static dd_status dim(const reader *r, const char *name, int rank, int axis, int64_t max, int *out)
{
    const dd_tensor *t = dd_tensors_find(r->file, name);
    if (!t)
        return DD_FAIL(r->err, DD_ERR_FORMAT,
                       "%s: tensor %s is missing: no DiT or DyDiT checkpoint with official names", r->path, name);
    if (t->rank != rank)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: tensor %s has rank %d, expected %d", r->path, name, t->rank, rank);
    if (t->shape[axis] < 0 || t->shape[axis] > max)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: tensor %s: extent %lld of axis %d is out of range", r->path, name,
                       (long long)t->shape[axis], axis);
    *out = (int)t->shape[axis];
    return DD_OK;
}

#define MAX_BLOCKS 1024

/* Number of consecutive blocks from 0 on. Names beyond a gap belong to no block and are refused later. */
static int count_blocks(const dd_tensors *file)
{
    bool seen[MAX_BLOCKS + 1] = {false};
    for (int i = 0; i < dd_tensors_count(file); i++) {
        const char *name = dd_tensors_at(file, i)->name;
        if (strncmp(name, "blocks.", 7) != 0 || name[7] < '0' || name[7] > '9') continue;
        const long k = strtol(name + 7, NULL, 10);
        if (k >= 0 && k < MAX_BLOCKS) seen[k] = true;
    }
    int depth = 0;
    while (seen[depth]) depth++;
    return depth;
}

static dd_status from_shapes(const reader *r, dd_config *c)
{
    int pos, rows, patch2;
    DD_TRY(dim(r, "x_embedder.proj.weight", 4, 0, 1 << 20, &c->hidden_size));
    DD_TRY(dim(r, "x_embedder.proj.weight", 4, 1, 4096, &c->in_channels));
    DD_TRY(dim(r, "x_embedder.proj.weight", 4, 2, 64, &c->patch_size));
    DD_TRY(dim(r, "pos_embed", 3, 1, 1 << 24, &pos));
    DD_TRY(dim(r, "y_embedder.embedding_table.weight", 2, 0, INT_MAX, &c->num_classes));
    c->num_classes -= 1;
    DD_TRY(dim(r, "blocks.0.mlp.fc1.weight", 2, 0, 1 << 24, &c->mlp_hidden));
    DD_TRY(dim(r, "final_layer.linear.weight", 2, 0, 1 << 28, &rows));
    c->depth = count_blocks(r->file);
    const int grid = (int)lround(sqrt((double)pos));
    if (grid * grid != pos)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: tensor pos_embed holds %d tokens, which is no square", r->path, pos);
    c->input_size = grid * c->patch_size;
    patch2 = c->patch_size * c->patch_size;
    if (c->in_channels < 1 || patch2 < 1 || rows % (patch2 * c->in_channels) != 0 ||
        rows / (patch2 * c->in_channels) < 1 || rows / (patch2 * c->in_channels) > 2)
        return DD_FAIL(
            r->err, DD_ERR_FORMAT,
            "%s: tensor final_layer.linear.weight has %d rows, expected %d (noise) or %d (noise and variance)", r->path,
            rows, patch2 * c->in_channels, 2 * patch2 * c->in_channels);
    c->learn_sigma = rows / (patch2 * c->in_channels) == 2;
    c->dynamic = dd_tensors_find(r->file, "blocks.0.attn_rate.router.weight") != NULL;
    if (c->dynamic) {
        DD_TRY(dim(r, "blocks.0.attn_rate.router.weight", 2, 0, 1 << 20, &c->num_heads));
        c->num_heads += 1;
    }
    return DD_OK;
}

static dd_status meta_number(const reader *r, const char *key, double *out, bool *found)
{
    const char *text = dd_tensors_meta(r->file, key);
    *found = text != NULL;
    if (!text) return DD_OK;
    if (strcmp(text, "True") == 0 || strcmp(text, "true") == 0) {
        *out = 1;
        return DD_OK;
    }
    if (strcmp(text, "False") == 0 || strcmp(text, "false") == 0) {
        *out = 0;
        return DD_OK;
    }
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    if (end == text || *end || errno || !isfinite(*out))
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: metadata %s is '%s', expected a number", r->path, key, text);
    return DD_OK;
}

/* Takes a metadata value where *field is 0 (unknown), else requires that it agrees with the shapes; from: the tensor
 * that tells. */
static dd_status agree(const reader *r, const char *key, const char *from, int *field)
{
    double v;
    bool found;
    DD_TRY(meta_number(r, key, &v, &found));
    if (!found) return DD_OK;
    if (v != floor(v) || fabs(v) > 1e9)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: metadata %s is %g, expected a whole number", r->path, key, v);
    if (*field == 0) *field = (int)v;
    if (*field != (int)v)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: metadata says %s %d, but %s says %d", r->path, key, (int)v, from,
                       *field);
    return DD_OK;
}

static dd_status read_labels(const reader *r, dd_config *c)
{
    const char *text = dd_tensors_meta(r->file, "labels");
    if (!text) return DD_OK;
    int n = 1;
    for (const char *p = text; *p; p++) n += *p == ',';
    if (n != c->num_classes)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: metadata labels names %d classes, but the tensors hold %d", r->path,
                       n, c->num_classes);
    c->labels = calloc((size_t)n, sizeof *c->labels);
    if (!c->labels) return DD_FAIL(r->err, DD_ERR_NOMEM, "%s: out of memory for labels", r->path);
    const char *p = text;
    for (int i = 0; i < n; i++) {
        const size_t len = strcspn(p, ",");
        c->labels[i] = calloc(len + 1, 1);
        if (!c->labels[i]) return DD_FAIL(r->err, DD_ERR_NOMEM, "%s: out of memory for labels", r->path);
        memcpy(c->labels[i], p, len);
        p += len + (p[len] == ',');
    }
    return DD_OK;
}

dd_status dd_config_diffusers_eps(const dd_tensors *file, double *eps, dd_err *err)
{
    const reader r = {file, dd_tensors_path(file), err};
    bool found = false;
    *eps = DD_DIFFUSERS_NORM_EPS;
    DD_TRY(meta_number(&r, "norm_eps", eps, &found));
    if (*eps >= 1e-12 && *eps <= 1) return DD_OK;
    return DD_FAIL(err, DD_ERR_FORMAT, "%s: metadata norm_eps is %g, expected 1e-12 to 1", r.path, *eps);
}

/* Metadata `compat` and, where it is diffusers, `norm_eps`. */
static dd_status read_compat(const reader *r, dd_config *c)
{
    const char *compat = dd_tensors_meta(r->file, "compat");
    double eps;
    c->mlp_norm_eps = DD_LN_EPS;
    if (!compat || strcmp(compat, "official") == 0) return DD_OK;
    if (strcmp(compat, "diffusers") != 0)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: metadata compat is '%.40s', expected official or diffusers", r->path,
                       compat);
    c->diffusers = true;
    DD_TRY(dd_config_diffusers_eps(r->file, &eps, r->err));
    c->mlp_norm_eps = (float)eps;
    return DD_OK;
}

static dd_status from_metadata(const reader *r, dd_config *c)
{
    DD_TRY(agree(r, "input_size", "pos_embed", &c->input_size));
    DD_TRY(agree(r, "patch_size", "x_embedder.proj.weight", &c->patch_size));
    DD_TRY(agree(r, "in_channels", "x_embedder.proj.weight", &c->in_channels));
    DD_TRY(agree(r, "hidden_size", "x_embedder.proj.weight", &c->hidden_size));
    DD_TRY(agree(r, "depth", "the number of blocks", &c->depth));
    DD_TRY(agree(r, "num_heads", "blocks.0.attn_rate.router.weight", &c->num_heads));
    DD_TRY(agree(r, "num_classes", "y_embedder.embedding_table.weight", &c->num_classes));
    DD_TRY(agree(r, "cfg_channels", "the model", &c->cfg_channels));
    double v;
    bool found;
    DD_TRY(meta_number(r, "learn_sigma", &v, &found));
    if (found && (v != 0) != c->learn_sigma)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: metadata says learn_sigma %g, but final_layer.linear.weight says %d",
                       r->path, v, c->learn_sigma);
    DD_TRY(meta_number(r, "mlp_ratio", &v, &found));
    if (found && (v <= 0 || v > 1e4 || (int)(c->hidden_size * v) != c->mlp_hidden))
        return DD_FAIL(r->err, DD_ERR_FORMAT,
                       "%s: metadata says mlp_ratio %g, but blocks.0.mlp.fc1.weight has %d rows for width %d", r->path,
                       v, c->mlp_hidden, c->hidden_size);
    return read_labels(r, c);
}

static dd_status from_preset(const reader *r, dd_config *c, const char *preset)
{
    dd_config p;
    DD_TRY(dd_config_preset(&p, preset, r->err));
    const struct {
        const char *name;
        int want, *have;
    } field[] = {{"width", p.hidden_size, &c->hidden_size},
                 {"depth", p.depth, &c->depth},
                 {"heads", p.num_heads, &c->num_heads},
                 {"patch size", p.patch_size, &c->patch_size},
                 {"MLP channels", p.mlp_hidden, &c->mlp_hidden}};
    for (size_t i = 0; i < sizeof field / sizeof field[0]; i++) {
        if (*field[i].have == 0) *field[i].have = field[i].want;
        if (*field[i].have != field[i].want)
            return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: model %s has %s %d, but the file has %d", r->path, preset,
                           field[i].name, field[i].want, *field[i].have);
    }
    if (p.dynamic && !c->dynamic)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: model %s has routers, but the file has none", r->path, preset);
    return DD_OK;
}

/* The widths of the four published sizes tell their heads; anything else must be said. */
static dd_status guess_heads(const reader *r, dd_config *c)
{
    static const char *const names[] = {"DiT-XL/2", "DiT-L/2", "DiT-B/2", "DiT-S/2"};
    for (size_t i = 0; i < sizeof names / sizeof names[0] && c->num_heads == 0; i++) {
        dd_config p;
        DD_TRY(dd_config_preset(&p, names[i], r->err));
        if (p.hidden_size == c->hidden_size && p.depth == c->depth) c->num_heads = p.num_heads;
    }
    if (c->num_heads == 0)
        return DD_FAIL(
            r->err, DD_ERR_FORMAT,
            "%s: the number of heads of this dense DiT is not in the file: add metadata num_heads or give --model",
            r->path);
    return DD_OK;
}

dd_status dd_config_from_file(dd_config *out, const dd_tensors *file, const char *preset, dd_err *err)
{
    const reader r = {file, dd_tensors_path(file), err};
    dd_config c = {0};
    dd_status st;
    DD_TRY_GOTO(st, from_shapes(&r, &c), fail);
    DD_TRY_GOTO(st, from_metadata(&r, &c), fail);
    if (preset) DD_TRY_GOTO(st, from_preset(&r, &c, preset), fail);
    if (c.num_heads == 0) DD_TRY_GOTO(st, guess_heads(&r, &c), fail);
    DD_TRY_GOTO(st, read_compat(&r, &c), fail);
    DD_TRY_GOTO(st, dd_dwa_read(&c.dwa, file, c.depth, err), fail);
    if (c.cfg_channels == 0 && c.diffusers) c.cfg_channels = c.in_channels;
    if (c.cfg_channels == 0) c.cfg_channels = c.in_channels < 3 ? c.in_channels : 3;
    DD_TRY_GOTO(st, dd_config_derive(&c, r.path, err), fail);
    *out = c;
    return DD_OK;
fail:
    dd_config_fini(&c);
    return st;
}
