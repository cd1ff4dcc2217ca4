/* SPDX-License-Identifier: MIT
 * The table of Learning-to-Cache: which cells compute, store and reuse (arXiv 2406.01733 as its public code runs), what
 * guidance and other policies do to it, and what is refused. Its runs are in test_golden_policy.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <math.h>
#include <cmocka.h>

#include "tests/unit/exec_rig.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))
#define ROUTERS "tests/golden/torch_routers.pt"             /* 10 steps, 3 blocks */
#define UVIT "tests/golden/torch_routers_uvit.pth"          /* 10 steps, 58 values */
#define DIT "tests/golden/policy_dit_d32_h2_p2.safetensors" /* 3 blocks, no routers */

/* Logits that no pattern of the rule could be mistaken for: of 4 sites by respaced index. Those of odd steps mean nothing. */
static dd_router_table table(int steps)
{
    dd_err err = {0};
    dd_router_table t = {0};
    assert_int_equal(dd_router_alloc(&t, steps, 4, "test", &err), DD_OK);
    for (int i = 0; i < steps * 4; i++) t.values[i] = (float)(i * 7 % 11) - 5.0f;
    t.threshold = 0.5;
    return t;
}

/* What a step must do, from the paper's rule alone: op of each cell before unread stores are taken back. */
static void same_rule(const rig *r, const dd_router_table *t, bool empty_first)
{
    const dd_plan *p = r->plan;
    for (int s = 0; s < p->n_steps; s++)
        for (int i = 0; i < p->n_sites; i++) {
            const int index = p->n_steps - 1 - s, op = dd_plan_cell(p, s, i)->op;
            const bool kept = t->values[index * 4 + i] > 0; /* sigmoid above 0.5 */
            const bool reuses = index % 2 == 0 && !kept && !(empty_first && s == 0);
            const bool read = index % 2 == 1 && s + 1 < p->n_steps && !(t->values[(index - 1) * 4 + i] > 0);
            const int want = reuses ? DD_CELL_REUSE_BRANCH : read ? DD_CELL_COMPUTE_STORE : DD_CELL_COMPUTE;
            if (op != want) fail_msg("T %d, index %d, site %d: %s", p->n_steps, index, i, dd_cell_op_name(op));
        }
}

static void parity_and_empty_slots(void **state)
{
    (void)state;
    static const char *const steps[] = {"2", "8", "9", "20"};
    rig r = rig_open(MODEL_D64, "ref");
    for (int k = 0; k < COUNT(steps); k++) {
        rig_plan(&r, steps[k], 0, 999, true);
        dd_router_table t = table(r.plan->n_steps);
        rig_must(&r, dd_policy_l2c(r.plan, r.model, &t, "test", DD_REUSE_FROZEN, &r.err));
        assert_string_equal(r.plan->policy, "dydit+l2c:0.5");
        same_rule(&r, &t,
                  r.plan->n_steps % 2 == 1); /* an odd number of steps begins with an even index: nothing is kept */
        dd_router_fini(&t);
    }
    rig_close(&r);
}

/* Strictly above, in float32. Sigmoid of 6e-8 is 0.5 there. */
static void comparison(void **state)
{
    (void)state;
    static const struct {
        float logit;
        double threshold;
        bool kept;
    } cases[] = {{0, 0.5, false},
                 {6e-8f, 0.5, false},
                 {2e-7f, 0.5, true},
                 {-0.0f, 0.4999, true},
                 {-5, 0.0066928509, false} /* float32 sigmoid of -5 */,
                 {-5, 0.0066928504, true},
                 {-2.1972246f, 0.1, false},
                 {-2.197f, 0.1, true},
                 {1000, 1, false},
                 {100, 0.99999994, true},
                 {-1000, 0, false},
                 {-1000, -1e-9, true},
                 {5, 1.5, false},
                 {-5, 0, true}};
    dd_router_table t = table(2);
    for (int i = 0; i < COUNT(cases); i++) {
        t.values[2] = cases[i].logit;
        t.threshold = cases[i].threshold;
        if (dd_router_keeps(&t, 0, 2) != cases[i].kept) fail_msg("case %d", i);
    }
    t.probabilities = true;
    t.values[2] = 0.1f;
    t.threshold = 0.1; /* below 0.1f, but equal in float32 */
    assert_false(dd_router_keeps(&t, 0, 2));
    t.values[2] = nextafterf(0.1f, 1);
    assert_true(dd_router_keeps(&t, 0, 2));
    dd_router_fini(&t);
}

