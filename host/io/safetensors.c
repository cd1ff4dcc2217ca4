/* SPDX-License-Identifier: MIT
 * safetensors reader: maps the file, checks every rule of the format, and lists what is in it. Nothing in the file is
 * believed before it is checked: sizes are bounded before memory is taken, products and sums are computed without
 * overflow. */
#include "host/io/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "host/base/sizes.h"
#include "host/io/tensors_internal.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensor data is little-endian and is used in place"
#endif

#define MAX_HEADER 100000000u
#define MAX_COMMAS (16u * DD_TENSORS_MAX) /* a tensor of rank 8 takes 11; bounds what the JSON parser allocates */
#define META_KEY "__metadata__"

/* The file while it is being checked. */
typedef struct parser {
    dd_tensors *f;
    const char *header;
    size_t header_bytes;
    const unsigned char *data;
    size_t data_bytes;
    dd_err *err;
} parser;

typedef struct legal_dtype {
    const char *name;
    unsigned bits;
    bool known;
    dd_dtype dtype;
} legal_dtype;

static const legal_dtype legal_dtypes[] = {
    {"F32", 32, true, DD_F32},
    {"F16", 16, true, DD_F16},
    {"BF16", 16, true, DD_BF16},
    {"F64", 64, true, DD_F64},
    {"I64", 64, true, DD_I64},
    {"I32", 32, true, DD_I32},
    {"U8", 8, true, DD_U8},
    {"BOOL", 8, false, DD_F32},
    {"I8", 8, false, DD_F32},
    {"I16", 16, false, DD_F32},
    {"U16", 16, false, DD_F32},
    {"U32", 32, false, DD_F32},
    {"U64", 64, false, DD_F32},
    {"C64", 64, false, DD_F32},
    {"F4", 4, false, DD_F32},
    {"F6_E2M3", 6, false, DD_F32},
    {"F6_E3M2", 6, false, DD_F32},
    {"F8_E5M2", 8, false, DD_F32},
    {"F8_E4M3", 8, false, DD_F32},
    {"F8_E8M0", 8, false, DD_F32},
    {"F8_E4M3FNUZ", 8, false, DD_F32},
    {"F8_E5M2FNUZ", 8, false, DD_F32},
};

/* Finds the header and the data section. */
static dd_status split(parser *p)
{
    const unsigned char *b = p->f->map;
    const char *path = p->f->path;
    if (p->f->bytes < 8)
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: %zu bytes are too few for a safetensors file", path, p->f->bytes);
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | b[i];
    if (n > MAX_HEADER)
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: header length %llu is over the limit of %u: no safetensors file?",
                       path, (unsigned long long)n, MAX_HEADER);
    if (n > p->f->bytes - 8)
        return DD_FAIL(p->err, DD_ERR_FORMAT,
                       "%s: header length %llu reaches past the end of the file (%zu bytes): cut off?", path,
                       (unsigned long long)n, p->f->bytes);
    p->header = (const char *)b + 8;
    p->header_bytes = (size_t)n;
    p->data = b + 8 + n;
    p->data_bytes = p->f->bytes - 8 - (size_t)n;
    if (n == 0 || p->header[0] != '{')
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: header does not begin with '{': no safetensors file?", path);
    return DD_OK;
}

/* What a pass over the header's text finds out, without understanding JSON beyond strings and nesting. */
typedef struct outline {
    size_t n_keys, n_commas; /* keys of the outermost object; commas anywhere outside strings */
    const char *key;         /* the last such key, raw, or NULL */
    size_t key_bytes;
} outline;

static outline scan(const char *s, size_t n)
{
    outline o = {0};
    const char *start = NULL; /* of the last string */
    size_t length = 0;
    int depth = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '"') {
            start = s + ++i;
            while (i < n && s[i] != '"') i += s[i] == '\\' ? 2 : 1;
            length = (size_t)((i < n ? s + i : s + n) - start);
            continue;
        }
        if (s[i] == '{' || s[i] == '[') depth++;
        if (s[i] == '}' || s[i] == ']') depth--;
        if (s[i] == ',') o.n_commas++;
        if (s[i] == ':' && depth == 1) {
            o.n_keys++;
            o.key = start;
            o.key_bytes = length;
        }
    }
    return o;
}

/* The JSON library knows a position only; users need the tensor. */
static dd_status bad_json(const parser *p, size_t at, const char *why)
{
    const outline o = scan(p->header, at < p->header_bytes ? at : p->header_bytes);
    if (!o.key)
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: header is not valid JSON at byte %zu: %s", p->f->path, at, why);
    const int shown = o.key_bytes < DD_TENSOR_MAX_NAME ? (int)o.key_bytes : DD_TENSOR_MAX_NAME;
    return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: header is not valid JSON at byte %zu, in or after tensor %.*s: %s",
                   p->f->path, at, shown, o.key, why);
}

