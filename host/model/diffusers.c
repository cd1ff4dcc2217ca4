/* SPDX-License-Identifier: MIT
 * diffusers' names of a DiT (DiTTransformer2DModel, before 0.29 Transformer2DModel) in official ones. Most tensors are
 * renamed; q, k and v are joined; the embedders, which every block carries, must be equal in all of them; the table of
 * positions, which is not stored, is computed. Names that are not known stay as they are, for the model to refuse. */
#define _POSIX_C_SOURCE 200809L
#include "host/model/diffusers.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/sizes.h"
#include "host/io/json.h"
#include "host/io/shards.h"
#include "host/io/tensors_internal.h"
#include "host/model/config.h"

#define STEM "diffusion_pytorch_model"
#define MAX_PATH 4096
#define N_META 8 /* whole numbers */

typedef struct geometry {
    int64_t heads, head_dim, layers, in_channels, out_channels, sample_size, patch_size, classes;
    double norm_eps;
} geometry;

typedef struct mapper {
    const char *folder;
    dd_tensors *src; /* diffusers' names */
    dd_tensors *dst;
    geometry g;
    bool *used; /* tensors of src */
    dd_err *err;
} mapper;

/* ---- config.json ---- */

static dd_status require_text(const json_t *doc, const char *key, const char *want, const char *path, dd_err *err)
{
    const char *have = NULL;
    DD_TRY(dd_json_string(doc, key, path, &have, err));
    if (strcmp(have, want) == 0) return DD_OK;
    return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: %s is '%.80s', only '%s' is a DiT", path, key, have, want);
}

static dd_status read_fields(geometry *g, const json_t *doc, const char *path, dd_err *err)
{
    const struct {
        const char *key;
        int64_t hi, *out;
    } field[] = {{"num_attention_heads", 4096, &g->heads},
                 {"attention_head_dim", 4096, &g->head_dim},
                 {"num_layers", 1024, &g->layers},
                 {"in_channels", 4096, &g->in_channels},
                 {"sample_size", 4096, &g->sample_size},
                 {"patch_size", 64, &g->patch_size},
                 {"num_embeds_ada_norm", 1 << 24, &g->classes}};
    for (size_t i = 0; i < sizeof field / sizeof *field; i++)
        DD_TRY(dd_json_int(doc, field[i].key, 1, field[i].hi, path, field[i].out, err));
    g->out_channels = g->in_channels;
    const json_t *out = json_object_get(doc, "out_channels");
    if (out && !json_is_null(out)) DD_TRY(dd_json_int(doc, "out_channels", 1, 8192, path, &g->out_channels, err));
    const json_t *eps = json_object_get(doc, "norm_eps");
    if (eps && !json_is_number(eps)) return DD_FAIL(err, DD_ERR_FORMAT, "%s: norm_eps is no number", path);
    g->norm_eps = eps ? json_number_value(eps) : 1e-5;
    DD_TRY(require_text(doc, "norm_type", "ada_norm_zero", path, err));
    DD_TRY(require_text(doc, "activation_fn", "gelu-approximate", path, err));
    if (g->sample_size % g->patch_size != 0 || g->heads * g->head_dim % 4 != 0)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: sample_size is no multiple of patch_size, or the width none of 4",
                       path);
    if (g->sample_size / g->patch_size > DD_MAX_SIDE_TOKENS || g->heads * g->head_dim > DD_MAX_WIDTH)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: %lld tokens along a side and a width of %lld, at most %d and %d",
                       path, (long long)(g->sample_size / g->patch_size), (long long)(g->heads * g->head_dim),
                       DD_MAX_SIDE_TOKENS, DD_MAX_WIDTH);
    return DD_OK;
}

static dd_status read_config(geometry *g, const char *folder, dd_err *err)
{
    char path[MAX_PATH];
    json_t *doc;
    const char *class = "";
    if (snprintf(path, sizeof path, "%s/config.json", folder) >= MAX_PATH)
        return DD_FAIL(err, DD_ERR_ARG, "%.200s…: the name is too long", folder);
    if (access(path, F_OK) != 0)
        return DD_FAIL(err, DD_ERR_IO, "%s is a folder without config.json, not one of diffusers", folder);
    DD_TRY(dd_json_read_file(&doc, path, err));
    dd_status st = dd_json_string(doc, "_class_name", path, &class, err);
    if (st == DD_OK && strcmp(class, "DiTTransformer2DModel") != 0 && strcmp(class, "Transformer2DModel") != 0)
        st = DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: _class_name is '%.80s', not that of a DiT", path, class);
    if (st == DD_OK) st = read_fields(g, doc, path, err);
    json_decref(doc);
    return st;
}

/* ---- tensors ---- */

static dd_status no_memory(const mapper *m) { return DD_FAIL(m->err, DD_ERR_NOMEM, "%s: out of memory", m->folder); }

