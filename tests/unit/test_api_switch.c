/* SPDX-License-Identifier: MIT
 * Runs of two models through the public interface: what changes no bit, memory, plans that carry both, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/golden.h"

#define DYDIT "tests/golden/policy_dydit_d32_h2_p2.safetensors" /* 3 blocks of width 32, 4 channels of 8 x 8 */
#define MODEL_D64 "tests/golden/model_d64_h4_p2.safetensors"    /* 2 blocks of width 64, the same latents */
#define MODEL_D128 "tests/golden/model_d128_h4_p4.safetensors"  /* 1 channel of 32 x 32 */
#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static const int labels[4] = {1, 7, 7, 3};

static dydit_sample_options quick(const char *sampler, const char *steps)
{
    dydit_sample_options o;
    dydit_sample_options_init(&o, sizeof o);
    o.sampler = sampler;
    o.steps = steps;
    o.labels = labels;
    o.n_images = 3;
    o.batch_size = 2;
    return o;
}

static float *latents_of(dydit_ctx *ctx, dydit_model *model, const dydit_sample_options *o, dydit_stats *stats)
{
    dydit_result *r = NULL;
    int64_t n;
    if (dydit_sample(model, o, &r) != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
    const float *x = dydit_result_latents(r, &n);
    float *copy = malloc((size_t)n * 256 * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, x, (size_t)n * 256 * sizeof *copy);
    stats->size = sizeof *stats;
    assert_int_equal(dydit_result_stats(r, stats), DYDIT_OK);
    dydit_result_close(&r);
    return copy;
}

/* The same weights before and behind the switch, or no step behind it: the same bits, whatever the solver keeps. */
static void changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *backend, *sampler, *steps, *rng;
    } cases[] = {{"cpu", "ddpm", "6", "torch-cpu"},      {"cpu", "ddpm", "6", "torch-cuda"},
                 {"cpu", "ddim", "ddim40", "torch-cpu"}, /* two chunks of conditioning */
                 {"cpu", "dpmpp2m", "6", "torch-cpu"},   {"cpu", "unipc", "6", "torch-cpu"},
                 {"ref", "unipc", "4", "torch-cuda"}};
    for (int i = 0; i < COUNT(cases); i++) {
        dydit_ctx *ctx = golden_ctx(cases[i].backend, 2);
        dydit_model *model = golden_model(ctx, DYDIT), *same = golden_model(ctx, DYDIT),
                    *wide = golden_model(ctx, MODEL_D64);
        dydit_sample_options o = quick(cases[i].sampler, cases[i].steps);
        dydit_stats s = {0}, plain = {0};
        o.rng = cases[i].rng;
        float *want = latents_of(ctx, model, &o, &plain);
        dydit_model *const other[] = {same, model, wide, wide};
        for (int k = 0; k < COUNT(other); k++) {
            o.switch_model = other[k];
            o.switch_timestep = k < 2 ? 400 : 0;
            float *got = latents_of(ctx, model, &o, &s);
            assert_memory_equal(got, want, 3 * 256 * sizeof *got);
            assert_true(s.macs_executed == plain.macs_executed && s.forward_rows == plain.forward_rows);
            free(got);
        }
        o.switch_timestep = 400;
        float *got = latents_of(ctx, model, &o, &s);
        assert_memory_not_equal(got, want, 3 * 256 * sizeof *got);
        free(got), free(want);
        dydit_model_close(&wide);
        dydit_model_close(&same);
        dydit_model_close(&model);
        dydit_close(&ctx);
    }
}

