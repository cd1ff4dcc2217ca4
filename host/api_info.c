/* SPDX-License-Identifier: MIT
 * Public API: what this build can use on this machine. Plugins are asked for their devices without opening any. */
#include <jansson.h>
#include <png.h>
#include <stdio.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/base/pool.h"
#include "host/base/str.h"
#include "host/exec/plugin.h"
#include "host/exec/precision.h"
#include "host/io/json.h"

#if defined(__clang__)
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* What is known of one plugin. */
typedef struct plugin {
    const char *name;
    char path[4096]; /* empty: there is no such file */
    dd_err err;      /* why it cannot be used */
    dd_backend *own; /* opened for its list alone, or NULL */
    const dd_device_list *list;
    uint64_t free;  /* of the opened device */
    dd_backend *be; /* own, or the one in use; NULL without a list */
} plugin;

static const char *const names[] = {"cuda", "emu"};
#define N_PLUGINS 2

static const dd_engine *engine_of(const plugin *p) { return p->be ? p->be->engine : NULL; }

/* Beside fp32, which every backend has. */
static const dd_format lower_precisions[] = {DD_FMT_TF32, DD_FMT_BF16, DD_FMT_F16};
#define N_LOWER 3

static void look_at(plugin *p, const char *name, dd_backend *in_use)
{
    *p = (plugin){.name = name};
    if (dd_plugin_find(name, p->path, sizeof p->path, NULL) != DD_OK) p->path[0] = 0;
    if (in_use->devices && strcmp(in_use->name, name) == 0) {
        p->list = in_use->devices;
        p->be = in_use;
        if (in_use->memory_free) (void)in_use->memory_free(in_use, &p->free, NULL);
    } else if (dd_plugin_open(&p->own, name, DD_DEVICE_LIST, &p->err) == DD_OK) {
        p->list = p->own->devices;
        p->be = p->own;
    }
    if (engine_of(p)) engine_of(p)->find(p->be);
    if (engine_of(p)) engine_of(p)->find_convolutions(p->be);
    if (!p->list && p->err.status == DD_OK) DD_FAIL(&p->err, DD_ERR_INTERNAL, "it lists no devices");
}

static bool has_code(const plugin *p)
{
    for (int i = 0; p->list && i < p->list->n; i++)
        if (p->list->device[i].has_code) return true;
    return false;
}

/* ---- JSON ----------------------------------------------------------------------------------------------------- */

static json_t *text_or_null(const char *text)
{
    json_t *v = text[0] ? json_string(text) : NULL; /* NULL also where it is no UTF-8 */
    return v ? v : json_null();
}

static json_t *device_doc(const plugin *p, int i)
{
    const dd_device *d = &p->list->device[i];
    char capability[32];
    json_t *doc = json_object();
    snprintf(capability, sizeof capability, "%d.%d", d->major, d->minor);
    json_object_set_new(doc, "backend", json_string(p->name));
    json_object_set_new(doc, "index", json_integer(d->index));
    json_object_set_new(doc, "name", text_or_null(d->name));
    json_object_set_new(doc, "compute_capability", json_string(capability));
    json_object_set_new(doc, "multiprocessors", json_integer(d->sms));
    json_object_set_new(doc, "threads_per_multiprocessor", json_integer(d->threads_per_sm));
    json_object_set_new(doc, "memory_bytes", json_integer((json_int_t)d->memory));
    json_object_set_new(doc, "usable", json_boolean(d->has_code));
    json_object_set_new(doc, "in_use", json_boolean(i == p->list->opened));
    if (i == p->list->opened) json_object_set_new(doc, "memory_free_bytes", json_integer((json_int_t)p->free));
    return doc;
}

/* Of GEMMs. */
static json_t *engine_doc(const dd_engine *e)
{
    json_t *doc = json_object();
    json_object_set_new(doc, "name", json_string(e->name));
    json_object_set_new(doc, "version", text_or_null(e->version));
    json_object_set_new(doc, e->version[0] ? "file" : "reason", text_or_null(e->where));
    json_object_set_new(doc, "wgmma", json_boolean(e->wgmma));
    return doc;
}

