/* SPDX-License-Identifier: MIT
 * The work of ops: bytes and MACs of every kind by hand, the same MACs as the costs of plans, the same kernels as a
 * session runs. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/exec/memory.h"
#include "host/plan/cost.h"
#include "tests/unit/bound_rig.h"

static const dd_bound_terms half_tokens = {&sheet, 2e-6, 0.5};

/* ---- by hand -------------------------------------------------------------------------------------------------- */

static void check_kind(const dd_bound *b, dd_op_kind kind, dd_work want)
{
    const dd_work *w = &b->kind[kind].work;
    const uint64_t have[] = {w->launches, w->macs, w->weights, w->read, w->written};
    const uint64_t expected[] = {want.launches, want.macs, want.weights, want.read, want.written};
    static const char *const names[] = {"launches", "MACs", "weights", "read", "written"};
    for (int i = 0; i < 5; i++)
        if (have[i] != expected[i])
            fail_msg("%s, %s: %llu, by hand %llu", dd_kind_name(kind), names[i], (unsigned long long)have[i],
                     (unsigned long long)expected[i]);
}

/* One guided step for two images in bf16: 4 rows of 16 tokens, width 64, heads of 16, groups of 64, router of 4, three
 * labels with the null label. Block 0: 2 heads, 3 groups; block 1: 4 heads, 1 group. Half of the tokens: 32 rows. */
static void check_ends(const dd_bound *b)
{
    check_kind(b, DD_KIND_COND,
               (dd_work){.launches = 4,
                         .macs = 3 * 64 * (384 + 384 + 128),
                         .weights = 3 * 64 * 4 + (384 + 384 + 128) * (64 * 2 + 4),
                         .read = 64 * 4 + 3 * 4 + 3 * (3 * 64 * 2),
                         .written = 3 * 64 * 2 + 3 * (384 + 384 + 128) * 4});
    check_kind(b, DD_KIND_EMBED,
               (dd_work){.launches = 1,
                         .macs = 64 * 16 * 64,
                         .weights = (64 * 16 + 64 + 16 * 64) * 4,
                         .read = 2 * 4 * 8 * 8 * 4,
                         .written = 64 * 64 * 4});
    check_kind(b, DD_KIND_FINAL,
               (dd_work){.launches = 3,
                         .macs = 64 * 64 * 32,
                         .weights = 32 * (64 * 2 + 4),
                         .read = (64 + 6) * 64 * 4 + 64 * 64 * 2 + 4 * 8 * 64 * 4,
                         .written = 64 * 64 * 2 + 64 * 32 * 4 + 4 * 8 * 64 * 4});
    check_kind(b, DD_KIND_GUIDE, (dd_work){.launches = 1, .read = 2 * 2 * 3 * 64 * 4, .written = 2 * 2 * 3 * 64 * 4});
    check_kind(b, DD_KIND_OTHER, (dd_work){0});
}

static void check_attention(const dd_bound *b)
{
    check_kind(b, DD_KIND_QKV,
               (dd_work){.launches = 2,
                         .macs = 64 * 64 * (96 + 192),
                         .weights = (96 + 192) * (64 * 2 + 4),
                         .read = 2 * (64 * 64 * 2),
                         .written = 64 * (96 + 192) * 2});
    check_kind(b, DD_KIND_ATTENTION,
               (dd_work){.launches = 2,
                         .macs = 4 * (2 + 4) * (2 * 16 * 16 * 16),
                         .read = 64 * (2 + 4) * 48 * 2,
                         .written = 64 * (2 + 4) * 16 * 2});
    check_kind(b, DD_KIND_PROJ,
               (dd_work){.launches = 2,
                         .macs = 64 * 64 * (32 + 64),
                         .weights = 64 * (32 + 64) * 2 + 2 * 64 * 4,
                         .read = 64 * (32 + 64) * 2 + 2 * (64 + 3) * 64 * 4,
                         .written = 2 * 64 * 64 * 4});
}

