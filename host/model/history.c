/* SPDX-License-Identifier: MIT
 * Weights of exactly 0 are left out, but that of the newest output; an average of the newest output alone with the weight 1
 * is none. So weights that change nothing leave the model without averages. */
#include "host/model/history.h"

#include <stdlib.h>

#include "host/model/dwa.h"

/* The unit that weight i of n belongs to, in the average after `unit`. */
static int source_unit(const dd_dwa *d, int unit, int n, int i) { return unit - (n - 1 - i) * d->dilation; }

static void read_weights(dd_history *h, int unit)
{
    dd_builder *b = h->b;
    const dd_config *c = &b->m->cfg;
    char name[DD_DWA_NAME];
    dd_dwa_tensor(c, unit, name);
    h->alphas[unit] = dd_build_const(b, name);
    const float *w = dd_build_values(b, h->alphas[unit]);
    const int n = dd_dwa_weights(c, unit);
    for (int i = 0; w && i < n - 1; i++)
        if (w[i] != 0) h->last[source_unit(&c->dwa, unit, n, i)] = unit;
}

void dd_history_open(dd_history *h, dd_builder *b, int x)
{
    const int units = dd_dwa_units(&b->m->cfg);
    const size_t room = (size_t)units + 1;
    *h = (dd_history){.b = b, .x = x};
    h->buffer = calloc(room, sizeof *h->buffer);
    h->last = calloc(room, sizeof *h->last);
    h->alphas = calloc(room, sizeof *h->alphas);
    b->m->averages = calloc(room, sizeof *b->m->averages);
    if (b->st == DD_OK && (!h->buffer || !h->last || !h->alphas || !b->m->averages))
        b->st = DD_FAIL(b->err, DD_ERR_NOMEM, "%s: out of memory for the model", b->m->path);
    for (int i = 0; b->st == DD_OK && i <= units; i++) {
        h->alphas[i] = -1;
        if (dd_dwa_averages(&b->m->cfg, i)) read_weights(h, i);
    }
}

/* The sources of the average after a unit, whose own output is the newest. */
static dd_average sources(const dd_history *h, int unit)
{
    const dd_config *c = &h->b->m->cfg;
    const float *w = dd_build_values(h->b, h->alphas[unit]);
    const int n = w ? dd_dwa_weights(c, unit) : 1;
    dd_average a = {0};
    for (int i = 0; i < n; i++) {
        const float weight = w ? w[i] : 1.0f;
        if (weight == 0 && i < n - 1) continue;
        a.src[a.n] = i < n - 1 ? h->buffer[source_unit(&c->dwa, unit, n, i)] : h->x;
        a.weight[a.n++] = weight;
    }
    return a;
}

void dd_history_after(dd_history *h, int blocks)
{
    dd_builder *b = h->b;
    dd_model *m = b->m;
    const dd_dwa *d = &m->cfg.dwa;
    if (b->st != DD_OK || d->names == DD_DWA_NONE || blocks % d->span) return;
    const int unit = blocks / d->span;
    const bool kept = h->last[unit] > unit;
    const dd_average a = sources(h, unit);
    h->buffer[unit] = h->x;
    if (a.n == 1 && a.weight[0] == 1.0f && !kept) return;
    if (kept) h->x = dd_build_buffer(b, "history", DD_EXT_TOKEN, m->cfg.hidden_size, DD_F32, false);
    dd_node *n = dd_build_node(b, &m->body, DD_OP_depth_average, -1, blocks ? "blocks.%d.average" : "embed.average",
                               blocks - 1);
    n->dst = h->x;
    n->average = m->n_averages;
    m->averages[m->n_averages++] = a;
}

void dd_history_close(dd_history *h)
{
    free(h->buffer);
    free(h->last);
    free(h->alphas);
    *h = (dd_history){0};
}
