/* SPDX-License-Identifier: MIT
 * MACs of a plan (one MAC = one multiply-add; published "FLOPs" of DiT are MACs). */
#ifndef DD_HOST_PLAN_COST_H
#define DD_HOST_PLAN_COST_H

#include "host/plan/plan.h"

typedef struct dd_cost {
    uint64_t dense;    /* the complete model for the same rows, routers not counted */
    uint64_t executed; /* what runs: active units and tokens, plus routers */
} dd_cost;

/* Cost of one step for `rows` rows. kept: mean share of tokens kept per site [n_sites] in 0..1 for ROUTED cells
 * (measured by a run), or NULL: all tokens. Conditioning (adaLN) is not included, see dd_cost_cond. */
dd_cost dd_cost_step(const dd_plan *plan, const dd_model *model, int step, int64_t rows, const double *kept);

/* What a cell runs of it for one row. */
uint64_t dd_cost_cell(const dd_plan *plan, const dd_model *model, int step, int site, const double *kept);

/* Tokens of one row that are kept. A share that is no number in 0..1 counts as all tokens: an upper bound. */
int64_t dd_cost_tokens(int64_t tokens, double share);

/* Conditioning of one step, the vectors that its cells read. A run computes a few more where of two steps that it takes
 * together neither reads all that the other one does. labels: distinct labels, null included. */
dd_cost dd_cost_cond(const dd_plan *plan, const dd_model *model, int step, int64_t labels);

#endif
