/* SPDX-License-Identifier: MIT
 * What diffusers' layout of a DiT is, for its reader and its writer: config.json, the names of tensors beside the official
 * ones, and what is not as in the official layout: q, k and v are apart, every block repeats the embedders, and the table of
 * positions is computed instead of stored. */
#ifndef DD_HOST_MODEL_DIFFUSERS_LAYOUT_H
#define DD_HOST_MODEL_DIFFUSERS_LAYOUT_H

#include <stdint.h>

#include "host/base/status.h"

#define DD_DIFFUSERS_STEM "diffusion_pytorch_model" /* of the file of tensors */
#define DD_DIFFUSERS_WEIGHTS DD_DIFFUSERS_STEM ".safetensors"
#define DD_DIFFUSERS_CONFIG "config.json"

typedef struct dd_diffusers_config {
    int64_t heads, head_dim, layers, in_channels, out_channels, sample_size, patch_size, classes;
    double norm_eps;
} dd_diffusers_config;

/* FOLDER/config.json of a DiT. */
dd_status dd_diffusers_config_read(dd_diffusers_config *out, const char *folder, dd_err *err);
/* Its text; the caller frees it. */
dd_status dd_diffusers_config_text(const dd_diffusers_config *c, char **text, dd_err *err);

typedef struct dd_diffusers_pair {
    const char *theirs, *ours;
} dd_diffusers_pair;

#define DD_DIFFUSERS_LINEARS 3
#define DD_DIFFUSERS_BLOCK_LINEARS 4
#define DD_DIFFUSERS_REPEATED 5

/* Of each, a weight and a bias; outside of blocks, and behind `transformer_blocks.N.` and `blocks.N.`. */
extern const dd_diffusers_pair dd_diffusers_linears[DD_DIFFUSERS_LINEARS];
extern const dd_diffusers_pair dd_diffusers_block_linears[DD_DIFFUSERS_BLOCK_LINEARS];
/* Tensors that stand behind `transformer_blocks.N.` of every block, there with equal values. */
extern const dd_diffusers_pair dd_diffusers_repeated[DD_DIFFUSERS_REPEATED];
extern const char *const dd_diffusers_kinds[2]; /* "weight", "bias" */

/* Elements of the table of positions, [side*side, width]; and the table. */
int64_t dd_diffusers_positions_count(const dd_diffusers_config *c);
void dd_diffusers_positions(const dd_diffusers_config *c, float *table);

#endif
