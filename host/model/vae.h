/* SPDX-License-Identifier: MIT
 * The decoder of an AutoencoderKL: its geometry, its weights in a file and its network as a list of ops over values.
 * Source: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (arXiv 2112.10752), and the decoder
 * of diffusers' AutoencoderKL, whose names are the ones used here. */
#ifndef DD_HOST_MODEL_VAE_H
#define DD_HOST_MODEL_VAE_H

#include <stdbool.h>

#include "host/io/tensors.h"
#include "kernels/ops.h"

#define DD_VAE_MAX_LEVELS 8
#define DD_VAE_MAX_LAYERS 8 /* resnets of an up block */
#define DD_VAE_MAX_CHANNELS 8192
#define DD_VAE_MAX_EDGE 16384 /* pixels of a side of a picture */
#define DD_VAE_NAME 96
#define DD_VAE_GROUPS 32        /* groups of the norms where no configuration says otherwise */
#define DD_VAE_SCALING 0.18215f /* likewise: latents of the diffusion model by those of the VAE */
#define DD_VAE_SAMPLE_SIZE 256  /* likewise: pixels of a side of a tile */
#define DD_VAE_EPS 1e-6f        /* of the norms */

/* How a file spells the names of its tensors. */
typedef enum dd_vae_layout {
    DD_VAE_DIFFUSERS,     /* attentions.0.to_q */
    DD_VAE_DIFFUSERS_OLD, /* attentions.0.query */
    DD_VAE_COMPVIS        /* mid.attn_1.q; up blocks are counted from the picture */
} dd_vae_layout;

typedef struct dd_vae_config {
    int levels; /* up blocks: the picture has 2^(levels-1) pixels for one of the latents along each side */
    int layers; /* resnets of each */
    int latent_channels, picture_channels;
    int channels[DD_VAE_MAX_LEVELS]; /* of the up blocks in the order of the decoder */
    int deepest;                     /* channels of conv_in and the mid block */
    int groups;
    float scaling;
    int sample_size; /* what the tiles of tiled decoding are by default, in pixels */
} dd_vae_config;

/* Which of a decoder's layers; the names of its tensors follow in each layout. */
typedef enum dd_vae_place {
    DD_VAE_POST_QUANT,
    DD_VAE_CONV_IN,
    DD_VAE_MID_RESNET, /* index 0, 1 */
    DD_VAE_ATTENTION,
    DD_VAE_UP_RESNET, /* of a level, index */
    DD_VAE_UPSAMPLER, /* of a level */
    DD_VAE_NORM_OUT,
    DD_VAE_CONV_OUT
} dd_vae_place;

typedef enum dd_vae_part {
    DD_VAE_WHOLE,
    DD_VAE_NORM1,
    DD_VAE_CONV1,
    DD_VAE_NORM2,
    DD_VAE_CONV2,
    DD_VAE_SHORTCUT,
    DD_VAE_GROUP_NORM,
    DD_VAE_Q,
    DD_VAE_K,
    DD_VAE_V,
    DD_VAE_ATTENTION_OUT,
} dd_vae_part;

typedef struct dd_vae_layer {
    dd_vae_place place;
    int level, index;
    dd_vae_part part;
} dd_vae_layer;

/* A convolution: of `parts` layers that share their input, one after the other along n. */
typedef struct dd_vae_conv {
    char name[DD_VAE_NAME];
    const dd_tensor *weight[3], *bias[3]; /* [n/parts, c, ksize, ksize], of 1 x 1 perhaps without these; [n/parts] */
    int parts, c, n, ksize;
} dd_vae_conv;

typedef struct dd_vae_norm {
    char name[DD_VAE_NAME];
    const dd_tensor *gamma, *beta; /* [c] */
    int c;
} dd_vae_norm;

/* What lies between two ops: pixels, or planes at either end. */
typedef struct dd_vae_value {
    int c;        /* channels, of pixels a multiple of DD_CHUNK */
    int scale;    /* pixels along a side for one of the latents */
    bool operand; /* read by convolutions or attention alone: may be of fewer bits than float32 */
} dd_vae_value;

typedef enum dd_vae_kind { DD_VAE_TO_PIXELS, DD_VAE_CONV, DD_VAE_NORM, DD_VAE_ATTEND, DD_VAE_TO_PLANES } dd_vae_kind;

typedef struct dd_vae_op {
    dd_vae_kind kind;
    int layer;    /* index of a conv or a norm */
    int src, dst; /* values */
    int residual; /* value that a convolution adds, may be dst; -1: none */
    bool upsample, silu;
} dd_vae_op;

typedef struct dd_vae {
    dd_tensors *file;
    const char *path;   /* of the file */
    const char *prefix; /* before all names */
    dd_vae_layout layout;
    dd_vae_config cfg;
    dd_vae_conv *convs;
    dd_vae_norm *norms;
    dd_vae_value *values; /* the first: latents in planes; the last: pictures in planes */
    dd_vae_op *ops;
    int n_convs, n_norms, n_values, n_ops;
    int64_t parameters;
} dd_vae;

/* path: a safetensors file, or a folder as diffusers writes it (of the VAE, or of a pipeline that has one). */
dd_status dd_vae_open(dd_vae **out, const char *path, dd_err *err);
void dd_vae_close(dd_vae **vae);

/* Whether the file holds such a decoder, by the names of its tensors. */
bool dd_vae_recognize(const dd_tensors *file);

const char *dd_vae_layout_name(dd_vae_layout layout);

/* Pixels along a side of a picture for one of the latents. */
static inline int dd_vae_factor(const dd_vae_config *c) { return 1 << (c->levels - 1); }

/* Latents along a side of a tile, unless somebody says otherwise. */
static inline int dd_vae_tile(const dd_vae_config *c)
{
    const int own = c->sample_size / dd_vae_factor(c);
    return own > 0 ? own : 1;
}

/* ---- steps of dd_vae_open ------------------------------------------------------------------------------------- */

/* vae_config.c: the geometry from the tensors, and what they cannot tell from a config.json of diffusers (or NULL). */
dd_status dd_vae_config_read(dd_vae *vae, const char *config_path, dd_err *err);

/* vae_keys.c: finds layout and prefix. */
dd_status dd_vae_layout_find(dd_vae *vae, dd_err *err);
/* The name of a layer's tensors without prefix and ".weight" or ".bias": name [DD_VAE_NAME]. */
void dd_vae_layer_name(const dd_vae *vae, dd_vae_layer layer, char *name);
/* Fills tensors and name of a convolution of 1 or 3 layers, or of a norm; c, n and ksize are wanted. */
dd_status dd_vae_conv_find(const dd_vae *vae, const dd_vae_layer *layers, dd_vae_conv *conv, dd_err *err);
dd_status dd_vae_norm_find(const dd_vae *vae, dd_vae_layer layer, dd_vae_norm *norm, dd_err *err);

/* vae_graph.c: finds all tensors and states the network. */
dd_status dd_vae_build(dd_vae *vae, dd_err *err);

#endif
