/* SPDX-License-Identifier: MIT
 * The public interface as a caller sees it: option structs of other versions, failures that leave nothing behind,
 * estimates,
 * callbacks, forward passes on arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>
#include <cmocka.h>

#include "support/golden.h"

static const char *const small = "tests/golden/model_d128_h4_p4.safetensors"; /* 1 channel of 32 x 32 */
static const char *const latent = "tests/golden/model_d64_h4_p2.safetensors"; /* 4 channels */

static dydit_ctx *ctx;
static dydit_model *model;

static int open_model(void **state)
{
    (void)state;
    ctx = golden_ctx("cpu", 2);
    model = golden_model(ctx, small);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    dydit_model_close(&model);
    dydit_close(&ctx);
    golden_clean();
    return 0;
}

static const int labels[5] = {0, 3, 3, 25, 7};

static dydit_sample_options quick(int64_t n)
{
    dydit_sample_options o;
    dydit_sample_options_init(&o, sizeof o);
    o.steps = "ddim4";
    o.labels = labels;
    o.n_images = n;
    return o;
}

static void refused(const dydit_sample_options *o, dydit_status want, const char *word)
{
    dydit_result *r = (dydit_result *)(uintptr_t)1;
    assert_int_equal(dydit_sample(model, o, &r), want);
    assert_null(r);
    if (!strstr(dydit_message(ctx), word)) fail_msg("'%s' does not name %s", dydit_message(ctx), word);
}

static void uninitialised_structs(void **state)
{
    (void)state;
    dydit_sample_options o;
    dydit_ctx *other = NULL;
    dydit_options co;
    memset(&o, 0, sizeof o);
    refused(&o, DYDIT_ERR_ARG, "not initialised");
    dydit_sample_options_init(&o, sizeof o);
    o.size = sizeof o + 8; /* a newer caller */
    refused(&o, DYDIT_ERR_ARG, "not initialised");
    memset(&co, 0, sizeof co);
    assert_int_equal(dydit_open(&other, &co), DYDIT_ERR_ARG);
    assert_non_null(other); /* carries the message */
    assert_non_null(strstr(dydit_message(other), "dydit_options"));
    dydit_model *m = NULL;
    assert_int_equal(dydit_model_open(other, &m, small, NULL), DYDIT_ERR_ARG);
    assert_null(m);
    dydit_close(&other);
    assert_null(other);
    dydit_stats s = {0};
    assert_int_equal(dydit_result_stats(NULL, &s), DYDIT_ERR_ARG);
}

/* A caller compiled against a shorter struct keeps its meaning: later fields have their defaults. */
static void older_caller(void **state)
{
    (void)state;
    dydit_sample_options o = quick(2), shorter;
    dydit_result *a = NULL, *b = NULL;
    memset(&shorter, 0x5a, sizeof shorter); /* bytes behind the old end are not ours */
    dydit_sample_options_init(&shorter, offsetof(dydit_sample_options, latents_in));
    shorter.steps = o.steps;
    shorter.labels = o.labels;
    shorter.n_images = o.n_images;
    assert_int_equal(dydit_sample(model, &o, &a), DYDIT_OK);
    assert_int_equal(dydit_sample(model, &shorter, &b), DYDIT_OK);
    int64_t n;
    const float *x = dydit_result_latents(a, &n), *y = dydit_result_latents(b, NULL);
    assert_int_equal(n, 2);
    assert_memory_equal(x, y, 2 * 32 * 32 * sizeof *x);
    dydit_result_close(&a);
    dydit_result_close(&b);
}

static void refusals(void **state)
{
    (void)state;
    const int beyond[1] = {26};
    dydit_sample_options o = quick(0);
    refused(&o, DYDIT_ERR_ARG, "number of images");
    o = quick(1), o.labels = NULL, refused(&o, DYDIT_ERR_ARG, "labels");
    o = quick(1), o.labels = beyond, refused(&o, DYDIT_ERR_ARG, "26");
    o = quick(1), o.steps = "1", refused(&o, DYDIT_ERR_ARG, "1");
    o = quick(1), o.steps = "1001", refused(&o, DYDIT_ERR_ARG, "1001");
    o = quick(1), o.sampler = "euler", refused(&o, DYDIT_ERR_ARG, "euler");
    o = quick(1), o.rng = "dice", refused(&o, DYDIT_ERR_ARG, "dice");
    o = quick(1), o.eta = 2, refused(&o, DYDIT_ERR_ARG, "eta");
    o = quick(1), o.cfg_channels = 2, refused(&o, DYDIT_ERR_ARG, "cfg-channels");
    o = quick(1), o.cfg_lo = 500, o.cfg_hi = 400, refused(&o, DYDIT_ERR_ARG, "cfg-interval");
    o = quick(1), o.batch_size = -1, refused(&o, DYDIT_ERR_ARG, "batch size");
    o = quick(1), o.latents_in = "no/such/file", refused(&o, DYDIT_ERR_NOT_FOUND, "no/such/file");
    o = quick(1), o.latents_in = latent, refused(&o, DYDIT_ERR_FORMAT, latent);
    o = quick(5), o.max_mem = 1000, refused(&o, DYDIT_ERR_NOMEM, "limit");
}

