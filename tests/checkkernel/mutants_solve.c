/* SPDX-License-Identifier: MIT
 * Faults of the solvers: the reference on wrong arguments, or what it keeps altered. */
#include <stdlib.h>
#include <string.h>

#include "kernels/ref/ref.h"
#include "tests/checkkernel/check.h"
#include "tests/checkkernel/mutants.h"

typedef enum solve_fault { NO_NOISE, X0_MISSING, FIRST_COEFS, NO_VARIANCE, LAST_IMAGE, OTHER_SOLVER } solve_fault;

static dd_status solve(const dd_exec *e, const dd_solve_args *a)
{
    const int32_t zero = 0;
    const int64_t plane = (int64_t)a->size * a->size, n = a->b * a->c * plane, all = a->b * a->co * plane;
    dd_exec other = *e;
    dd_solve_args b = *a;
    float *noise = ck_alloc((size_t)n * sizeof *noise), *out = ck_alloc((size_t)all * sizeof *out);
    memcpy(out, a->out, (size_t)all * sizeof *out);
    if (ck_fault == NO_NOISE && a->noise) b.noise = noise;
    if (ck_fault == X0_MISSING) b.x0 = NULL;
    if (ck_fault == FIRST_COEFS) {
        other.step = &zero;
        if (!b.noise) b.noise = noise;
    }
    if (ck_fault == NO_VARIANCE && a->co > a->c)
        for (int64_t i = 0; i < all; i++)
            if (i / plane % a->co >= a->c) out[i] = -1;
    b.out = out;
    if (ck_fault == LAST_IMAGE) b.b--;
    if (ck_fault == OTHER_SOLVER) b.solver = a->solver == DD_SOLVER_DDIM ? DD_SOLVER_DDPM : DD_SOLVER_DDIM;
    const dd_status st = b.b > 0 ? dd_ref_solve(&other, &b) : DD_OK;
    free(noise);
    free(out);
    return st;
}

/* ---- multistep ---- */

typedef enum multistep_fault {
    PAST_AT_FIRST,    /* what earlier steps predicted is read where there is nothing */
    OLDER_AT_SECOND,  /* and what the step before them did */
    NOT_CORRECTED,    /* y = x */
    NOT_MOVED_ON,     /* x0_2 stays */
    NOT_KEPT,         /* x0_1 stays */
    UNCORRECTED_KEPT, /* y_1 = x */
    OLDEST_LOST       /* x0_2 is left out of the correction */
} multistep_fault;

static void alter(float *f)
{
    if (ck_fault == PAST_AT_FIRST && f[DD_COEF_MX1] == 0 && f[DD_COEF_MXT] != 0) f[DD_COEF_MX1] = 1e-30f;
    if (ck_fault == OLDER_AT_SECOND && f[DD_COEF_CY] != 0 && f[DD_COEF_C2] == 0) f[DD_COEF_C2] = 1e-30f;
    if (ck_fault == NOT_CORRECTED) f[DD_COEF_CY] = 0;
    if (ck_fault == OLDEST_LOST) f[DD_COEF_C2] = 0;
}

static void put_back(float *to, const float *old, size_t bytes)
{
    if (to) memcpy(to, old, bytes);
}

static dd_status multistep(const dd_exec *e, const dd_solve_args *a)
{
    const size_t bytes = (size_t)((int64_t)a->b * a->c * a->size * a->size) * sizeof(float);
    float *coef = ck_alloc(4 * DD_COEF_COUNT * sizeof *coef), *old[3];
    float *const kept[] = {a->x, a->x0_1, a->x0_2};
    dd_solve_args b = *a;
    memcpy(coef, a->coef, 4 * DD_COEF_COUNT * sizeof *coef);
    if (dd_solver_multistep(a->solver)) alter(coef + *e->step * DD_COEF_COUNT);
    b.coef = coef;
    for (int i = 0; i < 3; i++) {
        old[i] = ck_alloc(bytes);
        if (kept[i]) memcpy(old[i], kept[i], bytes);
    }
    const dd_status st = dd_ref_solve(e, &b);
    if (ck_fault == UNCORRECTED_KEPT) put_back(a->y_1, old[0], bytes);
    if (ck_fault == NOT_KEPT) put_back(a->x0_1, old[1], bytes);
    if (ck_fault == NOT_MOVED_ON) put_back(a->x0_2, old[2], bytes);
    for (int i = 0; i < 3; i++) free(old[i]);
    free(coef);
    return st;
}

#define MULTISTEP(name, fault)                               \
    {                                                        \
        name, DD_OP_solve, {.solve = multistep}, fault, NULL \
    }
static const ck_mutant list[] = {
    CK_MUTANT(solve, "no noise", NO_NOISE),
    CK_MUTANT(solve, "picture not stored", X0_MISSING),
    CK_MUTANT(solve, "coefficients of the first step", FIRST_COEFS),
    CK_MUTANT(solve, "learned variance ignored", NO_VARIANCE),
    CK_MUTANT(solve, "last image left alone", LAST_IMAGE),
    CK_MUTANT(solve, "the other solver", OTHER_SOLVER),
    MULTISTEP("a past at the first step", PAST_AT_FIRST),
    MULTISTEP("an older past at the second step", OLDER_AT_SECOND),
    MULTISTEP("latents not corrected", NOT_CORRECTED),
    MULTISTEP("older prediction does not move on", NOT_MOVED_ON),
    MULTISTEP("prediction not kept", NOT_KEPT),
    MULTISTEP("latents kept before they are corrected", UNCORRECTED_KEPT),
    MULTISTEP("correction without the oldest prediction", OLDEST_LOST),
};

ck_mutants ck_mutants_solve(void) { return (ck_mutants){list, CK_COUNT(list)}; }
