/* SPDX-License-Identifier: MIT
 * Plans: building and rules. Every refusal is provoked and its sentence looked at. */
#define _POSIX_C_SOURCE 200809L
#include "tests/support/plan_fixture.h"

#include <math.h>

static void refused(fixture *f, dd_status want, const char *part)
{
    expect_error(f, dd_plan_validate(f->plan, f->model, "p.json", &f->err), want, part);
}

static void accepted(fixture *f)
{
    if (dd_plan_validate(f->plan, f->model, "p.json", &f->err) != DD_OK) fail_msg("%s", f->err.text);
}

static void builds(void **state)
{
    fixture *f = *state;
    const dd_plan *p = f->plan;
    assert_int_equal(p->n_steps, STEPS);
    assert_int_equal(p->n_sites, 4);
    assert_string_equal(p->arch, "DyDiT-test-2");
    assert_string_equal(p->policy, "dense");
    assert_string_equal(p->site_name[3], "blocks.1.mlp");
    for (int s = 0; s < STEPS; s++)
        for (int i = 0; i < 4; i++) {
            const dd_cell *c = dd_plan_cell(p, s, i);
            assert_true(c->op == DD_CELL_COMPUTE && c->units == 0x3f && c->rows == DD_ROWS_ALL && c->router == -1);
        }
    accepted(f);
    dd_plan *q = NULL;
    assert_int_equal(dd_plan_build(&q, f->model, timesteps, NULL, STEPS, NULL), DD_OK);
    assert_int_equal(q->rows[0].guided, 0);
    dd_plan_free(&q);
    assert_null(q);
    const float wrong[1] = {NAN};
    expect_error(f, dd_plan_build(&q, f->model, wrong, NULL, 1, &f->err), DD_ERR_FORMAT, "step 0: timestep");
    assert_null(q);
    expect_error(f, dd_plan_build(&q, f->model, timesteps, NULL, 0, &f->err), DD_ERR_ARG, "1 to 1000 steps");
    expect_error(f, dd_plan_build(&q, f->model, timesteps, NULL, 1001, &f->err), DD_ERR_ARG, "1 to 1000 steps");
}

static void hash_sees_every_field(void **state)
{
    fixture *f = *state;
    const uint64_t h = dd_plan_hash(f->plan);
    for (int field = 0; field < 12; field++) {
        dd_plan *q;
        assert_int_equal(dd_plan_copy(&q, f->plan, NULL), DD_OK);
        assert_true(dd_plan_hash(q) == h);
        dd_cell *c = dd_plan_cell(q, STEPS - 1, 3);
        switch (field) {
        case 0: q->model_id++; break;
        case 1: q->arch[0]++; break;
        case 2: q->policy[0]++; break;
        case 3: q->site_name[3][0]++; break;
        case 4: q->site_units[3]++; break;
        case 5: q->rows[3].timestep = 1; break;
        case 6: q->rows[3].guided = 0; break;
        case 7: q->rows[3].weight_set = 1; break;
        case 8: c->units ^= 1; break;
        case 9: c->op = DD_CELL_SKIP; break;
        case 10: c->rows = DD_ROWS_ROUTED; break;
        default: c->router = 1; break;
        }
        assert_true(dd_plan_hash(q) != h);
        dd_plan_free(&q);
    }
}

static void rules_of_model_and_rows(void **state)
{
    fixture *f = *state;
    dd_plan *p = f->plan;
    p->model_id++;
    refused(f, DD_ERR_FORMAT,
            "p.json: the plan is for model 0123456789abcdf0 (DyDiT-test-2), this is 0123456789abcdef");
    p->model_id--;
    p->n_sites = 3;
    refused(f, DD_ERR_FORMAT, "the plan has 3 sites, the model has 4");
    p->n_sites = 4;
    p->site_name[1][0] = 'B';
    refused(f, DD_ERR_FORMAT, "site 1 is \"Blocks.0.mlp\" in the plan, \"blocks.0.mlp\" in the model");
    p->site_name[1][0] = 'b';
    p->site_units[2] = 8;
    refused(f, DD_ERR_FORMAT, "site 2 (blocks.1.attn) has 8 units in the plan, 6 in the model");
    p->site_units[2] = 6;
    const float wrong[] = {NAN, INFINITY, -INFINITY, -0.5f, 999.5f};
    for (int i = 0; i < 5; i++) {
        p->rows[2].timestep = wrong[i];
        refused(f, DD_ERR_FORMAT, "p.json: step 2: timestep");
    }
    p->rows[2].timestep = 333;
    p->rows[1].weight_set = 1;
    refused(f, DD_ERR_FORMAT, "step 1: weight set 1, but the plan has set 0 alone");
    p->rows[1].weight_set = 0;
    p->rows[1].guided = 2;
    refused(f, DD_ERR_FORMAT, "step 1: guided is 2");
    p->rows[1].guided = 1;
    p->n_steps = 0;
    refused(f, DD_ERR_FORMAT, "0 steps, a plan has 1 to 1000");
    p->n_steps = STEPS;
    accepted(f);
}

