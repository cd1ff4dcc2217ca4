/* SPDX-License-Identifier: MIT
 * `dydit convert`: any checkpoint that can be read as one safetensors file or as a folder of diffusers; routers as JSON
 * (convert_router.c). */
#include "cli/convert.h"
#include "cli/outputs.h"

#include <stdbool.h>
#include <string.h>

#define ROW(...) CLI_ROW(convert_args, __VA_ARGS__)

static const cli_option options[] = {
    CLI_HEADING("conversion"),
    ROW(CHOICE, "layout", 0, layout, "official|diffusers", "official", 0, 0,
        "names of the tensors; diffusers: OUT is a new folder with config.json\n"
        "and diffusion_pytorch_model.safetensors, for models without routers"),
    ROW(CHOICE, "dtype", 0, dtype, "f32|f16|bf16", 0, 0, 0,
        "of the network's weights; routers, token selection and timestep\n"
        "embedder stay f32 (default: every tensor keeps its bits)"),
    ROW(CHOICE, "which", 0, common.which, "auto|ema|model", "auto", 0, 0,
        "state dict of a training checkpoint; auto: ema, else model"),
    ROW(CHOICE, "compat", 0, common.compat, "auto|official|diffusers", "auto", 0, 0,
        "write down whose numerics are meant (metadata compat)"),
    ROW(TEXT, "model", 0, common.preset, "NAME", 0, 0, 0,
        "DiT-XL/2, …: with --layout diffusers, where the file does not tell\n"
        "the number of heads"),
    CLI_HEADING("routers of Learning-to-Cache, to OUT.json"),
    ROW(REAL, "threshold", 0, threshold, "X", 0, -1e6, 1e6,
        "above it a branch is computed (default: the file's, else 0.1)"),
    ROW(TEXT, "ckpt", "m", common.ckpt, "FILE", 0, 0, 0, "write a plan of this model, for dydit sample --plan"),
    ROW(TEXT, "steps", "num-sampling-steps", steps, "SPEC", 0, 0, 0, "of the plan, such as 20 or ddim20"),
    CLI_HEADING("talk"),
    CLI_TALK_ROWS(convert_args),
};

static const cli_spec spec = {"convert",
                              "IN OUT|OUT.json [flags]",
                              "Writes a checkpoint of any format that can be read as one safetensors file or as a "
                              "folder of diffusers, and prints its\n"
                              "SHA-256; or routers of Learning-to-Cache as JSON, or as a plan.",
                              options,
                              (int)(sizeof options / sizeof options[0]),
                              "IN OUT",
                              "  dydit convert new_dydit0.7.pt dydit.safetensors\n"
                              "  dydit convert 0400000.pt small.safetensors --which ema --dtype bf16\n"
                              "  dydit convert DiT-XL-2-256x256.pt transformer --layout diffusers\n"
                              "  dydit convert DDIM20_router.pt plan.json --ckpt DiT-XL-2-256x256.pt --steps 20\n"};

static int run(const convert_args *a, const cli_args *args, dydit_ctx *ctx)
{
    cli_outputs files;
    memset(&files, 0, sizeof files);
    cli_outputs_in(&files, "IN", args->arg);
    const bool folder = strcmp(a->layout, "diffusers") == 0;
    if (!folder) cli_outputs_out(&files, "OUT", args->arg2); /* folders are never written over */
    if (!folder && a->common.preset) return cli_fail(CLI_USAGE, "--model is for --layout diffusers");
    const int rc = cli_outputs_check(&files, ctx);
    if (rc != CLI_OK) return rc;
    dydit_convert_options o;
    dydit_convert_options_init(&o, sizeof o);
    o.dtype = a->dtype;
    o.layout = a->layout;
    o.preset = a->common.preset;
    char *text = NULL;
    const dydit_status st = dydit_convert(ctx, args->arg, args->arg2, &o, &text);
    if (st == DYDIT_OK && a->common.quiet) {
        dydit_free(text);
        return CLI_OK;
    }
    return cli_show(ctx, st, text, DYDIT_TEXT);
}

int cli_convert(int n_words, char **words)
{
    convert_args a;
    cli_args args;
    dydit_ctx *ctx = NULL;
    int rc = cli_parse(&spec, n_words, words, &a, sizeof a, &args);
    if (rc != CLI_OK) return rc;
    if (args.help) {
        cli_help(&spec);
        return CLI_OK;
    }
    if (!args.arg2) return cli_fail(CLI_USAGE, "two names are needed: dydit convert IN OUT, or IN OUT.json");
    a.common.backend = "cpu";
    rc = convert_check(&args);
    if (rc != CLI_OK) return rc;
    if (convert_is_router(&args)) return convert_router(&a, &args);
    rc = cli_open_context(&a.common, &ctx);
    if (rc == CLI_OK) rc = run(&a, &args, ctx);
    cli_close(&ctx, NULL);
    return rc;
}
