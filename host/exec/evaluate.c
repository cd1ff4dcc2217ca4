/* SPDX-License-Identifier: MIT
 * Groups rows by timestep, runs each group as batches of one plan row, scatters the results back. */
#include "host/exec/evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "host/exec/session.h"
#include "host/plan/policy.h"

#define MAX_BATCH 32

typedef struct evaluation {
    const dd_eval_job *job;
    dd_eval_out *out;
    dd_plan *plan; /* one row per distinct t */
    int *step_of;  /* [n] */
    dd_session *session;
    size_t latents, out_count, tokens, width;
    /* one batch */
    int64_t row[MAX_BATCH];
    int labels[MAX_BATCH], count;
    float *x, *y, *hidden; /* gathered inputs, outputs of up to 2 MAX_BATCH rows, hidden of MAX_BATCH */
    uint8_t *mask;         /* [routers, 2 MAX_BATCH, S] */
    dd_err *err;
} evaluation;

void dd_eval_out_fini(dd_eval_out *o)
{
    free(o->out);
    free(o->cfg_out);
    free(o->hidden);
    free(o->heads);
    free(o->groups);
    free(o->tokens);
    memset(o, 0, sizeof *o);
}

static dd_status floats(float **p, size_t n, const char *what, dd_err *err)
{
    *p = calloc(n ? n : 1, sizeof **p);
    return *p ? DD_OK : DD_FAIL(err, DD_ERR_NOMEM, "out of memory for %s", what);
}

static dd_status alloc_out(const evaluation *e)
{
    const dd_eval_job *j = e->job;
    const dd_config *c = &j->model->cfg;
    const size_t n = (size_t)j->n, depth = (size_t)c->depth, heads = (size_t)c->num_heads;
    DD_TRY(floats(&e->out->out, n * e->out_count, "out", e->err));
    if (j->guided) DD_TRY(floats(&e->out->cfg_out, 2 * n * e->out_count, "cfg_out", e->err));
    if (!j->trace) return DD_OK;
    DD_TRY(floats(&e->out->hidden, depth * n * e->tokens * e->width, "hidden", e->err));
    DD_TRY(floats(&e->out->heads, depth * n * heads, "heads", e->err));
    DD_TRY(floats(&e->out->groups, depth * n * heads, "groups", e->err));
    return floats(&e->out->tokens, depth * n * e->tokens, "tokens", e->err);
}

/* A plan with one row for each distinct timestep, in order of appearance. */
static dd_status build_plan(evaluation *e, bool guided)
{
    const dd_eval_job *j = e->job;
    float *t = calloc((size_t)j->n, sizeof *t);
    int *flags = calloc((size_t)j->n, sizeof *flags), steps = 0;
    dd_status st = DD_OK;
    if (!t || !flags) DD_TRY_GOTO(st, DD_FAIL(e->err, DD_ERR_NOMEM, "out of memory for the timesteps"), done);
    for (int64_t i = 0; i < j->n; i++) {
        int s = 0;
        while (s < steps && t[s] != j->t[i]) s++;
        if (s == steps) {
            flags[s] = guided;
            t[steps++] = j->t[i];
        }
        e->step_of[i] = s;
    }
    DD_TRY_GOTO(st, dd_plan_build(&e->plan, j->model, t, flags, steps, e->err), done);
    if (!j->dense) st = dd_policy_dydit(e->plan, j->model, NULL, e->err);
done:
    free(t);
    free(flags);
    return st;
}

static dd_status put_forced(evaluation *e, int rows)
{
    const dd_eval_job *j = e->job;
    const size_t s = e->tokens;
    if (!j->forced) return DD_OK;
    for (int r = 0; r < j->model->n_routers; r++)
        for (int i = 0; i < rows; i++) { /* null rows take the decisions of their conditional row */
            const size_t row = (size_t)e->row[i % e->count];
            memcpy(e->mask + ((size_t)r * (size_t)rows + (size_t)i) * s,
                   j->forced + ((size_t)r * (size_t)j->n + row) * s, s);
        }
    return dd_session_put(e->session, DD_IO_FORCED, rows, e->mask, e->err);
}

