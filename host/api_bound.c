/* SPDX-License-Identifier: MIT
 * Public API: bounds of plans by the data sheet of a device. */
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/exec/bound_report.h"
#include "host/exec/precision.h"

#define MAX_BATCH 4096
#define MAX_LAUNCH_US 1e6

void dydit_bound_options_init(dydit_bound_options *o, size_t size)
{
    const dydit_bound_options defaults = {
        .size = size, .precision = "auto", .batch_size = 1, .tokens = 1.0, .launch_us = 2.0};
    dd_api_defaults(o, size, &defaults, sizeof defaults);
}

static dd_status resolve(const dydit_bound_options *o, dd_bound_terms *terms, dd_format *input, dd_err *err)
{
    const char *precision = o->precision ? o->precision : "auto";
    if (!o->device) return DD_FAIL(err, DD_ERR_ARG, "a bound needs the name of a device");
    DD_TRY(dd_sheet_find(&terms->sheet, o->device, err));
    DD_TRY(dd_precision_parse(input, precision, err));
    if (o->batch_size < 1 || o->batch_size > MAX_BATCH)
        return DD_FAIL(err, DD_ERR_ARG, "batch size %d is out of range: 1 to %d", o->batch_size, MAX_BATCH);
    if (!(o->tokens > 0 && o->tokens <= 1))
        return DD_FAIL(err, DD_ERR_ARG, "a share of tokens of %.4g is not above 0 and at most 1", o->tokens);
    if (!(o->launch_us >= 0 && o->launch_us <= MAX_LAUNCH_US))
        return DD_FAIL(err, DD_ERR_ARG, "a launch of %g microseconds is out of range: 0 to %g", o->launch_us,
                       MAX_LAUNCH_US);
    terms->launch_s = o->launch_us * 1e-6;
    terms->tokens = o->tokens;
    return DD_OK;
}

/* The complete model at the steps of a plan, or of its part that has these weights. */
static dd_status complete(dd_plan **out, const dd_plan *plan, const dd_model *m, dd_err *err)
{
    float *t = malloc((size_t)plan->n_steps * sizeof *t);
    int *guided = malloc((size_t)plan->n_steps * sizeof *guided);
    dd_status st = t && guided ? DD_OK : DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a bound");
    for (int i = 0; i < plan->n_steps && st == DD_OK; i++) {
        t[i] = plan->rows[i].timestep;
        guided[i] = plan->rows[i].guided;
    }
    if (st == DD_OK) st = dd_plan_build(out, m, t, guided, plan->n_steps, err);
    for (int i = 0; i < plan->n_steps && st == DD_OK; i++) (*out)->rows[i].weight_set = plan->rows[i].weight_set;
    if (st == DD_OK) (*out)->weight_set = plan->weight_set;
    free(t);
    free(guided);
    return st;
}

/* Adds the bounds of a weight set: as planned, and complete. */
static dd_status add_part(dd_bound *planned, dd_bound *dense, dd_run_spec spec, const dd_ops *ops,
                          const dd_bound_terms *terms, dd_err *err)
{
    dd_plan *all = NULL;
    DD_TRY(complete(&all, spec.plan, spec.model, err));
    spec.cfg_channels = spec.model->cfg.cfg_channels;
    spec.want_hits = spec.model->n_routers > 0;
    dd_status st = dd_bound_add(planned, &spec, ops, terms, err);
    spec.plan = all;
    if (st == DD_OK) st = dd_bound_add(dense, &spec, ops, terms, err);
    dd_plan_free(&all);
    return st;
}

/* A plan does not know the sampler: the solver counts as DDIM without noise, which reads least. */
static dd_status write_bound(const dydit_plan *plan, const dydit_bound_options *o, dydit_format format, char **text,
                             dd_err *err)
{
    const dd_model *m = plan->model->m;
    const dd_ops *ops = plan->model->ctx->be->ops;
    dd_bound_terms terms;
    dd_bound dense = {0}, planned = {0};
    dd_run_spec spec = {
        .model = m, .plan = plan->plan, .max_images = o->batch_size, .cfg_scale = 1, .solver = DD_SOLVER_DDIM};
    if (format != DYDIT_TEXT && format != DYDIT_JSON)
        return DD_FAIL(err, DD_ERR_ARG, "format %d is none of bounds: text or JSON", (int)format);
    DD_TRY(resolve(o, &terms, &spec.input, err));
    DD_TRY(dd_cache_parse(&spec.cache, o->cache_dtype ? o->cache_dtype : "", spec.input, err));
    float *coefs = calloc((size_t)plan->plan->n_steps * DD_COEF_COUNT, sizeof *coefs);
    if (!coefs) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a bound");
    spec.coefs = coefs;
    dd_status st = add_part(&planned, &dense, spec, ops, &terms, err);
    dd_run_spec other = spec;
    if (st == DD_OK && plan->later) {
        other.model = plan->later->m;
        other.plan = plan->plan->other;
        st = add_part(&planned, &dense, other, ops, &terms, err);
    }
    const dd_bound_report r = {&spec, &terms, &dense, &planned};
    if (st == DD_OK) st = format == DYDIT_JSON ? dd_bound_json(&r, text, err) : dd_bound_text(&r, text, err);
    free(coefs);
    return st;
}

dydit_status dydit_plan_bound(const dydit_plan *plan, const dydit_bound_options *options, dydit_format format,
                              char **text)
{
    dydit_bound_options o;
    if (!plan || !text) return DYDIT_ERR_ARG;
    dd_err *err = &plan->model->ctx->err;
    dd_api_begin(plan->model->ctx);
    *text = NULL;
    dydit_bound_options_init(&o, sizeof o);
    dd_status st = dd_api_options(&o, sizeof o, options, "dydit_bound_options", err);
    if (st == DD_OK) st = write_bound(plan, &o, format, text, err);
    return (dydit_status)st;
}