static void check_mlp(const dd_bound *b)
{
    check_kind(b, DD_KIND_ADALN,
               (dd_work){.launches = 4,
                         .read = 2 * ((64 + 6) * 64 * 4) + 2 * ((32 + 6) * 64 * 4 + 32 * 4),
                         .written = 2 * (64 * 64 * 2) + 2 * (32 * 64 * 2)});
    check_kind(b, DD_KIND_ROUTE,
               (dd_work){.launches = 4,
                         .macs = 2 * 64 * 65 * 4,
                         .weights = 2 * (4 * 64 + 4 + 4 + 1) * 4,
                         .read = 2 * (64 * 64 * 4 + 64 * 4),
                         .written = 2 * (64 + 32 * 4 + 64 * 4)});
    check_kind(b, DD_KIND_FC1,
               (dd_work){.launches = 2,
                         .macs = 32 * 64 * (192 + 64),
                         .weights = (192 + 64) * (64 * 2 + 4),
                         .read = 2 * 32 * 64 * 2,
                         .written = 32 * (192 + 64) * 2});
    check_kind(b, DD_KIND_FC2,
               (dd_work){.launches = 2,
                         .macs = 32 * 64 * (192 + 64),
                         .weights = 64 * (192 + 64) * 2 + 2 * 64 * 4,
                         .read = 32 * (192 + 64) * 2 + 2 * ((32 + 3) * 64 * 4 + 32 * 4),
                         .written = 2 * 32 * 64 * 4});
}

static void one_step_by_hand(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, "ref");
    rig_plan(&r, "2", 0, 999, true);
    sampling(&r, 2, DD_FMT_BF16);
    r.plan->n_steps = 1;
    r.spec.coefs = r.coefs + DD_COEF_COUNT; /* of the last step, which adds no noise */
    static const uint64_t units[4] = {0x9, 0x7, 0xf, 0x1};
    for (int i = 0; i < 4; i++) dd_plan_cell(r.plan, 0, i)->units = units[i];
    const dd_bound b = bound_of(&r, &half_tokens);
    check_ends(&b);
    check_attention(&b);
    check_mlp(&b);

    dd_work solve = {.launches = 1, .read = 2 * (4 + 8) * 64 * 4, .written = 2 * 4 * 64 * 4};
    check_kind(&b, DD_KIND_SOLVE, solve); /* DDPM reads variances */
    r.spec.coefs = r.coefs;
    solve.read += 2 * 4 * 64 * 4; /* noise */
    const dd_bound noisy = bound_of(&r, &half_tokens);
    check_kind(&noisy, DD_KIND_SOLVE, solve);

    float *f = r.coefs; /* as of unipc in the middle of a run: x, eps and three arrays in, x and three arrays out */
    r.spec.solver = DD_SOLVER_UNIPC;
    f[DD_COEF_SIGMA] = 0, f[DD_COEF_MX1] = f[DD_COEF_CY] = f[DD_COEF_C2] = 1;
    const dd_bound corrected = bound_of(&r, &half_tokens);
    check_kind(&corrected, DD_KIND_SOLVE,
               (dd_work){.launches = 1, .read = 5 * 2 * 4 * 64 * 4, .written = 4 * 2 * 4 * 64 * 4});
    f[DD_COEF_C2] = 0;
    const dd_bound second = bound_of(&r, &half_tokens);
    check_kind(&second, DD_KIND_SOLVE,
               (dd_work){.launches = 1, .read = 4 * 2 * 4 * 64 * 4, .written = 4 * 2 * 4 * 64 * 4});
    r.spec.solver = DD_SOLVER_DPMPP2M, f[DD_COEF_CY] = 0;
    const dd_bound multistep = bound_of(&r, &half_tokens);
    check_kind(&multistep, DD_KIND_SOLVE,
               (dd_work){.launches = 1, .read = 3 * 2 * 4 * 64 * 4, .written = 2 * 2 * 4 * 64 * 4});
    rig_close(&r);
}

/* 40 steps of the complete model, 32 in the first chunk of conditioning and 8 in the second, some of them unguided: two
 * images are 4 rows with three labels there, 2 rows with two labels here. */
