/* SPDX-License-Identifier: MIT
 * Geometry of a decoder. Shapes tell all but the groups of the norms, the scaling of latents and the size of tiles; these
 * come from diffusers' config.json, else from the file's metadata, else they are what all published files have. What a
 * configuration repeats must agree with the shapes. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/json.h"
#include "host/model/vae.h"

/* An extent of a layer's weight. */
static dd_status extent(const dd_vae *vae, dd_vae_layer layer, int axis, int *out, dd_err *err)
{
    char name[DD_VAE_NAME], full[DD_VAE_NAME + 16];
    const int64_t any[4] = {-1, -1, -1, -1};
    const dd_tensor *t;
    dd_vae_layer_name(vae, layer, name);
    snprintf(full, sizeof full, "%s.weight", name);
    DD_TRY(dd_tensors_require(vae->file, vae->prefix, full, 4, any, &t, err));
    if (t->shape[axis] < 1 || t->shape[axis] > DD_VAE_MAX_CHANNELS)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: tensor %s: %" PRId64 " channels are out of range", vae->path, t->name,
                       t->shape[axis]);
    *out = (int)t->shape[axis];
    return DD_OK;
}

static bool present(const dd_vae *vae, dd_vae_layer layer)
{
    char name[DD_VAE_NAME], full[2 * DD_VAE_NAME];
    dd_vae_layer_name(vae, layer, name);
    snprintf(full, sizeof full, "%s%s.weight", vae->prefix, name);
    return dd_tensors_find(vae->file, full) != NULL;
}

/* Up blocks and their resnets, without gaps from 0 on; what lies beyond a gap is unexpected later. */
static dd_status count_blocks(dd_vae *vae, dd_err *err)
{
    dd_vae_config *c = &vae->cfg;
    dd_vae_layer l = {.place = DD_VAE_UP_RESNET, .part = DD_VAE_CONV1};
    int levels = 0;
    c->levels = 1; /* names of the CompVis layout count from here down */
    for (; levels <= DD_VAE_MAX_LEVELS; levels++) {
        l.level = vae->layout == DD_VAE_COMPVIS ? -levels : levels;
        if (!present(vae, l)) break;
    }
    if (levels < 1 || levels > DD_VAE_MAX_LEVELS)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: the decoder has %s up blocks, expected 1 to %d", vae->path,
                       levels ? "too many" : "no", DD_VAE_MAX_LEVELS);
    c->levels = levels;
    l.level = 0;
    while (c->layers <= DD_VAE_MAX_LAYERS) {
        l.index = c->layers;
        if (!present(vae, l)) break;
        c->layers++;
    }
    if (c->layers > DD_VAE_MAX_LAYERS)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: the up blocks of the decoder have more than %d resnets", vae->path,
                       DD_VAE_MAX_LAYERS);
    return DD_OK;
}

static dd_status from_shapes(dd_vae *vae, dd_err *err)
{
    dd_vae_config *c = &vae->cfg;
    DD_TRY(count_blocks(vae, err));
    DD_TRY(extent(vae, (dd_vae_layer){.place = DD_VAE_POST_QUANT}, 1, &c->latent_channels, err));
    DD_TRY(extent(vae, (dd_vae_layer){.place = DD_VAE_CONV_IN}, 0, &c->deepest, err));
    DD_TRY(extent(vae, (dd_vae_layer){.place = DD_VAE_CONV_OUT}, 0, &c->picture_channels, err));
    for (int i = 0; i < c->levels; i++) {
        const dd_vae_layer l = {.place = DD_VAE_UP_RESNET, .level = i, .part = DD_VAE_CONV1};
        DD_TRY(extent(vae, l, 0, &c->channels[i], err));
    }
    if (c->picture_channels != 3)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: pictures of %d channels, expected 3", vae->path,
                       c->picture_channels);
    if (c->deepest > DD_PIXEL_ATTENTION_MAX)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: an attention of %d channels, expected at most %d", vae->path,
                       c->deepest, DD_PIXEL_ATTENTION_MAX);
    for (int i = -1; i < c->levels; i++) {
        const int n = i < 0 ? c->deepest : c->channels[i];
        if (n % DD_CHUNK != 0)
            return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: a block of %d channels, expected a multiple of %d", vae->path,
                           n, DD_CHUNK);
    }
    return DD_OK;
}

/* A number of config.json or, without that, of the metadata; *found false: neither has it. */
static dd_status setting(const dd_vae *vae, const json_t *config, const char *key, double *out, bool *found,
                         dd_err *err)
{
    const json_t *v = json_object_get(config, key);
    const char *text = config ? NULL : dd_tensors_meta(vae->file, key);
    char *end = NULL;
    *found = (v && !json_is_null(v)) || text;
    if (!*found) return DD_OK;
    if (v) *out = json_is_number(v) ? json_number_value(v) : NAN;
    else *out = strtod(text, &end);
    if ((text && (end == text || *end)) || !isfinite(*out))
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: %s of the %s is no number", vae->path, key,
                       config ? "config.json beside it" : "metadata");
    return DD_OK;
}

