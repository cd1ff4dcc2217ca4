/* SPDX-License-Identifier: MIT
 * FORA's table: which steps compute (golden sets of the paper's rule), what guidance and other policies do to it, and
 * what is refused. Its runs are in test_golden_policy.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/exec_rig.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

/* Steps that compute all sites; no step does so in part. */
static int computing(const rig *r, bool *computes)
{
    int n = 0;
    for (int s = 0; s < r->plan->n_steps; s++) {
        computes[s] = dd_cell_computes(dd_plan_cell(r->plan, s, 0));
        for (int i = 0; i < r->plan->n_sites; i++)
            assert_int_equal(dd_cell_computes(dd_plan_cell(r->plan, s, i)), computes[s]);
        n += computes[s];
    }
    return n;
}

static void steps_that_compute(void **state)
{
    (void)state;
    /* respaced indices, from T-1 down to 0 */
    static const int of_20[] = {19, 18, 15, 12, 9, 6, 3, 0};
    static const int counts[][3] = {{20, 2, 11},   {20, 3, 8},   {20, 4, 6},   {20, 5, 5},   {20, 6, 5},   {20, 7, 4},
                                    {50, 2, 26},   {50, 3, 18},  {50, 4, 14},  {50, 5, 11},  {50, 6, 10},  {50, 7, 8},
                                    {250, 2, 126}, {250, 3, 84}, {250, 4, 64}, {250, 5, 51}, {250, 6, 43}, {250, 7, 37},
                                    {20, 19, 2},   {20, 100, 2}, {20, 1, 20}};
    static bool computes[DD_PLAN_MAX_STEPS];
    rig r = rig_open(MODEL_D64, "ref");
    for (int i = 0; i < COUNT(counts); i++) {
        char steps[8];
        snprintf(steps, sizeof steps, "%d", counts[i][0]);
        rig_plan(&r, steps, 0, 999, true);
        rig_must(&r, dd_policy_fora(r.plan, r.model, counts[i][1], DD_REUSE_FROZEN, &r.err));
        assert_int_equal(computing(&r, computes), counts[i][2]);
        for (int k = 0; i == 1 && k < COUNT(of_20); k++) assert_true(computes[19 - of_20[k]]);
    }
    rig_close(&r);
}

/* Another number of rows: what is stored does not fit. Before 300 the steps are not guided. */
static void guidance_forces_a_refresh(void **state)
{
    (void)state;
    bool computes[20];
    rig r = rig_open(MODEL_D64, "ref");
    rig_plan(&r, "20", 300, 999, true);
    rig_must(&r, dd_policy_fora(r.plan, r.model, 19, DD_REUSE_FROZEN, &r.err));
    assert_int_equal(computing(&r, computes), 3);
    for (int s = 1; s < 19; s++) assert_int_equal(computes[s], r.plan->rows[s].guided != r.plan->rows[s - 1].guided);
    rig_close(&r);
}

