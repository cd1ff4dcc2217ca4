/* SPDX-License-Identifier: MIT
 * Solver coefficients against their formulas in double, and against the latents of the golden sampling runs and of
 * diffusers' multistep schedulers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/io/safetensors.h"
#include "host/sample/solver.h"

static dd_schedule sch;
static float coef[DD_TRAIN_STEPS * DD_COEF_COUNT];

static const float *row(int k) { return coef + (size_t)k * DD_COEF_COUNT; }

static void coefs(const char *spec, dd_solver solver, double eta, int learn_sigma)
{
    dd_err err = {0};
    const dd_status st = dd_solver_multistep(solver) ? dd_schedule_build_multistep(&sch, spec, &err)
                                                     : dd_schedule_build(&sch, spec, &err);
    if (st != DD_OK) fail_msg("%s", err.text);
    for (size_t i = 0; i < sizeof coef / sizeof coef[0]; i++) coef[i] = NAN;
    if (dd_solver_coefs(coef, &sch, solver, eta, learn_sigma, &err) != DD_OK) fail_msg("%s", err.text);
    for (int k = 0; k < sch.n; k++)
        for (int c = 0; c < DD_COEF_COUNT; c++) assert_true(dd_f32_finite(row(k)[c]));
}

/* One rounding to float32, after float64 arithmetic whose own error (some 1e-16) can at most move the result across a
 * rounding boundary: 1 unit in the last place. */
static void near(float got, double want)
{
    const double ulp = ldexp(fabs(want), -23);
    if (!(fabs((double)got - want) <= ulp)) fail_msg("%.9g, expected %.17g", (double)got, want);
}

static void ddpm_follows_the_posterior(void **state)
{
    (void)state;
    coefs("250", DD_SOLVER_DDPM, 0.0, 1);
    for (int k = 0; k < sch.n; k++) {
        const int i = sch.n - 1 - k;
        const double ab = sch.alpha_bar[i], prev = sch.alpha_bar_prev[i], beta = sch.beta[i];
        near(row(k)[DD_COEF_X], 1.0 / sqrt(ab));
        near(row(k)[DD_COEF_E], sqrt((1.0 - ab) / ab));
        /* Ho et al. 2020, eq. 7 */
        near(row(k)[DD_COEF_MX0], sqrt(prev) * beta / (1.0 - ab));
        near(row(k)[DD_COEF_MXT], sqrt(1.0 - beta) * (1.0 - prev) / (1.0 - ab));
        assert_true(row(k)[DD_COEF_ME] == 0.0f);
        assert_true(row(k)[DD_COEF_SIGMA] == (i > 0 ? 1.0f : 0.0f));
        near(row(k)[DD_COEF_LOG_MAX], log(beta));
        near(row(k)[DD_COEF_LOG_MIN], log(i > 0 ? beta * (1.0 - prev) / (1.0 - ab) : sch.posterior_var[1]));
    }
}

static void ddpm_without_learned_variance(void **state)
{
    (void)state;
    coefs("50", DD_SOLVER_DDPM, 0.0, 0);
    for (int k = 0; k < sch.n; k++) {
        const int i = sch.n - 1 - k;
        near(row(k)[DD_COEF_LOG_MIN], log(i > 0 ? sch.beta[i] : sch.posterior_var[1]));
        assert_true(row(k)[DD_COEF_LOG_MIN] == row(k)[DD_COEF_LOG_MAX]);
    }
}

static void ddim_follows_equation_12(void **state)
{
    (void)state;
    static const double etas[] = {0.0, 0.3, 1.0};
    for (int e = 0; e < 3; e++) {
        coefs("ddim50", DD_SOLVER_DDIM, etas[e], 1);
        for (int k = 0; k < sch.n; k++) {
            const int i = sch.n - 1 - k;
            const double ab = (double)(float)sch.alpha_bar[i], prev = (double)(float)sch.alpha_bar_prev[i];
            const double sigma2 = etas[e] * etas[e] * (1.0 - prev) / (1.0 - ab) * (1.0 - ab / prev);
            near(row(k)[DD_COEF_X], 1.0 / sqrt(sch.alpha_bar[i]));
            near(row(k)[DD_COEF_MX0], sqrt(prev));
            near(row(k)[DD_COEF_SIGMA], sqrt(sigma2));
            near(row(k)[DD_COEF_ME], sqrt(1.0 - prev - sigma2));
            assert_true(row(k)[DD_COEF_MXT] == 0.0f);
        }
        /* The last step returns the prediction itself. */
        const float *last = row(sch.n - 1);
        assert_true(last[DD_COEF_MX0] == 1.0f && last[DD_COEF_ME] == 0.0f && last[DD_COEF_SIGMA] == 0.0f);
    }
}