/* The dry run's bytes are those of the run, and its largest batch is the largest that starts. */
static void estimates(void **state)
{
    (void)state;
    dydit_sample_options o = quick(5);
    dydit_estimate e = {.size = sizeof e}, more = {.size = sizeof more};
    dydit_stats s = {.size = sizeof s};
    dydit_result *r = NULL;
    o.batch_size = 3;
    assert_int_equal(dydit_estimate_sample(model, &o, &e), DYDIT_OK);
    assert_int_equal(e.batch_size, 3);
    assert_int_equal(e.max_batch, -1);
    assert_int_equal(dydit_sample(model, &o, &r), DYDIT_OK);
    assert_int_equal(dydit_result_stats(r, &s), DYDIT_OK);
    /* the run reports what it allocates on the backend; results, noise of a step and the threads' areas come on top */
    assert_true(s.peak_bytes <= e.peak_bytes);
    assert_true((double)s.peak_bytes > 0.9 * (double)(e.peak_bytes - e.scratch_bytes));
    assert_true(s.macs_executed <= e.macs_executed && s.macs_executed > 0.2 * e.macs_executed);
    assert_true(s.macs_dense > s.macs_executed);
    assert_int_equal(s.forward_rows, 5 * 4 * 2);
    dydit_result_close(&r);
    o.max_mem = e.peak_bytes;
    assert_int_equal(dydit_estimate_sample(model, &o, &e), DYDIT_OK);
    assert_int_equal(e.max_batch, 3);
    o.batch_size = 4;
    assert_int_equal(dydit_estimate_sample(model, &o, &more), DYDIT_OK);
    assert_true(more.peak_bytes > o.max_mem);
    refused(&o, DYDIT_ERR_NOMEM, "3 images would fit");
}

typedef struct calls {
    int steps, previews, last_step;
    int64_t done;
    char png[256];
} calls;

static int on_progress(void *user, const dydit_progress *p)
{
    calls *c = user;
    c->steps++;
    c->done = p->images_done;
    assert_int_equal(p->steps, 4);
    assert_true(p->seconds >= 0 && p->seconds_left >= 0);
    return 0;
}

static int on_preview(void *user, const dydit_result *r, int step)
{
    calls *c = user;
    c->previews++;
    c->last_step = step;
    assert_int_equal(dydit_result_write_png(r, c->png, NULL), DYDIT_OK);
    return 0;
}

static void callbacks(void **state)
{
    (void)state;
    calls c = {0};
    dydit_result *r = NULL;
    dydit_sample_options o = quick(3);
    snprintf(c.png, sizeof c.png, "%s", golden_scratch("preview.png"));
    o.batch_size = 2;
    o.progress = on_progress;
    o.preview = on_preview;
    o.preview_interval = 3;
    o.user = &c;
    assert_int_equal(dydit_sample(model, &o, &r), DYDIT_OK);
    assert_int_equal(c.steps, 2 * 4);
    assert_int_equal(c.done, 3);
    assert_int_equal(c.previews, 2);
    assert_int_equal(c.last_step, 3);
    dydit_png_options p;
    dydit_png_options_init(&p, sizeof p);
    p.zoom = 2;
    assert_int_equal(dydit_result_write_token_map(r, golden_scratch("map.png"), &p), DYDIT_OK);
    p.image = 3;
    assert_int_equal(dydit_result_write_png(r, golden_scratch("none.png"), &p), DYDIT_ERR_ARG);
    assert_int_equal(dydit_result_write_trajectory(r, golden_scratch("none.st")), DYDIT_ERR_ARG);
    FILE *f = fopen(golden_scratch("none.png"), "rb");
    assert_null(f);
    dydit_result_close(&r);
}

