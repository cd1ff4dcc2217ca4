/* SPDX-License-Identifier: MIT
 * Plans as JSON: what is written reads back the same, and every refusal names the file and the place. */
#define _POSIX_C_SOURCE 200809L
#include "tests/support/plan_fixture.h"

#include <math.h>

static void write_file(const fixture *f, const char *text)
{
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* One of everything a cell can say. */
static void fill(dd_plan *p)
{
    dd_plan_cell(p, 0, 0)->op = DD_CELL_COMPUTE_STORE;
    dd_plan_cell(p, 1, 0)->op = DD_CELL_REUSE_BRANCH;
    dd_plan_cell(p, 2, 0)->op = DD_CELL_REUSE_DELTA;
    dd_plan_cell(p, 3, 0)->op = DD_CELL_REUSE_OUTPUT;
    *dd_plan_cell(p, 0, 1) = (dd_cell){.units = 0x21, .rows = DD_ROWS_ROUTED, .router = 0};
    *dd_plan_cell(p, 1, 1) = (dd_cell){.op = DD_CELL_SKIP, .rows = DD_ROWS_ROUTED, .router = 0};
    *dd_plan_cell(p, 2, 1) = (dd_cell){.units = 1, .op = DD_CELL_COMPUTE_STORE, .rows = DD_ROWS_MASKED, .router = 0};
    dd_plan_cell(p, 2, 2)->units = 1;
    p->rows[3].guided = 1;
    p->rows[1].timestep = nextafterf(0.1f, 1);
    p->rows[2].timestep = nextafterf(999, 0);
    snprintf(p->policy, sizeof p->policy, "a \"b\" \\ <\xc3\xa4>");
}

static void json_round_trip(void **state)
{
    fixture *f = *state;
    char *text, *again;
    dd_plan *q;
    fill(f->plan);
    for (int variant = 0; variant < 3; variant++) {
        if (variant == 1) f->plan->rows[3].timestep = -0.0f;
        if (variant == 2) f->plan->rows[3].timestep = 1e-40f;
        assert_int_equal(dd_plan_to_json(f->plan, f->model, NULL, &text, &f->err), DD_OK);
        write_file(f, text);
        if (dd_plan_read(&q, f->model, NULL, f->path, &f->err) != DD_OK) fail_msg("%s", f->err.text);
        assert_true(dd_plan_hash(q) == dd_plan_hash(f->plan));
        assert_int_equal(dd_plan_to_json(q, f->model, NULL, &again, &f->err), DD_OK);
        assert_string_equal(text, again);
        free(text);
        free(again);
        dd_plan_free(&q);
    }
}

static void json_is_compact(void **state)
{
    fixture *f = *state;
    char *text;
    dd_plan_cell(f->plan, 1, 1)->units = 0x15;
    *dd_plan_cell(f->plan, 1, 3) = (dd_cell){.units = 0x3f, .rows = DD_ROWS_ROUTED, .router = 1};
    assert_int_equal(dd_plan_to_json(f->plan, f->model, NULL, &text, &f->err), DD_OK);
    assert_non_null(
        strstr(text, "{\"timestep\":999,\"guided\":true,\"weight_set\":0,\"cells\":[\n   \"full\", \"full\",\n"));
    assert_non_null(strstr(text, "{\"timestep\":666.25,"));
    assert_non_null(
        strstr(text, "   \"full\", {\"units\":\"0x15\"},\n   \"full\", {\"rows\":\"ROUTED\",\"router\":1}]}"));
    assert_non_null(strstr(text, "\"model\":\"0123456789abcdef\""));
    free(text);
    char *none;
    dd_plan_cell(f->plan, 1, 1)->units = 0;
    expect_error(f, dd_plan_to_json(f->plan, f->model, NULL, &none, &f->err), DD_ERR_FORMAT,
                 "plan: step 1, blocks.0.mlp");
    assert_null(none);
    dd_plan_cell(f->plan, 1, 1)->units = 1;
    f->plan->policy[0] = (char)0xff;
    expect_error(f, dd_plan_to_json(f->plan, f->model, NULL, &none, &f->err), DD_ERR_ARG, "policy");
}

/* Replaces `old` once in a good file; what then comes is refused with `part`. */
typedef struct edit {
    const char *old, *new;
    dd_status want;
    const char *part;
} edit;

static const edit edits[] = {
    {"{\n", "[{}]", DD_ERR_FORMAT, ""},
    {"\"dydit-plan\"", "\"other\"", DD_ERR_FORMAT, ": schema is \"other\", a plan has \"dydit-plan\""},
    {"_version\":1", "_version\":2", DD_ERR_UNSUPPORTED, ": schema_version is 2, this program reads 1"},
    {"\"policy\"", "\"polizy\"", DD_ERR_FORMAT, "polizy"},
    {"\"arch\":", "\"arch\":7,\"x\":", DD_ERR_FORMAT, "x"},
    {"abcdef\"", "abcdeg\"", DD_ERR_FORMAT, "not 16 hexadecimal digits"},
    {"abcdef\"", "abcde0\"", DD_ERR_FORMAT, "for model 0123456789abcde0 (DyDiT-test-2), this is 0123456789abcdef"},
    {"\"units\":6", "\"units\":7", DD_ERR_FORMAT, "site 0 (blocks.0.attn) has 7 units in the plan, 6 in the model"},
    {"\"units\":6", "\"units\":65", DD_ERR_FORMAT, "sites[0]"},
    {"\"units\":6", "\"units\":6,\"unit\":6", DD_ERR_FORMAT, "unit"},
    {"blocks.0.mlp", "blocks.0.m", DD_ERR_FORMAT,
     "site 1 is \"blocks.0.m\" in the plan, \"blocks.0.mlp\" in the model"},
    {"blocks.0.mlp", "0123456789012345678901234567890123456789", DD_ERR_FORMAT, "sites[1]: \"name\" is longer than 39"},
    {"\"timestep\":999", "\"timestep\":999.01", DD_ERR_FORMAT, "steps[0]: timestep 999.01 is not within 0 to 999"},
    {"\"timestep\":999", "\"timestep\":1e300", DD_ERR_FORMAT, "steps[0]: timestep"},
    {"\"timestep\":999", "\"timestep\":\"9\"", DD_ERR_FORMAT, "steps[0]: \"timestep\" is no number"},
    {"\"timestep\":999,", "", DD_ERR_FORMAT, "steps[0]: \"timestep\" is missing"},
    {"\"guided\":true", "\"guided\":1", DD_ERR_FORMAT, "guided"},
    {"\"weight_set\":0", "\"weight_set\":3", DD_ERR_FORMAT, "step 0: weight set 3, but the plan has set 0 alone"},
    {"\"weight_set\":0", "\"weights\":0", DD_ERR_FORMAT, "weights"},
    {"\"full\", ", "", DD_ERR_FORMAT, "steps[0]: 3 cells for 4 sites"},
    {"\"full\"", "\"most\"", DD_ERR_FORMAT, "steps[0].cells[0] (blocks.0.attn) is neither an object nor \"full\""},
    {"\"full\"", "{\"oq\":1}", DD_ERR_FORMAT, "oq"},
    {"\"full\"", "{\"op\":\"HALF\"}", DD_ERR_FORMAT, "cells[0] (blocks.0.attn): op \"HALF\" is none of COMPUTE"},
    {"\"full\"", "{\"op\":\"REUSE_DELTA\"}", DD_ERR_FORMAT, "step 0, blocks.0.attn: REUSE_DELTA, but no earlier step"},
    {"\"full\"", "{\"units\":\"3f\"}", DD_ERR_FORMAT, "units \"3f\" is no mask of the form \"0x3f\""},
    {"\"full\"", "{\"units\":\"0x\"}", DD_ERR_FORMAT, "units \"0x\" is no mask"},
    {"\"full\"", "{\"units\":\"0x-1\"}", DD_ERR_FORMAT, "units \"0x-1\" is no mask"},
    {"\"full\"", "{\"units\":\"0x10000000000000000\"}", DD_ERR_FORMAT, "is no mask"},
    {"\"full\"", "{\"units\":\"0x7f\"}", DD_ERR_FORMAT, "step 0, blocks.0.attn: units 0x7f go beyond"},
    {"\"full\"", "{\"units\":\"0x0\"}", DD_ERR_FORMAT, "step 0, blocks.0.attn: COMPUTE with no unit on"},
    {"\"full\"", "{\"rows\":\"SOME\"}", DD_ERR_FORMAT, "rows \"SOME\" is none of ALL, ROUTED and MASKED"},
    {"\"full\"", "{\"rows\":\"ROUTED\"}", DD_ERR_FORMAT,
     "blocks.0.attn: rows is ROUTED, but the site has no token router"},
    {"\"full\"", "{\"router\":0}", DD_ERR_FORMAT, "router 0 is named, but rows is ALL"},
    {", \"full\"", ", {\"rows\":\"ROUTED\",\"router\":1}", DD_ERR_FORMAT, "router 1, but the site's token router is 0"},
    {", \"full\"", ", {\"router\":70000}", DD_ERR_FORMAT, "router"},
};

static void json_refusals(void **state)
{
    fixture *f = *state;
    char *text;
    assert_int_equal(dd_plan_to_json(f->plan, f->model, NULL, &text, &f->err), DD_OK);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        const edit *e = &edits[i];
        const char *at = strstr(text, e->old);
        assert_non_null(at);
        char *changed = malloc(strlen(text) + strlen(e->new) + 1);
        assert_non_null(changed);
        sprintf(changed, "%.*s%s%s", (int)(at - text), text, e->new, at + strlen(e->old));
        write_file(f, changed);
        free(changed);
        dd_plan *q = f->plan;
        const dd_status st = dd_plan_read(&q, f->model, NULL, f->path, &f->err);
        if (st != e->want) fail_msg("edit %zu (%s): status %d, %s", i, e->new, (int)st, f->err.text);
        assert_null(q);
        if (!strstr(f->err.text, f->path)) fail_msg("edit %zu does not name the file: %s", i, f->err.text);
        expect_error(f, st, e->want, e->part);
    }
    free(text);
}

