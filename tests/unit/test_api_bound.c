/* SPDX-License-Identifier: MIT
 * dydit_plan_bound: what the reports say, what follows from what, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "host/io/json.h"
#include "support/golden.h"

static dydit_ctx *ctx;
static dydit_model *model;
static dydit_plan *plan;

static void must(dydit_status st)
{
    if (st != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
}

static int open_plan(void **state)
{
    (void)state;
    dydit_sample_options o;
    dydit_sample_options_init(&o, sizeof o);
    o.steps = "ddim8";
    ctx = golden_ctx("cpu", 1);
    if (dydit_model_random(ctx, &model, "DyDiT-S/4", 0, 1) != DYDIT_OK) return -1;
    return dydit_plan_synthetic(model, &o, 0.5, 0.7, &plan) == DYDIT_OK ? 0 : -1;
}

static int close_plan(void **state)
{
    (void)state;
    dydit_plan_close(&plan);
    dydit_model_close(&model);
    dydit_close(&ctx);
    return 0;
}

static dydit_bound_options h100(void)
{
    dydit_bound_options o;
    dydit_bound_options_init(&o, sizeof o);
    o.device = "H100";
    return o;
}

static json_t *bound_json(const dydit_bound_options *o)
{
    char *text = NULL;
    json_t *doc = NULL;
    dd_err err = {0};
    must(dydit_plan_bound(plan, o, DYDIT_JSON, &text));
    if (dd_json_read_text(&doc, text, strlen(text), "bound", &err) != DD_OK) fail_msg("%s", err.text);
    dydit_free(text);
    return doc;
}

static double at(const json_t *doc, const char *a, const char *b)
{
    const json_t *v = json_object_get(json_object_get(doc, a), b);
    if (!json_is_number(v)) fail_msg("%s.%s is no number", a, b);
    return json_number_value(v);
}

/* Reals are written with nine digits; sums of some hundred terms are not less exact. */
static void nearly(double have, double want)
{
    if (!(fabs(have - want) <= 1e-8 * fabs(want))) fail_msg("%.17g, expected %.17g", have, want);
}

static void figures_fit_together(void **state)
{
    (void)state;
    dydit_bound_options o = h100();
    o.batch_size = 4;
    json_t *doc = bound_json(&o);
    static const char *const sides[] = {"dense", "planned"}, *const sums[] = {"launches",      "macs",
                                                                              "bound_s",       "read_bytes",
                                                                              "written_bytes", "weight_bytes"};
    assert_non_null(strstr(json_string_value(json_object_get(doc, "what")), "bound"));
    for (int s = 0; s < 2; s++) {
        const json_t *kinds = json_object_get(json_object_get(doc, sides[s]), "kinds");
        assert_int_equal(json_object_size(kinds), s == 0 ? 11 : 12); /* the complete model asks no router */
        for (int i = 0; i < 6; i++) {
            const char *name;
            json_t *kind;
            double sum = 0;
            json_object_foreach((json_t *)kinds, name, kind) sum += json_number_value(json_object_get(kind, sums[i]));
            nearly(sum, at(doc, sides[s], sums[i]));
        }
        nearly(at(doc, sides[s], "images_per_s_bound") * at(doc, sides[s], "bound_s"), 4);
    }
    nearly(at(doc, "dense_over_planned", "bound") * at(doc, "planned", "bound_s"), at(doc, "dense", "bound_s"));
    nearly(at(doc, "dense_over_planned", "macs") * at(doc, "planned", "macs"), at(doc, "dense", "macs"));
    assert_true(at(doc, "planned", "macs") < at(doc, "dense", "macs"));
    nearly(at(doc, "device", "memory_bytes_per_s"), 3.35e12);
    json_decref(doc);
}

