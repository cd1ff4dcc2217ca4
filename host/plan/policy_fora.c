/* SPDX-License-Identifier: MIT
 * FORA (arXiv 2407.01425): all branches are computed at every N-th step and reused, with the gates of the present step, in
 * between. Over a plan that other policies have filled: where a branch is computed, their masks stay. */
#include <stdio.h>

#include "host/plan/policy_reuse.h"

dd_status dd_policy_fora(dd_plan *plan, const dd_model *m, int interval, dd_reuse_tokens tokens, dd_err *err)
{
    dd_reuse r;
    char label[32];
    if (interval < 1 || interval > DD_PLAN_MAX_STEPS)
        return DD_FAIL(err, DD_ERR_ARG, "policy fora: interval %d is out of range: 1 to %d", interval,
                       DD_PLAN_MAX_STEPS);
    dd_status st = dd_reuse_begin(&r, plan, m, "fora", tokens, err);
    for (int s = 0; s < plan->n_steps && st == DD_OK; s++) {
        const bool fresh = (plan->n_steps - 1 - s) % interval == 0; /* the respaced index counts down to 0 */
        for (int i = 0; i < plan->n_sites; i++)
            *dd_reuse_op(&r, s, i) = fresh ? DD_CELL_COMPUTE_STORE : DD_CELL_REUSE_BRANCH;
    }
    snprintf(label, sizeof label, "fora:%d", interval);
    if (st == DD_OK) st = dd_reuse_apply(&r, plan, m, label, err);
    dd_reuse_fini(&r);
    return st;
}
