/* SPDX-License-Identifier: MIT
 * The sampling loop. */
#define _POSIX_C_SOURCE 200809L
#include "host/exec/sampler.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/base/sizes.h"
#include "host/sample/noise.h"

typedef struct sampler {
    const dd_sample_job *job;
    dd_sample_out *out;
    dd_leg leg[DD_WEIGHT_SETS]; /* of the main run */
    int n_legs, routers;        /* routers: of the leg that has most */
    dd_relay main, dense;
    dd_noise *noise;
    float *start, *step_noise; /* [max_images, latents] */
    uint8_t *mask;             /* [routers, rows, S] */
    uint8_t *stored;           /* the same, of what is stored: which tokens it holds; with a trajectory */
    int32_t *hits, *kept;      /* [rows, S], [token routers, steps] */
    int64_t first;             /* of the current batch, in the job */
    int64_t slot;              /* of that image in what is kept */
    int images;
    int drawn;    /* step whose noise is in step_noise, -1: none */
    bool running; /* the device may still be at work on steps of this batch */
    double since; /* up to here time is in out->seconds, while the device is at work */
    dd_err *err;
} sampler;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *array(dd_status *st, dd_err *err, size_t a, size_t b, size_t c, size_t size, const char *what)
{
    size_t n = 0;
    void *p = NULL;
    if (*st != DD_OK) return NULL;
    if (dd_mul_size(a, b, &n) && dd_mul_size(n, c, &n) && n < SIZE_MAX / size) p = calloc(n ? n : 1, size);
    if (!p) *st = DD_FAIL(err, DD_ERR_NOMEM, "out of memory for %s", what);
    return p;
}

/* Images that are kept. */
static size_t kept_images(const dd_sample_job *j) { return (size_t)(j->on_batch ? j->spec.max_images : j->n_images); }

static int most_rows(const sampler *s)
{
    int n = 0;
    for (int i = 0; i < s->n_legs; i++) {
        const int rows = dd_spec_max_rows(&s->leg[i].spec);
        n = rows > n ? rows : n;
    }
    return n;
}

/* Rows of all images. */
static size_t all_rows(const sampler *s)
{
    return (size_t)s->job->n_images * (most_rows(s) > s->job->spec.max_images ? 2u : 1u);
}

static dd_status alloc_out(const sampler *s, dd_sample_out *o, dd_err *err)
{
    const dd_sample_job *j = s->job;
    const size_t latents = (size_t)j->spec.model->cfg.latent_count, tokens = (size_t)j->spec.model->cfg.tokens;
    const size_t steps = (size_t)j->spec.plan->n_steps, n = kept_images(j), routers = (size_t)s->routers;
    dd_status st = DD_OK;
    o->routers = s->routers;
    o->latents = array(&st, err, n, latents, 1, sizeof *o->latents, "the latents");
    o->hits = array(&st, err, n, tokens, 1, sizeof *o->hits, "the token map");
    o->kept = array(&st, err, steps, routers, 1, sizeof *o->kept, "token counts");
    o->rows = array(&st, err, steps, 1, 1, sizeof *o->rows, "row counts");
    o->labels = array(&st, err, steps, 1, 1, sizeof *o->labels, "label counts");
    if (!j->keep_trajectory) return st;
    o->trajectory = array(&st, err, steps, n, latents, sizeof *o->trajectory, "the trajectory");
    o->start = array(&st, err, n, latents, 1, sizeof *o->start, "the trajectory");
    o->tokens = array(&st, err, steps * routers, all_rows(s), tokens, sizeof *o->tokens,
                      "the trajectory's token masks");
    return st;
}

void dd_sample_out_drop_images(dd_sample_out *o)
{
    free(o->latents);
    free(o->hits);
    o->latents = NULL;
    o->hits = NULL;
}

void dd_sample_out_fini(dd_sample_out *o)
{
    dd_sample_out_drop_images(o);
    free(o->kept);
    free(o->rows);
    free(o->labels);
    free(o->trajectory);
    free(o->start);
    free(o->tokens);
    memset(o, 0, sizeof *o);
}

