/* SPDX-License-Identifier: MIT
 * Reads a DiT in diffusers' layout under official names. Most tensors are renamed; q, k and v are joined; the embedders,
 * which every block carries, must be equal in all of them; the table of positions, which is not stored, is computed. Names
 * that are not known stay as they are, for the model to refuse. */
#define _POSIX_C_SOURCE 200809L
#include "host/model/diffusers.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/sizes.h"
#include "host/io/shards.h"
#include "host/io/tensors_internal.h"
#include "host/model/diffusers_layout.h"

typedef struct mapper {
    const char *folder;
    dd_tensors *src; /* diffusers' names */
    dd_tensors *dst;
    dd_diffusers_config c;
    bool *used; /* tensors of src */
    dd_err *err;
} mapper;

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

static dd_status rename_linear(mapper *m, const char *from, const char *to)
{
    char old[DD_TENSOR_MAX_NAME], new[DD_TENSOR_MAX_NAME];
    for (int i = 0; i < 2; i++) {
        snprintf(old, sizeof old, "%s.%s", from, dd_diffusers_kinds[i]);
        snprintf(new, sizeof new, "%s.%s", to, dd_diffusers_kinds[i]);
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
static dd_status take_repeated(mapper *m, const dd_diffusers_pair *pair)
{
    char name[DD_TENSOR_MAX_NAME];
    const dd_tensor *first = NULL;
    for (int i = 0; i < m->c.layers; i++) {
        snprintf(name, sizeof name, "transformer_blocks.%d.%s", i, pair->theirs);
        const dd_tensor *t = take(m, name);
        if (!t) continue;
        if (!first) {
            first = t;
            DD_TRY(add(m, pair->ours, t));
        } else if (t->bytes != first->bytes || (t->bytes && memcmp(t->data, first->data, t->bytes) != 0)) {
            return DD_FAIL(m->err, DD_ERR_UNSUPPORTED, "%s: tensor %s differs from %s; a DiT has one for all blocks",
                           m->folder, name, first->name);
        }
    }
    return DD_OK;
}

static dd_status map_block(mapper *m, int i)
{
    char from[80], to[80];
    for (int k = 0; k < DD_DIFFUSERS_BLOCK_LINEARS; k++) {
        snprintf(from, sizeof from, "transformer_blocks.%d.%s", i, dd_diffusers_block_linears[k].theirs);
        snprintf(to, sizeof to, "blocks.%d.%s", i, dd_diffusers_block_linears[k].ours);
        DD_TRY(rename_linear(m, from, to));
    }
    for (int k = 0; k < 2; k++) DD_TRY(join_qkv(m, i, dd_diffusers_kinds[k]));
    return DD_OK;
}

/* Of the width that the tensors have, so that what config.json says takes no memory by itself. */
static dd_status make_positions(mapper *m)
{
    const int64_t n = dd_diffusers_positions_count(&m->c), d = m->c.heads * m->c.head_dim;
    const dd_tensor *proj = dd_tensors_find(m->src, "pos_embed.proj.weight");
    if (!proj || proj->rank != 4 || proj->shape[0] != d)
        return DD_FAIL(m->err, DD_ERR_FORMAT,
                       "%s: tensor pos_embed.proj.weight is not there with the width %lld that " DD_DIFFUSERS_CONFIG
                       " says",
                       m->folder, (long long)d);
    size_t bytes;
    float *table = dd_mul_size((size_t)n, sizeof *table, &bytes) ? dd_tensors_own(m->dst, bytes) : NULL;
    if (!table) return no_memory(m);
    const dd_tensor t = {.dtype_name = "F32",
                         .known = true,
                         .dtype = DD_F32,
                         .rank = 3,
                         .shape = {1, n / d, d},
                         .count = n,
                         .data = table,
                         .bytes = bytes};
    dd_diffusers_positions(&m->c, table);
    return add(m, "pos_embed", &t);
}

static dd_status set_meta(mapper *m, const char *key, const char *value)
{
    const size_t n = strlen(value) + 1;
    char *copy = dd_tensors_own(m->dst, n);
    if (!copy) return no_memory(m);
    memcpy(copy, value, n);
    return dd_tensors_set_meta(m->dst, key, copy) ? DD_OK : no_memory(m);
}

/* What config.json says, for the model to check against the tensors; and what it has no words for, which convert has left
 * in the metadata of the file of tensors. */
static dd_status add_meta(mapper *m)
{
    const struct {
        const char *key;
        int64_t value;
    } fields[] = {{"num_heads", m->c.heads},        {"hidden_size", m->c.heads * m->c.head_dim},
                  {"depth", m->c.layers},           {"in_channels", m->c.in_channels},
                  {"input_size", m->c.sample_size}, {"patch_size", m->c.patch_size},
                  {"num_classes", m->c.classes},    {"learn_sigma", m->c.out_channels == 2 * m->c.in_channels}};
    static const char *const kept[] = {"labels", "cfg_channels", "compat"};
    char text[32];
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const char *value = dd_tensors_meta(m->src, kept[i]);
        if (value) DD_TRY(set_meta(m, kept[i], value));
    }
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        snprintf(text, sizeof text, "%lld", (long long)fields[i].value);
        DD_TRY(set_meta(m, fields[i].key, text));
    }
    snprintf(text, sizeof text, "%.17g", m->c.norm_eps);
    return set_meta(m, "norm_eps", text);
}

static dd_status map_all(mapper *m)
{
    dd_tensors *f = m->dst;
    const int n = dd_tensors_count(m->src);
    f->tensors = calloc((size_t)n + 1, sizeof *f->tensors);
    m->used = calloc((size_t)n + 1, sizeof *m->used);
    if (!f->tensors || !m->used) return no_memory(m);
    for (int i = 0; i < DD_DIFFUSERS_REPEATED; i++) DD_TRY(take_repeated(m, &dd_diffusers_repeated[i]));
    for (int i = 0; i < DD_DIFFUSERS_LINEARS; i++)
        DD_TRY(rename_linear(m, dd_diffusers_linears[i].theirs, dd_diffusers_linears[i].ours));
    for (int i = 0; i < m->c.layers; i++) DD_TRY(map_block(m, i));
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
    DD_TRY(dd_diffusers_config_read(&m.c, folder, err));
    DD_TRY_GOTO(st, dd_tensors_begin(&m.dst, folder, err), done);
    DD_TRY_GOTO(st, dd_shards_open(&m.src, folder, DD_DIFFUSERS_STEM, err), done);
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
