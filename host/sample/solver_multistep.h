/* SPDX-License-Identifier: MIT
 * Coefficients of the linear multistep solvers, in the form of diffusers 0.30.3: order 2, x0 predicted, final sigma 0.
 *   dpmpp2m: DPM-Solver++(2M), midpoint (Lu et al. 2022, arXiv 2211.01095, algorithm 2)
 *   unipc:   UniPC-2, B2(h) = e^h - 1, predictor and corrector (Zhao et al. 2023, arXiv 2302.04867, algorithms 1 and 2)
 * docs/samplers.md derives the sums that the op `solve` forms. */
#ifndef DD_HOST_SAMPLE_SOLVER_MULTISTEP_H
#define DD_HOST_SAMPLE_SOLVER_MULTISTEP_H

#include <stdbool.h>

#include "host/sample/schedule.h"

/* Of the k-th step as executed, into row [DD_COEF_COUNT], of which all but X and E is 0 before. corrects: unipc. */
void dd_multistep_row(float *row, const dd_schedule *sch, int k, bool corrects);

#endif