/* The complete models on the same rows. */
static dd_status open_dense(sampler *s)
{
    dd_leg leg[DD_WEIGHT_SETS];
    for (int i = 0; i < s->n_legs; i++) {
        leg[i] = s->leg[i];
        leg[i].spec.plan = i ? s->job->dense->other : s->job->dense;
        leg[i].spec.op_by_op = (i ? s->job->other->spec : s->job->spec).op_by_op;
        leg[i].spec.want_hits = leg[i].spec.want_x0 = leg[i].spec.want_hidden = false;
    }
    return dd_relay_open(&s->dense, leg, s->n_legs, s->job->be, s->err);
}

static void set_legs(sampler *s)
{
    const dd_sample_job *j = s->job;
    s->leg[s->n_legs++] = (dd_leg){j->spec, j->weights};
    if (j->other) s->leg[s->n_legs++] = *j->other;
    for (int i = 0; i < s->n_legs; i++) {
        dd_run_spec *spec = &s->leg[i].spec;
        spec->op_by_op = spec->op_by_op || j->profile || j->calibration;
        if (spec->model->n_routers > s->routers) s->routers = spec->model->n_routers;
    }
}

static dd_status open_all(sampler *s)
{
    const dd_sample_job *j = s->job;
    const dd_model *m = j->spec.model;
    set_legs(s);
    const size_t batch = (size_t)j->spec.max_images, latents = (size_t)m->cfg.latent_count;
    const size_t rows = (size_t)most_rows(s), tokens = (size_t)m->cfg.tokens, routers = (size_t)s->routers;
    const dd_noise_spec noise = {j->seed, j->batch_mode, m->cfg.latent_count, j->noise_rows, j->spec.max_images};
    dd_status st = alloc_out(s, s->out, s->err);
    s->start = array(&st, s->err, batch, latents, 1, sizeof *s->start, "latents");
    s->step_noise = array(&st, s->err, batch, latents, 1, sizeof *s->step_noise, "noise");
    s->mask = array(&st, s->err, routers, rows, tokens, 1, "token masks");
    if (j->keep_trajectory) s->stored = array(&st, s->err, routers, rows, tokens, 1, "token masks");
    s->hits = array(&st, s->err, rows, tokens, 1, sizeof *s->hits, "token counts");
    s->kept = array(&st, s->err, routers, (size_t)j->spec.plan->n_steps, 1, sizeof *s->kept, "token counts");
    DD_TRY(st);
    DD_TRY(dd_noise_open(&s->noise, &noise, s->err));
    DD_TRY(dd_relay_open(&s->main, s->leg, s->n_legs, j->be, s->err));
    s->out->session_bytes = dd_relay_bytes(&s->main);
    return j->dense ? open_dense(s) : DD_OK;
}

static void close_all(sampler *s)
{
    dd_relay_close(&s->main);
    dd_relay_close(&s->dense);
    dd_noise_close(&s->noise);
    free(s->start);
    free(s->step_noise);
    free(s->mask);
    free(s->stored);
    free(s->hits);
    free(s->kept);
}

static dd_status start_batch(sampler *s)
{
    const dd_sample_job *j = s->job;
    const size_t latents = (size_t)j->spec.model->cfg.latent_count;
    /* drawn even where latents are given: keeps later draws in place */
    if (!dd_spec_draws(&j->spec)) dd_noise_start(s->noise, j->first + s->first, s->images, s->start);
    if (j->latents_in)
        memcpy(s->start, j->latents_in + (size_t)s->first * latents, (size_t)s->images * latents * sizeof *s->start);
    dd_relay *const both[] = {&s->main, &s->dense};
    for (int i = 0; i < (j->dense ? 2 : 1); i++) {
        DD_TRY(dd_relay_batch(both[i], s->images, j->labels + s->first, s->err));
        if (dd_spec_draws(&j->spec)) DD_TRY(dd_relay_seed(both[i], j->first + s->first, s->err));
        if (!j->spec.draw_latents)
            DD_TRY(dd_session_put(dd_relay_at(both[i], 0), DD_IO_LATENTS, s->images, s->start, s->err));
    }
    if (!j->keep_trajectory) return DD_OK;
    return dd_session_get(dd_relay_at(&s->main, 0), DD_IO_LATENTS, s->images, s->out->start + (size_t)s->slot * latents,
                          s->err);
}

