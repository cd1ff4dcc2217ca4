/* SPDX-License-Identifier: MIT
 * Sessions: steps in any order, batches of any size, what is skipped, what is allocated, and every call that can
 * fail. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/exec/evaluate.h"
#include "host/exec/sampler.h"
#include "host/io/safetensors.h"
#include "tests/unit/exec_rig.h"
#include "tests/unit/scratch.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

/* DYDIT_TEST_BACKEND names one: the tests run on that alone. */
static const char *backends[] = {"ref", "cpu"};
static int n_backends = COUNT(backends);
static const char *fast(void) { return backends[n_backends - 1]; }

static size_t latents_of(const rig *r) { return (size_t)r->model->cfg.latent_count; }

static size_t out_of(const rig *r)
{
    return latents_of(r) / (size_t)r->model->cfg.in_channels * (size_t)r->model->cfg.out_channels;
}

static size_t hidden_of(const rig *r) { return (size_t)r->model->cfg.tokens * (size_t)r->model->cfg.hidden_size; }

static void start(rig *r, dd_session *s, int images, const int *labels, const float *x)
{
    rig_must(r, dd_session_batch(s, images, labels, &r->err));
    rig_must(r, dd_session_put(s, DD_IO_LATENTS, images, x, &r->err));
}

/* One step; outputs of all its rows into out. */
static void step_to(rig *r, dd_session *s, int step, int images, float *out)
{
    const int rows = images * (r->plan->rows[step].guided ? 2 : 1);
    rig_must(r, dd_session_step(s, step, &r->err));
    rig_must(r, dd_session_get(s, DD_IO_OUT, rows, out, &r->err));
}

static void same_floats(const float *a, const float *b, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (dd_f32_bits(a[i]) != dd_f32_bits(b[i]))
            fail_msg("%s: element %zu is %g, expected %g", what, i, (double)a[i], (double)b[i]);
}

/* Forward passes keep no state from step to step, though conditioning comes in chunks of steps. */
static void steps_in_any_order(void **state)
{
    (void)state;
    static const int labels[2] = {3, 7};
    enum { STEPS = 40 }; /* two chunks of conditioning */
    for (int b = 0; b < n_backends; b++) {
        rig r = rig_open(MODEL_D64, backends[b]);
        rig_weights(&r);
        rig_plan(&r, "40", 300, 600, true);
        dd_session *s = rig_session(&r);
        const size_t n = 4 * out_of(&r);
        float *x = rig_noise(1, 2 * latents_of(&r)), *all = calloc(STEPS * n, sizeof *all),
              *one = calloc(n, sizeof *one);
        assert_true(all && one);
        start(&r, s, 2, labels, x);
        for (int i = 0; i < STEPS; i++) step_to(&r, s, i, 2, all + (size_t)i * n);
        for (int i = 0; i < STEPS; i++) {
            const int step = (i * 23 + 35) % STEPS; /* jumps over the border of chunks and of programs */
            memset(one, 0, n * sizeof *one);
            step_to(&r, s, step, 2, one);
            same_floats(one, all + (size_t)step * n, r.plan->rows[step].guided ? n : n / 2, "another order");
        }
        assert_memory_not_equal(all, all + n, n / 2 * sizeof *all);
        dd_session_close(&s);
        assert_null(s);
        s = rig_session(&r);
        start(&r, s, 2, labels, x);
        step_to(&r, s, STEPS - 1, 2, one); /* the last one first */
        same_floats(one, all + (STEPS - 1) * n, n / 2, "the last step alone");
        dd_session_close(&s);
        free(x), free(all), free(one);
        rig_close(&r);
    }
}

