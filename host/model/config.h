/* SPDX-License-Identifier: MIT
 * What a model is: geometry and conditioning, from tensor shapes, file metadata or a preset, validated once. */
#ifndef DD_HOST_MODEL_CONFIG_H
#define DD_HOST_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "host/base/status.h"
#include "host/io/tensors.h"

#define DD_MAX_WIDTH 16384     /* of the residual stream */
#define DD_MAX_SIDE_TOKENS 128 /* along a side of a picture */

/* Depth-weighted averages (host/model/dwa.h). */
typedef enum dd_dwa_names {
    DD_DWA_NONE,
    DD_DWA_PACKAGE,    /* dwa_modules.alphas.{i}.weight, after block i */
    DD_DWA_EXPERIMENTS /* weights.{r}.weight, after group r of blocks */
} dd_dwa_names;

typedef struct dd_dwa {
    dd_dwa_names names;
    int span;             /* blocks of a unit */
    int dilation, period; /* in units */
} dd_dwa;

typedef struct dd_config {
    int input_size; /* height and width of the latents */
    int patch_size;
    int in_channels;
    int hidden_size;
    int depth;
    int num_heads;
    int mlp_hidden;   /* int(hidden_size * mlp_ratio) */
    int num_classes;  /* without the null class, whose label is num_classes */
    int cfg_channels; /* channels that guidance changes */
    bool learn_sigma;
    bool dynamic;   /* the file has DyDiT routers */
    bool diffusers; /* numerics of diffusers: frequencies i/127, guidance on all channels, fixed variance */
    dd_dwa dwa;
    float mlp_norm_eps; /* of the LayerNorm before an MLP: DD_LN_EPS, but diffusers has its own */

    /* derived */
    int tokens; /* (input_size / patch_size)^2 */
    int head_dim;
    int group_size;       /* mlp_hidden / num_heads */
    int out_channels;     /* in_channels, doubled by learn_sigma */
    int router_hidden;    /* hidden_size / 16, rounded down; 0 without routers */
    int64_t latent_count; /* elements of one image's latents */

    char **labels; /* [num_classes] names, or NULL */
    char arch[64]; /* "DyDiT-XL/2", or "DyDiT" + dimensions where no preset fits */
} dd_config;

/* Epsilon of that LayerNorm in published models of diffusers (norm_eps of their config.json, which may differ). */
#define DD_DIFFUSERS_NORM_EPS 1e-5

/* preset: "DiT-XL/2", "DyDiT-S/4", … or NULL to infer everything from the file. Contradictions between preset, metadata
 * and shapes are ERR_FORMAT and name both. */
dd_status dd_config_from_file(dd_config *out, const dd_tensors *file, const char *preset, dd_err *err);
void dd_config_fini(dd_config *cfg);

/* That epsilon for a checkpoint: of its metadata, else that of the published models. */
dd_status dd_config_diffusers_eps(const dd_tensors *file, double *eps, dd_err *err);

/* Fills the derived fields and checks every rule (divisibility, unit sizes, limits). `what` begins the error
 * sentence. */
dd_status dd_config_derive(dd_config *cfg, const char *what, dd_err *err);

/* Geometry of a preset name; ERR_ARG lists the presets. */
dd_status dd_config_preset(dd_config *out, const char *name, dd_err *err);

#endif
