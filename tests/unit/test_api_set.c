/* SPDX-License-Identifier: MIT
 * Runs that hand over their pictures batch by batch, and sets of them: whatever the pieces, what is drawn is what one run
 * draws. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/golden.h"
#include "tests/unit/scratch.h"

#define SIDE 32

static const char *const gray = "tests/golden/model_d128_h4_p4.safetensors";  /* 1 channel of 32 x 32 */
static const char *const latent = "tests/golden/model_d64_h4_p2.safetensors"; /* 4 channels */

enum { N = 5, PICTURE = SIDE * SIDE };
static const int labels[N] = {0, 3, 3, 25, 7};
static dydit_ctx *ctx;
static dydit_model *model;

static int setup(void **state)
{
    ctx = golden_ctx("cpu", 2);
    model = golden_model(ctx, gray);
    return scratch_setup(state);
}

static int teardown(void **state)
{
    dydit_model_close(&model);
    dydit_close(&ctx);
    golden_clean();
    return scratch_teardown(state);
}

static int clear(void **state)
{
    (void)state;
    scratch_clear();
    return 0;
}

/* What batches bring. */
typedef struct taken {
    float x[N * PICTURE];
    int64_t n;
    int batches, stop_after;
    dydit_set *set;
} taken;

static int take(void *user, dydit_result *r)
{
    taken *t = user;
    int64_t n;
    const float *x = dydit_result_latents(r, &n);
    assert_non_null(x);
    assert_true(n > 0 && t->n + n <= N);
    memcpy(t->x + t->n * PICTURE, x, (size_t)n * PICTURE * sizeof *x);
    t->n += n;
    if (t->set) assert_int_equal(dydit_set_add(t->set, r), DYDIT_OK);
    return ++t->batches == t->stop_after;
}

static dydit_sample_options quick(void)
{
    dydit_sample_options o;
    dydit_sample_options_init(&o, sizeof o);
    o.steps = "4"; /* ddpm: noise is added in between */
    o.labels = labels;
    o.n_images = N;
    return o;
}

/* Draws pictures first .. end-1 into t. */
static dydit_result *draw(taken *t, dydit_sample_options o, int64_t first, int64_t end, int batch)
{
    dydit_result *r = NULL;
    o.batch_size = batch;
    o.image_first = first;
    o.labels = labels + first;
    o.n_images = end - first;
    o.batch_done = take;
    o.user = t;
    assert_int_equal(dydit_sample(model, &o, &r), DYDIT_OK);
    return r;
}

static void pieces_equal_the_whole(void **state)
{
    (void)state;
    static const char *const rngs[] = {"torch-cpu", "torch-cuda"};
    for (int k = 0; k < 2; k++) {
        dydit_sample_options o = quick();
        dydit_result *whole = NULL, *part;
        o.rng = rngs[k];
        assert_int_equal(dydit_sample(model, &o, &whole), DYDIT_OK);
        const float *x = dydit_result_latents(whole, NULL);
        for (int batch = 1; batch <= 3; batch++)
            for (int cut = 0; cut < N; cut += 2) {
                taken t = {.n = 0};
                if (cut > 0) {
                    part = draw(&t, o, 0, cut, batch);
                    dydit_result_close(&part);
                }
                part = draw(&t, o, cut, N, batch);
                dydit_result_close(&part);
                assert_int_equal(t.n, N);
                assert_memory_equal(t.x, x, sizeof t.x);
            }
        dydit_result_close(&whole);
    }
}

static void figures_stay(void **state)
{
    (void)state;
    taken t = {.n = 0};
    dydit_result *r = draw(&t, quick(), 0, N, 2), *whole = NULL;
    dydit_stats a = {.size = sizeof a}, b = {.size = sizeof b};
    dydit_sample_options o = quick();
    o.batch_size = 2;
    assert_int_equal(dydit_sample(model, &o, &whole), DYDIT_OK);
    assert_int_equal(dydit_result_stats(r, &a), DYDIT_OK);
    assert_int_equal(dydit_result_stats(whole, &b), DYDIT_OK);
    assert_int_equal(a.images, N);
    assert_int_equal(a.forward_rows, b.forward_rows);
    assert_true(a.macs_executed > 0 && a.macs_executed == b.macs_executed);
    assert_int_equal(t.batches, 3);
    assert_null(dydit_result_latents(r, NULL));
    assert_int_equal(dydit_result_write_png(r, scratch("a.png"), NULL), DYDIT_ERR_ARG);
    assert_non_null(strstr(dydit_message(ctx), "kept no pictures"));
    assert_int_equal(dydit_result_write_token_map(r, scratch("a.png"), NULL), DYDIT_ERR_ARG);
    assert_int_equal(dydit_result_write_latents(r, scratch("a.st")), DYDIT_ERR_ARG);
    assert_int_equal(scratch_count(), 0);
    dydit_result_close(&r);
    dydit_result_close(&whole);
}

