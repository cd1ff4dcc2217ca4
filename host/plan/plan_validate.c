/* SPDX-License-Identifier: MIT
 * Rules of a plan. Whatever fills cells (a policy, a file), the runtime executes only what passes here. */
#include <inttypes.h>
#include <string.h>

#include "host/plan/plan.h"

/* What the rules need to know about the cell they look at. */
typedef struct place {
    const char *what;
    const dd_plan *plan;
    const dd_model *model;
    int step, site;
    int stored;  /* latest step that stored a result of this site, or -1 */
    int changed; /* latest step whose guidance differs from the step before it, or -1 */
    int foreign; /* latest step of another weight set, or -1 */
} place;

#define CELL_FAIL(at, code, err, fmt, ...)                                                                       \
    DD_FAIL((err), (code), "%s: step %d, %s: " fmt, (at)->what, (at)->step, (at)->model->sites[(at)->site].name, \
            __VA_ARGS__)

dd_status dd_plan_check_model(const dd_plan *p, const dd_model *m, const char *what, dd_err *err)
{
    if (p->model_id != m->id)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: the plan is for model %016" PRIx64 " (%s), this is %016" PRIx64 " (%s)",
                       what, p->model_id, p->arch, m->id, m->cfg.arch);
    if (p->n_sites != m->n_sites)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: the plan has %d sites, the model has %d", what, p->n_sites, m->n_sites);
    for (int i = 0; i < m->n_sites; i++) {
        const dd_site *site = &m->sites[i];
        if (strcmp(p->site_name[i], site->name) != 0)
            return DD_FAIL(err, DD_ERR_FORMAT, "%s: site %d is \"%s\" in the plan, \"%s\" in the model", what, i,
                           p->site_name[i], site->name);
        if (p->site_units[i] != site->units)
            return DD_FAIL(err, DD_ERR_FORMAT, "%s: site %d (%s) has %d units in the plan, %d in the model", what, i,
                           site->name, p->site_units[i], site->units);
    }
    return DD_OK;
}

static dd_status check_row(const dd_plan *p, int step, const char *what, dd_err *err)
{
    const dd_plan_row *r = &p->rows[step];
    if (!dd_f32_finite(r->timestep) || r->timestep < 0 || r->timestep > 999)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: step %d: timestep %g is not within 0 to 999", what, step,
                       (double)r->timestep);
    if (r->guided != 0 && r->guided != 1)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: step %d: guided is %d, neither 0 nor 1", what, step, r->guided);
    const int sets = p->other || p->weight_set ? DD_WEIGHT_SETS : 1;
    if (r->weight_set < 0 || r->weight_set >= sets)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: step %d: weight set %d, but the plan has %s", what, step, r->weight_set,
                       sets == 1 ? "set 0 alone" : "sets 0 and 1");
    return DD_OK;
}

static dd_status check_units(const place *at, const dd_cell *c, dd_err *err)
{
    const int units = at->model->sites[at->site].units;
    if (c->units & ~dd_units_all(units))
        return CELL_FAIL(at, DD_ERR_FORMAT, err, "units 0x%" PRIx64 " go beyond the site's %d units (0x%" PRIx64 ")",
                         c->units, units, dd_units_all(units));
    if (dd_cell_computes(c) && c->units == 0)
        return CELL_FAIL(at, DD_ERR_FORMAT, err, "%s with no unit on (use SKIP to leave a site out)",
                         dd_cell_op_name(c->op));
    return DD_OK;
}

static dd_status check_rows(const place *at, const dd_cell *c, dd_err *err)
{
    const int own = at->model->sites[at->site].router;
    if (c->rows == DD_ROWS_ALL) {
        if (c->router != -1) return CELL_FAIL(at, DD_ERR_FORMAT, err, "router %d is named, but rows is ALL", c->router);
        return DD_OK;
    }
    if (c->rows != DD_ROWS_ROUTED && c->rows != DD_ROWS_MASKED)
        return CELL_FAIL(at, DD_ERR_FORMAT, err, "unknown rows %d", c->rows);
    const char *rows = c->rows == DD_ROWS_ROUTED ? "ROUTED" : "MASKED";
    if (own < 0) return CELL_FAIL(at, DD_ERR_FORMAT, err, "rows is %s, but the site has no token router", rows);
    if (c->rows == DD_ROWS_MASKED && c->op != DD_CELL_COMPUTE_STORE)
        return CELL_FAIL(at, DD_ERR_FORMAT, err, "rows is MASKED with %s, but only COMPUTE_STORE can have that",
                         dd_cell_op_name(c->op));
    if (c->op == DD_CELL_REUSE_DELTA || c->op == DD_CELL_REUSE_OUTPUT)
        return CELL_FAIL(at, DD_ERR_FORMAT, err, "rows is %s with %s, but what that reuses has its tokens already",
                         rows, dd_cell_op_name(c->op));
    if (c->router != own)
        return CELL_FAIL(at, DD_ERR_FORMAT, err, "router %d, but the site's token router is %d", c->router, own);
    return DD_OK;
}

