/* SPDX-License-Identifier: MIT
 * Solver coefficients per step, for the op `solve` (kernels/ops.h). */
#ifndef DD_HOST_SAMPLE_SOLVER_H
#define DD_HOST_SAMPLE_SOLVER_H

#include "host/sample/schedule.h"
#include "kernels/ops.h"

/* coef: [n, DD_COEF_COUNT], row k for the k-th step as executed (schedule index n-1-k). Table entries are rounded from
 * float64 to float32 before use, as upstream does, for ddpm and ddim.
 * ddpm: posterior mean of (x0, x), learned-range log variance between posterior_log_var and log beta; without learned
 *       variance (learn_sigma 0) the fixed large variance of upstream: log of (posterior_var[1], beta[1:]).
 * ddim: Song et al. 2020, arXiv 2010.02502, eq. 12, with eta.
 * dpmpp2m, unipc: solver_multistep.h; eta is 0. */
dd_status dd_solver_coefs(float *coef, const dd_schedule *sch, dd_solver solver, double eta, int learn_sigma,
                          dd_err *err);

#endif
