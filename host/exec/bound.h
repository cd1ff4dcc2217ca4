/* SPDX-License-Identifier: MIT
 * Bounds by data sheet: no op can be done before its bytes have passed the memory, its MACs the arithmetic units, and
 * its kernels their launches. The largest of the three is the op's bound; ops of a step run one after the other, so
 * their bounds add up. A bound is no measurement and no forecast.
 *
 * It is one for execution op by op: activations that stay in a cache from one op to the next would pass the memory less
 * often than counted here. */
#ifndef DD_HOST_EXEC_BOUND_H
#define DD_HOST_EXEC_BOUND_H

#include "host/exec/profile.h"
#include "host/exec/run_spec.h"
#include "host/exec/work.h"
#include "host/plan/devices.h"

typedef enum dd_binder { DD_BY_MEMORY, DD_BY_MACS, DD_BY_LAUNCH, DD_BINDER_COUNT } dd_binder;

const char *dd_binder_name(dd_binder binder); /* "memory" */

typedef struct dd_bound_terms {
    const dd_sheet *sheet;
    double launch_s; /* assumed: a kernel begins no earlier than this after the one before it */
    double tokens;   /* assumed share of tokens that routers keep; 1: all */
} dd_bound_terms;

typedef struct dd_bound_sum {
    dd_work work;
    double by[DD_BINDER_COUNT]; /* seconds of bound, by what binds; their sum is the bound */
} dd_bound_sum;

/* One batch of spec->max_images images with different labels, over all steps of the plan. */
typedef struct dd_bound {
    dd_bound_sum kind[DD_KIND_COUNT], total;
} dd_bound;

double dd_bound_seconds(const dd_bound_sum *s);
dd_binder dd_bound_binder(const dd_bound_sum *s); /* what binds for the largest part */

/* Bound of one op. */
dd_bound_sum dd_bound_op(const dd_work *work, const dd_bound_terms *terms);

/* Adds the steps of the plan's weight set to *sum. ops: of a backend, for what it lacks. spec->coefs is not NULL. */
dd_status dd_bound_add(dd_bound *sum, const dd_run_spec *spec, const dd_ops *ops, const dd_bound_terms *terms,
                       dd_err *err);

#endif