static dd_status parse_json(parser *p)
{
    const outline o = scan(p->header, p->header_bytes);
    if (o.n_keys > DD_TENSORS_MAX + 1)
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: %zu tensors, more than the limit of %d", p->f->path, o.n_keys,
                       DD_TENSORS_MAX);
    if (o.n_commas > MAX_COMMAS)
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: header lists more values than %d tensors need", p->f->path,
                       DD_TENSORS_MAX);
    /* jansson overlooks a NUL behind a number. */
    const char *nul = memchr(p->header, '\0', p->header_bytes);
    if (nul) return bad_json(p, (size_t)(nul - p->header), "NUL byte");
    json_error_t why;
    p->f->doc = json_loadb(p->header, p->header_bytes, JSON_REJECT_DUPLICATES, &why);
    if (p->f->doc) return DD_OK;
    /* Some failed allocations leave no report at all. */
    if (json_error_code(&why) == json_error_out_of_memory || !why.text[0])
        return DD_FAIL(p->err, DD_ERR_NOMEM, "%s: out of memory for the header", p->f->path);
    return bad_json(p, why.position > 0 ? (size_t)why.position : 0, why.text);
}

static bool has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) return true;
    return false;
}

static dd_status check_name(const parser *p, const char *name)
{
    const size_t n = strlen(name);
    if (n == 0) return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: a tensor has an empty name", p->f->path);
    if (n > DD_TENSOR_MAX_NAME)
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: tensor %.40s...: name of %zu bytes is over the limit of %d",
                       p->f->path, name, n, DD_TENSOR_MAX_NAME);
    if (has_control(name))
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: tensor %s: name holds a control character", p->f->path, name);
    return DD_OK;
}

static dd_status parse_dtype(const parser *p, const json_t *entry, dd_tensor *t, unsigned *bits)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    if (!name)
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: tensor %s: dtype is missing or no string", p->f->path, t->name);
    for (size_t i = 0; i < sizeof legal_dtypes / sizeof *legal_dtypes; i++) {
        const legal_dtype *d = &legal_dtypes[i];
        if (strcmp(name, d->name) != 0) continue;
        t->dtype_name = d->name;
        t->known = d->known;
        t->dtype = d->dtype;
        *bits = d->bits;
        return DD_OK;
    }
    return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: tensor %s: dtype \"%.40s\" is not one of the format's", p->f->path,
                   t->name, name);
}

/* Fills shape, rank and count, and *bytes, what shape and dtype ask for. */
static dd_status parse_shape(const parser *p, const json_t *entry, dd_tensor *t, unsigned bits, size_t *bytes)
{
    const char *path = p->f->path;
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: tensor %s: shape is missing or no list", path, t->name);
    if (json_array_size(shape) > DD_TENSOR_MAX_RANK)
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: tensor %s: rank %zu is over the limit of %d", path, t->name,
                       json_array_size(shape), DD_TENSOR_MAX_RANK);
    t->rank = (int)json_array_size(shape);
    size_t count = 1, total = 0;
    bool fits = true;
    for (int i = 0; i < t->rank; i++) {
        const json_t *extent = json_array_get(shape, (size_t)i);
        if (!json_is_integer(extent) || json_integer_value(extent) < 0)
            return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: tensor %s: shape[%d] is not a non-negative integer", path,
                           t->name, i);
        t->shape[i] = json_integer_value(extent);
        fits = fits && (uint64_t)t->shape[i] <= SIZE_MAX && dd_mul_size(count, (size_t)t->shape[i], &count);
    }
    fits = fits && count <= INT64_MAX && dd_mul_size(count, bits, &total);
    if (!fits)
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: tensor %s: shape overflows the size of memory", path, t->name);
    if (total % 8 != 0)
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: tensor %s: %zu elements of %s are not a whole number of bytes", path,
                       t->name, count, t->dtype_name);
    t->count = (int64_t)count;
    *bytes = total / 8;
    return DD_OK;
}

