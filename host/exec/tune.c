/* SPDX-License-Identifier: MIT
 * A session as for sampling, one step of it so that buffers hold what they hold in a run, then every distinct GEMM in
 * place: with the weights, strides and alignment that it has there. */
#include "host/exec/tune.h"

#include <stdlib.h>

#include "host/exec/session.h"
#include "host/sample/rng.h"

typedef struct tuning {
    const dd_tune_job *job;
    dd_session *session;
    dd_tune_list *out;
    int cap;
    dd_err *err;
} tuning;

static dd_status add(tuning *t, const dd_tuned *tuned)
{
    if (t->out->n == t->cap) {
        const int cap = t->cap ? 2 * t->cap : 32;
        dd_tuned *at = realloc(t->out->at, (size_t)cap * sizeof *at);
        if (!at) return DD_FAIL(t->err, DD_ERR_NOMEM, "out of memory for measurements");
        t->out->at = at;
        t->cap = cap;
    }
    t->out->at[t->out->n++] = *tuned;
    return DD_OK;
}

static dd_status time_program(tuning *t, const dd_program *p, int32_t step)
{
    dd_backend *be = t->job->be;
    for (int i = 0; i < p->n_ops; i++) {
        dd_tuned tuned;
        dd_err local = {0};
        const dd_gemm_args *args = &p->ops[i].args.gemm;
        if (p->ops[i].id != DD_OP_gemm || !be->engine->shape_of(args, step, &tuned.shape) ||
            dd_tune_has(t->out, &tuned.shape))
            continue;
        if (atomic_load(t->job->cancel)) return DD_FAIL(t->err, DD_ERR_CANCELLED, "stopped");
        const dd_status st = be->engine->time(be, args, step, &tuned.times, &local);
        if (st == DD_ERR_UNSUPPORTED) continue; /* it stays the own kernel's */
        if (st != DD_OK) return dd_err_set(t->err, st, local.file, local.line, "%s", local.text);
        DD_TRY(add(t, &tuned));
    }
    return DD_OK;
}

/* As many distinct labels as there can be: the conditioning has a row for each. */
static dd_status begin_batch(tuning *t)
{
    const dd_run_spec *spec = t->job->spec;
    const size_t count = (size_t)spec->max_images * (size_t)spec->model->cfg.latent_count;
    int *labels = calloc((size_t)spec->max_images, sizeof *labels);
    float *latents = calloc(count, sizeof *latents);
    dd_status st = DD_OK;
    dd_torch_rng rng;
    if (!labels || !latents) DD_TRY_GOTO(st, DD_FAIL(t->err, DD_ERR_NOMEM, "out of memory for a batch"), done);
    for (int i = 0; i < spec->max_images; i++) labels[i] = i % spec->model->cfg.num_classes;
    dd_torch_seed(&rng, 0);
    dd_torch_randn(&rng, latents, count);
    DD_TRY_GOTO(st, dd_session_batch(t->session, spec->max_images, labels, t->err), done);
    st = dd_session_put(t->session, DD_IO_LATENTS, dd_spec_max_rows(spec), latents, t->err);
done:
    free(labels);
    free(latents);
    return st;
}

static dd_status time_steps(tuning *t)
{
    dd_backend *be = t->job->be;
    for (int step = 0; step < t->job->spec->plan->n_steps; step++) {
        dd_part part[DD_MAX_PARTS];
        const int n = dd_session_parts(t->session, step, part);
        for (int i = 0; i < n && step == 0; i++) DD_TRY(be->run(be, part[i].program, part[i].step, t->err));
        for (int i = 0; i < n; i++) DD_TRY(time_program(t, part[i].program, part[i].step));
    }
    return be->sync(be, t->err);
}

dd_status dd_tune_run(dd_tune_list *out, const dd_tune_job *job, dd_err *err)
{
    tuning t = {.job = job, .out = out, .cap = out->n, .err = err};
    const dd_gemm_by rest = job->be->engine->version[0] ? DD_BY_LIBRARY : DD_BY_OWN; /* in use, it can be timed */
    DD_TRY(job->be->engine->use(job->be, rest, NULL, 0, err));
    dd_status st = dd_session_open(&t.session, job->spec, job->be, job->weights, err);
    if (st == DD_OK) st = begin_batch(&t);
    if (st == DD_OK) st = time_steps(&t);
    dd_session_close(&t.session);
    return st;
}
