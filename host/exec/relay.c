/* SPDX-License-Identifier: MIT
 * Sessions that follow each other over one set of latents. */
#include "host/exec/relay.h"

#include <string.h>

dd_status dd_relay_open(dd_relay *r, const dd_leg *leg, int n, dd_backend *be, dd_err *err)
{
    *r = (dd_relay){.plan = leg[0].spec.plan, .n = n};
    if (n > 1 && !be->ops->copy) return DD_FAIL(err, DD_ERR_UNSUPPORTED, "switch: backend %s has no op copy", be->name);
    for (int i = 0; i < n; i++) {
        const dd_status st = dd_session_open(&r->session[i], &leg[i].spec, be, leg[i].weights, err);
        if (st == DD_OK) continue;
        dd_relay_close(r);
        return st;
    }
    return DD_OK;
}

void dd_relay_close(dd_relay *r)
{
    for (int i = 0; i < DD_WEIGHT_SETS; i++) dd_session_close(&r->session[i]);
}

dd_status dd_relay_batch(dd_relay *r, int images, const int *labels, dd_err *err)
{
    r->runs = r->n > 1 ? r->plan->rows[0].weight_set : 0;
    for (int i = 0; i < r->n; i++) DD_TRY(dd_session_batch(r->session[i], images, labels, err));
    return DD_OK;
}

/* All of them know the streams: which numbers a step draws follows from its index. */
dd_status dd_relay_seed(dd_relay *r, int64_t first, dd_err *err)
{
    for (int i = 0; i < r->n; i++) DD_TRY(dd_session_seed(r->session[i], first, err));
    return DD_OK;
}

static void add_copy(dd_relay *r, const dd_session *from, const dd_session *to, dd_io what)
{
    const size_t bytes = dd_session_io_bytes(from, what, 0);
    if (bytes == 0) return;
    r->ops[r->handover.n_ops++] = (dd_op){
        .id = DD_OP_copy,
        .site = -1,
        .weight = -1,
        .label = "switch",
        .args.copy = {.dst = dd_session_io(to, what), .src = dd_session_io(from, what), .bytes = bytes}};
}

dd_status dd_relay_enter(dd_relay *r, int step, dd_err *err)
{
    const dd_session *from = r->session[r->runs], *to = dd_relay_at(r, step);
    dd_backend *be = dd_session_backend(to);
    if (from == to) return DD_OK;
    r->handover = (dd_program){.ops = r->ops};
    add_copy(r, from, to, DD_IO_LATENTS);
    add_copy(r, from, to, DD_IO_KEPT_X);
    r->runs = r->plan->rows[step].weight_set;
    return be->run(be, &r->handover, step, err);
}

size_t dd_relay_bytes(const dd_relay *r)
{
    size_t sum = 0;
    for (int i = 0; i < r->n; i++) sum += dd_session_bytes(r->session[i]);
    return sum;
}

dd_graphs dd_relay_graphs(const dd_relay *r)
{
    dd_graphs sum = {0};
    for (int i = 0; i < r->n; i++) {
        const dd_graphs g = dd_session_graphs(r->session[i]);
        sum.programs += g.programs;
        sum.live += g.live;
        sum.nodes += g.nodes;
        sum.recorded += g.recorded;
    }
    return sum;
}