static void keep_masks(evaluation *e, int step)
{
    const dd_model *m = e->job->model;
    const size_t n = (size_t)e->job->n, s = e->tokens, h = (size_t)m->cfg.num_heads;
    for (int site = 0; site < m->n_sites; site++) {
        const dd_cell *cell = dd_plan_cell(e->plan, step, site);
        const size_t block = (size_t)m->sites[site].block;
        float *units = m->sites[site].kind == DD_SITE_ATTENTION ? e->out->heads : e->out->groups;
        for (int i = 0; i < e->count; i++) {
            const size_t row = block * n + (size_t)e->row[i];
            for (size_t u = 0; u < h; u++) units[row * h + u] = (float)(cell->units >> u & 1);
            if (m->sites[site].kind != DD_SITE_MLP) continue;
            const uint8_t *mask = e->mask +
                                  ((size_t)(cell->router < 0 ? 0 : cell->router) * (size_t)e->count + (size_t)i) * s;
            for (size_t t = 0; t < s; t++)
                e->out->tokens[row * s + t] = cell->rows == DD_ROWS_ROUTED ? (float)mask[t] : 1.0f;
        }
    }
}

static dd_status keep_trace(evaluation *e, int step)
{
    const dd_model *m = e->job->model;
    const size_t row = e->tokens * e->width, n = (size_t)e->job->n;
    DD_TRY(dd_session_get(e->session, DD_IO_HIDDEN, e->count, e->hidden, e->err));
    for (size_t block = 0; block < (size_t)m->cfg.depth; block++)
        for (int i = 0; i < e->count; i++)
            memcpy(e->out->hidden + (block * n + (size_t)e->row[i]) * row,
                   e->hidden + (block * (size_t)e->count + (size_t)i) * row, row * sizeof(float));
    if (m->n_routers > 0) DD_TRY(dd_session_get(e->session, DD_IO_MASK, e->count, e->mask, e->err));
    keep_masks(e, step);
    return DD_OK;
}

static dd_status run_batch(evaluation *e, int step, bool guided)
{
    const dd_eval_job *j = e->job;
    const int rows = e->count * (guided ? 2 : 1);
    if (atomic_load(j->cancel))
        return DD_FAIL(e->err, DD_ERR_CANCELLED, "stopped before timestep %g", (double)e->plan->rows[step].timestep);
    for (int i = 0; i < e->count; i++) {
        memcpy(e->x + (size_t)i * e->latents, j->x + (size_t)e->row[i] * e->latents, e->latents * sizeof(float));
        e->labels[i] = j->y[e->row[i]];
    }
    DD_TRY(dd_session_batch(e->session, e->count, e->labels, e->err));
    DD_TRY(dd_session_put(e->session, DD_IO_LATENTS, e->count, e->x, e->err));
    DD_TRY(put_forced(e, rows));
    DD_TRY(dd_session_step(e->session, step, e->err));
    DD_TRY(dd_session_get(e->session, DD_IO_OUT, rows, e->y, e->err));
    for (int i = 0; i < rows; i++) {
        const size_t row = (size_t)e->row[i % e->count] + (i < e->count ? 0 : (size_t)j->n);
        memcpy((guided ? e->out->cfg_out : e->out->out) + row * e->out_count, e->y + (size_t)i * e->out_count,
               e->out_count * sizeof(float));
    }
    return j->trace && !guided ? keep_trace(e, step) : DD_OK;
}

static dd_status run_groups(evaluation *e, bool guided)
{
    for (int step = 0; step < e->plan->n_steps; step++) {
        e->count = 0;
        for (int64_t i = 0; i < e->job->n; i++) {
            if (e->step_of[i] != step) continue;
            e->row[e->count++] = i;
            if (e->count < MAX_BATCH) continue;
            DD_TRY(run_batch(e, step, guided));
            e->count = 0;
        }
        if (e->count) DD_TRY(run_batch(e, step, guided));
    }
    return DD_OK;
}

