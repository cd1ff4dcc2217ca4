/* SPDX-License-Identifier: MIT
 * DyDiT (arXiv 2410.03456): which heads and channel groups run depends on the timestep alone, so it is decided here,
 * before sampling. Decisions are those of float32 logits whatever precision the run has. */
#include "host/plan/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/model/temb.h"

typedef struct work {
    dd_plan *plan;
    const dd_model *model;
    float *temb;   /* [D] */
    float *hidden; /* [D] */
    float *logits; /* [n_steps, n_sites, DD_MAX_UNITS] or NULL */
} work;

/* Logit of unit u (1..): summed in double, so that no order of summation can flip a decision, then float32. */
static float unit_logit(const dd_step_router *r, const float *temb, int u, int d)
{
    const float *w = r->weight + (int64_t)(u - 1) * d;
    double s = 0;
    for (int j = 0; j < d; j++) s += (double)w[j] * temb[j];
    return (float)(s + r->bias[u - 1]);
}

static dd_status route_site(const work *w, int step, const dd_step_router *r, dd_err *err)
{
    const dd_site *site = &w->model->sites[r->site];
    float *logits = w->logits;
    if (logits) logits += ((int64_t)step * w->model->n_sites + r->site) * DD_MAX_UNITS;
    uint64_t units = 1; /* unit 0 has no logit */
    for (int u = 1; u < site->units; u++) {
        const float logit = unit_logit(r, w->temb, u, w->model->cfg.hidden_size);
        if (!dd_f32_finite(logit))
            return DD_FAIL(err, DD_ERR_FORMAT,
                           "%s: the timestep router gives no finite logit for unit %d at timestep %g", site->name, u,
                           (double)w->plan->rows[step].timestep);
        if (dd_logit_on(logit)) units |= (uint64_t)1 << u;
        if (logits) logits[u] = logit;
    }
    dd_plan_cell(w->plan, step, r->site)->units = units;
    return DD_OK;
}

/* Decisions of an earlier step at the same timestep. */
static void repeat_step(const work *w, int step, int same)
{
    const dd_model *m = w->model;
    const int64_t row = (int64_t)m->n_sites * DD_MAX_UNITS;
    for (int i = 0; i < m->n_step_routers; i++) {
        const int site = m->step_routers[i].site;
        dd_plan_cell(w->plan, step, site)->units = dd_plan_cell(w->plan, same, site)->units;
    }
    if (w->logits) memcpy(w->logits + step * row, w->logits + same * row, (size_t)row * sizeof *w->logits);
}

static dd_status route_step(const work *w, int step, dd_err *err)
{
    const float t = w->plan->rows[step].timestep;
    for (int s = 0; s < step; s++)
        if (dd_f32_bits(w->plan->rows[s].timestep) == dd_f32_bits(t)) {
            repeat_step(w, step, s);
            return DD_OK;
        }
    dd_temb(w->model, t, w->temb, w->hidden);
    for (int i = 0; i < w->model->n_step_routers; i++) DD_TRY(route_site(w, step, &w->model->step_routers[i], err));
    return DD_OK;
}

static void route_tokens(dd_plan *plan, const dd_model *m)
{
    for (int s = 0; s < plan->n_steps; s++)
        for (int i = 0; i < m->n_sites; i++) {
            if (m->sites[i].router < 0) continue;
            dd_cell *c = dd_plan_cell(plan, s, i);
            c->rows = DD_ROWS_ROUTED;
            c->router = (int16_t)m->sites[i].router;
        }
}

dd_status dd_policy_dydit(dd_plan *plan, const dd_model *m, float *logits, dd_err *err)
{
    DD_TRY(dd_plan_check_model(plan, m, "plan", err));
    const size_t d = (size_t)m->cfg.hidden_size;
    if (logits) {
        const size_t n = (size_t)plan->n_steps * (size_t)m->n_sites * DD_MAX_UNITS;
        for (size_t i = 0; i < n; i++) logits[i] = 0;
    }
    snprintf(plan->policy, sizeof plan->policy, "%s", m->n_step_routers > 0 || m->n_routers > 0 ? "dydit" : "dense");
    if (m->n_step_routers > 0) {
        float *room = malloc(2 * d * sizeof *room);
        if (!room) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a timestep embedding of %zu values", d);
        const work w = {plan, m, room, room + d, logits};
        dd_status st = DD_OK;
        for (int s = 0; s < plan->n_steps && st == DD_OK; s++) st = route_step(&w, s, err);
        free(room);
        DD_TRY(st);
    }
    route_tokens(plan, m);
    return DD_OK;
}
