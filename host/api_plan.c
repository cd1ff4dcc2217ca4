/* SPDX-License-Identifier: MIT
 * Public API: plans. */
#include <stdlib.h>

#include "host/api_internal.h"
#include "host/plan/plan_report.h"

dd_status dd_api_wrap_plan(dydit_plan **out, dydit_model *model, dydit_model *later, dd_plan *plan, dd_err *err)
{
    dydit_plan *p = calloc(1, sizeof *p);
    if (!p) {
        dd_plan_free(&plan);
        return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a plan");
    }
    *p = (dydit_plan){model, plan->other ? later : NULL, plan};
    *out = p;
    return DD_OK;
}

dydit_status dydit_plan_build(dydit_model *model, const dydit_sample_options *options, dydit_plan **out)
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
    if (st == DD_OK) st = dd_settings_plan(&plan, &set, model, o.plan ? o.plan->plan : NULL, err);
    if (st == DD_OK) st = dd_api_wrap_plan(out, model, set.later, plan, err);
    return (dydit_status)st;
}

dydit_status dydit_plan_read_switched(dydit_model *model, dydit_model *later, const char *path, dydit_plan **out)
{
    dd_plan *plan = NULL;
    if (!model || !path || !out) return DYDIT_ERR_ARG;
    dd_err *err = &model->ctx->err;
    dd_api_begin(model->ctx);
    *out = NULL;
    dd_status st = dd_plan_read(&plan, model->m, later ? later->m : NULL, path, err);
    if (st == DD_OK) st = dd_api_wrap_plan(out, model, later, plan, err);
    return (dydit_status)st;
}

dydit_status dydit_plan_read(dydit_model *model, const char *path, dydit_plan **out)
{
    return dydit_plan_read_switched(model, NULL, path, out);
}

void dydit_plan_close(dydit_plan **plan)
{
    if (!plan || !*plan) return;
    dd_plan_free(&(*plan)->plan);
    free(*plan);
    *plan = NULL;
}

static dd_status report(const dd_report *r, dydit_format format, char **text, dd_err *err)
{
    switch (format) {
    case DYDIT_TEXT: return dd_plan_table(r, text, err);
    case DYDIT_JSON: return dd_plan_to_json(r->plan, r->model, r->other ? r->other->model : NULL, text, err);
    case DYDIT_SVG: return dd_plan_svg(r, text, err);
    }
    return DD_FAIL(err, DD_ERR_ARG, "format %d is not known", (int)format);
}

dydit_status dydit_plan_report(const dydit_plan *plan, dydit_format format, char **text)
{
    if (!plan || !text) return DYDIT_ERR_ARG;
    dd_api_begin(plan->model->ctx);
    *text = NULL;
    const dd_plan *p = plan->plan;
    const dd_report other = {.plan = p->other, .model = plan->later ? plan->later->m : NULL};
    const dd_report r = {.plan = p, .model = plan->model->m, .other = p->other ? &other : NULL};
    return (dydit_status)report(&r, format, text, &plan->model->ctx->err);
}

dydit_status dydit_result_plan(const dydit_result *r, dydit_format format, char **text)
{
    dd_executed e;
    if (!r || !text) return DYDIT_ERR_ARG;
    dd_err *err = &r->model->ctx->err;
    dd_api_begin(r->model->ctx);
    *text = NULL;
    dd_status st = dd_executed_init(&e, r, err);
    if (st == DD_OK) st = report(&e.part[0], format, text, err);
    dd_executed_fini(&e);
    return (dydit_status)st;
}
