/* SPDX-License-Identifier: MIT
 * Steps of the multistep solvers. What is right: dd_ref_solve. What a phase of the run has no past for is poison, which must
 * not be read.
 * Bound, u = 2^-24: x0 is within 3 u of its terms, T0 = |X x| + |E eps|, of which the candidate's own error is 2 u. y has four products,
 * three sums and the rounding of the reference, 5 u of its terms, and the error of x0 in C0 x0: 7 u Ty with |C0| T0 among
 * the terms. The next x has three products, two sums and that rounding, 4 u, and the errors of x0 and y in it: 11 u of all
 * terms. Below the normal numbers each of the dozen operations loses half of 2^-149, and no coefficient is above 2. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/checkkernel/check_solve.h"

#define FLOOR 0x1p-145

void ck_solve_list_multistep(ck_list *l)
{
    static const char *const phases[CK_PHASES] = {"first", "second", "middle", "last"};
    for (int i = 0; i < 2 * CK_PHASES; i++)
        for (int how = 0; how < CK_PATTERNS; how++) {
            const ck_solve_params p = {.b = 1 + how % 3,
                                       .c = 4,
                                       .co = (i ^ how) & 1 ? 4 : 8,
                                       .size = how == CK_NORMAL ? 32 : 5,
                                       .solver = i < CK_PHASES ? DD_SOLVER_DPMPP2M : DD_SOLVER_UNIPC,
                                       .want_x0 = how & 1,
                                       .phase = (ck_phase)(i % CK_PHASES),
                                       .how = (ck_pattern)how};
            if (p.solver == DD_SOLVER_DPMPP2M && p.phase == CK_SECOND) continue; /* is as the middle */
            ck_list_add(l, &p, sizeof p, "%s,%s,b%d,c%d,co%d,size%d,%s,%s",
                        p.solver == DD_SOLVER_UNIPC ? "unipc" : "dpmpp2m", phases[p.phase], p.b, p.c, p.co, p.size,
                        p.want_x0 ? "x0" : "-", ck_pattern_name(p.how));
        }
}

static void coefficients(float *f, const ck_solve_params *p)
{
    static const float all[DD_COEF_COUNT] = {
        [DD_COEF_X] = 1.5f,  [DD_COEF_E] = 1.1f,  [DD_COEF_MX0] = 0.8f, [DD_COEF_MXT] = 0.7f, [DD_COEF_MX1] = -0.3f,
        [DD_COEF_CY] = 0.9f, [DD_COEF_C0] = 0.2f, [DD_COEF_C1] = 0.4f,  [DD_COEF_C2] = -0.1f};
    memcpy(f, all, sizeof all);
    if (p->phase == CK_FIRST || p->solver == DD_SOLVER_DPMPP2M)
        f[DD_COEF_CY] = f[DD_COEF_C0] = f[DD_COEF_C1] = f[DD_COEF_C2] = 0;
    if (p->phase == CK_FIRST || p->phase == CK_LAST) f[DD_COEF_MX1] = 0;
    if (p->phase == CK_SECOND) f[DD_COEF_C2] = 0;
    if (p->phase == CK_LAST) f[DD_COEF_MX0] = 1, f[DD_COEF_MXT] = 0;
}

/* What a step writes: x, x0, x0_1, x0_2, y_1, and copies in which the reference leaves what it should be. */
enum { X, X0, X0_1, X0_2, Y_1, ARRAYS };

typedef struct arrays {
    ck_tensor *t[ARRAYS]; /* NULL: the solver has none */
    float *want[ARRAYS];
} arrays;

static void open_arrays(arrays *a, ck_case *c, size_t n)
{
    static const char *const names[ARRAYS] = {"x", "x0", "x0_1", "x0_2", "y_1"};
    const ck_solve_params *p = c->params;
    const bool past[ARRAYS] = {
        [X] = true, [X0_1] = p->phase > CK_FIRST, [X0_2] = p->phase > CK_SECOND, [Y_1] = p->phase > CK_FIRST};
    for (int i = 0; i < ARRAYS; i++) {
        if (i >= X0_2 && p->solver == DD_SOLVER_DPMPP2M) continue;
        a->t[i] = ck_out(c, names[i], DD_F32, n);
        if (past[i]) ck_fill(&c->rng, a->t[i]->p, n, p->how);
        a->want[i] = ck_alloc(n * sizeof *a->want[i]);
        memcpy(a->want[i], a->t[i]->p, n * sizeof *a->want[i]);
    }
}

