/* SPDX-License-Identifier: MIT
 * Public API: forward passes on a file or on arrays. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/exec/evaluate.h"
#include "host/io/outfile.h"
#include "host/io/safetensors.h"

void dydit_eval_options_init(dydit_eval_options *o, size_t size)
{
    const dydit_eval_options defaults = {.size = size};
    dd_api_defaults(o, size, &defaults, sizeof defaults);
}

typedef struct inputs {
    int64_t n;
    float *x, *t, *y;
    int *labels;
    uint8_t *forced;
} inputs;

static void inputs_free(inputs *in)
{
    free(in->x);
    free(in->t);
    free(in->y);
    free(in->labels);
    free(in->forced);
}

static dd_status read_array(const dd_tensors *f, const char *prefix, const char *name, int rank, const int64_t *shape,
                            float **out, int64_t *extent0, dd_err *err)
{
    const dd_tensor *t = NULL;
    DD_TRY(dd_tensors_require(f, prefix ? prefix : "", name, rank, shape, &t, err));
    if (t->count == 0) return DD_FAIL(err, DD_ERR_FORMAT, "%s: tensor %s is empty", dd_tensors_path(f), t->name);
    if (extent0) *extent0 = t->shape[0];
    *out = malloc((size_t)t->count * sizeof **out);
    if (!*out) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for tensor %s", dd_tensors_path(f), t->name);
    return dd_tensors_read_f32(f, t, *out, err);
}

static dd_status check_rows(const float *t, const float *y, int64_t n, const dd_config *c, const dydit_eval_options *o,
                            int *labels, dd_err *err)
{
    const char *prefix = o->in_prefix ? o->in_prefix : "";
    for (int64_t i = 0; i < n; i++) {
        if (!(t[i] >= 0 && t[i] <= 999))
            return DD_FAIL(err, DD_ERR_FORMAT, "%s: %st[%lld] is %g, allowed are 0 to 999", o->in, prefix, (long long)i,
                           (double)t[i]);
        if (!(y[i] >= 0 && y[i] <= (float)c->num_classes) || y[i] != floorf(y[i]))
            return DD_FAIL(err, DD_ERR_FORMAT, "%s: %sy[%lld] is %g, allowed are labels 0 to %d, the null label", o->in,
                           prefix, (long long)i, (double)y[i], c->num_classes);
        labels[i] = (int)y[i];
    }
    return DD_OK;
}

static dd_status read_inputs(inputs *in, const dd_config *c, const dydit_eval_options *o, dd_err *err)
{
    dd_tensors *f = NULL;
    DD_TRY(dd_safetensors_open(&f, o->in, err));
    const int64_t xs[4] = {-1, c->in_channels, c->input_size, c->input_size};
    dd_status st = read_array(f, o->in_prefix, "x", 4, xs, &in->x, &in->n, err);
    const int64_t rows[1] = {in->n};
    if (st == DD_OK) st = read_array(f, o->in_prefix, "t", 1, rows, &in->t, NULL, err);
    if (st == DD_OK) st = read_array(f, o->in_prefix, "y", 1, rows, &in->y, NULL, err);
    dd_tensors_close(&f);
    DD_TRY(st);
    if (in->n > 1 << 20)
        return DD_FAIL(err, DD_ERR_ARG, "%s: %lld rows are more than %d", o->in, (long long)in->n, 1 << 20);
    in->labels = malloc((size_t)in->n * sizeof *in->labels);
    if (!in->labels) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for labels", o->in);
    return check_rows(in->t, in->y, in->n, c, o, in->labels, err);
}

static dd_status read_masks(inputs *in, const dd_model *m, const dydit_eval_options *o, dd_err *err)
{
    dd_tensors *f = NULL;
    float *v = NULL;
    if (!o->token_masks) return DD_OK;
    if (m->n_routers == 0)
        return DD_FAIL(err, DD_ERR_ARG, "token-masks %s: the model has no token routers", o->token_masks);
    if (o->dense) return DD_FAIL(err, DD_ERR_ARG, "token-masks and dense contradict each other");
    const int64_t shape[3] = {m->n_routers, in->n, m->cfg.tokens}, count = shape[0] * shape[1] * shape[2];
    DD_TRY(dd_safetensors_open(&f, o->token_masks, err));
    dd_status st = read_array(f, o->masks_prefix ? o->masks_prefix : o->in_prefix, "tokens", 3, shape, &v, NULL, err);
    if (st == DD_OK && !(in->forced = malloc((size_t)count)))
        st = DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for masks", o->token_masks);
    for (int64_t i = 0; st == DD_OK && i < count; i++) {
        if (v[i] != 0.0f && v[i] != 1.0f)
            st = DD_FAIL(err, DD_ERR_FORMAT, "%s: tensor tokens holds %g, expected 0 or 1", o->token_masks,
                         (double)v[i]);
        else in->forced[i] = v[i] != 0.0f;
    }
    free(v);
    dd_tensors_close(&f);
    return st;
}

static dd_status write_out(const dd_eval_out *r, const dd_config *c, const inputs *in, const dydit_eval_options *o,
                           dd_err *err)
{
    dd_tensor_entry list[6];
    int n = 0;
    const int64_t size = c->input_size, b = in->n, heads = c->num_heads;
    list[n++] = (dd_tensor_entry){"out", DD_F32, 4, {b, c->out_channels, size, size}, r->out};
    if (r->cfg_out)
        list[n++] = (dd_tensor_entry){"cfg_out", DD_F32, 4, {2 * b, c->out_channels, size, size}, r->cfg_out};
    if (r->hidden) {
        list[n++] = (dd_tensor_entry){"hidden", DD_F32, 4, {c->depth, b, c->tokens, c->hidden_size}, r->hidden};
        list[n++] = (dd_tensor_entry){"heads", DD_F32, 3, {c->depth, b, heads}, r->heads};
        list[n++] = (dd_tensor_entry){"groups", DD_F32, 3, {c->depth, b, heads}, r->groups};
        list[n++] = (dd_tensor_entry){"tokens", DD_F32, 3, {c->depth, b, c->tokens}, r->tokens};
    }
    return dd_safetensors_write(o->out, list, n, NULL, 0, err);
}

static dd_status check_options(const dydit_eval_options *o, const dd_config *c, dd_err *err)
{
    if (!o->in || !o->out) return DD_FAIL(err, DD_ERR_ARG, "the input or the output file is missing");
    if (!isfinite(o->cfg_scale) || fabs(o->cfg_scale) > 1e6)
        return DD_FAIL(err, DD_ERR_ARG, "guidance scale %g is out of range", o->cfg_scale);
    if (o->cfg_channels < 0 || o->cfg_channels > c->in_channels)
        return DD_FAIL(err, DD_ERR_ARG, "cfg-channels %d is out of range: 1 to %d", o->cfg_channels, c->in_channels);
    return dd_outfile_check(o->out, err);
}

/* ---- running --------------------------------------------------------------------------------------------------- */

