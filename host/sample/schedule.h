/* SPDX-License-Identifier: MIT
 * The diffusion process of DiT: 1000 linear betas from 1e-4 to 0.02 in float64, respaced to fewer steps
 * (Nichol & Dhariwal 2021, arXiv 2102.09672; table definitions: Ho et al. 2020, arXiv 2006.11239, eq. 7). */
#ifndef DD_HOST_SAMPLE_SCHEDULE_H
#define DD_HOST_SAMPLE_SCHEDULE_H

#include "host/base/status.h"

#define DD_TRAIN_STEPS 1000

/* One entry per step, from the least noisy on (index 0 is the last step executed). */
typedef struct dd_schedule {
    int n;
    int timestep[DD_TRAIN_STEPS]; /* original timestep, 0..999 */
    double beta[DD_TRAIN_STEPS];
    double alpha_bar[DD_TRAIN_STEPS];
    double alpha_bar_prev[DD_TRAIN_STEPS]; /* 1 at index 0 */
    double posterior_var[DD_TRAIN_STEPS];
    double posterior_log_var[DD_TRAIN_STEPS]; /* entry 0 repeats entry 1 */
    double posterior_mean_x0[DD_TRAIN_STEPS];
    double posterior_mean_xt[DD_TRAIN_STEPS];
} dd_schedule;

/* spec: a number of steps, "250", or "ddimN" for a whole stride that gives exactly N. 2 to 1000 steps.
 * Fractional positions accumulate in float64 and are rounded half to even. ERR_ARG names spec. */
dd_status dd_schedule_build(dd_schedule *out, const char *spec, dd_err *err);

/* The timesteps of the multistep solvers of diffusers (0.30.3, timestep_spacing): spec is "20" or "linspace20": 20 of the
 * 21 positions that divide 0..999 evenly, without 0; "leading20": whole strides of floor(1000 / 21) from one stride on;
 * "trailing20": every 1000 / 20 steps back from 999. 2 to 999 steps. ERR_ARG names spec. */
dd_status dd_schedule_build_multistep(dd_schedule *out, const char *spec, dd_err *err);

#endif