static void many_steps_by_hand(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, "ref");
    rig_plan(&r, "40", 300, 600, false);
    sampling(&r, 2, DD_FMT_BF16);
    uint64_t guided = 0;
    for (int i = 0; i < 40; i++) guided += r.plan->rows[i].guided != 0;
    assert_true(guided > 5 && guided < 35);
    const dd_bound b = bound_of(&r, &half_tokens);
    check_kind(&b, DD_KIND_COND,
               (dd_work){.launches = 2 * 4,
                         .macs = 40 * 3 * 64 * 896,
                         .weights = 2 * (3 * 64 * 4 + 896 * (64 * 2 + 4)),
                         .read = (32 + 8) * 64 * 4 + 2 * 3 * 4 + 3 * (40 * 3 * 64 * 2),
                         .written = (32 + 8) * 3 * 64 * 2 + 40 * 3 * 896 * 4});
    check_kind(&b, DD_KIND_ADALN,
               (dd_work){.launches = 40 * 4,
                         .read = 4 * (guided * (64 + 6) + (40 - guided) * (32 + 4)) * 64 * 4,
                         .written = 4 * (guided * 64 + (40 - guided) * 32) * 64 * 2});
    rig_close(&r);
}

/* Float32 moves four bytes where bf16 moves two, and nothing else changes. */
static void precision_changes_operands(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, "ref");
    sampling(&r, 1, DD_FMT_BF16);
    const dd_bound half = bound_of(&r, &all_tokens);
    sampling(&r, 1, DD_FMT_F32);
    const dd_bound full = bound_of(&r, &all_tokens);
    assert_true(full.total.work.macs == half.total.work.macs);
    assert_true(full.total.work.launches == half.total.work.launches);
    const dd_work *a = &half.kind[DD_KIND_ATTENTION].work, *b = &full.kind[DD_KIND_ATTENTION].work;
    assert_true(b->read == 2 * a->read && b->written == 2 * a->written && a->read > 0);
    a = &half.kind[DD_KIND_ROUTE].work, b = &full.kind[DD_KIND_ROUTE].work; /* routers are float32 always */
    assert_true(a->weights == b->weights && a->read == b->read && a->read > 0);
    r.spec.want_hits = false;
    const dd_bound uncounted = bound_of(&r, &all_tokens);
    const uint64_t hits = 2 * 4 * 16 * 4; /* two routers, four steps, 16 tokens, four bytes each */
    assert_true(uncounted.kind[DD_KIND_ROUTE].work.read == b->read - hits);
    assert_true(uncounted.kind[DD_KIND_ROUTE].work.written == b->written - hits);
    rig_close(&r);
}

/* ---- the same as elsewhere ------------------------------------------------------------------------------------- */

static uint64_t cost_of(const rig *r, double tokens)
{
    const dd_model *m = r->model;
    double kept[64];
    uint64_t macs = 0;
    for (int i = 0; i < m->n_sites; i++) kept[i] = tokens;
    for (int s = 0; s < r->plan->n_steps; s++) {
        macs += dd_cost_cond(r->plan, m, s, dd_spec_max_labels(&r->spec)).executed;
        macs += dd_cost_step(r->plan, m, s, r->spec.max_images * (r->plan->rows[s].guided ? 2 : 1), kept).executed;
    }
    return macs;
}

/* MACs of the ops are those of the plan's costs, exactly: routed and complete plans, with skipped cells, a guidance
 * interval, shares of tokens that are no whole number of tokens, several chunks of conditioning. */
static void macs_are_the_costs(void **state)
{
    (void)state;
    static const char *const models[] = {MODEL_D64, MODEL_D128};
    static const double shares[] = {1, 0.7, 0.31, 0.01};
    for (int i = 0; i < 2 * 4 * 4; i++) {
        rig r = rig_open(models[i % 2], "ref");
        const int variant = i / 2 % 4;
        const dd_bound_terms terms = {&sheet, 2e-6, shares[i / 8]};
        rig_plan(&r, variant == 3 ? "45" : "7", 200, variant == 0 ? 100 : 700, variant != 1);
        if (variant == 2) {
            *dd_plan_cell(r.plan, 3, 0) = (dd_cell){.op = DD_CELL_SKIP, .units = 1, .router = -1};
            *dd_plan_cell(r.plan, 5, 3) = *dd_plan_cell(r.plan, 5, 0) = *dd_plan_cell(r.plan, 3, 0);
        }
        sampling(&r, 3, variant % 2 ? DD_FMT_F32 : DD_FMT_BF16);
        const uint64_t have = bound_of(&r, &terms).total.work.macs, want = cost_of(&r, terms.tokens);
        if (have != want)
            fail_msg("%s, variant %d, share %g: %llu MACs, %llu by the plan's costs", models[i % 2], variant,
                     terms.tokens, (unsigned long long)have, (unsigned long long)want);
        rig_close(&r);
    }
}

