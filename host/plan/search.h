/* SPDX-License-Identifier: MIT
 * Which branches are reused at which steps, under a budget of multiply-adds: a method of this project. Errors come from
 * outside (host/exec/probe.h); here is the choice alone.
 *
 * A refresh is a step at which every site computes and stores. Between two refreshes a site reuses what it stored at the one
 * before, or computes for this step alone: what it computes then has read the errors of others, and is not worth keeping. */
#ifndef DD_HOST_PLAN_SEARCH_H
#define DD_HOST_PLAN_SEARCH_H

#include "host/plan/plan.h"

/* Age: steps since the refresh. What is older than this is not reused. */
#define DD_SEARCH_MAX_AGE 16

typedef struct dd_search_table {
    int n_steps, n_sites;
    double *error;          /* [n_steps, n_sites, DD_SEARCH_MAX_AGE] that reuse adds, age 1 first; not negative */
    uint64_t *macs;         /* [n_steps, n_sites] that computing costs; 0: the plan leaves the site out */
    unsigned char *refresh; /* [n_steps] 1: the step must be one */
} dd_search_table;

typedef struct dd_search_choice {
    unsigned char *refresh; /* [n_steps] */
    unsigned char *reuse;   /* [n_steps, n_sites] */
} dd_search_choice;

dd_status dd_search_choice_alloc(dd_search_choice *out, const dd_search_table *t, dd_err *err);
void dd_search_choice_free(dd_search_choice *c);

/* search_table.c. Costs of a plan without reuse (ERR_ARG names the first cell that reuses); errors are 0. kept: share of
 * tokens [n_steps, n_sites] that token routers keep, or NULL: all. The first step is a refresh, and every step where guidance
 * changes, since the number of rows does. */
dd_status dd_search_table_build(dd_search_table *out, const dd_plan *plan, const dd_model *model, const double *kept,
                                dd_err *err);
void dd_search_table_free(dd_search_table *t);

/* What was measured of reuse; a negative number: not measured. */
typedef struct dd_search_measured {
    int n_ages;
    const int *age;      /* [n_ages] ascending, at most DD_SEARCH_MAX_AGE */
    double *error;       /* [n_steps, n_sites, n_ages] of the output of a step, where one site reuses */
    double *joint;       /* [n_steps, n_ages] likewise, where all do */
    double *sensitivity; /* [n_steps] error of the finished picture over that of the output of the step */
} dd_search_measured;

/* search_errors.c. Fills t->error, and in m what was not measured. */
void dd_search_errors(dd_search_table *t, const dd_search_measured *m);

/* The plan with the cells of a choice replaced by REUSE_BRANCH, and stores where they are needed. Of tokens that were routed,
 * those of the refresh get the result. budget: for the name; 0: none. */
dd_status dd_search_apply(dd_plan **out, const dd_plan *start, const dd_model *model, const dd_search_choice *choice,
                          double budget, dd_err *err);

/* search.c. Multiply-adds of the cells that compute (NULL: of all), errors of those that reuse. */
uint64_t dd_search_macs(const dd_search_table *t, const dd_search_choice *choice);
double dd_search_error(const dd_search_table *t, const dd_search_choice *choice);

/* The least sum of errors plus `price` times multiply-adds. */
dd_status dd_search_price(const dd_search_table *t, double price, const dd_search_choice *out, dd_err *err);

/* At most `budget` multiply-adds with little error: the choice at the lowest price that keeps to it, then, while anything
 * fits, the cell computes again that saves most error per multiply-add. *least: what a choice costs at least; where that is
 * above the budget, out is the cheapest one. */
dd_status dd_search_choose(const dd_search_table *t, uint64_t budget, const dd_search_choice *out, uint64_t *least,
                           dd_err *err);

#endif
