/* SPDX-License-Identifier: MIT
 * Forward passes in bf16, fp16 and tf32 under the goldens' token masks: the reference, which rounds where such a run rounds,
 * the cpu backend on every path that has bf16, and the backend that DYDIT_TEST_BACKEND names.
 *
 * Rounding is independent noise on every operand, and a path that sums in another order rounds some operands to
 * the other neighbour. So no element can be held to the reference's value, but the whole tensor can be held to its error:
 * with e the root mean square distance of the reference's run from its fp32 run, a correct path is at distance e
 * from the fp32 run too (the mean over n elements scatters by e / sqrt(2n), below 2 % of e for the 5000 elements of the
 * smallest tensor; errors that share operands scatter more). 1.5 e leaves room for that, and none for a wrong op. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/golden.h"

static const char *const models[] = {"tests/golden/model_d64_h4_p2.safetensors",
                                     "tests/golden/model_d144_h2_p2.safetensors",
                                     "tests/golden/model_d128_h4_p4.safetensors"};
static const char *const tensors[] = {"out", "hidden"};

enum { N_MODELS = sizeof models / sizeof models[0], N_TENSORS = sizeof tensors / sizeof tensors[0] };

typedef struct result {
    float *tensor[N_TENSORS];
    size_t n[N_TENSORS];
} result;

static result forward(dydit_ctx *ctx, const char *path)
{
    dydit_model *model = golden_model(ctx, path);
    dydit_eval_options o;
    dydit_eval_options_init(&o, sizeof o);
    o.in = o.token_masks = path;
    o.in_prefix = "golden.";
    o.out = golden_scratch("bf16.safetensors");
    o.trace = 1;
    if (dydit_eval(model, &o) != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
    golden g = golden_open(o.out);
    result r;
    for (int i = 0; i < N_TENSORS; i++) r.tensor[i] = golden_values(&g, tensors[i], &r.n[i]);
    golden_close(&g);
    dydit_model_close(&model);
    return r;
}

static void result_free(result *r)
{
    for (int i = 0; i < N_TENSORS; i++) free(r->tensor[i]);
}

/* Root mean square of the difference; NaN stays NaN. */
static double distance(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(sum / (double)n);
}

static double magnitude(const float *a, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * a[i];
    return sqrt(sum / (double)n);
}

static const struct {
    const char *name;
    double unit; /* unit roundoff */
} precisions[] = {{"bf16", 0x1p-8}, {"fp16", 0x1p-11}, {"tf32", 0x1p-11}};

enum { N_PRECISIONS = sizeof precisions / sizeof precisions[0] };

static void reference_rounds(void **state)
{
    (void)state;
    dydit_ctx *fp32 = golden_ctx("ref", 2);
    for (int p = 0; p < N_PRECISIONS; p++) {
        dydit_ctx *lower = golden_ctx_in(precisions[p].name, "ref", 2);
        assert_non_null(lower);
        for (int i = 0; i < N_MODELS; i++) {
            result a = forward(fp32, models[i]), b = forward(lower, models[i]);
            for (int t = 0; t < N_TENSORS; t++) {
                const double e = distance(a.tensor[t], b.tensor[t], a.n[t]) / magnitude(a.tensor[t], a.n[t]);
                /* One rounding alone is half the unit / sqrt(3) of an operand; a few dozen of them meet in an element. */
                if (!(e > precisions[p].unit / 16 && e < precisions[p].unit * 8))
                    fail_msg("%s, %s %s: relative error %g", precisions[p].name, models[i], tensors[t], e);
            }
            result_free(&a), result_free(&b);
        }
        dydit_close(&lower);
    }
    dydit_close(&fp32);
}

static void compare_with_reference(dydit_ctx *tested, const char *precision, const char *what)
{
    dydit_ctx *fp32 = golden_ctx("ref", 2), *lower = golden_ctx_in(precision, "ref", 2);
    for (int i = 0; i < N_MODELS; i++) {
        result exact = forward(fp32, models[i]), want = forward(lower, models[i]), got = forward(tested, models[i]);
        for (int t = 0; t < N_TENSORS; t++) {
            const double e = distance(exact.tensor[t], want.tensor[t], exact.n[t]);
            const double d = distance(exact.tensor[t], got.tensor[t], exact.n[t]);
            if (!(d <= 1.5 * e)) fail_msg("%s, %s %s: error %g, the reference's %g", what, models[i], tensors[t], d, e);
            if (!(d >= e / 1.5)) fail_msg("%s, %s %s: error %g is no %s", what, models[i], tensors[t], d, precision);
        }
        result_free(&exact), result_free(&want), result_free(&got);
    }
    dydit_close(&fp32), dydit_close(&lower);
}

static void cpu_paths(void **state)
{
    static const char *const isa[] = {"avx512bf16", "amx"};
    int paths = 0;
    (void)state;
    for (size_t i = 0; i < sizeof isa / sizeof isa[0]; i++) {
        setenv("DYDIT_ISA", isa[i], 1);
        dydit_ctx *ctx = golden_ctx_in("bf16", "cpu", 2);
        if (ctx) compare_with_reference(ctx, "bf16", isa[i]);
        paths += ctx != NULL;
        dydit_close(&ctx);
    }
    unsetenv("DYDIT_ISA");
    if (paths == 0) {
        print_message("this CPU has no bf16 instructions\n");
        skip();
    }
}

static void chosen_backend(void **state)
{
    (void)state;
    for (int p = 0; p < N_PRECISIONS; p++) {
        dydit_ctx *ctx = golden_ctx_in(precisions[p].name, golden_backend(), 2);
        assert_non_null(ctx);
        compare_with_reference(ctx, precisions[p].name, golden_backend());
        dydit_close(&ctx);
    }
}

static int clean(void **state)
{
    (void)state;
    golden_clean();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reference_rounds), cmocka_unit_test(cpu_paths)};
    const struct CMUnitTest chosen[] = {cmocka_unit_test(chosen_backend)};
    return golden_backend() ? cmocka_run_group_tests(chosen, NULL, clean) : cmocka_run_group_tests(tests, NULL, clean);
}
