/* SPDX-License-Identifier: MIT
 * Public API: context, messages and files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/exec/plugin.h"
#include "host/exec/precision.h"
#include "host/io/outfile.h"

/* The public enum repeats the internal list; their values are pinned to each other here. */
#define SAME(name, value, text) _Static_assert((int)DYDIT_##name == (int)DD_##name, "status " #name);
DD_STATUS_LIST(SAME)
#undef SAME

#define STR2(x) #x
#define STR(x) STR2(x)
#define VERSION STR(DYDIT_VERSION_MAJOR) "." STR(DYDIT_VERSION_MINOR) "." STR(DYDIT_VERSION_PATCH)

const char *dydit_version(void) { return VERSION; }

const char *dydit_status_name(dydit_status status) { return dd_status_name((dd_status)status); }

void dydit_free(void *p) { free(p); }

void dd_api_begin(dydit_ctx *ctx) { dd_err_clear(&ctx->err); }

void dd_api_defaults(void *dst, size_t size, const void *defaults, size_t full)
{
    if (!dst || size < sizeof size) return;
    if (size <= full) memcpy(dst, defaults, size);
    else memcpy(dst, &size, sizeof size);
}

dd_status dd_api_options(void *dst, size_t dst_size, const void *src, const char *what, dd_err *err)
{
    size_t size;
    if (!src) return DD_OK;
    memcpy(&size, src, sizeof size); /* every struct begins with it */
    if (size < 2 * sizeof size || size > dst_size)
        return DD_FAIL(err, DD_ERR_ARG, "%s is not initialised: its size is %zu, expected %zu", what, size, dst_size);
    memcpy(dst, src, size);
    return DD_OK;
}

void dydit_options_init(dydit_options *o, size_t size)
{
    const dydit_options defaults = {.size = size,
                                    .backend = "auto",
                                    .precision = "auto",
                                    .engine = "auto",
                                    .which = "auto",
                                    .compat = "auto",
                                    .vae_engine = "own"};
    dd_api_defaults(o, size, &defaults, sizeof defaults);
}

/* A plugin that is there and cannot be used is worth a warning; where none was built there is little to say. */
static void explain_auto(dydit_ctx *ctx)
{
    char path[4096];
    if (!ctx->why[0]) return;
    ctx->why_unsaid = true;
    ctx->why_level = dd_plugin_find("cuda", path, sizeof path, NULL) == DD_OK ? DD_LOG_WARN : DD_LOG_INFO;
}

static dd_status open_backend(dydit_ctx *ctx, const dydit_options *o)
{
    const dd_backend_choice choice = {o->backend ? o->backend : "auto", o->threads, o->device, o->no_graph != 0};
    snprintf(ctx->backend_option, sizeof ctx->backend_option, "%s", choice.name);
    DD_TRY(dd_backend_open(&ctx->be, &choice, ctx->why, &ctx->err));
    DD_TRY(dd_precision_find(&ctx->input, ctx->be, o->precision ? o->precision : "auto", &ctx->err));
    DD_TRY(dd_api_engine_open(ctx, o->engine, o->tune_cache, &ctx->err));
    DD_TRY(dd_api_vae_engine_open(ctx, o->vae_engine, &ctx->err));
    explain_auto(ctx);
    if (o->no_graph && !ctx->be->forget)
        dd_log_write(&ctx->log, DD_LOG_WARN, "no-graph changes nothing: backend %s has no graphs", ctx->be->name);
    dd_log_write(&ctx->log, DD_LOG_DEBUG, "backend %s: %s, %s", ctx->be->name, ctx->be->detail,
                 dd_precision_name(ctx->input));
    return DD_OK;
}

dydit_status dydit_open(dydit_ctx **out, const dydit_options *options)
{
    dydit_options o;
    if (!out) return DYDIT_ERR_ARG;
    dydit_ctx *ctx = *out = calloc(1, sizeof *ctx);
    if (!ctx) return DYDIT_ERR_NOMEM;
    dydit_options_init(&o, sizeof o);
    dd_status st = dd_api_options(&o, sizeof o, options, "dydit_options", &ctx->err);
    if (st != DD_OK) return (dydit_status)st;
    ctx->log = (dd_log){o.log, o.log_user};
    st = dd_checkpoint_choose(&ctx->choice, o.which, o.compat, &ctx->err);
    if (st == DD_OK) st = open_backend(ctx, &o);
    if (st != DD_OK) dd_backend_close(&ctx->be);
    return (dydit_status)st;
}

void dydit_close(dydit_ctx **ctx)
{
    if (!ctx || !*ctx) return;
    dd_backend_close(&(*ctx)->be);
    free(*ctx);
    *ctx = NULL;
}

const char *dydit_message(const dydit_ctx *ctx)
{
    if (!ctx) return "out of memory";
    return ctx->err.text;
}

void dydit_cancel(dydit_ctx *ctx) { atomic_store(&ctx->cancel, 1); }

dydit_status dydit_check_output(dydit_ctx *ctx, const char *path)
{
    if (!ctx || !path) return DYDIT_ERR_ARG;
    dd_api_begin(ctx);
    return (dydit_status)dd_outfile_check(path, &ctx->err);
}

dydit_status dydit_write_text(dydit_ctx *ctx, const char *path, const char *text)
{
    if (!ctx || !path || !text) return DYDIT_ERR_ARG;
    dd_api_begin(ctx);
    return (dydit_status)dd_outfile_text(path, text, &ctx->err);
}