static dd_status add(mapper *m, const char *name, const dd_tensor *t)
{
    const size_t n = strlen(name) + 1;
    char *copy = dd_tensors_own(m->dst, n);
    if (!copy) return no_memory(m);
    memcpy(copy, name, n);
    dd_tensor *to = &m->dst->tensors[m->dst->n_tensors++];
    *to = *t;
    to->name = copy;
    return DD_OK;
}

/* Marks a tensor as mapped. NULL if it is absent: the model will miss the official name. */
static const dd_tensor *take(mapper *m, const char *name)
{
    const dd_tensor *t = dd_tensors_find(m->src, name);
    if (t) m->used[t - m->src->tensors] = true;
    return t;
}

static const char *const kinds[] = {"weight", "bias"};

static dd_status rename_linear(mapper *m, const char *from, const char *to)
{
    char old[DD_TENSOR_MAX_NAME], new[DD_TENSOR_MAX_NAME];
    for (int i = 0; i < 2; i++) {
        snprintf(old, sizeof old, "%s.%s", from, kinds[i]);
        snprintf(new, sizeof new, "%s.%s", to, kinds[i]);
        const dd_tensor *t = take(m, old);
        if (t) DD_TRY(add(m, new, t));
    }
    return DD_OK;
}

/* Rows of q, then of k, then of v. */
static dd_status join_qkv(mapper *m, int block, const char *kind)
{
    char name[96];
    const dd_tensor *part[3];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "transformer_blocks.%d.attn1.to_%c.%s", block, "qkv"[i], kind);
        part[i] = take(m, name);
        if (!part[i]) return DD_FAIL(m->err, DD_ERR_FORMAT, "%s: tensor %s is missing", m->folder, name);
        if (part[i]->rank < 1 || part[i]->rank != part[0]->rank || part[i]->bytes != part[0]->bytes ||
            strcmp(part[i]->dtype_name, part[0]->dtype_name) != 0 ||
            memcmp(part[i]->shape, part[0]->shape, sizeof part[i]->shape) != 0)
            return DD_FAIL(m->err, DD_ERR_FORMAT, "%s: tensor %s differs in shape or dtype from that of q", m->folder,
                           name);
    }
    dd_tensor t = *part[0];
    size_t bytes;
    unsigned char *data = dd_mul_size(t.bytes, 3, &bytes) ? dd_tensors_own(m->dst, bytes) : NULL;
    if (!data || t.count > INT64_MAX / 3) return no_memory(m);
    for (int i = 0; i < 3 && t.bytes > 0; i++) memcpy(data + (size_t)i * t.bytes, part[i]->data, t.bytes);
    t.bytes = bytes;
    t.count *= 3;
    t.shape[0] *= 3;
    t.data = t.count ? data : NULL;
    snprintf(name, sizeof name, "blocks.%d.attn.qkv.%s", block, kind);
    return add(m, name, &t);
}

/* A tensor that every block repeats. */
static dd_status take_shared(mapper *m, const char *part, const char *to)
{
    char name[DD_TENSOR_MAX_NAME];
    const dd_tensor *first = NULL;
    for (int i = 0; i < m->g.layers; i++) {
        snprintf(name, sizeof name, "transformer_blocks.%d.norm1.emb.%s", i, part);
        const dd_tensor *t = take(m, name);
        if (!t) continue;
        if (!first) {
            first = t;
            DD_TRY(add(m, to, t));
        } else if (t->bytes != first->bytes || (t->bytes && memcmp(t->data, first->data, t->bytes) != 0)) {
            return DD_FAIL(m->err, DD_ERR_UNSUPPORTED, "%s: tensor %s differs from %s; a DiT has one for all blocks",
                           m->folder, name, first->name);
        }
    }
    return DD_OK;
}

static dd_status map_shared(mapper *m)
{
    static const struct {
        const char *from, *to;
    } parts[] = {
        {"timestep_embedder.linear_1.weight", "t_embedder.mlp.0.weight"},
        {"timestep_embedder.linear_1.bias", "t_embedder.mlp.0.bias"},
        {"timestep_embedder.linear_2.weight", "t_embedder.mlp.2.weight"},
        {"timestep_embedder.linear_2.bias", "t_embedder.mlp.2.bias"},
        {"class_embedder.embedding_table.weight", "y_embedder.embedding_table.weight"},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) DD_TRY(take_shared(m, parts[i].from, parts[i].to));
    DD_TRY(rename_linear(m, "pos_embed.proj", "x_embedder.proj"));
    DD_TRY(rename_linear(m, "proj_out_1", "final_layer.adaLN_modulation.1"));
    return rename_linear(m, "proj_out_2", "final_layer.linear");
}

static dd_status map_block(mapper *m, int i)
{
    static const struct {
        const char *from, *to;
    } parts[] = {{"norm1.linear", "adaLN_modulation.1"},
                 {"attn1.to_out.0", "attn.proj"},
                 {"ff.net.0.proj", "mlp.fc1"},
                 {"ff.net.2", "mlp.fc2"}};
    char from[80], to[80];
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
        snprintf(from, sizeof from, "transformer_blocks.%d.%s", i, parts[k].from);
        snprintf(to, sizeof to, "blocks.%d.%s", i, parts[k].to);
        DD_TRY(rename_linear(m, from, to));
    }
    for (int k = 0; k < 2; k++) DD_TRY(join_qkv(m, i, kinds[k]));
    return DD_OK;
}

