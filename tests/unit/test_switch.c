/* SPDX-License-Identifier: MIT
 * Plans of two models: their parts, rules, JSON, costs; sessions of both. The numbers of runs are held by
 * test_golden_inherit.c, the public interface by test_api_switch.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/exec/relay.h"
#include "host/plan/cost.h"
#include "host/plan/plan_report.h"
#include "support/golden.h"
#include "tests/unit/exec_rig.h"

#define DIT "tests/golden/policy_dit_d32_h2_p2.safetensors" /* 3 blocks of width 32, no routers */
#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

/* ---- plans ---------------------------------------------------------------------------------------------------- */

/* The rig's plan, from DIT, of 10 steps, and MODEL_D64 below a timestep: 999 888 777 666 555 444 333 222 111 0. */
typedef struct pair {
    rig r;
    dd_model *later;
} pair;

static dd_plan *other_plan(pair *p)
{
    dd_plan *other = NULL;
    float t[10];
    int guided[10];
    for (int s = 0; s < 10; s++) t[s] = p->r.plan->rows[s].timestep, guided[s] = p->r.plan->rows[s].guided;
    rig_must(&p->r, dd_plan_build(&other, p->later, t, guided, 10, &p->r.err));
    return other;
}

static pair open_pair(int timestep)
{
    pair p = {.r = rig_open(DIT, "ref")};
    rig_must(&p.r, dd_model_open(&p.later, MODEL_D64, NULL, &p.r.err));
    rig_plan(&p.r, "10", 0, 999, false);
    rig_must(&p.r, dd_plan_switch(p.r.plan, other_plan(&p), timestep, &p.r.err));
    return p;
}

static void close_pair(pair *p)
{
    dd_model_close(&p->later);
    rig_close(&p->r);
}

static void which_rows(void **state)
{
    (void)state;
    static const struct {
        int timestep, first;
    } cases[] = {{400, 6}, {333, 7}, {334, 6}, {1, 9}, {999, 1}};
    for (int i = 0; i < COUNT(cases); i++) {
        pair p = open_pair(cases[i].timestep);
        dd_plan *plan = p.r.plan, *copy = NULL;
        assert_non_null(plan->other);
        for (int s = 0; s < 10; s++) {
            assert_int_equal(plan->rows[s].weight_set, s >= cases[i].first);
            assert_ptr_equal(dd_plan_at(plan, s), s >= cases[i].first ? plan->other : plan);
            assert_int_equal(dd_plan_owns(plan->other, s), s >= cases[i].first);
        }
        rig_must(&p.r, dd_plan_copy(&copy, plan, &p.r.err));
        assert_true(dd_plan_hash(copy) == dd_plan_hash(plan));
        dd_plan_cell(copy->other, 9, 0)->units = 1;
        assert_false(dd_plan_hash(copy) == dd_plan_hash(plan));
        dd_plan_free(&copy);
        close_pair(&p);
    }
    pair p = open_pair(0); /* no step is below it */
    assert_null(p.r.plan->other);
    rig_refused(&p.r, dd_plan_switch(p.r.plan, other_plan(&p), 1000, &p.r.err), DD_ERR_ARG,
                "switch below timestep 1000: the first step is at 999 already");
    close_pair(&p);
}

static void apply(pair *p, const char *policy)
{
    rig_must(&p->r, dd_policy_named(p->r.plan, p->r.model, policy, "", &p->r.err));
    rig_must(&p->r, dd_policy_named(p->r.plan->other, p->later, policy, "", &p->r.err));
    dd_plan_keep_own(p->r.plan);
    dd_plan_keep_own(p->r.plan->other);
}

/* "C" where an own row computes, "." where it reuses, "-" for rows of the other weights. */
static void shape_of(const dd_plan *plan, char *text)
{
    for (int s = 0; s < plan->n_steps; s++)
        *text++ = !dd_plan_owns(plan, s) ? '-' : dd_cell_computes(dd_plan_cell(plan, s, 1)) ? 'C' : '.';
    *text = '\0';
}

