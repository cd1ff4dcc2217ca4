/* SPDX-License-Identifier: MIT
 * What the public interface offers to benchmarks: random models, synthetic plans, calibrated routers, op times, peaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/golden.h"

static const char *const from_file = "tests/golden/model_d64_h4_p2.safetensors";
static const int labels[2] = {0, 1};

static dydit_ctx *ctx;
static dydit_model *model; /* DyDiT-S/8 on latents of 32 x 32: 16 tokens */

static int open_model(void **state)
{
    (void)state;
    ctx = golden_ctx("cpu", 2);
    return dydit_model_random(ctx, &model, "DyDiT-S/8", 0, 7) == DYDIT_OK ? 0 : -1;
}

static int close_model(void **state)
{
    (void)state;
    dydit_model_close(&model);
    dydit_close(&ctx);
    return 0;
}

static dydit_sample_options quick(const dydit_plan *plan)
{
    dydit_sample_options o;
    dydit_sample_options_init(&o, sizeof o);
    o.steps = "ddim4";
    o.cfg_scale = 1.5;
    o.labels = labels;
    o.n_images = 2;
    o.plan = plan;
    return o;
}

static void must(dydit_status st)
{
    if (st != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
}

static void refused(dydit_status st, dydit_status want, const char *part)
{
    assert_int_equal(st, want);
    if (!strstr(dydit_message(ctx), part)) fail_msg("'%s' is not in: %s", part, dydit_message(ctx));
}

static float *latents_of(dydit_model *m)
{
    const dydit_sample_options o = quick(NULL);
    dydit_result *r = NULL;
    must(dydit_sample(m, &o, &r));
    const size_t n = 2 * 4 * 32 * 32 * sizeof(float);
    float *copy = malloc(n);
    assert_non_null(copy);
    memcpy(copy, dydit_result_latents(r, NULL), n);
    dydit_result_close(&r);
    return copy;
}

static void random_models_are_those_of_their_seed(void **state)
{
    (void)state;
    dydit_model *again = NULL, *other = NULL;
    dydit_model_info info = {.size = sizeof info};
    must(dydit_model_random(ctx, &again, "DyDiT-S/8", 32, 7));
    must(dydit_model_random(ctx, &other, "DyDiT-S/8", 32, 8));
    must(dydit_model_get_info(again, &info));
    assert_string_equal(info.arch, "DyDiT-S/8");
    assert_int_equal(info.tokens, 16);
    assert_true(info.dynamic);
    float *a = latents_of(model), *b = latents_of(again), *c = latents_of(other);
    const size_t n = 2 * 4 * 32 * 32 * sizeof(float);
    assert_memory_equal(a, b, n);
    assert_true(memcmp(a, c, n) != 0);
    free(a);
    free(b);
    free(c);
    dydit_model_close(&again);
    dydit_model_close(&other);
    refused(dydit_model_random(ctx, &other, "DyDiT-Q/8", 0, 0), DYDIT_ERR_ARG, "DyDiT-Q/8");
    assert_null(other);
    refused(dydit_model_random(ctx, &other, "DyDiT-S/8", 36, 0), DYDIT_ERR_ARG, "36");
    refused(dydit_model_random(ctx, &other, "DyDiT-S/8", -8, 0), DYDIT_ERR_ARG, "input_size");
}

/* The executed MACs are those of the wanted ratio, and the routers keep the wanted share. */
static void calibration_meets_the_share(void **state)
{
    (void)state;
    for (double share = 0.3; share < 0.95; share += 0.25) {
        dydit_sample_options o = quick(NULL);
        dydit_plan *plan = NULL;
        dydit_result *r = NULL;
        dydit_stats s = {.size = sizeof s};
        must(dydit_plan_synthetic(model, &o, 0.4, share, &plan));
        o.plan = plan;
        must(dydit_model_calibrate(model, &o, share));
        must(dydit_sample(model, &o, &r));
        must(dydit_result_stats(r, &s));
        /* 16 tokens: single tokens are 6 % of a router's share, but there are 12 routers and 4 steps of 4 rows */
        if (!(fabs(s.tokens - share) <= 0.05)) fail_msg("share %g: kept %g", share, s.tokens);
        if (!(fabs(1 / s.mac_ratio - 0.4) <= 0.05)) fail_msg("share %g: MAC ratio 1/%g", share, s.mac_ratio);
        dydit_result_close(&r);
        dydit_plan_close(&plan);
    }
}

static void calibration_refuses(void **state)
{
    (void)state;
    dydit_model *dense = NULL, *file = golden_model(ctx, from_file);
    const dydit_sample_options o = quick(NULL);
    refused(dydit_model_calibrate(file, &o, 0.5), DYDIT_ERR_ARG, "left as they are");
    refused(dydit_model_calibrate(model, &o, 1), DYDIT_ERR_ARG, "between 0 and 1");
    refused(dydit_model_calibrate(model, &o, NAN), DYDIT_ERR_ARG, "between 0 and 1");
    must(dydit_model_random(ctx, &dense, "DiT-S/8", 0, 0));
    refused(dydit_model_calibrate(dense, &o, 0.5), DYDIT_ERR_ARG, "no token routers");
    dydit_plan *plan = NULL;
    refused(dydit_plan_synthetic(dense, &o, 0.5, 0.5, &plan), DYDIT_ERR_ARG, "no token routers");
    refused(dydit_plan_synthetic(dense, &o, 0.001, 1, &plan), DYDIT_ERR_ARG, "cannot be had");
    assert_null(plan);
    dydit_model_close(&dense);
    dydit_model_close(&file);
}

/* Timing op by op changes no bit, and the kinds of the network have taken time. */
static void profiles(void **state)
{
    (void)state;
    dydit_sample_options o = quick(NULL);
    dydit_result *plain = NULL, *timed = NULL;
    char *text = NULL;
    must(dydit_sample(model, &o, &plain));
    o.profile = 1;
    must(dydit_sample(model, &o, &timed));
    assert_memory_equal(dydit_result_latents(plain, NULL), dydit_result_latents(timed, NULL),
                        2 * 4 * 32 * 32 * sizeof(float));
    must(dydit_result_report(plain, DYDIT_JSON, &text));
    assert_null(strstr(text, "profile"));
    dydit_free(text);
    must(dydit_result_report(timed, DYDIT_JSON, &text));
    static const char *const kinds[] = {"cond",  "embed", "adaln", "qkv",   "attention", "proj",
                                        "route", "fc1",   "fc2",   "final", "guide",     "solve"};
    const char *at = strstr(text, "\"profile\"");
    assert_non_null(at);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char key[32];
        snprintf(key, sizeof key, "\"%s\": ", kinds[i]);
        const char *v = strstr(at, key);
        if (!v || !(strtod(v + strlen(key), NULL) > 0)) fail_msg("no time of %s in %s", kinds[i], at);
    }
    const char *other = strstr(at, "\"other\": ");
    assert_true(other && strtod(other + 9, NULL) == 0); /* every op has a kind */
    dydit_free(text);
    dydit_result_close(&plain);
    dydit_result_close(&timed);
}

static void peaks(void **state)
{
    (void)state;
    double macs = 0, bytes = 0;
    must(dydit_measure_macs(ctx, &macs));
    assert_true(macs > 1e6 && macs < 1e17);
    must(dydit_measure_read(ctx, &bytes));
    assert_true(bytes > 1e6 && bytes < 1e15);
    dydit_ctx *ref = golden_ctx("ref", 1);
    assert_int_equal(dydit_measure_macs(ref, &macs), DYDIT_ERR_UNSUPPORTED);
    assert_int_equal(dydit_measure_read(ref, &macs), DYDIT_ERR_UNSUPPORTED);
    dydit_close(&ref);
}

static void profilers_need_not_be_there(void **state)
{
    (void)state;
    must(dydit_profiler(ctx, 1));
    must(dydit_profiler(ctx, 0));
    assert_int_equal(dydit_profiler(NULL, 1), DYDIT_ERR_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_models_are_those_of_their_seed),
        cmocka_unit_test(calibration_meets_the_share),
        cmocka_unit_test(calibration_refuses),
        cmocka_unit_test(profiles),
        cmocka_unit_test(peaks),
        cmocka_unit_test(profilers_need_not_be_there),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