static void options_count(void **state)
{
    (void)state;
    dydit_bound_options o = h100();
    json_t *base = bound_json(&o);
    nearly(at(base, "assumed", "launch_us"), 2);
    nearly(at(base, "assumed", "tokens"), 1);
    o.tokens = 0.5;
    json_t *half = bound_json(&o);
    assert_true(at(half, "planned", "macs") < at(base, "planned", "macs"));
    nearly(at(half, "dense", "macs"), at(base, "dense", "macs"));
    json_decref(half);
    o = h100();
    o.launch_us = 4; /* with so little work launches are all there is */
    json_t *slow = bound_json(&o);
    assert_true(at(slow, "planned", "bound_s") > 1.9 * at(base, "planned", "bound_s"));
    json_decref(slow);
    o = h100();
    o.precision = "fp32";
    json_t *fp32 = bound_json(&o);
    assert_true(at(fp32, "planned", "weight_bytes") > at(base, "planned", "weight_bytes"));
    assert_string_equal(json_string_value(json_object_get(fp32, "precision")), "fp32");
    json_decref(fp32);
    o = h100();
    o.device = "l4";
    o.batch_size = 64;
    json_t *l4 = bound_json(&o);
    assert_string_equal(json_string_value(json_object_get(json_object_get(l4, "device"), "name")), "L4");
    assert_true(at(l4, "planned", "macs") > 60 * at(base, "planned", "macs"));
    json_decref(l4);
    json_decref(base);
}

static void text_says_what_it_is(void **state)
{
    (void)state;
    char *text = NULL;
    dydit_bound_options o = h100();
    must(dydit_plan_bound(plan, &o, DYDIT_TEXT, &text));
    static const char first[] = "bound by data sheet, not a measurement";
    assert_memory_equal(text, first, sizeof first - 1);
    assert_non_null(strstr(text, "counts all tokens"));
    for (const char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        if (end - line > 100) fail_msg("more than 100 columns: %.*s", (int)(end - line), line);
    dydit_free(text);
    o.tokens = 0.7;
    must(dydit_plan_bound(plan, &o, DYDIT_TEXT, &text));
    assert_non_null(strstr(text, "token routers keep 70.0 %"));
    assert_null(strstr(text, "counts all tokens"));
    dydit_free(text);
}

static void refused(const dydit_bound_options *o, dydit_format format, const char *part)
{
    char *text = (char *)(uintptr_t) "untouched";
    assert_int_equal(dydit_plan_bound(plan, o, format, &text), DYDIT_ERR_ARG);
    assert_null(text);
    if (!strstr(dydit_message(ctx), part)) fail_msg("'%s' is not in: %s", part, dydit_message(ctx));
}

static void wrong_options(void **state)
{
    (void)state;
    dydit_bound_options o = h100();
    refused(&o, DYDIT_SVG, "format");
    o.size = 3;
    refused(&o, DYDIT_TEXT, "dydit_bound_options");
    o = h100(), o.device = NULL;
    refused(&o, DYDIT_TEXT, "name of a device");
    o = h100(), o.device = "H1000";
    refused(&o, DYDIT_TEXT, "H100, H200, A100, RTX4090, L4");
    o = h100(), o.precision = "int3";
    refused(&o, DYDIT_TEXT, "int3");
    o = h100(), o.batch_size = 0;
    refused(&o, DYDIT_TEXT, "batch size 0");
    o = h100(), o.tokens = NAN;
    refused(&o, DYDIT_TEXT, "share of tokens");
    o = h100(), o.tokens = 1.5;
    refused(&o, DYDIT_TEXT, "share of tokens");
    o = h100(), o.launch_us = NAN;
    refused(&o, DYDIT_TEXT, "launch");
    o = h100(), o.launch_us = -1;
    refused(&o, DYDIT_TEXT, "launch");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_fit_together),
        cmocka_unit_test(options_count),
        cmocka_unit_test(text_says_what_it_is),
        cmocka_unit_test(wrong_options),
    };
    return cmocka_run_group_tests(tests, open_plan, close_plan);
}
