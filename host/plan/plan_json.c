/* SPDX-License-Identifier: MIT
 * Plans as JSON (docs/plan.md): compact enough for 250 steps of a large model, plain enough to edit by hand. Writing
 * and reading back gives the same table bit for bit. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/str.h"
#include "host/io/json.h"
#include "host/plan/plan.h"

#define SCHEMA "dydit-plan"
#define SCHEMA_VERSION 1
#define MAX_WHERE 512

/* ---- writing ---- */

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

static dd_status add_plan(dd_str *s, const dd_plan *p, const dd_model *m, dd_err *err)
{
    dd_str_addf(s,
                "{\n \"schema\":\"%s\",\n \"schema_version\":%d,\n \"model\":\"%016" PRIx64 "\",\n \"arch\":", SCHEMA,
                SCHEMA_VERSION, p->model_id);
    DD_TRY(add_value(s, json_string(p->arch), "the architecture's name", err));
    dd_str_add(s, ",\n \"policy\":");
    DD_TRY(add_value(s, json_string(p->policy), "the policy's name", err));
    dd_str_add(s, ",\n \"sites\":[");
    for (int i = 0; i < p->n_sites; i++) {
        dd_str_add(s, i > 0 ? ",\n  {\"name\":" : "\n  {\"name\":");
        DD_TRY(add_value(s, json_string(p->site_name[i]), "the name of a site", err));
        dd_str_addf(s, ",\"units\":%d}", p->site_units[i]);
    }
    dd_str_add(s, "],\n \"steps\":[");
    for (int i = 0; i < p->n_steps; i++) DD_TRY(add_step(s, p, m, i, err));
    dd_str_add(s, "]\n}\n");
    return DD_OK;
}

dd_status dd_plan_to_json(const dd_plan *p, const dd_model *m, char **out, dd_err *err)
{
    dd_str s = {0};
    *out = NULL;
    DD_TRY(dd_plan_validate(p, m, "plan", err)); /* never write what could not be read */
    const dd_status st = add_plan(&s, p, m, err);
    if (st == DD_OK) return dd_str_take(&s, out, err);
    dd_str_free(&s);
    return st;
}

/* ---- reading ---- */

/* "0x" and `min` to 16 hexadecimal digits, or 16 digits alone for ids. */
static int parse_hex(const char *text, size_t min, uint64_t *out)
{
    const size_t n = strlen(text);
    uint64_t v = 0;
    if (n < min || n > 16) return 0;
    for (size_t i = 0; i < n; i++) {
        const char c = text[i];
        int digit;
        if (c >= '0' && c <= '9') digit = c - '0';
        else if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
        else if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
        else return 0;
        v = v << 4 | (uint64_t)digit;
    }
    *out = v;
    return 1;
}

static dd_status read_text(const json_t *obj, const char *key, const char *where, char *dst, size_t size, dd_err *err)
{
    const char *text;
    DD_TRY(dd_json_string(obj, key, where, &text, err));
    if (strlen(text) >= size)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: \"%s\" is longer than %zu bytes", where, key, size - 1);
    memcpy(dst, text, strlen(text) + 1);
    return DD_OK;
}

static dd_status read_head(dd_plan *p, const json_t *doc, const char *path, dd_err *err)
{
    static const char *const keys[] = {"schema", "schema_version", "model", "arch", "policy", "sites", "steps", NULL};
    const char *text;
    int64_t version;
    DD_TRY(dd_json_string(doc, "schema", path, &text, err));
    if (strcmp(text, SCHEMA) != 0)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: schema is \"%s\", a plan has \"%s\"", path, text, SCHEMA);
    DD_TRY(dd_json_int(doc, "schema_version", 0, INT32_MAX, path, &version, err));
    if (version != SCHEMA_VERSION)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: schema_version is %" PRId64 ", this program reads %d", path,
                       version, SCHEMA_VERSION);
    DD_TRY(dd_json_only_keys(doc, keys, path, err));
    DD_TRY(dd_json_string(doc, "model", path, &text, err));
    if (!parse_hex(text, 16, &p->model_id))
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: \"model\" is \"%s\", not 16 hexadecimal digits", path, text);
    DD_TRY(read_text(doc, "arch", path, p->arch, sizeof p->arch, err));
    return read_text(doc, "policy", path, p->policy, sizeof p->policy, err);
}

