/* SPDX-License-Identifier: MIT
 * What steps keep for later steps. A site has slots for what the plan's cells read again; they are buffers behind those
 * of the model, and live as long as the session. */
#ifndef DD_HOST_EXEC_SLOTS_H
#define DD_HOST_EXEC_SLOTS_H

#include <stdbool.h>

#include "host/plan/plan.h"

typedef enum dd_slot {
    DD_SLOT_BRANCH, /* [rows,S,D] result before the gate; with a list compact */
    DD_SLOT_CHANGE, /* the same times the gate of the step that stored it */
    DD_SLOT_OUTPUT, /* [rows,S,D] tokens after the site */
    DD_SLOT_IDX,    /* [rows,S] the rows that BRANCH and CHANGE hold, where a token router chose them */
    DD_SLOT_COUNT,  /* [1] and their number */
    DD_SLOTS
} dd_slot;

#define DD_SLOT_BIT(slot) (1u << (slot))
#define DD_SLOT_SUMS (DD_SLOT_BIT(DD_SLOT_BRANCH) | DD_SLOT_BIT(DD_SLOT_CHANGE)) /* what is added to x again */

/* What a step does at a site, with the whole plan in view. */
typedef struct dd_action {
    uint8_t op;    /* dd_cell_op; COMPUTE_STORE only where something is kept */
    uint8_t keeps; /* bits of the slots that a COMPUTE_STORE fills */
    bool routes;   /* the token router runs */
    bool listed;   /* what is computed, or was when it was stored, are the rows that a router chose */
    bool masked;   /* all rows were computed; the router's mask of this step says which of them get the result */
} dd_action;

typedef struct dd_actions {
    int n_steps, n_sites;
    dd_action *at;        /* [n_steps, n_sites] */
    unsigned char *slots; /* [n_sites] bits: slots that the site needs */
    bool staged;          /* BRANCH and CHANGE are of fewer bits than a GEMM writes: results get there by the sum */
} dd_actions;

/* Of a plan that dd_plan_validate has passed. A store that nobody reads is none, unless the step then has the structure of
 * others: a step that computes every site fills all slots whose contents are not needed any more, so that steps that
 * compute share a program. */
dd_status dd_actions_build(dd_actions *out, const dd_plan *plan, dd_err *err);
void dd_actions_free(dd_actions *a);

static inline const dd_action *dd_action_at(const dd_actions *a, int step, int site)
{
    return a->at + (int64_t)step * a->n_sites + site;
}

#endif
