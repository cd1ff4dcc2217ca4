/* SPDX-License-Identifier: MIT
 * The plan table itself: building, copying, releasing, hashing, names. */
#include "host/plan/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/str.h"

static dd_status alloc_plan(dd_plan **out, int n_steps, int n_sites, dd_err *err)
{
    const size_t steps = (size_t)n_steps, sites = (size_t)n_sites;
    dd_plan *p = calloc(1, sizeof *p);
    *out = p;
    if (p) {
        p->n_steps = n_steps;
        p->n_sites = n_sites;
        p->site_name = calloc(sites, sizeof *p->site_name);
        p->site_units = calloc(sites, sizeof *p->site_units);
        p->rows = calloc(steps, sizeof *p->rows);
        p->cells = calloc(steps * sites, sizeof *p->cells); /* both are ints: the product fits */
        if (p->site_name && p->site_units && p->rows && p->cells) return DD_OK;
    }
    dd_plan_free(out);
    return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a plan of %d steps and %d sites", n_steps, n_sites);
}

void dd_plan_free(dd_plan **plan)
{
    dd_plan *p = *plan;
    if (!p) return;
    free(p->site_name);
    free(p->site_units);
    free(p->rows);
    free(p->cells);
    dd_plan_free(&p->other);
    free(p);
    *plan = NULL;
}

dd_status dd_plan_build(dd_plan **out, const dd_model *m, const float *timesteps, const int *guided, int n_steps,
                        dd_err *err)
{
    *out = NULL;
    if (n_steps < 1 || n_steps > DD_PLAN_MAX_STEPS)
        return DD_FAIL(err, DD_ERR_ARG, "a plan has 1 to %d steps, not %d", DD_PLAN_MAX_STEPS, n_steps);
    if (m->n_sites < 1) return DD_FAIL(err, DD_ERR_ARG, "a plan needs a model with at least one site");
    dd_plan *p;
    DD_TRY(alloc_plan(&p, n_steps, m->n_sites, err));
    p->model_id = m->id;
    snprintf(p->arch, sizeof p->arch, "%s", m->cfg.arch);
    snprintf(p->policy, sizeof p->policy, "dense");
    for (int i = 0; i < m->n_sites; i++) {
        snprintf(p->site_name[i], sizeof p->site_name[i], "%s", m->sites[i].name);
        p->site_units[i] = m->sites[i].units;
    }
    for (int s = 0; s < n_steps; s++) {
        p->rows[s] = (dd_plan_row){.timestep = timesteps[s], .guided = guided && guided[s]};
        for (int i = 0; i < m->n_sites; i++)
            *dd_plan_cell(p, s, i) = (dd_cell){.units = dd_units_all(m->sites[i].units), .router = -1};
    }
    const dd_status st = dd_plan_validate(p, m, "plan", err);
    if (st != DD_OK) dd_plan_free(&p);
    *out = p;
    return st;
}

dd_status dd_plan_copy(dd_plan **out, const dd_plan *plan, dd_err *err)
{
    dd_plan *p;
    *out = NULL;
    DD_TRY(alloc_plan(&p, plan->n_steps, plan->n_sites, err));
    const size_t steps = (size_t)plan->n_steps, sites = (size_t)plan->n_sites;
    p->model_id = plan->model_id;
    memcpy(p->arch, plan->arch, sizeof p->arch);
    memcpy(p->policy, plan->policy, sizeof p->policy);
    memcpy(p->site_name, plan->site_name, sites * sizeof *p->site_name);
    memcpy(p->site_units, plan->site_units, sites * sizeof *p->site_units);
    memcpy(p->rows, plan->rows, steps * sizeof *p->rows);
    memcpy(p->cells, plan->cells, steps * sites * sizeof *p->cells);
    p->weight_set = plan->weight_set;
    const dd_status st = plan->other ? dd_plan_copy(&p->other, plan->other, err) : DD_OK;
    if (st != DD_OK) dd_plan_free(&p);
    *out = p;
    return st;
}

/* Little-endian bytes, so that a hash kept with a picture means the same on every machine. */
static uint64_t hash_u64(uint64_t h, uint64_t v)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(v >> (8 * i));
    return dd_hash(h, bytes, sizeof bytes);
}

/* The final NUL is hashed too: it separates neighbouring strings. */
static uint64_t hash_text(uint64_t h, const char *text) { return dd_hash(h, text, strlen(text) + 1); }

/* Field by field: structs have padding. */
uint64_t dd_plan_hash(const dd_plan *p)
{
    uint64_t h = hash_u64(DD_HASH_INIT, p->model_id);
    h = hash_text(hash_text(h, p->arch), p->policy);
    h = hash_u64(hash_u64(h, (uint64_t)p->n_steps), (uint64_t)p->n_sites);
    for (int i = 0; i < p->n_sites; i++) h = hash_u64(hash_text(h, p->site_name[i]), (uint64_t)p->site_units[i]);
    for (int s = 0; s < p->n_steps; s++) {
        const dd_plan_row *r = &p->rows[s];
        h = hash_u64(h, dd_f32_bits(r->timestep));
        h = hash_u64(h, (uint64_t)r->guided << 32 | (uint32_t)r->weight_set);
        for (int i = 0; i < p->n_sites; i++) {
            const dd_cell *c = dd_plan_cell(p, s, i);
            h = hash_u64(h, c->units);
            h = hash_u64(h, (uint64_t)c->op | (uint64_t)c->rows << 8 | (uint64_t)c->format << 16 |
                                (uint64_t)(uint16_t)c->router << 24);
        }
    }
    return p->other ? hash_u64(h, dd_plan_hash(p->other)) : h;
}

const char *dd_cell_op_name(int op)
{
    static const char *const name[DD_CELL_OP_COUNT] = {
        [DD_CELL_COMPUTE] = "COMPUTE",           [DD_CELL_COMPUTE_STORE] = "COMPUTE_STORE",
        [DD_CELL_REUSE_BRANCH] = "REUSE_BRANCH", [DD_CELL_REUSE_DELTA] = "REUSE_DELTA",
        [DD_CELL_REUSE_OUTPUT] = "REUSE_OUTPUT", [DD_CELL_SKIP] = "SKIP",
    };
    return op >= 0 && op < DD_CELL_OP_COUNT ? name[op] : "unknown op";
}

int dd_popcount64(uint64_t x)
{
    int n = 0;
    for (; x; x &= x - 1) n++;
    return n;
}
