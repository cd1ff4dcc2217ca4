/* SPDX-License-Identifier: MIT
 * The sampling loop on a device that works late: what is given to it runs only when something waits for it. At most two
 * steps are in flight, nothing is waited for or allocated between steps, results are those of the backend below bit for
 * bit, and whatever ends a run leaves no memory in use. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/exec/sampler.h"
#include "tests/unit/exec_rig.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))
#define IMAGES 5
#define STEPS 6

static const int labels[IMAGES] = {1, 10, 3, 3, 0};

/* ---- a backend that works late -------------------------------------------------------------------------------- */

typedef struct task {
    enum { COPY, CLEAR, RUN, END_OF_STEP } kind;
    void *dst, *data; /* COPY: its own copy of the source; RUN: of the ops */
    size_t bytes;
    dd_program program;
    int32_t step;
} task;

static struct {
    dd_backend real;
    task queue[1 << 12];
    int n_tasks, begun, ended; /* steps: begun by the first run after the end of another */
    bool in_step, stepping;
    int max_in_flight, syncs, paces;
    int allocs_stepping; /* since the first step */
    int live, released_early;
    int fail_pace, fail_sync; /* this call fails; 0: none */
} late;

static int in_flight(void)
{
    int ends = 0;
    for (int i = 0; i < late.n_tasks; i++) ends += late.queue[i].kind == END_OF_STEP;
    return ends + late.in_step;
}

static task *put_task(int kind, const void *data, size_t bytes)
{
    assert_in_range(late.n_tasks, 0, COUNT(late.queue) - 1);
    task *t = &late.queue[late.n_tasks++];
    *t = (task){.kind = kind, .bytes = bytes};
    if (!data) return t;
    t->data = malloc(bytes + 1);
    assert_non_null(t->data);
    memcpy(t->data, data, bytes);
    return t;
}

/* Executes the queue until at most `left` steps of it remain. */
static dd_status work(dd_backend *be, int left, dd_err *err)
{
    dd_status st = DD_OK;
    int done = 0;
    for (int ends = in_flight(); done < late.n_tasks && (left == 0 || ends > left); done++) {
        task *t = &late.queue[done];
        if (t->kind == END_OF_STEP) ends--;
        else if (t->kind == COPY) st = late.real.upload(be, t->dst, t->data, t->bytes, err);
        else if (t->kind == CLEAR) st = late.real.clear(be, t->dst, t->bytes, err);
        else st = late.real.run(be, &t->program, t->step, err);
        free(t->data);
        if (st != DD_OK) fail_msg("the backend below: %s", err->text);
    }
    late.n_tasks -= done;
    memmove(late.queue, late.queue + done, (size_t)late.n_tasks * sizeof *late.queue);
    return DD_OK;
}

static dd_status late_alloc(dd_backend *be, size_t bytes, void **out, dd_err *err)
{
    late.allocs_stepping += late.stepping;
    DD_TRY(late.real.alloc(be, bytes, out, err));
    late.live++;
    return DD_OK;
}

static void late_release(dd_backend *be, void *p)
{
    late.live -= p != NULL;
    late.released_early += late.n_tasks > 0;
    late.real.release(be, p);
}

static dd_status late_upload(dd_backend *be, void *dst, const void *src, size_t bytes, dd_err *err)
{
    (void)be, (void)err;
    put_task(COPY, src, bytes)->dst = dst;
    return DD_OK;
}

static dd_status late_clear(dd_backend *be, void *dst, size_t bytes, dd_err *err)
{
    (void)be, (void)err;
    put_task(CLEAR, NULL, bytes)->dst = dst;
    return DD_OK;
}

static dd_status late_download(dd_backend *be, void *dst, const void *src, size_t bytes, dd_err *err)
{
    DD_TRY(work(be, 0, err));
    return late.real.download(be, dst, src, bytes, err);
}

static dd_status late_run(dd_backend *be, const dd_program *program, int32_t step, dd_err *err)
{
    (void)be, (void)err;
    task *t = put_task(RUN, program->ops, (size_t)program->n_ops * sizeof *program->ops);
    t->program = (dd_program){.ops = t->data, .n_ops = program->n_ops};
    t->step = step;
    late.in_step = late.stepping = true;
    if (in_flight() > late.max_in_flight) late.max_in_flight = in_flight();
    return DD_OK;
}

static dd_status late_sync(dd_backend *be, dd_err *err)
{
    late.in_step = false;
    if (++late.syncs == late.fail_sync) return DD_FAIL(err, DD_ERR_DEVICE, "the device fell off the bus");
    return work(be, 0, err);
}

