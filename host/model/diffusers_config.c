/* SPDX-License-Identifier: MIT
 * diffusers' config.json of a DiT (DiTTransformer2DModel, before 0.29 Transformer2DModel), read and written. */
#define _POSIX_C_SOURCE 200809L
#include <string.h>
#include <unistd.h>

#include "host/io/json.h"
#include "host/io/path.h"
#include "host/model/config.h"
#include "host/model/diffusers_layout.h"

#define CLASS "DiTTransformer2DModel"
#define CLASS_BEFORE_0_29 "Transformer2DModel"
#define NORM "ada_norm_zero"
#define ACTIVATION "gelu-approximate"

static dd_status require_text(const json_t *doc, const char *key, const char *want, const char *path, dd_err *err)
{
    const char *have = NULL;
    DD_TRY(dd_json_string(doc, key, path, &have, err));
    if (strcmp(have, want) == 0) return DD_OK;
    return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: %s is '%.80s', only '%s' is a DiT", path, key, have, want);
}

static dd_status read_fields(dd_diffusers_config *g, const json_t *doc, const char *path, dd_err *err)
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
    g->norm_eps = eps ? json_number_value(eps) : DD_DIFFUSERS_NORM_EPS;
    DD_TRY(require_text(doc, "norm_type", NORM, path, err));
    DD_TRY(require_text(doc, "activation_fn", ACTIVATION, path, err));
    if (g->sample_size % g->patch_size != 0 || g->heads * g->head_dim % 4 != 0)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: sample_size is no multiple of patch_size, or the width none of 4",
                       path);
    if (g->sample_size / g->patch_size > DD_MAX_SIDE_TOKENS || g->heads * g->head_dim > DD_MAX_WIDTH)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: %lld tokens along a side and a width of %lld, at most %d and %d",
                       path, (long long)(g->sample_size / g->patch_size), (long long)(g->heads * g->head_dim),
                       DD_MAX_SIDE_TOKENS, DD_MAX_WIDTH);
    return DD_OK;
}

dd_status dd_diffusers_config_read(dd_diffusers_config *g, const char *folder, dd_err *err)
{
    char path[DD_PATH_MAX];
    json_t *doc;
    const char *class = "";
    DD_TRY(dd_path_join(path, folder, DD_DIFFUSERS_CONFIG, "", err));
    if (access(path, F_OK) != 0)
        return DD_FAIL(err, DD_ERR_IO, "%s is a folder without config.json, not one of diffusers", folder);
    DD_TRY(dd_json_read_file(&doc, path, err));
    dd_status st = dd_json_string(doc, "_class_name", path, &class, err);
    if (st == DD_OK && strcmp(class, CLASS) != 0 && strcmp(class, CLASS_BEFORE_0_29) != 0)
        st = DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: _class_name is '%.80s', not that of a DiT", path, class);
    if (st == DD_OK) st = read_fields(g, doc, path, err);
    json_decref(doc);
    return st;
}

/* As save_pretrained writes it, but for the version of diffusers. */
dd_status dd_diffusers_config_text(const dd_diffusers_config *c, char **text, dd_err *err)
{
    *text = NULL;
    json_t *doc = json_pack(
        "{ss,ss,sb,sI,sf,sI,sb,sf,si,ss,sI,sI,sI,sI,sI,sI,sb}", "_class_name", CLASS, "activation_fn", ACTIVATION,
        "attention_bias", 1, "attention_head_dim", (json_int_t)c->head_dim, "dropout", 0.0, "in_channels",
        (json_int_t)c->in_channels, "norm_elementwise_affine", 0, "norm_eps", c->norm_eps, "norm_num_groups", 32,
        "norm_type", NORM, "num_attention_heads", (json_int_t)c->heads, "num_embeds_ada_norm", (json_int_t)c->classes,
        "num_layers", (json_int_t)c->layers, "out_channels", (json_int_t)c->out_channels, "patch_size",
        (json_int_t)c->patch_size, "sample_size", (json_int_t)c->sample_size, "upcast_attention", 0);
    if (!doc) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for " DD_DIFFUSERS_CONFIG);
    const dd_status st = dd_json_print(doc, text, err);
    json_decref(doc);
    return st;
}
