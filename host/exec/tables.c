/* SPDX-License-Identifier: MIT
 * Slice lists from unit masks: generic over slice maps, equal masks of a weight share one list. */
#include "host/exec/tables.h"

#include <stdlib.h>
#include <string.h>

#include "host/model/temb.h"

static dd_status push(dd_tables *t, int32_t v, dd_err *err)
{
    if (t->n_ints == t->cap_ints) {
        const int64_t cap = t->cap_ints ? 2 * t->cap_ints : 4096;
        int32_t *p = realloc(t->ints, (size_t)cap * sizeof *p);
        if (!p)
            return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the parameter tables of %lld entries", (long long)cap);
        t->ints = p;
        t->cap_ints = cap;
    }
    t->ints[t->n_ints++] = v;
    return DD_OK;
}

/* [count, chunk, chunk, …]: the units of `mask`, ascending. */
static dd_status push_list(dd_tables *t, const dd_slice_map *map, int units, uint64_t mask, dd_err *err)
{
    const int64_t count_at = t->n_ints;
    DD_TRY(push(t, 0, err));
    for (int u = 0; u < units; u++) {
        if (!(mask >> u & 1)) continue;
        const int64_t per = map->unit_size / DD_CHUNK, first = u * per;
        for (int64_t c = 0; c < per; c++) DD_TRY(push(t, (int32_t)(first + c), err));
    }
    t->ints[count_at] = (int32_t)(t->n_ints - count_at - 1);
    return DD_OK;
}

static uint64_t units_at(const dd_run_spec *spec, int step, int site)
{
    const dd_cell *c = dd_plan_cell(spec->plan, step, site);
    return dd_cell_computes(c) ? c->units : 0;
}

static bool whole_at_every_step(const dd_run_spec *spec, int site)
{
    for (int s = 0; s < spec->plan->n_steps; s++) {
        const dd_cell *c = dd_plan_cell(spec->plan, s, site);
        if (dd_cell_computes(c) && dd_popcount64(c->units) != spec->model->sites[site].units) return false;
    }
    return true;
}

static dd_status build_axis(dd_tables *t, const dd_run_spec *spec, const dd_slice_map *map, dd_axis_table *axis,
                            dd_err *err)
{
    *axis = (dd_axis_table){-1, -1};
    if (map->site < 0 || whole_at_every_step(spec, map->site)) return DD_OK;
    const int steps = spec->plan->n_steps, units = spec->model->sites[map->site].units;
    axis->offset_at = t->n_ints;
    for (int s = 0; s < steps; s++) DD_TRY(push(t, 0, err));
    axis->list_at = t->n_ints;
    for (int s = 0; s < steps; s++) {
        const uint64_t mask = units_at(spec, s, map->site);
        int same = 0;
        while (same < s && units_at(spec, same, map->site) != mask) same++;
        if (same < s) {
            t->ints[axis->offset_at + s] = t->ints[axis->offset_at + same];
            continue;
        }
        if (t->n_ints - axis->list_at > INT32_MAX / 2)
            return DD_FAIL(err, DD_ERR_UNSUPPORTED, "the plan's slice lists are too large");
        t->ints[axis->offset_at + s] = (int32_t)(t->n_ints - axis->list_at);
        DD_TRY(push_list(t, map, units, mask, err));
    }
    return DD_OK;
}

dd_axis_table dd_tables_run(const dd_tables *t, int first, int end, int n)
{
    if (first == 0 && end == n) return (dd_axis_table){-1, -1};
    for (int i = 0; i < t->n_runs; i++)
        if (t->runs[i].first == first && t->runs[i].end == end)
            return (dd_axis_table){t->run_offset_at, t->runs[i].list_at};
    return (dd_axis_table){-1, -1};
}

static dd_status push_run(dd_tables *t, const dd_run_spec *spec, int first, int end, dd_err *err)
{
    const int64_t per = spec->model->cfg.hidden_size / DD_CHUNK;
    dd_cond_run *runs = realloc(t->runs, (size_t)(t->n_runs + 1) * sizeof *runs);
    if (!runs) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the parameter tables");
    t->runs = runs;
    if (t->n_runs == 0) {
        t->run_offset_at = t->n_ints;
        for (int s = 0; s < spec->plan->n_steps; s++) DD_TRY(push(t, 0, err));
    }
    t->runs[t->n_runs++] = (dd_cond_run){first, end, t->n_ints};
    DD_TRY(push(t, (int32_t)((end - first) * per), err));
    for (int64_t c = first * per; c < end * per; c++) DD_TRY(push(t, (int32_t)c, err));
    return DD_OK;
}