/* From 1 on all even steps reuse everything; down from 0 nothing is reused, and no cell changes. */
static void thresholds_at_the_ends(void **state)
{
    (void)state;
    static const double ends[] = {1, 1.5, 0, -1};
    for (int k = 0; k < COUNT(ends); k++) {
        rig r = rig_open(MODEL_D64, "ref");
        dd_plan *own = NULL;
        rig_must(&r, dd_plan_copy(&own, r.plan, &r.err));
        dd_router_table t = table(4);
        t.threshold = ends[k];
        rig_must(&r, dd_policy_l2c(r.plan, r.model, &t, "test", DD_REUSE_FROZEN, &r.err));
        for (int i = 0; i < 4 * r.plan->n_sites; i++) {
            const int s = i / r.plan->n_sites;
            const dd_cell *c = &r.plan->cells[i], *o = &own->cells[i];
            if (ends[k] >= 1) assert_int_equal(c->op, s % 2 ? DD_CELL_REUSE_BRANCH : DD_CELL_COMPUTE_STORE);
            else assert_true(c->op == o->op && c->units == o->units && c->rows == o->rows && c->router == o->router);
        }
        dd_router_fini(&t);
        dd_plan_free(&own);
        rig_close(&r);
    }
}

/* Where the number of rows changes nothing is kept that fits: an even step computes then. Timesteps 999, 666, 333, 0. */
static void guidance_forces_a_computed_step(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, "ref");
    dd_router_table t = table(4);
    t.threshold = 1;
    for (int k = 0; k < 2; k++) {
        rig_plan(&r, "4", k ? 300 : 600, 999,
                 true); /* off before step 2, which stores; off before step 3, which reuses */
        rig_must(&r, dd_policy_l2c(r.plan, r.model, &t, "test", DD_REUSE_FROZEN, &r.err));
        for (int i = 0; i < r.plan->n_sites; i++) {
            assert_int_equal(dd_plan_cell(r.plan, 1, i)->op, DD_CELL_REUSE_BRANCH);
            assert_int_equal(dd_plan_cell(r.plan, 2, i)->op, k ? DD_CELL_COMPUTE : DD_CELL_COMPUTE_STORE);
            assert_int_equal(dd_plan_cell(r.plan, 3, i)->op, k ? DD_CELL_COMPUTE : DD_CELL_REUSE_BRANCH);
        }
    }
    dd_router_fini(&t);
    rig_close(&r);
}

/* --reuse-tokens: as FORA has it. */
static void tokens_of_reused_mlps(void **state)
{
    (void)state;
    static const uint8_t rows[][2] = {{DD_ROWS_ROUTED, DD_ROWS_ALL},
                                      {DD_ROWS_ROUTED, DD_ROWS_ROUTED},
                                      {DD_ROWS_MASKED, DD_ROWS_ROUTED}}; /* stored, reused; by dd_reuse_tokens */
    for (int k = 0; k < 3; k++) {
        rig r = rig_open(MODEL_D64, "ref");
        dd_router_table t = table(4);
        t.values[2 * 4 + 3] = 9; /* kept at the second step: computed for the tokens that are routed */
        t.values[0 * 4 + 3] = -9;
        rig_must(&r, dd_policy_l2c(r.plan, r.model, &t, "test", (dd_reuse_tokens)k, &r.err));
        assert_int_equal(dd_plan_cell(r.plan, 0, 3)->rows, DD_ROWS_ROUTED); /* nobody reads it */
        assert_int_equal(dd_plan_cell(r.plan, 1, 3)->rows, DD_ROWS_ROUTED);
        assert_int_equal(dd_plan_cell(r.plan, 2, 3)->rows, rows[k][0]);
        assert_int_equal(dd_plan_cell(r.plan, 3, 3)->rows, rows[k][1]);
        dd_router_fini(&t);
        rig_close(&r);
    }
}

