/* SPDX-License-Identifier: MIT
 * safetensors writer: same entries, same bytes, and nothing that our reader or the reference library would refuse. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "host/base/sizes.h"
#include "host/base/str.h"
#include "host/io/outfile.h"
#include "host/io/safetensors.h"
#include "host/io/tensors_internal.h"

#define MAX_HEADER 100000000u
#define META_KEY "__metadata__"

const char *dd_safetensors_dtype_name(dd_dtype t)
{
    switch (t) {
    case DD_F32: return "F32";
    case DD_F16: return "F16";
    case DD_BF16: return "BF16";
    case DD_F64: return "F64";
    case DD_I64: return "I64";
    case DD_I32: return "I32";
    case DD_U8: return "U8";
    case DD_TF32: break;
    }
    return NULL;
}

/* Large elements first: with a data section that starts at a multiple of 8, every tensor is aligned to its element. */
static int by_size_then_name(const void *a, const void *b)
{
    const dd_tensor_entry *x = *(const dd_tensor_entry *const *)a, *y = *(const dd_tensor_entry *const *)b;
    const size_t sx = dd_dtype_bytes(x->dtype), sy = dd_dtype_bytes(y->dtype);
    if (sx != sy) return sx > sy ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static dd_status out_of_memory(const char *path, dd_err *err)
{
    return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for the header", path);
}

/* The reader refuses duplicates whatever their dtype, so they are looked for by name alone. `names` is sorted here. */
static dd_status check_unique(const char *path, const char *what, const char **names, int n, dd_err *err)
{
    qsort(names, (size_t)n, sizeof *names, by_text);
    for (int i = 1; i < n; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            return DD_FAIL(err, DD_ERR_ARG, "%s: %s %s is given twice", path, what, names[i]);
    return DD_OK;
}

static bool legal_name(const char *name)
{
    if (!name || !*name || strlen(name) > DD_TENSOR_MAX_NAME || strcmp(name, META_KEY) == 0) return false;
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) return false;
    return true;
}

static dd_status entry_bytes(const char *path, const dd_tensor_entry *e, size_t *bytes, dd_err *err)
{
    if (!legal_name(e->name))
        return DD_FAIL(err, DD_ERR_ARG, "%s: tensor name \"%.80s\" cannot be written", path, e->name ? e->name : "");
    if (!dd_safetensors_dtype_name(e->dtype))
        return DD_FAIL(err, DD_ERR_ARG, "%s: tensor %s has no valid dtype", path, e->name);
    if (e->rank < 0 || e->rank > DD_TENSOR_MAX_RANK)
        return DD_FAIL(err, DD_ERR_ARG, "%s: tensor %s: rank %d, expected 0 to %d", path, e->name, e->rank,
                       DD_TENSOR_MAX_RANK);
    size_t n = 1;
    bool fits = true;
    for (int i = 0; i < e->rank; i++) {
        if (e->shape[i] < 0) return DD_FAIL(err, DD_ERR_ARG, "%s: tensor %s: shape[%d] is negative", path, e->name, i);
        fits = fits && (uint64_t)e->shape[i] <= SIZE_MAX && dd_mul_size(n, (size_t)e->shape[i], &n);
    }
    /* By bits, as readers count. */
    size_t bits;
    if (!fits || !dd_mul_size(n, 8 * dd_dtype_bytes(e->dtype), &bits))
        return DD_FAIL(err, DD_ERR_ARG, "%s: tensor %s: shape overflows the size of memory", path, e->name);
    if (bits > 0 && !e->data) return DD_FAIL(err, DD_ERR_ARG, "%s: tensor %s has no data", path, e->name);
    *bytes = bits / 8;
    return DD_OK;
}

static int add_chunk(const char *chunk, size_t n, void *text)
{
    dd_str *s = text;
    dd_str_addf(s, "%.*s", (int)n, chunk);
    return s->failed ? -1 : 0;
}

/* A JSON string literal, escaped by jansson. */
static dd_status add_quoted(dd_str *s, const char *path, const char *text, dd_err *err)
{
    if (!dd_utf8_valid(text))
        return DD_FAIL(err, DD_ERR_ARG, "%s: \"%.80s\" cannot be written: not valid UTF-8", path, text);
    json_t *value = json_string(text);
    if (!value) return out_of_memory(path, err);
    const int rc = json_dump_callback(value, add_chunk, s, JSON_ENCODE_ANY);
    json_decref(value);
    return rc == 0 ? DD_OK : out_of_memory(path, err);
}

static dd_status add_meta(dd_str *s, const char *path, const dd_text_pair *meta, int n, dd_err *err)
{
    const char **keys = malloc((size_t)n * sizeof *keys);
    if (!keys) return out_of_memory(path, err);
    dd_status st = DD_OK;
    for (int i = 0; i < n && st == DD_OK; i++) {
        keys[i] = meta[i].key;
        if (!meta[i].key || !meta[i].value)
            st = DD_FAIL(err, DD_ERR_ARG, "%s: metadata field %d is not given", path, i);
    }
    if (st == DD_OK) st = check_unique(path, "metadata field", keys, n, err);
    free(keys);
    if (st != DD_OK) return st;
    for (int i = 0; i < n; i++) {
        dd_str_add(s, i ? "," : "\"" META_KEY "\":{");
        DD_TRY(add_quoted(s, path, meta[i].key, err));
        dd_str_add(s, ":");
        DD_TRY(add_quoted(s, path, meta[i].value, err));
    }
    dd_str_add(s, "}");
    return DD_OK;
}

static dd_status add_tensors(dd_str *s, const char *path, const dd_tensor_entry *const *entries, int n, dd_err *err)
{
    size_t begin = 0, bytes, end;
    for (int i = 0; i < n; i++) {
        const dd_tensor_entry *e = entries[i];
        DD_TRY(entry_bytes(path, e, &bytes, err));
        if (!dd_add_size(begin, bytes, &end))
            return DD_FAIL(err, DD_ERR_ARG, "%s: the tensors together overflow", path);
        if (s->len > 1) dd_str_add(s, ",");
        DD_TRY(add_quoted(s, path, e->name, err));
        dd_str_addf(s, ":{\"dtype\":\"%s\",\"shape\":[", dd_safetensors_dtype_name(e->dtype));
        for (int k = 0; k < e->rank; k++) dd_str_addf(s, k ? ",%lld" : "%lld", (long long)e->shape[k]);
        dd_str_addf(s, "],\"data_offsets\":[%zu,%zu]}", begin, end);
        begin = end;
    }
    return DD_OK;
}

static dd_status build_header(dd_str *s, const char *path, const dd_tensor_entry *const *entries, int n,
                              const dd_text_pair *meta, int n_meta, dd_err *err)
{
    dd_str_add(s, "{");
    if (n_meta > 0) DD_TRY(add_meta(s, path, meta, n_meta, err));
    DD_TRY(add_tensors(s, path, entries, n, err));
    dd_str_add(s, "}");
    while (!s->failed && s->len % 8 != 0) dd_str_add(s, " ");
    if (s->failed) return out_of_memory(path, err);
    if (s->len > MAX_HEADER) return DD_FAIL(err, DD_ERR_ARG, "%s: header of %zu bytes is over the limit", path, s->len);
    return DD_OK;
}

static dd_status write_all(const char *path, const dd_str *header, const dd_tensor_entry *const *entries, int n,
                           dd_err *err)
{
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)header->len >> (8 * i));
    dd_outfile *f;
    DD_TRY(dd_outfile_open(&f, path, err));
    dd_status st;
    DD_TRY_GOTO(st, dd_outfile_write(f, length, sizeof length, err), fail);
    DD_TRY_GOTO(st, dd_outfile_write(f, header->data, header->len, err), fail);
    for (int i = 0; i < n; i++) {
        size_t bytes = 0;
        DD_TRY_GOTO(st, entry_bytes(path, entries[i], &bytes, err), fail);
        DD_TRY_GOTO(st, dd_outfile_write(f, entries[i]->data, bytes, err), fail);
    }
    return dd_outfile_commit(&f, err);
