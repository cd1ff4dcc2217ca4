/* SPDX-License-Identifier: MIT
 * Runs of two models: parts of a plan, rules, JSON, costs, and the public interface. Their numbers are held by
 * test_golden_inherit.c. */
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

#define DIT "tests/golden/policy_dit_d32_h2_p2.safetensors"     /* 3 blocks of width 32, no routers */
#define DYDIT "tests/golden/policy_dydit_d32_h2_p2.safetensors" /* the same with routers */
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

/* ---- the public interface -------------------------------------------------------------------------------------- */

static const int labels[4] = {1, 7, 7, 3};

static dydit_sample_options quick(const char *sampler, const char *steps)
{
    dydit_sample_options o;
    dydit_sample_options_init(&o, sizeof o);
    o.sampler = sampler;
    o.steps = steps;
    o.labels = labels;
    o.n_images = 3;
    o.batch_size = 2;
    return o;
}

static float *latents_of(dydit_ctx *ctx, dydit_model *model, const dydit_sample_options *o, dydit_stats *stats)
{
    dydit_result *r = NULL;
    int64_t n;
    if (dydit_sample(model, o, &r) != DYDIT_OK) fail_msg("%s", dydit_message(ctx));
    const float *x = dydit_result_latents(r, &n);
    float *copy = malloc((size_t)n * 256 * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, x, (size_t)n * 256 * sizeof *copy);
    stats->size = sizeof *stats;
    assert_int_equal(dydit_result_stats(r, stats), DYDIT_OK);
    dydit_result_close(&r);
    return copy;
}

/* The same weights before and behind the switch, or no step behind it: the same bits, whatever the solver keeps. */
static void changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *backend, *sampler, *steps, *rng;
    } cases[] = {{"cpu", "ddpm", "6", "torch-cpu"},      {"cpu", "ddpm", "6", "torch-cuda"},
                 {"cpu", "ddim", "ddim40", "torch-cpu"}, /* two chunks of conditioning */
                 {"cpu", "dpmpp2m", "6", "torch-cpu"},   {"cpu", "unipc", "6", "torch-cpu"},
                 {"ref", "unipc", "4", "torch-cuda"}};
    for (int i = 0; i < COUNT(cases); i++) {
        dydit_ctx *ctx = golden_ctx(cases[i].backend, 2);
        dydit_model *model = golden_model(ctx, DYDIT), *same = golden_model(ctx, DYDIT),
                    *wide = golden_model(ctx, MODEL_D64);
        dydit_sample_options o = quick(cases[i].sampler, cases[i].steps);
        dydit_stats s = {0}, plain = {0};
        o.rng = cases[i].rng;
        float *want = latents_of(ctx, model, &o, &plain);
        dydit_model *const other[] = {same, model, wide, wide};
        for (int k = 0; k < COUNT(other); k++) {
            o.switch_model = other[k];
            o.switch_timestep = k < 2 ? 400 : 0;
            float *got = latents_of(ctx, model, &o, &s);
            assert_memory_equal(got, want, 3 * 256 * sizeof *got);
            assert_true(s.macs_executed == plain.macs_executed && s.forward_rows == plain.forward_rows);
            free(got);
        }
        o.switch_timestep = 400;
        float *got = latents_of(ctx, model, &o, &s);
        assert_memory_not_equal(got, want, 3 * 256 * sizeof *got);
        free(got), free(want);
        dydit_model_close(&wide);
        dydit_model_close(&same);
        dydit_model_close(&model);
        dydit_close(&ctx);
    }
}

