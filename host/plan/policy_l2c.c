/* SPDX-License-Identifier: MIT
 * Learning-to-Cache (arXiv 2406.01733), as its public code runs: steps of odd respaced index compute and store every
 * branch; at even ones a router that was trained once says which branches are computed and which reused. */
#include <stdio.h>

#include "host/plan/policy_reuse.h"
#include "host/plan/router_table.h"

/* Values per step of the routers that were released for U-ViT, which count steps the other way round. */
#define UVIT_SITES 58

static dd_status check_fit(const dd_router_table *t, const dd_plan *plan, const dd_model *m, const char *path,
                           dd_err *err)
{
    if (t->n_sites != m->n_sites)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: routers of %d values, but two for each of the %d blocks of %s are %d%s",
                       path, t->n_sites, m->cfg.depth, m->cfg.arch, m->n_sites,
                       t->n_sites == UVIT_SITES ? " (58 values have the routers for U-ViT, which is another network)"
                                                : "");
    if (t->n_steps != plan->n_steps)
        return DD_FAIL(err, DD_ERR_FORMAT,
                       "%s: routers of %d steps for %d sampling steps; they serve the number they were trained for",
                       path, t->n_steps, plan->n_steps);
    return DD_OK;
}

dd_status dd_policy_l2c(dd_plan *plan, const dd_model *m, const dd_router_table *t, const char *path,
                        dd_reuse_tokens tokens, dd_err *err)
{
    dd_reuse r;
    char label[32];
    DD_TRY(check_fit(t, plan, m, path, err));
    dd_status st = dd_reuse_begin(&r, plan, m, "l2c", tokens, err);
    for (int s = 0; s < plan->n_steps && st == DD_OK; s++) {
        const int index = plan->n_steps - 1 - s; /* respaced, counting down to 0 */
        for (int i = 0; i < plan->n_sites; i++)
            *dd_reuse_op(&r, s, i) = index % 2                      ? DD_CELL_COMPUTE_STORE
                                     : dd_router_keeps(t, index, i) ? DD_CELL_COMPUTE
                                                                    : DD_CELL_REUSE_BRANCH;
    }
    snprintf(label, sizeof label, "l2c:%.6g", t->threshold);
    if (st == DD_OK) st = dd_reuse_apply(&r, plan, m, label, err);
    dd_reuse_fini(&r);
    return st;
}