/* A reuse step makes its gates and nothing else of the sites. */
static void macs_of_reuse(void **state)
{
    (void)state;
    const dd_bound_terms terms = {&sheet, 2e-6, 1};
    rig r = rig_open(MODEL_D64, "ref");
    rig_plan(&r, "45", 0, 999, true);
    rig_must(&r, dd_policy_fora(r.plan, r.model, 3, DD_REUSE_FROZEN, &r.err));
    sampling(&r, 3, DD_FMT_BF16);
    const uint64_t complete = dd_cost_cond(r.plan, r.model, 0, 1).dense;
    assert_true(bound_of(&r, &terms).total.work.macs == cost_of(&r, 1));
    assert_true(dd_cost_cond(r.plan, r.model, 1, 1).executed == complete - (uint64_t)r.model->n_sites * 2 * 64 * 64);
    rig_close(&r);
}

/* Ops of every kind are those that a session runs; a router is two kernels. */
static void kernels_are_those_of_a_session(void **state)
{
    (void)state;
    static const int labels[2] = {3, 7};
    uint64_t ran[DD_KIND_COUNT] = {0};
    rig r = rig_open(MODEL_D64, "ref");
    rig_weights(&r);
    rig_plan(&r, "40", 300, 600, true);
    *dd_plan_cell(r.plan, 3, 1) = (dd_cell){.op = DD_CELL_SKIP, .units = 1, .router = -1};
    sampling(&r, 2, DD_FMT_F32);
    dd_session *s = rig_session(&r);
    rig_must(&r, dd_session_batch(s, 2, labels, &r.err));
    for (int step = 0; step < r.plan->n_steps; step++) {
        dd_part part[DD_MAX_PARTS];
        const int n = dd_session_parts(s, step, part);
        for (int i = 0; i < n; i++)
            for (int k = 0; k < part[i].program->n_ops; k++)
                ran[dd_kind_of(&part[i].program->ops[k])] += part[i].program->ops[k].id == DD_OP_route ? 2 : 1;
    }
    const dd_bound b = bound_of(&r, &all_tokens);
    for (int k = 0; k < DD_KIND_COUNT; k++)
        if (b.kind[k].work.launches != ran[k])
            fail_msg("%s: %llu kernels, a session runs %llu", dd_kind_name((dd_op_kind)k),
                     (unsigned long long)b.kind[k].work.launches, (unsigned long long)ran[k]);
    assert_true(ran[DD_KIND_ROUTE] == 2 * 79 && ran[DD_KIND_OTHER] == 0);
    dd_session_close(&s);
    rig_close(&r);
}

/* FORA 4 of 4 steps: the outer two compute, each of their four sums is an op; the inner two are one op each. */
static void reuse_by_hand(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, "ref");
    sampling(&r, 1, DD_FMT_F32);
    rig_plan(&r, "4", -1, -1, true);
    rig_must(&r, dd_policy_fora(r.plan, r.model, 4, DD_REUSE_FROZEN, &r.err));
    r.spec.max_images = 1;
    const uint64_t x = 16 * 64 * 4, gate = 64 * 4, list = 16 * 4, stored = 4 * (x + gate) + 2 * list;
    const dd_work w = bound_of(&r, &all_tokens).kind[DD_KIND_ADD].work;
    assert_int_equal(w.launches, 2 * 4 + 2);
    assert_int_equal(w.macs + w.weights, 0);
    assert_int_equal(w.read, 2 * (4 * x + stored) + 2 * (x + stored));
    assert_int_equal(w.written, 2 * 4 * x + 2 * x);
    rig_close(&r);
}

static void unknown_ops_are_refused(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, "ref");
    dd_work w;
    const dd_op op = {.id = DD_OP_COUNT, .label = "blocks.0.new"};
    const dd_work_at at = {r.model, 0, 1, 1};
    rig_refused(&r, dd_op_work(&w, &op, &at, &r.err), DD_ERR_UNSUPPORTED, "blocks.0.new");
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_step_by_hand),
        cmocka_unit_test(many_steps_by_hand),
        cmocka_unit_test(precision_changes_operands),
        cmocka_unit_test(macs_are_the_costs),
        cmocka_unit_test(kernels_are_those_of_a_session),
        cmocka_unit_test(macs_of_reuse),
        cmocka_unit_test(reuse_by_hand),
        cmocka_unit_test(unknown_ops_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
