/* SPDX-License-Identifier: MIT
 * Schedule tables against the golden ones (exact), respacing, and the sentences for bad step counts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host/io/safetensors.h"
#include "host/sample/schedule.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static dd_schedule sch;

static void compare(const dd_tensors *file, const char *spec, const char *table, const double *got)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", spec, table);
    const dd_tensor *t = dd_tensors_find(file, name);
    assert_non_null(t);
    assert_int_equal(t->dtype, DD_F64);
    assert_int_equal(t->count, sch.n);
    for (int i = 0; i < sch.n; i++) {
        double want;
        memcpy(&want, (const char *)t->data + (size_t)i * sizeof want, sizeof want);
        if (memcmp(&want, &got[i], sizeof want) != 0)
            fail_msg("%s[%d] is %.17g, expected %.17g", name, i, got[i], want);
    }
}

static void schedule_tables_exact(void **state)
{
    (void)state;
    static const char *const specs[] = {"1000", "250", "50", "20", "10", "ddim50", "ddim25"};
    static double steps[DD_TRAIN_STEPS];
    dd_tensors *file = NULL;
    dd_err err = {0};
    if (dd_safetensors_open(&file, "tests/golden/schedule.safetensors", &err) != DD_OK) fail_msg("%s", err.text);
    for (int k = 0; k < COUNT(specs); k++) {
        assert_int_equal(dd_schedule_build(&sch, specs[k], &err), DD_OK);
        for (int i = 0; i < sch.n; i++) steps[i] = sch.timestep[i];
        compare(file, specs[k], "timestep_map", steps);
        compare(file, specs[k], "betas", sch.beta);
        compare(file, specs[k], "alphas_cumprod", sch.alpha_bar);
        compare(file, specs[k], "posterior_variance", sch.posterior_var);
        compare(file, specs[k], "posterior_log_variance", sch.posterior_log_var);
        compare(file, specs[k], "posterior_mean_x0", sch.posterior_mean_x0);
        compare(file, specs[k], "posterior_mean_xt", sch.posterior_mean_xt);
    }
    dd_tensors_close(&file);
}

static void build(const char *spec)
{
    dd_err err = {0};
    if (dd_schedule_build(&sch, spec, &err) != DD_OK) fail_msg("%s", err.text);
}

static void previous_products_are_shifted(void **state)
{
    (void)state;
    build("250");
    assert_true(sch.alpha_bar_prev[0] == 1.0);
    for (int i = 1; i < sch.n; i++) assert_true(sch.alpha_bar_prev[i] == sch.alpha_bar[i - 1]);
}

/* Every count: both ends included, ascending, nearest positions, products that decrease, all tables finite. */
static void every_step_count_builds(void **state)
{
    (void)state;
    for (int n = 2; n <= DD_TRAIN_STEPS; n++) {
        char spec[16];
        snprintf(spec, sizeof spec, "%d", n);
        build(spec);
        assert_int_equal(sch.n, n);
        assert_int_equal(sch.timestep[0], 0);
        assert_int_equal(sch.timestep[n - 1], DD_TRAIN_STEPS - 1);
        for (int i = 0; i < n; i++) {
            /* summing n strides errs by less than n^2 ulps of 1000: far below 1e-6 */
            const double exact = (double)i * (DD_TRAIN_STEPS - 1) / (n - 1);
            assert_true(fabs(sch.timestep[i] - exact) <= 0.5 + 1e-6);
            if (i > 0) assert_true(sch.timestep[i] > sch.timestep[i - 1]);
            assert_true(sch.beta[i] > 0 && sch.beta[i] < 1);
            assert_true(sch.alpha_bar[i] > 0 && sch.alpha_bar[i] < sch.alpha_bar_prev[i]);
            assert_true(isfinite(sch.posterior_log_var[i]));
            assert_true(isfinite(sch.posterior_mean_x0[i]) && isfinite(sch.posterior_mean_xt[i]));
        }
    }
}