static json_t *library_doc(const dd_library *l)
{
    json_t *doc = json_object();
    json_object_set_new(doc, "name", json_string(l->name));
    json_object_set_new(doc, "version", text_or_null(l->version));
    json_object_set_new(doc, l->version[0] ? "file" : "reason", text_or_null(l->where));
    return doc;
}

static json_t *plugin_doc(const plugin *p)
{
    json_t *doc = json_object();
    json_object_set_new(doc, "status", json_string(dd_status_name(p->list ? DD_OK : p->err.status)));
    json_object_set_new(doc, "reason", text_or_null(p->list ? "" : p->err.text));
    json_object_set_new(doc, "file", text_or_null(p->path));
    if (!p->list) return doc;
    json_object_set_new(doc, "driver", text_or_null(p->list->driver));
    json_object_set_new(doc, "runtime", text_or_null(p->list->runtime));
    json_object_set_new(doc, "built", text_or_null(p->list->built));
    if (engine_of(p)) json_object_set_new(doc, "library", engine_doc(engine_of(p)));
    if (engine_of(p)) json_object_set_new(doc, "vae_library", library_doc(&engine_of(p)->convolutions));
    return doc;
}

static json_t *info_doc(const dydit_ctx *ctx, const plugin *plugins)
{
    json_t *doc = json_object(), *backends = json_array(), *libs = json_object(), *devices = json_array(),
           *found = json_object(), *precisions = json_array();
    json_array_append_new(precisions, json_string(dd_precision_name(DD_FMT_F32)));
    for (int i = 0; i < N_LOWER; i++)
        if (dd_precision_on(ctx->be, lower_precisions[i]))
            json_array_append_new(precisions, json_string(dd_precision_name(lower_precisions[i])));
    json_array_append_new(backends, json_string("cpu"));
    json_array_append_new(backends, json_string("ref"));
    for (const plugin *p = plugins; p < plugins + N_PLUGINS; p++) {
        if (has_code(p)) json_array_append_new(backends, json_string(p->name));
        json_object_set_new(found, p->name, plugin_doc(p));
        for (int i = 0; p->list && i < p->list->n; i++) json_array_append_new(devices, device_doc(p, i));
    }
    json_object_set_new(libs, "jansson", json_string(JANSSON_VERSION));
    json_object_set_new(libs, "libpng", json_string(PNG_LIBPNG_VER_STRING));
    json_object_set_new(doc, "version", json_string(dydit_version()));
    json_object_set_new(doc, "backends", backends);
    json_object_set_new(doc, "plugins", found);
    json_object_set_new(doc, "devices", devices);
    json_object_set_new(doc, "backend", json_string(ctx->be->name));
    json_object_set_new(doc, "engine", json_string(ctx->engine));
    json_object_set_new(doc, "backend_reason", text_or_null(ctx->why));
    json_object_set_new(doc, "detail", json_string(ctx->be->detail));
    if (ctx->be->choices) json_object_set_new(doc, "isas", json_string(ctx->be->choices));
    json_object_set_new(doc, "threads", json_integer(ctx->be->threads));
    json_object_set_new(doc, "cpus", json_integer(dd_cpu_count()));
    json_object_set_new(doc, "graphs", json_boolean(ctx->be->record != NULL));
    json_object_set_new(doc, "precision", json_string(dd_precision_name(ctx->input)));
    json_object_set_new(doc, "precisions", precisions);
    json_object_set_new(doc, "compiler", json_string(COMPILER));
    json_object_set_new(doc, "libraries", libs);
    return doc;
}

/* ---- text ----------------------------------------------------------------------------------------------------- */

