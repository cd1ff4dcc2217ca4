/* SPDX-License-Identifier: MIT
 * Whole sampling runs against the goldens, on every backend: every solver at every step, and the trained demo
 * model. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/io/safetensors.h"

#include "support/golden.h"

#define TOLERANCE 1e-5

static const char *const sampling = "tests/golden/sampling_d32_h2_p2.safetensors";
static const char *const solvers = "tests/golden/solvers.safetensors";
static const char *const demo = "models/glyphs.safetensors";
static const char *const demo_expected = "tests/golden/demo_expected.safetensors";

/* Writes `x`, and `noise` where there is some, as an input file of its own. */
static const char *inputs(const golden *g, const char *noise_name)
{
    const char *path = golden_scratch("inputs.safetensors");
    dd_err err = {0};
    dd_tensor_entry list[2];
    const dd_tensor *x = dd_tensors_find(g->file, "golden.x"),
                    *noise = noise_name ? dd_tensors_find(g->file, noise_name) : NULL;
    assert_non_null(x);
    list[0] = (dd_tensor_entry){.name = "x", .dtype = DD_F32, .rank = x->rank, .data = x->data};
    memcpy(list[0].shape, x->shape, sizeof x->shape);
    if (noise) {
        list[1] = (dd_tensor_entry){.name = "noise", .dtype = DD_F32, .rank = noise->rank, .data = noise->data};
        memcpy(list[1].shape, noise->shape, sizeof noise->shape);
    }
    if (dd_safetensors_write(path, list, noise ? 2 : 1, NULL, 0, &err) != DD_OK) fail_msg("%s", err.text);
    return path;
}

/* Labels `golden.y` of a file. */
static int *labels(const golden *g, int64_t *n)
{
    size_t count;
    float *y = golden_values(g, "golden.y", &count);
    int *out = calloc(count, sizeof *out);
    assert_non_null(out);
    for (size_t i = 0; i < count; i++) out[i] = (int)y[i];
    free(y);
    *n = (int64_t)count;
    return out;
}

static void sample(dydit_ctx *ctx, dydit_model *model, const dydit_sample_options *o, const char *trajectory)
{
    dydit_result *r = NULL;
    if (dydit_sample(model, o, &r) != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
    if (dydit_result_write_trajectory(r, trajectory) != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
    dydit_result_close(&r);
}

static void equal(const golden *g, const char *want, const golden *got, const char *name)
{
    const size_t n = golden_differences(g, want, got, name, NULL);
    if (n) fail_msg("%s: %zu values of %s differ", g->path, n, want);
}

/* Latents of every step against the step's own largest magnitude. */
static void near_each_step(const golden *g, const char *name, const golden *got, int steps, const char *backend)
{
    size_t n, m;
    float *want = golden_values(g, name, &n), *have = golden_values(got, "x", &m);
    const size_t count = n / (size_t)steps;
    assert_int_equal(n, m);
    for (size_t step = 0; step < (size_t)steps; step++) {
        double largest = 0, off = 0;
        for (size_t i = step * count; i < (step + 1) * count; i++) {
            assert_true(dd_f32_finite(have[i]));
            largest = fmax(largest, fabs((double)want[i]));
            off = fmax(off, fabs((double)want[i] - (double)have[i]));
        }
        if (!(off <= TOLERANCE * largest))
            fail_msg("%s step %zu on %s: off by %g of %g", name, step, backend, off, largest);
    }
    free(want), free(have);
}

static void trajectory_on(const char *backend, const char *sampler, int batch)
{
    dydit_ctx *ctx = golden_ctx(backend, 2);
    dydit_model *model = golden_model(ctx, sampling);
    golden g = golden_open(sampling);
    dydit_sample_options o;
    dydit_sample_options_init(&o, sizeof o);
    o.sampler = sampler;
    o.steps = "10";
    o.keep_trajectory = 1;
    o.batch_size = batch;
    int *y = labels(&g, &o.n_images);
    o.labels = y;
    o.latents_in = inputs(&g, "golden.ddpm.noise");
    if (strcmp(sampler, "ddpm") == 0) o.noise_in = o.latents_in;
    const char *out = golden_scratch("trajectory.safetensors");
    sample(ctx, model, &o, out);
    golden got = golden_open(out);
    char name[64];
    static const char *const same[] = {"t", "heads", "groups", "tokens"};
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "golden.%s.%s", sampler, same[i]);
        equal(&g, name, &got, same[i]);
    }
    snprintf(name, sizeof name, "golden.%s.x", sampler);
    near_each_step(&g, name, &got, 10, backend);
    free(y);
    golden_close(&got);
    golden_close(&g);
    dydit_model_close(&model);
    dydit_close(&ctx);
}

