/* SPDX-License-Identifier: MIT
 * Forward passes of the golden models on every backend: masks identical, tensors within 1e-5 of their largest
 * magnitude. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host/io/safetensors.h"
#include "host/model/temb.h"
#include "host/plan/policy.h"
#include "support/golden.h"

/* The goldens' float64 statement against any float32 order of summation: see tests/golden/README.md. */
#define TOLERANCE 1e-5

static const char *const models[] = {"tests/golden/model_d64_h4_p2.safetensors",
                                     "tests/golden/model_d144_h2_p2.safetensors",
                                     "tests/golden/model_d128_h4_p4.safetensors"};

enum { N_MODELS = sizeof models / sizeof models[0] };

static void run(dydit_model *model, dydit_ctx *ctx, const char *path, const char *out, int dense)
{
    dydit_eval_options o;
    dydit_eval_options_init(&o, sizeof o);
    o.in = path;
    o.in_prefix = "golden.";
    o.out = out;
    o.dense = dense;
    o.trace = 1;
    o.cfg_scale = dense ? 0 : 4.0;
    if (dydit_eval(model, &o) != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
}

static void no_difference(const golden *g, const char *want, const golden *got, const char *name)
{
    const size_t n = golden_differences(g, want, got, name, NULL);
    if (n) fail_msg("%s: %zu decisions of %s differ", g->path, n, want);
}

/* Models with depth-weighted averages: hidden are the outputs of blocks, out follows from what was averaged. */
static void averages_on(dydit_ctx *ctx, const char *out)
{
    static const char *const files[] = {"tests/golden/denseformer_d32_h2_1x1.safetensors",
                                        "tests/golden/denseformer_d32_h2_2x3.safetensors",
                                        "tests/golden/denseformer_experiments.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        dydit_model *model = golden_model(ctx, files[i]);
        golden g = golden_open(files[i]);
        run(model, ctx, files[i], out, 0);
        golden got = golden_open(out);
        golden_near(&g, "golden.hidden", &got, "hidden", TOLERANCE);
        golden_near(&g, "golden.out", &got, "out", TOLERANCE);
        golden_close(&got);
        if (i == 0) {
            run(model, ctx, files[i], out, 1);
            got = golden_open(out);
            golden_near(&g, "golden.static_out", &got, "out", TOLERANCE);
            golden_close(&got);
        }
        golden_close(&g);
        dydit_model_close(&model);
    }
}

static void forward_on(const char *backend)
{
    dydit_ctx *ctx = golden_ctx(backend, 2);
    const char *out = golden_scratch("out.safetensors");
    for (int i = 0; i < N_MODELS; i++) {
        dydit_model *model = golden_model(ctx, models[i]);
        golden g = golden_open(models[i]);
        run(model, ctx, models[i], out, 0);
        golden got = golden_open(out);
        no_difference(&g, "golden.heads", &got, "heads");
        no_difference(&g, "golden.groups", &got, "groups");
        no_difference(&g, "golden.tokens", &got, "tokens");
        golden_near(&g, "golden.hidden", &got, "hidden", TOLERANCE);
        golden_near(&g, "golden.out", &got, "out", TOLERANCE);
        golden_near(&g, "golden.cfg_out", &got, "cfg_out", TOLERANCE);
        golden_close(&got);
        run(model, ctx, models[i], out, 1);
        got = golden_open(out);
        golden_near(&g, "golden.static_out", &got, "out", TOLERANCE);
        if (i == 0) golden_near(&g, "golden.static_hidden", &got, "hidden", TOLERANCE);
        golden_close(&got);
        golden_close(&g);
        dydit_model_close(&model);
    }
    averages_on(ctx, out);
    dydit_close(&ctx);
}

static void forward_chosen(void **state)
{
    (void)state;
    forward_on(golden_backend());
}

static void forward_ref(void **state)
{
    (void)state;
    forward_on("ref");
}

/* The cpu backend with the best instruction set, then with each one forced that this machine has. */
static void forward_cpu(void **state)
{
    static const char *const isa[] = {"portable", "avx2", "avx512", "avx512bf16", "amx"};
    (void)state;
    forward_on("cpu");
    for (size_t i = 0; i < sizeof isa / sizeof isa[0]; i++) {
        dydit_ctx *ctx = NULL;
        setenv("DYDIT_ISA", isa[i], 1);
        const dydit_status st = dydit_open(&ctx, NULL);
        dydit_close(&ctx);
        if (st == DYDIT_OK) forward_on("cpu");
        else print_message("%s: not on this machine\n", isa[i]);
    }
    unsetenv("DYDIT_ISA");
}

/* A DiT without routers: the first, fully computed step of a run, guided. */
static void dense_dit_on(const char *backend)
{
    static const char *const path = "tests/golden/policy_dit_d32_h2_p2.safetensors";
    dydit_ctx *ctx = golden_ctx(backend, 1);
    dydit_model *model = golden_model(ctx, path);
    golden g = golden_open(path);
    size_t n, nt, ny, no;
    float *x = golden_values(&g, "golden.fora2.start", &n), *t = golden_values(&g, "golden.fora2.t", &nt);
    float *y = golden_values(&g, "golden.fora2.y", &ny), *want = golden_values(&g, "golden.fora2.out", &no);
    assert_int_equal(n % ny, 0);
    const size_t rows = ny, out = no / nt / rows, half = out / 2;
    float *got = calloc(rows * out * 2, sizeof *got), *null = got + rows * out;
    float *times = calloc(rows, sizeof *times);
    int *labels = calloc(rows, sizeof *labels);
    assert_true(got && times && labels);
    for (size_t i = 0; i < rows; i++) times[i] = t[0], labels[i] = (int)y[i];
    assert_int_equal(dydit_forward(model, (int64_t)rows, x, times, labels, 0, got), DYDIT_OK);
    for (size_t i = 0; i < rows; i++) labels[i] = 10;
    assert_int_equal(dydit_forward(model, (int64_t)rows, x, times, labels, 0, null), DYDIT_OK);
    for (size_t i = 0; i < rows * out; i++) { /* scale 3 on 3 of 4 noise channels */
        const size_t channel = i % out / (half / 4);
        const float v = channel < 3 ? null[i] + 3.0f * (got[i] - null[i]) : got[i];
        assert_true(dd_f32_finite(v));
        assert_float_equal(v, want[i], 1e-4);
    }
    free(x), free(t), free(y), free(want), free(got), free(times), free(labels);
    golden_close(&g);
    dydit_model_close(&model);
    dydit_close(&ctx);
}

static void dense_dit(void **state)
{
    (void)state;
    dense_dit_on("ref");
    dense_dit_on("cpu");
}

static void dense_dit_chosen(void **state)
{
    (void)state;
    dense_dit_on(golden_backend());
}

/* The values behind the masks. */
static void embeddings_and_logits(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODELS; i++) {
        dd_err err = {0};
        dd_model *m = NULL;
        dd_plan *plan = NULL;
        if (dd_model_open(&m, models[i], NULL, &err) != DD_OK) fail_msg("%s", err.text);
        golden g = golden_open(models[i]);
        size_t b;
        float *t = golden_values(&g, "golden.t", &b);
        const size_t d = (size_t)m->cfg.hidden_size, units = (size_t)m->cfg.num_heads, depth = (size_t)m->cfg.depth;
        float *features = calloc(b * 256 + b * d + d + 2 * depth * b * units, sizeof *features),
              *temb = features + b * 256;
        float *heads = temb + b * d + d, *groups = heads + depth * b * units;
        float *logits = calloc(b * 2 * depth * DD_MAX_UNITS, sizeof *logits);
        assert_true(features && logits);
        for (size_t r = 0; r < b; r++) {
            dd_time_features(features + r * 256, t[r]);
            dd_temb(m, t[r], temb + r * d, temb + b * d);
        }
        golden_near_values(&g, "golden.time_features", features, b * 256, 1e-6);
        golden_near_values(&g, "golden.temb", temb, b * d, 1e-6);
        assert_int_equal(dd_plan_build(&plan, m, t, NULL, (int)b, &err), DD_OK);
        assert_int_equal(dd_policy_dydit(plan, m, logits, &err), DD_OK);
        for (size_t r = 0; r < b; r++)
            for (size_t s = 0; s < 2 * depth; s++) {
                float *dst = (m->sites[s].kind == DD_SITE_MLP ? groups : heads) +
                             ((size_t)m->sites[s].block * b + r) * (units - 1);
                for (size_t u = 1; u < units; u++) dst[u - 1] = logits[(r * 2 * depth + s) * DD_MAX_UNITS + u];
            }
        golden_near_values(&g, "golden.head_logits", heads, depth * b * (units - 1), 1e-6);
        golden_near_values(&g, "golden.group_logits", groups, depth * b * (units - 1), 1e-6);
        free(t), free(features), free(logits);
        golden_close(&g);
        dd_plan_free(&plan);
        dd_model_close(&m);
    }
}

