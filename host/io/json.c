/* SPDX-License-Identifier: MIT
 * JSON documents: whole files in, checked fields out. */
#define _POSIX_C_SOURCE 200809L
#include "host/io/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/str.h"

/* Reads to the end rather than asking for the size first, so that pipes work. */
static dd_status read_all(FILE *in, const char *path, char **text, size_t *size, dd_err *err)
{
    size_t cap = 1 << 14, n = 0;
    char *buf = malloc(cap);
    while (buf) {
        n += fread(buf + n, 1, cap - n, in);
        if (n < cap || n > DD_JSON_MAX_FILE) break;
        cap *= 2;
        char *grown = realloc(buf, cap);
        if (!grown) free(buf);
        buf = grown;
    }
    dd_status st = DD_OK;
    if (!buf) st = DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", path);
    else if (ferror(in)) st = DD_FAIL(err, DD_ERR_IO, "%s could not be read: %s", path, strerror(errno));
    else if (n > DD_JSON_MAX_FILE)
        st = DD_FAIL(err, DD_ERR_FORMAT, "%s is larger than %u bytes, the limit for JSON", path, DD_JSON_MAX_FILE);
    if (st != DD_OK) {
        free(buf);
        return st;
    }
    *text = buf;
    *size = n;
    return DD_OK;
}

dd_status dd_json_read_file(json_t **out, const char *path, dd_err *err)
{
    *out = NULL;
    FILE *in = fopen(path, "rb");
    if (!in) {
        const dd_status st = errno == ENOENT || errno == ENOTDIR ? DD_ERR_NOT_FOUND : DD_ERR_IO;
        return DD_FAIL(err, st, "%s cannot be opened: %s", path, strerror(errno));
    }
    char *text = NULL;
    size_t n = 0;
    dd_status st = read_all(in, path, &text, &n, err);
    fclose(in);
    if (st == DD_OK) st = dd_json_read_text(out, text, n, path, err);
    free(text);
    return st;
}

dd_status dd_json_read_text(json_t **out, const char *text, size_t n, const char *what, dd_err *err)
{
    *out = NULL;
    const char *nul = n ? memchr(text, '\0', n) : NULL; /* jansson overlooks one behind a number */
    if (nul) return DD_FAIL(err, DD_ERR_FORMAT, "%s: NUL byte at offset %zu", what, (size_t)(nul - text));
    json_error_t why;
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    if (*out) return DD_OK;
    /* Some failed allocations leave no report at all. */
    if (json_error_code(&why) == json_error_out_of_memory || !why.text[0])
        return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", what);
    return DD_FAIL(err, DD_ERR_FORMAT, "%s:%d:%d: %s", what, why.line, why.column, why.text);
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a fractional number";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    case JSON_NULL: return "null";
    }
    return "something else";
}

static dd_status field(const json_t *obj, const char *key, const char *where, json_t **out, dd_err *err)
{
    *out = NULL;
    if (!json_is_object(obj))
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: expected an object with a field \"%s\"", where, key);
    *out = json_object_get(obj, key);
    if (!*out) return DD_FAIL(err, DD_ERR_FORMAT, "%s: field \"%s\" is missing", where, key);
    return DD_OK;
}

static dd_status wrong_type(const json_t *value, const char *key, const char *where, const char *expected, dd_err *err)
{
    return DD_FAIL(err, DD_ERR_FORMAT, "%s: field \"%s\" is %s, expected %s", where, key, type_name(value), expected);
}

dd_status dd_json_int(const json_t *obj, const char *key, int64_t lo, int64_t hi, const char *where, int64_t *out,
                      dd_err *err)
{
    json_t *value;
    DD_TRY(field(obj, key, where, &value, err));
    if (!json_is_integer(value)) return wrong_type(value, key, where, "an integer", err);
    const int64_t v = json_integer_value(value);
    if (v < lo || v > hi)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: field \"%s\" is %lld, expected %lld to %lld", where, key, (long long)v,
                       (long long)lo, (long long)hi);
    *out = v;
    return DD_OK;
}

dd_status dd_json_string(const json_t *obj, const char *key, const char *where, const char **out, dd_err *err)
{
    json_t *value;
    DD_TRY(field(obj, key, where, &value, err));
    if (!json_is_string(value)) return wrong_type(value, key, where, "a string", err);
    *out = json_string_value(value);
    return DD_OK;
}

dd_status dd_json_bool(const json_t *obj, const char *key, const char *where, int *out, dd_err *err)
{
    json_t *value;
    DD_TRY(field(obj, key, where, &value, err));
    if (!json_is_boolean(value)) return wrong_type(value, key, where, "true or false", err);
    *out = json_is_true(value);
    return DD_OK;
}

dd_status dd_json_array(const json_t *obj, const char *key, const char *where, json_t **out, dd_err *err)
{
    json_t *value;
    DD_TRY(field(obj, key, where, &value, err));
    if (!json_is_array(value)) return wrong_type(value, key, where, "an array", err);
    *out = value;
    return DD_OK;
}

dd_status dd_json_object(const json_t *obj, const char *key, const char *where, json_t **out, dd_err *err)
{
    json_t *value;
    DD_TRY(field(obj, key, where, &value, err));
    if (!json_is_object(value)) return wrong_type(value, key, where, "an object", err);
    *out = value;
    return DD_OK;
}

dd_status dd_json_only_keys(const json_t *obj, const char *const *keys, const char *where, dd_err *err)
{
    if (!json_is_object(obj)) return DD_FAIL(err, DD_ERR_FORMAT, "%s: expected an object", where);
    /* The iterator takes a pointer to non-const, but reads only. */
    json_t *o = (json_t *)(uintptr_t)obj;
    for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
        const char *key = json_object_iter_key(it);
        int k = 0;
        while (keys[k] && strcmp(keys[k], key) != 0) k++;
        if (!keys[k]) return DD_FAIL(err, DD_ERR_FORMAT, "%s: field \"%s\" is not known", where, key);
    }
    return DD_OK;
}

static int add_chunk(const char *chunk, size_t n, void *text)
{
    dd_str *s = text;
    dd_str_addf(s, "%.*s", (int)n, chunk); /* chunks are tokens of a document in memory, far below INT_MAX */
    return s->failed ? -1 : 0;
}

/* By callback into our own buffer: json_dumps would return memory of whatever allocator the program gave jansson. */
dd_status dd_json_print(const json_t *doc, char **out, dd_err *err)
{
    dd_str s = {0};
    *out = NULL;
    if (!doc) return DD_FAIL(err, DD_ERR_INTERNAL, "no JSON document to print");
    if (json_dump_callback(doc, add_chunk, &s, JSON_INDENT(2) | JSON_REAL_PRECISION(9) | JSON_ENCODE_ANY) != 0) {
        dd_str_free(&s);
        return DD_FAIL(err, DD_ERR_NOMEM, "out of memory while printing JSON");
    }
    dd_str_add(&s, "\n");
    return dd_str_take(&s, out, err);
}
