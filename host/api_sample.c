/* SPDX-License-Identifier: MIT
 * Public API: sampling. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/io/safetensors.h"

typedef struct run {
    dydit_model *model;
    dydit_sample_options o;
    dydit_result *r;
    dd_plan *dense;
    dd_calibration *calibration;
    float *coefs[DD_WEIGHT_SETS], *latents_in, *noise_in;
} run;

static int on_step(void *user, const dd_sample_state *st)
{
    run *u = user;
    const double total = (double)st->images * st->steps;
    const double done = (double)st->first * st->steps + (double)st->batch * (st->step + 1);
    dydit_progress p = {st->images_done, st->images, st->step + 1, st->steps, st->seconds, 0, 0};
    if (st->seconds > 0 && done > 0) {
        p.images_per_s = done / st->steps / st->seconds;
        p.seconds_left = (total - done) / done * st->seconds;
    }
    return u->o.progress ? u->o.progress(u->o.user, &p) : 0;
}

static int on_preview(void *user, const dd_sample_state *st)
{
    run *u = user;
    u->r->steps_done = st->step + 1;
    return u->o.preview ? u->o.preview(u->o.user, u->r, st->step + 1) : 0;
}

/* The batch as a result of its own. */
static int on_batch(void *user, const dd_sample_state *st)
{
    run *u = user;
    dydit_result batch = *u->r;
    batch.n = st->batch;
    batch.first = u->r->first + st->first;
    batch.labels = u->r->labels + st->first;
    batch.steps_done = st->steps;
    batch.is_batch = 1;
    batch.decoded = (dd_decoded){0};
    const int stop = u->o.batch_done(u->o.user, &batch);
    dd_decoded *all = &u->r->decoded;
    all->seconds += batch.decoded.seconds;
    all->tiled |= batch.decoded.tiled;
    if (batch.decoded.peak_bytes > all->peak_bytes) all->peak_bytes = batch.decoded.peak_bytes;
    free(batch.decoded.pictures);
    return stop;
}

/* Reads `first` or `second` (may be NULL) from a file of inputs. */
static dd_status read_input(const char *path, const char *prefix, const char *first, const char *second, int rank,
                            const int64_t *shape, float **out, dd_err *err)
{
    dd_tensors *f = NULL;
    const dd_tensor *t = NULL;
    char name[256];
    if (!path) return DD_OK;
    DD_TRY(dd_safetensors_open(&f, path, err));
    snprintf(name, sizeof name, "%s%s", prefix ? prefix : "", first);
    if (second && !dd_tensors_find(f, name)) first = second;
    dd_status st = dd_tensors_require(f, prefix ? prefix : "", first, rank, shape, &t, err);
    if (st == DD_OK) {
        *out = malloc((size_t)t->count * sizeof **out + 1);
        st = *out ? dd_tensors_read_f32(f, t, *out, err) : DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", path);
    }
    dd_tensors_close(&f);
    return st;
}

static dd_status read_inputs(run *u, dd_err *err)
{
    const dd_config *c = &u->model->m->cfg;
    const int64_t size = c->input_size, shape[5] = {u->r->plan->n_steps, u->o.n_images, c->in_channels, size, size};
    DD_TRY(read_input(u->o.latents_in, u->o.in_prefix, "x", "latents", 4, shape + 1, &u->latents_in, err));
    return read_input(u->o.noise_in, u->o.in_prefix, "noise", NULL, 5, shape, &u->noise_in, err);
}

static dd_status check_labels(const run *u, dd_err *err)
{
    if (u->o.n_images < 1)
        return DD_FAIL(err, DD_ERR_ARG, "number of images is %lld: at least 1", (long long)u->o.n_images);
    if (!u->o.labels) return DD_FAIL(err, DD_ERR_ARG, "labels are missing");
    const int classes = u->model->m->cfg.num_classes;
    for (int64_t i = 0; i < u->o.n_images; i++)
        if (u->o.labels[i] < 0 || u->o.labels[i] >= classes)
            return DD_FAIL(err, DD_ERR_ARG, "label %d of image %lld is out of range: 0 to %d", u->o.labels[i],
                           (long long)i, classes - 1);
    return DD_OK;
}

static dd_status check_batches(const dydit_sample_options *o, dd_err *err)
{
    if (o->image_first < 0 || o->image_first > (1 << 30) - o->n_images)
        return DD_FAIL(err, DD_ERR_ARG, "number of the first image is %lld: 0 to %lld", (long long)o->image_first,
                       (1 << 30) - (long long)o->n_images);
    if (o->image_first > 0 && o->seed_mode == DYDIT_SEED_BATCH)
        return DD_FAIL(err, DD_ERR_ARG, "a run with one random stream for all images begins at image 0, not %lld",
                       (long long)o->image_first);
    if (o->batch_done && (o->keep_trajectory || (o->preview && o->preview_interval > 0)))
        return DD_FAIL(err, DD_ERR_ARG, "a run that hands over its images batch by batch has no %s",
                       o->keep_trajectory ? "trajectory" : "previews");
    return DD_OK;
}

static dd_trial trial_of(const run *u)
{
    return (dd_trial){u->model, &u->r->set, &u->o, u->r->plan, u->dense, u->coefs};
}

