/* SPDX-License-Identifier: MIT
 * `dydit decode`: a file of latents to pictures. */
#include <string.h>

#include "cli/common.h"
#include "cli/outputs.h"
#include "cli/progress.h"
#include "cli/stop.h"
#include "cli/vae.h"

typedef struct decode_args {
    cli_common common;
    cli_vae vae;
    const char *in, *in_prefix, *output, *pictures_out, *progress;
    int nrow;
    uint64_t max_mem;
} decode_args;

#define ROW(...) CLI_ROW(decode_args, __VA_ARGS__)

static const cli_option options[] = {
    CLI_HEADING("files"),
    CLI_VAE_ROWS(decode_args),
    ROW(TEXT, "in", 0, in, "FILE", 0, 0, 0, "`latents` or `x` of a safetensors file"),
    ROW(TEXT, "in-prefix", 0, in_prefix, "TEXT", 0, 0, 0, "stands before these names"),
    ROW(TEXT, "output", "o", output, "FILE", 0, 0, 0, "the pictures as a grid, PNG"),
    ROW(TEXT, "pictures-out", 0, pictures_out, "FILE", 0, 0, 0, "the pictures as float32, safetensors"),
    ROW(INT, "nrow", 0, nrow, "N", 0, 1, 65536, "pictures in a row of the grid (default 8; 4 up to 8 pictures)"),
    CLI_HEADING("machine"),
    CLI_DEVICE_ROWS(decode_args),
    ROW(BYTES, "max-mem", 0, max_mem, "BYTES", 0, 1, 9.2e18, "stay below, e.g. 4G: in tiles, or not at all"),
    CLI_HEADING("talk"),
    ROW(CHOICE, "progress", 0, progress, "bar|plain|none", 0, 0, 0, "(default bar on a terminal, else none)"),
    CLI_TALK_ROWS(decode_args),
};

static const cli_spec spec = {"decode",
                              "--vae FILE --in FILE -o FILE [flags]",
                              "Decodes latents that were sampled before, by the decoder of an AutoencoderKL.",
                              options,
                              (int)(sizeof options / sizeof options[0]),
                              NULL,
                              "  dydit decode --vae sd-vae-ft-ema --in dogs.safetensors -o dogs.png\n"};

static int on_progress(void *user, const dydit_progress *now)
{
    cli_progress_step(user, now);
    return cli_stop_asked();
}

static int check(const decode_args *a)
{
    if (!a->vae.path) return cli_fail(CLI_USAGE, "no decoder given; use --vae FILE");
    if (!a->in) return cli_fail(CLI_USAGE, "no latents given; use --in FILE");
    if (!a->output && !a->pictures_out) {
        return cli_fail(CLI_USAGE, "nothing to write; use -o FILE or --pictures-out FILE");
    }
    return CLI_OK;
}

static int check_files(const decode_args *a, dydit_ctx *ctx)
{
    cli_outputs f = {0};
    cli_outputs_in(&f, "--vae", a->vae.path);
    cli_outputs_in(&f, "--in", a->in);
    cli_outputs_out(&f, "--output", a->output);
    cli_outputs_out(&f, "--pictures-out", a->pictures_out);
    return cli_outputs_check(&f, ctx);
}

static dydit_status decode(const decode_args *a, dydit_vae *vae, cli_progress *progress)
{
    dydit_decode_options o;
    dydit_decode_files f;
    dydit_png_options png;
    cli_vae_options(&a->vae, a->max_mem, &o);
    dydit_decode_files_init(&f, sizeof f);
    dydit_png_options_init(&png, sizeof png);
    o.progress = on_progress;
    o.user = progress;
    png.nrow = a->nrow;
    f.in = a->in;
    f.in_prefix = a->in_prefix;
    f.png = a->output;
    f.out = a->pictures_out;
    f.how = &png;
    cli_progress_init(progress, a->progress, a->common.quiet, a->vae.batch);
    cli_progress_next(progress, "decoding", a->vae.batch);
    const dydit_status st = cli_stop_asked() ? DYDIT_ERR_CANCELLED : dydit_vae_decode_file(vae, &f, &o);
    cli_progress_end(progress);
    return st;
}

int cli_decode(int n_words, char **words)
{
    decode_args a;
    cli_args args;
    dydit_ctx *ctx = NULL;
    dydit_vae *vae = NULL;
    cli_progress progress = {0};
    int rc = cli_parse(&spec, n_words, words, &a, sizeof a, &args);
    if (rc != CLI_OK) return rc;
    if (args.help) {
        cli_help(&spec);
        return CLI_OK;
    }
    rc = check(&a);
    if (rc != CLI_OK) return rc;
    cli_stop_watch();
    rc = cli_open_context(&a.common, &ctx);
    if (rc == CLI_OK) rc = check_files(&a, ctx);
    dydit_status st = rc == CLI_OK ? dydit_vae_open(ctx, &vae, a.vae.path) : DYDIT_OK;
    if (rc == CLI_OK && st == DYDIT_OK) st = decode(&a, vae, &progress);
    if (st == DYDIT_ERR_CANCELLED) rc = cli_fail(CLI_STOPPED, "stopped while decoding; nothing was written");
    else if (st != DYDIT_OK) rc = cli_fail_status(ctx, st);
    if (rc == CLI_OK && a.output && !a.common.quiet) cli_outf("wrote %s\n", a.output);
    if (rc == CLI_OK && a.pictures_out && !a.common.quiet) cli_outf("wrote %s\n", a.pictures_out);
    dydit_vae_close(&vae);
    cli_close(&ctx, NULL);
    return rc;
}
