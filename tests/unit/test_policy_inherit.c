/* SPDX-License-Identifier: MIT
 * Feature inheritance as a policy: which steps and sites, what is dead then and costs nothing, what is refused. Its runs are
 * in test_golden_inherit.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/exec/structure.h"
#include "host/plan/cost.h"
#include "host/plan/report.h"
#include "tests/unit/exec_rig.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static void apply(rig *r, const char *steps, const char *policy)
{
    rig_plan(r, steps, 0, 999, true);
    rig_must(r, dd_policy_named(r->plan, r->model, policy, "", &r->err));
}

/* "C" where the site computes, "." where it inherits. */
static void shape_of(const rig *r, int site, char *text)
{
    for (int s = 0; s < r->plan->n_steps; s++) *text++ = dd_cell_computes(dd_plan_cell(r->plan, s, site)) ? 'C' : '.';
    *text = '\0';
}

static void schedules(void **state)
{
    (void)state;
    static const struct {
        const char *steps, *schedule, *want;
    } cases[] = {
        {"10", "stride=1", "CCCCCCCCCC"},
        {"10", "stride=3", "C..C..C..C"},
        {"10", "schedule=uniform,stride=4", "C...C...C."},
        {"10", "stride=1000", "C........."},
        {"10", "schedule=start,stride=2", "CCCC..C..."}, /* 10 k k / 25: 0, 0 (1), 1 (2), 3, 6 */
        {"10", "schedule=end,stride=2", "C...C..CCC"},   /* the same from behind */
        {"10", "schedule=start,stride=1", "CCCCCCCCCC"},
        {"10", "schedule=end,stride=1", "CCCCCCCCCC"},
        {"16", "schedule=start,stride=4", "CC..C....C......"}, /* 16 k k / 16 */
        {"16", "schedule=end,stride=4", "C......C....C..C"},
        {"10", "schedule=start,stride=10", "C........."},
        {"10", "schedule=end,stride=10", "C........."},
        {"10", "schedule=4+6-7", "C...C.CC.."},
        {"10", "schedule=0-9", "CCCCCCCCCC"},
        {"10", "schedule=0", "C........."},
    };
    rig r = rig_open(MODEL_D64, "ref");
    for (int i = 0; i < COUNT(cases); i++) {
        char policy[96], shape[32];
        snprintf(policy, sizeof policy, "inherit:mode=delta,%s", cases[i].schedule);
        apply(&r, cases[i].steps, policy);
        for (int site = 0; site < r.plan->n_sites; site++) {
            shape_of(&r, site, shape);
            if (strcmp(shape, cases[i].want) != 0)
                fail_msg("%s: %s, expected %s", cases[i].schedule, shape, cases[i].want);
        }
    }
    rig_close(&r);
}

/* Whatever length and stride: the first step, ceil(T / R) steps in all, and two that are mirrors of each other. */
static void counts_of_schedules(void **state)
{
    (void)state;
    static const char *const names[] = {"uniform", "start", "end"};
    rig r = rig_open(MODEL_D64, "ref");
    for (int steps = 2; steps <= 17; steps++)
        for (int stride = 1; stride <= steps + 1; stride++) {
            char length[16], shape[3][64];
            snprintf(length, sizeof length, "%d", steps);
            for (int k = 0; k < 3; k++) {
                char policy[96];
                int n = 0;
                snprintf(policy, sizeof policy, "inherit:mode=delta,schedule=%s,stride=%d", names[k], stride);
                apply(&r, length, policy);
                shape_of(&r, 0, shape[k]);
                for (int s = 0; s < steps; s++) n += shape[k][s] == 'C';
                assert_int_equal(n, (steps + stride - 1) / stride);
                assert_int_equal(shape[k][0], 'C');
            }
            for (int s = 1; s < steps; s++) assert_int_equal(shape[1][s], shape[2][steps - s]);
        }
    rig_close(&r);
}

static void sites(void **state)
{
    (void)state;
    static const struct {
        const char *sites, *delta, *output; /* per site: - or x, those that inherit */
    } cases[] = {
        {"blocks", "xxxxxx", "-x-x-x"},
        {"blocks.1", "--xx--", "---x--"},
        {"blocks.1-2", "--xxxx", "---x-x"},
        {"blocks.attn", "x-x-x-", "x-x-x-"},
        {"blocks.mlp", "-x-x-x", "-x-x-x"},
        {"blocks.0-1.attn", "x-x---", "x-x---"},
        {"blocks.0+blocks.2.mlp", "xx---x", "-x---x"},
        {"blocks.1.attn+blocks.1.mlp", "--xx--", "--xx--"},
    };
    rig r = rig_open(MODEL_D128, "ref");
    for (int i = 0; i < COUNT(cases); i++)
        for (int output = 0; output < 2; output++) {
            const char *want = output ? cases[i].output : cases[i].delta;
            char policy[128];
            snprintf(policy, sizeof policy, "inherit:mode=%s,stride=2,sites=%s", output ? "output" : "delta",
                     cases[i].sites);
            apply(&r, "4", policy);
            assert_string_equal(r.plan->policy, output ? "dydit+inherit:output" : "dydit+inherit:delta");
            for (int s = 0; s < r.plan->n_sites; s++) {
                const dd_cell *c = dd_plan_cell(r.plan, 1, s), *source = dd_plan_cell(r.plan, 0, s);
                const dd_cell_op op = output ? DD_CELL_REUSE_OUTPUT : DD_CELL_REUSE_DELTA;
                assert_int_equal(c->op, want[s] == 'x' ? op : DD_CELL_COMPUTE);
                assert_int_equal(source->op, want[s] == 'x' ? DD_CELL_COMPUTE_STORE : DD_CELL_COMPUTE);
                if (want[s] == 'x') assert_true(c->rows == DD_ROWS_ALL && c->router == -1); /* no router runs */
            }
        }
    rig_close(&r);
}

