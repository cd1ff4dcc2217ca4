/* SPDX-License-Identifier: MIT
 * Formula: x0 = X x - E eps; DDPM: x = MX0 x0 + MXT x + SIGMA exp(l/2) noise, l = w LOG_MAX + (1-w) LOG_MIN, w =
 * (v+1)/2, LOG_MIN where the model has no variance channels; DDIM: x = MX0 x0 + ME eps + SIGMA noise; DPM-Solver++(2M) and
 * UniPC: x = MX0 x0 + MXT y + MX1 x0_1 with y = CY y_1 + C0 x0 + C1 x0_1 + C2 x0_2 (x where CY is 0), then x0_2 = x0_1,
 * x0_1 = x0, y_1 = y.
 * Layout: latents [B,C,size,size] in place; out rows of co channels, eps first, then v. Threads: one. Budget: none.
 * Preconditions: co is C or 2C; noise where SIGMA is not 0; what the solver keeps. Precision: double, one rounding of each result. */
#include <math.h>

#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"

static double next(const dd_solve_args *a, const float *coef, double x, double x0, double eps, double v, double noise)
{
    const double mean = coef[DD_COEF_MX0] * x0;
    if (a->solver == DD_SOLVER_DDIM) return mean + coef[DD_COEF_ME] * eps + coef[DD_COEF_SIGMA] * noise;
    const double w = (v + 1) / 2, l = w * coef[DD_COEF_LOG_MAX] + (1 - w) * coef[DD_COEF_LOG_MIN];
    const double sigma = coef[DD_COEF_SIGMA] != 0 ? coef[DD_COEF_SIGMA] * exp(l / 2) : 0;
    return mean + coef[DD_COEF_MXT] * x + sigma * noise;
}

/* Element i of a step of the linear multistep solvers. x0 is kept rounded. */
static double next_multistep(const dd_solve_args *a, const float *coef, int64_t i, double x0)
{
    const double x0_1 = coef[DD_COEF_MX1] != 0 || coef[DD_COEF_CY] != 0 ? a->x0_1[i] : 0;
    double y = a->x[i];
    if (coef[DD_COEF_CY] != 0) {
        y = (double)coef[DD_COEF_CY] * a->y_1[i] + coef[DD_COEF_C0] * x0 + coef[DD_COEF_C1] * x0_1;
        if (coef[DD_COEF_C2] != 0) y += (double)coef[DD_COEF_C2] * a->x0_2[i];
    }
    if (a->solver == DD_SOLVER_UNIPC) {
        a->x0_2[i] = (float)x0_1;
        a->y_1[i] = (float)y;
    }
    a->x0_1[i] = (float)x0;
    return coef[DD_COEF_MX0] * x0 + coef[DD_COEF_MXT] * y + coef[DD_COEF_MX1] * x0_1;
}

dd_status dd_ref_solve(const dd_exec *exec, const dd_solve_args *args)
{
    if (!dd_exec_ok(exec) || args == NULL || args->coef == NULL || args->x == NULL || args->out == NULL)
        return DD_ERR_ARG;
    if (!dd_solver_known(args->solver) || !dd_solve_kept_ok(args)) return DD_ERR_ARG;
    if (args->b <= 0 || args->c <= 0 || args->size <= 0) return DD_ERR_ARG;
    if (args->co != args->c && args->co != 2 * args->c) return DD_ERR_ARG;
    const float *coef = args->coef + (int64_t)*exec->step * DD_COEF_COUNT;
    const int noisy = coef[DD_COEF_SIGMA] != 0;
    if (noisy && args->noise == NULL) return DD_ERR_ARG;
    const int64_t n = (int64_t)args->c * args->size * args->size;
    for (int64_t b = 0; b < args->b; b++)
        for (int64_t i = 0; i < n; i++) {
            const float *eps = args->out + b * (n / args->c * args->co) + i;
            const double x = args->x[b * n + i], v = args->co == args->c ? -1 : (double)eps[n];
            const double x0 = coef[DD_COEF_X] * x - (double)coef[DD_COEF_E] * *eps;
            if (args->x0) args->x0[b * n + i] = (float)x0;
            const double noise = noisy ? (double)args->noise[b * n + i] : 0;
            args->x[b * n + i] = (float)(dd_solver_multistep(args->solver) ? next_multistep(args, coef, b * n + i, x0)
                                                                           : next(args, coef, x, x0, *eps, v, noise));
        }
    return DD_OK;
}
