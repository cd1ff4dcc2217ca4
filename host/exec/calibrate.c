/* SPDX-License-Identifier: MIT
 * Scores of sampled tokens, quantiles, biases. */
#include "host/exec/calibrate.h"

#include <stdlib.h>
#include <string.h>

#define TOKENS_PER_STEP 128 /* sampled, per router: 1152 x 72 multiply-adds each in DyDiT-XL */
#define SCORED_STEPS 6

/* The parts of one router, float32 on the host. */
typedef struct router {
    const dd_node *node;
    float *w1;                   /* [J,D] */
    const float *b1, *w2, *bias; /* [J], [J], [1] */
} router;

dd_status dd_calibration_init(dd_calibration *c, const dd_model *m, double share, int n_steps, dd_err *err)
{
    *c = (dd_calibration){.share = share, .every = (n_steps + SCORED_STEPS - 1) / SCORED_STEPS};
    c->cap = TOKENS_PER_STEP * SCORED_STEPS;
    c->scores = calloc((size_t)m->n_routers, sizeof *c->scores);
    c->n_scores = calloc((size_t)m->n_routers, sizeof *c->n_scores);
    if (!c->scores || !c->n_scores) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for token scores");
    for (int i = 0; i < m->n_routers; i++)
        if (!(c->scores[i] = malloc((size_t)c->cap * sizeof **c->scores)))
            return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for token scores");
    return DD_OK;
}

void dd_calibration_fini(dd_calibration *c, const dd_model *m)
{
    for (int i = 0; c->scores && i < m->n_routers; i++) free(c->scores[i]);
    free(c->scores);
    free(c->n_scores);
    *c = (dd_calibration){0};
}

static const dd_node *route_node(const dd_model *m, int site)
{
    for (int i = 0; i < m->body.n; i++)
        if (m->body.at[i].op == DD_OP_route && m->body.at[i].site == site) return &m->body.at[i];
    return NULL;
}

static dd_status open_router(router *r, const dd_model *m, int site, dd_err *err)
{
    r->node = route_node(m, site);
    if (!r->node) return DD_FAIL(err, DD_ERR_INTERNAL, "%s has no token router", m->sites[site].name);
    const dd_weight_desc *w = &m->weights[r->node->weight].desc;
    r->b1 = m->consts[r->node->bias].data;
    r->w2 = m->consts[r->node->aux[0]].data;
    r->bias = m->consts[r->node->aux[1]].data;
    r->w1 = malloc((size_t)(w->n * w->k) * sizeof *r->w1);
    if (!r->w1) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the weights of a token router");
    return dd_tensors_read_f32(m->file, dd_tensors_find(m->file, w->name), r->w1, err);
}

/* Four sums: one alone would wait for itself. */
static float dot(const float *a, const float *b, int n)
{
    float s[4] = {0};
    int i = 0;
    for (; i + 4 <= n; i += 4)
        for (int j = 0; j < 4; j++) s[j] += a[i + j] * b[i + j];
    for (; i < n; i++) s[0] += a[i] * b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

static float score(const router *r, const float *x, int j, int d)
{
    float s = 0;
    for (int i = 0; i < j; i++) {
        const float h = dot(r->w1 + (int64_t)i * d, x, d) + r->b1[i];
        if (h > 0) s += r->w2[i] * h;
    }
    return s;
}

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The bias that keeps the share of these scores: minus their quantile. Sorts them. */
static float bias_for(float *scores, int n, double share)
{
    qsort(scores, (size_t)n, sizeof *scores, ascending);
    const double at = (1 - share) * n;
    const int i = at >= n ? n - 1 : (int)at;
    return i > 0 ? -(scores[i - 1] + scores[i]) / 2 : -scores[0] + 1;
}

static dd_status set_bias(const dd_weight_store *ws, const router *r, float bias, dd_err *err)
{
    float *own = (float *)(uintptr_t)r->bias; /* the model owns it, and is one with random weights */
    *own = bias;
    return ws->be->upload(ws->be, ws->consts[r->node->aux[1]], &bias, sizeof bias, err);
}

/* Scores up to TOKENS_PER_STEP of the router's input, evenly spread; with biases not fixed, sets the step's own. */
static dd_status score_step(dd_calibration *c, dd_session *s, const dd_op *op, dd_err *err)
{
    const dd_run_spec *spec = dd_session_spec(s);
    const dd_model *m = spec->model;
    const dd_route_args *a = &op->args.route;
    dd_backend *be = dd_session_backend(s);
    const int which = m->sites[op->site].router, total = a->r * a->s;
    const int stride = (total + TOKENS_PER_STEP - 1) / TOKENS_PER_STEP, first = c->n_scores[which];
    router r = {0};
    dd_status st = open_router(&r, m, op->site, err);
    float *x = malloc((size_t)a->d * sizeof *x), *own = c->scores[which] + first;
    if (st == DD_OK && !x) st = DD_FAIL(err, DD_ERR_NOMEM, "out of memory for token scores");
    int n = 0;
    for (int i = 0; st == DD_OK && i < total && first + n < c->cap; i += stride) {
        st = be->download(be, x, a->x + (int64_t)i * a->d, (size_t)a->d * sizeof *x, err);
        if (st == DD_OK) own[n++] = score(&r, x, a->j, a->d);
    }
    c->n_scores[which] += n;
    if (st == DD_OK && !c->fixed && n > 0) st = set_bias(dd_session_weights(s), &r, bias_for(own, n, c->share), err);
    free(x);
    free(r.w1);
    return st;
}

dd_status dd_calibration_step(dd_calibration *c, dd_session *s, int step, dd_err *err)
{
    dd_backend *be = dd_session_backend(s);
    dd_part part[DD_MAX_PARTS];
    if (step % c->every != 0) return dd_session_step(s, step, err);
    const int n = dd_session_parts(s, step, part);
    for (int i = 0; i < n; i++) {
        const dd_program *p = part[i].program;
        for (int from = 0, to; from < p->n_ops; from = to) { /* from one router, included, to the next */
            if (p->ops[from].id == DD_OP_route) DD_TRY(score_step(c, s, &p->ops[from], err));
            for (to = from + 1; to < p->n_ops && p->ops[to].id != DD_OP_route;) to++;
            const dd_program piece = {.ops = p->ops + from, .n_ops = to - from};
            DD_TRY(be->run(be, &piece, part[i].step, err));
            DD_TRY(be->sync(be, err));
        }
    }
    return DD_OK;
}

dd_status dd_calibration_apply(dd_calibration *c, dd_model *m, const dd_weight_store *ws, dd_err *err)
{
    for (int i = 0; i < m->n_sites; i++) {
        const int which = m->sites[i].router;
        router r = {0};
        if (which < 0 || c->n_scores[which] == 0) continue;
        r.node = route_node(m, i);
        if (!r.node) continue;
        r.bias = m->consts[r.node->aux[1]].data;
        DD_TRY(set_bias(ws, &r, bias_for(c->scores[which], c->n_scores[which], c->share), err));
    }
    return DD_OK;
}
