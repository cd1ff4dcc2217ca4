/* SPDX-License-Identifier: MIT
 * Public API: plans and estimates. */
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/exec/session.h"
#include "host/plan/cost.h"
#include "host/plan/plan_report.h"

dd_status dd_api_wrap_plan(dydit_plan **out, dydit_model *model, dd_plan *plan, dd_err *err)
{
    dydit_plan *p = calloc(1, sizeof *p);
    if (!p) {
        dd_plan_free(&plan);
        return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a plan");
    }
    *p = (dydit_plan){model, plan};
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
    if (st == DD_OK) st = dd_api_wrap_plan(out, model, plan, err);
    return (dydit_status)st;
}

dydit_status dydit_plan_read(dydit_model *model, const char *path, dydit_plan **out)
{
    dd_plan *plan = NULL;
    if (!model || !path || !out) return DYDIT_ERR_ARG;
    dd_api_begin(model->ctx);
    *out = NULL;
    dd_status st = dd_plan_read(&plan, model->m, path, &model->ctx->err);
    if (st == DD_OK) st = dd_api_wrap_plan(out, model, plan, &model->ctx->err);
    return (dydit_status)st;
}

void dydit_plan_close(dydit_plan **plan)
{
    if (!plan || !*plan) return;
    dd_plan_free(&(*plan)->plan);
    free(*plan);
    *plan = NULL;
}

static dd_status report(const dd_plan *plan, const dd_model *m, const double *kept, dydit_format format, char **text,
                        dd_err *err)
{
    switch (format) {
    case DYDIT_TEXT: return dd_plan_table(plan, m, kept, text, err);
    case DYDIT_JSON: return dd_plan_to_json(plan, m, text, err);
    case DYDIT_SVG: return dd_plan_svg(plan, m, kept, text, err);
    }
    return DD_FAIL(err, DD_ERR_ARG, "format %d is not known", (int)format);
}

dydit_status dydit_plan_report(const dydit_plan *plan, dydit_format format, char **text)
{
    if (!plan || !text) return DYDIT_ERR_ARG;
    dd_api_begin(plan->model->ctx);
    *text = NULL;
    return (dydit_status)report(plan->plan, plan->model->m, NULL, format, text, &plan->model->ctx->err);
}

dydit_status dydit_result_plan(const dydit_result *r, dydit_format format, char **text)
{
    double *kept = NULL;
    if (!r || !text) return DYDIT_ERR_ARG;
    dd_err *err = &r->model->ctx->err;
    dd_api_begin(r->model->ctx);
    *text = NULL;
    dd_status st = dd_result_kept(r, &kept, err);
    if (st == DD_OK) st = report(r->plan, r->model->m, kept, format, text, err);
    free(kept);
    return (dydit_status)st;
}

/* ---- dry run -------------------------------------------------------------------------------------------------- */

typedef struct trial {
    const dydit_model *model;
    const dd_settings *set;
    const dydit_sample_options *o;
    const dd_plan *plan, *dense;
    const float *coefs;
} trial;

/* What a run would allocate with batches of `batch` images. */
static dd_status measure(const trial *t, int batch, dydit_estimate *e, dd_err *err)
{
    const dd_model *m = t->model->m;
    dd_backend *be = t->model->ctx->be;
    dd_footprint f;
    dd_run_spec spec = dd_settings_spec(t->set, m, t->plan, t->coefs, batch);
    spec.want_x0 = t->o->preview && t->o->preview_interval > 0;
    DD_TRY(dd_footprint_compute(&f, &spec, be, err));
    const uint64_t latent = (uint64_t)m->cfg.latent_count * sizeof(float),
                   n = (uint64_t)(t->o->n_images ? t->o->n_images : batch);
    e->weights_bytes = dd_weights_bytes(m, be, t->set->input == DD_FMT_F32 ? DD_F32 : DD_BF16);
    e->activation_bytes = f.activations;
    e->cond_bytes = f.cond;
    e->table_bytes = f.tables;
    e->scratch_bytes = f.scratch;
    e->latent_bytes = f.latents + n * latent + 2 * (uint64_t)batch * latent; /* results; start and step noise */
    if (t->o->keep_trajectory)
        e->latent_bytes += (uint64_t)t->plan->n_steps * n *
                           (latent + 2 * (uint64_t)m->n_routers * (uint64_t)m->cfg.tokens);
    if (t->dense) {
        spec.plan = t->dense;
        spec.want_hits = spec.want_x0 = 0;
        DD_TRY(dd_footprint_compute(&f, &spec, be, err));
        e->activation_bytes += f.activations;
        e->cond_bytes += f.cond;
        e->table_bytes += f.tables;
        e->latent_bytes += f.latents;
    }
    e->peak_bytes = e->weights_bytes + e->activation_bytes + e->cond_bytes + e->table_bytes + e->latent_bytes +
                    e->scratch_bytes;
    return DD_OK;
}

