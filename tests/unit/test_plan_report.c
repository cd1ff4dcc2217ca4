/* SPDX-License-Identifier: MIT
 * Policy, costs and table of plans. */
#define _POSIX_C_SOURCE 200809L
#include "tests/support/plan_fixture.h"

#include <math.h>

#include "host/model/temb.h"
#include "host/plan/cost.h"
#include "host/plan/plan_report.h"
#include "host/plan/policy.h"
#include "host/plan/report.h"

/* ---- costs ---- */

/* DiT-XL/2 at 256 pixels: the published figures of a block, 1.50994944 and 2.717908992 G. */
static void cost_of_xl(void **state)
{
    fixture *f = *state;
    dd_model *m = plan_model_new(28, 1152, 16, 256);
    const float t = 500;
    dd_plan *p;
    assert_non_null(m);
    const uint64_t attn = 1509949440u, mlp = 2717908992u;
    m->router_macs_token = (1152 + 1) * 72;
    assert_int_equal(dd_plan_build(&p, m, &t, NULL, 1, &f->err), DD_OK);
    dd_cost c = dd_cost_step(p, m, 0, 1, NULL);
    assert_true(c.dense == 28 * (attn + mlp) + m->fixed_macs_row);
    assert_true(c.executed == c.dense);
    c = dd_cost_step(p, m, 0, 6, NULL);
    assert_true(c.dense == 6 * (28 * (attn + mlp) + m->fixed_macs_row) && c.executed == c.dense);

    double kept[56];
    for (int i = 0; i < 56; i++) {
        dd_cell *cell = dd_plan_cell(p, 0, i);
        kept[i] = 0.25;
        if (i % 2 == 0) {
            cell->units = 0xff; /* half of the heads; their rows are ALL, so kept does not concern them */
        } else {
            m->sites[i].router = i / 2;
            *cell = (dd_cell){.units = 0xf, .rows = DD_ROWS_ROUTED, .router = (int16_t)(i / 2)};
        }
    }
    const uint64_t routers = 28u * 256 * 1153 * 72; /* 0.595 G */
    c = dd_cost_step(p, m, 0, 2, NULL);
    assert_true(c.executed == 2 * (28 * (attn / 2 + mlp / 4) + routers + m->fixed_macs_row));
    c = dd_cost_step(p, m, 0, 2, kept);
    assert_true(c.executed == 2 * (28 * (attn / 2 + mlp / 16) + routers + m->fixed_macs_row));
    assert_true(c.dense == 2 * (28 * (attn + mlp) + m->fixed_macs_row));
    kept[1] = NAN; /* not measured: all tokens */
    assert_true(dd_cost_step(p, m, 0, 2, kept).executed == c.executed + 2 * (mlp / 4 - mlp / 16));
    kept[1] = 0.25;
    for (int op = DD_CELL_COMPUTE_STORE; op < DD_CELL_OP_COUNT; op++) {
        dd_plan_cell(p, 0, 1)->op = (uint8_t)op;
        const uint64_t router = op == DD_CELL_REUSE_BRANCH ? 0 : routers / 28; /* which chooses among what is stored */
        const uint64_t saved = op == DD_CELL_COMPUTE_STORE ? 0 : 2 * (mlp / 16 + router);
        const uint64_t before = op == DD_CELL_REUSE_OUTPUT ? 2 * (attn / 2)
                                                           : 0; /* of the site before, nobody reads it */
        assert_true(dd_cost_step(p, m, 0, 2, kept).executed == c.executed - saved - before);
    }
    dd_plan_free(&p);
    plan_model_free(m);
}

/* Per row of DiT-XL/2 with the timestep embedding (256 D + D^2), a step that reuses all branches: 0.241 G with all of its
 * adaLN vectors, 0.093 G with what it reads of them. */