static void rules_of_cells(void **state)
{
    fixture *f = *state;
    dd_cell *c = dd_plan_cell(f->plan, 2, 3);
    const dd_cell full = *c;
    c->units = 0x40;
    refused(f, DD_ERR_FORMAT, "p.json: step 2, blocks.1.mlp: units 0x40 go beyond the site's 6 units (0x3f)");
    c->units = 0;
    refused(f, DD_ERR_FORMAT, "step 2, blocks.1.mlp: COMPUTE with no unit on");
    c->op = DD_CELL_SKIP;
    accepted(f);
    f->model->sites[3].residual = false;
    refused(f, DD_ERR_FORMAT, "step 2, blocks.1.mlp: SKIP needs a site that adds to its input");
    f->model->sites[3].residual = true;
    *c = full;
    c->op = DD_CELL_OP_COUNT;
    refused(f, DD_ERR_FORMAT, "step 2, blocks.1.mlp: unknown op 6");
    *c = full;
    c->format = DD_FORMAT_COUNT;
    refused(f, DD_ERR_FORMAT, "unknown format");
    *c = full;
    c->router = 1;
    refused(f, DD_ERR_FORMAT, "router 1 is named, but rows is ALL");
    c->rows = DD_ROWS_ROUTED;
    accepted(f);
    c->router = 0;
    refused(f, DD_ERR_FORMAT, "step 2, blocks.1.mlp: router 0, but the site's token router is 1");
    c->rows = 3;
    refused(f, DD_ERR_FORMAT, "unknown rows 3");
    c->rows = DD_ROWS_MASKED;
    c->router = 1;
    refused(f, DD_ERR_FORMAT,
            "step 2, blocks.1.mlp: rows is MASKED with COMPUTE, but only COMPUTE_STORE can have that");
    c->op = DD_CELL_COMPUTE_STORE;
    accepted(f);
    dd_plan_cell(f->plan, 3, 3)->op = DD_CELL_REUSE_BRANCH; /* of stored tokens, those that the router chooses */
    dd_plan_cell(f->plan, 3, 3)->rows = DD_ROWS_ROUTED;
    dd_plan_cell(f->plan, 3, 3)->router = 1;
    accepted(f);
    dd_plan_cell(f->plan, 3, 3)->op = DD_CELL_REUSE_DELTA;
    refused(f, DD_ERR_FORMAT, "step 3, blocks.1.mlp: rows is ROUTED with REUSE_DELTA, but what that reuses");
    dd_plan_cell(f->plan, 3, 3)->op = DD_CELL_REUSE_OUTPUT;
    refused(f, DD_ERR_FORMAT, "step 3, blocks.1.mlp: rows is ROUTED with REUSE_OUTPUT");
    *dd_plan_cell(f->plan, 3, 3) = *c = full;
    dd_plan_cell(f->plan, 1, 0)->rows = DD_ROWS_ROUTED;
    refused(f, DD_ERR_FORMAT, "step 1, blocks.0.attn: rows is ROUTED, but the site has no token router");
}

static void rules_of_reuse(void **state)
{
    fixture *f = *state;
    static const uint8_t ops[] = {DD_CELL_REUSE_BRANCH, DD_CELL_REUSE_DELTA, DD_CELL_REUSE_OUTPUT};
    for (int i = 0; i < 3; i++) {
        char text[96];
        dd_plan_cell(f->plan, 0, 2)->op = DD_CELL_COMPUTE; /* computes, but stores nothing */
        dd_plan_cell(f->plan, 2, 2)->op = ops[i];
        snprintf(text, sizeof text, "step 2, blocks.1.attn: %s, but no earlier step stores", dd_cell_op_name(ops[i]));
        refused(f, DD_ERR_FORMAT, text);
        dd_plan_cell(f->plan, 0, 2)->op = DD_CELL_COMPUTE_STORE;
        accepted(f);
        f->plan->rows[0].guided = 0;
        snprintf(text, sizeof text, "%s of what step 0 stored, but guidance changes at step 1",
                 dd_cell_op_name(ops[i]));
        refused(f, DD_ERR_FORMAT, text);
        dd_plan_cell(f->plan, 1, 2)->op = DD_CELL_COMPUTE_STORE; /* stored anew after the change */
        accepted(f);
        dd_plan_cell(f->plan, 1, 2)->op = DD_CELL_COMPUTE;
        f->plan->rows[0].guided = 1;
        f->plan->rows[1].guided = 0; /* there and back between store and reuse */
        refused(f, DD_ERR_FORMAT, "guidance changes at step 2");
        f->plan->rows[1].guided = 1;
    }
    dd_plan_cell(f->plan, 2, 2)->op = DD_CELL_REUSE_DELTA;
    f->model->sites[2].residual = false;
    refused(f, DD_ERR_FORMAT, "REUSE_DELTA needs a site that adds to its input");
    dd_plan_cell(f->plan, 2, 2)->op = DD_CELL_REUSE_OUTPUT;
    accepted(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(builds),         TEST(hash_sees_every_field), TEST(rules_of_model_and_rows),
        TEST(rules_of_cells), TEST(rules_of_reuse),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