/* Distinct labels of the batch, null included where the step is guided. */
static uint64_t distinct_labels(const sampler *s, int step)
{
    const int *label = s->job->labels + s->first;
    uint64_t n = s->job->spec.plan->rows[step].guided ? 1 : 0;
    for (int i = 0; i < s->images; i++) {
        int before = 0;
        while (before < i && label[before] != label[i]) before++;
        n += before == i;
    }
    return n;
}

static void draw_noise(sampler *s, int step)
{
    const dd_sample_job *j = s->job;
    if (s->drawn == step) return;
    s->drawn = step;
    const size_t latents = (size_t)j->spec.model->cfg.latent_count, n = (size_t)s->images * latents;
    if (j->noise_in) {
        const float *src = j->noise_in + ((size_t)step * (size_t)j->n_images + (size_t)s->first) * latents;
        memcpy(s->step_noise, src, n * sizeof *src);
    } else if (!dd_spec_draws(&j->spec) && (j->noise_used || (j->batch_mode && j->noise_drawn))) {
        dd_noise_step(s->noise, s->step_noise);
    }
}

/* A step of the main run, as the job wants it looked at. */
static dd_status main_step(sampler *s, int step)
{
    const dd_sample_job *j = s->job;
    dd_session *session = dd_relay_at(&s->main, step);
    DD_TRY(dd_relay_enter(&s->main, step, s->err));
    if (j->noise_used) DD_TRY(dd_session_put(session, DD_IO_NOISE, s->images, s->step_noise, s->err));
    if (j->profile) return dd_profile_step(j->profile, session, step, s->err);
    if (j->calibration) return dd_calibration_step(j->calibration, session, step, s->err);
    return dd_session_step(session, step, s->err);
}

static dd_status dense_step(sampler *s, int step)
{
    dd_session *session = dd_relay_at(&s->dense, step);
    DD_TRY(dd_relay_enter(&s->dense, step, s->err));
    if (s->job->noise_used) DD_TRY(dd_session_put(session, DD_IO_NOISE, s->images, s->step_noise, s->err));
    return dd_session_step(session, step, s->err);
}

static bool preview_due(const dd_sample_job *j, int step)
{
    return j->preview_interval > 0 && step < j->spec.plan->n_steps - 1 && (step + 1) % j->preview_interval == 0;
}

/* Is the step waited for? Where its results are read or its time is taken by itself, and at the end of a batch. */
static bool waits(const sampler *s, int step)
{
    const dd_sample_job *j = s->job;
    return !j->be->devices || j->dense || j->profile || j->calibration || j->keep_trajectory || preview_due(j, step) ||
           step == j->spec.plan->n_steps - 1;
}

/* A device works on a step while the host prepares the next one: the noise of the next step is drawn before the host waits
 * for the step before this one, and never are more than two steps in flight. What the caller does between two steps
 * counts as time of the run only while the device is at work. */
static dd_status timed_step(sampler *s, int step)
{
    const dd_sample_job *j = s->job;
    const bool wait = waits(s, step);
    if (!s->running) s->since = now();
    draw_noise(s, step);
    DD_TRY(main_step(s, step));
    if (!wait) draw_noise(s, step + 1);
    DD_TRY(wait ? j->be->sync(j->be, s->err) : j->be->pace(j->be, 1, s->err));
    const double t1 = now();
    s->out->seconds += t1 - s->since;
    s->since = t1;
    s->running = !wait;
    if (!j->dense) return DD_OK;
    DD_TRY(dense_step(s, step));
    DD_TRY(j->be->sync(j->be, s->err));
    s->out->dense_seconds += now() - t1;
    return DD_OK;
}

static dd_status run_step(sampler *s, int step)
{
    dd_range_begin(s->job->be, DD_RANGE_STEP, step);
    const dd_status st = timed_step(s, step);
    dd_range_end(s->job->be, DD_RANGE_STEP);
    return st;
}

/* Which of n tokens get the term of this step: into out, from the router's mask of this step; NULL: no router ran, because
 * none was asked or because the tokens are replaced by a later site. stored: which tokens the site's slot holds. */
