/* SPDX-License-Identifier: MIT
 * Which steps of a run a policy computes, from what users write: schedule=uniform|start|end with stride=R, or a list of
 * steps, "0+7+14-16". */
#ifndef DD_HOST_PLAN_POLICY_STEPS_H
#define DD_HOST_PLAN_POLICY_STEPS_H

#include <stdbool.h>

#include "host/plan/policy_values.h"

/* computes [n_steps], in order of execution; the first step always computes. With n = ceil(n_steps / R), step k (0 .. n-1) of
 * those that compute is
 *   uniform: kR;   start: floor(n_steps (k/n)^2), dense at first;   end: the distances of `start` in the opposite order;
 * moved on where the one before it is there already. ERR_ARG names policy and value. */
dd_status dd_policy_steps(bool *computes, int n_steps, dd_policy_values *v, dd_err *err);

/* "3" or "3-7" at *text, which moves behind it; false: no such thing, or 7-3. */
bool dd_policy_range(const char **text, int *first, int *last);

#endif
