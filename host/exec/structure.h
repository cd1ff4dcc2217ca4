/* SPDX-License-Identifier: MIT
 * The structure of a plan row: which nodes of the model run, after ops whose results nobody reads are removed. Steps of
 * equal structure share one program. */
#ifndef DD_HOST_EXEC_STRUCTURE_H
#define DD_HOST_EXEC_STRUCTURE_H

#include <stdbool.h>

#include "host/model/model.h"
#include "host/plan/plan.h"

/* One access of a node to a buffer. */
typedef struct dd_use {
    int buffer;
    bool read, write;
} dd_use;

#define DD_MAX_USES 6

/* Does the node's site work on routed rows at this step? */
bool dd_node_routed(const dd_plan *plan, const dd_node *node, int step);

/* Accesses of a node; returns how many (at most DD_MAX_USES). */
int dd_node_uses(const dd_model *model, const dd_node *node, bool routed, dd_use *uses);

/* True if both steps run the same ops on the same number of rows. */
bool dd_same_structure(const dd_plan *plan, int step_a, int step_b);

/* Marks the body nodes that run at a step: keep [body.n]. ERR_UNSUPPORTED names a cell that cannot run yet. */
dd_status dd_structure_select(const dd_model *model, const dd_plan *plan, int step, bool *keep, dd_err *err);

#endif
