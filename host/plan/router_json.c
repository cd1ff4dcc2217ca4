/* SPDX-License-Identifier: MIT
 * Routers as JSON (docs/formats.md), written and read. */
#include <stdio.h>
#include <string.h>

#include "host/base/str.h"
#include "host/io/json.h"
#include "host/plan/router_table.h"

#define SCHEMA "dydit-router"
#define SCHEMA_VERSION 1
#define MAX_WHERE 512

static const char *values_key(bool probabilities) { return probabilities ? "probabilities" : "logits"; }

dd_status dd_router_to_json(const dd_router_table *r, char **out, dd_err *err)
{
    dd_str s = {0};
    dd_str_addf(&s,
                "{\n \"schema\":\"" SCHEMA "\",\n \"schema_version\":%d,\n \"steps\":%d,\n \"depth\":%d,\n"
                " \"threshold\":%.9g,\n \"%s\":[",
                SCHEMA_VERSION, r->n_steps, r->n_sites / 2, r->threshold, values_key(r->probabilities));
    for (int i = 0; i < r->n_steps; i++) {
        dd_str_add(&s, i > 0 ? ",\n  " : "\n  ");
        if (i % 2) {
            dd_str_add(&s, "null");
            continue;
        }
        for (int j = 0; j < r->n_sites; j++)
            dd_str_addf(&s, "%s%.9g", j > 0 ? "," : "[", (double)r->values[(int64_t)i * r->n_sites + j]);
        dd_str_add(&s, "]");
    }
    dd_str_add(&s, "]\n}\n");
    return dd_str_take(&s, out, err);
}

static dd_status read_number(const json_t *value, double lo, double hi, const char *where, double *out, dd_err *err)
{
    if (!json_is_number(value)) return DD_FAIL(err, DD_ERR_FORMAT, "%s is no number", where);
    *out = json_number_value(value);
    if (!(*out >= lo && *out <= hi))
        return DD_FAIL(err, DD_ERR_FORMAT, "%s is %g, not within %g to %g", where, *out, lo, hi);
    return DD_OK;
}

static dd_status read_row(dd_router_table *r, int index, const json_t *row, const char *path, dd_err *err)
{
    const double lo = r->probabilities ? 0 : -1e6, hi = r->probabilities ? 1 : 1e6;
    const char *key = values_key(r->probabilities);
    char where[MAX_WHERE];
    if (!json_is_array(row))
        return DD_FAIL(err, DD_ERR_FORMAT,
                       "%s: %s[%d] is no array; only odd steps, which compute everything, may lack one", path, key,
                       index);
    if (json_array_size(row) != (size_t)r->n_sites)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: %s[%d] has %zu values, two for each of %d blocks are %d", path, key,
                       index, json_array_size(row), r->n_sites / 2, r->n_sites);
    for (int j = 0; j < r->n_sites; j++) {
        double v;
        snprintf(where, sizeof where, "%s: %s[%d][%d]", path, key, index, j);
        DD_TRY(read_number(json_array_get(row, (size_t)j), lo, hi, where, &v, err));
        r->values[(int64_t)index * r->n_sites + j] = (float)v;
    }
    return DD_OK;
}

static dd_status read_rows(dd_router_table *r, const json_t *doc, const char *path, dd_err *err)
{
    const bool logits = json_object_get(doc, "logits"), probabilities = json_object_get(doc, "probabilities");
    json_t *rows;
    if (logits == probabilities)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s has %s \"logits\" %s \"probabilities\"; one of them is needed", path,
                       logits ? "both" : "neither", logits ? "and" : "nor");
    r->probabilities = probabilities;
    const char *key = values_key(probabilities);
    DD_TRY(dd_json_array(doc, key, path, &rows, err));
    if (json_array_size(rows) != (size_t)r->n_steps)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: \"%s\" has %zu entries for %d steps", path, key, json_array_size(rows),
                       r->n_steps);
    for (int i = 0; i < r->n_steps; i += 2) DD_TRY(read_row(r, i, json_array_get(rows, (size_t)i), path, err));
    return DD_OK;
}

static dd_status read_table(dd_router_table *r, const json_t *doc, const char *path, dd_err *err)
{
    static const char *const keys[] = {"schema",    "schema_version", "steps",         "depth",
                                       "threshold", "logits",         "probabilities", NULL};
    const char *schema;
    char where[MAX_WHERE];
    int64_t version, steps, depth;
    if (!json_is_object(doc)) return DD_FAIL(err, DD_ERR_FORMAT, "%s: routers are a JSON object", path);
    DD_TRY(dd_json_string(doc, "schema", path, &schema, err));
    if (strcmp(schema, SCHEMA) != 0)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: schema is \"%.40s\", routers have \"%s\"", path, schema, SCHEMA);
    DD_TRY(dd_json_int(doc, "schema_version", 0, INT32_MAX, path, &version, err));
    if (version != SCHEMA_VERSION)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: schema_version is %lld, this program reads %d", path,
                       (long long)version, SCHEMA_VERSION);
    DD_TRY(dd_json_only_keys(doc, keys, path, err));
    DD_TRY(dd_json_int(doc, "steps", 1, INT32_MAX, path, &steps, err));
    DD_TRY(dd_json_int(doc, "depth", 1, DD_ROUTER_MAX_DEPTH, path, &depth, err));
    DD_TRY(dd_router_alloc(r, steps, 2 * depth, path, err));
    const json_t *threshold = json_object_get(doc, "threshold");
    snprintf(where, sizeof where, "%s: \"threshold\"", path);
    if (threshold) DD_TRY(read_number(threshold, -1e6, 1e6, where, &r->threshold, err));
    return read_rows(r, doc, path, err);
}

dd_status dd_router_read_json(dd_router_table *out, const char *path, dd_err *err)
{
    json_t *doc = NULL;
    *out = (dd_router_table){0};
    DD_TRY(dd_json_read_file(&doc, path, err));
    const dd_status st = read_table(out, doc, path, err);
    json_decref(doc);
    if (st != DD_OK) dd_router_fini(out);
    return st;
}