/* With eta 1 the variance is the posterior's: sigma^2 = (1 - prev) / (1 - ab) * (1 - ab / prev), and beta = 1 - ab /
 * prev. The
 * alpha bars were rounded to float32 first, by up to 2^-25 absolutely and 2^-24 relatively: each 1 - a errs by 2^-25,
 * the
 * quotient, at most 1, by 2^-23. Rounding sigma itself adds 2^-23 to its square; 2^-22 leaves room for the products. */
static void ddim_with_eta_1_has_the_posterior_variance(void **state)
{
    (void)state;
    coefs("1000", DD_SOLVER_DDIM, 1.0, 1);
    for (int k = 0; k + 1 < sch.n; k++) {
        const int i = sch.n - 1 - k;
        const double got = (double)row(k)[DD_COEF_SIGMA] * (double)row(k)[DD_COEF_SIGMA];
        const double bars = 0x1p-25 / (1.0 - sch.alpha_bar_prev[i]) + 0x1p-25 / (1.0 - sch.alpha_bar[i]);
        const double bound = sch.posterior_var[i] * (bars + 0x1p-23 / sch.beta[i] + 0x1p-22);
        assert_true(fabs(got - sch.posterior_var[i]) <= bound);
    }
}

/* ---- golden runs: every step from the stored latents of the step before ---- */

static float *load(const dd_tensors *file, const char *name, int64_t *count)
{
    dd_err err = {0};
    const dd_tensor *t = dd_tensors_find(file, name);
    if (!t) fail_msg("%s is missing", name);
    float *v = malloc((size_t)t->count * sizeof *v);
    assert_non_null(v);
    if (dd_tensors_read_f32(file, t, v, &err) != DD_OK) fail_msg("%s", err.text);
    if (count) *count = t->count;
    return v;
}

/* The update of one value in double, against the stored one, which was made in float64 and rounded once. Of the
 * difference
 * float32 rounding explains 2^-24 of each term for its input, the same again for a ddim coefficient (kept in float64
 * by the
 * statement behind the golden file, rounded by us), and 2^-24 of the result. */
static void check_value(const float *r, int ddpm, double x, double eps, double v, double noise, double want)
{
    const double mx0 = (double)r[DD_COEF_MX0], mxt = (double)r[DD_COEF_MXT], me = (double)r[DD_COEF_ME];
    const double rx = (double)r[DD_COEF_X] * x, re = (double)r[DD_COEF_E] * eps;
    double got = mx0 * (rx - re) + mxt * x + me * eps;
    double size = mx0 * (fabs(rx) + fabs(re)) + mxt * fabs(x) + me * fabs(eps);
    if (!ddpm) size += mx0 * fabs(rx - re) + me * fabs(eps);
    if (ddpm && r[DD_COEF_SIGMA] != 0.0f) {
        const double w = (v + 1.0) / 2.0, lo = (double)r[DD_COEF_LOG_MIN], hi = (double)r[DD_COEF_LOG_MAX];
        const double term = exp(0.5 * (w * hi + (1.0 - w) * lo)) * noise;
        got += term;
        size += fabs(term) * (1.0 + fabs(v * (hi - lo)) / 4.0); /* d ln sigma / dv = (hi - lo) / 4 */
    }
    const double bound = 0x1.01p-24 * (size + fabs(want)); /* .01: second order and float64 */
    if (!(fabs(got - want) <= bound)) fail_msg("%.9g, expected %.9g within %g", got, want, bound);
}

