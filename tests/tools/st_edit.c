/* SPDX-License-Identifier: MIT
 * Makes broken and derived safetensors files for the shell tests.
 *     st_edit IN OUT EDIT ...     edits are applied in order; see the table at the end */
#define _XOPEN_SOURCE 700 /* strdup */
#include <math.h>

#include "tests/tools/st_file.h"

#define MAX_TENSORS 4096

typedef struct st {
    st_file f;
    char *text;         /* header as it will be written, once an edit says so */
    json_int_t claimed; /* header size as it will be written; -1: the true one */
    json_int_t keep;    /* bytes of the whole file that are written; -1: all */
    json_int_t append;  /* zero bytes after the end */
} st;

static void set_offsets(json_t *t, size_t begin, size_t end)
{
    json_object_set_new(t, "data_offsets", json_pack("[II]", (json_int_t)begin, (json_int_t)end));
}

static json_t *parse_shape(const char *text, size_t *count)
{
    json_t *shape = json_array();
    *count = 1;
    for (char *end; *text; text = *end ? end + 1 : end) {
        const json_int_t v = strtoll(text, &end, 10);
        if (end == text) die("%s is not a shape", text);
        *count *= (size_t)v;
        json_array_append_new(shape, json_integer(v));
    }
    return shape;
}

static void set_element(unsigned char *at, const char *dtype, double v)
{
    const float f = (float)v;
    if (strcmp(dtype, "F32") == 0) {
        memcpy(at, &f, 4);
    } else if (strcmp(dtype, "BF16") == 0) {
        memcpy(at, (const unsigned char *)&f + 2, 2);
    } else if (strcmp(dtype, "F64") == 0) {
        memcpy(at, &v, 8);
    } else {
        die("cannot write %s", dtype);
    }
}

static int by_offset(const void *a, const void *b)
{
    const size_t x = offset(*(json_t *const *)a, 0), y = offset(*(json_t *const *)b, 0);
    return (x > y) - (x < y);
}

/* Lays all tensors out again. The tensor `changed` (or NULL) gets n bytes from `bytes`, zeros beyond n_bytes. */
static void repack(st *s, const json_t *changed, const unsigned char *bytes, size_t n_bytes, size_t n)
{
    json_t *list[MAX_TENSORS], *t;
    const char *name;
    int count = 0;
    size_t total = 0;
    json_object_foreach(s->f.header, name, t)
    {
        if (strcmp(name, "__metadata__") == 0 || count == MAX_TENSORS) continue;
        list[count++] = t;
        total += t == changed ? n : offset(t, 1) - offset(t, 0);
    }
    qsort(list, (size_t)count, sizeof list[0], by_offset);
    unsigned char *to = must(calloc(total + 1, 1));
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        const size_t begin = offset(list[i], 0), len = list[i] == changed ? n : offset(list[i], 1) - begin;
        const size_t have = list[i] == changed ? (n_bytes < n ? n_bytes : n) : len;
        if (have > 0) memcpy(to + at, list[i] == changed ? bytes : s->f.data + begin, have);
        set_offsets(list[i], at, at + len);
        at += len;
    }
    free(s->f.data);
    s->f.data = to;
    s->f.n_data = total;
}

static void e_set_meta(st *s, char **a)
{
    if (!json_object_get(s->f.header, "__metadata__")) json_object_set_new(s->f.header, "__metadata__", json_object());
    json_object_set_new(json_object_get(s->f.header, "__metadata__"), a[0], json_string(a[1]));
}

static void e_drop_meta(st *s, char **a) { json_object_del(json_object_get(s->f.header, "__metadata__"), a[0]); }

static void e_drop(st *s, char **a)
{
    tensor(&s->f, a[0]);
    json_object_del(s->f.header, a[0]);
    repack(s, NULL, NULL, 0, 0);
}

static void e_rename(st *s, char **a)
{
    json_object_set(s->f.header, a[1], tensor(&s->f, a[0]));
    json_object_del(s->f.header, a[0]);
}

static void e_copy(st *s, char **a)
{
    const json_t *from = tensor(&s->f, a[0]);
    const size_t begin = offset(from, 0), n = offset(from, 1) - begin;
    unsigned char *bytes = must(malloc(n + 1));
    memcpy(bytes, s->f.data + begin, n);
    json_t *t = json_deep_copy(from);
    set_offsets(t, s->f.n_data, s->f.n_data);
    json_object_set_new(s->f.header, a[1], t);
    repack(s, t, bytes, n, n);
    free(bytes);
}

/* Value v into the last element, or into all. */
static void write_value(st *s, const char *name, double v, int all)
{
    const json_t *t = tensor(&s->f, name);
    const size_t size = dtype_size(t), end = offset(t, 1);
    for (size_t at = all ? offset(t, 0) : end - size; at + size <= end; at += size) {
        set_element(s->f.data + at, json_string_value(json_object_get(t, "dtype")), v);
    }
}

static void e_nan(st *s, char **a) { write_value(s, a[0], (double)NAN, 0); }
static void e_inf(st *s, char **a) { write_value(s, a[0], (double)INFINITY, 0); }
static void e_fill(st *s, char **a) { write_value(s, a[0], strtod(a[1], NULL), 1); }

static void e_reshape(st *s, char **a)
{
    size_t count;
    json_object_set_new(tensor(&s->f, a[0]), "shape", parse_shape(a[1], &count));
}

static void e_dtype(st *s, char **a) { json_object_set_new(tensor(&s->f, a[0]), "dtype", json_string(a[1])); }

static void e_offsets(st *s, char **a)
{
    json_object_set_new(tensor(&s->f, a[0]), "data_offsets", json_pack("[II]", number(a[1]), number(a[2])));
}