/* Both weights and both sessions; the dry run knows. */
static void memory_of_both(void **state)
{
    (void)state;
    dydit_ctx *ctx = golden_ctx("cpu", 2);
    dydit_model *model = golden_model(ctx, DYDIT), *wide = golden_model(ctx, MODEL_D64);
    dydit_sample_options o = quick("ddim", "ddim10");
    dydit_estimate a = {.size = sizeof a}, b = a, both = a, beside = a;
    dydit_stats s = {0};
    o.policy = "fora:interval=2";
    assert_int_equal(dydit_estimate_sample(model, &o, &a), DYDIT_OK);
    assert_int_equal(dydit_estimate_sample(wide, &o, &b), DYDIT_OK);
    o.switch_model = wide;
    o.switch_timestep = 400;
    assert_int_equal(dydit_estimate_sample(model, &o, &both), DYDIT_OK);
    assert_int_equal(both.weights_bytes, a.weights_bytes + b.weights_bytes);
    assert_int_equal(both.slot_bytes, a.slot_bytes + b.slot_bytes);
    assert_int_equal(both.activation_bytes, a.activation_bytes + b.activation_bytes);
    assert_int_equal(both.file_bytes, a.file_bytes + b.file_bytes);
    assert_int_equal(both.programs, a.programs + b.programs);
    const uint64_t on_host = (3 + 2 * 2) * 256 * sizeof(float); /* results, start and step noise */
    free(latents_of(ctx, model, &o, &s));
    assert_int_equal(s.peak_bytes, both.peak_bytes - both.scratch_bytes - on_host);
    o.compare_dense = 1;
    assert_int_equal(dydit_estimate_sample(model, &o, &beside), DYDIT_OK);
    assert_int_equal(beside.weights_bytes, both.weights_bytes);
    assert_true(beside.activation_bytes > both.activation_bytes);
    free(latents_of(ctx, model, &o, &s));
    assert_true(s.dense_seconds > 0);
    o.switch_model = model; /* once */
    assert_int_equal(dydit_estimate_sample(model, &o, &both), DYDIT_OK);
    assert_int_equal(both.weights_bytes, a.weights_bytes);
    dydit_model_close(&wide);
    dydit_model_close(&model);
    dydit_close(&ctx);
}

static void refused(dydit_model *model, dydit_ctx *ctx, const dydit_sample_options *o, dydit_status want,
                    const char *part)
{
    dydit_result *r = NULL;
    assert_int_equal(dydit_sample(model, o, &r), want);
    assert_null(r);
    if (!strstr(dydit_message(ctx), part)) fail_msg("\"%s\" is not in: %s", part, dydit_message(ctx));
}

static void refusals(void **state)
{
    (void)state;
    dydit_ctx *ctx = golden_ctx("cpu", 1), *elsewhere = golden_ctx("cpu", 1);
    dydit_model *model = golden_model(ctx, DYDIT), *wide = golden_model(ctx, MODEL_D64),
                *letters = golden_model(ctx, MODEL_D128), *far = golden_model(elsewhere, MODEL_D64);
    dydit_sample_options o = quick("ddim", "ddim10");
    dydit_plan *plan = NULL;
    o.switch_timestep = 400;
    refused(model, ctx, &o, DYDIT_ERR_ARG, "switch timestep 400, but no model to switch to");
    o.switch_model = letters;
    refused(model, ctx, &o, DYDIT_ERR_ARG, "its latents are 1 x 32 x 32, those of " DYDIT " 4 x 8 x 8");
    o.switch_model = far;
    refused(model, ctx, &o, DYDIT_ERR_ARG, "it was opened with another context");
    o.switch_model = wide;
    o.switch_timestep = 1001;
    refused(model, ctx, &o, DYDIT_ERR_ARG, "switch timestep 1001 is out of range: 0 to 1000");
    o.switch_timestep = 1000;
    refused(model, ctx, &o, DYDIT_ERR_ARG, "the model itself would not run");
    o.switch_timestep = 400;
    o.keep_trajectory = 1;
    refused(model, ctx, &o, DYDIT_ERR_UNSUPPORTED, "a trajectory of two models has one shape");
    o.keep_trajectory = 0;
    assert_int_equal(dydit_plan_synthetic(model, &o, 0.5, 1, &plan), DYDIT_ERR_ARG);
    assert_int_equal(dydit_plan_build(model, &o, &plan), DYDIT_OK);
    o.plan = plan;
    o.switch_timestep = 200;
    refused(model, ctx, &o, DYDIT_ERR_FORMAT, "plan: step 6 (timestep 300) has weight set 1, but the switch is at 200");
    o.switch_timestep = 0;
    refused(model, ctx, &o, DYDIT_ERR_FORMAT, "it changes to another model (DyDiT-d64-l2-h4/2)");
    dydit_plan_close(&plan);
    o.plan = NULL;
    assert_int_equal(dydit_plan_build(model, &o, &plan), DYDIT_OK); /* of one model */
    o.plan = plan;
    o.switch_timestep = 400;
    refused(model, ctx, &o, DYDIT_ERR_FORMAT,
            "plan: all its steps are of one model, but the switch is at timestep 400");
    dydit_plan_close(&plan);
    dydit_model_close(&far);
    dydit_model_close(&letters);
    dydit_model_close(&wide);
    dydit_model_close(&model);
    dydit_close(&elsewhere);
    dydit_close(&ctx);
}

