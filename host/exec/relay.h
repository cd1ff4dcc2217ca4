/* SPDX-License-Identifier: MIT
 * A run of one or two weight sets: a session for each, of which every step has one. Where the weights change, latents and
 * what the solver keeps go over; what steps keep for later steps does not. */
#ifndef DD_HOST_EXEC_RELAY_H
#define DD_HOST_EXEC_RELAY_H

#include "host/exec/session.h"

/* A weight set of a run. spec.plan is its part of the plan. */
typedef struct dd_leg {
    dd_run_spec spec;
    const dd_weight_store *weights;
} dd_leg;

typedef struct dd_relay {
    const dd_plan *plan;
    dd_session *session[DD_WEIGHT_SETS];
    int n;
    int runs; /* the one that the latents are in */
    dd_program handover;
    dd_op ops[2];
} dd_relay;

/* n: 1, or 2 where leg[0].spec.plan has another part. All have the same latents, solver and images. */
dd_status dd_relay_open(dd_relay *out, const dd_leg *leg, int n, dd_backend *be, dd_err *err);
void dd_relay_close(dd_relay *r);

static inline dd_session *dd_relay_at(const dd_relay *r, int step)
{
    return r->session[r->n > 1 ? r->plan->rows[step].weight_set : 0];
}

/* As for a session; latents are put into that of the first step. */
dd_status dd_relay_batch(dd_relay *r, int images, const int *labels, dd_err *err);
dd_status dd_relay_seed(dd_relay *r, int64_t first, dd_err *err);

/* Before anything of a step: hands over to its session, if that is another one. */
dd_status dd_relay_enter(dd_relay *r, int step, dd_err *err);

/* Sums over the sessions. */
size_t dd_relay_bytes(const dd_relay *r);
dd_graphs dd_relay_graphs(const dd_relay *r);

#endif
