/* SPDX-License-Identifier: MIT
 * Public API: what benchmarks need beyond sampling. */
#include <math.h>
#include <stdlib.h>

#include "host/api_internal.h"
#include "host/plan/policy.h"

#define CALIBRATION_RUNS 3
#define CALIBRATION_ERROR 0.01 /* of the share: good enough to stop */

dydit_status dydit_plan_synthetic(dydit_model *model, const dydit_sample_options *options, double ratio, double tokens,
                                  dydit_plan **out)
{
    dydit_sample_options o;
    dd_settings set;
    dd_plan *plan = NULL;
    if (!model || !out) return DYDIT_ERR_ARG;
    dd_err *err = &model->ctx->err;
    dd_api_begin(model->ctx);
    *out = NULL;
    dydit_sample_options_init(&o, sizeof o);
    dd_status st = dd_api_options(&o, sizeof o, options, "dydit_sample_options", err);
    if (st == DD_OK) st = dd_settings_resolve(&set, model, &o, err);
    set.dense = 1; /* a complete plan to begin with */
    if (st == DD_OK && set.later)
        st = DD_FAIL(err, DD_ERR_ARG, "switch: a plan of a chosen cost is of one model, as it was asked for");
    if (st == DD_OK) st = dd_settings_plan(&plan, &set, model, NULL, err);
    if (st == DD_OK) st = dd_policy_synthetic(plan, model->m, ratio, tokens, err);
    if (st == DD_OK) return (dydit_status)dd_api_wrap_plan(out, model, NULL, plan, err);
    dd_plan_free(&plan);
    return (dydit_status)st;
}

/* One run that collects scores; *kept: the share that it kept. */
static dd_status calibrate_once(dydit_model *model, const dydit_sample_options *o, dd_calibration *c, double *kept,
                                dd_err *err)
{
    dydit_result *r = NULL;
    dydit_stats s;
    DD_TRY(dd_api_sample(model, o, c, &r, err));
    const dd_status st = dd_result_figures(r, &s, err);
    *kept = s.tokens;
    dydit_result_close(&r);
    return st;
}

static dd_status count_steps(const dydit_model *model, const dydit_sample_options *o, int *n, dd_err *err)
{
    dd_settings set;
    dd_plan *plan = NULL;
    DD_TRY(dd_settings_resolve(&set, model, o, err));
    DD_TRY(dd_settings_plan(&plan, &set, model, o->plan ? o->plan->plan : NULL, err));
    *n = plan->n_steps;
    dd_plan_free(&plan);
    return DD_OK;
}

static dd_status calibrate(dydit_model *model, const dydit_sample_options *o, double share, dd_err *err)
{
    int steps;
    DD_TRY(count_steps(model, o, &steps, err));
    for (int run = 0; run < CALIBRATION_RUNS; run++) {
        dd_calibration c;
        double kept = 0;
        dd_status st = dd_calibration_init(&c, model->m, share, steps, err);
        c.fixed = run > 0;
        if (st == DD_OK) st = calibrate_once(model, o, &c, &kept, err);
        const int done = c.fixed && fabs(kept - share) <= CALIBRATION_ERROR;
        if (st == DD_OK && !done) st = dd_calibration_apply(&c, model->m, model->weights, err);
        dd_calibration_fini(&c, model->m);
        if (st != DD_OK || done) return st;
    }
    return DD_OK;
}

dydit_status dydit_model_calibrate(dydit_model *model, const dydit_sample_options *options, double share)
{
    dydit_sample_options o;
    if (!model) return DYDIT_ERR_ARG;
    dd_err *err = &model->ctx->err;
    dd_api_begin(model->ctx);
    atomic_store(&model->ctx->cancel, 0);
    dydit_sample_options_init(&o, sizeof o);
    dd_status st = dd_api_options(&o, sizeof o, options, "dydit_sample_options", err);
    if (st == DD_OK && !model->m->random)
        st = DD_FAIL(err, DD_ERR_ARG, "%s: the token routers of a file are left as they are", model->m->path);
    if (st == DD_OK && model->m->n_routers == 0)
        st = DD_FAIL(err, DD_ERR_ARG, "%s has no token routers", model->m->cfg.arch);
    if (st == DD_OK && !(share > 0 && share < 1))
        st = DD_FAIL(err, DD_ERR_ARG, "a share of tokens of %.4g is not between 0 and 1", share);
    if (st == DD_OK && o.switch_model)
        st = DD_FAIL(err, DD_ERR_ARG, "switch: token routers are moved in runs of one model");
    o.profile = o.compare_dense = 0;
    if (st == DD_OK) st = calibrate(model, &o, share, err);
    return (dydit_status)st;
}

dydit_status dydit_measure_macs(dydit_ctx *ctx, double *macs_per_s)
{
    if (!ctx || !macs_per_s) return DYDIT_ERR_ARG;
    dd_api_begin(ctx);
    if (!ctx->be) return (dydit_status)DD_FAIL(&ctx->err, DD_ERR_ARG, "this context has no backend");
    if (!ctx->be->peak_macs)
        return (dydit_status)DD_FAIL(&ctx->err, DD_ERR_UNSUPPORTED, "backend %s has no peak to measure", ctx->be->name);
    return (dydit_status)ctx->be->peak_macs(ctx->be, ctx->input, macs_per_s, &ctx->err);
}

dydit_status dydit_measure_read(dydit_ctx *ctx, double *bytes_per_s)
{
    if (!ctx || !bytes_per_s) return DYDIT_ERR_ARG;
    dd_api_begin(ctx);
    if (!ctx->be) return (dydit_status)DD_FAIL(&ctx->err, DD_ERR_ARG, "this context has no backend");
    if (!ctx->be->peak_read)
        return (dydit_status)DD_FAIL(&ctx->err, DD_ERR_UNSUPPORTED, "backend %s has no peak to measure", ctx->be->name);
    return (dydit_status)ctx->be->peak_read(ctx->be, bytes_per_s, &ctx->err);
}

dydit_status dydit_profiler(dydit_ctx *ctx, int on)
{
    if (!ctx) return DYDIT_ERR_ARG;
    dd_api_begin(ctx);
    if (!ctx->be) return (dydit_status)DD_FAIL(&ctx->err, DD_ERR_ARG, "this context has no backend");
    return ctx->be->profiler ? (dydit_status)ctx->be->profiler(ctx->be, on != 0, &ctx->err) : DYDIT_OK;
}
