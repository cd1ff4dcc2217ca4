/* SPDX-License-Identifier: MIT
 * The file is one JSON object: {"schema": "dydit-tune", "schema_version": 1, "devices": [{key..., "gemms": [...]}]}. */
#include "host/exec/tune_cache.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/io/json.h"
#include "host/io/outfile.h"

#define SCHEMA "dydit-tune"
#define SCHEMA_VERSION 2   /* 1: without wgmma_us, and library_us is always there */
#define MAX_SIZE INT32_MAX /* of m, n and k */
#define MAX_WHERE 512

const char *dd_epilogue_name(dd_epilogue e)
{
    switch (e) {
    case DD_EPI_BIAS: return "bias";
    case DD_EPI_GELU: return "gelu";
    case DD_EPI_RESIDUAL: return "residual";
    }
    return "?";
}

/* ---- where ---- */

static dd_status make_folder(const char *path, dd_err *err)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return DD_OK;
    return DD_FAIL(err, DD_ERR_IO, "folder %s cannot be made: %s", path, strerror(errno));
}

dd_status dd_tune_path(char *path, size_t size, bool make, dd_err *err)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;
    if (xdg && xdg[0] == '/')
        n = snprintf(path, size, "%s", xdg); /* others are to be ignored, says its specification */
    else if (home && home[0] == '/') n = snprintf(path, size, "%s/.cache", home);
    else return DD_FAIL(err, DD_ERR_NOT_FOUND, "neither XDG_CACHE_HOME nor HOME names a folder for measurements");
    static const char folder[] = "/dydit", file[] = "/tune.json";
    if (n < 0 || (size_t)n + sizeof folder + sizeof file > size)
        return DD_FAIL(err, DD_ERR_ARG, "the folder for measurements has too long a name");
    if (make) DD_TRY(make_folder(path, err));
    memcpy(path + n, folder, sizeof folder);
    if (make) DD_TRY(make_folder(path, err));
    memcpy(path + n + sizeof folder - 1, file, sizeof file);
    return DD_OK;
}

/* ---- one GEMM ---- */

static const char *const time_name[DD_BY_COUNT] = {"own_us", "library_us", "wgmma_us"};

json_t *dd_tuned_doc(const dd_tuned *t)
{
    const dd_gemm_shape *s = &t->shape;
    json_t *doc = json_object();
    json_object_set_new(doc, "m", json_integer(s->m));
    json_object_set_new(doc, "n", json_integer(s->n));
    json_object_set_new(doc, "k", json_integer(s->k));
    json_object_set_new(doc, "input", json_string(dd_format_name(s->input)));
    json_object_set_new(doc, "output", json_string(dd_format_name(s->output)));
    json_object_set_new(doc, "epilogue", json_string(dd_epilogue_name(s->epilogue)));
    json_object_set_new(doc, "sliced", json_boolean(s->sliced));
    for (int by = 0; by < DD_BY_COUNT; by++)
        if (t->times.us[by] >= 0) json_object_set_new(doc, time_name[by], json_real(t->times.us[by]));
    return doc;
}

static dd_status read_format(const json_t *doc, const char *key, const char *where, dd_format *out, dd_err *err)
{
    const char *name;
    DD_TRY(dd_json_string(doc, key, where, &name, err));
    for (int f = 0; dd_format_name((dd_format)f)[0] != '?'; f++)
        if (strcmp(name, dd_format_name((dd_format)f)) == 0) {
            *out = (dd_format)f;
            return DD_OK;
        }
    return DD_FAIL(err, DD_ERR_FORMAT, "%s: %s '%.40s' is no format", where, key, name);
}

/* Who cannot do a GEMM has no time of it. */
static dd_status read_us(const json_t *doc, dd_gemm_by by, const char *where, double *out, dd_err *err)
{
    const char *key = time_name[by];
    const json_t *v = json_object_get(doc, key);
    *out = v ? json_number_value(v) : -1;
    if (!v && by != DD_BY_OWN) return DD_OK;
    if (json_is_number(v) && isfinite(*out) && *out >= 0) return DD_OK;
    return DD_FAIL(err, DD_ERR_FORMAT, "%s: %s is no time", where, key);
}

