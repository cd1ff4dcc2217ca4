/* SPDX-License-Identifier: MIT
 * Lists of a model under construction. Arrays grow by doubling; the first failure sticks. */
#include "host/model/builder.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for one more element; capacities are powers of two. */
static void *grow(dd_builder *b, void *array, int n, size_t size)
{
    if (b->st != DD_OK) return NULL;
    if (n != 0 && (n & (n - 1)) != 0) return array;
    void *p = realloc(array, (n ? (size_t)n * 2 : 1) * size);
    if (!p) b->st = DD_FAIL(b->err, DD_ERR_NOMEM, "%s: out of memory for the model", b->m->path);
    return p;
}

#define APPEND(b, array, n)                                      \
    do {                                                         \
        void *grown_ = grow((b), (array), (n), sizeof *(array)); \
        if (grown_) (array) = grown_;                            \
    } while (0)

int dd_build_buffer(dd_builder *b, const char *name, dd_extent extent, int64_t width, dd_dtype dtype, bool persistent)
{
    APPEND(b, b->m->buffers, b->m->n_buffers);
    if (b->st != DD_OK) return -1;
    b->m->buffers[b->m->n_buffers] = (dd_buffer){name, extent, width, dtype, persistent, DD_ROLE_PLAIN, 0};
    return b->m->n_buffers++;
}

int dd_build_operand(dd_builder *b, const char *name, dd_extent extent, int64_t width, bool persistent)
{
    const int i = dd_build_buffer(b, name, extent, width, DD_F32, persistent);
    if (i >= 0) b->m->buffers[i].role = DD_ROLE_INPUT;
    return i;
}

int dd_build_rows(dd_builder *b, const char *name, dd_extent extent, int64_t width, int64_t unit)
{
    const int i = dd_build_buffer(b, name, extent, width, DD_F32, false);
    if (i >= 0) b->m->buffers[i].role = DD_ROLE_ROWS, b->m->buffers[i].unit = unit;
    return i;
}

void dd_build_float32(dd_builder *b, int weight)
{
    if (b->st == DD_OK) b->m->weights[weight].operand = false;
}

void dd_build_unit(dd_builder *b, int weight, int64_t unit)
{
    if (b->st == DD_OK) b->m->weights[weight].desc.n_unit = unit;
}

/* The tensor under its official name, with the shape that the configuration demands. */
static const dd_tensor *find(dd_builder *b, const char *name)
{
    if (b->st != DD_OK) return NULL;
    const dd_key *key = dd_key_find(b->keys, b->n_keys, name);
    const dd_tensor *t = NULL;
    if (!key) b->st = DD_FAIL(b->err, DD_ERR_INTERNAL, "tensor %s is not in the list of names", name);
    else b->st = dd_tensors_require(b->m->file, "", name, key->rank, key->shape, &t, b->err);
    return b->st == DD_OK ? t : NULL;
}

int dd_build_const(dd_builder *b, const char *name)
{
    const dd_tensor *t = find(b, name);
    APPEND(b, b->m->consts, b->m->n_consts);
    if (b->st != DD_OK) return -1;
    float *data = malloc((size_t)(t->count ? t->count : 1) * sizeof *data);
    if (!data) {
        b->st = DD_FAIL(b->err, DD_ERR_NOMEM, "%s: out of memory for tensor %s", b->m->path, name);
        return -1;
    }
    b->m->consts[b->m->n_consts] = (dd_const){t->name, data, t->count};
    const int index = b->m->n_consts++; /* owned from here on */
    b->st = dd_tensors_read_f32(b->m->file, t, data, b->err);
    return b->st == DD_OK ? index : -1;
}

int dd_build_weight(dd_builder *b, const char *name, dd_slice_map n_map, dd_slice_map k_map)
{
    const dd_tensor *t = find(b, name);
    APPEND(b, b->m->weights, b->m->n_weights);
    if (b->st != DD_OK) return -1;
    if (!t->known || (t->dtype != DD_F32 && t->dtype != DD_F16 && t->dtype != DD_BF16)) {
        b->st = DD_FAIL(b->err, DD_ERR_UNSUPPORTED, "%s: tensor %s is stored as %s, supported are F32, F16 and BF16",
                        b->m->path, name, t->dtype_name);
        return -1;
    }
    dd_weight *w = &b->m->weights[b->m->n_weights];
    const int64_t n = t->shape[0];
    *w = (dd_weight){.desc = {.name = t->name,
                              .data = t->data,
                              .dtype = t->dtype,
                              .n = n,
                              .k = t->count / n,
                              .n_unit = n_map.site >= 0 ? n_map.unit_size : n,
                              .parts = n_map.parts},
                     .n_map = n_map,
                     .k_map = k_map,
                     .operand = true};
    return b->m->n_weights++;
}

int dd_build_bias(dd_builder *b, const char *name, int weight)
{
    const int index = dd_build_const(b, name);
    if (b->st != DD_OK || b->m->weights[weight].desc.parts <= 1) return index;
    dd_const *c = &b->m->consts[index];
    float *ordered = malloc((size_t)c->count * sizeof *ordered);
    if (!ordered) {
        b->st = DD_FAIL(b->err, DD_ERR_NOMEM, "%s: out of memory for tensor %s", b->m->path, name);
        return -1;
    }
    for (int64_t i = 0; i < c->count; i++) ordered[i] = c->data[dd_weight_row(&b->m->weights[weight].desc, i)];
    free((void *)(uintptr_t)c->data);
    c->data = ordered;
    return index;
}

dd_node *dd_build_node(dd_builder *b, dd_node_list *list, dd_op_id op, int site, const char *fmt, ...)
{
    APPEND(b, list->at, list->n);
    if (b->st != DD_OK) return &b->sink;
    dd_node *node = &list->at[list->n++];
    *node = (dd_node){.op = op,
                      .site = site,
                      .src = -1,
                      .dst = -1,
                      .weight = -1,
                      .bias = -1,
                      .aux = {-1, -1},
                      .average = -1,
                      .block_end = -1};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(node->label, sizeof node->label, fmt, ap);
    va_end(ap);
    return node;
}

const float *dd_build_values(const dd_builder *b, int index)
{
    return b->st == DD_OK && index >= 0 ? b->m->consts[index].data : NULL;
}
