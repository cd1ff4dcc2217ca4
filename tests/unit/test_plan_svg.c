/* SPDX-License-Identifier: MIT
 * The picture of a plan: well-formed for any size, nothing outside, the right words in its tooltips. */
#define _POSIX_C_SOURCE 200809L
#include "tests/support/plan_fixture.h"

#include <locale.h>

#include "host/plan/plan_report.h"
#include "host/plan/policy.h"

/* Balanced tags, quoted attributes, known entities. Returns the number of elements, or -1. */
static int xml_elements(const char *s)
{
    char stack[16][32];
    int depth = 0, n = 0;
    while (*s) {
        if (*s == '&') {
            if (strncmp(s, "&lt;", 4) != 0 && strncmp(s, "&gt;", 4) != 0 && strncmp(s, "&amp;", 5) != 0 &&
                strncmp(s, "&quot;", 6) != 0 && strncmp(s, "&#39;", 5) != 0)
                return -1;
        }
        if (*s == '>') return -1;
        if (*s++ != '<') continue;
        const int closing = *s == '/';
        if (closing) s++;
        const size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyzG");
        if (len == 0 || len > 31) return -1;
        char name[32];
        memcpy(name, s, len);
        name[len] = '\0';
        s += len;
        while (*s == ' ') {
            s += 1 + strcspn(s + 1, "=<> ");
            if (s[0] != '=' || s[1] != '"') return -1;
            s += 2 + strcspn(s + 2, "\"<>");
            if (*s++ != '"') return -1;
        }
        const int empty = *s == '/';
        if (empty) s++;
        if (*s++ != '>') return -1;
        if (closing) {
            if (depth == 0 || strcmp(stack[--depth], name) != 0) return -1;
        } else if (n++, !empty) {
            if (depth == 16) return -1;
            memcpy(stack[depth++], name, sizeof name);
        }
    }
    return depth == 0 ? n : -1;
}

static char *picture(fixture *f, const double *kept)
{
    char *text;
    if (dd_plan_svg(&(dd_report){.plan = f->plan, .model = f->model, .kept = kept}, &text, &f->err) != DD_OK)
        fail_msg("%s", f->err.text);
    assert_true(xml_elements(text) > 20);
    assert_true(strncmp(text, "<svg xmlns=", 11) == 0);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    assert_null(strstr(text, "=\"-")); /* nothing lies outside, nothing is turned inside out */
    return text;
}

static void parser_of_this_test(void **state)
{
    (void)state;
    assert_int_equal(xml_elements("<a b=\"c\"><d/>&lt;</a>"), 2);
    static const char *const bad[] = {"<a>", "<a></b>", "</a>", "<a b=c/>", "<a>&x;</a>", "<a", "<a b=\"/>", "a > b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(xml_elements(bad[i]), -1);
}

static void picture_of_a_plan(void **state)
{
    fixture *f = *state;
    double kept[STEPS * 4];
    for (int i = 0; i < STEPS * 4; i++) kept[i] = i % 5 * 0.25;
    char *text = picture(f, NULL); /* all full */
    assert_non_null(strstr(text, "<title>t=999 to 0, block 1: 6 of 6 heads</title>"));
    assert_non_null(strstr(text, "mean 100.0 %"));
    assert_null(strstr(text, ">guidance<"));
    free(text);
    assert_int_equal(dd_policy_dydit(f->plan, f->model, NULL, &f->err), DD_OK);
    snprintf(f->plan->policy, sizeof f->plan->policy, "<a> & \"b\"");
    f->plan->rows[0].guided = 0;
    dd_plan_cell(f->plan, 0, 0)->units = 0x3f;
    dd_plan_cell(f->plan, 1, 0)->units = 0x0f;
    dd_plan_cell(f->plan, 2, 0)->op = DD_CELL_SKIP;
    dd_plan_cell(f->plan, 1, 1)->op = DD_CELL_COMPUTE_STORE;
    dd_plan_cell(f->plan, 2, 1)->op = DD_CELL_REUSE_DELTA;
    text = picture(f, NULL);
    assert_non_null(strstr(text, "<title>t=666.25, block 0: 4 of 6 heads</title>"));
    assert_non_null(strstr(text, "<title>t=333, block 0: skipped</title>"));
    assert_non_null(strstr(text, "<title>t=333, block 0: result reused</title>"));
    assert_non_null(strstr(text, "policy &lt;a&gt; &amp; &quot;b&quot;"));
    assert_non_null(strstr(text, ">guidance<"));
    assert_non_null(strstr(text, "(upper bound)"));
    assert_null(strstr(text, "Tokens kept"));
    free(text);
    text = picture(f, kept);
    assert_null(strstr(text, "(upper bound)"));
    assert_non_null(strstr(text, "Tokens kept"));
    assert_non_null(strstr(text, "<title>t=999, block 0: 25 % of the tokens</title>"));
    free(text);
    f->model->id++;
    expect_error(f, dd_plan_svg(&(dd_report){.plan = f->plan, .model = f->model, .kept = kept}, &text, &f->err),
                 DD_ERR_FORMAT, "the plan is for model");
    assert_null(text);
}

static void picture_of_any_size(void **state)
{
    fixture *f = *state;
    static const int sizes[][2] = {{1, 1}, {1, 2}, {28, 50}, {64, 7}, {64, 1000}, {200, 3}};
    static float t[1000];
    for (int i = 0; i < 1000; i++) t[i] = (float)(999 - i);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        fixture g = {.model = plan_model_new(sizes[k][0], 16, 4, 4)};
        assert_non_null(g.model);
        assert_true(plan_model_add_routers(g.model));
        assert_int_equal(dd_plan_build(&g.plan, g.model, t, NULL, sizes[k][1], &f->err), DD_OK);
        assert_int_equal(dd_policy_dydit(g.plan, g.model, NULL, &f->err), DD_OK);
        free(picture(&g, NULL));
        dd_plan_free(&g.plan);
        plan_model_free(g.model);
    }
}

/* A program that has set a locale with decimal commas gets the same picture. */
static void picture_in_another_locale(void **state)
{
    fixture *f = *state;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    char *plain = picture(f, NULL);
    const char *set = NULL;
    for (int i = 0; i < 4 && !set; i++) set = setlocale(LC_NUMERIC, names[i]);
    char *other = set ? picture(f, NULL) : NULL;
    setlocale(LC_NUMERIC, "C");
    if (set) assert_string_equal(plain, other);
    free(plain);
    free(other);
    if (!set) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(parser_of_this_test),
        TEST(picture_of_a_plan),
        TEST(picture_of_any_size),
        TEST(picture_in_another_locale),
    };
    return cmocka_run_group_tests_name("plan_svg", tests, NULL, NULL);
}
