/* SPDX-License-Identifier: MIT
 * Formula: x0 = X x - E eps; DDPM: x = MX0 x0 + MXT x + SIGMA exp(l/2) noise, l = w LOG_MAX + (1-w) LOG_MIN, w =
 * (v+1)/2, LOG_MIN where the model has no variance channels; DDIM: x = MX0 x0 + ME eps + SIGMA noise; DPM-Solver++(2M) and
 * UniPC: x = MX0 x0 + MXT y + MX1 x0_1 with y = CY y_1 + C0 x0 + C1 x0_1 + C2 x0_2 (x where CY is 0), then x0_2 = x0_1,
 * x0_1 = x0, y_1 = y.
 * Layout: latents [B,C,size,size] in place; out rows of co channels, eps first, then v. Threads: the images. Budget:
 * none.
 * Preconditions: co is C or 2C; noise where SIGMA is not 0; what the solver keeps.
 * Precision: float32, each operation rounded, in the order of the published sampling code. */
#include <math.h>

#include "kernels/cpu/work.h"

typedef struct job {
    const dd_solve_args *a;
    const float *coef;
} job;

/* Element i of a step of the linear multistep solvers: what is kept of it, and the next x. */
static float next_multistep(const dd_solve_args *a, const float *f, int64_t i, float x0)
{
    const float x0_1 = f[DD_COEF_MX1] != 0 || f[DD_COEF_CY] != 0 ? a->x0_1[i] : 0.0f;
    float y = a->x[i];
    if (f[DD_COEF_CY] != 0) {
        y = f[DD_COEF_CY] * a->y_1[i] + f[DD_COEF_C0] * x0 + f[DD_COEF_C1] * x0_1;
        if (f[DD_COEF_C2] != 0) y += f[DD_COEF_C2] * a->x0_2[i];
    }
    if (a->solver == DD_SOLVER_UNIPC) {
        a->x0_2[i] = x0_1;
        a->y_1[i] = y;
    }
    a->x0_1[i] = x0;
    return f[DD_COEF_MX0] * x0 + f[DD_COEF_MXT] * y + f[DD_COEF_MX1] * x0_1;
}

static void solve_image(void *arg, int item, int thread)
{
    (void)thread;
    const job *j = arg;
    const dd_solve_args *a = j->a;
    const float *f = j->coef, sigma = f[DD_COEF_SIGMA];
    const int64_t plane = (int64_t)a->size * a->size, n = a->c * plane;
    const float *eps = a->out + item * a->co * plane, *v = a->co == a->c ? NULL : eps + n;
    const float *noise = sigma != 0 ? a->noise + item * n : NULL;
    float *x = a->x + item * n, *x0_out = a->x0 ? a->x0 + item * n : NULL;
    for (int64_t i = 0; i < n; i++) {
        const float x0 = f[DD_COEF_X] * x[i] - f[DD_COEF_E] * eps[i];
        if (x0_out) x0_out[i] = x0;
        if (dd_solver_multistep(a->solver)) {
            x[i] = next_multistep(a, f, item * n + i, x0);
            continue;
        }
        if (a->solver == DD_SOLVER_DDIM) {
            const float mean = f[DD_COEF_MX0] * x0 + f[DD_COEF_ME] * eps[i];
            x[i] = noise ? mean + sigma * noise[i] : mean;
            continue;
        }
        const float mean = f[DD_COEF_MX0] * x0 + f[DD_COEF_MXT] * x[i];
        const float w = v ? (v[i] + 1.0f) / 2.0f : 0.0f;
        const float l = w * f[DD_COEF_LOG_MAX] + (1.0f - w) * f[DD_COEF_LOG_MIN];
        x[i] = noise ? mean + sigma * (expf(0.5f * l) * noise[i]) : mean;
    }
}

dd_status dd_cpu_solve(const dd_exec *exec, const dd_solve_args *args)
{
    if (!dd_cpu_exec_ok(exec, 0) || args == NULL) return DD_ERR_ARG;
    if (args->coef == NULL || args->x == NULL || args->out == NULL) return DD_ERR_ARG;
    if (!dd_solver_known(args->solver) || !dd_solve_kept_ok(args)) return DD_ERR_ARG;
    if (args->b <= 0 || args->c <= 0 || args->size <= 0) return DD_ERR_ARG;
    if (args->co != args->c && args->co != 2 * args->c) return DD_ERR_ARG;
    job j = {.a = args, .coef = args->coef + (int64_t)*exec->step * DD_COEF_COUNT};
    if (j.coef[DD_COEF_SIGMA] != 0 && args->noise == NULL) return DD_ERR_ARG;
    return dd_cpu_for(exec, args->b, solve_image, &j);
}
