/* SPDX-License-Identifier: MIT
 * What policies that keep and reuse results have in common: a table says what each cell is to do, and is laid over the
 * plan that other policies have filled. */
#ifndef DD_HOST_PLAN_POLICY_REUSE_H
#define DD_HOST_PLAN_POLICY_REUSE_H

#include "host/plan/policy.h"

typedef struct dd_reuse {
    const char *policy; /* for sentences: "fora"; borrowed */
    dd_reuse_tokens tokens;
    int n_sites;
    uint8_t
        *ops; /* [n_steps, n_sites] dd_cell_op: COMPUTE; COMPUTE_STORE, fill the slot; REUSE_*, of the latest fill */
} dd_reuse;

/* A table of COMPUTE for this plan. ERR_ARG, naming policy and plan, where the plan reuses results itself. */
dd_status dd_reuse_begin(dd_reuse *r, const dd_plan *plan, const dd_model *model, const char *policy,
                         dd_reuse_tokens tokens, dd_err *err);
void dd_reuse_fini(dd_reuse *r);

static inline uint8_t *dd_reuse_op(const dd_reuse *r, int step, int site)
{
    return r->ops + (int64_t)step * r->n_sites + site;
}

/* Lays the table over the plan. Computed cells keep their units and tokens. A reuse without a fill since guidance or the weight set
 * last changed (what is stored does not fit) computes, and fills; a fill that nobody reads stores nothing. Cells that skip stay so, and
 * where the filling step skips, so do those that would reuse it. label ("fora:3") is added to the plan's name. */
dd_status dd_reuse_apply(const dd_reuse *r, dd_plan *plan, const dd_model *model, const char *label, dd_err *err);

#endif