static void json_defaults(void **state)
{
    fixture *f = *state;
    dd_plan *q;
    write_file(
        f,
        "{\"schema\":\"dydit-plan\",\"schema_version\":1,\"model\":\"0123456789ABCDEF\",\"arch\":\"\",\"policy\":\"\","
        "\"sites\":[{\"name\":\"blocks.0.attn\",\"units\":6},{\"name\":\"blocks.0.mlp\",\"units\":6},"
        "{\"name\":\"blocks.1.attn\",\"units\":6},{\"name\":\"blocks.1.mlp\",\"units\":6}],"
        "\"steps\":[{\"timestep\":5e2,\"guided\":false,\"cells\":[{},{\"rows\":\"ROUTED\"},"
        "{\"op\":\"COMPUTE\",\"units\":\"0X3F\",\"rows\":\"ALL\"},\"full\"]}]}");
    dd_status st = dd_plan_read(&q, f->model, NULL, f->path, &f->err);
    expect_error(f, st, DD_ERR_FORMAT, "0X3F"); /* one spelling */
    write_file(
        f,
        "{\"schema\":\"dydit-plan\",\"schema_version\":1,\"model\":\"0123456789ABCDEF\",\"arch\":\"\",\"policy\":\"\","
        "\"sites\":[{\"name\":\"blocks.0.attn\",\"units\":6},{\"name\":\"blocks.0.mlp\",\"units\":6},"
        "{\"name\":\"blocks.1.attn\",\"units\":6},{\"name\":\"blocks.1.mlp\",\"units\":6}],"
        "\"steps\":[{\"timestep\":5e2,\"guided\":false,\"cells\":[{},{\"rows\":\"ROUTED\"},"
        "{\"op\":\"COMPUTE\",\"units\":\"0x3F\",\"rows\":\"ALL\"},\"full\"]}]}");
    st = dd_plan_read(&q, f->model, NULL, f->path, &f->err);
    if (st != DD_OK) fail_msg("%s", f->err.text);
    assert_int_equal(dd_plan_cell(q, 0, 0)->units, 0x3f);
    assert_int_equal(dd_plan_cell(q, 0, 1)->router, 0);
    assert_true(q->rows[0].timestep == 500.0f);
    dd_plan_free(&q);
    expect_error(f, dd_plan_read(&q, f->model, NULL, "/nonexistent/p.json", &f->err), DD_ERR_NOT_FOUND,
                 "/nonexistent/p.json");
}