/* Previews and kept trajectories watch; they change nothing. */
static void watching_changes_nothing(void **state)
{
    (void)state;
    calls c = {0};
    dydit_result *a = NULL, *b = NULL;
    dydit_sample_options o = quick(2);
    o.sampler = "ddpm";
    assert_int_equal(dydit_sample(model, &o, &a), DYDIT_OK);
    snprintf(c.png, sizeof c.png, "%s", golden_scratch("watch.png"));
    o.keep_trajectory = 1;
    o.preview = on_preview;
    o.preview_interval = 1;
    o.compare_dense = 1;
    o.user = &c;
    assert_int_equal(dydit_sample(model, &o, &b), DYDIT_OK);
    assert_int_equal(c.previews, 3);
    assert_memory_equal(dydit_result_latents(a, NULL), dydit_result_latents(b, NULL), 2 * 32 * 32 * sizeof(float));
    dydit_stats s = {.size = sizeof s};
    assert_int_equal(dydit_result_stats(b, &s), DYDIT_OK);
    assert_true(s.dense_seconds > 0 && s.speedup > 0);
    dydit_result_close(&a);
    dydit_result_close(&b);
}

/* Guidance outside its interval costs no rows, and a scale of 1 means none. */
static void guidance_interval(void **state)
{
    (void)state;
    dydit_sample_options o = quick(2);
    dydit_stats s = {.size = sizeof s};
    dydit_result *r = NULL;
    o.cfg_lo = 200, o.cfg_hi = 600; /* of 750, 500, 250, 0 */
    assert_int_equal(dydit_sample(model, &o, &r), DYDIT_OK);
    assert_int_equal(dydit_result_stats(r, &s), DYDIT_OK);
    assert_int_equal(s.forward_rows, 2 * (1 + 2 + 2 + 1));
    dydit_result_close(&r);
    o = quick(2), o.cfg_scale = 1;
    assert_int_equal(dydit_sample(model, &o, &r), DYDIT_OK);
    assert_int_equal(dydit_result_stats(r, &s), DYDIT_OK);
    assert_int_equal(s.forward_rows, 2 * 4);
    dydit_result_close(&r);
}

static void forward_arrays(void **state)
{
    (void)state;
    enum { N = 3, PIXELS = 32 * 32 };
    float *x = calloc((size_t)N * PIXELS * 5, sizeof *x), *out = x + N * PIXELS, *one = out + N * PIXELS * 2;
    const float t[N] = {10, 500, 10};
    const int y[N] = {1, 26, 4}, bad[N] = {1, 27, 4};
    assert_non_null(x);
    for (int i = 0; i < N * PIXELS; i++) x[i] = (float)((i * 37) % 101) / 50.0f - 1.0f;
    assert_int_equal(dydit_forward(model, N, x, t, y, 0, out), DYDIT_OK);
    for (int i = 0; i < N; i++) { /* a row does not depend on its neighbours */
        assert_int_equal(dydit_forward(model, 1, x + i * PIXELS, t + i, y + i, 0, one), DYDIT_OK);
        assert_memory_equal(one, out + (size_t)i * PIXELS * 2, PIXELS * 2 * sizeof *one);
    }
    assert_int_equal(dydit_forward(model, N, x, t, bad, 0, out), DYDIT_ERR_ARG);
    assert_int_equal(dydit_forward(model, 0, x, t, y, 0, out), DYDIT_ERR_ARG);
    free(x);
}

/* Pixels of a PNG as they are stored (libpng's simplified reader would apply a gamma); the caller frees them. */
static uint8_t *read_pixels(const char *path, int channels, int *w, int *h)
{
    FILE *f = fopen(path, "rb");
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    assert_true(f && png && info);
    if (setjmp(png_jmpbuf(png))) fail_msg("%s cannot be read", path);
    png_init_io(png, f);
    png_read_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
    *w = (int)png_get_image_width(png, info);
    *h = (int)png_get_image_height(png, info);
    const size_t row = (size_t)*w * (size_t)channels;
    assert_int_equal(png_get_rowbytes(png, info), row);
    uint8_t *pixels = malloc(row * (size_t)*h);
    assert_non_null(pixels);
    for (int y = 0; y < *h; y++) memcpy(pixels + (size_t)y * row, png_get_rows(png, info)[y], row);
    png_destroy_read_struct(&png, &info, NULL);
    fclose(f);
    return pixels;
}

static void check_linear_preview(const dydit_result *r)
{
    dydit_png_options p;
    int w, h;
    dydit_png_options_init(&p, sizeof p);
    p.preview = (dydit_preview)7;
    assert_int_equal(dydit_result_write_png(r, golden_scratch("latent.png"), &p), DYDIT_ERR_ARG);
    p.preview = DYDIT_PREVIEW_LINEAR; /* test_view.c has its colours */
    assert_int_equal(dydit_result_write_png(r, golden_scratch("latent.png"), &p), DYDIT_OK);
    free(read_pixels(golden_scratch("latent.png"), 3, &w, &h));
    assert_true(w == 8 && h == 8);
}