static dd_status read_sites(dd_plan *p, const json_t *doc, const char *path, dd_err *err)
{
    static const char *const keys[] = {"name", "units", NULL};
    json_t *list;
    DD_TRY(dd_json_array(doc, "sites", path, &list, err));
    const size_t n = json_array_size(list);
    if (n < 1 || n > INT32_MAX) return DD_FAIL(err, DD_ERR_FORMAT, "%s: \"sites\" has %zu entries", path, n);
    p->n_sites = (int)n;
    p->site_name = calloc(n, sizeof *p->site_name);
    p->site_units = calloc(n, sizeof *p->site_units);
    if (!p->site_name || !p->site_units) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for %zu sites", path, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *site = json_array_get(list, i);
        char where[MAX_WHERE];
        int64_t units;
        snprintf(where, sizeof where, "%s: sites[%zu]", path, i);
        if (!json_is_object(site)) return DD_FAIL(err, DD_ERR_FORMAT, "%s is no object", where);
        DD_TRY(dd_json_only_keys(site, keys, where, err));
        DD_TRY(read_text(site, "name", where, p->site_name[i], sizeof p->site_name[i], err));
        DD_TRY(dd_json_int(site, "units", 1, DD_MAX_UNITS, where, &units, err));
        p->site_units[i] = (int)units;
    }
    return DD_OK;
}

static dd_status read_op(dd_cell *c, const json_t *cell, const char *where, dd_err *err)
{
    const char *text;
    if (!json_object_get(cell, "op")) return DD_OK;
    DD_TRY(dd_json_string(cell, "op", where, &text, err));
    for (int op = 0; op < DD_CELL_OP_COUNT; op++)
        if (strcmp(text, dd_cell_op_name(op)) == 0) {
            c->op = (uint8_t)op;
            return DD_OK;
        }
    return DD_FAIL(err, DD_ERR_FORMAT,
                   "%s: op \"%s\" is none of COMPUTE, COMPUTE_STORE, REUSE_BRANCH, REUSE_DELTA, REUSE_OUTPUT, SKIP",
                   where, text);
}

/* c holds the defaults; own: the site's token router. */
static dd_status read_cell(dd_cell *c, const json_t *cell, int own, const char *where, dd_err *err)
{
    static const char *const keys[] = {"op", "units", "rows", "router", NULL};
    const char *text;
    int64_t router;
    if (json_is_string(cell) && strcmp(json_string_value(cell), "full") == 0) return DD_OK;
    if (!json_is_object(cell)) return DD_FAIL(err, DD_ERR_FORMAT, "%s is neither an object nor \"full\"", where);
    DD_TRY(dd_json_only_keys(cell, keys, where, err));
    DD_TRY(read_op(c, cell, where, err));
    if (json_object_get(cell, "units")) {
        DD_TRY(dd_json_string(cell, "units", where, &text, err));
        if (strncmp(text, "0x", 2) != 0 || !parse_hex(text + 2, 1, &c->units))
            return DD_FAIL(err, DD_ERR_FORMAT, "%s: units \"%s\" is no mask of the form \"0x3f\"", where, text);
    }
    if (json_object_get(cell, "rows")) {
        DD_TRY(dd_json_string(cell, "rows", where, &text, err));
        const int masked = strcmp(text, "MASKED") == 0;
        if (masked || strcmp(text, "ROUTED") == 0) {
            c->rows = masked ? DD_ROWS_MASKED : DD_ROWS_ROUTED;
            c->router = (int16_t)own;
        } else if (strcmp(text, "ALL") != 0) {
            return DD_FAIL(err, DD_ERR_FORMAT, "%s: rows \"%s\" is none of ALL, ROUTED and MASKED", where, text);
        }
    }
    if (json_object_get(cell, "router")) {
        DD_TRY(dd_json_int(cell, "router", 0, INT16_MAX, where, &router, err));
        c->router = (int16_t)router;
    }
    return DD_OK;
}