/* Every step of diffusers' schedulers round the golden model (tests/golden/solvers.py), in batches of `batch`. */
static void multistep_on(const char *backend, const char *sampler, int steps, int batch)
{
    dydit_ctx *ctx = golden_ctx(backend, 2);
    dydit_model *model = golden_model(ctx, sampling);
    golden g = golden_open(sampling), expected = golden_open(solvers);
    char name[64], number[16];
    dydit_sample_options o;
    dydit_sample_options_init(&o, sizeof o);
    snprintf(number, sizeof number, "%d", steps);
    o.sampler = sampler;
    o.steps = number;
    o.keep_trajectory = 1;
    o.batch_size = batch;
    int *y = labels(&g, &o.n_images);
    o.labels = y;
    o.latents_in = inputs(&g, NULL);
    const char *out = golden_scratch("trajectory.safetensors");
    sample(ctx, model, &o, out);
    golden got = golden_open(out);
    snprintf(name, sizeof name, "t.linspace%d", steps);
    equal(&expected, name, &got, "t");
    snprintf(name, sizeof name, "model.%s.%d.x", sampler, steps);
    near_each_step(&expected, name, &got, steps, backend);
    free(y);
    golden_close(&got);
    golden_close(&expected);
    golden_close(&g);
    dydit_model_close(&model);
    dydit_close(&ctx);
}

/* A second batch must not read what the first one has left; the reference is slow and gets the smallest. */
static void dpmpp2m_every_step(void **state)
{
    (void)state;
    multistep_on("ref", "dpmpp2m", 5, 2);
    multistep_on("cpu", "dpmpp2m", 5, 1);
    multistep_on("cpu", "dpmpp2m", 10, 2);
    multistep_on("cpu", "dpmpp2m", 20, 2);
    multistep_on("cpu", "dpmpp2m", 25, 2);
}

static void unipc_every_step(void **state)
{
    (void)state;
    multistep_on("ref", "unipc", 5, 2);
    multistep_on("cpu", "unipc", 5, 1);
    multistep_on("cpu", "unipc", 10, 2);
    multistep_on("cpu", "unipc", 20, 2);
    multistep_on("cpu", "unipc", 25, 2);
}

static void ddpm_every_step(void **state)
{
    (void)state;
    trajectory_on("ref", "ddpm", 2);
    trajectory_on("cpu", "ddpm", 2);
    trajectory_on("cpu", "ddpm", 1); /* the same in two batches */
}

static void ddim_every_step(void **state)
{
    (void)state;
    trajectory_on("ref", "ddim", 2);
    trajectory_on("cpu", "ddim", 2);
}

/* The trained model against PyTorch's float32 run: unit masks equal, nearly all token decisions, the same letters. */
static void demo_model(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    print_message("# 50 steps of the demo model take long, and tests/cli/sample.sh has it under this sanitizer\n");
    skip();
#endif
    dydit_ctx *ctx = golden_ctx("cpu", 2);
    dydit_model *model = golden_model(ctx, demo);
    golden g = golden_open(demo_expected);
    dydit_sample_options o;
    dydit_sample_options_init(&o, sizeof o);
    o.steps = "ddim50";
    o.cfg_scale = 2.0;
    o.keep_trajectory = 1;
    int *y = labels(&g, &o.n_images);
    o.labels = y;
    o.latents_in = inputs(&g, NULL);
    const char *out = golden_scratch("demo.safetensors");
    sample(ctx, model, &o, out);
    golden got = golden_open(out);
    equal(&g, "golden.ddim.t", &got, "t");
    equal(&g, "golden.ddim.heads", &got, "heads");
    equal(&g, "golden.ddim.groups", &got, "groups");
    size_t n, m;
    const size_t differ = golden_differences(&g, "golden.ddim.tokens", &got, "tokens", &n);
    if (differ * 1000 > n) fail_msg("%zu of %zu token decisions differ", differ, n);
    float *want = golden_values(&g, "golden.ddim.x", &n), *have = golden_values(&got, "x", &m);
    assert_int_equal(n, m);
    double sum = 0;
    const size_t last = n - n / 50;
    for (size_t i = last; i < n; i++) {
        assert_true(dd_f32_finite(have[i]));
        sum += fabs((double)want[i] - (double)have[i]);
    }
    const double mean = sum / (double)(n - last);
    print_message("demo: %zu of the token decisions differ, mean absolute difference of the letters %.2g\n", differ,
                  mean);
    if (!(mean <= 0.005)) fail_msg("mean absolute difference of the final letters is %g", mean);
    free(want), free(have), free(y);
    golden_close(&got);
    golden_close(&g);
    dydit_model_close(&model);
    dydit_close(&ctx);
}

static void trajectory_chosen(void **state)
{
    (void)state;
    trajectory_on(golden_backend(), "ddpm", 2);
    trajectory_on(golden_backend(), "ddpm", 1);
    trajectory_on(golden_backend(), "ddim", 2);
    multistep_on(golden_backend(), "dpmpp2m", 5, 2);
    multistep_on(golden_backend(), "unipc", 5, 1);
}

static int clean(void **state)
{
    (void)state;
    golden_clean();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ddpm_every_step), cmocka_unit_test(ddim_every_step),
                                       cmocka_unit_test(dpmpp2m_every_step), cmocka_unit_test(unipc_every_step),
                                       cmocka_unit_test(demo_model)};
    const struct CMUnitTest chosen[] = {cmocka_unit_test(trajectory_chosen)}; /* the demo is long for an emulator */
    return golden_backend() ? cmocka_run_group_tests(chosen, NULL, clean) : cmocka_run_group_tests(tests, NULL, clean);
}
