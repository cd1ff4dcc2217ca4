/* SPDX-License-Identifier: MIT
 * Packing and upload of all weights. */
#include "host/exec/weights.h"

#include <stdlib.h>

static dd_weight_desc stored(const dd_weight *w, dd_dtype operand)
{
    dd_weight_desc d = w->desc;
    d.as = w->operand ? operand : DD_F32;
    return d;
}

size_t dd_weights_bytes(const dd_model *m, dd_backend *be, dd_dtype operand)
{
    size_t n = 0;
    for (int i = 0; i < m->n_weights; i++) {
        const dd_weight_desc d = stored(&m->weights[i], operand);
        n += be->packed_bytes(be, &d);
    }
    for (int i = 0; i < m->n_consts; i++) n += (size_t)m->consts[i].count * sizeof(float);
    return n;
}

static dd_status load_all(dd_weight_store *ws, const dd_model *m, dd_err *err)
{
    dd_backend *be = ws->be;
    for (int i = 0; i < m->n_weights; i++) {
        const dd_weight_desc desc = stored(&m->weights[i], ws->operand);
        DD_TRY(be->alloc(be, be->packed_bytes(be, &desc), &ws->storage[i], err));
        dd_err why = {0};
        const dd_status st = be->pack(be, &desc, ws->storage[i], &ws->packed[i], &why);
        if (st != DD_OK) return DD_FAIL(err, st, "%s: %s", m->path, why.text);
    }
    for (int i = 0; i < m->n_consts; i++) {
        const size_t bytes = (size_t)m->consts[i].count * sizeof(float);
        void *p = NULL;
        DD_TRY(be->alloc(be, bytes, &p, err));
        ws->consts[i] = p;
        DD_TRY(be->upload(be, p, m->consts[i].data, bytes, err));
    }
    return DD_OK;
}

dd_status dd_weights_load(dd_weight_store **out, const dd_model *m, dd_backend *be, dd_dtype operand, dd_err *err)
{
    dd_weight_store *ws = calloc(1, sizeof *ws);
    dd_status st;
    *out = NULL;
    if (!ws) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the weights");
    ws->be = be;
    ws->operand = operand;
    ws->n_weights = m->n_weights;
    ws->n_consts = m->n_consts;
    ws->storage = calloc((size_t)m->n_weights + 1, sizeof *ws->storage);
    ws->packed = calloc((size_t)m->n_weights + 1, sizeof *ws->packed);
    ws->consts = calloc((size_t)m->n_consts + 1, sizeof *ws->consts);
    if (!ws->storage || !ws->packed || !ws->consts)
        DD_TRY_GOTO(st, DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the weights"), fail);
    DD_TRY_GOTO(st, load_all(ws, m, err), fail);
    ws->bytes = dd_weights_bytes(m, be, operand);
    *out = ws;
    return DD_OK;
fail:
    dd_weights_free(&ws);
    return st;
}

void dd_weights_free(dd_weight_store **store)
{
    dd_weight_store *ws = *store;
    if (!ws) return;
    for (int i = 0; ws->storage && i < ws->n_weights; i++) ws->be->release(ws->be, ws->storage[i]);
    for (int i = 0; ws->consts && i < ws->n_consts; i++) ws->be->release(ws->be, ws->consts[i]);
    free(ws->storage);
    free(ws->packed);
    free(ws->consts);
    free(ws);
    *store = NULL;
}
