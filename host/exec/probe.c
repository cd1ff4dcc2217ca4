/* SPDX-License-Identifier: MIT
 * One session per source. Its plan is no run: rows of the source's timestep and of all targets', with the latents put in before
 * each. First the source, which stores every branch; then for each target the row as it is, the row in which all sites
 * reuse, and a row for every site that reuses alone. */
#include "host/exec/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/exec/session.h"

const int dd_probe_age[DD_PROBE_AGES] = {1, 3, 8};

#define ALL_SITES (-1)
#define NO_SITE (-2)

typedef struct probe_row {
    int step; /* of the run */
    int age;  /* index into dd_probe_age */
    int site; /* that reuses; or ALL_SITES, NO_SITE */
} probe_row;

typedef struct probe {
    const dd_probe_job *job;
    dd_probe_out *out;
    probe_row *rows; /* [1 + DD_PROBE_AGES (2 + sites)] of the source in hand, itself first */
    int n;
    dd_plan *plan;
    dd_session *session;
    float *y, *as_is; /* [2 max_images, out]: of the row in hand; of the target as it is */
    dd_err *err;
} probe;

static bool computed(const dd_probe_job *j, int step, int site)
{
    return dd_cell_computes(dd_plan_cell(j->spec->plan, step, site));
}

/* Can `site` reuse at the step what it computes at the source? */
static bool can_reuse(const dd_probe_job *j, int source, int step, int site)
{
    return computed(j, source, site) && computed(j, step, site);
}

/* Nothing is reused across a change of guidance, which changes the number of rows. */
static bool reaches(const dd_probe_job *j, int source, int step)
{
    const dd_plan *plan = j->spec->plan;
    if (step >= plan->n_steps) return false;
    for (int s = source + 1; s <= step; s++)
        if (plan->rows[s].guided != plan->rows[source].guided) return false;
    return true;
}

static int list_rows(const dd_probe_job *j, int source, probe_row *rows)
{
    int n = 0;
    rows[n++] = (probe_row){source, 0, NO_SITE};
    for (int a = 0; a < DD_PROBE_AGES; a++) {
        const int step = source + dd_probe_age[a];
        if (!reaches(j, source, step)) continue;
        rows[n++] = (probe_row){step, a, NO_SITE};
        rows[n++] = (probe_row){step, a, ALL_SITES};
        for (int i = 0; i < j->spec->model->n_sites; i++)
            if (can_reuse(j, source, step, i)) rows[n++] = (probe_row){step, a, i};
    }
    return n;
}

static int most_rows(const dd_probe_job *j) { return 1 + DD_PROBE_AGES * (2 + j->spec->model->n_sites); }

/* The last step differs most from the one before it. */
static int first_source(const dd_probe_job *j)
{
    const int last = j->spec->plan->n_steps - 2;
    return last < 0 ? 0 : last % j->stride;
}

int64_t dd_probe_passes(const dd_probe_job *j)
{
    int64_t n = 0;
    probe_row *rows = malloc((size_t)most_rows(j) * sizeof *rows);
    if (!rows) return 0;
    for (int s = first_source(j); s < j->spec->plan->n_steps; s += j->stride) {
        const int of = list_rows(j, s, rows);
        n += of > 1 ? of : 0;
    }
    free(rows);
    return n;
}

/* ---- one source ------------------------------------------------------------------------------------------------ */

static void set_cells(const probe *p, int row)
{
    const dd_probe_job *j = p->job;
    const probe_row *r = &p->rows[row];
    for (int i = 0; i < p->plan->n_sites; i++) {
        dd_cell *c = dd_plan_cell(p->plan, row, i);
        *c = *dd_plan_cell(j->spec->plan, r->step, i);
        if (row == 0 && dd_cell_computes(c)) c->op = DD_CELL_COMPUTE_STORE;
        const bool asked = r->site == i || r->site == ALL_SITES;
        if (row == 0 || !asked || !can_reuse(j, p->rows[0].step, r->step, i)) continue;
        *c = (dd_cell){.units = dd_units_all(p->plan->site_units[i]),
                       .op = DD_CELL_REUSE_BRANCH,
                       .format = c->format,
                       .router = -1};
    }
}

static dd_status build_plan(probe *p)
{
    const dd_plan *run = p->job->spec->plan;
    float *t = malloc((size_t)p->n * sizeof *t);
    int *guided = malloc((size_t)p->n * sizeof *guided);
    dd_status st = t && guided ? DD_OK : DD_FAIL(p->err, DD_ERR_NOMEM, "out of memory for a probe");
    for (int r = 0; st == DD_OK && r < p->n; r++) {
        t[r] = run->rows[p->rows[r].step].timestep;
        guided[r] = run->rows[p->rows[r].step].guided;
    }
    if (st == DD_OK) st = dd_plan_build(&p->plan, p->job->spec->model, t, guided, p->n, p->err);
    free(t);
    free(guided);
    if (st != DD_OK) return st;
    for (int r = 0; r < p->n; r++) set_cells(p, r);
    return dd_plan_validate(p->plan, p->job->spec->model, "plan", p->err);
}

/* Forward passes only, each structure used too seldom to be recorded. */
static dd_run_spec spec_of(const probe *p)
{
    dd_run_spec spec = *p->job->spec;
    spec.plan = p->plan;
    spec.coefs = NULL;
    spec.want_hits = spec.want_x0 = spec.draw_latents = spec.draw_noise = false;
    spec.op_by_op = true;
    return spec;
}

