/* SPDX-License-Identifier: MIT
 * `dydit eval`: one forward pass on given inputs, for comparing with other implementations. */
#include <string.h>

#include "cli/common.h"
#include "cli/outputs.h"
#include "cli/stop.h"

typedef struct eval_args {
    cli_common common;
    const char *in, *out, *in_prefix, *token_masks, *masks_prefix;
    double cfg_scale;
    int cfg_channels;
    bool dense, trace;
} eval_args;

#define ROW(...) CLI_ROW(eval_args, __VA_ARGS__)

static const cli_option options[] = {
    CLI_MODEL_ROWS(eval_args),
    CLI_HEADING("inputs and results, safetensors"),
    ROW(TEXT, "in", "i", in, "FILE", 0, 0, 0, "`x` [B,C,S,S], `t` [B], `y` [B]"),
    ROW(TEXT, "in-prefix", 0, in_prefix, "TEXT", 0, 0, 0, "stands before these names"),
    ROW(TEXT, "out", "o", out, "FILE", 0, 0, 0, "gets `out`, and what the flags below add"),
    CLI_HEADING("what is computed"),
    ROW(FLAG, "dense", 0, dense, 0, 0, 0, 0, "compute everything, ask no router"),
    ROW(REAL, "cfg-scale", 0, cfg_scale, "X", 0, 0, 1e6, "also the guided `cfg_out` [2B,...]"),
    ROW(INT, "cfg-channels", 0, cfg_channels, "N", "0", 0, 4096, "channels guided; 0: what the model says"),
    ROW(FLAG, "trace", 0, trace, 0, 0, 0, 0, "also `hidden` of every block, and all decisions"),
    ROW(TEXT, "token-masks", 0, token_masks, "FILE", 0, 0, 0, "take the decisions from `tokens` [depth,B,N]"),
    ROW(TEXT, "masks-prefix", 0, masks_prefix, "TEXT", 0, 0, 0, "stands before `tokens` (default --in-prefix)"),
    CLI_HEADING("machine and talk"),
    CLI_MACHINE_ROWS(eval_args),
    CLI_TALK_ROWS(eval_args),
};

static const cli_spec spec = {
    "eval",
    "--ckpt FILE --in FILE --out FILE [flags]",
    "Computes one forward pass and writes the tensors.",
    options,
    (int)(sizeof options / sizeof options[0]),
    NULL,
    "  dydit eval --ckpt model.safetensors --in inputs.safetensors --out results.safetensors --trace\n"
    "  dydit eval --ckpt model.safetensors --in inputs.safetensors --in-prefix golden. --out r.safetensors --cfg-scale "
    "4\n"};

static int check_flags(const eval_args *a, const cli_args *args)
{
    if (!a->in) return cli_fail(CLI_USAGE, "no inputs given; use --in FILE");
    if (!a->out) return cli_fail(CLI_USAGE, "no file for the results given; use --out FILE");
    if (a->masks_prefix && !a->token_masks) return cli_fail(CLI_USAGE, "--masks-prefix needs --token-masks FILE");
    if (a->dense && a->token_masks) {
        return cli_fail(CLI_USAGE, "--dense and --token-masks exclude each other: a dense run takes no decisions");
    }
    if (cli_given(args, "cfg-channels") && a->cfg_scale == 0.0) {
        return cli_fail(CLI_USAGE, "--cfg-channels needs --cfg-scale X");
    }
    return CLI_OK;
}

static int run(const eval_args *a, dydit_ctx *ctx, dydit_model *model)
{
    cli_outputs files;
    memset(&files, 0, sizeof files);
    cli_outputs_in(&files, "--ckpt", a->common.ckpt);
    cli_outputs_in(&files, "--in", a->in);
    cli_outputs_in(&files, "--token-masks", a->token_masks);
    cli_outputs_out(&files, "--out", a->out);
    const int rc = cli_outputs_check(&files, ctx);
    if (rc != CLI_OK) return rc;
    dydit_eval_options o;
    dydit_eval_options_init(&o, sizeof o);
    o.in = a->in;
    o.in_prefix = a->in_prefix;
    o.out = a->out;
    o.dense = a->dense;
    o.cfg_scale = a->cfg_scale;
    o.cfg_channels = a->cfg_channels;
    o.trace = a->trace;
    o.token_masks = a->token_masks;
    o.masks_prefix = a->masks_prefix;
    if (cli_stop_asked()) return cli_fail(CLI_STOPPED, "stopped; nothing was written");
    const dydit_status st = dydit_eval(model, &o);
    if (st == DYDIT_ERR_CANCELLED) return cli_fail(CLI_STOPPED, "stopped; nothing was written");
    if (st != DYDIT_OK) return cli_fail_status(ctx, st);
    if (!a->common.quiet) cli_outf("wrote %s\n", a->out);
    return CLI_OK;
}

int cli_eval(int n_words, char **words)
{
    eval_args a;
    cli_args args;
    dydit_ctx *ctx = NULL;
    dydit_model *model = NULL;
    int rc = cli_parse(&spec, n_words, words, &a, sizeof a, &args);
    if (rc == CLI_OK && args.help) {
        cli_help(&spec);
        return CLI_OK;
    }
    if (rc == CLI_OK) rc = check_flags(&a, &args);
    if (rc != CLI_OK) return rc;
    cli_stop_watch();
    rc = cli_open(&a.common, &ctx, &model);
    if (rc == CLI_OK) rc = run(&a, ctx, model);
    cli_close(&ctx, &model);
    return rc;
}
