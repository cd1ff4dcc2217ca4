/* SPDX-License-Identifier: MIT
 * Writes plans as JSON (docs/plan.md): compact enough for 250 steps of a large model, plain enough to edit by hand. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/str.h"
#include "host/io/json.h"
#include "host/plan/plan_json.h"

static dd_status add_value(dd_str *s, json_t *value, const char *what, dd_err *err)
{
    /* 9 digits name a float32; jansson writes a point whatever the locale */
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    if (!text) return DD_FAIL(err, DD_ERR_ARG, "plan: %s cannot be written as JSON (no UTF-8, or out of memory)", what);
    dd_str_add(s, text);
    free(text);
    return DD_OK;
}

static json_t *timestep_value(float t)
{
    return t == floorf(t) && !signbit(t) ? json_integer((json_int_t)t) : json_real((double)t);
}

static void add_cell(dd_str *s, const dd_cell *c, int units)
{
    const char *comma = "";
    if (c->op == DD_CELL_COMPUTE && c->units == dd_units_all(units) && c->rows == DD_ROWS_ALL) {
        dd_str_add(s, "\"full\"");
        return;
    }
    dd_str_add(s, "{");
    if (c->op != DD_CELL_COMPUTE) {
        dd_str_addf(s, "\"op\":\"%s\"", dd_cell_op_name(c->op));
        comma = ",";
    }
    if (c->units != dd_units_all(units)) {
        dd_str_addf(s, "%s\"units\":\"0x%" PRIx64 "\"", comma, c->units);
        comma = ",";
    }
    if (c->rows != DD_ROWS_ALL)
        dd_str_addf(s, "%s\"rows\":\"%s\",\"router\":%d", comma, c->rows == DD_ROWS_ROUTED ? "ROUTED" : "MASKED",
                    c->router);
    dd_str_add(s, "}");
}

/* One line per block. */
static dd_status add_step(dd_str *s, const dd_plan *p, const dd_model *m, int step, dd_err *err)
{
    const dd_plan_row *r = &p->rows[step];
    dd_str_add(s, step > 0 ? ",\n  {\"timestep\":" : "\n  {\"timestep\":");
    DD_TRY(add_value(s, timestep_value(r->timestep), "a timestep", err));
    dd_str_addf(s, ",\"guided\":%s,\"weight_set\":%d,\"cells\":[", r->guided ? "true" : "false", r->weight_set);
    for (int i = 0; i < p->n_sites; i++) {
        const int new_line = i == 0 || m->sites[i].block != m->sites[i - 1].block;
        dd_str_add(s, i > 0 ? (new_line ? ",\n   " : ", ") : "\n   ");
        add_cell(s, dd_plan_cell(p, step, i), p->site_units[i]);
    }
    dd_str_add(s, "]}");
    return DD_OK;
}

/* What is said of a weight set. */
static dd_status add_set(dd_str *s, const dd_plan *p, dd_err *err)
{
    dd_str_addf(s, "\"model\":\"%016" PRIx64 "\",\n \"arch\":", p->model_id);
    DD_TRY(add_value(s, json_string(p->arch), "the architecture's name", err));
    dd_str_add(s, ",\n \"policy\":");
    DD_TRY(add_value(s, json_string(p->policy), "the policy's name", err));
    dd_str_add(s, ",\n \"sites\":[");
    for (int i = 0; i < p->n_sites; i++) {
        dd_str_add(s, i > 0 ? ",\n  {\"name\":" : "\n  {\"name\":");
        DD_TRY(add_value(s, json_string(p->site_name[i]), "the name of a site", err));
        dd_str_addf(s, ",\"units\":%d}", p->site_units[i]);
    }
    dd_str_add(s, "]");
    return DD_OK;
}

static dd_status add_plan(dd_str *s, const dd_plan *p, const dd_model *m, const dd_model *other, dd_err *err)
{
    dd_str_addf(s, "{\n \"schema\":\"%s\",\n \"schema_version\":%d,\n ", DD_PLAN_SCHEMA, DD_PLAN_SCHEMA_VERSION);
    DD_TRY(add_set(s, p, err));
    if (p->other) {
        dd_str_add(s, ",\n \"" DD_PLAN_OTHER "\":{\n ");
        DD_TRY(add_set(s, p->other, err));
        dd_str_add(s, "}");
    }
    dd_str_add(s, ",\n \"steps\":[");
    for (int i = 0; i < p->n_steps; i++) {
        const dd_plan *at = dd_plan_at(p, i);
        DD_TRY(add_step(s, at, at == p ? m : other, i, err));
    }
    dd_str_add(s, "]\n}\n");
    return DD_OK;
}

dd_status dd_plan_to_json(const dd_plan *p, const dd_model *m, const dd_model *other, char **out, dd_err *err)
{
    dd_str s = {0};
    *out = NULL;
    DD_TRY(dd_plan_validate(p, m, "plan", err)); /* never write what could not be read */
    if (p->other) DD_TRY(dd_plan_validate(p->other, other, "plan", err));
    const dd_status st = add_plan(&s, p, m, other, err);
    if (st == DD_OK) return dd_str_take(&s, out, err);
    dd_str_free(&s);
    return st;
}
