/* SPDX-License-Identifier: MIT
 * Flags of the commands that decode latents, and opening the decoder. */
#ifndef CLI_VAE_H
#define CLI_VAE_H

#include "cli/options.h"
#include "dydit.h"

typedef struct cli_vae {
    const char *path;
    int batch, tile_size;
    bool tiling;
    double tile_overlap;
} cli_vae;

/* Rows of a flag table for a struct s_ that holds `cli_common common` and `cli_vae vae`. */
#define CLI_VAE_ROWS(s_)                                                                        \
    CLI_ROW(s_, TEXT, "vae", 0, vae.path, "FILE", 0, 0, 0,                                      \
            "decoder of latents: safetensors, or a folder of diffusers"),                       \
        CLI_ROW(s_, INT, "vae-batch", 0, vae.batch, "N", 0, 1, 65536,                           \
                "pictures decoded at a time (default 4, or fewer)"),                            \
        CLI_ROW(s_, CHOICE, "vae-engine", 0, common.vae_engine, "own|cudnn|auto", "own", 0, 0,  \
                "of convolutions on cuda: own kernels, or cuDNN where it can;\n"                \
                "auto: cuDNN in bf16 where it is there"),                                       \
        CLI_ROW(s_, FLAG, "vae-tiling", 0, vae.tiling, 0, 0, 0, 0,                              \
                "decode in overlapping tiles (else where memory does not\nsuffice otherwise)"), \
        CLI_ROW(s_, INT, "vae-tile-size", 0, vae.tile_size, "N", 0, 1, 2048,                    \
                "latents along a side of a tile (default: what the VAE says, 32)"),             \
        CLI_ROW(s_, REAL, "vae-tile-overlap", 0, vae.tile_overlap, "X", "0.25", 0, 0.9, "share of a tile")

/* 0, or CLI_USAGE where a flag of the decoder is there without --vae. */
int cli_vae_check(const cli_vae *v, const cli_args *args);
/* All but progress. */
void cli_vae_options(const cli_vae *v, uint64_t max_mem, dydit_decode_options *o);

#endif