static dd_status check_reuse(const place *at, const dd_cell *c, dd_err *err)
{
    if (c->op != DD_CELL_REUSE_BRANCH && c->op != DD_CELL_REUSE_DELTA && c->op != DD_CELL_REUSE_OUTPUT) return DD_OK;
    if (at->stored < 0 && at->foreign >= 0)
        return CELL_FAIL(at, DD_ERR_FORMAT, err,
                         "%s, but no step after step %d, which has other weights, stores a result of this site "
                         "(COMPUTE_STORE)",
                         dd_cell_op_name(c->op), at->foreign);
    if (at->stored < 0)
        return CELL_FAIL(at, DD_ERR_FORMAT, err, "%s, but no earlier step stores a result of this site (COMPUTE_STORE)",
                         dd_cell_op_name(c->op));
    /* Stored results hold one entry per row, and guidance doubles the rows. */
    if (at->changed > at->stored)
        return CELL_FAIL(at, DD_ERR_FORMAT, err,
                         "%s of what step %d stored, but guidance changes at step %d in between",
                         dd_cell_op_name(c->op), at->stored, at->changed);
    return DD_OK;
}

static dd_status check_cell(const place *at, const dd_cell *c, dd_err *err)
{
    if (c->op >= DD_CELL_OP_COUNT) return CELL_FAIL(at, DD_ERR_FORMAT, err, "unknown op %d", c->op);
    if (c->format >= DD_FORMAT_COUNT) return CELL_FAIL(at, DD_ERR_FORMAT, err, "unknown format %d", c->format);
    if ((c->op == DD_CELL_SKIP || c->op == DD_CELL_REUSE_DELTA) && !at->model->sites[at->site].residual)
        return CELL_FAIL(at, DD_ERR_FORMAT, err, "%s needs a site that adds to its input, and this one replaces it",
                         dd_cell_op_name(c->op));
    DD_TRY(check_units(at, c, err));
    DD_TRY(check_rows(at, c, err));
    return check_reuse(at, c, err);
}

/* All steps of one site: what is stored is followed along the way. */
static dd_status check_site(place *at, dd_err *err)
{
    const dd_plan *p = at->plan;
    at->stored = at->changed = at->foreign = -1;
    for (at->step = 0; at->step < p->n_steps; at->step++) {
        const dd_cell *c = dd_plan_cell(p, at->step, at->site);
        if (!dd_plan_owns(p, at->step)) { /* what it may have stored is of other weights */
            at->foreign = at->step;
            at->stored = -1;
            continue;
        }
        if (at->step > 0 && p->rows[at->step].guided != p->rows[at->step - 1].guided) at->changed = at->step;
        DD_TRY(check_cell(at, c, err));
        if (c->op == DD_CELL_COMPUTE_STORE) at->stored = at->step;
    }
    return DD_OK;
}

dd_status dd_plan_validate(const dd_plan *p, const dd_model *m, const char *what, dd_err *err)
{
    DD_TRY(dd_plan_check_model(p, m, what, err));
    if (p->n_steps < 1 || p->n_steps > DD_PLAN_MAX_STEPS)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: %d steps, a plan has 1 to %d", what, p->n_steps, DD_PLAN_MAX_STEPS);
    for (int s = 0; s < p->n_steps; s++) DD_TRY(check_row(p, s, what, err));
    place at = {.what = what, .plan = p, .model = m};
    for (at.site = 0; at.site < p->n_sites; at.site++) DD_TRY(check_site(&at, err));
    return DD_OK;
}