static dd_status read_row(dd_plan_row *r, const json_t *step, const char *where, dd_err *err)
{
    static const char *const keys[] = {"timestep", "guided", "weight_set", "cells", NULL};
    if (!json_is_object(step)) return DD_FAIL(err, DD_ERR_FORMAT, "%s is no object", where);
    DD_TRY(dd_json_only_keys(step, keys, where, err));
    const json_t *t = json_object_get(step, "timestep");
    if (!json_is_number(t))
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: \"timestep\" is %s", where, t ? "no number" : "missing");
    const double value = json_number_value(t);
    if (!(value >= 0 && value <= 999)) /* before the conversion: doubles may lie beyond float */
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: timestep %g is not within 0 to 999", where, value);
    r->timestep = (float)value;
    DD_TRY(dd_json_bool(step, "guided", where, &r->guided, err));
    if (json_object_get(step, "weight_set")) {
        int64_t set;
        DD_TRY(dd_json_int(step, "weight_set", 0, INT32_MAX, where, &set, err));
        r->weight_set = (int)set;
    }
    return DD_OK;
}

static dd_status read_steps(dd_plan *p, const json_t *doc, const dd_model *m, const char *path, dd_err *err)
{
    json_t *list, *cells;
    char where[MAX_WHERE];
    DD_TRY(dd_json_array(doc, "steps", path, &list, err));
    const size_t n = json_array_size(list), sites = (size_t)p->n_sites;
    if (n < 1 || n > DD_PLAN_MAX_STEPS)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: %zu steps, a plan has 1 to %d", path, n, DD_PLAN_MAX_STEPS);
    p->n_steps = (int)n;
    p->rows = calloc(n, sizeof *p->rows);
    p->cells = calloc(n * sites, sizeof *p->cells);
    if (!p->rows || !p->cells) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for %zu steps", path, n);
    for (size_t s = 0; s < n; s++) {
        const json_t *step = json_array_get(list, s);
        snprintf(where, sizeof where, "%s: steps[%zu]", path, s);
        DD_TRY(read_row(&p->rows[s], step, where, err));
        DD_TRY(dd_json_array(step, "cells", where, &cells, err));
        if (json_array_size(cells) != sites)
            return DD_FAIL(err, DD_ERR_FORMAT, "%s: %zu cells for %zu sites", where, json_array_size(cells), sites);
        for (size_t i = 0; i < sites; i++) {
            dd_cell *c = dd_plan_cell(p, (int)s, (int)i);
            *c = (dd_cell){.units = dd_units_all(p->site_units[i]), .router = -1};
            snprintf(where, sizeof where, "%s: steps[%zu].cells[%zu] (%s)", path, s, i, p->site_name[i]);
            DD_TRY(read_cell(c, json_array_get(cells, i), m->sites[i].router, where, err));
        }
    }
    return DD_OK;
}

dd_status dd_plan_read(dd_plan **out, const dd_model *m, const char *path, dd_err *err)
{
    json_t *doc = NULL;
    dd_status st = DD_OK;
    *out = NULL;
    DD_TRY(dd_json_read_file(&doc, path, err));
    dd_plan *p = calloc(1, sizeof *p);
    if (!p) DD_TRY_GOTO(st, DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", path), done);
    if (!json_is_object(doc)) DD_TRY_GOTO(st, DD_FAIL(err, DD_ERR_FORMAT, "%s: a plan is a JSON object", path), done);
    DD_TRY_GOTO(st, read_head(p, doc, path, err), done);
    DD_TRY_GOTO(st, read_sites(p, doc, path, err), done);
    DD_TRY_GOTO(st, dd_plan_check_model(p, m, path, err), done); /* a wrong model is said first, and bounds the table */
    DD_TRY_GOTO(st, read_steps(p, doc, m, path, err), done);
    DD_TRY_GOTO(st, dd_plan_validate(p, m, path, err), done);
done:
    json_decref(doc);
    if (st != DD_OK) dd_plan_free(&p);
    *out = p;
    return st;
}
