/* SPDX-License-Identifier: MIT
 * Public API: memory and work of a run before it begins. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/exec/session.h"
#include "host/plan/cost.h"

/* Adds what a session of this spec allocates on the backend. */
static dd_status add_session(dydit_estimate *e, const dd_run_spec *spec, dd_backend *be, dd_err *err)
{
    dd_footprint f;
    DD_TRY(dd_footprint_compute(&f, spec, be, err));
    e->activation_bytes += f.activations;
    e->cond_bytes += f.cond;
    e->table_bytes += f.tables;
    e->latent_bytes += f.latents;
    if (f.scratch > e->scratch_bytes) e->scratch_bytes = f.scratch; /* sessions share it */
    e->programs += f.programs;
    e->graph_ops += f.graph_ops;
    e->graph_bytes += f.graphs;
    e->slot_bytes += f.slots;
    return DD_OK;
}

/* What a run would allocate with batches of `batch` images. */
static dd_status measure(const dd_trial *t, int batch, dydit_estimate *e, dd_err *err)
{
    const dd_model *m = t->model->m;
    dd_backend *be = t->model->ctx->be;
    dd_leg leg[DD_WEIGHT_SETS];
    uint64_t loaded = 0;
    e->activation_bytes = e->cond_bytes = e->table_bytes = e->latent_bytes = e->graph_bytes = e->slot_bytes = 0;
    e->programs = e->graph_ops = 0;
    e->weights_bytes = e->scratch_bytes = 0;
    const int legs = dd_settings_legs(leg, t->set, t->model, t->plan, t->coefs, batch);
    for (int i = 0; i < legs; i++) {
        dd_run_spec *spec = &leg[i].spec;
        spec->want_x0 = t->o->preview && t->o->preview_interval > 0;
        spec->op_by_op = t->o->profile != 0;
        DD_TRY(add_session(e, spec, be, err));
        if (i == 0 || spec->model != m) {
            e->weights_bytes += dd_weights_bytes(spec->model, be, dd_format_dtype(t->set->input));
            loaded += leg[i].weights ? leg[i].weights->bytes : 0;
        }
        if (!t->dense) continue;
        spec->plan = i ? t->dense->other : t->dense;
        spec->want_hits = spec->want_x0 = 0;
        DD_TRY(add_session(e, spec, be, err));
    }
    const uint64_t on_backend = e->weights_bytes + e->activation_bytes + e->cond_bytes + e->table_bytes +
                                e->latent_bytes + e->scratch_bytes + e->graph_bytes + e->slot_bytes;
    if (be->memory_free) e->device_bytes = on_backend - loaded;
    const uint64_t latent = (uint64_t)m->cfg.latent_count * sizeof(float),
                   n = (uint64_t)(t->o->n_images && !t->o->batch_done ? t->o->n_images : batch);
    uint64_t on_host = n * latent + 2 * (uint64_t)batch * latent; /* results; start and step noise */
    if (t->o->keep_trajectory)
        on_host += n * latent +
                   (uint64_t)t->plan->n_steps * n * (latent + 2 * (uint64_t)m->n_routers * (uint64_t)m->cfg.tokens);
    e->latent_bytes += on_host;
    e->peak_bytes = on_backend + on_host;
    return DD_OK;
}

static void add_macs(const dd_trial *t, dydit_estimate *e)
{
    const int64_t images = t->o->n_images ? t->o->n_images : t->set->batch_size, batch = t->set->batch_size;
    for (int s = 0; s < t->plan->n_steps; s++) {
        const int guided = t->plan->rows[s].guided;
        const dd_plan *at = dd_plan_at(t->plan, s);
        const dd_model *m = at == t->plan ? t->model->m : t->set->later->m;
        const dd_cost c = dd_cost_step(at, m, s, images * (guided ? 2 : 1), NULL);
        const int64_t batches = (images + batch - 1) / batch;
        const int64_t labels = (images < batches * m->cfg.num_classes ? images : batches * m->cfg.num_classes) +
                               batches * guided;
        const dd_cost cond = dd_cost_cond(t->plan, m, s, labels);
        e->macs_dense += (double)c.dense + (double)cond.dense;
        e->macs_executed += (double)c.executed + (double)cond.executed;
    }
}

dd_status dd_api_estimate(const dd_trial *t, dydit_estimate *e, dd_err *err)
{
    dd_backend *be = t->model->ctx->be;
    const dd_need need = dd_trial_need(t);
    *e = (dydit_estimate){.size = sizeof *e, .batch_size = t->set->batch_size, .max_batch = -1, .max_device_batch = -1};
    DD_TRY(measure(t, t->set->batch_size, e, err));
    e->file_bytes = dd_tensors_bytes(t->model->m->file);
    if (t->plan->other && t->set->later != t->model) e->file_bytes += dd_tensors_bytes(t->set->later->m->file);
    add_macs(t, e);
    if (need.limit) DD_TRY(dd_memory_largest_batch(&need, DD_MEM_ALL, need.limit, &e->max_batch, err));
    if (!be->memory_free) return DD_OK;
    DD_TRY(be->memory_free(be, &e->device_free, err));
    return dd_memory_largest_batch(&need, DD_MEM_DEVICE, e->device_free, &e->max_device_batch, err);
}

/* ---- is there enough? ----------------------------------------------------------------------------------------- */

static dd_status measure_need(const void *run, int batch, uint64_t *bytes, uint64_t *device_bytes, dd_err *err)
{
    dydit_estimate e = {0};
    DD_TRY(measure(run, batch, &e, err));
    *bytes = e.peak_bytes;
    *device_bytes = e.device_bytes;
    return DD_OK;
}

dd_need dd_trial_need(const dd_trial *t)
{
    return (dd_need){.be = t->model->ctx->be,
                     .limit = t->o->max_mem,
                     .batch = t->set->batch_size,
                     .measure = measure_need,
                     .run = t};
}

/* ---- dry run -------------------------------------------------------------------------------------------------- */

dydit_status dydit_estimate_sample(dydit_model *model, const dydit_sample_options *options, dydit_estimate *estimate)
{
    dydit_sample_options o;
    dydit_estimate full;
    dd_settings set;
    dd_plan *plan = NULL, *dense = NULL;
    float *coefs[DD_WEIGHT_SETS] = {NULL};
    if (!model || !estimate) return DYDIT_ERR_ARG;
    dd_err *err = &model->ctx->err;
    dd_api_begin(model->ctx);
    dydit_sample_options_init(&o, sizeof o);
    dd_status st = dd_api_options(&o, sizeof o, options, "dydit_sample_options", err);
    if (st == DD_OK) st = dd_api_options(&full, sizeof full, estimate, "dydit_estimate", err);
    if (st == DD_OK) st = dd_settings_resolve(&set, model, &o, err);
    if (st == DD_OK) st = dd_settings_plan(&plan, &set, model, o.plan ? o.plan->plan : NULL, err);
    if (st == DD_OK && o.compare_dense) st = dd_settings_dense(&dense, &set, model, plan, err);
    if (st == DD_OK) st = dd_settings_coefs(coefs, &set, model, err);
    const dd_trial t = {model, &set, &o, plan, dense, coefs};
    if (st == DD_OK) st = dd_api_estimate(&t, &full, err);
    if (st == DD_OK) {
        full.size = estimate->size;
        memcpy(estimate, &full, estimate->size);
    }
    for (int i = 0; i < DD_WEIGHT_SETS; i++) free(coefs[i]);
    dd_plan_free(&plan);
    dd_plan_free(&dense);
    return (dydit_status)st;
}