/* Of all chunks of steps: the parts of a weight that are computed for fewer steps than others. */
static dd_status build_runs(dd_tables *t, const dd_run_spec *spec, const dd_node *n, dd_err *err)
{
    const int64_t d = spec->model->cfg.hidden_size;
    if (n->op != DD_OP_gemm) return DD_OK;
    const int from = (int)(n->dst_col / d), count = (int)(spec->model->weights[n->weight].desc.n / d);
    for (int chunk = 0; chunk < t->cond.n_chunks; chunk++)
        for (int v = 0, end; v < count; v = end) {
            end = dd_cond_run_end(&t->cond, chunk, from + v, from + count) - from;
            if ((v == 0 && end == count) || dd_cond_counts(&t->cond, chunk)[from + v] == 0) continue;
            if (dd_tables_run(t, v, end, count).list_at < 0) DD_TRY(push_run(t, spec, v, end, err));
        }
    return DD_OK;
}

static dd_status build_temb(dd_tables *t, const dd_run_spec *spec, dd_err *err)
{
    const size_t d = (size_t)spec->model->cfg.hidden_size, steps = (size_t)spec->plan->n_steps;
    t->temb = malloc((steps + 1) * d * sizeof *t->temb);
    if (!t->temb) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for %zu timestep embeddings", steps);
    for (size_t s = 0; s < steps; s++) {
        const size_t slots = (size_t)t->cond.slots, at = s / slots * slots + (size_t)t->cond.place[s];
        dd_temb(spec->model, spec->plan->rows[s].timestep, t->temb + at * d, t->temb + steps * d);
    }
    return DD_OK;
}

dd_status dd_tables_build(dd_tables *t, const dd_run_spec *spec, const dd_actions *actions, int with_temb, dd_err *err)
{
    const dd_model *m = spec->model;
    memset(t, 0, sizeof *t);
    t->n_axis = calloc((size_t)m->n_weights, sizeof *t->n_axis);
    t->k_axis = calloc((size_t)m->n_weights, sizeof *t->k_axis);
    dd_status st = DD_OK;
    if (!t->n_axis || !t->k_axis)
        DD_TRY_GOTO(st, DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the parameter tables"), fail);
    DD_TRY_GOTO(st, dd_cond_build(&t->cond, spec, actions, err), fail);
    t->slot_at = t->n_ints;
    for (int s = 0; s < spec->plan->n_steps; s++) DD_TRY_GOTO(st, push(t, t->cond.place[s], err), fail); /* one label */
    for (int w = 0; w < m->n_weights; w++) {
        DD_TRY_GOTO(st, build_axis(t, spec, &m->weights[w].n_map, &t->n_axis[w], err), fail);
        DD_TRY_GOTO(st, build_axis(t, spec, &m->weights[w].k_map, &t->k_axis[w], err), fail);
    }
    for (int i = 0; i < m->prologue.n; i++) DD_TRY_GOTO(st, build_runs(t, spec, &m->prologue.at[i], err), fail);
    if (with_temb) DD_TRY_GOTO(st, build_temb(t, spec, err), fail);
    return DD_OK;
fail:
    dd_tables_fini(t);
    return st;
}

void dd_tables_fini(dd_tables *t)
{
    dd_cond_fini(&t->cond);
    free(t->runs);
    free(t->ints);
    free(t->n_axis);
    free(t->k_axis);
    free(t->temb);
    memset(t, 0, sizeof *t);
}

size_t dd_tables_bytes(const dd_tables *t, const dd_run_spec *spec)
{
    const size_t steps = (size_t)spec->plan->n_steps, d = (size_t)spec->model->cfg.hidden_size;
    const size_t coefs = spec->coefs ? steps * DD_COEF_COUNT : 0;
    const size_t rows = (size_t)spec->max_images * 2 + (size_t)dd_spec_max_labels(spec);
    return ((size_t)t->n_ints + rows) * sizeof(int32_t) + (steps * d + coefs) * sizeof(float);
}