/* Both weights and both sessions; the dry run knows. */
static void memory_of_both(void **state)
{
    (void)state;
    dydit_ctx *ctx = golden_ctx("cpu", 2);
    dydit_model *model = golden_model(ctx, DYDIT), *wide = golden_model(ctx, MODEL_D64);
    dydit_sample_options o = quick("ddim", "ddim10");
    dydit_estimate a = {.size = sizeof a}, b = a, both = a, beside = a;
    dydit_stats s = {0};
    o.policy = "fora:interval=2";
    assert_int_equal(dydit_estimate_sample(model, &o, &a), DYDIT_OK);
    assert_int_equal(dydit_estimate_sample(wide, &o, &b), DYDIT_OK);
    o.switch_model = wide;
    o.switch_timestep = 400;
    assert_int_equal(dydit_estimate_sample(model, &o, &both), DYDIT_OK);
    assert_int_equal(both.weights_bytes, a.weights_bytes + b.weights_bytes);
    assert_int_equal(both.slot_bytes, a.slot_bytes + b.slot_bytes);
    assert_int_equal(both.activation_bytes, a.activation_bytes + b.activation_bytes);
    assert_int_equal(both.file_bytes, a.file_bytes + b.file_bytes);
    assert_int_equal(both.programs, a.programs + b.programs);
    const uint64_t on_host = (3 + 2 * 2) * 256 * sizeof(float); /* results, start and step noise */
    free(latents_of(ctx, model, &o, &s));
    assert_int_equal(s.peak_bytes, both.peak_bytes - both.scratch_bytes - on_host);
    o.compare_dense = 1;
    assert_int_equal(dydit_estimate_sample(model, &o, &beside), DYDIT_OK);
    assert_int_equal(beside.weights_bytes, both.weights_bytes);
    assert_true(beside.activation_bytes > both.activation_bytes);
    free(latents_of(ctx, model, &o, &s));
    assert_true(s.dense_seconds > 0);
    o.switch_model = model; /* once */
    assert_int_equal(dydit_estimate_sample(model, &o, &both), DYDIT_OK);
    assert_int_equal(both.weights_bytes, a.weights_bytes);
    dydit_model_close(&wide);
    dydit_model_close(&model);
    dydit_close(&ctx);
}

static void refused(dydit_model *model, dydit_ctx *ctx, const dydit_sample_options *o, dydit_status want,
                    const char *part)
{
    dydit_result *r = NULL;
    assert_int_equal(dydit_sample(model, o, &r), want);
    assert_null(r);
    if (!strstr(dydit_message(ctx), part)) fail_msg("\"%s\" is not in: %s", part, dydit_message(ctx));
}

static void refusals(void **state)
{
    (void)state;
    dydit_ctx *ctx = golden_ctx("cpu", 1), *elsewhere = golden_ctx("cpu", 1);
    dydit_model *model = golden_model(ctx, DYDIT), *wide = golden_model(ctx, MODEL_D64),
                *letters = golden_model(ctx, MODEL_D128), *far = golden_model(elsewhere, MODEL_D64);
    dydit_sample_options o = quick("ddim", "ddim10");
    dydit_plan *plan = NULL;
    o.switch_timestep = 400;
    refused(model, ctx, &o, DYDIT_ERR_ARG, "switch timestep 400, but no model to switch to");
    o.switch_model = letters;
    refused(model, ctx, &o, DYDIT_ERR_ARG, "its latents are 1 x 32 x 32, those of " DYDIT " 4 x 8 x 8");
    o.switch_model = far;
    refused(model, ctx, &o, DYDIT_ERR_ARG, "it was opened with another context");
    o.switch_model = wide;
    o.switch_timestep = 1001;
    refused(model, ctx, &o, DYDIT_ERR_ARG, "switch timestep 1001 is out of range: 0 to 1000");
    o.switch_timestep = 1000;
    refused(model, ctx, &o, DYDIT_ERR_ARG, "the model itself would not run");
    o.switch_timestep = 400;
    o.keep_trajectory = 1;
    refused(model, ctx, &o, DYDIT_ERR_UNSUPPORTED, "a trajectory of two models has one shape");
    o.keep_trajectory = 0;
    assert_int_equal(dydit_plan_synthetic(model, &o, 0.5, 1, &plan), DYDIT_ERR_ARG);
    assert_int_equal(dydit_plan_build(model, &o, &plan), DYDIT_OK);
    o.plan = plan;
    o.switch_timestep = 200;
    refused(model, ctx, &o, DYDIT_ERR_FORMAT, "plan: step 6 (timestep 300) has weight set 1, but the switch is at 200");
    o.switch_timestep = 0;
    refused(model, ctx, &o, DYDIT_ERR_FORMAT, "it changes to another model (DyDiT-d64-l2-h4/2)");
    dydit_plan_close(&plan);
    o.plan = NULL;
    assert_int_equal(dydit_plan_build(model, &o, &plan), DYDIT_OK); /* of one model */
    o.plan = plan;
    o.switch_timestep = 400;
    refused(model, ctx, &o, DYDIT_ERR_FORMAT,
            "plan: all its steps are of one model, but the switch is at timestep 400");
    dydit_plan_close(&plan);
    dydit_model_close(&far);
    dydit_model_close(&letters);
    dydit_model_close(&wide);
    dydit_model_close(&model);
    dydit_close(&elsewhere);
    dydit_close(&ctx);
}

