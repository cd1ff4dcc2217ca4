/* SPDX-License-Identifier: MIT
 * `dydit inspect`: what a file is, also where it cannot be run. */
#include "cli/common.h"

typedef struct inspect_args {
    cli_common common;
    bool json;
} inspect_args;

#define ROW(...) CLI_ROW(inspect_args, __VA_ARGS__)

static const cli_option options[] = {
    CLI_MODEL_ROWS(inspect_args),
    CLI_HEADING("talk"),
    ROW(FLAG, "json", 0, json, 0, 0, 0, 0, "print one JSON object"),
    CLI_TALK_ROWS(inspect_args),
};

static const cli_spec spec = {
    "inspect",
    "FILE [flags]",
    "Says what a checkpoint is, which tensors it holds and which are missing or not expected.",
    options,
    (int)(sizeof options / sizeof options[0]),
    "FILE",
    "  dydit inspect models/glyphs.safetensors\n"
    "  dydit inspect download.safetensors --model DyDiT-XL/2 --json\n"};

int cli_inspect(int n_words, char **words)
{
    inspect_args a;
    cli_args args;
    dydit_ctx *ctx = NULL;
    char *text = NULL;
    int rc = cli_parse(&spec, n_words, words, &a, sizeof a, &args);
    if (rc != CLI_OK) return rc;
    if (args.help) {
        cli_help(&spec);
        return CLI_OK;
    }
    if (args.arg && a.common.ckpt) {
        return cli_fail(CLI_USAGE, "two files given, %s and --ckpt %s; one at a time", args.arg, a.common.ckpt);
    }
    const char *path = args.arg ? args.arg : a.common.ckpt;
    if (!path || !path[0]) return cli_fail(CLI_USAGE, "no file given; use dydit inspect FILE");
    const dydit_format format = a.json ? DYDIT_JSON : DYDIT_TEXT;
    rc = cli_open_context(&a.common, &ctx);
    if (rc == CLI_OK) {
        const dydit_status st = dydit_inspect(ctx, path, a.common.preset, format, &text);
        rc = cli_show(ctx, st, text, format);
    }
    cli_close(&ctx, NULL);
    return rc;
}
