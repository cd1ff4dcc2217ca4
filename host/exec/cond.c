/* SPDX-License-Identifier: MIT
 * What is read follows from the nodes that run; the order of a chunk from how much that is. */
#include "host/exec/cond.h"

#include <stdlib.h>
#include <string.h>

int dd_cond_slots(const dd_run_spec *spec)
{
    const size_t row = (size_t)spec->model->cond_width * sizeof(float) * (size_t)dd_spec_max_labels(spec);
    const size_t fit = row ? DD_COND_BYTES / row : 1;
    size_t n = fit < 1 ? 1 : fit;
    if (n > DD_COND_MAX_SLOTS) n = DD_COND_MAX_SLOTS;
    return n < (size_t)spec->plan->n_steps ? (int)n : spec->plan->n_steps;
}

/* reads [n_vectors] of one step; returns how many it is true for. */
static dd_status find_reads(bool *reads, int *n_reads, const dd_cond *c, const dd_run_spec *spec,
                            const dd_actions *actions, int step, dd_err *err)
{
    const int64_t d = spec->model->cfg.hidden_size;
    dd_structure s;
    DD_TRY(dd_structure_build(&s, spec->model, actions, step, spec->want_hidden, err));
    memset(reads, 0, (size_t)c->n_vectors * sizeof *reads);
    for (int i = 0; i < s.n; i++) {
        int64_t at[DD_MAX_VECTORS];
        const int n = s.at[i].runs ? dd_node_vectors(&s.at[i], at) : 0;
        for (int v = 0; v < n; v++) reads[at[v] / d] = true;
    }
    dd_structure_free(&s);
    *n_reads = 0;
    for (int v = 0; v < c->n_vectors; v++) *n_reads += reads[v];
    return DD_OK;
}

/* Places of the steps from `first` to before `last`: those with more reads first, else as they come. */
static void order(int *place, const int *n_reads, int first, int last)
{
    for (int s = first; s < last; s++) {
        place[s] = 0;
        for (int other = first; other < last; other++)
            place[s] += n_reads[other] > n_reads[s] || (n_reads[other] == n_reads[s] && other < s);
    }
}

static dd_status fill(dd_cond *c, const dd_run_spec *spec, const dd_actions *actions, bool *reads, int *n_reads,
                      dd_err *err)
{
    const int steps = spec->plan->n_steps, width = c->n_vectors;
    for (int s = 0; s < steps; s++) {
        bool *row = reads + (int64_t)s * width;
        if (!dd_plan_owns(spec->plan, s)) continue;
        if (s == 0 || !dd_same_structure(spec->plan, actions, s - 1, s)) {
            DD_TRY(find_reads(row, &n_reads[s], c, spec, actions, s, err));
            continue;
        }
        memcpy(row, row - width, (size_t)width * sizeof *row);
        n_reads[s] = n_reads[s - 1];
    }
    for (int chunk = 0; chunk < c->n_chunks; chunk++) {
        const int first = chunk * c->slots, last = first + c->slots < steps ? first + c->slots : steps;
        int *count = c->count + (int64_t)chunk * width;
        order(c->place, n_reads, first, last);
        for (int s = first; s < last; s++)
            for (int v = 0; v < width; v++)
                if (reads[(int64_t)s * width + v] && count[v] <= c->place[s]) count[v] = c->place[s] + 1;
    }
    return DD_OK;
}

dd_status dd_cond_build(dd_cond *out, const dd_run_spec *spec, const dd_actions *actions, dd_err *err)
{
    const int steps = spec->plan->n_steps, slots = dd_cond_slots(spec);
    *out = (dd_cond){.slots = slots,
                     .n_chunks = (steps + slots - 1) / slots,
                     .n_vectors = (int)(spec->model->cond_width / spec->model->cfg.hidden_size)};
    const size_t width = (size_t)out->n_vectors;
    bool *reads = calloc((size_t)steps * width + 1, sizeof *reads);
    int *n_reads = calloc((size_t)steps, sizeof *n_reads);
    out->place = calloc((size_t)steps, sizeof *out->place);
    out->count = calloc((size_t)out->n_chunks * width + 1, sizeof *out->count);
    dd_status st = DD_OK;
    if (!reads || !n_reads || !out->place || !out->count)
        st = DD_FAIL(err, DD_ERR_NOMEM, "out of memory while lowering a plan");
    if (st == DD_OK) st = fill(out, spec, actions, reads, n_reads, err);
    free(reads);
    free(n_reads);
    if (st != DD_OK) dd_cond_fini(out);
    return st;
}

void dd_cond_fini(dd_cond *c)
{
    free(c->place);
    free(c->count);
    *c = (dd_cond){0};
}

/* How many steps the chunk has does not matter: what is read by all of them is computed for all. */
bool dd_cond_same(const dd_cond *c, int a, int b)
{
    return memcmp(dd_cond_counts(c, a), dd_cond_counts(c, b), (size_t)c->n_vectors * sizeof *c->count) == 0;
}

int dd_cond_run_end(const dd_cond *c, int chunk, int first, int end)
{
    const int *count = dd_cond_counts(c, chunk);
    int v = first + 1;
    while (v < end && count[v] == count[first]) v++;
    return v;
}