static void cost_of_a_reuse_step(void **state)
{
    fixture *f = *state;
    const float t = 500;
    dd_plan *p = NULL;
    dd_model *m = plan_model_new(28, 1152, 16, 256);
    assert_non_null(m);
    assert_int_equal(dd_plan_build(&p, m, &t, NULL, 1, &f->err), DD_OK);
    assert_true(dd_cost_cond(p, m, 0, 11).dense == 11u * 1152u * 1152u * (6 * 28 + 2));
    assert_true(dd_cost_cond(p, m, 0, 11).executed == dd_cost_cond(p, m, 0, 11).dense);
    for (int i = 0; i < m->n_sites; i++) dd_plan_cell(p, 0, i)->op = DD_CELL_REUSE_BRANCH;
    const dd_cost row = dd_cost_step(p, m, 0, 1, NULL), label = dd_cost_cond(p, m, 0, 1);
    const double temb = 1152.0 * (256 + 1152);
    assert_true(fabs((double)(row.executed + label.dense) + temb - 0.241e9) < 0.0005e9);
    assert_true(fabs((double)(row.executed + label.executed) + temb - 0.093e9) < 0.0005e9);
    dd_plan_cell(p, 0, 0)->op = DD_CELL_REUSE_OUTPUT;
    assert_true(dd_cost_cond(p, m, 0, 1).executed == label.executed - 1152u * 1152u);
    dd_plan_free(&p);
    plan_model_free(m);
}

static void numbers_as_text(void **state)
{
    (void)state;
    char t[DD_NUMBER_TEXT];
    assert_string_equal(dd_text_macs(t, 0), "0 ");
    assert_string_equal(dd_text_macs(t, 999), "999 ");
    assert_string_equal(dd_text_macs(t, 1000), "1.000 k");
    assert_string_equal(dd_text_macs(t, 9999499), "9.999 M");
    assert_string_equal(dd_text_macs(t, 9999500), "10.00 M");
    assert_string_equal(dd_text_macs(t, 999949999), "999.9 M");
    assert_string_equal(dd_text_macs(t, 999950000), "1.000 G");
    assert_string_equal(dd_text_macs(t, 118690000000u), "118.7 G");
    assert_string_equal(dd_text_macs(t, UINT64_MAX), "18.45 E");
    assert_string_equal(dd_text_percent(t, 0.48764), "48.8 %");
    assert_string_equal(dd_text_fixed(t, -0.004, 2), "0.00");
    assert_string_equal(dd_text_fixed(t, -0.5, 2), "-0.50");
    assert_string_equal(dd_text_fixed(t, NAN, 1), "0.0");
    assert_string_equal(dd_text_timestep(t, 981), "981");
    assert_string_equal(dd_text_timestep(t, 62.4375f), "62.44");
}

/* ---- policy ---- */

static void policy_follows_the_routers(void **state)
{
    fixture *f = *state;
    const dd_model *m = f->model;
    static float logits[STEPS * 4 * DD_MAX_UNITS];
    float temb[48], work[48];
    int on = 0, off = 0;
    f->plan->rows[3].timestep = f->plan->rows[0].timestep; /* one timestep twice */
    dd_plan_cell(f->plan, 1, 0)->op = DD_CELL_COMPUTE_STORE;
    for (size_t i = 0; i < STEPS * 4 * DD_MAX_UNITS; i++) logits[i] = NAN;
    assert_int_equal(dd_policy_dydit(f->plan, m, logits, &f->err), DD_OK);
    assert_string_equal(f->plan->policy, "dydit");
    for (int s = 0; s < STEPS; s++) {
        dd_temb(m, f->plan->rows[s].timestep, temb, work);
        for (int i = 0; i < 4; i++) {
            const dd_cell *c = dd_plan_cell(f->plan, s, i);
            const float *l = logits + (s * 4 + i) * DD_MAX_UNITS;
            assert_true(c->units & 1);
            assert_true(l[0] == 0.0f && l[6] == 0.0f && l[63] == 0.0f);
            assert_int_equal(c->rows, i % 2 ? DD_ROWS_ROUTED : DD_ROWS_ALL);
            assert_int_equal(c->router, i % 2 ? i / 2 : -1);
            for (int u = 1; u < 6; u++) {
                double sum = 0;
                for (int j = 0; j < 48; j++) sum += (double)m->step_routers[i].weight[(u - 1) * 48 + j] * temb[j];
                const float want = (float)(sum + m->step_routers[i].bias[u - 1]);
                assert_true(dd_f32_bits(l[u]) == dd_f32_bits(want));
                assert_int_equal(c->units >> u & 1, dd_logit_on(want));
                on += dd_logit_on(want);
                off += !dd_logit_on(want);
            }
        }
    }
    assert_true(on > 0 && off > 0); /* or the routers above tested nothing */
    assert_int_equal(dd_plan_cell(f->plan, 1, 0)->op, DD_CELL_COMPUTE_STORE);
    assert_int_equal(dd_plan_validate(f->plan, m, "plan", &f->err), DD_OK);
}