/* Forced decisions: the model's own masks change nothing; all ones give another result. */
static void forced_masks(void **state)
{
    (void)state;
    dydit_ctx *ctx = golden_ctx(golden_backend() ? golden_backend() : "cpu", 2);
    dydit_model *model = golden_model(ctx, models[0]);
    dydit_eval_options o;
    dydit_eval_options_init(&o, sizeof o);
    o.in = o.token_masks = models[0];
    o.in_prefix = "golden.";
    o.out = golden_scratch("forced.safetensors");
    o.trace = 1;
    if (dydit_eval(model, &o) != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
    golden g = golden_open(models[0]), got = golden_open(o.out);
    golden_near(&g, "golden.out", &got, "out", TOLERANCE);
    size_t n, outs;
    float *tokens = golden_values(&g, "golden.tokens", &n), *before = golden_values(&got, "out", &outs);
    const dd_tensor *t = dd_tensors_find(g.file, "golden.tokens");
    for (size_t i = 0; i < n; i++) tokens[i] = 1;
    const dd_tensor_entry ones = {"golden.tokens", DD_F32, 3, {t->shape[0], t->shape[1], t->shape[2]}, tokens};
    dd_err err = {0};
    assert_int_equal(dd_safetensors_write(golden_scratch("ones.safetensors"), &ones, 1, NULL, 0, &err), DD_OK);
    golden_close(&got);
    o.token_masks = golden_scratch("ones.safetensors");
    if (dydit_eval(model, &o) != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
    got = golden_open(o.out);
    float *after = golden_values(&got, "out", &outs);
    size_t differ = 0;
    for (size_t i = 0; i < outs; i++) differ += before[i] != after[i];
    assert_true(differ > outs / 2);
    free(tokens), free(before), free(after);
    golden_close(&got);
    golden_close(&g);
    dydit_model_close(&model);
    dydit_close(&ctx);
}

static int clean(void **state)
{
    (void)state;
    golden_clean();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward_ref), cmocka_unit_test(forward_cpu),
                                       cmocka_unit_test(dense_dit), cmocka_unit_test(embeddings_and_logits),
                                       cmocka_unit_test(forced_masks)};
    const struct CMUnitTest chosen[] = {cmocka_unit_test(forward_chosen), cmocka_unit_test(dense_dit_chosen),
                                        cmocka_unit_test(forced_masks)};
    return golden_backend() ? cmocka_run_group_tests(chosen, NULL, clean) : cmocka_run_group_tests(tests, NULL, clean);
}