static dd_status parse_tensor(const parser *p, const char *name, const json_t *entry, dd_tensor *t)
{
    const char *path = p->f->path;
    unsigned bits = 0;
    size_t bytes = 0;
    DD_TRY(check_name(p, name));
    t->name = name;
    if (!json_is_object(entry)) return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: tensor %s: entry is no object", path, name);
    DD_TRY(parse_dtype(p, entry, t, &bits));
    DD_TRY(parse_shape(p, entry, t, bits, &bytes));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: tensor %s: data_offsets is missing or not two integers", path, name);
    const json_int_t b = json_integer_value(begin), e = json_integer_value(end);
    if (b < 0 || e < b || (uintmax_t)e > p->data_bytes)
        return DD_FAIL(p->err, DD_ERR_FORMAT,
                       "%s: tensor %s: data_offsets [%lld, %lld] lie outside the %zu bytes of data", path, name,
                       (long long)b, (long long)e, p->data_bytes);
    if ((size_t)(e - b) != bytes)
        return DD_FAIL(p->err, DD_ERR_FORMAT,
                       "%s: tensor %s: data_offsets span %lld bytes, but shape and dtype need %zu", path, name,
                       (long long)(e - b), bytes);
    t->bytes = bytes;
    t->data = p->data + b; /* kept for empty tensors too until the order is checked */
    return DD_OK;
}

static dd_status parse_meta(parser *p, json_t *meta)
{
    dd_tensors *f = p->f;
    if (!json_is_object(meta)) return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: " META_KEY " is no object", f->path);
    f->meta = calloc(json_object_size(meta) + 1, sizeof *f->meta);
    if (!f->meta) return DD_FAIL(p->err, DD_ERR_NOMEM, "%s: out of memory for the metadata", f->path);
    const char *key;
    json_t *value;
    json_object_foreach(meta, key, value)
    {
        if (!json_is_string(value))
            return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: " META_KEY " field \"%.80s\" is no string", f->path, key);
        f->meta[f->n_meta++] = (dd_text_pair){key, json_string_value(value)};
    }
    return DD_OK;
}

static dd_status parse_entries(parser *p)
{
    dd_tensors *f = p->f;
    json_t *meta = json_object_get(f->doc, META_KEY);
    if (meta) DD_TRY(parse_meta(p, meta));
    const size_t n = json_object_size(f->doc) - (meta ? 1 : 0);
    if (n > DD_TENSORS_MAX)
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: %zu tensors, more than the limit of %d", f->path, n, DD_TENSORS_MAX);
    f->tensors = calloc(n + 1, sizeof *f->tensors);
    if (!f->tensors) return DD_FAIL(p->err, DD_ERR_NOMEM, "%s: out of memory for %zu tensors", f->path, n);
    const char *name;
    json_t *entry;
    json_object_foreach(f->doc, name, entry)
    {
        if (entry == meta) continue;
        DD_TRY(parse_tensor(p, name, entry, &f->tensors[f->n_tensors]));
        f->n_tensors++;
    }
    return DD_OK;
}

/* By address, empty ones first where they share it. */
static int by_place(const void *a, const void *b)
{
    const dd_tensor *x = a, *y = b;
    const uintptr_t px = (uintptr_t)x->data, py = (uintptr_t)y->data;
    if (px != py) return px < py ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* The tensors must cover the data section without hole or overlap: bytes that no tensor owns could hide anything. */
static dd_status check_places(const parser *p)
{
    dd_tensors *f = p->f;
    qsort(f->tensors, (size_t)f->n_tensors, sizeof *f->tensors, by_place);
    size_t end = 0;
    for (int i = 0; i < f->n_tensors; i++) {
        const dd_tensor *t = &f->tensors[i];
        const size_t begin = (size_t)((const unsigned char *)t->data - p->data);
        if (begin < end)
            return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: tensor %s: data_offsets overlap those of tensor %s", f->path,
                           t->name, f->tensors[i - 1].name);
        if (begin > end)
            return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: tensor %s: data begins at %zu, leaving a hole after %zu",
                           f->path, t->name, begin, end);
        end += t->bytes;
    }
    if (end != p->data_bytes)
        return DD_FAIL(p->err, DD_ERR_FORMAT, "%s: tensors end at byte %zu of the data, but there are %zu", f->path,
                       end, p->data_bytes);
    for (int i = 0; i < f->n_tensors; i++)
        if (f->tensors[i].count == 0) f->tensors[i].data = NULL;
    qsort(f->tensors, (size_t)f->n_tensors, sizeof *f->tensors, dd_tensor_by_name);
    return DD_OK;
}

dd_status dd_safetensors_read(dd_tensors *f, dd_err *err)
{
    parser p = {.f = f, .err = err};
    f->format = "safetensors";
    DD_TRY(split(&p));
    DD_TRY(parse_json(&p));
    DD_TRY(parse_entries(&p));
    return check_places(&p);
}

dd_status dd_safetensors_open(dd_tensors **out, const char *path, dd_err *err)
{
    DD_TRY(dd_tensors_map(out, path, "safetensors file", err));
    const dd_status st = dd_safetensors_read(*out, err);
    if (st != DD_OK) dd_tensors_close(out);
    return st;
}