/* Whatever a policy would reuse: the first step of the other model computes. */
static void policies_refresh(void **state)
{
    (void)state;
    static const struct {
        const char *policy, *first, *second;
    } cases[] = {{"fora:interval=9", "C.....----", "------C..C"},
                 {"fora:interval=4", "CC...C----", "------C..C"},
                 {"inherit:mode=delta,stride=5", "C....C----", "------C..."},
                 {"inherit:mode=output,schedule=0", "C.....----", "------C..."}};
    for (int i = 0; i < COUNT(cases); i++) {
        char shape[16];
        pair p = open_pair(400);
        apply(&p, cases[i].policy);
        shape_of(p.r.plan, shape);
        assert_string_equal(shape, cases[i].first);
        shape_of(p.r.plan->other, shape);
        assert_string_equal(shape, cases[i].second);
        for (int s = 0; s < 10; s++) /* what foreign rows say is nothing */
            for (int site = 0; site < p.r.plan->n_sites && s >= 6; site++)
                assert_int_equal(dd_plan_cell(p.r.plan, s, site)->op, DD_CELL_COMPUTE);
        rig_must(&p.r, dd_plan_validate(p.r.plan, p.r.model, "plan", &p.r.err));
        rig_must(&p.r, dd_plan_validate(p.r.plan->other, p.later, "plan", &p.r.err));
        close_pair(&p);
    }
}

static void reuse_across_the_switch(void **state)
{
    (void)state;
    pair p = open_pair(400);
    dd_plan *first = p.r.plan, *second = first->other;
    dd_plan_cell(first, 5, 2)->op = DD_CELL_COMPUTE_STORE;
    dd_plan_cell(second, 6, 2)->op = DD_CELL_REUSE_DELTA;
    rig_refused(
        &p.r, dd_plan_validate(second, p.later, "p.json", &p.r.err), DD_ERR_FORMAT,
        "p.json: step 6, blocks.1.attn: REUSE_DELTA, but no step after step 5, which has other weights, stores");
    dd_plan_cell(second, 5, 2)->op = DD_CELL_COMPUTE_STORE; /* of a row that is not its own */
    rig_refused(&p.r, dd_plan_validate(second, p.later, "p.json", &p.r.err), DD_ERR_FORMAT, "step 6, blocks.1.attn");
    dd_plan_cell(second, 6, 2)->op = DD_CELL_COMPUTE_STORE;
    dd_plan_cell(second, 7, 2)->op = DD_CELL_REUSE_DELTA;
    rig_must(&p.r, dd_plan_validate(second, p.later, "p.json", &p.r.err));
    first->rows[8].weight_set = second->rows[8].weight_set = 0; /* there and back */
    dd_plan_cell(second, 9, 2)->op = DD_CELL_REUSE_DELTA;
    rig_refused(&p.r, dd_plan_validate(second, p.later, "p.json", &p.r.err), DD_ERR_FORMAT,
                "step 9, blocks.1.attn: REUSE_DELTA, but no step after step 8, which has other weights");
    first->rows[3].weight_set = 2;
    rig_refused(&p.r, dd_plan_validate(first, p.r.model, "p.json", &p.r.err), DD_ERR_FORMAT,
                "step 3: weight set 2, but the plan has sets 0 and 1");
    close_pair(&p);
}

static void costs_and_reports(void **state)
{
    (void)state;
    pair p = open_pair(400);
    const dd_report other = {.plan = p.r.plan->other, .model = p.later},
                    r = {.plan = p.r.plan, .model = p.r.model, .other = &other};
    uint64_t sum = 0;
    for (int s = 0; s < 10; s++) {
        const dd_cost c = s < 6 ? dd_cost_step(p.r.plan, p.r.model, s, 2, NULL)
                                : dd_cost_step(p.r.plan->other, p.later, s, 2, NULL);
        assert_true(dd_report_cost(&r, s).executed == c.executed);
        sum += c.executed;
    }
    assert_true(dd_report_cost_run(&r).executed == sum);
    assert_int_equal(dd_report_tally(&r, DD_HEADS, 5, -1).total, 6);
    assert_int_equal(dd_report_tally(&r, DD_HEADS, 6, -1).total, 8);
    assert_int_equal(dd_report_tally(&r, DD_HEADS, 6, 2).sites, 0); /* it has two blocks */
    char *text = NULL;
    rig_must(&p.r, dd_plan_table(&r, &text, &p.r.err));
    assert_non_null(strstr(text, "\nfrom step 6 on (timestep 333) DyDiT-d64-l2-h4/2, policy dense\n"));
    free(text);
    rig_must(&p.r, dd_plan_svg(&r, &text, &p.r.err));
    assert_non_null(strstr(text, "; then DyDiT-d64-l2-h4/2, policy dense"));
    free(text);
    const dd_report half = {.plan = p.r.plan, .model = p.r.model};
    rig_refused(&p.r, dd_plan_table(&half, &text, &p.r.err), DD_ERR_INTERNAL, "one weight set of two");
    close_pair(&p);
}

