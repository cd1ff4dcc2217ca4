/* SPDX-License-Identifier: MIT
 * Policies: each fills cells of a plan and nothing else. */
#ifndef DD_HOST_PLAN_POLICY_H
#define DD_HOST_PLAN_POLICY_H

#include "host/plan/plan.h"
#include "host/plan/router_table.h"

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

/* Which tokens get the stored result of an MLP whose tokens were routed. FROZEN: those that the router chose when it was
 * stored; no router runs. INTERSECT: of these the ones that it chooses now. FRESH: the ones that it chooses now; all tokens
 * are computed when the result is stored. */
typedef enum dd_reuse_tokens { DD_REUSE_FROZEN = 0, DD_REUSE_INTERSECT, DD_REUSE_FRESH } dd_reuse_tokens;

/* FORA (arXiv 2407.01425), over what other policies have filled: every computed cell is computed and kept at the first
 * step, where the respaced index (n_steps-1 .. 0) is a multiple of the interval and where guidance changes; elsewhere it
 * reuses its branch. Interval 1 changes no cell. ERR_ARG where the plan reuses results itself. */
dd_status dd_policy_fora(dd_plan *plan, const dd_model *model, int interval, dd_reuse_tokens tokens, dd_err *err);

/* Learning-to-Cache (arXiv 2406.01733), over what other policies have filled: steps of odd respaced index are computed and
 * kept; at even ones the cells that the routers keep are computed, the others reuse their branch, unless nothing is kept: at the
 * first step, and where guidance changed. path: of the routers, for sentences. ERR_FORMAT where they do not fit model and
 * steps; ERR_ARG as above. */
dd_status dd_policy_l2c(dd_plan *plan, const dd_model *model, const dd_router_table *routers, const char *path,
                        dd_reuse_tokens tokens, dd_err *err);
/* Feature inheritance (A-SDM, arXiv 2406.00210; the definition is ours) over what other policies have filled: mode=delta|output,
 * sites=blocks.2-5+blocks.7.mlp (default: blocks, all of them), and the schedule of policy_steps.h says which steps compute
 * them; at the others they inherit. The first step computes, and so does one where guidance changes. ERR_ARG names what is
 * wrong, or a plan that reuses results itself. */
struct dd_policy_values;
dd_status dd_policy_inherit(dd_plan *plan, const dd_model *model, struct dd_policy_values *values, dd_err *err);

/* What a user writes, "fora:interval=3"; "" asks for nothing. tokens: "" or "frozen", "intersect", "fresh". Applied last. ERR_ARG names what is wrong. */
dd_status dd_policy_named(dd_plan *plan, const dd_model *model, const char *policy, const char *tokens, dd_err *err);

/* What is to be said where such a policy goes over this plan, NULL: nothing. */
const char *dd_policy_remark(const dd_plan *plan, const char *policy);

#endif
