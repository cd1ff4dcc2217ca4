/* SPDX-License-Identifier: MIT
 * The choice of a search, against all choices that there are of small tables; what becomes of it in a plan; errors that were
 * not measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/plan/search.h"
#include "tests/support/plan_model.h"

#define STEPS 5
#define SITES 2
#define CELLS (STEPS * SITES)
#define TABLES 40

typedef struct small {
    double error[CELLS * DD_SEARCH_MAX_AGE];
    uint64_t macs[CELLS];
    unsigned char refresh[STEPS];
    dd_search_table t;
} small;

static uint32_t random_state;

static uint32_t draw(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % n;
}

/* Site 1 is left out now and then, as by SKIP; a step must be a refresh now and then. */
static void make(small *s, uint32_t seed)
{
    random_state = seed;
    memset(s, 0, sizeof *s);
    for (int i = 0; i < CELLS * DD_SEARCH_MAX_AGE; i++) s->error[i] = (1 + draw(1000)) * 1e-6;
    for (int i = 0; i < CELLS; i++) s->macs[i] = i % SITES == 1 && draw(5) == 0 ? 0 : 1000 + draw(9000);
    for (int i = 0; i < STEPS; i++) s->refresh[i] = i == 0 || draw(8) == 0;
    s->t = (dd_search_table){STEPS, SITES, s->error, s->macs, s->refresh};
}

/* Choice number `refreshes`, `reuses` as bits; false where there is no such choice. */
static bool choice_of(const small *s, unsigned refreshes, unsigned reuses, unsigned char *refresh, unsigned char *reuse)
{
    int last = 0;
    for (int i = 0; i < STEPS; i++) {
        refresh[i] = refreshes >> i & 1;
        if (s->refresh[i] && !refresh[i]) return false;
        if (refresh[i]) last = i;
        for (int k = 0; k < SITES; k++) {
            const int cell = i * SITES + k;
            reuse[cell] = reuses >> cell & 1;
            if (reuse[cell] && (refresh[i] || !s->macs[cell] || !s->macs[last * SITES + k])) return false;
        }
    }
    return true;
}

/* Least error within a budget, or with a price least of both together. */
static double brute_force(const small *s, uint64_t budget, double price)
{
    unsigned char refresh[STEPS], reuse[CELLS];
    const dd_search_choice c = {refresh, reuse};
    double best = INFINITY;
    for (unsigned r = 0; r < 1u << STEPS; r++)
        for (unsigned u = 0; u < 1u << CELLS; u++) {
            if (!choice_of(s, r, u, refresh, reuse)) continue;
            const uint64_t macs = dd_search_macs(&s->t, &c);
            if (macs <= budget) best = fmin(best, dd_search_error(&s->t, &c) + price * (double)macs);
        }
    return best;
}

/* Sums of up to 10 doubles in another order: 10 DBL_EPSILON of the sum. */
static void assert_close(double a, double b)
{
    if (!(fabs(a - b) <= 10 * DBL_EPSILON * fabs(b))) fail_msg("%.17g is not %.17g", a, b);
}

static void best_at_a_price(void **state)
{
    (void)state;
    unsigned char refresh[STEPS], reuse[CELLS];
    const dd_search_choice c = {refresh, reuse};
    dd_err err = {0};
    small s;
    for (uint32_t k = 0; k < TABLES; k++) {
        make(&s, k);
        const double price = 1e-10 * pow(10, draw(50) / 10.0);
        assert_int_equal(dd_search_price(&s.t, price, &c, &err), DD_OK);
        assert_close(dd_search_error(&s.t, &c) + price * (double)dd_search_macs(&s.t, &c),
                     brute_force(&s, UINT64_MAX, price));
    }
}

/* Never above; the best there is for what it costs wherever it costs the whole budget. */
static void within_a_budget(void **state)
{
    (void)state;
    unsigned char refresh[STEPS], reuse[CELLS];
    const dd_search_choice c = {refresh, reuse};
    dd_err err = {0};
    uint64_t least = 0, again = 0;
    small s;
    for (uint32_t k = 0; k < TABLES; k++) {
        make(&s, 1000 + k);
        const uint64_t all = dd_search_macs(&s.t, NULL), budget = all / 10 * (1 + draw(10));
        assert_int_equal(dd_search_choose(&s.t, budget, &c, &least, &err), DD_OK);
        if (budget < least) {
            assert_int_equal(dd_search_macs(&s.t, &c), least);
            assert_true(isinf(brute_force(&s, least - 1, 0)));
            continue;
        }
        assert_true(dd_search_macs(&s.t, &c) <= budget);
        assert_true(dd_search_error(&s.t, &c) >= brute_force(&s, budget, 0) * (1 - 10 * DBL_EPSILON));
        /* A price whose choice this is: its cost as the budget gives the same error again. */
        assert_int_equal(dd_search_price(&s.t, 1e-8, &c, &err), DD_OK);
        const uint64_t macs = dd_search_macs(&s.t, &c);
        assert_int_equal(dd_search_choose(&s.t, macs, &c, &again, &err), DD_OK);
        assert_int_equal(again, least);
        assert_close(dd_search_error(&s.t, &c), brute_force(&s, macs, 0));
        assert_int_equal(dd_search_choose(&s.t, all, &c, &again, &err), DD_OK);
        assert_true(dd_search_error(&s.t, &c) == 0);
    }
}