static void halves_round_to_even(void **state)
{
    (void)state;
    build("3"); /* 0, 499.5, 999 */
    assert_int_equal(sch.timestep[1], 500);
    build("7"); /* stride 166.5 */
    static const int want[] = {0, 166, 333, 500, 666, 832, 999};
    for (int i = 0; i < 7; i++) assert_int_equal(sch.timestep[i], want[i]);
}

/* 999 / 42 is not exact: summed up, position 21 stays below 499.5 and position 35 above 832.5; multiplied, both are
 * halves. */
static void positions_are_summed_up(void **state)
{
    (void)state;
    build("43");
    assert_int_equal(sch.timestep[21], 499);
    assert_int_equal(sch.timestep[35], 833);
}

static void ddim_takes_whole_strides(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int n, stride;
    } cases[] = {{"ddim1000", 1000, 1}, {"ddim500", 500, 2}, {"ddim334", 334, 3}, {"ddim50", 50, 20},
                 {"ddim48", 48, 21},    {"ddim20", 20, 50},  {"ddim3", 3, 334},   {"ddim2", 2, 500}};
    for (int k = 0; k < COUNT(cases); k++) {
        build(cases[k].spec);
        assert_int_equal(sch.n, cases[k].n);
        for (int i = 0; i < sch.n; i++) assert_int_equal(sch.timestep[i], i * cases[k].stride);
    }
}

/* ---- the multistep solvers of diffusers ---- */

static void golden_f64(const dd_tensors *file, const char *name, int64_t n, double *out)
{
    const dd_tensor *t = dd_tensors_find(file, name);
    if (!t || t->dtype != DD_F64 || t->count != n) fail_msg("%s is missing", name);
    memcpy(out, t->data, (size_t)n * sizeof *out);
}

static void check_timesteps(const dd_tensors *file, const char *spec)
{
    char name[48];
    dd_err err = {0};
    float want[32];
    snprintf(name, sizeof name, "t.%s", spec);
    const dd_tensor *t = dd_tensors_find(file, name);
    if (!t || t->count != sch.n || sch.n > COUNT(want)) fail_msg("%s has not %d steps", name, sch.n);
    assert_int_equal(dd_tensors_read_f32(file, t, want, &err), DD_OK);
    for (int k = 0; k < sch.n; k++) assert_int_equal(sch.timestep[sch.n - 1 - k], (int)want[k]);
}

/* Four counts value by value; all 998 counts by the sum of (k + 1)^2 t_k, exact in float64. */
static void multistep_timesteps_exact(void **state)
{
    (void)state;
    static const char *const spacings[] = {"linspace", "leading", "trailing"};
    static double sums[DD_TRAIN_STEPS];
    dd_tensors *file = NULL;
    dd_err err = {0};
    char spec[32];
    if (dd_safetensors_open(&file, "tests/golden/solvers.safetensors", &err) != DD_OK) fail_msg("%s", err.text);
    for (int s = 0; s < COUNT(spacings); s++) {
        snprintf(spec, sizeof spec, "sums.%s", spacings[s]);
        golden_f64(file, spec, DD_TRAIN_STEPS - 2, sums);
        for (int n = 2; n < DD_TRAIN_STEPS; n++) {
            double sum = 0;
            snprintf(spec, sizeof spec, "%s%d", spacings[s], n);
            assert_int_equal(dd_schedule_build_multistep(&sch, spec, &err), DD_OK);
            assert_int_equal(sch.n, n);
            for (int k = 0; k < n; k++) sum += (double)(k + 1) * (k + 1) * sch.timestep[n - 1 - k];
            if (!(sum == sums[n - 2])) fail_msg("%s: the timesteps differ", spec);
            if (n == 5 || n == 10 || n == 20 || n == 25) check_timesteps(file, spec);
        }
    }
    dd_tensors_close(&file);
}