static void applied_tokens(const dd_cell *c, const uint8_t *mask, uint8_t *stored, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t now = mask ? mask[i] : c->rows == DD_ROWS_ALL;
        switch ((dd_cell_op)c->op) {
        case DD_CELL_COMPUTE: out[i] = now; break;
        case DD_CELL_COMPUTE_STORE:
            out[i] = now;
            stored[i] = (uint8_t)(c->rows == DD_ROWS_MASKED ? 2 | now
                                                            : now); /* 2: the branch is there, the change not */
            break;
        case DD_CELL_REUSE_BRANCH: out[i] = stored[i] && now; break;
        case DD_CELL_REUSE_DELTA: out[i] = stored[i] & 1; break;
        default: out[i] = 0; break;
        }
    }
}

/* Token decisions of one step into out->tokens: [steps, routers, all rows, S]; rows are conditional, then null. */
static dd_status keep_tokens(sampler *s, int step)
{
    const dd_sample_job *j = s->job;
    dd_session *session = dd_relay_at(&s->main, step);
    const dd_run_spec *spec = dd_session_spec(session);
    const dd_model *m = spec->model;
    const int guided = spec->plan->rows[step].guided, rows = s->images * (guided ? 2 : 1);
    const size_t tokens = (size_t)m->cfg.tokens, total = all_rows(s);
    if (m->n_routers == 0) return DD_OK;
    DD_TRY(dd_session_get(session, DD_IO_MASK, rows, s->mask, s->err));
    for (int site = 0; site < m->n_sites; site++) {
        const int router = m->sites[site].router;
        if (router < 0) continue;
        const dd_cell *cell = dd_plan_cell(spec->plan, step, site);
        const bool routes = dd_session_routes(session, step, site);
        for (int r = 0; r < rows; r++) {
            const size_t row = r < s->images ? (size_t)s->first + (size_t)r
                                             : (size_t)j->n_images + (size_t)s->first + (size_t)(r - s->images);
            const size_t at = ((size_t)router * (size_t)rows + (size_t)r) * tokens;
            uint8_t *dst = s->out->tokens +
                           (((size_t)step * (size_t)m->n_routers + (size_t)router) * total + row) * tokens;
            applied_tokens(cell, routes ? s->mask + at : NULL, s->stored + at, dst, tokens);
        }
    }
    return DD_OK;
}

static dd_sample_state state_after(const sampler *s, int step)
{
    const int steps = s->job->spec.plan->n_steps;
    const int64_t done = s->first + (step == steps - 1 ? s->images : 0);
    return (dd_sample_state){s->first, done, s->job->n_images, s->images, step, steps, s->out->seconds};
}

static dd_status after_step(sampler *s, int step)
{
    const dd_sample_job *j = s->job;
    const size_t latents = (size_t)j->spec.model->cfg.latent_count, at = (size_t)s->slot * latents;
    const dd_sample_state st = state_after(s, step);
    s->out->rows[step] += (uint64_t)s->images * (j->spec.plan->rows[step].guided ? 2u : 1u);
    s->out->labels[step] += distinct_labels(s, step);
    if (j->keep_trajectory) {
        float *dst = s->out->trajectory + (size_t)step * (size_t)j->n_images * latents + at;
        DD_TRY(dd_session_get(dd_relay_at(&s->main, step), DD_IO_LATENTS, s->images, dst, s->err));
        DD_TRY(keep_tokens(s, step));
    }
    if (preview_due(j, step)) {
        DD_TRY(dd_session_get(dd_relay_at(&s->main, step), DD_IO_X0, s->images, s->out->latents + at, s->err));
        if (j->on_preview && j->on_preview(j->user, &st))
            return DD_FAIL(s->err, DD_ERR_CANCELLED, "stopped by the preview function");
    }
    if ((j->on_step && j->on_step(j->user, &st)) || atomic_load(j->cancel))
        return DD_FAIL(s->err, DD_ERR_CANCELLED, "stopped at step %d of %d", step + 1, st.steps);
    return DD_OK;
}