/* Sines and cosines of the column, then of the row, of each patch: D/4 frequencies 10000^(-4i/D), in float64
 * (get_2d_sincos_pos_embed of both projects). */
static dd_status make_positions(mapper *m)
{
    const int64_t d = m->g.heads * m->g.head_dim, side = m->g.sample_size / m->g.patch_size, quarter = d / 4;
    size_t bytes;
    float *p = NULL;
    if (dd_mul_size((size_t)(side * side), (size_t)d * sizeof *p, &bytes)) p = dd_tensors_own(m->dst, bytes);
    if (!p) return no_memory(m);
    const dd_tensor t = {.dtype_name = "F32",
                         .known = true,
                         .dtype = DD_F32,
                         .rank = 3,
                         .shape = {1, side * side, d},
                         .count = side * side * d,
                         .data = p,
                         .bytes = bytes};
    for (int64_t row = 0; row < side; row++)
        for (int64_t col = 0; col < side; col++, p += d)
            for (int64_t i = 0; i < quarter; i++) {
                const double w = 1.0 / pow(10000.0, (double)i / ((double)d / 4.0));
                p[i] = (float)sin((double)col * w);
                p[quarter + i] = (float)cos((double)col * w);
                p[2 * quarter + i] = (float)sin((double)row * w);
                p[3 * quarter + i] = (float)cos((double)row * w);
            }
    return add(m, "pos_embed", &t);
}

/* What config.json says, for the model to check against the tensors. */
static dd_status add_meta(mapper *m)
{
    const struct {
        const char *key;
        int64_t value;
    } fields[N_META] = {{"num_heads", m->g.heads},        {"hidden_size", m->g.heads * m->g.head_dim},
                        {"depth", m->g.layers},           {"in_channels", m->g.in_channels},
                        {"input_size", m->g.sample_size}, {"patch_size", m->g.patch_size},
                        {"num_classes", m->g.classes},    {"learn_sigma", m->g.out_channels == 2 * m->g.in_channels}};
    m->dst->meta = calloc(N_META + 1, sizeof *m->dst->meta);
    if (!m->dst->meta) return no_memory(m);
    for (int i = 0; i < N_META; i++) {
        char *text = dd_tensors_own(m->dst, 24);
        if (!text) return no_memory(m);
        snprintf(text, 24, "%lld", (long long)fields[i].value);
        m->dst->meta[m->dst->n_meta++] = (dd_text_pair){fields[i].key, text};
    }
    char *eps = dd_tensors_own(m->dst, 32);
    if (!eps) return no_memory(m);
    snprintf(eps, 32, "%.17g", m->g.norm_eps);
    m->dst->meta[m->dst->n_meta++] = (dd_text_pair){"norm_eps", eps};
    return DD_OK;
}

static dd_status map_all(mapper *m)
{
    dd_tensors *f = m->dst;
    const int n = dd_tensors_count(m->src);
    f->tensors = calloc((size_t)n + 1, sizeof *f->tensors);
    m->used = calloc((size_t)n + 1, sizeof *m->used);
    if (!f->tensors || !m->used) return no_memory(m);
    DD_TRY(map_shared(m));
    for (int i = 0; i < m->g.layers; i++) DD_TRY(map_block(m, i));
    DD_TRY(make_positions(m));
    for (int i = 0; i < n; i++)
        if (!m->used[i]) DD_TRY(add(m, dd_tensors_at(m->src, i)->name, dd_tensors_at(m->src, i)));
    DD_TRY(add_meta(m));
    qsort(f->tensors, (size_t)f->n_tensors, sizeof *f->tensors, dd_tensor_by_name);
    for (int i = 1; i < f->n_tensors; i++)
        if (strcmp(f->tensors[i - 1].name, f->tensors[i].name) == 0)
            return DD_FAIL(m->err, DD_ERR_FORMAT, "%s: tensor %s is there under two names", m->folder,
                           f->tensors[i].name);
    return DD_OK;
}

dd_status dd_diffusers_open(dd_tensors **out, const char *folder, dd_err *err)
{
    mapper m = {.folder = folder, .err = err};
    dd_status st;
    *out = NULL;
    DD_TRY(read_config(&m.g, folder, err));
    DD_TRY_GOTO(st, dd_tensors_begin(&m.dst, folder, err), done);
    DD_TRY_GOTO(st, dd_shards_open(&m.src, folder, STEM, err), done);
    m.dst->shards = m.src; /* closed with it */
    m.dst->bytes_shards = dd_tensors_bytes(m.src);
    m.dst->format = "diffusers";
    st = map_all(&m);
done:
    free(m.used);
    if (st != DD_OK) dd_tensors_close(&m.dst);
    *out = m.dst;
    return st;
}