static dd_status late_pace(dd_backend *be, int steps, dd_err *err)
{
    assert_in_range(steps, 1, 8);
    put_task(END_OF_STEP, NULL, 0);
    late.in_step = false;
    if (++late.paces == late.fail_pace) return DD_FAIL(err, DD_ERR_DEVICE, "the device fell off the bus");
    return work(be, steps, err);
}

static void late_begin(dd_backend *be)
{
    static const dd_device_list list = {.n = 1, .device = {{.name = "late"}}};
    memset(&late, 0, sizeof late);
    late.real = *be;
    be->devices = &list;
    be->alloc = late_alloc;
    be->release = late_release;
    be->upload = late_upload;
    be->download = late_download;
    be->clear = late_clear;
    be->run = late_run;
    be->sync = late_sync;
    be->pace = late_pace;
}

/* ---- runs ----------------------------------------------------------------------------------------------------- */

typedef struct watcher {
    int stop_at; /* step whose progress call cancels, -1: none */
    int steps_seen, previews;
    float *previewed; /* [IMAGES, latents] of the last preview, or NULL */
    const dd_sample_out *out;
    size_t latents;
} watcher;

static int on_step(void *user, const dd_sample_state *st)
{
    watcher *w = user;
    assert_true(st->seconds >= 0);
    w->steps_seen++;
    return st->step == w->stop_at;
}

static int on_preview(void *user, const dd_sample_state *st)
{
    watcher *w = user;
    w->previews++;
    if (w->previewed) memcpy(w->previewed, w->out->latents, IMAGES * w->latents * sizeof(float));
    (void)st;
    return 0;
}

typedef struct wish {
    bool keep_trajectory, dense, batch_mode;
    int preview_interval, stop_at;
} wish;

/* The complete model at the timesteps of the rig's plan. */
static dd_status complete_plan(rig *r, dd_plan **out)
{
    float t[STEPS];
    int guided[STEPS];
    assert_int_equal(r->plan->n_steps, STEPS);
    for (int i = 0; i < STEPS; i++) {
        t[i] = r->plan->rows[i].timestep;
        guided[i] = r->plan->rows[i].guided;
    }
    return dd_plan_build(out, r->model, t, guided, STEPS, &r->err);
}

/* Weights and a run of IMAGES pictures in batches of 2, by the rig's backend as it is now. */
static dd_status run_job(rig *r, const wish *want, watcher *w, dd_sample_out *out)
{
    atomic_int cancel = 0;
    dd_plan *dense = NULL;
    *w = (watcher){.stop_at = want->stop_at, .previewed = w->previewed, .out = out};
    w->latents = (size_t)r->model->cfg.latent_count;
    if (want->dense) rig_must(r, complete_plan(r, &dense));
    dd_sample_job job = {.spec = r->spec,
                         .dense = dense,
                         .be = r->be,
                         .n_images = IMAGES,
                         .labels = labels,
                         .noise_rows = 2,
                         .noise_used = true,
                         .batch_mode = want->batch_mode,
                         .keep_trajectory = want->keep_trajectory,
                         .preview_interval = want->preview_interval,
                         .cancel = &cancel,
                         .on_step = on_step,
                         .on_preview = on_preview,
                         .user = w};
    job.spec.coefs = r->coefs;
    job.spec.want_hits = true;
    job.spec.want_x0 = want->preview_interval > 0;
    job.spec.max_images = 2;
    memset(out, 0, sizeof *out);
    dd_status st = dd_weights_load(&r->weights, r->model, r->be, DD_F32, &r->err);
    job.weights = r->weights;
    if (st == DD_OK) st = dd_sampler_run(&job, out, &r->err);
    dd_weights_free(&r->weights);
    dd_plan_free(&dense);
    return st;
}

static rig rig_of(const char *backend)
{
    rig r = rig_open(MODEL_D64, backend);
    rig_plan(&r, "6", 300, 700, true); /* guidance in between: three programs */
    return r;
}

static void same(const void *a, const void *b, size_t bytes, const char *what)
{
    assert_true(a && b);
    if (memcmp(a, b, bytes) != 0) fail_msg("%s differ from those of the backend below", what);
}

