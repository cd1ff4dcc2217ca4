/* SPDX-License-Identifier: MIT
 * Synthetic plans: the MAC ratio as near as single units allow, widths that rise towards the picture, unit 0 everywhere,
 * and the refusals. */
#define _POSIX_C_SOURCE 200809L
#include "tests/support/plan_fixture.h"

#include <math.h>

#include "host/plan/cost.h"
#include "host/plan/policy.h"

/* Executed over dense MACs when routed sites keep `tokens` of their tokens. */
static double ratio_of(const dd_plan *p, const dd_model *m, double tokens)
{
    double kept[64], dense = 0, executed = 0;
    assert_true(m->n_sites <= 64);
    for (int i = 0; i < m->n_sites; i++) kept[i] = tokens;
    for (int s = 0; s < p->n_steps; s++) {
        const dd_cost c = dd_cost_step(p, m, s, p->rows[s].guided ? 2 : 1, kept);
        dense += (double)c.dense;
        executed += (double)c.executed;
    }
    return executed / dense;
}

/* What the dearest single unit at one step is of the whole. */
static double one_unit(const dd_plan *p, const dd_model *m)
{
    double dense = 0, most = 0;
    for (int s = 0; s < p->n_steps; s++) dense += (double)dd_cost_step(p, m, s, 2, NULL).dense;
    for (int i = 0; i < m->n_sites; i++) most = fmax(most, (double)m->sites[i].macs(&m->cfg, 1, m->cfg.tokens));
    return 2 * most / dense;
}

static void meets_ratios(void **state)
{
    fixture *f = *state;
    static const double tokens[] = {1, 0.75, 0.5};
    for (int k = 0; k < 3; k++)
        for (double ratio = 0.3; ratio < 0.65; ratio += 0.05) {
            if (dd_policy_synthetic(f->plan, f->model, ratio, tokens[k], &f->err) != DD_OK) fail_msg("%s", f->err.text);
            const double error = fabs(ratio_of(f->plan, f->model, tokens[k]) - ratio);
            if (!(error <= one_unit(f->plan, f->model))) /* no two sites round at the same factor */
                fail_msg("ratio %g, tokens %g: off by %g, a unit is %g", ratio, tokens[k], error,
                         one_unit(f->plan, f->model));
            assert_int_equal(dd_plan_validate(f->plan, f->model, "plan", &f->err), DD_OK);
        }
}

static void rises_towards_the_picture(void **state)
{
    fixture *f = *state;
    assert_int_equal(dd_policy_synthetic(f->plan, f->model, 0.5, 0.7, &f->err), DD_OK);
    int narrow = 0, wide = 0;
    for (int i = 0; i < f->model->n_sites; i++) {
        uint64_t before = 0;
        for (int s = 0; s < STEPS; s++) { /* timesteps fall */
            const dd_cell *c = dd_plan_cell(f->plan, s, i);
            assert_true(c->units & 1);
            assert_true((c->units & before) == before); /* wider steps keep the units of narrower ones */
            before = c->units;
            narrow += s == 0 ? dd_popcount64(c->units) : 0;
            wide += s == STEPS - 1 ? dd_popcount64(c->units) : 0;
        }
    }
    assert_true(wide > 3 * narrow / 2); /* 1.4 to 0.6 of the mean */
}

static void routes_only_where_tokens_are_left_out(void **state)
{
    fixture *f = *state;
    for (int routed = 0; routed < 2; routed++) {
        assert_int_equal(dd_policy_synthetic(f->plan, f->model, 0.5, routed ? 0.7 : 1, &f->err), DD_OK);
        for (int s = 0; s < STEPS; s++)
            for (int i = 0; i < f->model->n_sites; i++) {
                const dd_cell *c = dd_plan_cell(f->plan, s, i);
                const int router = f->model->sites[i].router;
                assert_int_equal(c->rows, routed && router >= 0 ? DD_ROWS_ROUTED : DD_ROWS_ALL);
                assert_int_equal(c->router, routed ? router : -1);
                assert_int_equal(c->op, DD_CELL_COMPUTE);
            }
    }
    assert_string_equal(f->plan->policy, "synthetic 0.5, tokens 0.7");
}

static void spreads_over_units(void **state)
{
    fixture *f = *state;
    uint64_t seen = 0;
    int most = 0;
    assert_int_equal(dd_policy_synthetic(f->plan, f->model, 0.4, 1, &f->err), DD_OK);
    for (int i = 0; i < f->model->n_sites; i++) {
        const uint64_t units = dd_plan_cell(f->plan, STEPS - 1, i)->units;
        seen |= units;
        most = dd_popcount64(units) > most ? dd_popcount64(units) : most;
    }
    assert_true(dd_popcount64(seen) > most); /* not the same prefix everywhere */
}

static void ends(void **state)
{
    fixture *f = *state;
    dd_model *m = f->model;
    expect_error(f, dd_policy_synthetic(f->plan, m, 0.01, 1, &f->err), DD_ERR_ARG, "cannot be had");
    expect_error(f, dd_policy_synthetic(f->plan, m, 0.99, 0.5, &f->err), DD_ERR_ARG, "cannot be had");
    expect_error(f, dd_policy_synthetic(f->plan, m, NAN, 1, &f->err), DD_ERR_ARG, "cannot be had");
    expect_error(f, dd_policy_synthetic(f->plan, m, 0.5, 0, &f->err), DD_ERR_ARG, "share of tokens");
    expect_error(f, dd_policy_synthetic(f->plan, m, 0.5, 1.5, &f->err), DD_ERR_ARG, "share of tokens");
    expect_error(f, dd_policy_synthetic(f->plan, m, 0.5, NAN, &f->err), DD_ERR_ARG, "share of tokens");
    assert_int_equal(dd_policy_synthetic(f->plan, m, 1, 1, &f->err), DD_OK); /* everything */
    for (int i = 0; i < STEPS * m->n_sites; i++) assert_true(f->plan->cells[i].units == 0x3f);
    m->n_routers = 0;
    expect_error(f, dd_policy_synthetic(f->plan, m, 0.5, 0.5, &f->err), DD_ERR_ARG, "no token routers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(meets_ratios), TEST(rises_towards_the_picture),
                                       TEST(routes_only_where_tokens_are_left_out), TEST(spreads_over_units),
                                       TEST(ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