static void add_plugin(dd_str *s, const plugin *p)
{
    if (!p->list) {
        dd_str_addf(s, "%-11s not available: %s\n", p->name, p->err.text);
        return;
    }
    dd_str_addf(s, "%-11s driver %s, runtime %s, built for %s\n", p->name, p->list->driver, p->list->runtime,
                p->list->built);
    for (int i = 0; i < p->list->n; i++) {
        const dd_device *d = &p->list->device[i];
        dd_str_addf(s, "  device %-2d %s, compute capability %d.%d, %.1f GiB, %d multiprocessors", d->index, d->name,
                    d->major, d->minor, (double)d->memory / (1 << 30), d->sms);
        if (!d->has_code) dd_str_add(s, "; this build has no code for it");
        if (i == p->list->opened) dd_str_addf(s, "; in use, %.1f GiB free", (double)p->free / (1 << 30));
        dd_str_add(s, "\n");
    }
    const dd_engine *e = engine_of(p);
    if (e && e->version[0]) dd_str_addf(s, "  %s %s, %s\n", e->name, e->version, e->where);
    else if (e) dd_str_addf(s, "  %s not available: %s\n", e->name, e->where);
    const dd_library *l = e ? &e->convolutions : NULL;
    if (l) dd_str_addf(s, "  %s %s%s %s\n", l->name, l->version, l->version[0] ? "," : "not available:", l->where);
    if (e && e->wgmma) dd_str_add(s, "  wgmma, the matrix instructions of compute capability 9.0\n");
}

static dd_status info_text(const dydit_ctx *ctx, const plugin *plugins, char **text, dd_err *err)
{
    const dd_backend *be = ctx->be;
    dd_str s = {0};
    dd_str_addf(&s, "dydit       %s\nbackends    cpu, ref", dydit_version());
    for (int i = 0; i < N_PLUGINS; i++)
        if (has_code(&plugins[i])) dd_str_addf(&s, ", %s", plugins[i].name);
    dd_str_addf(&s, " (auto takes %s)\n", has_code(&plugins[0]) && !ctx->why[0] ? "cuda" : "cpu");
    for (int i = 0; i < N_PLUGINS; i++) add_plugin(&s, &plugins[i]);
    dd_str_addf(&s, "in use      %s: %s\n", be->name, be->detail);
    if (be->devices) dd_str_addf(&s, "graphs      %s\n", be->record ? "one per structure of steps" : "none");
    if (be->engine) {
        char engine[80];
        dd_api_engine_text(ctx, engine, sizeof engine);
        dd_str_addf(&s, "gemms       %s (engine %s)\n", engine, ctx->engine);
        dd_api_vae_engine_text(ctx, engine, sizeof engine);
        dd_str_addf(&s, "vae         %s\n", engine);
    }
    if (be->choices) dd_str_addf(&s, "isas        %s\n", be->choices);
    dd_str_addf(&s, "cpus        %d\n", dd_cpu_count());
    dd_str_addf(&s, "precision   %s (auto: %s; available: fp32", dd_precision_name(ctx->input),
                dd_precision_name(be->prefers_bf16 ? be->bf16_input : DD_FMT_F32));
    for (int i = 0; i < N_LOWER; i++)
        if (dd_precision_on(be, lower_precisions[i])) dd_str_addf(&s, ", %s", dd_precision_name(lower_precisions[i]));
    dd_str_addf(&s, ")\n");
    dd_str_addf(&s, "built with  %s, jansson %s, libpng %s\n", COMPILER, JANSSON_VERSION, PNG_LIBPNG_VER_STRING);
    return dd_str_take(&s, text, err);
}

dydit_status dydit_info(dydit_ctx *ctx, dydit_format format, char **text)
{
    plugin plugins[N_PLUGINS];
    if (!ctx || !text) return DYDIT_ERR_ARG;
    dd_api_begin(ctx);
    *text = NULL;
    if (!ctx->be) return (dydit_status)DD_FAIL(&ctx->err, DD_ERR_ARG, "this context has no backend");
    for (int i = 0; i < N_PLUGINS; i++) look_at(&plugins[i], names[i], ctx->be);
    dd_status st;
    if (format == DYDIT_JSON) {
        json_t *doc = info_doc(ctx, plugins);
        st = dd_json_print(doc, text, &ctx->err);
        json_decref(doc);
    } else {
        st = info_text(ctx, plugins, text, &ctx->err);
    }
    for (int i = 0; i < N_PLUGINS; i++) dd_backend_close(&plugins[i].own);
    return (dydit_status)st;
}