/* A plan of two models is executed as it is; it knows them. */
static void plans_carry_both(void **state)
{
    (void)state;
    dydit_ctx *ctx = golden_ctx("cpu", 2);
    dydit_model *model = golden_model(ctx, DYDIT), *wide = golden_model(ctx, MODEL_D64);
    dydit_sample_options o = quick("ddim", "ddim10");
    dydit_plan *plan = NULL;
    dydit_stats s = {0};
    char *text = NULL;
    o.switch_model = wide;
    o.switch_timestep = 400;
    o.policy = "inherit:mode=output,stride=3";
    float *want = latents_of(ctx, model, &o, &s);
    assert_int_equal(dydit_plan_build(model, &o, &plan), DYDIT_OK);
    o = quick("ddim", "ddim10");
    o.plan = plan;
    float *got = latents_of(ctx, model, &o, &s);
    assert_memory_equal(got, want, 3 * 256 * sizeof *got);
    dydit_bound_options b;
    dydit_bound_options_init(&b, sizeof b);
    b.device = "H100";
    assert_int_equal(dydit_plan_bound(plan, &b, DYDIT_TEXT, &text), DYDIT_OK);
    assert_non_null(strstr(text, "then DyDiT-d64-l2-h4/2"));
    dydit_free(text);
    free(got), free(want);
    dydit_plan_close(&plan);
    dydit_model_close(&wide);
    dydit_model_close(&model);
    dydit_close(&ctx);
}

/* From one model to the same one at every step, there and back: bits that nobody can tell from one model's. */
static void there_and_back(void **state)
{
    (void)state;
    dydit_ctx *ctx = golden_ctx("cpu", 2);
    dydit_model *model = golden_model(ctx, DYDIT), *same = golden_model(ctx, DYDIT);
    dydit_sample_options o = quick("unipc", "8");
    dydit_plan *plan = NULL;
    dydit_stats s = {0};
    const char *path = golden_scratch("back.json");
    char *text = NULL;
    float *want = latents_of(ctx, model, &o, &s);
    o.switch_model = same;
    o.switch_timestep = 400;
    assert_int_equal(dydit_plan_build(model, &o, &plan), DYDIT_OK);
    assert_int_equal(dydit_plan_report(plan, DYDIT_JSON, &text), DYDIT_OK);
    dydit_plan_close(&plan);
    int n = 0;
    for (char *at = text; (at = strstr(at, "\"weight_set\":")); n++) {
        at += strlen("\"weight_set\":");
        *at = n % 2 ? '1' : '0';
    }
    assert_int_equal(n, 8);
    write_file(path, text, NULL, NULL);
    assert_int_equal(dydit_plan_read_switched(model, same, path, &plan), DYDIT_OK);
    o.switch_model = NULL;
    o.switch_timestep = 0;
    o.plan = plan;
    float *got = latents_of(ctx, model, &o, &s);
    assert_memory_equal(got, want, 3 * 256 * sizeof *got);
    assert_int_equal(s.programs, 2);
    free(got), free(want);
    dydit_free(text);
    dydit_plan_close(&plan);
    dydit_model_close(&same);
    dydit_model_close(&model);
    dydit_close(&ctx);
}

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
                                       cmocka_unit_test(as_json),           cmocka_unit_test(changes_nothing),
                                       cmocka_unit_test(memory_of_both),    cmocka_unit_test(refusals),
                                       cmocka_unit_test(plans_carry_both),  cmocka_unit_test(there_and_back),
                                       cmocka_unit_test(failures_are_clean)};
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    golden_clean();
    return rc;
}