typedef struct evaluation {
    dydit_model *model;
    dd_eval_job *job;
} evaluation;

static dd_status measure(const void *run, int batch, uint64_t *bytes, uint64_t *device_bytes, dd_err *err)
{
    const evaluation *e = run;
    const dd_weight_store *there = e->model->weights;
    DD_TRY(dd_evaluate_bytes(e->job, batch, bytes, err));
    *bytes += dd_weights_bytes(e->model->m, e->job->be, dd_format_dtype(e->job->input));
    *device_bytes = *bytes - (there ? there->bytes : 0);
    return DD_OK;
}

/* Fills in what the job takes from the model; packs the weights. */
static dd_status evaluate(dydit_model *model, dd_eval_job *job, dd_eval_out *out, dd_err *err)
{
    const evaluation e = {model, job};
    job->model = model->m;
    job->be = model->ctx->be;
    job->input = model->ctx->input;
    job->cancel = &model->ctx->cancel;
    const dd_need need = {.be = job->be, .batch = dd_evaluate_batch(job), .measure = measure, .run = &e};
    DD_TRY(dd_memory_check(&need, err));
    dd_status st = dd_api_weights(model, err);
    job->weights = model->weights;
    if (st == DD_OK) st = dd_evaluate(job, out, err);
    if (st != DD_OK) dd_memory_say_what_fits(&need, err);
    return st;
}

static dd_status eval_file(dydit_model *model, const dydit_eval_options *o, dd_err *err)
{
    const dd_config *c = &model->m->cfg;
    inputs in = {0};
    dd_eval_out out = {0};
    DD_TRY(check_options(o, c, err));
    dd_status st;
    DD_TRY_GOTO(st, read_inputs(&in, c, o, err), done);
    DD_TRY_GOTO(st, read_masks(&in, model->m, o, err), done);
    dd_eval_job job = {.n = in.n,
                       .x = in.x,
                       .t = in.t,
                       .y = in.labels,
                       .dense = o->dense != 0,
                       .trace = o->trace != 0,
                       .guided = o->cfg_scale != 0,
                       .cfg_scale = (float)o->cfg_scale,
                       .cfg_channels = o->cfg_channels ? o->cfg_channels : c->cfg_channels,
                       .forced = in.forced};
    DD_TRY_GOTO(st, evaluate(model, &job, &out, err), done);
    st = write_out(&out, c, &in, o, err);
done:
    dd_eval_out_fini(&out);
    inputs_free(&in);
    return st;
}

dydit_status dydit_eval(dydit_model *model, const dydit_eval_options *options)
{
    dydit_eval_options o;
    if (!model || !options) return DYDIT_ERR_ARG;
    dd_err *err = &model->ctx->err;
    dd_api_begin(model->ctx);
    atomic_store(&model->ctx->cancel, 0);
    dydit_eval_options_init(&o, sizeof o);
    dd_status st = dd_api_options(&o, sizeof o, options, "dydit_eval_options", err);
    if (st == DD_OK) st = eval_file(model, &o, err);
    return (dydit_status)st;
}

dydit_status dydit_forward(dydit_model *model, int64_t n, const float *x, const float *t, const int *y, int dense,
                           float *out)
{
    dd_eval_out r = {0};
    if (!model || !x || !t || !y || !out || n < 1 || n > 1 << 20) return DYDIT_ERR_ARG;
    dd_err *err = &model->ctx->err;
    dd_api_begin(model->ctx);
    atomic_store(&model->ctx->cancel, 0);
    dd_status st = DD_OK;
    for (int64_t i = 0; i < n && st == DD_OK; i++)
        if (!(t[i] >= 0 && t[i] <= 999) || y[i] < 0 || y[i] > model->m->cfg.num_classes)
            st = DD_FAIL(err, DD_ERR_ARG, "row %lld: timestep %g or label %d is out of range", (long long)i,
                         (double)t[i], y[i]);
    dd_eval_job job = {.n = n, .x = x, .t = t, .y = y, .dense = dense != 0};
    if (st == DD_OK) st = evaluate(model, &job, &r, err);
    const dd_config *c = &model->m->cfg;
    if (st == DD_OK)
        memcpy(out, r.out, (size_t)n * (size_t)(c->latent_count / c->in_channels * c->out_channels) * sizeof *out);
    dd_eval_out_fini(&r);
    return (dydit_status)st;
}
