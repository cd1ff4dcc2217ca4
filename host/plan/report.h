/* SPDX-License-Identifier: MIT
 * What the plan's table and picture share: counts per step and block, and numbers as text that is the same in every
 * locale. For the reports of plan/ and the bounds of exec/. */
#ifndef DD_HOST_PLAN_REPORT_H
#define DD_HOST_PLAN_REPORT_H

#include <stdbool.h>

#include "host/plan/cost.h"
#include "host/plan/plan.h"

#define DD_NUMBER_TEXT 32

typedef struct dd_report dd_report;
struct dd_report {
    const dd_plan *plan;
    const dd_model *model;
    const double *kept;     /* [n_steps, n_sites] or NULL: token routing is not known */
    const dd_report *other; /* of plan->other; NULL: there is none */
};

/* The one whose model runs at a step. */
static inline const dd_report *dd_report_at(const dd_report *r, int step)
{
    return r->other && dd_plan_owns(r->other->plan, step) ? r->other : r;
}

typedef enum dd_quantity {
    DD_HEADS,  /* units of attention sites */
    DD_GROUPS, /* units of MLP sites */
    DD_TOKENS  /* tokens of sites with a token router */
} dd_quantity;

typedef struct dd_tally {
    int sites, computed, reused; /* what is neither computed nor reused is skipped, or nobody reads it */
    int active, total;           /* units */
    double tokens;               /* sum of the computed sites' shares of tokens */
} dd_tally;

/* Counts over the sites of one block (-1: all blocks) at one step. */
dd_tally dd_report_tally(const dd_report *r, dd_quantity what, int step, int block);
/* Active units or kept tokens of a tally, 0..1 of all; sites that reuse or skip count as 0 active units. */
double dd_tally_share(const dd_tally *t, dd_quantity what);

/* Cost of a step for one image: one row, two where guided. */
dd_cost dd_report_cost(const dd_report *r, int step);
dd_cost dd_report_cost_run(const dd_report *r);
/* The adaLN vectors of all steps, for one label. */
dd_cost dd_report_cond_run(const dd_report *r);
/* executed / dense, 0 where nothing is to be computed. */
double dd_cost_ratio(dd_cost c);

/* Are the models those of the plan? */
dd_status dd_report_check(const dd_report *r, dd_err *err);

/* Some cell has rows that a token router chooses. */
bool dd_report_routed(const dd_report *r);

/* Each fills text [DD_NUMBER_TEXT] and returns it. */
char *dd_text_fixed(char *text, double v, int decimals); /* "-0.50" */
char *dd_text_timestep(char *text, float t);             /* "981", "62.44" */
char *dd_text_percent(char *text, double share);         /* "57.3 %" */
char *dd_text_macs(char *text, uint64_t macs);           /* "118.7 G": four digits, a unit or nothing after the space */

#endif
