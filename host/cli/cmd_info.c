/* SPDX-License-Identifier: MIT
 * `dydit info`: what this build can use on this machine. */
#include "cli/common.h"

typedef struct info_args {
    cli_common common;
    bool json;
} info_args;

#define ROW(...) CLI_ROW(info_args, __VA_ARGS__)

static const cli_option options[] = {
    CLI_HEADING("flags"),
    CLI_MACHINE_ROWS(info_args),
    ROW(FLAG, "json", 0, json, 0, 0, 0, 0, "print one JSON object"),
    CLI_TALK_ROWS(info_args),
};

static const cli_spec spec = {"info",
                              "[flags]",
                              "Prints version, backends, devices, instruction set, threads and libraries.",
                              options,
                              (int)(sizeof options / sizeof options[0]),
                              NULL,
                              "  dydit info\n"
                              "  dydit info --backend ref --json\n"};

int cli_info(int n_words, char **words)
{
    info_args a;
    cli_args args;
    dydit_ctx *ctx = NULL;
    char *text = NULL;
    int rc = cli_parse(&spec, n_words, words, &a, sizeof a, &args);
    if (rc != CLI_OK) return rc;
    if (args.help) {
        cli_help(&spec);
        return CLI_OK;
    }
    const dydit_format format = a.json ? DYDIT_JSON : DYDIT_TEXT;
    rc = cli_open_context(&a.common, &ctx);
    if (rc == CLI_OK) {
        const dydit_status st = dydit_info(ctx, format, &text);
        rc = cli_show(ctx, st, text, format);
    }
    cli_close(&ctx, NULL);
    return rc;
}
