/* SPDX-License-Identifier: MIT
 * Opens what a command works with, and passes the library's log on to stderr. */
#include "cli/common.h"

#include <string.h>

#include "cli/stop.h"

static void on_log(void *user, int level, const char *text)
{
    const cli_common *c = user;
    if (level == DYDIT_WARN) {
        if (!c->quiet) cli_note("warning: %s", text);
    } else if (level <= c->verbose) {
        cli_note("%s", text);
    }
}

int cli_open_context(const cli_common *c, dydit_ctx **ctx)
{
    dydit_options o;
    if (c->reproducible && c->engine && strcmp(c->engine, "lt") == 0) {
        return cli_fail(CLI_USAGE,
                        "--reproducible and --engine lt exclude each other: results of cuBLASLt depend on the "
                        "batch");
    }
    if (c->reproducible && c->engine && strcmp(c->engine, "wgmma") == 0) {
        return cli_fail(CLI_USAGE,
                        "--reproducible and --engine wgmma exclude each other: wgmma adds otherwise than the kernels "
                        "that other devices have");
    }
    if (c->reproducible && c->vae_engine && strcmp(c->vae_engine, "own") != 0) {
        return cli_fail(CLI_USAGE,
                        "--reproducible and --vae-engine %s exclude each other: results of cuDNN depend on the batch",
                        c->vae_engine);
    }
    dydit_options_init(&o, sizeof o);
    o.vae_engine = c->vae_engine;
    o.engine = c->reproducible ? "own" : c->engine;
    o.tune_cache = c->tune_cache;
    o.which = c->which;
    o.compat = c->compat;
    o.backend = c->backend;
    o.threads = c->threads;
    o.device = c->device;
    o.no_graph = c->no_graph;
    o.precision = c->precision;
    o.log = on_log;
    o.log_user = (void *)(uintptr_t)c;
    const dydit_status st = dydit_open(ctx, &o);
    if (st != DYDIT_OK) return cli_fail_status(*ctx, st);
    cli_stop_context(*ctx);
    return CLI_OK;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);
    return n >= k && strcmp(text + n - k, end) == 0;
}

int cli_open(const cli_common *c, dydit_ctx **ctx, dydit_model **model)
{
    if (c->preset && ends_with(c->preset, ".safetensors")) {
        return cli_fail(CLI_USAGE, "--model names a geometry such as DyDiT-XL/2; the file %s goes after --ckpt",
                        c->preset);
    }
    if (!c->ckpt) return cli_fail(CLI_USAGE, "no model given; use --ckpt FILE");
    const int rc = cli_open_context(c, ctx);
    if (rc != CLI_OK) return rc;
    const dydit_status st = dydit_model_open(*ctx, model, c->ckpt, c->preset);
    return st == DYDIT_OK ? CLI_OK : cli_fail_status(*ctx, st);
}

int cli_open_random(const cli_common *c, const char *preset, int image_size, uint64_t seed, dydit_ctx **ctx,
                    dydit_model **model)
{
    if (image_size % CLI_PIXELS_PER_LATENT != 0) {
        return cli_fail(CLI_USAGE, "--image-size %d is no multiple of %d", image_size, CLI_PIXELS_PER_LATENT);
    }
    const int rc = cli_open_context(c, ctx);
    if (rc != CLI_OK) return rc;
    const dydit_status st = dydit_model_random(*ctx, model, preset, image_size / CLI_PIXELS_PER_LATENT, seed);
    return st == DYDIT_OK ? CLI_OK : cli_fail_status(*ctx, st);
}

void cli_close(dydit_ctx **ctx, dydit_model **model)
{
    cli_stop_context(NULL);
    if (model) dydit_model_close(model);
    dydit_close(ctx);
}

void cli_out_free(char *text, dydit_format format)
{
    if (format == DYDIT_TEXT) {
        cli_out(text);
    } else {
        fputs(text, stdout);
    }
    const size_t n = strlen(text);
    if (n == 0 || text[n - 1] != '\n') fputc('\n', stdout);
    dydit_free(text);
}

int cli_show(dydit_ctx *ctx, dydit_status st, char *text, dydit_format format)
{
    if (st != DYDIT_OK) return cli_fail_status(ctx, st);
    cli_out_free(text, format);
    return CLI_OK;
}
