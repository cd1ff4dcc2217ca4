/* SPDX-License-Identifier: MIT
 * Solver coefficients. Everything is computed in float64 and rounded to float32 at the end, except where the public
 * code rounds a table entry first (DDIM: the alpha bars). */
#include "host/sample/solver.h"

#include <math.h>

#include "host/sample/solver_multistep.h"

/* Posterior q(x_prev | x, x0): mean of both, log variance between two bounds. */
static void ddpm_row(float *row, const dd_schedule *s, int i, int learn_sigma)
{
    const double large = log(i > 0 ? s->beta[i] : s->posterior_var[1]); /* the fixed variance */
    row[DD_COEF_MX0] = (float)s->posterior_mean_x0[i];
    row[DD_COEF_MXT] = (float)s->posterior_mean_xt[i];
    row[DD_COEF_SIGMA] = i > 0 ? 1.0f : 0.0f;
    row[DD_COEF_LOG_MIN] = (float)(learn_sigma ? s->posterior_log_var[i] : large);
    row[DD_COEF_LOG_MAX] = (float)(learn_sigma ? log(s->beta[i]) : large);
}

static void ddim_row(float *row, const dd_schedule *s, int i, double eta)
{
    const double ab = (double)(float)s->alpha_bar[i], prev = (double)(float)s->alpha_bar_prev[i];
    const double sigma = eta * sqrt((1.0 - prev) / (1.0 - ab)) * sqrt(1.0 - ab / prev);
    const double rest = 1.0 - prev - sigma * sigma;
    row[DD_COEF_MX0] = (float)sqrt(prev);
    row[DD_COEF_ME] = (float)sqrt(rest > 0.0 ? rest : 0.0);
    row[DD_COEF_SIGMA] = i > 0 ? (float)sigma : 0.0f;
}

dd_status dd_solver_coefs(float *coef, const dd_schedule *sch, dd_solver solver, double eta, int learn_sigma,
                          dd_err *err)
{
    if (!dd_solver_known(solver)) return DD_FAIL(err, DD_ERR_ARG, "solver %d is not known", (int)solver);
    if (!(eta >= 0.0 && eta <= 1.0)) /* also refuses NaN */
        return DD_FAIL(err, DD_ERR_ARG, "eta %g is out of range: from 0 (no noise) to 1 (as much as ddpm)", eta);
    if (sch->n < 2 || sch->n > DD_TRAIN_STEPS)
        return DD_FAIL(err, DD_ERR_INTERNAL, "a schedule of %d steps has not been built", sch->n);

    for (int k = 0; k < sch->n; k++) {
        const int i = sch->n - 1 - k;
        float *row = coef + (size_t)k * DD_COEF_COUNT;
        for (int c = 0; c < DD_COEF_COUNT; c++) row[c] = 0.0f;
        row[DD_COEF_X] = (float)sqrt(1.0 / sch->alpha_bar[i]);
        row[DD_COEF_E] = (float)sqrt(1.0 / sch->alpha_bar[i] - 1.0);
        if (solver == DD_SOLVER_DDPM) ddpm_row(row, sch, i, learn_sigma);
        else if (solver == DD_SOLVER_DDIM) ddim_row(row, sch, i, eta);
        else dd_multistep_row(row, sch, k, solver == DD_SOLVER_UNIPC);
    }
    return DD_OK;
}