static void e_resize(st *s, char **a)
{
    size_t count;
    json_t *t = tensor(&s->f, a[0]);
    const size_t begin = offset(t, 0), n = offset(t, 1) - begin;
    json_object_set_new(t, "shape", parse_shape(a[1], &count));
    unsigned char *bytes = must(malloc(n + 1));
    memcpy(bytes, s->f.data + begin, n);
    repack(s, t, bytes, n, count * dtype_size(t));
    free(bytes);
}

static void e_rows(st *s, char **a)
{
    json_t *t = tensor(&s->f, a[0]), *shape = json_object_get(t, "shape");
    const size_t begin = offset(t, 0), n = offset(t, 1) - begin;
    const json_int_t rows = json_integer_value(json_array_get(shape, 0)), first = number(a[1]), count = number(a[2]);
    if (first < 0 || count < 0 || rows <= 0 || first + count > rows) die("%s has %d rows", a[0], (int)rows);
    const size_t row = n / (size_t)rows, len = row * (size_t)count;
    unsigned char *bytes = must(malloc(len + 1));
    memcpy(bytes, s->f.data + begin + row * (size_t)first, len);
    json_array_set_new(shape, 0, json_integer(count));
    repack(s, t, bytes, len, len);
    free(bytes);
}

static void e_raw_header(st *s, char **a) { s->text = must(strdup(a[0])); }
static void e_header_size(st *s, char **a) { s->claimed = number(a[0]); }
static void e_truncate(st *s, char **a) { s->keep = number(a[0]); }
static void e_append(st *s, char **a) { s->append = number(a[0]); }
static void e_twice(st *s, char **a)
{
    char *all = must(json_dumps(s->f.header, JSON_COMPACT)), *one = must(json_dumps(tensor(&s->f, a[0]), JSON_COMPACT));
    const size_t size = strlen(all) + strlen(one) + strlen(a[0]) + 8;
    s->text = must(malloc(size));
    snprintf(s->text, size, "%.*s,\"%s\":%s}", (int)(strlen(all) - 1), all, a[0], one);
    free(all);
    free(one);
}

static void write_file(st *s, const char *path)
{
    FILE *f = fopen(path, "wb");
    if (!f) die("%s: %s", path, strerror(errno));
    char *text = s->text ? s->text : must(json_dumps(s->f.header, JSON_COMPACT));
    const size_t n = strlen(text), pad = s->text ? 0 : (8 - n % 8) % 8, total = 8 + n + pad + s->f.n_data;
    const uint64_t claimed = s->claimed >= 0 ? (uint64_t)s->claimed : n + pad;
    unsigned char *all = must(malloc(total + 1));
    for (int i = 0; i < 8; i++) all[i] = (unsigned char)(claimed >> (8 * i));
    memcpy(all + 8, text, n);
    memset(all + 8 + n, ' ', pad);
    memcpy(all + 8 + n + pad, s->f.data, s->f.n_data);
    fwrite(all, 1, s->keep >= 0 && (size_t)s->keep < total ? (size_t)s->keep : total, f);
    for (json_int_t i = 0; i < s->append; i++) fputc(0, f);
    free(all);
    free(text);
    if (ferror(f) || fclose(f) != 0) die("%s: %s", path, strerror(errno));
}

static const struct {
    const char *name;
    int n_args;
    void (*apply)(st *s, char **args);
} edits[] = {
    {"set-meta", 2, e_set_meta},   /* KEY VALUE */
    {"drop-meta", 1, e_drop_meta}, /* KEY */
    {"drop", 1, e_drop},           /* TENSOR */
    {"rename", 2, e_rename},       /* TENSOR NEW */
    {"copy", 2, e_copy},           /* TENSOR NEW */
    {"nan", 1, e_nan},             /* TENSOR: its last element; inf likewise */
    {"inf", 1, e_inf},
    {"fill", 2, e_fill},             /* TENSOR VALUE */
    {"reshape", 2, e_reshape},       /* TENSOR 1,2,3: in the header only */
    {"dtype", 2, e_dtype},           /* TENSOR F16: in the header only */
    {"offsets", 3, e_offsets},       /* TENSOR BEGIN END: in the header only */
    {"resize", 2, e_resize},         /* TENSOR 1,2,3: data cut, or continued with zeros */
    {"rows", 3, e_rows},             /* TENSOR FIRST COUNT: these of the first axis remain */
    {"raw-header", 1, e_raw_header}, /* JSON */
    {"header-size", 1, e_header_size},
    {"twice", 1, e_twice},       /* TENSOR: its name stands in the header a second time; last edit */
    {"truncate", 1, e_truncate}, /* BYTES that remain */
    {"append", 1, e_append},     /* BYTES */
};

int main(int argc, char **argv)
{
    st s;
    if (argc < 3) die("usage: st_edit IN OUT EDIT ...");
    memset(&s, 0, sizeof s);
    s.claimed = s.keep = -1;
    read_file(&s.f, argv[1]);
    for (int i = 3; i < argc;) {
        size_t e = 0;
        while (e < sizeof edits / sizeof edits[0] && strcmp(edits[e].name, argv[i]) != 0) e++;
        if (e == sizeof edits / sizeof edits[0]) die("no edit %s", argv[i]);
        if (i + edits[e].n_args >= argc) die("%s needs %d arguments", argv[i], edits[e].n_args);
        edits[e].apply(&s, argv + i + 1);
        i += 1 + edits[e].n_args;
    }
    write_file(&s, argv[2]);
    json_decref(s.f.header);
    free(s.f.data);
    return 0;
}