static dd_status run_row(const probe *p, int row)
{
    const dd_probe_job *j = p->job;
    const int step = p->rows[row].step, images = j->spec->max_images;
    const size_t batch = (size_t)images * (size_t)j->spec->model->cfg.latent_count;
    const float *x = step == 0 ? j->start : j->trajectory + (size_t)(step - 1) * batch;
    DD_TRY(dd_session_put(p->session, DD_IO_LATENTS, images, x, p->err));
    DD_TRY(dd_session_step(p->session, row, p->err));
    DD_TRY(dd_session_get(p->session, DD_IO_OUT, images * (p->plan->rows[row].guided ? 2 : 1), p->y, p->err));
    if (atomic_load(j->cancel) || (j->on_pass && j->on_pass(j->user)))
        return DD_FAIL(p->err, DD_ERR_CANCELLED, "stopped while errors were measured at step %d", step);
    return DD_OK;
}

/* Of the predicted noise: the first channels of the conditional rows, which come first. */
static dd_status difference(const probe *p, int step, double *out)
{
    const dd_config *c = &p->job->spec->model->cfg;
    const size_t n = (size_t)c->latent_count, image = n / (size_t)c->in_channels * (size_t)c->out_channels;
    double sum = 0, all = 0;
    for (size_t b = 0; b < (size_t)p->job->spec->max_images; b++)
        for (size_t i = b * image; i < b * image + n; i++) {
            const double d = (double)p->y[i] - (double)p->as_is[i];
            sum += d * d;
            all += (double)p->as_is[i] * (double)p->as_is[i];
        }
    *out = all > 0 ? sum / all : 0;
    if (*out >= 0 && *out < HUGE_VAL) return DD_OK;
    return DD_FAIL(p->err, DD_ERR_FORMAT, "the prediction of step %d has values that are not finite: check the weights",
                   step);
}

static dd_status run_rows(probe *p)
{
    const size_t sites = (size_t)p->plan->n_sites;
    const dd_config *c = &p->job->spec->model->cfg;
    const size_t image = (size_t)c->latent_count / (size_t)c->in_channels * (size_t)c->out_channels;
    for (int r = 0; r < p->n; r++) {
        const probe_row *row = &p->rows[r];
        const size_t at = (size_t)row->step, age = (size_t)row->age;
        DD_TRY(run_row(p, r));
        if (row->site == NO_SITE) memcpy(p->as_is, p->y, (size_t)p->job->spec->max_images * image * sizeof *p->y);
        else if (row->site == ALL_SITES) DD_TRY(difference(p, row->step, &p->out->joint[at * DD_PROBE_AGES + age]));
        else DD_TRY(difference(p, row->step, &p->out->error[(at * sites + (size_t)row->site) * DD_PROBE_AGES + age]));
    }
    return DD_OK;
}

static dd_status run_source(probe *p, int source)
{
    const dd_probe_job *j = p->job;
    p->n = list_rows(j, source, p->rows);
    if (p->n == 1) return DD_OK;
    dd_status st = build_plan(p);
    if (st == DD_OK) {
        const dd_run_spec spec = spec_of(p);
        st = dd_session_open(&p->session, &spec, j->be, j->weights, p->err);
    }
    if (st == DD_OK) st = dd_session_batch(p->session, j->spec->max_images, j->labels, p->err);
    if (st == DD_OK) st = run_rows(p);
    dd_session_close(&p->session);
    dd_plan_free(&p->plan);
    return st;
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

static dd_status open_probe(probe *p)
{
    const dd_run_spec *s = p->job->spec;
    const dd_config *c = &s->model->cfg;
    const size_t image = (size_t)c->latent_count / (size_t)c->in_channels * (size_t)c->out_channels;
    p->rows = malloc((size_t)most_rows(p->job) * sizeof *p->rows);
    p->y = malloc(2 * (size_t)s->max_images * image * sizeof *p->y);
    p->as_is = malloc((size_t)s->max_images * image * sizeof *p->as_is);
    return p->rows && p->y && p->as_is ? DD_OK : DD_FAIL(p->err, DD_ERR_NOMEM, "out of memory for a probe");
}

static void close_probe(probe *p)
{
    free(p->rows);
    free(p->y);
    free(p->as_is);
}

dd_status dd_probe_bytes(const dd_probe_job *job, uint64_t *out, dd_err *err)
{
    probe p = {.job = job, .err = err};
    dd_footprint f = {0};
    *out = 0;
    dd_status st = open_probe(&p);
    if (st == DD_OK) p.n = list_rows(job, 0, p.rows);
    if (st == DD_OK) st = build_plan(&p);
    if (st == DD_OK) {
        const dd_run_spec spec = spec_of(&p);
        st = dd_footprint_compute(&f, &spec, job->be, err);
        *out = (uint64_t)f.activations + f.cond + f.tables + f.latents + f.scratch + f.slots;
    }
    dd_plan_free(&p.plan);
    close_probe(&p);
    return st;
}

dd_status dd_probe_run(const dd_probe_job *job, dd_probe_out *out, dd_err *err)
{
    probe p = {.job = job, .out = out, .err = err};
    const size_t steps = (size_t)job->spec->plan->n_steps, sites = (size_t)job->spec->model->n_sites;
    const size_t n = steps * sites * DD_PROBE_AGES;
    *out = (dd_probe_out){malloc(n * sizeof *out->error), malloc(steps * DD_PROBE_AGES * sizeof *out->joint)};
    if (!out->error || !out->joint) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the errors of a search");
    for (size_t i = 0; i < n; i++) out->error[i] = -1;
    for (size_t i = 0; i < steps * DD_PROBE_AGES; i++) out->joint[i] = -1;
    dd_status st = open_probe(&p);
    for (int s = first_source(job); st == DD_OK && s < (int)steps; s += job->stride) st = run_source(&p, s);
    close_probe(&p);
    return st;
}

void dd_probe_out_fini(dd_probe_out *out)
{
    free(out->error);
    free(out->joint);
    *out = (dd_probe_out){0};
}