/* What the token routers of one session did. */
static dd_status add_tokens(sampler *s, dd_session *session)
{
    const dd_model *m = dd_session_spec(session)->model;
    const size_t tokens = (size_t)m->cfg.tokens, n = (size_t)s->images * tokens;
    const int steps = s->job->spec.plan->n_steps;
    if (m->n_routers == 0) return DD_OK;
    if (m->cfg.tokens == s->job->spec.model->cfg.tokens) {
        DD_TRY(dd_session_get(session, DD_IO_HITS, s->images, s->hits, s->err)); /* conditional rows come first */
        for (size_t i = 0; i < n; i++) s->out->hits[(size_t)s->slot * tokens + i] += s->hits[i];
    }
    DD_TRY(dd_session_get(session, DD_IO_KEPT, s->images, s->kept, s->err));
    for (int r = 0; r < m->n_routers; r++)
        for (int t = 0; t < steps; t++) s->out->kept[t * s->routers + r] += (uint64_t)s->kept[r * steps + t];
    return DD_OK;
}

static dd_status finish_batch(sampler *s)
{
    const dd_sample_job *j = s->job;
    const dd_model *m = j->spec.model;
    const size_t latents = (size_t)m->cfg.latent_count, tokens = (size_t)m->cfg.tokens, slot = (size_t)s->slot;
    float *x = s->out->latents + slot * latents;
    dd_session *last = dd_relay_at(&s->main, j->spec.plan->n_steps - 1);
    DD_TRY(dd_session_get(last, DD_IO_LATENTS, s->images, x, s->err));
    for (size_t i = 0; i < (size_t)s->images * latents; i++)
        if (!dd_f32_finite(x[i]))
            return DD_FAIL(
                s->err, DD_ERR_FORMAT,
                "image %zu (label %d) has values that are not finite: check the weights and the guidance scale%s",
                (size_t)(j->first + s->first) + i / latents, j->labels[(size_t)s->first + i / latents],
                j->spec.input == DD_FMT_F16 ? "; fp16 ends at 65504, bf16 does not" : "");
    memset(s->out->hits + slot * tokens, 0, (size_t)s->images * tokens * sizeof *s->hits);
    for (int i = 0; i < s->main.n; i++) DD_TRY(add_tokens(s, s->main.session[i]));
    return DD_OK;
}

static dd_status run_batch(sampler *s)
{
    s->drawn = -1;
    s->running = false;
    DD_TRY(start_batch(s));
    for (int t = 0; t < s->job->spec.plan->n_steps; t++) {
        DD_TRY(run_step(s, t));
        DD_TRY(after_step(s, t));
    }
    DD_TRY(finish_batch(s));
    if (!s->job->on_batch) return DD_OK;
    const dd_sample_state st = state_after(s, s->job->spec.plan->n_steps - 1);
    if (s->job->on_batch(s->job->user, &st))
        return DD_FAIL(s->err, DD_ERR_CANCELLED, "stopped after image %lld of %lld", (long long)st.images_done,
                       (long long)st.images);
    return DD_OK;
}

static dd_status run_batches(sampler *s)
{
    const dd_sample_job *j = s->job;
    for (s->first = 0; s->first < j->n_images; s->first += s->images) {
        const int64_t left = j->n_images - s->first;
        s->images = left < j->spec.max_images ? (int)left : j->spec.max_images;
        s->slot = j->on_batch ? 0 : s->first;
        dd_range_begin(j->be, DD_RANGE_BATCH, s->images);
        const dd_status st = run_batch(s);
        dd_range_end(j->be, DD_RANGE_BATCH);
        DD_TRY(st);
    }
    return DD_OK;
}

dd_status dd_sampler_run(const dd_sample_job *job, dd_sample_out *out, dd_err *err)
{
    sampler s = {.job = job, .out = out, .err = err};
    memset(out, 0, sizeof *out);
    dd_range_begin(job->be, DD_RANGE_RUN, job->n_images);
    dd_status st = open_all(&s);
    if (st == DD_OK) st = run_batches(&s);
    if (st == DD_OK) out->graphs = dd_relay_graphs(&s.main);
    close_all(&s);
    dd_range_end(job->be, DD_RANGE_RUN);
    return st;
}