/* Heads, groups and rows are those of the step that computes; what another policy leaves out stays so. */
static void cells_of_other_policies(void **state)
{
    (void)state;
    static const struct {
        dd_reuse_tokens tokens;
        uint8_t stored, reused;
    } cases[] = {{DD_REUSE_FROZEN, DD_ROWS_ROUTED, DD_ROWS_ALL},
                 {DD_REUSE_INTERSECT, DD_ROWS_ROUTED, DD_ROWS_ROUTED},
                 {DD_REUSE_FRESH, DD_ROWS_MASKED, DD_ROWS_ROUTED}};
    for (int k = 0; k < COUNT(cases); k++) {
        rig r = rig_open(MODEL_D64, "ref");
        dd_plan *own = NULL;
        dd_plan_cell(r.plan, 1, 2)->op = DD_CELL_SKIP;
        rig_must(&r, dd_plan_copy(&own, r.plan, &r.err));
        rig_must(&r, dd_policy_fora(r.plan, r.model, 2, cases[k].tokens, &r.err)); /* computed: indices 3, 2, 0 */
        assert_string_equal(r.plan->policy, "dydit+fora:2");
        for (int i = 0; i < r.plan->n_sites; i++) {
            const bool routed = r.model->sites[i].router >= 0;
            const dd_cell *c = dd_plan_cell(r.plan, 1, i), *again = dd_plan_cell(r.plan, 2, i);
            assert_int_equal(dd_plan_cell(r.plan, 0, i)->op, DD_CELL_COMPUTE); /* nobody reads it */
            assert_int_equal(dd_plan_cell(r.plan, 3, i)->op, DD_CELL_COMPUTE);
            if (i == 2) {
                assert_int_equal(c->op, DD_CELL_SKIP);
                assert_int_equal(again->op, DD_CELL_SKIP); /* there is nothing to reuse */
                continue;
            }
            assert_int_equal(c->op, DD_CELL_COMPUTE_STORE);
            assert_int_equal(c->units, dd_plan_cell(own, 1, i)->units);
            assert_int_equal(c->rows, routed ? cases[k].stored : DD_ROWS_ALL);
            assert_int_equal(again->op, DD_CELL_REUSE_BRANCH);
            assert_int_equal(again->rows, routed ? cases[k].reused : DD_ROWS_ALL);
        }
        dd_plan_free(&own);
        rig_close(&r);
    }
}

static void what_users_write(void **state)
{
    (void)state;
    static const struct {
        const char *policy, *tokens, *part;
    } bad[] = {{"fora", "", "policy fora needs interval="},
               {"fora:interval=0", "", "policy fora: interval '0' is no whole number from 1 to 1000"},
               {"fora:interval=1001", "", "interval '1001'"},
               {"fora:interval=", "", "policy fora: 'interval=' is not KEY=VALUE"},
               {"fora:interval", "", "policy fora: 'interval' is not KEY=VALUE"},
               {"fora:interval=2,interval=3", "", "policy fora: interval is given twice"},
               {"fora:interval=2,phase=1", "", "policy fora has no value 'phase'"},
               {"fora:interval=3x", "", "interval '3x'"},
               {"fora:interval=-2", "", "interval '-2'"},
               {"fore:interval=2", "", "policy 'fore' is not known: fora:interval=N"},
               {"fora:interval=2", "never", "reuse-tokens 'never' is none of frozen, intersect, fresh"},
               {"", "fresh", "reuse-tokens fresh without a policy"}};
    rig r = rig_open(MODEL_D64, "ref");
    const uint64_t plain = dd_plan_hash(r.plan);
    for (int i = 0; i < COUNT(bad); i++) {
        rig_refused(&r, dd_policy_named(r.plan, r.model, bad[i].policy, bad[i].tokens, &r.err), DD_ERR_ARG,
                    bad[i].part);
        assert_true(dd_plan_hash(r.plan) == plain);
    }
    rig_must(&r, dd_policy_named(r.plan, r.model, "", "", &r.err));
    assert_true(dd_plan_hash(r.plan) == plain);
    rig_must(&r, dd_policy_named(r.plan, r.model, "fora:interval=2", "fresh", &r.err));
    rig_refused(&r, dd_policy_named(r.plan, r.model, "fora:interval=2", "", &r.err), DD_ERR_ARG,
                "policy fora over plan \"dydit+fora:2\", which itself reuses results (step 2, blocks.0.attn)");
    rig_close(&r);
    r = rig_open("tests/golden/policy_dit_d32_h2_p2.safetensors", "ref");
    rig_refused(&r, dd_policy_named(r.plan, r.model, "fora:interval=2", "fresh", &r.err), DD_ERR_ARG,
                "has no token routers");
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_that_compute),
                                       cmocka_unit_test(guidance_forces_a_refresh),
                                       cmocka_unit_test(cells_of_other_policies), cmocka_unit_test(what_users_write)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