static dd_status prepare(run *u, dd_err *err)
{
    dydit_result *r = u->r;
    DD_TRY(dd_settings_resolve(&r->set, u->model, &u->o, err));
    DD_TRY(check_labels(u, err));
    DD_TRY(check_batches(&u->o, err));
    DD_TRY(dd_settings_plan(&r->plan, &r->set, u->model, u->o.plan ? u->o.plan->plan : NULL, err));
    if (u->o.compare_dense) DD_TRY(dd_settings_dense(&u->dense, &r->set, u->model, r->plan, err));
    DD_TRY(dd_settings_coefs(u->coefs, &r->set, u->model, err));
    if (u->o.keep_trajectory) DD_TRY(dd_settings_trajectory(&r->set, u->model, r->plan, err));
    DD_TRY(read_inputs(u, err));
    const dd_trial trial = trial_of(u);
    const dd_need need = dd_trial_need(&trial);
    DD_TRY(dd_memory_check(&need, err));
    r->n = u->o.n_images;
    r->first = u->o.image_first;
    r->labels = malloc((size_t)r->n * sizeof *r->labels);
    if (!r->labels) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the labels");
    memcpy(r->labels, u->o.labels, (size_t)r->n * sizeof *r->labels);
    return DD_OK;
}

/* What the inputs and the caller change of a run. */
static void set_outputs(const run *u, dd_run_spec *spec)
{
    spec->want_x0 = u->o.preview && u->o.preview_interval > 0;
    spec->draw_latents = spec->draw_latents && !u->latents_in;
    spec->draw_noise = spec->draw_noise && !u->noise_in;
}

/* The weight sets, whose weights are there. */
static int make_legs(run *u, dd_leg leg[DD_WEIGHT_SETS])
{
    dydit_result *r = u->r;
    const int legs = dd_settings_legs(leg, &r->set, u->model, r->plan, u->coefs, r->set.batch_size);
    for (int i = 0; i < legs; i++) {
        if (i == 0 || leg[i].weights != leg[0].weights) r->weight_bytes += leg[i].weights->bytes;
        set_outputs(u, &leg[i].spec);
    }
    return legs;
}

static dd_status execute(run *u, dd_err *err)
{
    dydit_result *r = u->r;
    dydit_ctx *ctx = u->model->ctx;
    const dd_trial trial = trial_of(u);
    const dd_need need = dd_trial_need(&trial);
    dd_status st = dd_settings_weights(&r->set, u->model, r->plan, err);
    if (st != DD_OK) {
        dd_memory_say_what_fits(&need, err);
        return st;
    }
    dd_leg leg[DD_WEIGHT_SETS];
    const int legs = make_legs(u, leg);
    r->has_dense = u->dense != NULL;
    r->has_profile = u->o.profile != 0;
    dd_sample_job job = {.spec = leg[0].spec,
                         .dense = u->dense,
                         .be = ctx->be,
                         .weights = leg[0].weights,
                         .other = legs > 1 ? &leg[1] : NULL,
                         .n_images = r->n,
                         .first = r->first,
                         .labels = r->labels,
                         .noise_rows = r->set.guided ? 2 : 1,
                         .noise_drawn = r->set.draws != 0,
                         .seed = r->set.seed,
                         .batch_mode = r->set.batch_mode,
                         .latents_in = u->latents_in,
                         .noise_in = u->noise_in,
                         .keep_trajectory = u->o.keep_trajectory != 0,
                         .preview_interval = u->o.preview ? u->o.preview_interval : 0,
                         .profile = u->o.profile ? &r->profile : NULL,
                         .calibration = u->calibration,
                         .cancel = &ctx->cancel,
                         .on_step = on_step,
                         .on_preview = on_preview,
                         .on_batch = u->o.batch_done ? on_batch : NULL,
                         .user = u};
    job.noise_used = r->set.noisy && !job.spec.draw_noise;
    st = dd_sampler_run(&job, &r->out, err);
    if (st != DD_OK) dd_memory_say_what_fits(&need, err);
    const dd_graphs *g = &r->out.graphs;
    dd_log_write(&ctx->log, DD_LOG_DEBUG, "programs: %d, graphs: %d of %d nodes, recorded: %d", g->programs, g->live,
                 g->nodes, g->recorded);
    r->steps_done = r->plan->n_steps;
    if (u->o.batch_done) dd_sample_out_drop_images(&r->out);
    return st;
}

dd_status dd_api_sample(dydit_model *model, const dydit_sample_options *options, dd_calibration *calibration,
                        dydit_result **out, dd_err *err)
{
    run u = {.model = model, .calibration = calibration};
    *out = NULL;
    dydit_sample_options_init(&u.o, sizeof u.o);
    u.r = calloc(1, sizeof *u.r);
    dd_status st = u.r ? dd_api_options(&u.o, sizeof u.o, options, "dydit_sample_options", err)
                       : DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a result");
    if (st == DD_OK) {
        u.r->model = model;
        st = prepare(&u, err);
    }
    if (st == DD_OK) st = execute(&u, err);
    if (st == DD_OK) *out = u.r;
    else dydit_result_close(&u.r);
    dd_plan_free(&u.dense);
    for (int i = 0; i < DD_WEIGHT_SETS; i++) free(u.coefs[i]);
    free(u.latents_in);
    free(u.noise_in);
    return st;
}

dydit_status dydit_sample(dydit_model *model, const dydit_sample_options *options, dydit_result **out)
{
    if (!model || !out) return DYDIT_ERR_ARG;
    dd_api_begin(model->ctx);
    atomic_store(&model->ctx->cancel, 0);
    return (dydit_status)dd_api_sample(model, options, NULL, out, &model->ctx->err);
}

void dydit_result_close(dydit_result **result)
{
    if (!result || !*result) return;
    dydit_result *r = *result;
    dd_sample_out_fini(&r->out);
    dd_plan_free(&r->plan);
    free(r->labels);
    free(r->decoded.pictures);
    free(r);
    *result = NULL;
}
