// SPDX-License-Identifier: MIT
// Formula: x0 = X x - E eps; DDPM: x = MX0 x0 + MXT x + SIGMA exp(l/2) noise, l = w LOG_MAX + (1-w) LOG_MIN, w =
// (v+1)/2, LOG_MIN where the model has no variance channels; DDIM: x = MX0 x0 + ME eps + SIGMA noise; DPM-Solver++(2M) and
// UniPC: x = MX0 x0 + MXT y + MX1 x0_1 with y = CY y_1 + C0 x0 + C1 x0_1 + C2 x0_2 (x where CY is 0), then x0_2 = x0_1,
// x0_1 = x0, y_1 = y.
// Layout: latents [B,C,size,size] in place; out rows of co channels, eps first, then v.
// Thread mapping: a thread per element of an image, consecutive; grid y strides images; coefficients by the step.
// Budget: at most 40 registers, no shared memory, at least 6 blocks.
// Preconditions: co is C or 2C; what the solver keeps. noise where SIGMA is not 0: known on the device only, where NaN comes of it.
// Precision: float32, each operation rounded, in the order of the published sampling code.
#include "kernels/cuda/common.cuh"

#define THREADS 256

// Element i of a step of the linear multistep solvers: what is kept of it, and the next x.
static __device__ float next_multistep(const dd_solve_args &a, const float *f, int64_t i, float x, float x0)
{
    const float x0_1 = f[DD_COEF_MX1] != 0 || f[DD_COEF_CY] != 0 ? a.x0_1[i] : 0.0f;
    float y = x;
    if (f[DD_COEF_CY] != 0) {
        y = f[DD_COEF_CY] * a.y_1[i] + f[DD_COEF_C0] * x0 + f[DD_COEF_C1] * x0_1;
        if (f[DD_COEF_C2] != 0) y += f[DD_COEF_C2] * a.x0_2[i];
    }
    if (a.solver == DD_SOLVER_UNIPC) {
        a.x0_2[i] = x0_1;
        a.y_1[i] = y;
    }
    a.x0_1[i] = x0;
    return f[DD_COEF_MX0] * x0 + f[DD_COEF_MXT] * y + f[DD_COEF_MX1] * x0_1;
}

static __global__ void __launch_bounds__(THREADS) solve_kernel(dd_solve_args a, const int32_t *step)
{
    const int64_t plane = (int64_t)a.size * a.size, n = a.c * plane;
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) return;
    const float *f = a.coef + (int64_t)*step * DD_COEF_COUNT, sigma = f[DD_COEF_SIGMA];
    for (int64_t b = blockIdx.y; b < a.b; b += gridDim.y) {
        const float *out = a.out + b * a.co * plane + i, eps = out[0], x = a.x[b * n + i];
        const float x0 = f[DD_COEF_X] * x - f[DD_COEF_E] * eps;
        float noise = 0, mean, spread = 1.0f;
        if (sigma != 0) noise = a.noise ? a.noise[b * n + i] : __int_as_float(0x7fc00000);
        if (a.x0) a.x0[b * n + i] = x0;
        if (a.solver == DD_SOLVER_DPMPP2M || a.solver == DD_SOLVER_UNIPC) {
            mean = next_multistep(a, f, b * n + i, x, x0);
        } else if (a.solver == DD_SOLVER_DDIM) {
            mean = f[DD_COEF_MX0] * x0 + f[DD_COEF_ME] * eps;
        } else {
            const float w = a.co == a.c ? 0.0f : (out[n] + 1.0f) / 2.0f;
            const float l = w * f[DD_COEF_LOG_MAX] + (1.0f - w) * f[DD_COEF_LOG_MIN];
            mean = f[DD_COEF_MX0] * x0 + f[DD_COEF_MXT] * x;
            spread = expf(0.5f * l);
        }
        a.x[b * n + i] = sigma != 0 ? mean + sigma * (spread * noise) : mean;
    }
}

dd_status dd_cuda_solve(const dd_exec *exec, const dd_solve_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->coef == NULL || args->x == NULL || args->out == NULL) return DD_ERR_ARG;
    if (!dd_solver_known(args->solver) || !dd_solve_kept_ok(args)) return DD_ERR_ARG;
    if (args->b <= 0 || args->c <= 0 || args->size <= 0) return DD_ERR_ARG;
    if (args->co != args->c && args->co != 2 * args->c) return DD_ERR_ARG;
    const int64_t x = ceil_div((int64_t)args->c * args->size * args->size, THREADS);
    if (!grid_ok(x, 1)) return DD_ERR_ARG;
    const int y = args->b < 65535 ? args->b : 65535;
    solve_kernel<<<dim3((unsigned)x, (unsigned)y), THREADS, 0, stream_of(exec)>>>(*args, exec->step);
    return launched();
}