static dd_status read_gemm(const json_t *doc, const char *where, dd_tuned *t, dd_err *err)
{
    const char *epilogue;
    int e = DD_EPI_BIAS, sliced;
    if (!json_is_object(doc)) return DD_FAIL(err, DD_ERR_FORMAT, "%s is no object", where);
    DD_TRY(dd_json_int(doc, "m", 1, MAX_SIZE, where, &t->shape.m, err));
    DD_TRY(dd_json_int(doc, "n", 1, MAX_SIZE, where, &t->shape.n, err));
    DD_TRY(dd_json_int(doc, "k", 1, MAX_SIZE, where, &t->shape.k, err));
    DD_TRY(read_format(doc, "input", where, &t->shape.input, err));
    DD_TRY(read_format(doc, "output", where, &t->shape.output, err));
    DD_TRY(dd_json_string(doc, "epilogue", where, &epilogue, err));
    while (e <= DD_EPI_RESIDUAL && strcmp(epilogue, dd_epilogue_name((dd_epilogue)e)) != 0) e++;
    if (e > DD_EPI_RESIDUAL) return DD_FAIL(err, DD_ERR_FORMAT, "%s: epilogue '%.40s' is not known", where, epilogue);
    t->shape.epilogue = (dd_epilogue)e;
    DD_TRY(dd_json_bool(doc, "sliced", where, &sliced, err));
    t->shape.sliced = sliced != 0;
    for (int by = 0; by < DD_BY_COUNT; by++) DD_TRY(read_us(doc, (dd_gemm_by)by, where, &t->times.us[by], err));
    return DD_OK;
}

/* ---- the devices ---- */

typedef struct field {
    const char *name;
    const char *value;
} field;

#define FIELDS 5
static void key_fields(const dd_tune_key *k, field f[FIELDS])
{
    f[0] = (field){"device", k->device};
    f[1] = (field){"capability", k->capability};
    f[2] = (field){"driver", k->driver};
    f[3] = (field){"dydit", k->dydit};
    f[4] = (field){"library", k->library};
}

/* *same: all fields are equal; *device: at least the first is. */
static dd_status compare_key(const json_t *doc, const dd_tune_key *key, const char *where, bool *device, bool *same,
                             dd_err *err)
{
    field f[FIELDS];
    key_fields(key, f);
    *same = true;
    for (int i = 0; i < FIELDS; i++) {
        const char *value;
        DD_TRY(dd_json_string(doc, f[i].name, where, &value, err));
        if (strcmp(value, f[i].value) != 0) *same = false;
        if (i == 0) *device = *same;
    }
    return DD_OK;
}

static dd_status read_gemms(const json_t *doc, const char *where, dd_tune_list *out, dd_err *err)
{
    json_t *gemms;
    char what[MAX_WHERE + 32];
    DD_TRY(dd_json_array(doc, "gemms", where, &gemms, err));
    const size_t n = json_array_size(gemms);
    if (n > INT32_MAX / sizeof *out->at) return DD_FAIL(err, DD_ERR_FORMAT, "%s has too many GEMMs", where);
    dd_tuned *at = calloc(n + 1, sizeof *at);
    if (!at) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", where);
    free(out->at);
    *out = (dd_tune_list){at, (int)n};
    for (size_t i = 0; i < n; i++) {
        snprintf(what, sizeof what, "%s.gemms[%zu]", where, i);
        DD_TRY(read_gemm(json_array_get(gemms, i), what, &at[i], err));
    }
    return DD_OK;
}

/* The array of devices of a file; *doc owns it. NULL: there is no such file. */
static dd_status read_devices(json_t **doc, json_t **devices, const char *path, dd_err *err)
{
    dd_err local = {0};
    const char *schema;
    int64_t version;
    *devices = NULL;
    const dd_status st = dd_json_read_file(doc, path, &local);
    if (st == DD_ERR_NOT_FOUND) return DD_OK;
    if (st != DD_OK) return dd_err_set(err, st, local.file, local.line, "%s", local.text);
    if (!json_is_object(*doc)) return DD_FAIL(err, DD_ERR_FORMAT, "%s is no file of measurements", path);
    DD_TRY(dd_json_string(*doc, "schema", path, &schema, err));
    DD_TRY(dd_json_int(*doc, "schema_version", 1, SCHEMA_VERSION, path, &version, err));
    if (strcmp(schema, SCHEMA) != 0)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: schema is '%.40s', not '%s'", path, schema, SCHEMA);
    return dd_json_array(*doc, "devices", path, devices, err);
}