/* The same images in batches of other sizes and with other neighbours: programs are made anew, rows stay the same. */
static void batches_of_any_size(void **state)
{
    (void)state;
    enum { IMAGES = 5 };
    static const int labels[IMAGES] = {1, 9, 1, 0, 4};
    static const struct {
        int first, images;
    } batches[] = {{0, 2}, {0, 5}, {0, 2}, {0, 3}, {2, 3}, {4, 1}, {1, 2}, {3, 2}, {0, 1}, {0, 5}, {2, 1}};
    /* {0,2}, {0,3}: as many labels for more images; {0,3}, {2,3}: more labels for as many images */
    for (int b = 0; b < n_backends; b++) {
        rig r = rig_open(b ? MODEL_D128 : MODEL_D64, backends[b]);
        rig_weights(&r);
        rig_plan(&r, "4", 300, 999, true);
        r.spec.max_images = IMAGES;
        const size_t latents = latents_of(&r), n = out_of(&r);
        float *x = rig_noise(2, IMAGES * latents), *want = calloc(4 * 2 * IMAGES * n, sizeof *want);
        float *got = calloc(2 * IMAGES * n, sizeof *got);
        assert_true(want && got);
        dd_session *s = rig_session(&r);
        start(&r, s, IMAGES, labels, x);
        for (int step = 0; step < 4; step++) step_to(&r, s, step, IMAGES, want + (size_t)step * 2 * IMAGES * n);
        dd_session_close(&s);
        s = rig_session(&r); /* nothing is left of a larger batch */
        for (int k = 0; k < COUNT(batches); k++) {
            const int images = batches[k].images;
            const size_t first = (size_t)batches[k].first;
            start(&r, s, images, labels + first, x + first * latents);
            for (int step = 0; step < 4; step++) {
                step_to(&r, s, step, images, got);
                for (int row = 0; row < images * (r.plan->rows[step].guided ? 2 : 1); row++) {
                    const size_t from = first + (size_t)(row < images ? row : row - images + IMAGES);
                    same_floats(got + (size_t)row * n, want + ((size_t)step * 2 * IMAGES + from) * n, n,
                                "another batch size");
                }
            }
        }
        dd_session_close(&s);
        free(x), free(want), free(got);
        rig_close(&r);
    }
}

static void refused_batches(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, fast());
    rig_weights(&r);
    dd_session *s = rig_session(&r);
    const size_t n = 3 * out_of(&r);
    float *x = rig_noise(3, 3 * latents_of(&r)), *want = calloc(n, sizeof *want), *got = calloc(n, sizeof *got);
    static const int mixed[] = {4, 5, 4}, equal[] = {1, 1, 1}, wrong[] = {4, 5, 11}, negative[] = {-1};
    assert_true(want && got);
    rig_refused(&r, dd_session_batch(s, 0, equal, &r.err), DD_ERR_INTERNAL,
                "a batch of 0 images in a session of at most 3");
    rig_refused(&r, dd_session_batch(s, 4, equal, &r.err), DD_ERR_INTERNAL, "a batch of 4 images");
    start(&r, s, 3, mixed, x);
    step_to(&r, s, 1, 3, want);
    start(&r, s, 3, equal, x);
    rig_refused(&r, dd_session_batch(s, 1, negative, &r.err), DD_ERR_ARG, "label -1 is out of range");
    rig_refused(&r, dd_session_batch(s, 3, wrong, &r.err), DD_ERR_ARG,
                "label 11 is out of range: 0 to 10, 10 is the null label"); /* after two labels, as many as: */
    start(&r, s, 3, mixed, x); /* whose programs are not those of one label */
    step_to(&r, s, 1, 3, got);
    same_floats(got, want, n, "after a refusal");
    dd_session_close(&s);
    free(x), free(want), free(got);
    rig_close(&r);
}

/* ---- skipping ------------------------------------------------------------------------------------------------- */

/* Runs step 0 on noise and keeps the tokens after every block: [depth, 2, S, D]. */
static float *trace(rig *r, uint64_t seed, float *out)
{
    static const int labels[2] = {0, 5};
    const int depth = r->model->cfg.depth;
    float *x = rig_noise(seed, 2 * latents_of(r)), *h = calloc(2 * (size_t)depth * hidden_of(r), sizeof *h);
    assert_non_null(h);
    r->spec.want_hidden = true;
    r->spec.max_images = 2;
    dd_session *s = rig_session(r);
    start(r, s, 2, labels, x);
    step_to(r, s, 0, 2, out);
    rig_must(r, dd_session_get(s, DD_IO_HIDDEN, 2, h, &r->err));
    dd_session_close(&s);
    free(x);
    return h;
}

static void skipped_blocks_change_nothing(void **state)
{
    (void)state;
    for (int b = 0; b < n_backends; b++) {
        rig r = rig_open(MODEL_D128, backends[b]);
        rig_weights(&r);
        const size_t n = 2 * hidden_of(&r);
        float *out = calloc(2 * out_of(&r), sizeof *out), *full = trace(&r, 5, out);
        assert_non_null(out);
        for (int block = 1; block < 3; block++) {
            dd_cell *attn = dd_plan_cell(r.plan, 0, 2 * block), *mlp = dd_plan_cell(r.plan, 0, 2 * block + 1);
            attn->op = mlp->op = DD_CELL_SKIP;
            float *h = trace(&r, 5, out);
            for (int k = 0; k < block; k++) same_floats(h + (size_t)k * n, full + (size_t)k * n, n, "before the skip");
            same_floats(h + (size_t)block * n, full + (size_t)(block - 1) * n, n, "after the skip");
            assert_memory_not_equal(h + (size_t)block * n, full + (size_t)block * n, n * sizeof *h);
            attn->op = mlp->op = DD_CELL_COMPUTE;
            free(h);
        }
        free(out), free(full);
        rig_close(&r);
    }
}