static void memory_is_that_of_a_batch(void **state)
{
    (void)state;
    dydit_sample_options o = quick();
    dydit_estimate keeps = {.size = sizeof keeps}, hands_over = {.size = sizeof hands_over};
    o.batch_size = 2;
    assert_int_equal(dydit_estimate_sample(model, &o, &keeps), DYDIT_OK);
    o.batch_done = take;
    assert_int_equal(dydit_estimate_sample(model, &o, &hands_over), DYDIT_OK);
    assert_int_equal(keeps.peak_bytes - hands_over.peak_bytes, (N - 2) * PICTURE * sizeof(float));
}

static void refused(dydit_sample_options o, const char *why)
{
    dydit_result *r = NULL;
    assert_int_equal(dydit_sample(model, &o, &r), DYDIT_ERR_ARG);
    assert_null(r);
    if (!strstr(dydit_message(ctx), why)) fail_msg("'%s' does not say '%s'", dydit_message(ctx), why);
}

static int no_preview(void *user, const dydit_result *r, int step) { return !user && !r && step < 0; }

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    dydit_sample_options o = quick();
    o.image_first = -1;
    refused(o, "first image is -1");
    o.image_first = (1 << 30) - 2;
    refused(o, "first image");
    o.image_first = 1;
    o.seed_mode = DYDIT_SEED_BATCH;
    refused(o, "begins at image 0");
    o = quick();
    o.batch_done = take;
    o.keep_trajectory = 1;
    refused(o, "no trajectory");
    o.keep_trajectory = 0;
    o.preview = no_preview;
    o.preview_interval = 1;
    refused(o, "no previews");
}

static void a_batch_can_be_the_last(void **state)
{
    (void)state;
    taken t = {.stop_after = 2};
    dydit_sample_options o = quick();
    dydit_result *r = NULL;
    o.batch_size = 2;
    o.batch_done = take;
    o.user = &t;
    assert_int_equal(dydit_sample(model, &o, &r), DYDIT_ERR_CANCELLED);
    assert_null(r);
    assert_int_equal(t.n, 4);
}

/* ---- sets ------------------------------------------------------------------------------------------------------ */

static dydit_status open_set(dydit_set **set, const dydit_sample_options *o, const char *npz, int resume)
{
    dydit_set_options so;
    dydit_set_options_init(&so, sizeof so);
    so.npz = npz;
    so.resume = resume;
    return dydit_set_open(set, model, o, &so);
}

/* The pictures of a set that numpy would see, behind its headers of 187 bytes. */
static void assert_pictures(const char *name, const float *x)
{
    size_t n;
    uint8_t *data = scratch_read(name, &n);
    assert_int_equal(n, 187 + N * PICTURE * 3 + 173);
    for (size_t i = 0; i < N * PICTURE; i++) {
        const float p = 127.5f * x[i] + 128.0f;
        const uint8_t wanted = p >= 255 ? 255 : p > 0 ? (uint8_t)p : 0;
        for (size_t c = 0; c < 3; c++) assert_int_equal(data[187 + 3 * i + c], wanted);
    }
    free(data);
}

