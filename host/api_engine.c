/* SPDX-License-Identifier: MIT
 * Public API: who does the GEMMs, the own kernels, the backend's library or wgmma; and measuring all. */
#define _POSIX_C_SOURCE 200809L /* access */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/api_internal.h"
#include "host/base/str.h"
#include "host/exec/tune.h"
#include "host/io/json.h"
#include "host/io/outfile.h"

static const dd_engine *engine_of(const dydit_ctx *ctx) { return ctx->be->engine; }

static void tune_key(const dydit_ctx *ctx, dd_tune_key *key)
{
    const dd_device_list *l = ctx->be->devices;
    const dd_engine *e = engine_of(ctx);
    memset(key, 0, sizeof *key);
    if (l && l->opened >= 0) {
        const dd_device *d = &l->device[l->opened];
        snprintf(key->device, sizeof key->device, "%s", d->name);
        snprintf(key->capability, sizeof key->capability, "%d.%d", d->major, d->minor);
        snprintf(key->driver, sizeof key->driver, "%.30s", l->driver);
    }
    snprintf(key->dydit, sizeof key->dydit, "%s", dydit_version());
    snprintf(key->library, sizeof key->library, "%s %s", e->name, e->version[0] ? e->version : "not available");
}

static bool here(const dd_engine *e, dd_gemm_by by)
{
    return by == DD_BY_OWN || (by == DD_BY_LIBRARY ? e->version[0] != 0 : e->wgmma);
}

/* Of those that are here; the own kernels where nobody is faster. */
static dd_gemm_by fastest(const dd_engine *e, const dd_gemm_times *t)
{
    dd_gemm_by best = DD_BY_OWN;
    for (int by = 0; by < DD_BY_COUNT; by++)
        if (here(e, (dd_gemm_by)by) && t->us[by] >= 0 && t->us[by] < t->us[best]) best = (dd_gemm_by)by;
    return best;
}

static dd_status use_all(dydit_ctx *ctx, dd_gemm_by by, dd_err *err)
{
    DD_TRY(engine_of(ctx)->use(ctx->be, by, NULL, 0, err));
    ctx->rest_by = by;
    return DD_OK;
}

/* For each measured shape the fastest. */
static dd_status use_fastest(dydit_ctx *ctx, const dd_tune_list *l, dd_err *err)
{
    dd_gemm_choice *choices = calloc((size_t)l->n + 1, sizeof *choices);
    int n = 0, shapes_by[DD_BY_COUNT] = {0};
    if (!choices) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for measurements");
    for (int i = 0; i < l->n; i++) {
        const dd_gemm_by by = fastest(engine_of(ctx), &l->at[i].times);
        if (by == DD_BY_OWN) continue;
        choices[n++] = (dd_gemm_choice){l->at[i].shape, by};
        shapes_by[by]++;
    }
    const dd_status st = engine_of(ctx)->use(ctx->be, DD_BY_OWN, choices, n, err);
    free(choices);
    if (st == DD_OK) memcpy(ctx->shapes_by, shapes_by, sizeof shapes_by);
    return st;
}

/* Opens the library only where there are measurements. Those that cannot be read are no reason not to run, unless the caller named the file. */
static dd_status use_measured(dydit_ctx *ctx, dd_err *err)
{
    dd_tune_key key;
    dd_tune_list list;
    char path[sizeof ctx->tune_cache], stale[DD_ERR_TEXT];
    dd_err local = {0};
    DD_TRY(use_all(ctx, DD_BY_OWN, err));
    snprintf(path, sizeof path, "%s", ctx->tune_cache);
    if (!path[0] && dd_tune_path(path, sizeof path, false, NULL) != DD_OK) return DD_OK;
    if (access(path, F_OK) != 0) return DD_OK;
    engine_of(ctx)->find(ctx->be);
    if (!here(engine_of(ctx), DD_BY_LIBRARY) && !here(engine_of(ctx), DD_BY_WGMMA)) return DD_OK;
    tune_key(ctx, &key);
    dd_status st = dd_tune_read(&list, path, &key, stale, &local);
    if (st != DD_OK && ctx->tune_cache[0]) return dd_err_set(err, st, local.file, local.line, "%s", local.text);
    if (st != DD_OK) dd_log_write(&ctx->log, DD_LOG_WARN, "%s; own kernels are used", local.text);
    if (stale[0]) dd_log_write(&ctx->log, DD_LOG_WARN, "%s", stale);
    st = use_fastest(ctx, &list, err);
    dd_tune_list_fini(&list);
    return st;
}

