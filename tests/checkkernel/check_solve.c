/* SPDX-License-Identifier: MIT
 * Step of DDPM or DDIM. What is right: dd_ref_solve.
 * Bound, u = 2^-24: x0 = X x - E eps has two products and a difference, 3 u of its terms. The rest multiplies it by MX0
 * (below 1 here) and adds at most two more terms: 8 u of all terms covers them. The noise has the factor e^(l/2), where
 * |l| <= 10 turns 5 roundings of l into 25 u, and e^x itself and two products add less: 60 u |noise|. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/checkkernel/check_solve.h"

static void list(ck_list *l)
{
    for (int i = 0; i < 16; i++)
        for (int how = 0; how < CK_PATTERNS; how++) {
            const ck_solve_params p = {.b = 1 + how % 3,
                                       .c = 4,
                                       .co = i & 2 ? 4 : 8,
                                       .size = how == CK_NORMAL ? 32 : 5,
                                       .solver = i & 1 ? DD_SOLVER_DDIM : DD_SOLVER_DDPM,
                                       .noisy = i & 4,
                                       .want_x0 = i & 8,
                                       .how = (ck_pattern)how};
            ck_list_add(l, &p, sizeof p, "%s,b%d,c%d,co%d,size%d,%s,%s,%s",
                        p.solver == DD_SOLVER_DDIM ? "ddim" : "ddpm", p.b, p.c, p.co, p.size,
                        p.noisy ? "noise" : "still", p.want_x0 ? "x0" : "-", ck_pattern_name(p.how));
        }
    ck_solve_list_multistep(l);
}

static float naive_of(const dd_solve_args *g, const float *f, float x, float x0, float eps, float v, float noise)
{
    if (g->solver == DD_SOLVER_DDIM) return f[DD_COEF_MX0] * x0 + f[DD_COEF_ME] * eps + f[DD_COEF_SIGMA] * noise;
    const float w = (v + 1) / 2, l = w * f[DD_COEF_LOG_MAX] + (1 - w) * f[DD_COEF_LOG_MIN];
    return f[DD_COEF_MX0] * x0 + f[DD_COEF_MXT] * x + f[DD_COEF_SIGMA] * expf(l / 2) * noise;
}

static void build(ck_case *c)
{
    const ck_solve_params *p = c->params;
    if (dd_solver_multistep(p->solver)) {
        ck_solve_build_multistep(c);
        return;
    }
    dd_solve_args *g = &c->args.solve;
    const int64_t n = (int64_t)p->c * p->size * p->size, all = p->b * n;
    *g = (dd_solve_args){.solver = p->solver, .b = p->b, .c = p->c, .co = p->co, .size = p->size};
    float *coef = ck_in_f32(c, "coef", 4 * DD_COEF_COUNT, CK_NORMAL); /* other steps: other numbers */
    const float mine[DD_COEF_COUNT] = {
        1.5f, 1.1f, 0.3f, 0.7f, 0.2f, p->noisy ? (p->solver == DD_SOLVER_DDPM ? 1 : 0.4f) : 0, -5.0f, -3.5f};
    memcpy(coef + c->step * DD_COEF_COUNT, mine, sizeof mine);
    const float *out = ck_in_f32(c, "out", (size_t)((int64_t)p->b * p->co * p->size * p->size), CK_UNIFORM);
    const float *noise = ck_in_f32(c, "noise", (size_t)all, p->how);
    ck_tensor *x = ck_out(c, "x", DD_F32, (size_t)all), *x0 = ck_out(c, "x0", DD_F32, (size_t)all);
    ck_fill(&c->rng, x->p, x->n, p->how);
    float *want = ck_alloc(x->bytes), *want0 = ck_alloc(x->bytes);
    memcpy(want, x->p, x->bytes);
    g->coef = coef;
    g->out = out;
    g->noise = p->noisy ? noise : NULL;
    g->x = want;
    g->x0 = want0;
    ck_reference(c, &c->args);
    g->x = x->p;
    g->x0 = p->want_x0 ? x0->p : NULL;
    for (int64_t i = 0; i < all; i++) {
        const float *e = out + i / n * (n / p->c * p->co) + i % n, xt = g->x[i], v = p->co == p->c ? -1 : e[n];
        const double terms = fabs(1.5 * (double)xt) + fabs(1.1 * (double)*e), z = p->noisy ? fabs((double)noise[i]) : 0;
        const float n0 = mine[DD_COEF_X] * xt - mine[DD_COEF_E] * *e;
        ck_expect_near(x, i, (double)want[i],
                       CK_EPS * (8 * (terms + fabs((double)xt) + fabs((double)*e)) + 60 * z) + 0x1p-147,
                       naive_of(g, mine, xt, n0, *e, v, p->noisy ? noise[i] : 0));
        if (p->want_x0) ck_expect_near(x0, i, (double)want0[i], 3 * CK_EPS * terms + 0x1p-148, n0);
    }
    free(want);
    free(want0);
}

/* The last image alone. */
static bool variant(ck_case *c, int i)
{
    const ck_solve_params *p = c->params;
    dd_solve_args *g = &c->variant_args.solve;
    const int64_t plane = (int64_t)p->size * p->size, n = p->c * plane, first = (p->b - 1) * n;
    if (i > 0 || p->b < 2) return false;
    for (int64_t j = 0; j < p->b * n; j++) c->variant_map[j] = j < first ? CK_UNTOUCHED : j;
    c->variant_args = c->args;
    g->x += first;
    g->out += (p->b - 1) * p->co * plane;
    if (g->noise) g->noise += first;
    float **const more[] = {&g->x0, &g->x0_1, &g->x0_2, &g->y_1};
    for (int j = 0; j < 4; j++)
        if (*more[j]) *more[j] += first;
    c->variant_map_all = true;
    g->b = 1;
    return true;
}

const ck_op ck_op_solve = {.id = DD_OP_solve, .list = list, .build = build, .variant = variant};