static void results_do_not_differ(void **state)
{
    (void)state;
    static const wish wishes[] = {{.stop_at = -1},
                                  {.stop_at = -1, .keep_trajectory = true},
                                  {.stop_at = -1, .preview_interval = 2},
                                  {.stop_at = -1, .dense = true},
                                  {.stop_at = -1, .batch_mode = true}};
    for (int i = 0; i < COUNT(wishes); i++) {
        rig r = rig_of("cpu");
        const size_t n = IMAGES * (size_t)r.model->cfg.latent_count, tokens = IMAGES * (size_t)r.model->cfg.tokens;
        float *seen[2] = {calloc(n, sizeof(float)), calloc(n, sizeof(float))};
        watcher a = {.previewed = seen[0]}, b = {.previewed = seen[1]};
        dd_sample_out x, y;
        rig_must(&r, run_job(&r, &wishes[i], &a, &x));
        late_begin(r.be);
        rig_must(&r, run_job(&r, &wishes[i], &b, &y));
        same(x.latents, y.latents, n * sizeof(float), "latents");
        same(x.hits, y.hits, tokens * sizeof *x.hits, "token maps");
        same(x.kept, y.kept, STEPS * (size_t)r.model->n_routers * sizeof *x.kept, "token counts");
        if (wishes[i].keep_trajectory) same(x.trajectory, y.trajectory, STEPS * n * sizeof(float), "trajectories");
        same(seen[0], seen[1], n * sizeof(float), "previews");
        assert_int_equal(a.steps_seen, b.steps_seen);
        assert_int_equal(a.previews, b.previews);
        assert_int_equal(b.previews, wishes[i].preview_interval ? 3 * 2 : 0);
        assert_true(y.seconds > 0 && (y.dense_seconds > 0) == wishes[i].dense);
        assert_int_equal(late.live, 0);
        assert_int_equal(late.released_early, 0);
        dd_sample_out_fini(&x);
        dd_sample_out_fini(&y);
        free(seen[0]);
        free(seen[1]);
        rig_close(&r);
    }
}

/* Three batches. A step is waited for by itself only where something looks at its results. */
static void two_steps_in_flight(void **state)
{
    (void)state;
    static const struct {
        wish want;
        int max_in_flight, paces, syncs;
    } cases[] = {{{.stop_at = -1}, 2, 3 * (STEPS - 1), 3 + 1},
                 {{.stop_at = -1, .preview_interval = 3}, 2, 3 * (STEPS - 2), 3 * 2 + 1},
                 {{.stop_at = -1, .keep_trajectory = true}, 1, 0, 3 * STEPS + 1}};
    for (int i = 0; i < COUNT(cases); i++) {
        rig r = rig_of("cpu");
        watcher w = {0};
        dd_sample_out out;
        late_begin(r.be);
        rig_must(&r, run_job(&r, &cases[i].want, &w, &out));
        assert_int_equal(late.max_in_flight, cases[i].max_in_flight);
        assert_int_equal(late.paces, cases[i].paces);
        assert_int_equal(late.syncs, cases[i].syncs); /* the one more: closing the session */
        assert_int_equal(late.allocs_stepping, 0);
        dd_sample_out_fini(&out);
        rig_close(&r);
    }
}

/* A backend in host memory is waited for after every step, as its times say. */
static void host_memory_waits(void **state)
{
    (void)state;
    static const wish plain = {.stop_at = -1};
    rig r = rig_of("cpu");
    watcher w = {0};
    dd_sample_out out;
    late_begin(r.be);
    r.be->devices = NULL;
    rig_must(&r, run_job(&r, &plain, &w, &out));
    assert_int_equal(late.max_in_flight, 1);
    assert_int_equal(late.paces, 0);
    assert_int_equal(late.syncs, 3 * STEPS + 1);
    dd_sample_out_fini(&out);
    rig_close(&r);
}

static void failures_and_stops_are_clean(void **state)
{
    (void)state;
    for (int i = 0; i < 12; i++) {
        rig r = rig_of("cpu");
        const bool cancel = i >= 8;
        const wish want = {.stop_at = cancel ? i - 8 : -1};
        watcher w = {0};
        dd_sample_out out;
        late_begin(r.be);
        if (i < 6) late.fail_pace = 2 * i + 1;
        else if (!cancel) late.fail_sync = i - 5;
        const dd_status st = run_job(&r, &want, &w, &out);
        if (cancel) rig_refused(&r, st, DD_ERR_CANCELLED, "stopped at step");
        else rig_refused(&r, st, DD_ERR_DEVICE, "the device fell off the bus");
        assert_int_equal(late.live, 0);
        assert_int_equal(late.released_early, 0);
        dd_sample_out_fini(&out);
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(results_do_not_differ), cmocka_unit_test(two_steps_in_flight),
                                       cmocka_unit_test(host_memory_waits),
                                       cmocka_unit_test(failures_and_stops_are_clean)};
    return cmocka_run_group_tests_name("sampler_async", tests, NULL, NULL);
}