static void multistep_numbers_mean_linspace(void **state)
{
    (void)state;
    static dd_schedule named;
    dd_err err = {0};
    assert_int_equal(dd_schedule_build_multistep(&sch, "20", &err), DD_OK);
    assert_int_equal(dd_schedule_build_multistep(&named, "linspace20", &err), DD_OK);
    assert_memory_equal(&sch, &named, sizeof sch);
    build("1000"); /* the tables are those of the timesteps, whoever chose them */
    named = sch;
    assert_int_equal(dd_schedule_build_multistep(&sch, "trailing500", &err), DD_OK);
    for (int i = 0; i < sch.n; i++) {
        const double want = named.alpha_bar[sch.timestep[i]];
        assert_true(fabs(sch.alpha_bar[i] - want) <= 1e-12 * want); /* 500 products, each of two roundings */
    }
}

static void bad_multistep_specs_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *says;
    } cases[] = {{"1", "out of range: from 2 to 999"},
                 {"1000", "out of range: from 2 to 999"},
                 {"leading0", "out of range"},
                 {"trailing1000", "out of range"},
                 {"ddim50", "nor linspaceN, leadingN"},
                 {"leading", "neither a whole number"},
                 {"trailing-5", "neither a whole number"},
                 {"linspaceleading5", "neither a whole number"},
                 {"", "neither a whole number"},
                 {"2.5", "neither a whole number"}};
    for (int k = 0; k < COUNT(cases); k++) {
        dd_err err = {0};
        assert_int_equal(dd_schedule_build_multistep(&sch, cases[k].spec, &err), DD_ERR_ARG);
        if (!strstr(err.text, cases[k].says) || !strstr(err.text, cases[k].spec))
            fail_msg("\"%s\" gave: %s", cases[k].spec, err.text);
    }
    dd_err err = {0};
    assert_int_equal(dd_schedule_build_multistep(&sch, NULL, &err), DD_ERR_ARG);
}

static void bad_specs_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *says;
    } cases[] = {
        {"0", "out of range: from 2 to 1000"},
        {"1", "out of range: from 2 to 1000"},
        {"1001", "out of range: from 2 to 1000"},
        {"9999", "out of range"},
        {"00250", "neither a whole number"},
        {"", "neither a whole number"},
        {"-5", "neither a whole number"},
        {"+5", "neither a whole number"},
        {" 5", "neither a whole number"},
        {"5 ", "neither a whole number"},
        {"2.5", "neither a whole number"},
        {"1e2", "neither a whole number"},
        {"nan", "neither a whole number"},
        {"4294967298", "neither a whole number"},
        {"ddim", "neither a whole number"},
        {"ddim-5", "neither a whole number"},
        {"DDIM50", "neither a whole number"},
        {"ddim1", "out of range"},
        {"ddim300", "the nearest are ddim250 and ddim334"},
        {"ddim999", "the nearest are ddim500 and ddim1000"},
    };
    for (int k = 0; k < COUNT(cases); k++) {
        dd_err err = {0};
        assert_int_equal(dd_schedule_build(&sch, cases[k].spec, &err), DD_ERR_ARG);
        if (!strstr(err.text, cases[k].says) || !strstr(err.text, cases[k].spec))
            fail_msg("\"%s\" gave: %s", cases[k].spec, err.text);
        assert_null(strchr(err.text, '\n'));
    }
    dd_err err = {0};
    assert_int_equal(dd_schedule_build(&sch, NULL, &err), DD_ERR_ARG);
    assert_true(err.text[0] != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedule_tables_exact),           cmocka_unit_test(previous_products_are_shifted),
        cmocka_unit_test(every_step_count_builds),         cmocka_unit_test(halves_round_to_even),
        cmocka_unit_test(positions_are_summed_up),         cmocka_unit_test(ddim_takes_whole_strides),
        cmocka_unit_test(bad_specs_are_refused),           cmocka_unit_test(multistep_timesteps_exact),
        cmocka_unit_test(multistep_numbers_mean_linspace), cmocka_unit_test(bad_multistep_specs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