static void cells_of_a_choice(void **state)
{
    (void)state;
    static const float t[STEPS] = {900, 700, 500, 300, 100};
    static const int guided[STEPS] = {1, 1, 1, 0, 0};
    unsigned char refresh[STEPS] = {1, 0, 0, 1, 0}, reuse[4 * STEPS] = {0};
    const dd_search_choice c = {refresh, reuse};
    dd_model *m = plan_model_new(2, 64, 4, 16);
    dd_plan *plan = NULL, *found = NULL;
    dd_search_table table;
    dd_err err = {0};
    assert_non_null(m);
    assert_int_equal(dd_plan_build(&plan, m, t, guided, STEPS, &err), DD_OK);
    dd_plan_cell(plan, 2, 3)->op = DD_CELL_SKIP;
    assert_int_equal(dd_search_table_build(&table, plan, m, NULL, &err), DD_OK);
    for (int s = 0; s < STEPS; s++) assert_int_equal(table.refresh[s], s == 0 || s == 3);
    assert_true(table.macs[0] == 2 * table.macs[4 * 4]); /* guided: twice the rows */
    assert_true(table.macs[2 * 4 + 3] == 0);
    reuse[1 * 4 + 1] = reuse[2 * 4 + 1] = reuse[4 * 4 + 2] = 1;
    assert_int_equal(dd_search_apply(&found, plan, m, &c, 0.25, &err), DD_OK);
    assert_string_equal(found->policy, "dense+search:0.25");
    for (int s = 0; s < STEPS; s++)
        for (int i = 0; i < 4; i++) {
            const bool stores = (s == 0 && i == 1) || (s == 3 && i == 2);
            const int want = reuse[s * 4 + i]   ? DD_CELL_REUSE_BRANCH
                             : stores           ? DD_CELL_COMPUTE_STORE
                             : s == 2 && i == 3 ? DD_CELL_SKIP
                                                : DD_CELL_COMPUTE;
            assert_int_equal(dd_plan_cell(found, s, i)->op, want);
        }
    dd_search_table_free(&table);
    assert_int_equal(dd_search_table_build(&table, found, m, NULL, &err), DD_ERR_ARG);
    assert_string_equal(err.text,
                        "a search over plan \"dense+search:0.25\", which itself reuses results (step 1, blocks.0.mlp)");
    dd_plan_free(&plan);
    dd_plan_free(&found);
    plan_model_free(m);
}

/* One site, error s * age^2 at step s, measured at ages 1 and 4 of every other step; sensitivity 1 at two steps. Amplitudes
 * sqrt(s) age add up after a refresh. The joint error is four times that of the site alone. */
static void errors_between(void **state)
{
    (void)state;
    enum { N = 9 };
    static const int age[2] = {1, 4};
    double error[N * 2], joint[N * 2], sensitivity[N], table[N * DD_SEARCH_MAX_AGE] = {0};
    for (int s = 0; s < N; s++) {
        sensitivity[s] = s == 2 || s == 6 ? 1 : -1;
        for (int a = 0; a < 2; a++) {
            const bool known = s > 0 && s % 2 == 0 && s >= age[a];
            error[2 * s + a] = known ? s * age[a] * age[a] : -1;
            joint[2 * s + a] = known ? 4.0 * s * age[a] * age[a] : -1;
        }
    }
    dd_search_table t = {N, 1, table, NULL, NULL};
    const dd_search_measured m = {2, age, error, joint, sensitivity};
    dd_search_errors(&t, &m);
    const double a1 = sqrt(4 * 4.0), a2 = sqrt(4 * sqrt(4 * 6.0)) * 2, a3 = sqrt(4 * 6.0) * 3; /* refresh at step 3 */
    const double got[3] = {table[4 * DD_SEARCH_MAX_AGE], table[5 * DD_SEARCH_MAX_AGE + 1],
                           table[6 * DD_SEARCH_MAX_AGE + 2]};
    const double want[3] = {a1 * a1, (a1 + a2) * (a1 + a2) - a1 * a1,
                            (a1 + a2 + a3) * (a1 + a2 + a3) - (a1 + a2) * (a1 + a2)};
    /* logarithms and exponentials of numbers below 100: some ten roundings each */
    for (int i = 0; i < 3; i++)
        if (!(fabs(got[i] - want[i]) <= 100 * DBL_EPSILON * want[i]))
            fail_msg("%d: %.17g, not %.17g", i, got[i], want[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(best_at_a_price), cmocka_unit_test(within_a_budget),
                                       cmocka_unit_test(cells_of_a_choice), cmocka_unit_test(errors_between)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
