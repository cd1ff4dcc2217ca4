/* SPDX-License-Identifier: MIT
 * Options of the random streams: which card is imitated, what is said about it, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/api_internal.h"
#include "host/io/safetensors.h"
#include "kernels/ref/ref.h"
#include "support/golden.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static dydit_ctx *ctx;
static dydit_model *model;

static int open_model(void **state)
{
    (void)state;
    ctx = golden_ctx("cpu", 2);
    model = golden_model(ctx, "tests/golden/model_d128_h4_p4.safetensors");
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

static dydit_sample_options torch_cuda(void)
{
    static const int labels[3] = {0, 3, 7};
    dydit_sample_options o;
    dydit_sample_options_init(&o, sizeof o);
    o.steps = "3";
    o.labels = labels;
    o.n_images = 3;
    o.rng = "torch-cuda";
    return o;
}

/* The text about the numbers, in both reports, and the latents. */
static dydit_result *sampled(const dydit_sample_options *o, const char *rng)
{
    dydit_result *r = NULL;
    if (dydit_sample(model, o, &r) != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
    for (int json = 0; json < 2; json++) {
        char *text = NULL, line[256];
        snprintf(line, sizeof line, json ? "\"rng\": \"%s\"," : "\nnoise     %s\n", rng);
        assert_int_equal(dydit_result_report(r, json ? DYDIT_JSON : DYDIT_TEXT, &text), DYDIT_OK);
        if (!strstr(text, line)) fail_msg("'%s' is not in: %s", line, text);
        dydit_free(text);
    }
    return r;
}

static bool equal(const dydit_result *a, const dydit_result *b)
{
    int64_t n = 0;
    const float *x = dydit_result_latents(a, &n), *y = dydit_result_latents(b, NULL);
    return memcmp(x, y, (size_t)n * 32 * 32 * sizeof *x) == 0;
}

static void cards_by_name_and_by_size(void **state)
{
    (void)state;
    dydit_sample_options o = torch_cuda();
    dydit_result *dflt = sampled(&o, "torch-cuda as on A100 (108 x 2048)");
    o.rng_device = "a100";
    dydit_result *named = sampled(&o, "torch-cuda as on A100 (108 x 2048)");
    o.rng_device = NULL, o.rng_sms = 108, o.rng_threads_per_sm = 2048;
    dydit_result *sized = sampled(&o, "torch-cuda as on 108 x 2048");
    o.rng_sms = 1, o.rng_threads_per_sm = 1024; /* draws of 1024 and 2048 numbers: the latter wrap */
    dydit_result *tiny = sampled(&o, "torch-cuda as on 1 x 1024");
    o.rng = "torch-cpu", o.rng_sms = 0, o.rng_threads_per_sm = 0;
    dydit_result *cpu = sampled(&o, "torch-cpu");
    assert_true(equal(dflt, named) && equal(dflt, sized));
    assert_true(!equal(dflt, cpu));
    assert_true(equal(dflt, tiny)); /* of a draw for two rows the first is used: here still within the threads */
    dydit_result *all[] = {dflt, named, sized, tiny, cpu};
    for (int i = 0; i < COUNT(all); i++) dydit_result_close(&all[i]);
}

static void batches_wrap(void **state)
{
    (void)state;
    dydit_sample_options o = torch_cuda();
    o.seed_mode = DYDIT_SEED_BATCH;
    o.rng_sms = 1, o.rng_threads_per_sm = 1024;
    dydit_result *small = sampled(&o, "torch-cuda as on 1 x 1024");
    o.rng_sms = 12;
    dydit_result *large = sampled(&o, "torch-cuda as on 12 x 1024");
    o.rng_sms = 108;
    dydit_result *larger = sampled(&o, "torch-cuda as on 108 x 1024");
    assert_true(!equal(small, large));
    assert_true(equal(large, larger)); /* 3 images of 1024 numbers and two rows fit both */
    dydit_result_close(&small);
    dydit_result_close(&large);
    dydit_result_close(&larger);
}

/* A draw of upstream's for one image: [count] of n numbers. */
static void randn(float *dst, const dd_card *card, uint64_t seed, uint64_t *offset, int64_t n, int64_t count)
{
    const int32_t zero = 0;
    const dd_exec exec = {.step = &zero};
    const dd_noise_stream s = {seed, *offset, 0};
    const dd_noise_args a = {dst, &s, 0, count, dd_card_threads(card, n), 1};
    assert_int_equal(dd_ref_noise(&exec, &a), DD_OK);
    *offset += dd_card_growth(card, n);
}

/* Runs whose latents and noise come from a file of upstream's draws, written here: the same bits. */
static void numbers_are_upstreams(void **state)
{
    (void)state;
    enum { STEPS = 3, N = 3, COUNT_ = 32 * 32 };
    static const dd_card card = {NULL, 1, 512}; /* an image is more than it holds */
    static float x[N * COUNT_], noise[STEPS * N * COUNT_];
    const dd_tensor_entry list[] = {
        {.name = "x", .dtype = DD_F32, .rank = 4, .shape = {N, 1, 32, 32}, .data = x},
        {.name = "noise", .dtype = DD_F32, .rank = 5, .shape = {STEPS, N, 1, 32, 32}, .data = noise}};
    dydit_ctx *ref = golden_ctx("ref", 1), *cpu = ctx;
    dydit_model *its = golden_model(ref, "tests/golden/model_d128_h4_p4.safetensors"), *cpus = model;
    ctx = ref, model = its; /* the arithmetic that randn above has */
    for (int rows = 1; rows <= 2; rows++) {
        dydit_sample_options o = torch_cuda();
        o.seed = 5, o.cfg_scale = rows == 2 ? 4 : 1, o.cfg_lo = 500, o.rng_sms = 1, o.rng_threads_per_sm = 512;
        dydit_result *drawn = sampled(&o, "torch-cuda as on 1 x 512");
        for (int i = 0; i < N; i++) {
            uint64_t offset = 0;
            randn(x + i * COUNT_, &card, 5 + (uint64_t)i, &offset, COUNT_, COUNT_);
            for (int t = 0; t < STEPS; t++)
                randn(noise + (t * N + i) * COUNT_, &card, 5 + (uint64_t)i, &offset, rows * COUNT_, COUNT_);
        }
        o.latents_in = o.noise_in = golden_scratch("draws.safetensors");
        assert_int_equal(dd_safetensors_write(o.latents_in, list, 2, NULL, 0, NULL), DD_OK);
        dydit_result *given = sampled(&o, "torch-cuda as on 1 x 512");
        assert_true(equal(drawn, given));
        dydit_result_close(&drawn);
        dydit_result_close(&given);
    }
    dydit_model_close(&its);
    dydit_close(&ref);
    ctx = cpu, model = cpus;
}

static void the_card_that_samples(void **state)
{
    (void)state;
    dd_device_list list = {.n = 2, .opened = 1};
    list.device[0] = (dd_device){.name = "first", .sms = 10, .threads_per_sm = 1024};
    list.device[1] = (dd_device){.name = "NVIDIA Second", .sms = 20, .threads_per_sm = 1536};
    dydit_sample_options o = torch_cuda();
    dydit_result *r[3];
    ctx->be->devices = &list;
    r[0] = sampled(&o, "torch-cuda as on NVIDIA Second (20 x 1536)");
    o.rng_device = "T4";
    r[1] = sampled(&o, "torch-cuda as on T4 (40 x 1024)");
    list.opened = -1;
    o.rng_device = NULL;
    r[2] = sampled(&o, "torch-cuda as on A100 (108 x 2048)");
    ctx->be->devices = NULL;
    for (int i = 0; i < 3; i++) dydit_result_close(&r[i]);
}

static void refused(const dydit_sample_options *o, dydit_status want, const char *part)
{
    dydit_plan *p = NULL;
    assert_int_equal(dydit_plan_build(model, o, &p), want);
    assert_null(p);
    if (!strstr(dydit_message(ctx), part)) fail_msg("'%s' does not say: %s", dydit_message(ctx), part);
}

static void refusals(void **state)
{
    (void)state;
    dydit_sample_options o = torch_cuda();
    o.rng = "torch-gpu", refused(&o, DYDIT_ERR_ARG, "'torch-gpu' is not known: torch-cpu or torch-cuda");
    o = torch_cuda(), o.rng_device = "H1000";
    refused(&o, DYDIT_ERR_ARG, "rng-device 'H1000' is not known: H100, H100-PCIe, A100, L40S, RTX4090, A10G, L4 or T4");
    o = torch_cuda(), o.rng_sms = 3, refused(&o, DYDIT_ERR_ARG, "one of them is missing");
    o = torch_cuda(), o.rng_threads_per_sm = 1024, refused(&o, DYDIT_ERR_ARG, "one of them is missing");
    o = torch_cuda(), o.rng_device = "T4", o.rng_sms = 40, o.rng_threads_per_sm = 1024;
    refused(&o, DYDIT_ERR_ARG, "rng-device T4 and rng-sms exclude each other");
    o = torch_cuda(), o.rng_sms = -1, o.rng_threads_per_sm = 1024, refused(&o, DYDIT_ERR_ARG, "rng-sms -1");
    o = torch_cuda(), o.rng_sms = 1, o.rng_threads_per_sm = 255, refused(&o, DYDIT_ERR_ARG, "rng-threads-per-sm 255");
    static const char *const cpu[] = {"torch-cpu", NULL};
    for (int i = 0; i < 2; i++) {
        o = torch_cuda(), o.rng = cpu[i], o.rng_device = "T4";
        refused(&o, DYDIT_ERR_ARG, "rng-device has no meaning");
        o = torch_cuda(), o.rng = cpu[i], o.rng_threads_per_sm = 1024;
        refused(&o, DYDIT_ERR_ARG, "rng-sms has no meaning");
    }
}

/* Tensors of 2^31 bytes and more are drawn in pieces. */
static void draws_that_are_split(void **state)
{
    (void)state;
    dydit_model *large = NULL;
    dydit_plan *p = NULL;
    dydit_sample_options o = torch_cuda();
    if (dydit_model_random(ctx, &large, "DiT-S/8", 64, 1) != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
    o.n_images = 0;
    o.seed_mode = DYDIT_SEED_BATCH;
    o.batch_size = 1 << 14; /* two rows of 4 x 64 x 64: 2^29 */
    assert_int_equal(dydit_plan_build(large, &o, &p), DYDIT_OK);
    dydit_plan_close(&p);
    o.batch_size++;
    assert_int_equal(dydit_plan_build(large, &o, &p), DYDIT_ERR_UNSUPPORTED);
    assert_non_null(strstr(dydit_message(ctx), "batches of 16385 images draw 536903680 numbers at a time"));
    o.seed_mode = DYDIT_SEED_PER_IMAGE;
    assert_int_equal(dydit_plan_build(large, &o, &p), DYDIT_OK);
    dydit_plan_close(&p);
    dydit_model_close(&large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cards_by_name_and_by_size),
        cmocka_unit_test(batches_wrap),
        cmocka_unit_test(numbers_are_upstreams),
        cmocka_unit_test(the_card_that_samples),
        cmocka_unit_test(refusals),
        cmocka_unit_test(draws_that_are_split),
    };
    return cmocka_run_group_tests_name("api_rng", tests, open_model, close_model);
}
