/* SPDX-License-Identifier: MIT
 * Runs through the public interface with threads inside and outside: cancelling from another thread, contexts side by
 * side, and results that do not depend on the number of threads or the size of batches. Runs under ThreadSanitizer. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/golden.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))
#define IMAGES 5

static const char *const models[] = {"tests/golden/model_d64_h4_p2.safetensors",
                                     "tests/golden/model_d128_h4_p4.safetensors"};
static const char *const backends[] = {"cpu", "ref"};
static const int labels[IMAGES] = {3, 0, 3, 9, 5};

static dydit_sample_options options(const char *steps)
{
    dydit_sample_options o;
    dydit_sample_options_init(&o, sizeof o);
    o.steps = steps;
    o.cfg_scale = 1.5;
    o.labels = labels;
    o.n_images = IMAGES;
    o.seed = 11;
    return o;
}

/* Final latents of a run; the caller frees them. */
static float *sampled(dydit_ctx *ctx, dydit_model *model, const dydit_sample_options *o, size_t *bytes)
{
    dydit_result *r = NULL;
    dydit_model_info info = {.size = sizeof info};
    int64_t n = 0;
    if (dydit_sample(model, o, &r) != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
    assert_int_equal(dydit_model_get_info(model, &info), DYDIT_OK);
    const float *x = dydit_result_latents(r, &n);
    assert_int_equal(n, o->n_images);
    *bytes = (size_t)n * (size_t)(info.in_channels * info.input_size * info.input_size) * sizeof *x;
    float *copy = malloc(*bytes);
    assert_non_null(copy);
    memcpy(copy, x, *bytes);
    dydit_result_close(&r);
    return copy;
}

static float *sampled_by(const char *backend, int threads, const char *path, const dydit_sample_options *o,
                         size_t *bytes)
{
    dydit_ctx *ctx = golden_ctx(backend, threads);
    dydit_model *model = golden_model(ctx, path);
    float *x = sampled(ctx, model, o, bytes);
    dydit_model_close(&model);
    dydit_close(&ctx);
    return x;
}

static void threads_and_batches_do_not_matter(void **state)
{
    (void)state;
    static const int batch_sizes[] = {1, 2, 5};
    static const struct {
        int backend, model;
    } cases[] = {{0, 0}, {0, 1}, {1, 0}};
    for (int c = 0; c < COUNT(cases); c++) {
        const char *backend = backends[cases[c].backend], *path = models[cases[c].model];
        dydit_sample_options o = options("3");
        size_t bytes, n;
        o.cfg_hi = 600; /* a guidance interval: two programs */
        float *want = sampled_by(backend, 1, path, &o, &bytes);
        for (int threads = 1; threads <= 3; threads++)
            for (int k = 0; k < 3; k++) {
                if (c > 0 && k != threads - 1) continue; /* all pairs on the first, which is quick */
                o.batch_size = batch_sizes[k];
                float *got = sampled_by(backend, threads, path, &o, &n);
                assert_int_equal(n, bytes);
                if (memcmp(got, want, bytes) != 0)
                    fail_msg("%s, %s: %d threads and batches of %d give other latents", backend, path, threads,
                             o.batch_size);
                free(got);
            }
        free(want);
    }
}

/* ---- contexts side by side ------------------------------------------------------------------------------------ */

typedef struct side {
    const char *path, *backend;
    int threads, rounds;
    const float *want;
    size_t bytes;
    dydit_status status; /* asserts belong to the main thread */
    int differs;
} side;

static void *sample_beside(void *arg)
{
    side *s = arg;
    dydit_options o;
    dydit_ctx *ctx = NULL;
    dydit_model *model = NULL;
    dydit_options_init(&o, sizeof o);
    o.backend = s->backend;
    o.threads = s->threads;
    s->status = dydit_open(&ctx, &o);
    if (s->status == DYDIT_OK) s->status = dydit_model_open(ctx, &model, s->path, NULL);
    for (int i = 0; i < s->rounds && s->status == DYDIT_OK; i++) {
        const dydit_sample_options run = options("3");
        dydit_result *r = NULL;
        int64_t n;
        s->status = dydit_sample(model, &run, &r);
        if (s->status == DYDIT_OK) s->differs += memcmp(dydit_result_latents(r, &n), s->want, s->bytes) != 0;
        dydit_result_close(&r);
    }
    dydit_model_close(&model);
    dydit_close(&ctx);
    return NULL;
}

static void contexts_are_independent(void **state)
{
    (void)state;
    static const struct {
        int model, backend, threads;
    } pairs[][2] = {{{0, 0, 2}, {0, 0, 2}}, {{0, 0, 1}, {1, 0, 2}}, {{0, 1, 1}, {0, 0, 3}}};
    for (int p = 0; p < COUNT(pairs); p++) {
        side sides[2];
        pthread_t threads[2];
        float *want[2];
        for (int i = 0; i < 2; i++) {
            const dydit_sample_options o = options("3");
            sides[i] = (side){.path = models[pairs[p][i].model],
                              .backend = backends[pairs[p][i].backend],
                              .threads = pairs[p][i].threads,
                              .rounds = 2};
            sides[i].want = want[i] = sampled_by(sides[i].backend, sides[i].threads, sides[i].path, &o,
                                                 &sides[i].bytes);
        }
        for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, sample_beside, &sides[i]), 0);
        for (int i = 0; i < 2; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(sides[i].status, DYDIT_OK);
            assert_int_equal(sides[i].differs, 0);
            free(want[i]);
        }
    }
}

