/* SPDX-License-Identifier: MIT
 * Names of a decoder's tensors in the three layouts that circulate, and their required shapes. */
#include <stdio.h>
#include <string.h>

#include "host/model/vae.h"

static const char *const prefixes[] = {"", "first_stage_model.", "vae."};
#define N_PREFIXES (sizeof prefixes / sizeof prefixes[0])

const char *dd_vae_layout_name(dd_vae_layout layout)
{
    switch (layout) {
    case DD_VAE_DIFFUSERS: return "diffusers";
    case DD_VAE_DIFFUSERS_OLD: return "diffusers, old names";
    case DD_VAE_COMPVIS: return "CompVis";
    }
    return "?";
}

static bool has(const dd_tensors *file, const char *prefix, const char *name)
{
    char full[2 * DD_VAE_NAME];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return dd_tensors_find(file, full) != NULL;
}

/* conv_in has the same name everywhere. */
static const char *find_prefix(const dd_tensors *file)
{
    for (size_t i = 0; i < N_PREFIXES; i++)
        if (has(file, prefixes[i], "decoder.conv_in.weight")) return prefixes[i];
    return NULL;
}

bool dd_vae_recognize(const dd_tensors *file) { return find_prefix(file) != NULL; }

dd_status dd_vae_layout_find(dd_vae *vae, dd_err *err)
{
    vae->prefix = find_prefix(vae->file);
    if (!vae->prefix)
        return DD_FAIL(err, DD_ERR_FORMAT,
                       "%s: tensor decoder.conv_in.weight is missing: no decoder of an AutoencoderKL", vae->path);
    if (has(vae->file, vae->prefix, "decoder.mid.block_1.norm1.weight")) vae->layout = DD_VAE_COMPVIS;
    else if (has(vae->file, vae->prefix, "decoder.mid_block.attentions.0.query.weight"))
        vae->layout = DD_VAE_DIFFUSERS_OLD;
    else vae->layout = DD_VAE_DIFFUSERS;
    return DD_OK;
}

static void place_name(const dd_vae *vae, dd_vae_layer l, char *name)
{
    const bool compvis = vae->layout == DD_VAE_COMPVIS;
    const int level = compvis ? vae->cfg.levels - 1 - l.level : l.level;
    const size_t size = DD_VAE_NAME;
    switch (l.place) {
    case DD_VAE_POST_QUANT: snprintf(name, size, "post_quant_conv"); break;
    case DD_VAE_CONV_IN: snprintf(name, size, "decoder.conv_in"); break;
    case DD_VAE_MID_RESNET:
        if (compvis) snprintf(name, size, "decoder.mid.block_%d", l.index + 1);
        else snprintf(name, size, "decoder.mid_block.resnets.%d", l.index);
        break;
    case DD_VAE_ATTENTION:
        snprintf(name, size, "%s", compvis ? "decoder.mid.attn_1" : "decoder.mid_block.attentions.0");
        break;
    case DD_VAE_UP_RESNET:
        snprintf(name, size, compvis ? "decoder.up.%d.block.%d" : "decoder.up_blocks.%d.resnets.%d", level, l.index);
        break;
    case DD_VAE_UPSAMPLER:
        snprintf(name, size, compvis ? "decoder.up.%d.upsample.conv" : "decoder.up_blocks.%d.upsamplers.0.conv", level);
        break;
    case DD_VAE_NORM_OUT: snprintf(name, size, "%s", compvis ? "decoder.norm_out" : "decoder.conv_norm_out"); break;
    case DD_VAE_CONV_OUT: snprintf(name, size, "decoder.conv_out"); break;
    }
}

static const char *part_name(dd_vae_layout layout, dd_vae_part part)
{
    static const char *const norm[] = {"group_norm", "group_norm", "norm"}, *const q[] = {"to_q", "query", "q"},
                             *const k[] = {"to_k", "key", "k"}, *const v[] = {"to_v", "value", "v"},
                             *const out[] = {"to_out.0", "proj_attn", "proj_out"};
    switch (part) {
    case DD_VAE_WHOLE: return NULL;
    case DD_VAE_NORM1: return "norm1";
    case DD_VAE_CONV1: return "conv1";
    case DD_VAE_NORM2: return "norm2";
    case DD_VAE_CONV2: return "conv2";
    case DD_VAE_SHORTCUT: return layout == DD_VAE_COMPVIS ? "nin_shortcut" : "conv_shortcut";
    case DD_VAE_GROUP_NORM: return norm[layout];
    case DD_VAE_Q: return q[layout];
    case DD_VAE_K: return k[layout];
    case DD_VAE_V: return v[layout];
    case DD_VAE_ATTENTION_OUT: return out[layout];
    }
    return NULL;
}

void dd_vae_layer_name(const dd_vae *vae, dd_vae_layer layer, char *name)
{
    const char *part = part_name(vae->layout, layer.part);
    place_name(vae, layer, name);
    const size_t n = strlen(name);
    if (part) snprintf(name + n, DD_VAE_NAME - n, ".%s", part);
}

/* The shape that is required: of a 1 x 1 convolution also without its last two extents. */
static dd_status find_weight(const dd_vae *vae, const char *name, const int64_t *shape, const dd_tensor **out,
                             dd_err *err)
{
    char full[DD_VAE_NAME + 16];
    snprintf(full, sizeof full, "%s%s.weight", vae->prefix, name);
    const dd_tensor *t = dd_tensors_find(vae->file, full);
    const int rank = t && t->rank == 2 && shape[2] == 1 && shape[3] == 1 ? 2 : 4;
    return dd_tensors_require(vae->file, "", full, rank, shape, out, err);
}

static dd_status find_vector(const dd_vae *vae, const char *name, const char *which, int64_t n, const dd_tensor **out,
                             dd_err *err)
{
    char full[DD_VAE_NAME + 16];
    snprintf(full, sizeof full, "%s%s", name, which);
    return dd_tensors_require(vae->file, vae->prefix, full, 1, &n, out, err);
}

dd_status dd_vae_conv_find(const dd_vae *vae, const dd_vae_layer *layers, dd_vae_conv *conv, dd_err *err)
{
    const int64_t rows = conv->n / conv->parts, shape[4] = {rows, conv->c, conv->ksize, conv->ksize};
    for (int i = 0; i < conv->parts; i++) {
        char name[DD_VAE_NAME];
        dd_vae_layer_name(vae, layers[i], name);
        if (i == 0) snprintf(conv->name, sizeof conv->name, "%s", name);
        DD_TRY(find_weight(vae, name, shape, &conv->weight[i], err));
        DD_TRY(find_vector(vae, name, ".bias", rows, &conv->bias[i], err));
    }
    return DD_OK;
}

dd_status dd_vae_norm_find(const dd_vae *vae, dd_vae_layer layer, dd_vae_norm *norm, dd_err *err)
{
    dd_vae_layer_name(vae, layer, norm->name);
    DD_TRY(find_vector(vae, norm->name, ".weight", norm->c, &norm->gamma, err));
    return find_vector(vae, norm->name, ".bias", norm->c, &norm->beta, err);
}
