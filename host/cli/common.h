/* SPDX-License-Identifier: MIT
 * What all commands share: their entry points, the flags for model and machine, opening both. */
#ifndef CLI_COMMON_H
#define CLI_COMMON_H

#include "cli/options.h"
#include "cli/term.h"
#include "dydit.h"

typedef struct cli_common {
    const char *ckpt, *preset, *which, *compat, *backend, *precision, *engine, *tune_cache, *vae_engine;
    int threads, device, verbose;
    bool quiet, no_graph, reproducible;
} cli_common;

/* Rows of a flag table for a struct s_ that holds `cli_common common`. */
#define CLI_MODEL_ROWS(s_)                                                                       \
    CLI_HEADING("model"),                                                                        \
        CLI_ROW(s_, TEXT, "ckpt", "m", common.ckpt, "FILE", 0, 0, 0,                             \
                "checkpoint of a DiT or DyDiT: safetensors, .pt or\n"                            \
                "folder of diffusers"),                                                          \
        CLI_ROW(s_, TEXT, "model", 0, common.preset, "NAME", 0, 0, 0,                            \
                "geometry, e.g. DyDiT-XL/2; else from the file"),                                \
        CLI_ROW(s_, CHOICE, "which", 0, common.which, "auto|ema|model", "auto", 0, 0,            \
                "state dict of a training checkpoint; auto: ema, else model"),                   \
        CLI_ROW(s_, CHOICE, "compat", 0, common.compat, "auto|official|diffusers", "auto", 0, 0, \
                "whose numerics; auto: what the file says, else official")
#define CLI_DEVICE_ROWS(s_)                                                                                          \
    CLI_ROW(s_, TEXT, "backend", 0, common.backend, "NAME", "auto", 0, 0, "auto, cuda, cpu, ref or emu"),            \
        CLI_ROW(s_, INT, "device", 0, common.device, "N", "0", 0, 1023,                                              \
                "of a backend with several; dydit info lists them"),                                                 \
        CLI_ROW(s_, TEXT, "precision", 0, common.precision, "NAME", "auto", 0, 0, "auto, fp32, tf32, bf16 or fp16"), \
        CLI_ROW(s_, INT, "threads", "t", common.threads, "N", "0", 0, 4096, "0: the CPUs this process may use")
/* The same, and what is for steps of a model. */
#define CLI_MACHINE_ROWS(s_)                                                               \
    CLI_DEVICE_ROWS(s_),                                                                   \
        CLI_ROW(s_, FLAG, "no-graph", 0, common.no_graph, 0, 0, 0, 0,                      \
                "launch every op by itself instead of replaying steps as CUDA graphs"),    \
        CLI_ROW(s_, CHOICE, "engine", 0, common.engine, "auto|own|lt|wgmma", "auto", 0, 0, \
                "of GEMMs on cuda: own kernels, cuBLASLt (lt) where it can,\n"             \
                "or wgmma, on devices that have it; auto: what dydit tune\n"               \
                "has measured fastest, else own"),                                         \
        CLI_ROW(s_, FLAG, "reproducible", 0, common.reproducible, 0, 0, 0, 0,              \
                "own kernels alone: equal bits in any batch"),                             \
        CLI_ROW(s_, TEXT, "tune-cache", 0, common.tune_cache, "FILE", 0, 0, 0,             \
                "of dydit tune (default ~/.cache/dydit/tune.json)")
#define CLI_TALK_ROWS(s_)                                                           \
    CLI_ROW(s_, FLAG, "quiet", "q", common.quiet, 0, 0, 0, 0, "print errors only"), \
        CLI_ROW(s_, COUNT, "verbose", "v", common.verbose, 0, 0, 0, 0, "say more on stderr; twice: even more")

#define CLI_PIXELS_PER_LATENT 8 /* along a side, of the VAE that latent models are assumed to be for */

typedef int cli_command_fn(int n_words, char **words);

cli_command_fn cli_sample, cli_plan, cli_inspect, cli_eval, cli_convert, cli_bench, cli_info, cli_tune, cli_decode;

/* Context and, where model is not NULL, the model of --ckpt. On failure prints why and returns the exit code; whatever
 * was opened is closed by cli_close. */
int cli_open_context(const cli_common *c, dydit_ctx **ctx);
int cli_open(const cli_common *c, dydit_ctx **ctx, dydit_model **model);
/* Context and a model with random weights for pictures of image_size pixels. */
int cli_open_random(const cli_common *c, const char *preset, int image_size, uint64_t seed, dydit_ctx **ctx,
                    dydit_model **model);
void cli_close(dydit_ctx **ctx, dydit_model **model);

/* Prints text on stdout, JSON untouched, and frees it. */
void cli_out_free(char *text, dydit_format format);
/* The same for a text that a call with status st made; after a failure prints why and returns the exit code. */
int cli_show(dydit_ctx *ctx, dydit_status st, char *text, dydit_format format);

#endif