dd_status dd_api_engine_apply(dydit_ctx *ctx, dd_err *err)
{
    const bool lt = strcmp(ctx->engine, "lt") == 0, wgmma = strcmp(ctx->engine, "wgmma") == 0;
    ctx->rest_by = DD_BY_OWN;
    memset(ctx->shapes_by, 0, sizeof ctx->shapes_by);
    if (!engine_of(ctx) && (lt || wgmma))
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "engine %s: backend %s has no %s", ctx->engine, ctx->be->name,
                       lt ? "cuBLASLt" : "wgmma");
    if (!engine_of(ctx)) return DD_OK;
    if (strcmp(ctx->engine, "auto") == 0) return use_measured(ctx, err);
    return use_all(ctx, lt ? DD_BY_LIBRARY : wgmma ? DD_BY_WGMMA : DD_BY_OWN, err);
}

dd_status dd_api_engine_open(dydit_ctx *ctx, const char *engine, const char *tune_cache, dd_err *err)
{
    if (!engine) engine = "auto";
    if (strcmp(engine, "auto") != 0 && strcmp(engine, "own") != 0 && strcmp(engine, "lt") != 0 &&
        strcmp(engine, "wgmma") != 0)
        return DD_FAIL(err, DD_ERR_ARG, "engine '%.40s' is not known: auto, own, lt or wgmma", engine);
    snprintf(ctx->engine, sizeof ctx->engine, "%s", engine);
    if (tune_cache && strlen(tune_cache) >= sizeof ctx->tune_cache)
        return DD_FAIL(err, DD_ERR_ARG, "the path of the measurements is too long");
    snprintf(ctx->tune_cache, sizeof ctx->tune_cache, "%s", tune_cache ? tune_cache : "");
    return dd_api_engine_apply(ctx, err);
}

bool dd_api_engine_text(const dydit_ctx *ctx, char *text, size_t size)
{
    const dd_engine *e = engine_of(ctx);
    const int by_library = ctx->shapes_by[DD_BY_LIBRARY], by_wgmma = ctx->shapes_by[DD_BY_WGMMA];
    if (ctx->rest_by == DD_BY_LIBRARY) snprintf(text, size, "%s %s where it can", e->name, e->version);
    else if (ctx->rest_by == DD_BY_WGMMA) snprintf(text, size, "wgmma where it can");
    else if (by_library && by_wgmma)
        snprintf(text, size, "%s %s for %d shapes, wgmma for %d, own kernels", e->name, e->version, by_library,
                 by_wgmma);
    else if (by_library) snprintf(text, size, "%s %s for %d shapes, own kernels", e->name, e->version, by_library);
    else if (by_wgmma) snprintf(text, size, "wgmma for %d shapes, own kernels", by_wgmma);
    else snprintf(text, size, "own kernels");
    return ctx->rest_by != DD_BY_OWN || by_library || by_wgmma;
}

/* ---- tune ----------------------------------------------------------------------------------------------------- */

static dd_status report_text(const dd_engine *e, const dd_tune_list *l, const char *path, char **text, dd_err *err)
{
    static const char *const name[DD_BY_COUNT] = {"own", "lt", "wgmma"};
    dd_str s = {0};
    dd_str_addf(&s, "%8s %6s %6s  %-6s %-5s %-6s %-8s %11s %11s %11s  %s\n", "m", "n", "k", "weight", "input", "output",
                "epilogue", "own us", "lt us", "wgmma us", "fastest");
    for (int i = 0; i < l->n; i++) {
        const dd_gemm_shape *g = &l->at[i].shape;
        const dd_gemm_times *t = &l->at[i].times;
        dd_str_addf(&s, "%8lld %6lld %6lld  %-6s %-5s %-6s %-8s", (long long)g->m, (long long)g->n, (long long)g->k,
                    g->sliced ? "slices" : "whole", dd_format_name(g->input), dd_format_name(g->output),
                    dd_epilogue_name(g->epilogue));
        for (int by = 0; by < DD_BY_COUNT; by++)
            if (t->us[by] >= 0) dd_str_addf(&s, " %11.1f", t->us[by]);
            else dd_str_addf(&s, " %11s", "-");
        dd_str_addf(&s, "  %s\n", name[fastest(e, t)]);
    }
    dd_str_addf(&s, "kept in %s\n", path);
    return dd_str_take(&s, text, err);
}