/* A copy of a golden model in which the gates of one site are zero for every condition. */
static const char *without_gate(const char *path, int block, int row)
{
    dd_tensors *file;
    dd_err err = {0};
    dd_tensor_entry list[128];
    char weight[64], bias[64];
    float *zeroed[2] = {NULL, NULL};
    if (dd_safetensors_open(&file, path, &err) != DD_OK) fail_msg("%s", err.text);
    assert_true(dd_tensors_count(file) <= 128);
    snprintf(weight, sizeof weight, "blocks.%d.adaLN_modulation.1.weight", block);
    snprintf(bias, sizeof bias, "blocks.%d.adaLN_modulation.1.bias", block);
    for (int i = 0; i < dd_tensors_count(file); i++) {
        const dd_tensor *t = dd_tensors_at(file, i);
        list[i] = (dd_tensor_entry){.name = t->name, .dtype = t->dtype, .rank = t->rank, .data = t->data};
        memcpy(list[i].shape, t->shape, sizeof t->shape);
        const int which = strcmp(t->name, weight) == 0 ? 0 : strcmp(t->name, bias) == 0 ? 1 : -1;
        if (which < 0) continue;
        float *v = malloc((size_t)t->count * sizeof *v);
        assert_non_null(v);
        assert_int_equal(dd_tensors_read_f32(file, t, v, &err), DD_OK);
        for (int64_t k = row * (t->count / 6); k < (row + 1) * (t->count / 6); k++) v[k] = 0;
        list[i].dtype = DD_F32, list[i].data = zeroed[which] = v;
    }
    assert_true(zeroed[0] && zeroed[1]);
    const char *copy = scratch("gate.safetensors");
    if (dd_safetensors_write(copy, list, dd_tensors_count(file), NULL, 0, &err) != DD_OK) fail_msg("%s", err.text);
    dd_tensors_close(&file);
    free(zeroed[0]), free(zeroed[1]);
    return copy;
}

/* SKIP is the same as a gate of zero, bit for bit, in everything that follows. */
static void skip_is_a_closed_gate(void **state)
{
    (void)state;
    for (int b = 0; b < n_backends; b++)
        for (int mlp = 0; mlp < 2; mlp++) {
            rig r = rig_open(MODEL_D64, backends[b]),
                closed = rig_open(without_gate(MODEL_D64, 0, mlp ? 5 : 2), backends[b]);
            rig_weights(&r), rig_weights(&closed);
            const size_t n = 2 * out_of(&r);
            float *want = calloc(n, sizeof *want), *got = calloc(n, sizeof *got), *full = calloc(n, sizeof *full);
            assert_true(want && got && full);
            free(trace(&r, 6, full));
            dd_plan_cell(r.plan, 0, mlp)->op = DD_CELL_SKIP;
            float *h = trace(&r, 6, got), *h0 = trace(&closed, 6, want);
            for (size_t i = 0; i < 2 * 2 * hidden_of(&r); i++) assert_true(h[i] == h0[i]); /* -0 + 0 is 0 */
            same_floats(got, want, n, "a closed gate");
            assert_memory_not_equal(got, full, n * sizeof *got);
            free(want), free(got), free(full), free(h), free(h0);
            rig_close(&r), rig_close(&closed);
        }
}

/* ---- allocation ----------------------------------------------------------------------------------------------- */

/* Everything that a run may ask for. */
static void want_all(rig *r)
{
    r->spec.coefs = r->coefs;
    r->spec.want_x0 = r->spec.want_hits = r->spec.want_hidden = r->spec.force_masks = true;
    rig_draws(r, 1, false);
}

