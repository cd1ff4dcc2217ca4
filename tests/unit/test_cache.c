/* SPDX-License-Identifier: MIT
 * Branches kept in bf16: the step that keeps them is not touched by it, a step that reuses them is off by their rounding
 * and no more, memory is half. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "tests/unit/exec_rig.h"

static const int labels[1] = {3};

/* Three blocks of which the MLPs and the first attention are skipped, so that one branch is added from one trace to the next. */
static void one_branch_a_block(rig *r, dd_cell_op reuse)
{
    rig_plan(r, "2", -1, -1, false);
    for (int i = 0; i < r->model->n_sites; i++)
        for (int step = 0; step < 2; step++) {
            dd_cell *c = dd_plan_cell(r->plan, step, i);
            c->op = (uint8_t)(i % 2 || i == 0 ? DD_CELL_SKIP : step ? reuse : DD_CELL_COMPUTE_STORE);
        }
    rig_must(r, dd_plan_validate(r->plan, r->model, "test", &r->err));
    r->spec.max_images = 1;
    r->spec.want_hidden = true;
}

static size_t traced(const rig *r)
{
    return (size_t)r->model->cfg.depth * (size_t)r->model->cfg.tokens * (size_t)r->model->cfg.hidden_size;
}

/* Traces of both steps, on the same latents. */
static float *run(rig *r, dd_format cache)
{
    const size_t n = traced(r);
    float *x = rig_noise(5, (size_t)r->model->cfg.latent_count), *out = malloc(2 * n * sizeof *out);
    assert_non_null(out);
    r->spec.cache = cache;
    dd_session *s = rig_session(r);
    rig_must(r, dd_session_batch(s, 1, labels, &r->err));
    for (int step = 0; step < 2; step++) {
        rig_must(r, dd_session_put(s, DD_IO_LATENTS, 1, x, &r->err));
        rig_must(r, dd_session_step(s, step, &r->err));
        rig_must(r, dd_session_get(s, DD_IO_HIDDEN, 1, out + (size_t)step * n, &r->err));
    }
    dd_session_close(&s);
    free(x);
    return out;
}

/* Tokens after block b: x_b = x_(b-1) + p_b. A kept branch (or change) is off by at most 2^-8 of itself (half of a last place of
 * bf16, which has 8 bits), and so is p_b; the sums of both runs round each by 2^-24 of |x_b|, where 4 covers the gate's product as well. */
static void check_rounding(const rig *r, const float *have, const float *want)
{
    const size_t block = traced(r) / (size_t)r->model->cfg.depth;
    size_t off = 0;
    for (size_t i = 0; i < block; i++) {
        double bound = 0;
        for (int b = 1; b < r->model->cfg.depth; b++) {
            const size_t at = (size_t)b * block + i;
            const double x = (double)want[at], part = x - (double)want[at - block];
            bound += 0x1p-8 * fabs(part) + 4 * 0x1p-24 * (fabs(x) + fabs(part));
            const double error = fabs((double)have[at] - x);
            if (!(error <= bound)) fail_msg("block %d, element %zu: off by %g, bound %g", b, i, error, bound);
            off += error > 0;
        }
    }
    assert_true(off > block); /* it is another format */
}

static void reuse_is_off_by_the_rounding(void **state)
{
    (void)state;
    static const dd_cell_op ops[] = {DD_CELL_REUSE_BRANCH, DD_CELL_REUSE_DELTA};
    const char *one = getenv("DYDIT_TEST_BACKEND");
    for (int i = 0; i < 4; i++) {
        rig r = rig_open(MODEL_D128, one ? one : i / 2 ? "cpu" : "ref");
        rig_weights(&r);
        one_branch_a_block(&r, ops[i % 2]);
        float *full = run(&r, DD_FMT_F32), *half = run(&r, DD_FMT_BF16);
        assert_memory_equal(full, half, traced(&r) * sizeof *full); /* the step that keeps */
        check_rounding(&r, half + traced(&r), full + traced(&r));
        free(full);
        free(half);
        rig_close(&r);
    }
}

static void half_the_memory(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, "ref");
    dd_footprint full, half;
    rig_plan(&r, "8", 0, 999, true);
    rig_must(&r, dd_policy_fora(r.plan, r.model, 3, DD_REUSE_FROZEN, &r.err));
    rig_must(&r, dd_footprint_compute(&full, &r.spec, r.be, &r.err));
    r.spec.cache = DD_FMT_BF16;
    rig_must(&r, dd_footprint_compute(&half, &r.spec, r.be, &r.err));
    const size_t rows = 6 * 16, branch = rows * 64 * 4, lists = rows * 4 + 64; /* of each of two routers */
    assert_int_equal(full.slots, 4 * branch + 2 * lists);
    assert_int_equal(half.slots, 4 * branch / 2 + 2 * lists);
    assert_int_equal(half.programs, full.programs);
    /* a result that replaces the residual stream is as exact as that */
    for (int s = 0; s < 8; s++)
        for (int i = 0; i < r.model->n_sites; i++)
            *dd_plan_cell(r.plan, s, i) = (dd_cell){
                .units = 15, .op = s ? DD_CELL_REUSE_OUTPUT : DD_CELL_COMPUTE_STORE, .router = -1};
    rig_must(&r, dd_footprint_compute(&half, &r.spec, r.be, &r.err));
    assert_int_equal(half.slots, 4 * branch);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reuse_is_off_by_the_rounding),
                                       cmocka_unit_test(half_the_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