/* A plan of two models is executed as it is; it knows them. */
static void plans_carry_both(void **state)
{
    (void)state;
    dydit_ctx *ctx = golden_ctx("cpu", 2);
    dydit_model *model = golden_model(ctx, DYDIT), *wide = golden_model(ctx, MODEL_D64);
    dydit_sample_options o = quick("ddim", "ddim10");
    dydit_plan *plan = NULL;
    dydit_stats s = {0};
    char *text = NULL;
    o.switch_model = wide;
    o.switch_timestep = 400;
    o.policy = "inherit:mode=output,stride=3";
    float *want = latents_of(ctx, model, &o, &s);
    assert_int_equal(dydit_plan_build(model, &o, &plan), DYDIT_OK);
    o = quick("ddim", "ddim10");
    o.plan = plan;
    float *got = latents_of(ctx, model, &o, &s);
    assert_memory_equal(got, want, 3 * 256 * sizeof *got);
    dydit_bound_options b;
    dydit_bound_options_init(&b, sizeof b);
    b.device = "H100";
    assert_int_equal(dydit_plan_bound(plan, &b, DYDIT_TEXT, &text), DYDIT_OK);
    assert_non_null(strstr(text, "then DyDiT-d64-l2-h4/2"));
    dydit_free(text);
    free(got), free(want);
    dydit_plan_close(&plan);
    dydit_model_close(&wide);
    dydit_model_close(&model);
    dydit_close(&ctx);
}

/* From one model to the same one at every step, there and back: bits that nobody can tell from one model's. */
static void there_and_back(void **state)
{
    (void)state;
    dydit_ctx *ctx = golden_ctx("cpu", 2);
    dydit_model *model = golden_model(ctx, DYDIT), *same = golden_model(ctx, DYDIT);
    dydit_sample_options o = quick("unipc", "8");
    dydit_plan *plan = NULL;
    dydit_stats s = {0};
    const char *path = golden_scratch("back.json");
    char *text = NULL;
    float *want = latents_of(ctx, model, &o, &s);
    o.switch_model = same;
    o.switch_timestep = 400;
    assert_int_equal(dydit_plan_build(model, &o, &plan), DYDIT_OK);
    assert_int_equal(dydit_plan_report(plan, DYDIT_JSON, &text), DYDIT_OK);
    dydit_plan_close(&plan);
    int n = 0;
    for (char *at = text; (at = strstr(at, "\"weight_set\":")); n++) {
        at += strlen("\"weight_set\":");
        *at = n % 2 ? '1' : '0';
    }
    assert_int_equal(n, 8);
    FILE *f = fopen(path, "w");
    assert_true(f && fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(dydit_plan_read_switched(model, same, path, &plan), DYDIT_OK);
    o.switch_model = NULL;
    o.switch_timestep = 0;
    o.plan = plan;
    float *got = latents_of(ctx, model, &o, &s);
    assert_memory_equal(got, want, 3 * 256 * sizeof *got);
    assert_int_equal(s.programs, 2);
    free(got), free(want);
    dydit_free(text);
    dydit_plan_close(&plan);
    dydit_model_close(&same);
    dydit_model_close(&model);
    dydit_close(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(changes_nothing), cmocka_unit_test(memory_of_both),
                                       cmocka_unit_test(refusals), cmocka_unit_test(plans_carry_both),
                                       cmocka_unit_test(there_and_back)};
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    golden_clean();
    return rc;
}