static void footprint_is_what_is_allocated(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++) {
        rig r = rig_open(i & 1 ? MODEL_D128 : MODEL_D64, backends[(i >> 1) % n_backends]);
        dd_footprint f;
        tally_begin(r.be);
        rig_weights(&r);
        assert_int_equal(tally.bytes, dd_weights_bytes(r.model, r.be, DD_F32));
        assert_int_equal(r.weights->bytes, tally.bytes);
        rig_plan(&r, i & 4 ? "40" : "4", i & 8 ? 100 : -1, i & 8 ? 500 : -1, !(i & 4));
        if (i & 4) want_all(&r);
        r.spec.solver = (dd_solver)(i % DD_SOLVER_COUNT); /* keeps latents of its own */
        if (i & 2) rig_must(&r, dd_policy_fora(r.plan, r.model, 3, DD_REUSE_FROZEN, &r.err));
        r.spec.max_images = 1 + i % 5;
        const size_t before = tally.bytes;
        rig_must(&r, dd_footprint_compute(&f, &r.spec, r.be, &r.err));
        assert_int_equal(tally.bytes, before);
        dd_session *s = rig_session(&r);
        assert_int_equal(tally.bytes - before, f.activations + f.cond + f.tables + f.latents + f.slots);
        assert_int_equal(f.slots > 0, (i & 2) != 0);
        assert_int_equal(dd_session_bytes(s), f.activations + f.cond + f.tables + f.latents + f.slots);
        assert_true(f.scratch > 0 || r.be->devices || strcmp(r.be->name, "ref") == 0);
        const int live = tally.live;
        dd_session_close(&s);
        assert_true(tally.live < live);
        dd_weights_free(&r.weights);
        assert_int_equal(tally.live, 0);
        rig_close(&r);
    }
}

static void nothing_is_allocated_while_stepping(void **state)
{
    (void)state;
    static const int labels[3] = {1, 2, 2};
    rig r = rig_open(MODEL_D64, fast());
    rig_plan(&r, "40", 200, 600, true);
    tally_begin(r.be);
    rig_weights(&r);
    want_all(&r);
    dd_session *s = rig_session(&r);
    const size_t allocs = tally.allocs, tokens = 2 * 2 * 3 * 16;
    float *x = rig_noise(1, 3 * latents_of(&r));
    unsigned char *forced = calloc(tokens, 1);
    assert_non_null(forced);
    for (int images = 3; images >= 1; images--) { /* batches are lowered on the host, in memory of its own */
        start(&r, s, images, labels, x);
        rig_must(&r, dd_session_seed(s, 3, &r.err));
        rig_must(&r, dd_session_put(s, DD_IO_FORCED, images, forced, &r.err));
        rig_must(&r, dd_session_put(s, DD_IO_NOISE, images, x, &r.err));
        const int calls = tally.calls;
        for (int step = 0; step < 40; step++) rig_must(&r, dd_session_step(s, step, &r.err));
        assert_int_equal(tally.calls, calls); /* nor is anything uploaded */
        assert_int_equal(tally.allocs, allocs);
    }
    dd_session_close(&s);
    free(x), free(forced);
    rig_close(&r);
    assert_int_equal(tally.live, 0);
}

/* ---- failures ------------------------------------------------------------------------------------------------- */

static void missing_ops(void **state)
{
    (void)state;
    static const int labels[1] = {0};
    for (int b = 0; b < n_backends; b++)
        for (int id = 0; id < DD_OP_to_pixels; id++) { /* those from there on are of decoders, see test_vae.c */
            rig r = rig_open(MODEL_AVERAGES, backends[b]);
            char part[64];
            rig_weights(&r);
            rig_plan(&r, "4", 0, 999, true);
            rig_must(&r, dd_policy_fora(r.plan, r.model, 2, DD_REUSE_FROZEN, &r.err));
            want_all(&r);
            dd_ops ops = *r.be->ops;
            switch ((dd_op_id)id) {
#define DD_OP(name)      \
    case DD_OP_##name:   \
        ops.name = NULL; \
        break;
#include "kernels/ops.def"
#undef DD_OP
            case DD_OP_COUNT: break;
            }
            const dd_ops *full = r.be->ops;
            r.be->ops = &ops;
            dd_session *s = rig_session(&r);
            snprintf(part, sizeof part, ": backend %s has no op %s", backends[b], dd_op_name((dd_op_id)id));
            rig_refused(&r, dd_session_batch(s, 1, labels, &r.err), DD_ERR_UNSUPPORTED, part);
            r.be->ops = full; /* the session is none the worse */
            rig_must(&r, dd_session_batch(s, 1, labels, &r.err));
            rig_must(&r, dd_session_step(s, 0, &r.err));
            dd_session_close(&s);
            rig_close(&r);
        }
    rig r = rig_open(MODEL_D64, fast()); /* an op that a plan does not need may be missing */
    rig_weights(&r);
    rig_plan(&r, "4", -1, -1, false);
    dd_ops ops = *r.be->ops;
    ops.route = NULL, ops.guide = NULL, ops.solve = NULL, ops.copy = NULL;
    r.be->ops = &ops;
    dd_session *s = rig_session(&r);
    rig_must(&r, dd_session_batch(s, 1, labels, &r.err));
    rig_must(&r, dd_session_step(s, 3, &r.err));
    dd_session_close(&s);
    rig_close(&r);
}

