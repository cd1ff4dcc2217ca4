/* SPDX-License-Identifier: MIT
 * Policies: each fills cells of a plan and nothing else. */
#ifndef DD_HOST_PLAN_POLICY_H
#define DD_HOST_PLAN_POLICY_H

#include "host/plan/plan.h"

/* DyDiT (arXiv 2410.03456): unit masks from the timestep routers, in float32 on the host, once per distinct timestep;
 * unit 0 always on; sites with a token router get ROUTED rows. A model without routers keeps its full cells.
 * logits: NULL, or [n_steps, n_sites, DD_MAX_UNITS] to receive the router logits (unit 0: 0). */
dd_status dd_policy_dydit(dd_plan *plan, const dd_model *model, float *logits, dd_err *err);

#endif
