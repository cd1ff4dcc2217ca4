/* SPDX-License-Identifier: MIT
 * Public API: context, messages, texts and files. */
#include <jansson.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/base/pool.h"
#include "host/base/str.h"
#include "host/io/json.h"
#include "host/io/outfile.h"

/* The public enum repeats the internal list; their values are pinned to each other here. */
#define SAME(name, value, text) _Static_assert((int)DYDIT_##name == (int)DD_##name, "status " #name);
DD_STATUS_LIST(SAME)
#undef SAME

#if defined(__clang__)
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif
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
    const dydit_options defaults = {.size = size, .backend = "auto", .precision = "auto"};
    dd_api_defaults(o, size, &defaults, sizeof defaults);
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
    if (!o.backend) o.backend = "auto";
    snprintf(ctx->backend_option, sizeof ctx->backend_option, "%s", o.backend);
    const dd_backend_choice choice = {o.backend, o.threads, 0};
    st = dd_backend_open(&ctx->be, &choice, NULL, &ctx->err);
    if (st == DD_OK) st = dd_precision_find(&ctx->input, ctx->be, o.precision ? o.precision : "auto", &ctx->err);
    if (st != DD_OK) dd_backend_close(&ctx->be);
    else
        dd_log_write(&ctx->log, DD_LOG_DEBUG, "backend %s: %s, %s", ctx->be->name, ctx->be->detail,
                     dd_precision_name(ctx->input));
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

static json_t *info_doc(const dydit_ctx *ctx)
{
    json_t *doc = json_object(), *backends = json_array(), *libs = json_object();
    json_array_append_new(backends, json_string("cpu"));
    json_array_append_new(backends, json_string("ref"));
    json_object_set_new(libs, "jansson", json_string(JANSSON_VERSION));
    json_object_set_new(libs, "libpng", json_string(PNG_LIBPNG_VER_STRING));
    json_object_set_new(doc, "version", json_string(VERSION));
    json_object_set_new(doc, "backends", backends);
    json_object_set_new(doc, "backend", json_string(ctx->be->name));
    json_object_set_new(doc, "detail", json_string(ctx->be->detail));
    if (ctx->be->choices) json_object_set_new(doc, "isas", json_string(ctx->be->choices));
    json_object_set_new(doc, "threads", json_integer(ctx->be->threads));
    json_object_set_new(doc, "cpus", json_integer(dd_cpu_count()));
    json_object_set_new(doc, "precision", json_string(dd_precision_name(ctx->input)));
    json_object_set_new(doc, "compiler", json_string(COMPILER));
    json_object_set_new(doc, "libraries", libs);
    return doc;
}

dydit_status dydit_info(dydit_ctx *ctx, dydit_format format, char **text)
{
    if (!ctx || !text) return DYDIT_ERR_ARG;
    dd_api_begin(ctx);
    *text = NULL;
    if (!ctx->be) return (dydit_status)DD_FAIL(&ctx->err, DD_ERR_ARG, "this context has no backend");
    if (format == DYDIT_JSON) {
        json_t *doc = info_doc(ctx);
        const dd_status st = dd_json_print(doc, text, &ctx->err);
        json_decref(doc);
        return (dydit_status)st;
    }
    dd_str s = {0};
    dd_str_addf(&s, "dydit       %s\n", VERSION);
    dd_str_addf(&s, "backends    cpu, ref (auto takes cpu)\n");
    dd_str_addf(&s, "in use      %s: %s\n", ctx->be->name, ctx->be->detail);
    if (ctx->be->choices) dd_str_addf(&s, "isas        %s\n", ctx->be->choices);
    dd_str_addf(&s, "cpus        %d\n", dd_cpu_count());
    dd_str_addf(&s, "precision   %s (auto: %s; bf16 %s)\n", dd_precision_name(ctx->input),
                dd_precision_name(ctx->be->prefers_bf16 ? ctx->be->bf16_input : DD_FMT_F32),
                ctx->be->bf16_input == DD_FMT_F32 ? "not available" : "available");
    dd_str_addf(&s, "built with  %s, jansson %s, libpng %s\n", COMPILER, JANSSON_VERSION, PNG_LIBPNG_VER_STRING);
    return (dydit_status)dd_str_take(&s, text, &ctx->err);
}

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
