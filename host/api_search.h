/* SPDX-License-Identifier: MIT
 * What the files of dydit_plan_search share. */
#ifndef DD_HOST_API_SEARCH_H
#define DD_HOST_API_SEARCH_H

#include "host/api_internal.h"
#include "host/exec/probe.h"
#include "host/plan/search.h"

#define DD_SEARCH_SENSITIVE 10 /* steps at which the sensitivity of the picture is measured */
#define DD_SEARCH_POINTS 6     /* budgets whose plans are measured for the report */
#define DD_SEARCH_FORA 5       /* intervals of FORA measured beside, from 2 */
#define DD_SEARCH_TRIES 4      /* at a plan that keeps to the budget, where token routers decide otherwise under it */

/* Sensitivities are measured where one step reuses and all others compute, which takes back some of its error. Where others
 * reuse as well they differ less from step to step, by how much is not known: tables are made with three powers of them, and of
 * the plans that these give the one is kept whose run has the least error. */
#define DD_SEARCH_POWERS 3

/* A plan that was run on the pictures of the search. */
typedef struct dd_search_point {
    double budget; /* asked for; 0: none */
    int interval;  /* of FORA; 0: a search's */
    double ratio;  /* executed over dense multiply-adds, without conditioning */
    double error;  /* squared difference of the latents over the square of the starting plan's */
} dd_search_point;

typedef struct dd_search {
    dydit_model *model;
    dydit_sample_options o;
    dydit_search_options s;
    dd_settings set;
    dd_plan *start;                          /* that the search begins with */
    dydit_result *ref;                       /* its run */
    dd_search_table table[DD_SEARCH_POWERS]; /* for one image; they differ in errors alone */
    dd_probe_out probe;
    double *sensitivity; /* [n_steps] as in dd_search_measured */
    double dense, fixed,
        least; /* multiply-adds of an image: of the complete model; of what is in no cell; share that is possible */
    dd_search_point chosen, curve[DD_SEARCH_POINTS], fora[DD_SEARCH_FORA];
    int n_curve, n_fora;
    int64_t passes, all_passes; /* forward passes: done, in all */
    dd_err *err;
} dd_search;

/* api_search_measure.c. Runs the starting plan: cells and costs. Then errors. */
dd_status dd_search_begin(dd_search *s);
dd_status dd_search_measure(dd_search *s);
/* Runs a plan on the same pictures: fills ratio and error. */
dd_status dd_search_run(dd_search *s, dd_plan *plan, dd_search_point *point);
/* Counts a pass for the caller; non-zero: cancel. */
int dd_search_pass(void *search);

/* api_search_report.c */
dd_status dd_search_report(const dd_search *s, char **text);

#endif
