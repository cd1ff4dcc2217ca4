/* SPDX-License-Identifier: MIT
 * Policies: each fills cells of a plan and nothing else. */
#ifndef DD_HOST_PLAN_POLICY_H
#define DD_HOST_PLAN_POLICY_H

#include "host/plan/plan.h"

/* DyDiT (arXiv 2410.03456): unit masks from the timestep routers, in float32 on the host, once per distinct timestep;
 * unit 0 always on; sites with a token router get ROUTED rows. A model without routers keeps its full cells.
 * logits: NULL, or [n_steps, n_sites, DD_MAX_UNITS] to receive the router logits (unit 0: 0). */
dd_status dd_policy_dydit(dd_plan *plan, const dd_model *model, float *logits, dd_err *err);

/* Widths made up for benchmarks: the same share of heads and MLP groups everywhere at one step, rising linearly from
 * noise to picture (DD_SYNTHETIC_LOW to _HIGH times the mean, within 1 unit and all), so that the executed MACs are
 * `ratio` of the complete model's as nearly as whole units allow. Conditioning is not counted (dd_cost_step).
 * tokens: the share that token routers are expected to keep; below 1 sites with a router get ROUTED rows. Which units
 * run differs from site to site; wider steps keep the units of narrower ones. ERR_ARG where no widths have the ratio. */
#define DD_SYNTHETIC_LOW 0.6
#define DD_SYNTHETIC_HIGH 1.4
dd_status dd_policy_synthetic(dd_plan *plan, const dd_model *model, double ratio, double tokens, dd_err *err);

#endif