static void policy_refusals(void **state)
{
    fixture *f = *state;
    float *bias = malloc(5 * sizeof *bias);
    assert_non_null(bias);
    for (int i = 0; i < 5; i++) bias[i] = i == 2 ? INFINITY : 0;
    const float *const own = f->model->step_routers[2].bias;
    f->model->step_routers[2].bias = bias;
    expect_error(f, dd_policy_dydit(f->plan, f->model, NULL, &f->err), DD_ERR_FORMAT,
                 "blocks.1.attn: the timestep router gives no finite logit for unit 3 at timestep 999");
    f->model->step_routers[2].bias = own;
    free(bias);
    f->model->id++;
    expect_error(f, dd_policy_dydit(f->plan, f->model, NULL, &f->err), DD_ERR_FORMAT, "the plan is for model");
}

static void policy_without_routers(void **state)
{
    fixture *f = *state;
    dd_model *m = plan_model_new(1, 48, 6, 16);
    dd_plan *p;
    assert_non_null(m);
    assert_int_equal(dd_plan_build(&p, m, timesteps, NULL, STEPS, &f->err), DD_OK);
    const uint64_t before = dd_plan_hash(p);
    assert_int_equal(dd_policy_dydit(p, m, NULL, &f->err), DD_OK);
    assert_string_equal(p->policy, "dense");
    assert_true(dd_plan_hash(p) == before);
    dd_plan_free(&p);
    plan_model_free(m);
}

/* ---- table ---- */

static void table_of_a_plan(void **state)
{
    fixture *f = *state;
    double kept[STEPS * 4];
    char *text;
    for (int i = 0; i < STEPS * 4; i++) kept[i] = 0.5;
    f->plan->rows[1].guided = 0;
    dd_plan_cell(f->plan, 1, 0)->units = 3;
    assert_int_equal(dd_plan_table(&(dd_report){.plan = f->plan, .model = f->model}, &text, &f->err), DD_OK);
    assert_null(strstr(text, "upper bound"));
    assert_non_null(strstr(text, "\n   1    666.25      no         8/12        12/12  "));
    assert_non_null(strstr(text, "\ntotal                3       91.7 %      100.0 %  "));
    free(text);
    assert_int_equal(dd_policy_dydit(f->plan, f->model, NULL, &f->err), DD_OK);
    assert_int_equal(dd_plan_table(&(dd_report){.plan = f->plan, .model = f->model}, &text, &f->err), DD_OK);
    assert_non_null(strstr(text, "(upper bound)"));
    free(text);
    assert_int_equal(dd_plan_table(&(dd_report){.plan = f->plan, .model = f->model, .kept = kept}, &text, &f->err),
                     DD_OK);
    assert_null(strstr(text, "upper bound"));
    assert_non_null(strstr(text, "50.0 %"));
    for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) assert_true(end - line <= 100);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cost_of_xl),      TEST(cost_of_a_reuse_step),   TEST(numbers_as_text), TEST(policy_follows_the_routers),
        TEST(policy_refusals), TEST(policy_without_routers), TEST(table_of_a_plan),
    };
    return cmocka_run_group_tests_name("plan_report", tests, NULL, NULL);
}