int dd_evaluate_batch(const dd_eval_job *j) { return j->n < MAX_BATCH ? (int)j->n : MAX_BATCH; }

static dd_run_spec spec_of(const evaluation *e, bool guided, int batch)
{
    const dd_eval_job *j = e->job;
    return (dd_run_spec){.model = j->model,
                         .input = j->input,
                         .plan = e->plan,
                         .max_images = batch,
                         .cfg_scale = j->cfg_scale,
                         .cfg_channels = j->cfg_channels,
                         .want_hidden = j->trace && !guided,
                         .force_masks = j->forced != NULL};
}

/* The passes run one after the other: the larger one counts. */
dd_status dd_evaluate_bytes(const dd_eval_job *job, int batch, uint64_t *out, dd_err *err)
{
    evaluation e = {.job = job, .err = err};
    dd_status st = DD_OK;
    *out = 0;
    e.step_of = calloc((size_t)job->n, sizeof *e.step_of);
    if (!e.step_of) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the timesteps");
    for (int guided = 0; guided <= job->guided && st == DD_OK; guided++) {
        dd_footprint f = {0};
        DD_TRY_GOTO(st, build_plan(&e, guided), done);
        const dd_run_spec spec = spec_of(&e, guided, batch);
        st = dd_footprint_compute(&f, &spec, job->be, err);
        dd_plan_free(&e.plan);
        const uint64_t bytes = (uint64_t)f.activations + f.cond + f.tables + f.latents + f.scratch + f.graphs;
        if (bytes > *out) *out = bytes;
    }
done:
    free(e.step_of);
    return st;
}

static dd_status run_pass(evaluation *e, bool guided)
{
    const dd_eval_job *j = e->job;
    DD_TRY(build_plan(e, guided));
    const dd_run_spec spec = spec_of(e, guided, dd_evaluate_batch(j));
    dd_status st = dd_session_open(&e->session, &spec, j->be, j->weights, e->err);
    if (st == DD_OK) st = run_groups(e, guided);
    dd_session_close(&e->session);
    dd_plan_free(&e->plan);
    return st;
}

static dd_status alloc_work(evaluation *e)
{
    const dd_model *m = e->job->model;
    DD_TRY(floats(&e->x, MAX_BATCH * e->latents, "a batch", e->err));
    DD_TRY(floats(&e->y, 2 * MAX_BATCH * e->out_count, "a batch", e->err));
    if (e->job->trace)
        DD_TRY(floats(&e->hidden, (size_t)m->cfg.depth * MAX_BATCH * e->tokens * e->width, "the trace", e->err));
    e->mask = calloc((size_t)m->n_routers * 2 * MAX_BATCH * e->tokens + 1, 1);
    e->step_of = calloc((size_t)e->job->n, sizeof *e->step_of);
    return e->mask && e->step_of ? DD_OK : DD_FAIL(e->err, DD_ERR_NOMEM, "out of memory for token masks");
}

dd_status dd_evaluate(const dd_eval_job *job, dd_eval_out *out, dd_err *err)
{
    const dd_config *c = &job->model->cfg;
    evaluation e = {.job = job, .out = out, .err = err};
    e.latents = (size_t)c->latent_count;
    e.out_count = e.latents / (size_t)c->in_channels * (size_t)c->out_channels;
    e.tokens = (size_t)c->tokens;
    e.width = (size_t)c->hidden_size;
    memset(out, 0, sizeof *out);
    dd_status st;
    DD_TRY_GOTO(st, alloc_out(&e), done);
    DD_TRY_GOTO(st, alloc_work(&e), done);
    DD_TRY_GOTO(st, run_pass(&e, false), done);
    if (job->guided) st = run_pass(&e, true);
done:
    dd_plan_free(&e.plan);
    free(e.x);
    free(e.y);
    free(e.hidden);
    free(e.mask);
    free(e.step_of);
    return st;
}