/* Largest batch whose peak fits, by bisection: the peak grows with the batch. */
static dd_status largest_batch(const trial *t, uint64_t max_mem, int *out, dd_err *err)
{
    int lo = 0, hi = 1;
    dydit_estimate e = {0};
    for (;;) {
        DD_TRY(measure(t, hi, &e, err));
        if (e.peak_bytes > max_mem || hi >= 65536) break;
        lo = hi;
        hi *= 2;
    }
    if (e.peak_bytes <= max_mem) lo = hi;
    while (hi - lo > 1) {
        const int mid = lo + (hi - lo) / 2;
        DD_TRY(measure(t, mid, &e, err));
        if (e.peak_bytes <= max_mem) lo = mid;
        else hi = mid;
    }
    *out = lo;
    return DD_OK;
}

static void add_macs(const trial *t, dydit_estimate *e)
{
    const dd_model *m = t->model->m;
    const int64_t images = t->o->n_images ? t->o->n_images : t->set->batch_size, batch = t->set->batch_size;
    for (int s = 0; s < t->plan->n_steps; s++) {
        const int guided = t->plan->rows[s].guided;
        const dd_cost c = dd_cost_step(t->plan, m, s, images * (guided ? 2 : 1), NULL);
        const int64_t batches = (images + batch - 1) / batch;
        const int64_t labels = (images < batches * m->cfg.num_classes ? images : batches * m->cfg.num_classes) +
                               batches * guided;
        const double cond = (double)dd_cost_cond(m, labels);
        e->macs_dense += (double)c.dense + cond;
        e->macs_executed += (double)c.executed + cond;
    }
}

dd_status dd_api_estimate(const dydit_model *model, const dd_settings *set, const dydit_sample_options *o,
                          const dd_plan *plan, const dd_plan *dense, const float *coefs, dydit_estimate *e, dd_err *err)
{
    const trial t = {model, set, o, plan, dense, coefs};
    *e = (dydit_estimate){.size = sizeof *e, .batch_size = set->batch_size, .max_batch = -1};
    DD_TRY(measure(&t, set->batch_size, e, err));
    e->file_bytes = dd_st_bytes(model->m->file);
    add_macs(&t, e);
    if (o->max_mem) DD_TRY(largest_batch(&t, o->max_mem, &e->max_batch, err));
    return DD_OK;
}

dydit_status dydit_estimate_sample(dydit_model *model, const dydit_sample_options *options, dydit_estimate *estimate)
{
    dydit_sample_options o;
    dydit_estimate full;
    dd_settings set;
    dd_plan *plan = NULL, *dense = NULL;
    float *coefs = NULL;
    if (!model || !estimate) return DYDIT_ERR_ARG;
    dd_err *err = &model->ctx->err;
    dd_api_begin(model->ctx);
    dydit_sample_options_init(&o, sizeof o);
    dd_status st = dd_api_options(&o, sizeof o, options, "dydit_sample_options", err);
    if (st == DD_OK) st = dd_api_options(&full, sizeof full, estimate, "dydit_estimate", err);
    if (st == DD_OK) st = dd_settings_resolve(&set, model, &o, err);
    if (st == DD_OK) st = dd_settings_plan(&plan, &set, model, o.plan ? o.plan->plan : NULL, err);
    if (st == DD_OK && o.compare_dense) st = dd_settings_dense(&dense, &set, model, plan, err);
    if (st == DD_OK) st = dd_settings_coefs(&coefs, &set, model->m, err);
    if (st == DD_OK) st = dd_api_estimate(model, &set, &o, plan, dense, coefs, &full, err);
    if (st == DD_OK) {
        full.size = estimate->size;
        memcpy(estimate, &full, estimate->size);
    }
    free(coefs);
    dd_plan_free(&plan);
    dd_plan_free(&dense);
    return (dydit_status)st;
}