static void golden_run(const char *which, dd_solver solver)
{
    char name[64];
    dd_err err = {0};
    dd_tensors *file = NULL;
    if (dd_safetensors_open(&file, "tests/golden/sampling_d32_h2_p2.safetensors", &err) != DD_OK)
        fail_msg("%s", err.text);
    snprintf(name, sizeof name, "%s_steps", which);
    coefs(dd_tensors_meta(file, name), solver, 0.0, 1);

    int64_t n, n_x, n_t;
    float *x = load(file, "golden.x", &n);
    snprintf(name, sizeof name, "golden.%s.x", which);
    float *steps = load(file, name, &n_x);
    snprintf(name, sizeof name, "golden.%s.out", which);
    float *out = load(file, name, NULL);
    snprintf(name, sizeof name, "golden.%s.t", which);
    float *t = load(file, name, &n_t);
    float *noise = solver == DD_SOLVER_DDPM ? load(file, "golden.ddpm.noise", NULL) : NULL;
    assert_int_equal(n_t, sch.n);
    assert_int_equal(n_x, n * sch.n);

    const int64_t image = dd_tensors_find(file, "golden.x")->count / dd_tensors_find(file, "golden.x")->shape[0];
    for (int k = 0; k < sch.n; k++) {
        assert_true(t[k] == (float)sch.timestep[sch.n - 1 - k]);
        const float *from = k ? steps + (k - 1) * n : x;
        for (int64_t i = 0; i < n; i++) {
            const float *o = out + 2 * k * n + 2 * (i / image) * image + i % image; /* [eps; v] of the row */
            check_value(row(k), solver == DD_SOLVER_DDPM, (double)from[i], (double)o[0], (double)o[image],
                        noise ? (double)noise[k * n + i] : 0.0, (double)steps[k * n + i]);
        }
    }
    free(noise), free(t), free(out), free(steps), free(x);
    dd_tensors_close(&file);
}

static void golden_ddpm_steps(void **state)
{
    (void)state;
    golden_run("ddpm", DD_SOLVER_DDPM);
}

static void golden_ddim_steps(void **state)
{
    (void)state;
    golden_run("ddim", DD_SOLVER_DDIM);
}

/* ---- the multistep solvers, step by step from the latents that diffusers had ---- */

/* A value in double and how far it may be from diffusers', whose arithmetic here is float64: our coefficients err by
 * 2^-24 of themselves. The constant is a little larger for the second order and for float64. */
typedef struct bounded {
    double v, off;
} bounded;

static bounded times(float by, bounded q)
{
    const double c = (double)by;
    return (bounded){c * q.v, fabs(c) * (0x1.01p-24 * fabs(q.v) + q.off)};
}

static bounded plus(bounded a, bounded b) { return (bounded){a.v + b.v, a.off + b.off}; }

typedef struct kept {
    bounded x0_1, x0_2, y_1;
} kept;

/* The next x of one value; x and eps are exact. */
static bounded multistep(const float *r, kept *k, bool corrects, double x, double eps)
{
    const bounded from = {x, 0}, e = {eps, 0}, prediction = times(r[DD_COEF_E], e);
    const bounded x0 = plus(times(r[DD_COEF_X], from), (bounded){-prediction.v, prediction.off});
    bounded y = from;
    if (r[DD_COEF_CY] != 0.0f) {
        y = plus(times(r[DD_COEF_CY], k->y_1), times(r[DD_COEF_C0], x0));
        y = plus(y, plus(times(r[DD_COEF_C1], k->x0_1), times(r[DD_COEF_C2], k->x0_2)));
    }
    assert_true(corrects || y.v == x);
    const bounded next = plus(times(r[DD_COEF_MX0], x0),
                              plus(times(r[DD_COEF_MXT], y), times(r[DD_COEF_MX1], k->x0_1)));
    *k = (kept){x0, k->x0_1, y};
    return next;
}

static void fake_run(const dd_tensors *file, const char *which, dd_solver solver, int n)
{
    char name[64];
    int64_t values;
    snprintf(name, sizeof name, "%d", n);
    coefs(name, solver, 0.0, 1);
    snprintf(name, sizeof name, "fake.%s.%d.eps", which, n);
    float *eps = load(file, name, &values);
    snprintf(name, sizeof name, "fake.%s.%d.x", which, n);
    float *x = load(file, name, NULL);
    const int64_t width = values / n;
    for (int64_t i = 0; i < width; i++) {
        kept past = {.x0_1 = {0, 0}};
        for (int k = 0; k < n; k++) {
            const double want = (double)x[(k + 1) * width + i];
            const bounded got = multistep(row(k), &past, solver == DD_SOLVER_UNIPC, (double)x[k * width + i],
                                          (double)eps[k * width + i]);
            const double bound = got.off + 0x1.01p-24 * fabs(want); /* want is rounded to float32 */
            if (!(fabs(got.v - want) <= bound))
                fail_msg("%s step %d: %.9g, expected %.9g within %g", name, k, got.v, want, bound);
        }
    }
    free(x), free(eps);
}