static void point_to(dd_solve_args *g, float *const *p)
{
    g->x = p[X], g->x0 = p[X0], g->x0_1 = p[X0_1], g->x0_2 = p[X0_2], g->y_1 = p[Y_1];
}

/* Element i of the past, 0 where there is none. */
static float past(const arrays *a, int which, int64_t i, bool there)
{
    return there ? ((float *)a->t[which]->p)[i] : 0;
}

static void expect(ck_case *c, const arrays *a, const float *f, int64_t i, float eps)
{
    const ck_solve_params *p = c->params;
    const bool corrected = f[DD_COEF_CY] != 0;
    const float x = past(a, X, i, true), x0 = f[DD_COEF_X] * x - f[DD_COEF_E] * eps;
    const float m1 = past(a, X0_1, i, corrected || f[DD_COEF_MX1] != 0),
                m2 = past(a, X0_2, i, corrected && f[DD_COEF_C2] != 0);
    const float y1 = past(a, Y_1, i, corrected);
    const double t0 = fabs((double)f[DD_COEF_X] * x) + fabs((double)f[DD_COEF_E] * eps);
    float y = x;
    double ty = fabs((double)x), y_bound = 0;
    if (corrected) {
        y = f[DD_COEF_CY] * y1 + f[DD_COEF_C0] * x0 + f[DD_COEF_C1] * m1 + f[DD_COEF_C2] * m2;
        ty = fabs((double)f[DD_COEF_CY] * y1) + fabs((double)f[DD_COEF_C0]) * t0 + fabs((double)f[DD_COEF_C1] * m1) +
             fabs((double)f[DD_COEF_C2] * m2);
        y_bound = 7 * CK_EPS * ty + FLOOR;
    }
    const double tn = fabs((double)f[DD_COEF_MX0]) * t0 + fabs((double)f[DD_COEF_MXT]) * ty +
                      fabs((double)f[DD_COEF_MX1] * m1);
    ck_expect_near(a->t[X], i, (double)a->want[X][i], 11 * CK_EPS * tn + FLOOR,
                   f[DD_COEF_MX0] * x0 + f[DD_COEF_MXT] * y + f[DD_COEF_MX1] * m1);
    if (p->want_x0) ck_expect_near(a->t[X0], i, (double)a->want[X0][i], 3 * CK_EPS * t0 + FLOOR, x0);
    ck_expect_near(a->t[X0_1], i, (double)a->want[X0_1][i], 3 * CK_EPS * t0 + FLOOR, x0);
    if (p->solver != DD_SOLVER_UNIPC) return;
    ck_expect_near(a->t[Y_1], i, (double)a->want[Y_1][i], y_bound, y);
    ck_expect_near(a->t[X0_2], i, (double)m1, 0, m1);
}

void ck_solve_build_multistep(ck_case *c)
{
    const ck_solve_params *p = c->params;
    dd_solve_args *g = &c->args.solve;
    const int64_t plane = (int64_t)p->size * p->size, n = p->c * plane, all = p->b * n;
    *g = (dd_solve_args){.solver = p->solver, .b = p->b, .c = p->c, .co = p->co, .size = p->size};
    float *coef = ck_in_f32(c, "coef", 4 * DD_COEF_COUNT, CK_NORMAL), *f = coef + c->step * DD_COEF_COUNT;
    coefficients(f, p);
    const float *out = ck_in_f32(c, "out", (size_t)(p->b * p->co * plane), CK_UNIFORM);
    arrays a = {0};
    float *mine[ARRAYS] = {0};
    open_arrays(&a, c, (size_t)all);
    g->coef = coef;
    g->out = out;
    point_to(g, a.want);
    ck_reference(c, &c->args);
    for (int i = 0; i < ARRAYS; i++) mine[i] = a.t[i] ? a.t[i]->p : NULL;
    if (!p->want_x0) mine[X0] = NULL;
    point_to(g, mine);
    for (int64_t i = 0; i < all; i++) expect(c, &a, f, i, out[i / n * p->co * plane + i % n]);
    for (int i = 0; i < ARRAYS; i++) free(a.want[i]);
}
