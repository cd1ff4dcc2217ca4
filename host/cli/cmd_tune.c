/* SPDX-License-Identifier: MIT
 * `dydit tune`: which engine is faster for each dense GEMM of a model, on this device. */
#include <string.h>

#include "cli/common.h"
#include "cli/stop.h"

typedef struct tune_args {
    cli_common common;
    const char *steps;
    cli_list batches;
    double cfg_scale;
    int image_size;
    bool dense, json;
} tune_args;

#define ROW(...) CLI_ROW(tune_args, __VA_ARGS__)

static const cli_option options[] = {
    CLI_HEADING("model"),
    ROW(TEXT, "model", 0, common.preset, "NAME", 0, 0, 0,
        "a DiT or DyDiT of size S, B, L or XL and patch 2, 4 or 8 with\nrandom weights (default DyDiT-XL/2)"),
    ROW(TEXT, "ckpt", "m", common.ckpt, "FILE", 0, 0, 0, "a safetensors checkpoint instead"),
    ROW(INT, "image-size", 0, image_size, "N", "256", 8, 16384, "pixels of a model with random weights, 8 per latent"),
    CLI_HEADING("runs to tune for"),
    ROW(INTS, "batch-size", "b,batch,per-proc-batch-size", batches, "LIST", 0, 1, 4096,
        "pictures at a time (default 1)"),
    ROW(REAL, "cfg-scale", 0, cfg_scale, "X", "4", 0, 1e6, "guidance, which doubles the rows; 1: none"),
    ROW(FLAG, "dense", 0, dense, 0, 0, 0, 0, "of the complete model only"),
    ROW(TEXT, "steps", "num-sampling-steps", steps, "SPEC", "250", 0, 0, "250, or ddim50 for DDIM"),
    CLI_HEADING("machine and talk"),
    CLI_MACHINE_ROWS(tune_args),
    ROW(FLAG, "json", 0, json, 0, 0, 0, 0, "print one JSON object per batch size"),
    CLI_TALK_ROWS(tune_args),
};

static const cli_spec spec = {
    "tune",
    "[flags]",
    "Times every GEMM of a model by each engine that can do it, and keeps the times for --engine auto.",
    options,
    (int)(sizeof options / sizeof options[0]),
    NULL,
    "  dydit tune --ckpt DyDiT-XL-2.safetensors --batch-size 1,8,32\n"
    "  dydit tune --model DyDiT-S/2 --tune-cache times.json --json\n"};

static int open_model(const tune_args *a, const cli_args *args, dydit_ctx **ctx, dydit_model **model)
{
    if (a->common.ckpt && cli_given(args, "image-size")) {
        return cli_fail(CLI_USAGE, "--image-size and --ckpt exclude each other: the checkpoint has a size");
    }
    if (a->common.ckpt) return cli_open(&a->common, ctx, model);
    const char *preset = a->common.preset ? a->common.preset : "DyDiT-XL/2";
    return cli_open_random(&a->common, preset, a->image_size, 0, ctx, model);
}

static int tune(const tune_args *a, dydit_ctx *ctx, dydit_model *model)
{
    const dydit_format format = a->json ? DYDIT_JSON : DYDIT_TEXT;
    for (int i = 0; i < (a->batches.n ? a->batches.n : 1); i++) {
        dydit_sample_options o;
        char *text = NULL;
        dydit_sample_options_init(&o, sizeof o);
        o.steps = a->steps;
        o.cfg_scale = a->cfg_scale;
        o.dense = a->dense;
        o.batch_size = a->batches.n ? (int)a->batches.v[i] : 1;
        if (cli_stop_asked()) return cli_fail(CLI_STOPPED, "stopped");
        const dydit_status st = dydit_tune(model, &o, format, &text);
        if (st == DYDIT_ERR_CANCELLED) return cli_fail(CLI_STOPPED, "stopped");
        if (st == DYDIT_OK && a->common.quiet) {
            dydit_free(text);
            continue;
        }
        const int rc = cli_show(ctx, st, text, format);
        if (rc != CLI_OK) return rc;
    }
    return CLI_OK;
}

int cli_tune(int n_words, char **words)
{
    tune_args a;
    cli_args args;
    dydit_ctx *ctx = NULL;
    dydit_model *model = NULL;
    int rc = cli_parse(&spec, n_words, words, &a, sizeof a, &args);
    if (rc != CLI_OK) return rc;
    if (args.help) {
        cli_help(&spec);
        return CLI_OK;
    }
    cli_stop_watch();
    rc = open_model(&a, &args, &ctx, &model);
    if (rc == CLI_OK) rc = tune(&a, ctx, model);
    cli_close(&ctx, &model);
    return rc;
}