/* ---- cancelling ----------------------------------------------------------------------------------------------- */

typedef struct stopper {
    dydit_ctx *ctx;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int reached, asked; /* under the lock */
    int calls;          /* of the progress function */
    int wait_at;        /* at this call it waits until the other thread has asked */
    int stop_at;        /* at this call it returns non-zero */
} stopper;

static int on_progress(void *user, const dydit_progress *p)
{
    stopper *s = user;
    (void)p;
    s->calls++;
    if (s->calls == s->wait_at) {
        pthread_mutex_lock(&s->lock);
        s->reached = 1;
        pthread_cond_broadcast(&s->changed);
        while (!s->asked) pthread_cond_wait(&s->changed, &s->lock);
        pthread_mutex_unlock(&s->lock);
    }
    return s->calls == s->stop_at;
}

static void *ask_to_stop(void *arg)
{
    stopper *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->reached) pthread_cond_wait(&s->changed, &s->lock);
    dydit_cancel(s->ctx);
    s->asked = 1;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* A run that is told to stop while the progress function waits ends with that step. */
static void cancelled_from_another_thread(void **state)
{
    (void)state;
    for (int b = 0; b < 2; b++) {
        dydit_ctx *ctx = golden_ctx(backends[b], 2);
        dydit_model *model = golden_model(ctx, models[0]);
        const dydit_sample_options plain = options("4");
        dydit_sample_options o = options("1000");
        size_t bytes, n;
        float *want = sampled(ctx, model, &plain, &bytes);
        for (int at = 1; at <= 7; at += 3) {
            stopper s = {.ctx = ctx, .wait_at = at};
            dydit_result *r = (dydit_result *)(void *)&s;
            pthread_t thread;
            assert_int_equal(pthread_mutex_init(&s.lock, NULL), 0);
            assert_int_equal(pthread_cond_init(&s.changed, NULL), 0);
            o.progress = on_progress;
            o.user = &s;
            assert_int_equal(pthread_create(&thread, NULL, ask_to_stop, &s), 0);
            assert_int_equal(dydit_sample(model, &o, &r), DYDIT_ERR_CANCELLED);
            assert_int_equal(pthread_join(thread, NULL), 0);
            assert_null(r);
            assert_int_equal(s.calls, at);
            char part[64];
            snprintf(part, sizeof part, "stopped at step %d of 1000", at);
            assert_string_equal(dydit_message(ctx), part);
            pthread_cond_destroy(&s.changed);
            pthread_mutex_destroy(&s.lock);
            float *got = sampled(ctx, model, &plain, &n); /* the request is forgotten, nothing else is */
            assert_int_equal(n, bytes);
            assert_memory_equal(got, want, bytes);
            free(got);
        }
        free(want);
        dydit_model_close(&model);
        dydit_close(&ctx);
    }
}

/* Asks at any moment, without waiting for anything: a flag that is never seen would run for 5000 steps. */
static void *ask_until_done(void *arg)
{
    atomic_int *done = ((void **)arg)[1];
    while (!atomic_load(done)) dydit_cancel(((void **)arg)[0]);
    return NULL;
}

static void cancelled_at_any_moment(void **state)
{
    (void)state;
    dydit_ctx *ctx = golden_ctx("cpu", 2);
    dydit_model *model = golden_model(ctx, models[0]);
    dydit_sample_options o = options("1000");
    o.batch_size = 1;
    for (int i = 0; i < 3; i++) {
        atomic_int done = 0;
        void *both[] = {ctx, &done};
        pthread_t thread;
        dydit_result *r = NULL;
        assert_int_equal(pthread_create(&thread, NULL, ask_until_done, both), 0);
        const dydit_status st = dydit_sample(model, &o, &r);
        atomic_store(&done, 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(st, DYDIT_ERR_CANCELLED);
        assert_null(r);
    }
    dydit_model_close(&model);
    dydit_close(&ctx);
}

static void cancelled_by_progress(void **state)
{
    (void)state;
    dydit_ctx *ctx = golden_ctx("cpu", 2);
    dydit_model *model = golden_model(ctx, models[0]);
    const dydit_sample_options plain = options("4");
    size_t bytes, n;
    float *want = sampled(ctx, model, &plain, &bytes);
    for (int at = 1; at <= 8; at++) { /* two batches of 4 steps each */
        dydit_sample_options o = options("4");
        stopper s = {.stop_at = at};
        dydit_result *r = (dydit_result *)(void *)&s;
        o.batch_size = 3;
        o.progress = on_progress;
        o.user = &s;
        assert_int_equal(dydit_sample(model, &o, &r), DYDIT_ERR_CANCELLED);
        assert_null(r);
        assert_int_equal(s.calls, at);
    }
    float *got = sampled(ctx, model, &plain, &n);
    assert_memory_equal(got, want, bytes);
    free(got);
    free(want);
    dydit_cancel(ctx); /* before a run: forgotten */
    got = sampled(ctx, model, &plain, &n);
    free(got);
    dydit_model_close(&model);
    dydit_close(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_batches_do_not_matter),
        cmocka_unit_test(contexts_are_independent),
        cmocka_unit_test(cancelled_from_another_thread),
        cmocka_unit_test(cancelled_at_any_moment),
        cmocka_unit_test(cancelled_by_progress),
    };
    return cmocka_run_group_tests_name("run_threads", tests, NULL, NULL);
}