static dd_status whole_setting(const dd_vae *vae, const json_t *config, const char *key, int hi, int *out, dd_err *err)
{
    double v;
    bool found;
    DD_TRY(setting(vae, config, key, &v, &found, err));
    if (!found) return DD_OK;
    if (v != floor(v) || v < 1 || v > hi)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: %s is %g, expected a whole number from 1 to %d", vae->path, key, v, hi);
    *out = (int)v;
    return DD_OK;
}

static const char *source(const json_t *config) { return config ? "config.json" : "the metadata"; }

/* The shapes tell it already. */
static dd_status agree(const dd_vae *vae, const json_t *config, const char *key, int have, dd_err *err)
{
    int said = have;
    DD_TRY(whole_setting(vae, config, key, DD_VAE_MAX_CHANNELS, &said, err));
    if (said == have) return DD_OK;
    return DD_FAIL(err, DD_ERR_FORMAT, "%s: %s says %s %d, but the tensors say %d", vae->path, source(config), key,
                   said, have);
}

static dd_status check_channels(const dd_vae *vae, const json_t *config, dd_err *err)
{
    const dd_vae_config *c = &vae->cfg;
    const json_t *list = json_object_get(config, "block_out_channels"); /* from the picture on */
    if (!list) return DD_OK;
    bool same = json_array_size(list) == (size_t)c->levels;
    for (int i = 0; same && i < c->levels; i++)
        same = json_integer_value(json_array_get(list, (size_t)i)) == c->channels[c->levels - 1 - i];
    return same ? DD_OK
                : DD_FAIL(err, DD_ERR_FORMAT, "%s: config.json says other block_out_channels than the tensors",
                          vae->path);
}

/* Settings under which the decoder would be another one. */
static dd_status check_kind(const dd_vae *vae, const json_t *config, dd_err *err)
{
    const json_t *act = json_object_get(config, "act_fn"), *post = json_object_get(config, "use_post_quant_conv");
    double shift = 0;
    bool found;
    DD_TRY(setting(vae, config, "shift_factor", &shift, &found, err));
    const char *what = act && (!json_is_string(act) || strcmp(json_string_value(act), "silu") != 0) ? "act_fn"
                       : post && !json_is_true(post) ? "use_post_quant_conv"
                       : shift != 0                  ? "shift_factor"
                                                     : NULL;
    if (!what) return DD_OK;
    return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: %s has a %s that this decoder does not know", vae->path,
                   source(config), what);
}

static dd_status apply(dd_vae *vae, const json_t *config, dd_err *err)
{
    dd_vae_config *c = &vae->cfg;
    double scaling = 0;
    bool found;
    DD_TRY(agree(vae, config, "latent_channels", c->latent_channels, err));
    DD_TRY(agree(vae, config, "out_channels", c->picture_channels, err));
    DD_TRY(agree(vae, config, "layers_per_block", c->layers - 1, err));
    DD_TRY(check_channels(vae, config, err));
    DD_TRY(check_kind(vae, config, err));
    DD_TRY(whole_setting(vae, config, "norm_num_groups", DD_VAE_MAX_CHANNELS, &c->groups, err));
    DD_TRY(whole_setting(vae, config, "sample_size", DD_VAE_MAX_EDGE, &c->sample_size, err));
    DD_TRY(setting(vae, config, "scaling_factor", &scaling, &found, err));
    if (found) c->scaling = (float)scaling;
    if (found && !(scaling >= 1e-6 && scaling <= 1e6))
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: scaling_factor %g is out of range", vae->path, scaling);
    for (int i = -1; i < c->levels; i++) {
        const int n = i < 0 ? c->deepest : c->channels[i];
        if (n % c->groups != 0)
            return DD_FAIL(err, DD_ERR_FORMAT, "%s: norms of %d groups do not divide %d channels", vae->path, c->groups,
                           n);
    }
    return DD_OK;
}

dd_status dd_vae_config_read(dd_vae *vae, const char *config_path, dd_err *err)
{
    json_t *config = NULL;
    vae->cfg = (dd_vae_config){.groups = DD_VAE_GROUPS, .scaling = DD_VAE_SCALING, .sample_size = DD_VAE_SAMPLE_SIZE};
    DD_TRY(from_shapes(vae, err));
    if (config_path) DD_TRY(dd_json_read_file(&config, config_path, err));
    dd_status st = DD_OK;
    if (config && !json_is_object(config)) st = DD_FAIL(err, DD_ERR_FORMAT, "%s: no JSON object", config_path);
    if (st == DD_OK) st = apply(vae, config, err);
    json_decref(config);
    return st;
}
