/* SPDX-License-Identifier: MIT
 * Reads plans of JSON (docs/plan.md). Writing one and reading it back gives the same table bit for bit. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/json.h"
#include "host/plan/plan_json.h"

#define MAX_WHERE 512

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

/* Model and names of a weight set. */
static dd_status read_names(dd_plan *p, const json_t *obj, const char *where, dd_err *err)
{
    const char *text;
    DD_TRY(dd_json_string(obj, "model", where, &text, err));
    if (!parse_hex(text, 16, &p->model_id))
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: \"model\" is \"%s\", not 16 hexadecimal digits", where, text);
    DD_TRY(read_text(obj, "arch", where, p->arch, sizeof p->arch, err));
    return read_text(obj, "policy", where, p->policy, sizeof p->policy, err);
}

static dd_status read_head(dd_plan *p, const json_t *doc, const char *path, dd_err *err)
{
    static const char *const keys[] = {"schema", "schema_version", "model", "arch", "policy",
                                       "sites",  DD_PLAN_OTHER,    "steps", NULL};
    const char *text;
    int64_t version;
    DD_TRY(dd_json_string(doc, "schema", path, &text, err));
    if (strcmp(text, DD_PLAN_SCHEMA) != 0)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: schema is \"%s\", a plan has \"%s\"", path, text, DD_PLAN_SCHEMA);
    DD_TRY(dd_json_int(doc, "schema_version", 0, INT32_MAX, path, &version, err));
    if (version != DD_PLAN_SCHEMA_VERSION)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: schema_version is %" PRId64 ", this program reads %d", path,
                       version, DD_PLAN_SCHEMA_VERSION);
    DD_TRY(dd_json_only_keys(doc, keys, path, err));
    return read_names(p, doc, path, err);
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

static dd_status read_cells(dd_plan *p, const json_t *step, int s, const dd_model *m, const char *path, dd_err *err)
{
    char where[MAX_WHERE];
    json_t *cells;
    const size_t sites = (size_t)p->n_sites;
    snprintf(where, sizeof where, "%s: steps[%d]", path, s);
    DD_TRY(dd_json_array(step, "cells", where, &cells, err));
    if (json_array_size(cells) != sites)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: %zu cells for %zu sites", where, json_array_size(cells), sites);
    for (size_t i = 0; i < sites; i++) {
        dd_cell *c = dd_plan_cell(p, s, (int)i);
        snprintf(where, sizeof where, "%s: steps[%d].cells[%zu] (%s)", path, s, i, p->site_name[i]);
        DD_TRY(read_cell(c, json_array_get(cells, i), m->sites[i].router, where, err));
    }
    return DD_OK;
}

static dd_status alloc_steps(dd_plan *p, size_t n, const char *path, dd_err *err)
{
    p->n_steps = (int)n;
    p->rows = calloc(n, sizeof *p->rows);
    p->cells = calloc(n * (size_t)p->n_sites, sizeof *p->cells);
    if (!p->rows || !p->cells) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for %zu steps", path, n);
    for (size_t i = 0; i < n * (size_t)p->n_sites; i++)
        p->cells[i] = (dd_cell){.units = dd_units_all(p->site_units[i % (size_t)p->n_sites]), .router = -1};
    return DD_OK;
}

static dd_status read_steps(dd_plan *p, const json_t *doc, const dd_model *m, const dd_model *other, const char *path,
                            dd_err *err)
{
    json_t *list;
    char where[MAX_WHERE];
    DD_TRY(dd_json_array(doc, "steps", path, &list, err));
    const size_t n = json_array_size(list);
    if (n < 1 || n > DD_PLAN_MAX_STEPS)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: %zu steps, a plan has 1 to %d", path, n, DD_PLAN_MAX_STEPS);
    DD_TRY(alloc_steps(p, n, path, err));
    if (p->other) DD_TRY(alloc_steps(p->other, n, path, err));
    for (int s = 0; s < p->n_steps; s++) {
        const json_t *step = json_array_get(list, (size_t)s);
        snprintf(where, sizeof where, "%s: steps[%d]", path, s);
        DD_TRY(read_row(&p->rows[s], step, where, err));
        if (p->other) p->other->rows[s] = p->rows[s];
        dd_plan *at = p->other && p->rows[s].weight_set == 1 ? p->other : p;
        DD_TRY(read_cells(at, step, s, at == p ? m : other, path, err));
    }
    return DD_OK;
}

/* The part of the head about the other weight set, if there is one. */
static dd_status read_other(dd_plan *p, const json_t *doc, const dd_model *other, const char *path, dd_err *err)
{
    static const char *const keys[] = {"model", "arch", "policy", "sites", NULL};
    const json_t *obj = json_object_get(doc, DD_PLAN_OTHER);
    char where[MAX_WHERE];
    if (!obj) return DD_OK;
    snprintf(where, sizeof where, "%s: " DD_PLAN_OTHER, path);
    if (!json_is_object(obj)) return DD_FAIL(err, DD_ERR_FORMAT, "%s is no object", where);
    DD_TRY(dd_json_only_keys(obj, keys, where, err));
    p->other = calloc(1, sizeof *p->other);
    if (!p->other) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", path);
    p->other->weight_set = 1;
    DD_TRY(read_names(p->other, obj, where, err));
    DD_TRY(read_sites(p->other, obj, where, err));
    if (!other)
        return DD_FAIL(err, DD_ERR_FORMAT,
                       "%s: the plan changes to the weights of another model (%s), which is not given", path,
                       p->other->arch);
    return dd_plan_check_model(p->other, other, where, err);
}

/* Both weight sets have steps. */
static dd_status check_sets(const dd_plan *p, const char *path, dd_err *err)
{
    int used = 0;
    if (!p->other) return DD_OK;
    for (int s = 0; s < p->n_steps; s++) used |= 1 << p->rows[s].weight_set;
    if (used == 2) return DD_FAIL(err, DD_ERR_FORMAT, "%s: no step has weight set 0", path);
    return used & 2 ? DD_OK : DD_FAIL(err, DD_ERR_FORMAT, "%s: " DD_PLAN_OTHER ", but no step has weight set 1", path);
}

dd_status dd_plan_read(dd_plan **out, const dd_model *m, const dd_model *other, const char *path, dd_err *err)
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
    DD_TRY_GOTO(st, read_other(p, doc, other, path, err), done);
    DD_TRY_GOTO(st, read_steps(p, doc, m, other, path, err), done);
    DD_TRY_GOTO(st, dd_plan_validate(p, m, path, err), done);
    if (p->other) DD_TRY_GOTO(st, dd_plan_validate(p->other, other, path, err), done);
    DD_TRY_GOTO(st, check_sets(p, path, err), done);
done:
    json_decref(doc);
    if (st != DD_OK) dd_plan_free(&p);
    *out = p;
    return st;
}
