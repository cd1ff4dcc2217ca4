/* SPDX-License-Identifier: MIT
 * Lowers the programs of a plan without a backend's memory, and adds up the bounds of their ops. */
#include "host/exec/bound.h"

#include <stdlib.h>

#include "host/exec/lower.h"
#include "host/exec/structure.h"
#include "host/exec/tables.h"

const char *dd_binder_name(dd_binder b)
{
    static const char *const names[DD_BINDER_COUNT] = {"memory", "MACs", "launch"};
    return b < DD_BINDER_COUNT ? names[b] : "?";
}

double dd_bound_seconds(const dd_bound_sum *s) { return s->by[DD_BY_MEMORY] + s->by[DD_BY_MACS] + s->by[DD_BY_LAUNCH]; }

dd_binder dd_bound_binder(const dd_bound_sum *s)
{
    int best = 0;
    for (int i = 1; i < DD_BINDER_COUNT; i++)
        if (s->by[i] > s->by[best]) best = i;
    return (dd_binder)best;
}

/* Tensor cores of all architectures since sm_80 multiply TF32 at half the rate of 16 bits. */
static double flops_of(dd_unit unit, const dd_sheet *sheet)
{
    switch (unit) {
    case DD_UNIT_FP32: break;
    case DD_UNIT_TENSOR: return sheet->tensor_flops;
    case DD_UNIT_TF32: return sheet->tensor_flops / 2;
    case DD_UNIT_TF32_X3: return sheet->tensor_flops / 6;
    }
    return sheet->fp32_flops;
}

dd_bound_sum dd_bound_op(const dd_work *w, const dd_bound_terms *t)
{
    const double flops = flops_of(w->unit, t->sheet);
    const double s[DD_BINDER_COUNT] = {[DD_BY_MEMORY] = (double)(w->weights + w->read + w->written) /
                                                        t->sheet->bytes_per_s,
                                       [DD_BY_MACS] = 2 * (double)w->macs / flops,
                                       [DD_BY_LAUNCH] = (double)w->launches * t->launch_s};
    dd_bound_sum out = {.work = *w};
    int most = 0;
    for (int i = 1; i < DD_BINDER_COUNT; i++)
        if (s[i] > s[most]) most = i;
    out.by[most] = s[most];
    return out;
}

static void add(dd_bound_sum *to, const dd_bound_sum *s)
{
    to->work.macs += s->work.macs;
    to->work.weights += s->work.weights;
    to->work.read += s->work.read;
    to->work.written += s->work.written;
    to->work.launches += s->work.launches;
    for (int i = 0; i < DD_BINDER_COUNT; i++) to->by[i] += s->by[i];
}

/* What programs point to where nothing runs: tables in host memory, and one row for every buffer. Masks and counts of
 * routers are left out (NULL). */
typedef struct stand_in {
    dd_tables tables;
    dd_actions actions;
    dd_weight_store weights; /* without any */
    void **buffer;           /* of the model and slots, all the same row */
    float *row;              /* as wide as the widest matrix that lowering steps into, the conditioning table */
} stand_in;

static void stand_in_fini(stand_in *s)
{
    dd_tables_fini(&s->tables);
    dd_actions_free(&s->actions);
    free(s->weights.packed);
    free(s->weights.consts);
    free(s->buffer);
    free(s->row);
}

static dd_status stand_in_init(stand_in *s, const dd_run_spec *spec, dd_err *err)
{
    const dd_model *m = spec->model;
    *s = (stand_in){.weights = {.n_weights = m->n_weights, .n_consts = m->n_consts}};
    DD_TRY(dd_spec_actions(&s->actions, spec, err));
    DD_TRY(dd_tables_build(&s->tables, spec, &s->actions, 0, err));
    s->weights.packed = calloc((size_t)m->n_weights + 1, sizeof *s->weights.packed);
    s->weights.consts = calloc((size_t)m->n_consts + 1, sizeof *s->weights.consts);
    s->buffer = calloc((size_t)dd_buffer_count(m), sizeof *s->buffer);
    s->row = calloc((size_t)m->cond_width + 1, sizeof *s->row);
    if (!s->weights.packed || !s->weights.consts || !s->buffer || !s->row)
        return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a bound");
    for (int i = 0; i < dd_buffer_count(m); i++) s->buffer[i] = s->row;
    for (int i = 0; i < m->n_consts; i++) s->weights.consts[i] = s->row;
    return DD_OK;
}

static dd_status add_program(dd_bound *out, const dd_program *p, const dd_run_spec *spec, int step,
                             const dd_bound_terms *terms, dd_err *err)
{
    const dd_work_at at = {spec->model, step, terms->tokens, dd_spec_max_labels(spec)};
    for (int i = 0; i < p->n_ops; i++) {
        dd_work work;
        DD_TRY(dd_op_work(&work, &p->ops[i], &at, err));
        const dd_bound_sum s = dd_bound_op(&work, terms);
        add(&out->kind[dd_kind_of(&p->ops[i])], &s);
        add(&out->total, &s);
    }
    return DD_OK;
}

/* The programs and steps that a session would run, in its order. */
static dd_status add_steps(dd_bound *out, const dd_binding *b, const dd_bound_terms *terms, dd_err *err)
{
    const dd_plan *plan = b->spec->plan;
    dd_program prologue = {0}, body = {0};
    dd_status st = DD_OK;
    int lowered = -1, chunk = -1;
    for (int step = 0; step < plan->n_steps && st == DD_OK; step++) {
        if (!dd_plan_owns(plan, step)) continue;
        if (lowered < 0 || !dd_same_structure(plan, b->actions, lowered, step)) {
            dd_program_free(&body);
            st = dd_lower_body(&body, b, step, err);
        }
        const int next = step / b->tables->cond.slots;
        lowered = step;
        if (st == DD_OK && next != chunk) {
            dd_program_free(&prologue);
            st = dd_lower_prologue(&prologue, b, next, err);
            if (st == DD_OK) st = add_program(out, &prologue, b->spec, next * b->tables->cond.slots, terms, err);
            chunk = next;
        }
        if (st == DD_OK) st = add_program(out, &body, b->spec, step, terms, err);
    }
    dd_program_free(&prologue);
    dd_program_free(&body);
    return st;
}

dd_status dd_bound_add(dd_bound *out, const dd_run_spec *spec, const dd_ops *ops, const dd_bound_terms *terms,
                       dd_err *err)
{
    stand_in s;
    dd_status st = stand_in_init(&s, spec, err);
    const dd_binding b = {.spec = spec,
                          .actions = &s.actions,
                          .ops = ops,
                          .backend_name = "of this bound",
                          .weights = &s.weights,
                          .tables = &s.tables,
                          .ints = s.tables.ints,
                          .coefs = spec->coefs,
                          .buffer = s.buffer,
                          .images = spec->max_images,
                          .n_labels = dd_spec_max_labels(spec),
                          .hits = spec->want_hits ? (int32_t *)(void *)s.row : NULL};
    if (st == DD_OK) st = add_steps(out, &b, terms, err);
    stand_in_fini(&s);
    return st;
}
