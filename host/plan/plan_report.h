/* SPDX-License-Identifier: MIT
 * Plans for people: a table per step and an SVG of heads and groups per timestep and block with the cost of every
 * step. */
#ifndef DD_HOST_PLAN_PLAN_REPORT_H
#define DD_HOST_PLAN_PLAN_REPORT_H

#include "host/plan/report.h"

/* Without measured shares of tokens ROUTED sites count all tokens, and the report says "upper bound". The caller frees the
 * text. */
dd_status dd_plan_table(const dd_report *r, char **out, dd_err *err);
dd_status dd_plan_svg(const dd_report *r, char **out, dd_err *err);

#endif