/* 250 steps of XL stay small. */
static void json_of_a_large_plan(void **state)
{
    fixture *f = *state;
    dd_model *m = plan_model_new(28, 64, 16, 16);
    float t[250];
    dd_plan *p, *q;
    char *text;
    assert_non_null(m);
    assert_true(plan_model_add_routers(m));
    for (int s = 0; s < 250; s++) t[s] = (float)(996 - 4 * s);
    assert_int_equal(dd_plan_build(&p, m, t, NULL, 250, &f->err), DD_OK);
    for (int s = 0; s < 250; s++)
        for (int i = 0; i < 56; i++) {
            dd_cell *c = dd_plan_cell(p, s, i);
            c->units = 0x5555;
            if (i % 2) c->rows = DD_ROWS_ROUTED, c->router = (int16_t)(i / 2);
        }
    assert_int_equal(dd_plan_to_json(p, m, NULL, &text, &f->err), DD_OK);
    assert_true(strlen(text) < 1u << 20);
    write_file(f, text);
    assert_int_equal(dd_plan_read(&q, m, NULL, f->path, &f->err), DD_OK);
    assert_true(dd_plan_hash(p) == dd_plan_hash(q));
    free(text);
    dd_plan_free(&p);
    dd_plan_free(&q);
    plan_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(json_round_trip), TEST(json_is_compact),      TEST(json_refusals),
        TEST(json_defaults),   TEST(json_of_a_large_plan),
    };
    return cmocka_run_group_tests_name("plan_json", tests, NULL, NULL);
}