/* Another number of rows: what is stored does not fit. Before 300 the steps are not guided. */
static void guidance_forces_a_refresh(void **state)
{
    (void)state;
    char shape[32];
    rig r = rig_open(MODEL_D64, "ref");
    rig_plan(&r, "10", 300, 999, true); /* 999 888 777 666 555 444 333 | 222 111 0 */
    rig_must(&r, dd_policy_named(r.plan, r.model, "inherit:mode=output,stride=5", "", &r.err));
    shape_of(&r, 3, shape);
    assert_string_equal(shape, "C....C.C..");
    rig_close(&r);
}

/* ---- dead code ------------------------------------------------------------------------------------------------ */

/* Does any node that multiplies run of a site? */
static bool multiplies(const dd_structure *s, int site)
{
    for (int i = 0; i < s->n; i++)
        if (s->at[i].runs && s->at[i].node.site == site && s->at[i].node.op == DD_OP_gemm) return true;
    return false;
}

static uint64_t macs_of(const rig *r, int site)
{
    const dd_site *s = &r->model->sites[site];
    return s->macs(&r->model->cfg, s->units, r->model->cfg.tokens);
}

/* The attention before an inherited MLP has no reader but that, nor have the blocks before. */
static void dead_ops_disappear(void **state)
{
    (void)state;
    rig r = rig_open("tests/golden/policy_dit_d32_h2_p2.safetensors", "ref"); /* 3 blocks, no routers */
    dd_actions actions;
    dd_structure s;
    apply(&r, "4", "inherit:mode=output,stride=2,sites=blocks.1.mlp");
    rig_must(&r, dd_actions_build(&actions, r.plan, &r.err));
    rig_must(&r, dd_structure_build(&s, r.model, &actions, 1, false, &r.err));
    int copies = 0;
    for (int i = 0; i < s.n; i++) copies += s.at[i].runs && s.at[i].node.op == DD_OP_copy;
    assert_int_equal(copies, 1);
    for (int site = 0; site < 6; site++) assert_int_equal(multiplies(&s, site), site > 3);
    dd_structure_free(&s);
    rig_must(&r, dd_structure_build(&s, r.model, &actions, 1, true, &r.err)); /* a trace reads what is before */
    for (int site = 0; site < 6; site++) assert_int_equal(multiplies(&s, site), site < 2 || site > 3);
    dd_structure_free(&s);
    dd_actions_free(&actions);
    const dd_cost full = dd_cost_step(r.plan, r.model, 0, 1, NULL), part = dd_cost_step(r.plan, r.model, 1, 1, NULL);
    assert_true(full.executed == full.dense && part.dense == full.dense);
    assert_true(part.executed == r.model->fixed_macs_row + macs_of(&r, 4) + macs_of(&r, 5));
    const dd_report report = {.plan = r.plan, .model = r.model};
    const dd_tally heads = dd_report_tally(&report, DD_HEADS, 1, -1),
                   groups = dd_report_tally(&report, DD_GROUPS, 1, -1);
    assert_true(heads.active == 2 && heads.total == 6 && heads.computed == 1);
    assert_true(groups.active == 2 && groups.computed == 1 && groups.reused == 1);
    apply(&r, "4", "inherit:mode=delta,stride=2,sites=blocks.1.mlp"); /* the tokens before are part of the result */
    const dd_cost delta = dd_cost_step(r.plan, r.model, 1, 1, NULL);
    assert_true(delta.executed == full.dense - macs_of(&r, 3));
    rig_close(&r);
}