static void latent_models_make_no_png(void **state)
{
    (void)state;
    dydit_model *m = golden_model(ctx, latent);
    dydit_model_info info = {.size = sizeof info};
    dydit_result *r = NULL;
    dydit_sample_options o = quick(1);
    assert_int_equal(dydit_model_get_info(m, &info), DYDIT_OK);
    assert_true(info.is_latent && info.dynamic && !info.has_labels);
    assert_int_equal(info.in_channels, 4);
    assert_int_equal(dydit_sample(m, &o, &r), DYDIT_OK);
    assert_int_equal(dydit_result_write_png(r, golden_scratch("latent.png"), NULL), DYDIT_ERR_UNSUPPORTED);
    assert_non_null(strstr(dydit_message(ctx), "VAE"));
    check_linear_preview(r);
    assert_int_equal(dydit_result_write_latents(r, golden_scratch("latent.st")), DYDIT_OK);
    dydit_result_close(&r);
    dydit_model_close(&m);
}

/* A grid as torchvision lays it out, bytes as upstream's scripts make them: clamp(127.5 x + 128, 0, 255), truncated. */
static void pixels_of_a_grid(void **state)
{
    (void)state;
    enum { NROW = 3, PAD = 2, ZOOM = 2, SIDE = 32, CELL = SIDE + PAD };
    dydit_result *r = NULL;
    dydit_sample_options o = quick(5);
    dydit_png_options p;
    int w, h, inside = 0;
    assert_int_equal(dydit_sample(model, &o, &r), DYDIT_OK);
    dydit_png_options_init(&p, sizeof p);
    p.nrow = NROW, p.zoom = ZOOM;
    assert_int_equal(dydit_result_write_png(r, golden_scratch("grid.png"), &p), DYDIT_OK);
    uint8_t *pixels = read_pixels(golden_scratch("grid.png"), 1, &w, &h);
    assert_int_equal(w, ZOOM * (NROW * CELL + PAD));
    assert_int_equal(h, ZOOM * (2 * CELL + PAD));
    const float *x = dydit_result_latents(r, NULL);
    for (int py = 0; py < h; py++)
        for (int px = 0; px < w; px++) {
            const int cx = (px / ZOOM - PAD) / CELL, cy = (py / ZOOM - PAD) / CELL;
            const int ix = px / ZOOM - PAD - cx * CELL, iy = py / ZOOM - PAD - cy * CELL, i = cy * NROW + cx;
            const int picture = ix >= 0 && ix < SIDE && iy >= 0 && iy < SIDE && i < 5;
            const float v = picture ? 127.5f * x[(i * SIDE + iy) * SIDE + ix] + 128.0f : 0.0f;
            const int want = v >= 255 ? 255 : v <= 0 ? 0 : (int)v;
            inside += want > 0 && want < 255;
            if (pixels[py * w + px] != want) fail_msg("pixel %d,%d is %d, not %d", px, py, pixels[py * w + px], want);
        }
    assert_in_range(inside, 20, w * h); /* pixels that are neither black nor white */
    free(pixels);
    dydit_result_close(&r);
}

static void random_labels(void **state)
{
    (void)state;
    int a[100], b[40];
    assert_int_equal(dydit_labels_random(model, 5, 0, 100, a), DYDIT_OK);
    assert_int_equal(dydit_labels_random(model, 5, 60, 40, b), DYDIT_OK);
    assert_memory_equal(a + 60, b, sizeof b);
    for (int i = 0; i < 100; i++) assert_in_range(a[i], 0, 25);
    assert_int_equal(dydit_labels_random(model, 6, 60, 40, b), DYDIT_OK);
    assert_memory_not_equal(a + 60, b, sizeof b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(uninitialised_structs),
                                       cmocka_unit_test(older_caller),
                                       cmocka_unit_test(refusals),
                                       cmocka_unit_test(estimates),
                                       cmocka_unit_test(callbacks),
                                       cmocka_unit_test(watching_changes_nothing),
                                       cmocka_unit_test(guidance_interval),
                                       cmocka_unit_test(forward_arrays),
                                       cmocka_unit_test(latent_models_make_no_png),
                                       cmocka_unit_test(pixels_of_a_grid),
                                       cmocka_unit_test(random_labels)};
    return cmocka_run_group_tests(tests, open_model, close_model);
}