static void a_set_is_gone_on_with(void **state)
{
    (void)state;
    const dydit_sample_options o = quick();
    dydit_sample_options other = o;
    taken t = {.n = 0};
    dydit_result *r;
    assert_int_equal(open_set(&t.set, &o, scratch("a.npz"), 0), DYDIT_OK);
    assert_int_equal(dydit_set_done(t.set), 0);
    r = draw(&t, o, 0, 3, 2);
    dydit_result_close(&r);
    assert_int_equal(dydit_set_done(t.set), 3);
    assert_int_equal(dydit_set_commit(t.set), DYDIT_ERR_ARG);
    dydit_set_close(&t.set);
    other.seed = 1;
    assert_int_equal(open_set(&t.set, &other, scratch("a.npz"), 1), DYDIT_ERR_ARG);
    assert_non_null(strstr(dydit_message(ctx), "seed was 0"));
    assert_null(t.set);
    assert_int_equal(open_set(&t.set, &o, scratch("a.npz"), 1), DYDIT_OK);
    assert_int_equal(dydit_set_done(t.set), 3);
    r = draw(&t, o, 3, N, 1);
    dydit_result_close(&r);
    assert_int_equal(dydit_set_commit(t.set), DYDIT_OK);
    dydit_set_close(&t.set);
    assert_int_equal(scratch_count(), 2);
    assert_pictures("a.npz", t.x);
    /* whole: nothing is left to do, unless it would be another one */
    assert_int_equal(open_set(&t.set, &o, scratch("a.npz"), 1), DYDIT_OK);
    assert_int_equal(dydit_set_done(t.set), N);
    assert_int_equal(dydit_set_commit(t.set), DYDIT_OK);
    dydit_set_close(&t.set);
    assert_int_equal(open_set(&t.set, &other, scratch("a.npz"), 1), DYDIT_ERR_ARG);
}

static void pictures_come_in_order(void **state)
{
    (void)state;
    const dydit_sample_options o = quick();
    dydit_result *r = NULL;
    dydit_set *set = NULL;
    assert_int_equal(dydit_sample(model, &o, &r), DYDIT_OK);
    assert_int_equal(open_set(&set, &o, scratch("a.npz"), 0), DYDIT_OK);
    assert_int_equal(dydit_set_add(set, r), DYDIT_OK);
    assert_int_equal(dydit_set_add(set, r), DYDIT_ERR_ARG);
    assert_non_null(strstr(dydit_message(ctx), "picture 5 comes next"));
    assert_int_equal(dydit_set_commit(set), DYDIT_OK);
    assert_pictures("a.npz", dydit_result_latents(r, NULL));
    dydit_set_close(&set);
    dydit_result_close(&r);
}

static void set_refused(const dydit_sample_options *o, const char *npz, dydit_status st, const char *why)
{
    dydit_set *set = NULL;
    assert_int_equal(open_set(&set, o, npz, 0), st);
    assert_null(set);
    if (!strstr(dydit_message(ctx), why)) fail_msg("'%s' does not say '%s'", dydit_message(ctx), why);
    assert_int_equal(scratch_count(), 0);
}

static void sets_that_cannot_be(void **state)
{
    (void)state;
    dydit_sample_options o = quick();
    const char *npz = scratch("a.npz");
    set_refused(&o, NULL, DYDIT_ERR_ARG, "no name");
    set_refused(&o, scratch("a.zip"), DYDIT_ERR_ARG, "ends with .npz");
    set_refused(&o, scratch("none/a.npz"), DYDIT_ERR_IO, "none");
    o.image_first = 1;
    set_refused(&o, npz, DYDIT_ERR_ARG, "begins with picture 0");
    o = quick();
    o.seed_mode = DYDIT_SEED_BATCH;
    set_refused(&o, npz, DYDIT_ERR_ARG, "random stream");
    o = quick();
    o.latents_in = "in.safetensors";
    set_refused(&o, npz, DYDIT_ERR_ARG, "in.safetensors");
    o = quick();
    o.labels = NULL;
    set_refused(&o, npz, DYDIT_ERR_ARG, "labels");
    o = quick();
    o.steps = "x";
    set_refused(&o, npz, DYDIT_ERR_ARG, "x");
    o = quick();
    o.n_images = 0;
    set_refused(&o, npz, DYDIT_ERR_ARG, "0 pictures");
    dydit_model *pictures = model;
    model = golden_model(ctx, latent);
    o = quick();
    set_refused(&o, npz, DYDIT_ERR_UNSUPPORTED, "4 channels, which need a VAE");
    dydit_model_close(&model);
    model = pictures;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_equal_the_whole),
        cmocka_unit_test_setup(figures_stay, clear),
        cmocka_unit_test(memory_is_that_of_a_batch),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_batch_can_be_the_last),
        cmocka_unit_test_setup(a_set_is_gone_on_with, clear),
        cmocka_unit_test_setup(pictures_come_in_order, clear),
        cmocka_unit_test_setup(sets_that_cannot_be, clear),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