/* Plans drawn at random: a computed cell is live if and only if its multiplications run. */
static void live_cells_are_those_that_run(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D128, "ref");
    uint32_t x = 1;
    int live = 0, dead = 0;
    for (int round = 0; round < 200; round++) {
        rig_plan(&r, "6", 0, 999, true);
        for (int i = r.plan->n_sites; i < 6 * r.plan->n_sites; i++) {
            dd_cell *c = &r.plan->cells[i];
            x = x * 1664525u + 1013904223u;
            c->op = (uint8_t)((x >> 16) % DD_CELL_OP_COUNT);
            if (!dd_cell_computes(c)) c->rows = DD_ROWS_ALL, c->router = -1;
        }
        for (int i = 0; i < r.plan->n_sites; i++) r.plan->cells[i].op = DD_CELL_COMPUTE_STORE;
        rig_must(&r, dd_plan_validate(r.plan, r.model, "plan", &r.err));
        dd_actions actions;
        rig_must(&r, dd_actions_build(&actions, r.plan, &r.err));
        for (int step = 0; step < 6; step++) {
            dd_structure s;
            rig_must(&r, dd_structure_build(&s, r.model, &actions, step, false, &r.err));
            for (int site = 0; site < r.plan->n_sites; site++) {
                if (!dd_cell_computes(dd_plan_cell(r.plan, step, site))) continue;
                assert_int_equal(dd_plan_live(r.plan, r.model, step, site), multiplies(&s, site));
                if (multiplies(&s, site)) live++;
                else dead++;
            }
            dd_structure_free(&s);
        }
        dd_actions_free(&actions);
    }
    assert_true(live > 200 && dead > 200);
    rig_close(&r);
}

static void what_users_write(void **state)
{
    (void)state;
    static const struct {
        const char *policy, *part;
    } bad[] = {
        {"inherit", "policy inherit needs mode="},
        {"inherit:stride=2", "policy inherit needs mode="},
        {"inherit:mode=branch,stride=2", "mode 'branch' is neither delta nor output"},
        {"inherit:mode=delta", "policy inherit needs stride="},
        {"inherit:mode=delta,stride=0", "policy inherit: stride '0' is no whole number from 1 to 1000"},
        {"inherit:mode=delta,schedule=middle",
         "schedule 'middle' is none of uniform, start, end, and no list of steps"},
        {"inherit:mode=delta,schedule=start", "policy inherit needs stride="},
        {"inherit:mode=delta,schedule=0+4", "schedule '0+4' names step 4, the last one is 3"},
        {"inherit:mode=delta,schedule=2-1", "schedule '2-1' is none of"},
        {"inherit:mode=delta,schedule=0+", "schedule '0+' is none of"},
        {"inherit:mode=delta,schedule=0++2", "schedule '0++2' is none of"},
        {"inherit:mode=delta,schedule=99999999999", "schedule '99999999999' is none of"},
        {"inherit:mode=delta,schedule=0+2,stride=2", "a schedule that lists its steps has no stride"},
        {"inherit:mode=delta,stride=2,sites=block.1", "sites 'block.1' is not of the form"},
        {"inherit:mode=delta,stride=2,sites=blocks.", "sites 'blocks.' is not of the form"},
        {"inherit:mode=delta,stride=2,sites=blocks.0.", "sites 'blocks.0.' is not of the form"},
        {"inherit:mode=delta,stride=2,sites=blocks.x", "sites 'blocks.x' is not of the form"},
        {"inherit:mode=delta,stride=2,sites=blocks.1-", "sites 'blocks.1-' is not of the form"},
        {"inherit:mode=delta,stride=2,sites=blocks.1-0", "sites 'blocks.1-0' is not of the form"},
        {"inherit:mode=delta,stride=2,sites=blocks.1mlp", "sites 'blocks.1mlp' is not of the form"},
        {"inherit:mode=delta,stride=2,sites=blocks.0+", "sites '' is not of the form"},
        {"inherit:mode=delta,stride=2,sites=blocks.0+blocks.1.mlps", "sites 'blocks.1.mlps' is not of the form"},
        {"inherit:mode=delta,stride=2,sites=blocks.1-2", "sites 'blocks.1-2': the last block is 1"},
        {"inherit:mode=delta,stride=2,unit=mlp", "policy inherit has no value 'unit'"},
    };
    rig r = rig_open(MODEL_D64, "ref");
    const uint64_t plain = dd_plan_hash(r.plan);
    for (int i = 0; i < COUNT(bad); i++) {
        rig_refused(&r, dd_policy_named(r.plan, r.model, bad[i].policy, "", &r.err), DD_ERR_ARG, bad[i].part);
        assert_true(dd_plan_hash(r.plan) == plain);
    }
    rig_refused(&r, dd_policy_named(r.plan, r.model, "inherit:mode=delta,stride=2", "fresh", &r.err), DD_ERR_ARG,
                "policy inherit asks no token router");
    rig_must(&r, dd_policy_named(r.plan, r.model, "fora:interval=2", "", &r.err));
    rig_refused(&r, dd_policy_named(r.plan, r.model, "inherit:mode=delta,stride=2", "", &r.err), DD_ERR_ARG,
                "policy inherit over plan \"dydit+fora:2\", which itself reuses results");
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(schedules),
                                       cmocka_unit_test(counts_of_schedules),
                                       cmocka_unit_test(sites),
                                       cmocka_unit_test(guidance_forces_a_refresh),
                                       cmocka_unit_test(dead_ops_disappear),
                                       cmocka_unit_test(live_cells_are_those_that_run),
                                       cmocka_unit_test(what_users_write)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