static void what_users_write(void **state)
{
    (void)state;
    static const struct {
        const char *policy, *part;
        dd_status want;
    } bad[] = {{"l2c", "policy l2c needs router=", DD_ERR_ARG},
               {"l2c:threshold=0.1", "policy l2c needs router=", DD_ERR_ARG},
               {"l2c:router=" ROUTERS ",threshold=half", "policy l2c: threshold 'half' is no number", DD_ERR_ARG},
               {"l2c:router=" ROUTERS ",threshold=nan", "threshold 'nan' is no number", DD_ERR_ARG},
               {"l2c:router=" ROUTERS ",soft=1", "policy l2c has no value 'soft'", DD_ERR_ARG},
               {"l2c:router=none.pt", "none.pt cannot be opened", DD_ERR_NOT_FOUND},
               {"l2c:router=tests", "tests could not be read", DD_ERR_IO},
               {"l2c:router=" UVIT, UVIT ": routers of 58 values, but two for each of the 3 blocks of", DD_ERR_FORMAT},
               {"l2c:router=" UVIT, "are 6 (58 values have the routers for U-ViT", DD_ERR_FORMAT},
               {"l2c:router=" DIT, DIT ": 0.prob is missing", DD_ERR_FORMAT},
               {"fora:interval=2,l2c:router=" ROUTERS, "policies fora and l2c exclude each other", DD_ERR_ARG},
               {"l2c:router=" ROUTERS ",fora:interval=2", "policies l2c and fora exclude each other", DD_ERR_ARG}};
    rig r = rig_open(DIT, "ref");
    rig_plan(&r, "20", 0, 999, true);
    rig_refused(&r, dd_policy_named(r.plan, r.model, "l2c:router=" ROUTERS, "", &r.err), DD_ERR_FORMAT,
                ROUTERS ": routers of 10 steps for 20 sampling steps");
    rig_plan(&r, "10", 0, 999, true);
    const uint64_t plain = dd_plan_hash(r.plan);
    for (int i = 0; i < COUNT(bad); i++) {
        rig_refused(&r, dd_policy_named(r.plan, r.model, bad[i].policy, "", &r.err), bad[i].want, bad[i].part);
        assert_true(dd_plan_hash(r.plan) == plain);
    }
    assert_null(dd_policy_remark(r.plan, "l2c:router=" ROUTERS)); /* for a DiT they were made */
    rig_must(&r, dd_policy_named(r.plan, r.model, "l2c:router=" ROUTERS, "", &r.err));
    assert_string_equal(r.plan->policy, "dense+l2c:0.1");
    rig_refused(&r, dd_policy_named(r.plan, r.model, "fora:interval=2", "", &r.err), DD_ERR_ARG,
                "policy fora over plan \"dense+l2c:0.1\", which itself reuses results");
    rig_refused(&r, dd_policy_named(r.plan, r.model, "l2c:router=" ROUTERS, "", &r.err), DD_ERR_ARG,
                "policy l2c over plan \"dense+l2c:0.1\", which itself reuses results");
    rig_close(&r);
    r = rig_open(MODEL_D64, "ref");
    assert_non_null(dd_policy_remark(r.plan, "l2c:router=" ROUTERS));
    assert_null(dd_policy_remark(r.plan, "fora:interval=2"));
    assert_null(dd_policy_remark(r.plan, ""));
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parity_and_empty_slots), cmocka_unit_test(comparison),
        cmocka_unit_test(thresholds_at_the_ends), cmocka_unit_test(guidance_forces_a_computed_step),
        cmocka_unit_test(tokens_of_reused_mlps),  cmocka_unit_test(what_users_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