fail:
    dd_outfile_discard(&f);
    return st;
}

/* Refuses nameless entries before anything compares names. */
static dd_status sort_entries(const char *path, const dd_tensor_entry *entries, const dd_tensor_entry **sorted,
                              const char **names, int n, dd_err *err)
{
    for (int i = 0; i < n; i++) {
        size_t bytes;
        DD_TRY(entry_bytes(path, &entries[i], &bytes, err));
        sorted[i] = &entries[i];
        names[i] = entries[i].name;
    }
    DD_TRY(check_unique(path, "tensor", names, n, err));
    qsort(sorted, (size_t)n, sizeof *sorted, by_size_then_name);
    return DD_OK;
}

dd_status dd_safetensors_write(const char *path, const dd_tensor_entry *entries, int n, const dd_text_pair *meta,
                               int n_meta, dd_err *err)
{
    if (!path || !*path) return DD_FAIL(err, DD_ERR_ARG, "the name of the safetensors file is empty");
    if (n < 0 || n > DD_TENSORS_MAX || n_meta < 0 || n_meta > DD_TENSORS_MAX)
        return DD_FAIL(err, DD_ERR_ARG, "%s: %d tensors and %d metadata fields, the limit is %d", path, n, n_meta,
                       DD_TENSORS_MAX);
    dd_str header = {0};
    const dd_tensor_entry **sorted = calloc((size_t)n + 1, sizeof *sorted);
    const char **names = calloc((size_t)n + 1, sizeof *names);
    dd_status st = sorted && names ? DD_OK : out_of_memory(path, err);
    if (st == DD_OK) st = sort_entries(path, entries, sorted, names, n, err);
    if (st == DD_OK) st = build_header(&header, path, sorted, n, meta, n_meta, err);
    if (st == DD_OK) st = write_all(path, &header, sorted, n, err);
    dd_str_free(&header);
    free(names);
    free(sorted);
    return st;
}
