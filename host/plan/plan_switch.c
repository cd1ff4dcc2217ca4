/* SPDX-License-Identifier: MIT
 * Plans of two weight sets, whose later rows are of another model. */
#include "host/plan/plan.h"

dd_status dd_plan_switch(dd_plan *p, dd_plan *other, int timestep, dd_err *err)
{
    int first = 0;
    while (first < p->n_steps && !(p->rows[first].timestep < (float)timestep)) first++;
    if (first == p->n_steps) {
        dd_plan_free(&other);
        return DD_OK;
    }
    if (first == 0) {
        dd_plan_free(&other);
        return DD_FAIL(err, DD_ERR_ARG,
                       "switch below timestep %d: the first step is at %g already, the model itself would not run",
                       timestep, (double)p->rows[0].timestep);
    }
    other->weight_set = 1;
    for (int s = 0; s < p->n_steps; s++)
        p->rows[s].weight_set = other->rows[s].weight_set = p->rows[s].timestep < (float)timestep;
    p->other = other;
    return DD_OK;
}

void dd_plan_keep_own(dd_plan *p)
{
    for (int s = 0; s < p->n_steps; s++)
        for (int i = 0; i < p->n_sites && !dd_plan_owns(p, s); i++)
            *dd_plan_cell(p, s, i) = (dd_cell){.units = dd_units_all(p->site_units[i]), .router = -1};
}
