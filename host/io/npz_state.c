/* SPDX-License-Identifier: MIT
 * The state of a set as JSON. */
#include "host/io/npz_state.h"

#include <stdlib.h>
#include <string.h>

#include "host/io/json.h"
#include "host/io/outfile.h"

#define SCHEMA "dydit-set-state"
#define SCHEMA_VERSION 1
#define SHOWN 120 /* characters of a value in a sentence */

dd_status dd_npz_state_write(const char *path, const dd_npz_state *s, dd_err *err)
{
    json_t *doc = json_object();
    char *text = NULL;
    json_object_set_new(doc, "schema", json_string(SCHEMA));
    json_object_set_new(doc, "schema_version", json_integer(SCHEMA_VERSION));
    json_object_set_new(doc, "images_done", json_integer(s->done));
    json_object_set_new(doc, "crc32", json_integer(s->crc));
    json_object_set_new(doc, "settings", json_deep_copy(s->settings));
    dd_status st = dd_json_print(doc, &text, err);
    if (st == DD_OK) st = dd_outfile_text(path, text, err);
    free(text);
    json_decref(doc);
    return st;
}

dd_status dd_npz_state_read(const char *path, int64_t n, json_t **doc, dd_npz_state *s, dd_err *err)
{
    static const char *const keys[] = {"schema", "schema_version", "images_done", "crc32", "settings", NULL};
    const char *schema;
    json_t *settings;
    int64_t crc, version;
    *doc = NULL;
    DD_TRY(dd_json_read_file(doc, path, err));
    if (!json_is_object(*doc)) return DD_FAIL(err, DD_ERR_FORMAT, "%s: no JSON object", path);
    DD_TRY(dd_json_string(*doc, "schema", path, &schema, err));
    if (strcmp(schema, SCHEMA) != 0)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: its schema is '%.40s', not " SCHEMA, path, schema);
    DD_TRY(dd_json_int(*doc, "schema_version", SCHEMA_VERSION, SCHEMA_VERSION, path, &version, err));
    DD_TRY(dd_json_only_keys(*doc, keys, path, err));
    DD_TRY(dd_json_int(*doc, "images_done", 0, n, path, &s->done, err));
    DD_TRY(dd_json_int(*doc, "crc32", 0, UINT32_MAX, path, &crc, err));
    DD_TRY(dd_json_object(*doc, "settings", path, &settings, err));
    s->crc = (uint32_t)crc;
    s->settings = settings;
    return DD_OK;
}

/* Reals with the digits that a file has: what was written and read again is equal to itself. NULL: not there. */
static char *value_text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(9)) : NULL;
}

static dd_status same_field(const json_t *then, const json_t *now, const char *key, const char *path, dd_err *err)
{
    char *a = value_text(then, key), *b = value_text(now, key);
    dd_status st = DD_OK;
    if (!a || !b ? a != b : strcmp(a, b) != 0)
        st = DD_FAIL(err, DD_ERR_ARG, "%s: %s was %.*s when the set was begun and is %.*s now", path, key, SHOWN,
                     a ? a : "not set", SHOWN, b ? b : "not set");
    free(a);
    free(b);
    return st;
}

dd_status dd_npz_same_settings(json_t *then, json_t *now, const char *path, dd_err *err)
{
    for (void *it = json_object_iter(now); it; it = json_object_iter_next(now, it))
        DD_TRY(same_field(then, now, json_object_iter_key(it), path, err));
    for (void *it = json_object_iter(then); it; it = json_object_iter_next(then, it))
        DD_TRY(same_field(then, now, json_object_iter_key(it), path, err));
    return DD_OK;
}