/* A whole run with everything in it: weights, a session and a dense one beside it, three batches. */
static dd_status whole_run(rig *r, const dd_plan *dense)
{
    static const int labels[5] = {1, 1, 2, 3, 1};
    atomic_int cancel = 0;
    dd_sample_out out = {0};
    dd_sample_job job = {.spec = r->spec,
                         .dense = dense,
                         .be = r->be,
                         .n_images = 5,
                         .labels = labels,
                         .noise_rows = 2,
                         .keep_trajectory = true,
                         .cancel = &cancel};
    job.spec.coefs = r->coefs;
    job.spec.want_hits = true;
    job.spec.max_images = job.spec.draws.images.max_images = 2;
    job.noise_used = !job.spec.draw_noise;
    dd_status st = dd_weights_load(&r->weights, r->model, r->be, DD_F32, &r->err);
    job.weights = r->weights;
    if (st == DD_OK) st = dd_sampler_run(&job, &out, &r->err);
    else assert_null(r->weights);
    dd_sample_out_fini(&out);
    dd_weights_free(&r->weights);
    return st;
}

static dd_status whole_evaluation(rig *r)
{
    static const int y[3] = {1, 10, 3};
    static const float t[3] = {500, 20, 500};
    static unsigned char forced[2 * 3 * 16];
    atomic_int cancel = 0;
    dd_eval_out out = {0};
    float *x = rig_noise(4, 3 * latents_of(r));
    dd_eval_job job = {.model = r->model, .be = r->be, .n = 3, .x = x, .t = t, .y = y, .trace = true, .guided = true};
    job.cfg_scale = 2, job.cfg_channels = 3, job.forced = forced, job.cancel = &cancel;
    dd_status st = dd_weights_load(&r->weights, r->model, r->be, DD_F32, &r->err);
    job.weights = r->weights;
    if (st == DD_OK) st = dd_evaluate(&job, &out, &r->err);
    dd_eval_out_fini(&out);
    dd_weights_free(&r->weights);
    free(x);
    return st;
}

/* Every call of the backend that can fail does so once: a clean error, and nothing is left behind. */
static void every_call_fails_once(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) { /* a run, an evaluation, a run whose noise is drawn on the backend */
        rig r = rig_open(MODEL_D64, "ref");
        dd_plan *dense = NULL;
        rig_plan(&r, "3", 500, 999, true);
        rig_must(&r, dd_plan_copy(&dense, r.plan, &r.err));
        for (int i = 0; i < 3 * dense->n_sites; i++) dense->cells[i].rows = DD_ROWS_ALL, dense->cells[i].router = -1;
        if (what == 2) rig_draws(&r, 1, true);
        tally_begin(r.be);
        dd_status st = DD_ERR_DEVICE;
        int k = 0;
        while (st != DD_OK && k < 1000) {
            char part[64];
            tally.calls = 0;
            tally.fail_at = ++k;
            st = what == 1 ? whole_evaluation(&r) : whole_run(&r, dense);
            assert_int_equal(tally.live, 0);
            if (st == DD_OK) break;
            snprintf(part, sizeof part, "call %d refused on purpose", k);
            rig_refused(&r, st, DD_ERR_DEVICE, part);
        }
        assert_int_equal(st, DD_OK);
        assert_int_equal(k, tally.calls + 1);
        assert_true(k > 100); /* weights, sessions, uploads */
        dd_plan_free(&dense);
        rig_close(&r);
    }
}

/* The sanitizer of threads finds nothing in a program of one. */
#ifdef __SANITIZE_THREAD__
static const bool threads_only = true;
#else
static const bool threads_only = false;
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_in_any_order),
        cmocka_unit_test(batches_of_any_size),
        cmocka_unit_test(refused_batches),
        cmocka_unit_test(skipped_blocks_change_nothing),
        cmocka_unit_test(skip_is_a_closed_gate),
        cmocka_unit_test(footprint_is_what_is_allocated),
        cmocka_unit_test(nothing_is_allocated_while_stepping),
        cmocka_unit_test(missing_ops),
    };
    const struct CMUnitTest of_memory[] = {cmocka_unit_test(every_call_fails_once)}; /* many runs; not of a device */
    const char *only = getenv("DYDIT_TEST_BACKEND");
    if (only) backends[0] = only, n_backends = 1;
    const int failed = cmocka_run_group_tests_name("session", tests, scratch_setup, scratch_teardown);
    return only || threads_only ? failed
                                : failed + cmocka_run_group_tests_name("session failures", of_memory, NULL, NULL);
}