/* Entries of the key into out. Stale entries of the device are counted and, with drop, taken out of the array like those of
 * the key. */
static dd_status scan(json_t *devices, const char *path, const dd_tune_key *key, bool drop, dd_tune_list *out,
                      int *n_stale, dd_err *err)
{
    char where[MAX_WHERE];
    *n_stale = 0;
    for (size_t i = 0; i < json_array_size(devices);) {
        const json_t *doc = json_array_get(devices, i);
        bool device = false, same = false;
        snprintf(where, sizeof where, "%.400s: devices[%zu]", path, i);
        if (!json_is_object(doc)) return DD_FAIL(err, DD_ERR_FORMAT, "%s is no object", where);
        DD_TRY(compare_key(doc, key, where, &device, &same, err));
        if (same) DD_TRY(read_gemms(doc, where, out, err));
        *n_stale += device && !same;
        if (drop && device) json_array_remove(devices, i);
        else i++;
    }
    return DD_OK;
}

void dd_tune_list_fini(dd_tune_list *l)
{
    free(l->at);
    *l = (dd_tune_list){0};
}

dd_status dd_tune_read(dd_tune_list *out, const char *path, const dd_tune_key *key, char *stale, dd_err *err)
{
    json_t *doc = NULL, *devices;
    int n_stale = 0;
    *out = (dd_tune_list){0};
    stale[0] = 0;
    dd_status st = read_devices(&doc, &devices, path, err);
    if (st == DD_OK && devices) st = scan(devices, path, key, false, out, &n_stale, err);
    json_decref(doc);
    if (st != DD_OK) dd_tune_list_fini(out);
    else if (n_stale && !out->n)
        snprintf(stale, DD_ERR_TEXT, "%.400s holds times of %.100s by another driver, dydit or library: run dydit tune",
                 path, key->device);
    return st;
}

/* ---- writing ---- */

bool dd_tune_has(const dd_tune_list *l, const dd_gemm_shape *shape)
{
    for (int i = 0; i < l->n; i++)
        if (dd_gemm_shape_equal(&l->at[i].shape, shape)) return true;
    return false;
}

static json_t *device_doc(const dd_tune_key *key, const dd_tune_list *before, const dd_tune_list *l)
{
    field f[FIELDS];
    json_t *doc = json_object(), *gemms = json_array();
    key_fields(key, f);
    for (int i = 0; i < FIELDS; i++) json_object_set_new(doc, f[i].name, json_string(f[i].value));
    for (int i = 0; i < before->n; i++)
        if (!dd_tune_has(l, &before->at[i].shape)) json_array_append_new(gemms, dd_tuned_doc(&before->at[i]));
    for (int i = 0; i < l->n; i++) json_array_append_new(gemms, dd_tuned_doc(&l->at[i]));
    json_object_set_new(doc, "gemms", gemms);
    return doc;
}

dd_status dd_tune_write(const char *path, const dd_tune_key *key, const dd_tune_list *l, dd_err *err)
{
    json_t *doc = NULL, *devices;
    dd_tune_list before = {0};
    char *text = NULL;
    int n_stale;
    dd_status st = read_devices(&doc, &devices, path, err);
    if (st == DD_OK && !devices) {
        doc = json_object();
        devices = json_array();
        json_object_set_new(doc, "schema", json_string(SCHEMA));
        json_object_set_new(doc, "schema_version", json_integer(SCHEMA_VERSION));
        json_object_set_new(doc, "devices", devices);
    }
    if (st == DD_OK) st = scan(devices, path, key, true, &before, &n_stale, err);
    if (st == DD_OK) {
        json_object_set_new(doc, "schema_version", json_integer(SCHEMA_VERSION)); /* of an older file, too */
        json_array_append_new(devices, device_doc(key, &before, l));
        st = dd_json_print(doc, &text, err);
    }
    if (st == DD_OK) st = dd_outfile_text(path, text, err);
    free(text);
    dd_tune_list_fini(&before);
    json_decref(doc);
    return st;
}