static dd_status report_json(const dd_tune_list *l, const dd_tune_key *key, const char *path, char **text, dd_err *err)
{
    json_t *doc = json_object(), *gemms = json_array();
    json_object_set_new(doc, "cache", json_string(path));
    json_object_set_new(doc, "device", json_string(key->device));
    json_object_set_new(doc, "library", json_string(key->library));
    for (int i = 0; i < l->n; i++) json_array_append_new(gemms, dd_tuned_doc(&l->at[i]));
    json_object_set_new(doc, "gemms", gemms);
    const dd_status st = dd_json_print(doc, text, err);
    json_decref(doc);
    return st;
}

static dd_status check_engine(const dydit_ctx *ctx, dd_err *err)
{
    const dd_engine *e = engine_of(ctx);
    if (!e)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED,
                       "tune: backend %s has its own kernels alone, there is nothing to choose", ctx->be->name);
    e->find(ctx->be);
    if (here(e, DD_BY_LIBRARY) || here(e, DD_BY_WGMMA)) return DD_OK;
    return DD_FAIL(err, DD_ERR_UNSUPPORTED, "tune: %s cannot be used: %.900s", e->name, e->where);
}

static dd_status measure_plan(dydit_model *model, const dd_settings *set, const dd_plan *plan, dd_tune_list *list,
                              dd_err *err)
{
    dd_leg leg[DD_WEIGHT_SETS];
    const int legs = dd_settings_legs(leg, set, model, plan, NULL, set->batch_size);
    for (int i = 0; i < legs; i++) {
        leg[i].spec.draw_latents = leg[i].spec.draw_noise = false;
        const dd_tune_job job = {&leg[i].spec, model->ctx->be, leg[i].weights, &model->ctx->cancel};
        DD_TRY(dd_tune_run(list, &job, err));
    }
    return DD_OK;
}

/* The complete model, then what the options leave out of it. */
static dd_status measure(dydit_model *model, const dydit_sample_options *o, dd_tune_list *list, dd_err *err)
{
    dd_settings set;
    dd_plan *plan = NULL, *dense = NULL;
    DD_TRY(dd_settings_resolve(&set, model, o, err));
    dd_status st = dd_settings_plan(&plan, &set, model, o->plan ? o->plan->plan : NULL, err);
    if (st == DD_OK) st = dd_settings_dense(&dense, &set, model, plan, err);
    if (st == DD_OK) st = dd_settings_weights(&set, model, plan, err);
    if (st == DD_OK) st = measure_plan(model, &set, dense, list, err);
    if (st == DD_OK && !o->dense) st = measure_plan(model, &set, plan, list, err);
    dd_plan_free(&plan);
    dd_plan_free(&dense);
    return st;
}

static dd_status tune(dydit_model *model, const dydit_sample_options *o, dydit_format format, char **text, dd_err *err)
{
    dydit_ctx *ctx = model->ctx;
    dd_tune_key key;
    dd_tune_list list = {0};
    char path[sizeof ctx->tune_cache];
    DD_TRY(check_engine(ctx, err));
    snprintf(path, sizeof path, "%s", ctx->tune_cache);
    if (!path[0]) DD_TRY(dd_tune_path(path, sizeof path, true, err));
    DD_TRY(dd_outfile_check(path, err));
    tune_key(ctx, &key);
    dd_status st = measure(model, o, &list, err);
    if (st == DD_OK) st = dd_tune_write(path, &key, &list, err);
    if (st == DD_OK)
        st = format == DYDIT_JSON ? report_json(&list, &key, path, text, err)
                                  : report_text(engine_of(ctx), &list, path, text, err);
    dd_tune_list_fini(&list);
    const dd_status back = dd_api_engine_apply(ctx, st == DD_OK ? err : NULL);
    return st == DD_OK ? back : st;
}

dydit_status dydit_tune(dydit_model *model, const dydit_sample_options *options, dydit_format format, char **text)
{
    dydit_sample_options o;
    if (!model || !text) return DYDIT_ERR_ARG;
    dd_err *err = &model->ctx->err;
    dd_api_begin(model->ctx);
    *text = NULL;
    atomic_store(&model->ctx->cancel, 0);
    dydit_sample_options_init(&o, sizeof o);
    dd_status st = dd_api_options(&o, sizeof o, options, "dydit_sample_options", err);
    if (st == DD_OK) st = tune(model, &o, format, text, err);
    if (st != DD_OK) {
        free(*text);
        *text = NULL;
    }
    return (dydit_status)st;
}