static void multistep_follows_diffusers(void **state)
{
    (void)state;
    static const int counts[] = {5, 10, 20, 25};
    dd_err err = {0};
    dd_tensors *file = NULL;
    if (dd_safetensors_open(&file, "tests/golden/solvers.safetensors", &err) != DD_OK) fail_msg("%s", err.text);
    for (int i = 0; i < 4; i++) {
        fake_run(file, "dpmpp2m", DD_SOLVER_DPMPP2M, counts[i]);
        fake_run(file, "unipc", DD_SOLVER_UNIPC, counts[i]);
    }
    dd_tensors_close(&file);
}

/* All counts of all spacings: a run begins without a past and ends in the last prediction; where every prediction is the
 * same picture, that picture is found: the weights of predictions and latents leave signal and noise what they are. */
static void multistep_keeps_a_constant_picture(void **state)
{
    (void)state;
    static const dd_solver solvers[] = {DD_SOLVER_DPMPP2M, DD_SOLVER_UNIPC};
    for (int n = 2; n < DD_TRAIN_STEPS; n++)
        for (int s = 0; s < 2; s++) {
            char spec[16];
            snprintf(spec, sizeof spec, "%d", n);
            coefs(spec, solvers[s], 0.0, 1);
            const float *first = row(0), *last = row(n - 1);
            assert_true(first[DD_COEF_MX1] == 0.0f && first[DD_COEF_CY] == 0.0f);
            assert_true(last[DD_COEF_MX0] == 1.0f && last[DD_COEF_MXT] == 0.0f && last[DD_COEF_MX1] == 0.0f);
            for (int k = 0; k < n; k++) {
                const float *r = row(k);
                const double now = sch.alpha_bar[n - 1 - k], next = sch.alpha_bar_prev[n - 1 - k];
                /* x = sqrt(now) x0 + sqrt(1 - now) e goes to sqrt(next) x0 + sqrt(1 - next) e, but for the rounding of
                 * three coefficients */
                const double bound = 0x1.01p-24 * (fabs((double)r[DD_COEF_MX0]) + fabs((double)r[DD_COEF_MX1]) +
                                                   (double)r[DD_COEF_MXT]);
                const double x0 = (double)r[DD_COEF_MX0] + (double)r[DD_COEF_MX1] + (double)r[DD_COEF_MXT] * sqrt(now);
                assert_true(fabs(x0 - sqrt(next)) <= bound);
                assert_true(fabs((double)r[DD_COEF_MXT] * sqrt(1.0 - now) - sqrt(1.0 - next)) <= bound);
            }
        }
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    static const double etas[] = {-0.1, 1.5, NAN, INFINITY};
    coefs("10", DD_SOLVER_DDIM, 0.0, 1);
    for (int k = 0; k < 4; k++) {
        dd_err err = {0};
        assert_int_equal(dd_solver_coefs(coef, &sch, DD_SOLVER_DDIM, etas[k], 1, &err), DD_ERR_ARG);
        assert_non_null(strstr(err.text, "eta"));
    }
    dd_err err = {0};
    assert_int_equal(dd_solver_coefs(coef, &sch, DD_SOLVER_COUNT, 0.0, 1, &err), DD_ERR_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ddpm_follows_the_posterior),  cmocka_unit_test(ddpm_without_learned_variance),
        cmocka_unit_test(ddim_follows_equation_12),    cmocka_unit_test(ddim_with_eta_1_has_the_posterior_variance),
        cmocka_unit_test(golden_ddpm_steps),           cmocka_unit_test(golden_ddim_steps),
        cmocka_unit_test(multistep_follows_diffusers), cmocka_unit_test(multistep_keeps_a_constant_picture),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