/* Writes text with `from` replaced once; from NULL: as it is. */
static void write_file(const char *path, const char *text, const char *from, const char *to)
{
    FILE *f = fopen(path, "w");
    const char *at = from ? strstr(text, from) : text + strlen(text);
    assert_true(f && at);
    fprintf(f, "%.*s%s%s", (int)(at - text), text, from ? to : "", from ? at + strlen(from) : "");
    assert_int_equal(fclose(f), 0);
}

static void as_json(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *part;
        dd_status want;
    } bad[] = {
        {"\"weight_set_1\":{", "\"weight_set_1\":{\"steps\":1,", "steps", DD_ERR_FORMAT},
        {"\"weight_set_1\":{", "\"weight_set_2\":{", "weight_set_2", DD_ERR_FORMAT},
        {"\"weight_set_1\":{\n \"model\":\"", "\"weight_set_1\":{\n \"model\":\"x", "not 16 hexadecimal",
         DD_ERR_FORMAT},
        {"\"timestep\":999,\"guided\":true,\"weight_set\":0", "\"timestep\":999,\"guided\":true,\"weight_set\":1",
         "steps[0]: 6 cells for 4 sites", DD_ERR_FORMAT},
    };
    pair p = open_pair(400);
    const char *path = golden_scratch("switch.json");
    char *text = NULL;
    dd_plan *back = NULL;
    apply(&p, "fora:interval=9");
    rig_must(&p.r, dd_plan_to_json(p.r.plan, p.r.model, p.later, &text, &p.r.err));
    write_file(path, text, NULL, NULL);
    rig_must(&p.r, dd_plan_read(&back, p.r.model, p.later, path, &p.r.err));
    assert_true(dd_plan_hash(back) == dd_plan_hash(p.r.plan));
    dd_plan_free(&back);
    rig_refused(&p.r, dd_plan_read(&back, p.r.model, NULL, path, &p.r.err), DD_ERR_FORMAT,
                "changes to the weights of another model (DyDiT-d64-l2-h4/2), which is not given");
    rig_refused(&p.r, dd_plan_read(&back, p.r.model, p.r.model, path, &p.r.err), DD_ERR_FORMAT,
                "weight_set_1: the plan is for model");
    for (int i = 0; i < COUNT(bad); i++) {
        write_file(path, text, bad[i].from, bad[i].to);
        rig_refused(&p.r, dd_plan_read(&back, p.r.model, p.later, path, &p.r.err), bad[i].want, bad[i].part);
        assert_null(back);
    }
    free(text);
    close_pair(&p);
}

/* ---- sessions -------------------------------------------------------------------------------------------------- */

/* Whatever call fails while the second session opens, nothing of either is left. */
static void failures_are_clean(void **state)
{
    (void)state;
    pair p = open_pair(400);
    rig *r = &p.r;
    dd_weight_store *wide = NULL;
    dd_relay relay;
    rig_weights(r);
    rig_must(r, dd_weights_load(&wide, p.later, r->be, DD_F32, &r->err));
    dd_leg leg[DD_WEIGHT_SETS] = {{r->spec, r->weights}, {r->spec, wide}};
    leg[1].spec.model = p.later;
    leg[1].spec.plan = r->plan->other;
    tally_begin(r->be);
    rig_must(r, dd_relay_open(&relay, leg, 2, r->be, &r->err));
    const int calls = tally.calls;
    assert_int_equal(tally.bytes, dd_relay_bytes(&relay));
    dd_relay_close(&relay);
    assert_int_equal(tally.live, 0);
    for (int i = 1; i <= calls; i++) {
        tally.calls = 0;
        tally.fail_at = i;
        rig_refused(r, dd_relay_open(&relay, leg, 2, r->be, &r->err), DD_ERR_DEVICE, "refused on purpose");
        assert_int_equal(tally.live, 0);
    }
    *r->be = tally.real;
    dd_weights_free(&wide);
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(which_rows),        cmocka_unit_test(policies_refresh),
                                       cmocka_unit_test(costs_and_reports), cmocka_unit_test(reuse_across_the_switch),
                                       cmocka_unit_test(as_json),           cmocka_unit_test(failures_are_clean)};
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    golden_clean();
    return rc;
}
