/* SPDX-License-Identifier: MIT
 * Small checkpoints made by the tests of models: all tensors of a geometry with pseudo-random values, or only those
 * that
 * tell the geometry; with things missing, added or changed. */
#ifndef DD_TESTS_UNIT_MODEL_FILE_H
#define DD_TESTS_UNIT_MODEL_FILE_H

/* The including file defines _XOPEN_SOURCE 700 and includes cmocka.h first. */
#include "host/io/safetensors.h"
#include "host/model/keys.h"
#include "host/model/model.h"
#include "tests/unit/scratch.h"

typedef struct model_file {
    dd_config cfg;
    bool shapes_only; /* tensors that tell the geometry, as U8 zeros: not to be built */
    dd_dtype dtype;   /* of all tensors: F32, F16, BF16 */
    bool fine;        /* values that no 16-bit type holds exactly; else those that all hold */
    const dd_text_pair *meta;
    int n_meta;
    const char *drop;  /* this tensor is missing */
    const char *extra; /* this one is there as well: [1] */
    const char *wide;  /* one more element along wide_axis */
    int wide_axis;
    const char *touch;  /* its first value is another */
    const char *poison; /* its first value is NaN (F32 only) */
    const char *f64;    /* stored as F64 */
    const char *rename, *to;
} model_file;

/* 2 blocks of width 16 in 2 units, 4 tokens of 2 x 2 x 4, 3 classes. */
static inline model_file model_tiny(bool dynamic)
{
    model_file f = {.cfg = {.input_size = 4, .patch_size = 2, .in_channels = 4, .hidden_size = 16, .depth = 2}};
    f.cfg.num_heads = 2;
    f.cfg.mlp_hidden = 32;
    f.cfg.num_classes = 3;
    f.cfg.cfg_channels = 3;
    f.cfg.learn_sigma = true;
    f.cfg.dynamic = dynamic;
    return f;
}

static inline bool model_is(const char *want, const char *name) { return want && strcmp(want, name) == 0; }

/* Multiples of 1/64 below 1 in magnitude, which float16 and bfloat16 hold exactly; fine: a little more. */
static inline double model_value(uint64_t tensor, int64_t i, bool fine)
{
    uint64_t h = (tensor + 1) * 0x9e3779b97f4a7c15u ^ (uint64_t)i * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 31)) * 0x94d049bb133111ebu;
    const double v = ((double)((h >> 33) % 127) - 63.0) / 64.0;
    return fine ? v * 1.0011 : v;
}

/* Nearest even, normal numbers only. */
static inline uint16_t model_f16(float v)
{
    const uint32_t u = dd_f32_bits(v), e = (u >> 23) & 0xff;
    if (e < 113) return (uint16_t)(u >> 16 & 0x8000u);
    uint32_t m = ((e - 112) << 23) | (u & 0x7fffffu);
    m += 0xfffu + ((m >> 13) & 1u);
    return (uint16_t)((u >> 16 & 0x8000u) | m >> 13);
}

static inline void model_store(void *data, dd_dtype dtype, int64_t i, double v)
{
    const float f = (float)v;
    const uint16_t half = dtype == DD_F16 ? model_f16(f) : dd_f32_to_bf16(f);
    switch (dtype) {
    case DD_F64: ((double *)data)[i] = v; break;
    case DD_F32: ((float *)data)[i] = f; break;
    case DD_F16:
    case DD_BF16: ((uint16_t *)data)[i] = half; break;
    default: ((unsigned char *)data)[i] = 0;
    }
}

static inline bool model_tells_geometry(const char *name)
{
    static const char *const telling[] = {"x_embedder.proj.weight", "pos_embed", "y_embedder.embedding_table.weight",
                                          "final_layer.linear.weight", "blocks.0.attn_rate.router.weight"};
    for (size_t i = 0; i < sizeof telling / sizeof telling[0]; i++)
        if (strcmp(telling[i], name) == 0) return true;
    return strstr(name, ".mlp.fc1.weight") != NULL;
}

/* One tensor with values of its own; the caller frees the data. */
static inline dd_tensor_entry model_entry(const model_file *f, const dd_key *key, uint64_t number)
{
    dd_tensor_entry e = {.name = model_is(f->rename, key->name) ? f->to : key->name,
                         .dtype = f->shapes_only                ? DD_U8
                                  : model_is(f->f64, key->name) ? DD_F64
                                                                : f->dtype,
                         .rank = key->rank};
    int64_t n = 1;
    memcpy(e.shape, key->shape, sizeof key->shape);
    if (model_is(f->wide, key->name)) e.shape[f->wide_axis]++;
    for (int i = 0; i < e.rank; i++) n *= e.shape[i];
    void *data = calloc((size_t)n + 1, dd_dtype_bytes(e.dtype));
    assert_non_null(data);
    for (int64_t i = 0; i < n && !f->shapes_only; i++) model_store(data, e.dtype, i, model_value(number, i, f->fine));
    if (model_is(f->touch, key->name)) model_store(data, e.dtype, 0, 0.796875);
    if (model_is(f->poison, key->name)) ((float *)data)[0] = dd_f32_from_bits(0x7fc00000u);
    e.data = data;
    return e;
}

/* Writes the file into the scratch folder; returns its path. */
static inline const char *model_write(const char *name, const model_file *f)
{
    dd_config cfg = f->cfg;
    dd_err err = {0};
    dd_key *keys;
    int n_keys, n = 0;
    if (dd_config_derive(&cfg, "test", &err) != DD_OK) fail_msg("%s", err.text);
    assert_int_equal(dd_dit_keys(&cfg, &keys, &n_keys, &err), DD_OK);
    dd_tensor_entry *list = calloc((size_t)n_keys + 1, sizeof *list);
    assert_non_null(list);
    for (int i = 0; i < n_keys; i++) {
        if (f->shapes_only && !model_tells_geometry(keys[i].name)) continue;
        if (!model_is(f->drop, keys[i].name)) list[n++] = model_entry(f, &keys[i], (uint64_t)i);
    }
    if (f->extra) {
        const dd_key extra = {.rank = 1, .shape = {1}};
        list[n] = model_entry(f, &extra, 1000);
        list[n++].name = f->extra;
    }
    const char *path = scratch(name);
    if (dd_safetensors_write(path, list, n, f->meta, f->n_meta, &err) != DD_OK) fail_msg("%s", err.text);
    for (int i = 0; i < n; i++) free((void *)(uintptr_t)list[i].data);
    free(list);
    free(keys);
    return path;
}

static inline void model_says(const dd_err *err, const char *part)
{
    if (!strstr(err->text, part)) fail_msg("\"%s\" is not in: %s", part, err->text);
}

#endif
