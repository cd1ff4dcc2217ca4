/* SPDX-License-Identifier: MIT
 * Unit tests of safetensors: many malformed files, each refused with a sentence that names the file and the culprit;
 * legal oddities; conversions; writing and reading back. Over 500 lines: a row of a table for each malformed file. */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/base/str.h"
#include "host/io/safetensors.h"
#include "tests/unit/scratch.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define T(name, dtype, shape, begin, end) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" #begin "," #end "]}"

static int clear(void **state)
{
    (void)state;
    scratch_clear();
    return 0;
}

/* Writes x.safetensors: length, header, n_data bytes 0, 1, 2, … */
static const char *make(const char *header, size_t n_header, size_t n_data)
{
    unsigned char *file = calloc(1, 8 + n_header + n_data);
    assert_non_null(file);
    for (int i = 0; i < 8; i++) file[i] = (unsigned char)((uint64_t)n_header >> (8 * i));
    memcpy(file + 8, header, n_header);
    for (size_t i = 0; i < n_data; i++) file[8 + n_header + i] = (unsigned char)i;
    scratch_write("x.safetensors", file, 8 + n_header + n_data);
    free(file);
    return scratch("x.safetensors");
}

static void assert_error(const char *path, dd_status status, const char *culprit, const char *reason)
{
    dd_err err = {0};
    dd_tensors *f = (dd_tensors *)&err;
    assert_int_equal(dd_safetensors_open(&f, path, &err), status);
    assert_null(f);
    assert_int_equal(err.status, status);
    if (!strstr(err.text, path)) fail_msg("\"%s\" does not name the file", err.text);
    if (!strstr(err.text, culprit)) fail_msg("\"%s\" does not name \"%s\"", err.text, culprit);
    if (!strstr(err.text, reason)) fail_msg("\"%s\" does not say \"%s\"", err.text, reason);
}

static dd_tensors *open_good(const char *path)
{
    dd_err err = {0};
    dd_tensors *f = NULL;
    if (dd_safetensors_open(&f, path, &err) != DD_OK) fail_msg("%s", err.text);
    assert_non_null(f);
    return f;
}

static dd_tensors *open_header(const char *header, size_t n_data)
{
    return open_good(make(header, strlen(header), n_data));
}

typedef struct bad_header {
    const char *header;
    size_t n_data;
    const char *culprit, *reason;
} bad_header;

static void assert_all_refused(const bad_header *bad, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_error(make(bad[i].header, strlen(bad[i].header), bad[i].n_data), DD_ERR_FORMAT, bad[i].culprit,
                     bad[i].reason);
}

static void bad_json(void **state)
{
    (void)state;
    static const bad_header bad[] = {
        {"", 0, "", "does not begin with '{'"},
        {" {}", 0, "", "does not begin with '{'"},
        {"[]", 0, "", "does not begin with '{'"},
        {"\xef\xbb\xbf{}", 0, "", "does not begin with '{'"},
        {"{", 0, "", "not valid JSON"},
        {"{}x", 0, "", "end of file expected"},
        {"{}{}", 0, "", "end of file expected"},
        {"{" T("w", "U8", "1", 0, 1), 1, "tensor w", "not valid JSON"},
        {"{" T("w", "U8", "1", 0, 1) ",}", 1, "tensor w", "not valid JSON"},
        {"{" T("v", "U8", "1", 0, 1) "," T("w", "U8", "1", 1, 2) "," T("v", "U8", "1", 2, 3) "}", 3, "\"v\"",
         "duplicate"},
        {"{\"w\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor w",
         "duplicate"},
        {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "\"k\"", "duplicate"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__", "duplicate"},
        {"{\"a\xff\":1}", 0, "", "unable to decode byte 0xff"},
        {"{\"a\\u0000b\":1}", 0, "", "NUL byte in object key"},
        {"{" T("w", "U8", "99999999999999999999", 0, 1) "}", 1, "tensor w", "too big integer"},
        {"{" T("v", "U8", "1", 0, 1) "," T("w", "U8", "1", 1, 18446744073709551617) "}", 2, "tensor w",
         "too big integer"},
    };
    assert_all_refused(bad, COUNT(bad));
    assert_error(make("{}\0\0", 4, 0), DD_ERR_FORMAT, "", "not valid JSON");
    static const char nul[] = "{\"w\":{\"dtype\":\"U8\",\"shape\":[1\0],\"data_offsets\":[0,1]}}";
    assert_error(make(nul, sizeof nul - 1, 1), DD_ERR_FORMAT, "tensor w", "NUL byte");
}

static void bad_tensors(void **state)
{
    (void)state;
    static const bad_header bad[] = {
        {"{\"\":{}}", 0, "", "empty name"},
        {"{" T("a\\nb", "U8", "1", 0, 1) "}", 1, "tensor a?b", "control character"},
        {"{" T("a\\u007fb", "U8", "1", 0, 1) "}", 1, "tensor a?b", "control character"},
        {"{\"w\":[]}", 0, "tensor w", "no object"},
        {"{\"w\":null}", 0, "tensor w", "no object"},
        {"{\"w\":{}}", 0, "tensor w", "dtype is missing"},
        {"{\"w\":{\"dtype\":1,\"shape\":[],\"data_offsets\":[0,1]}}", 1, "tensor w", "dtype is missing"},
        {"{" T("w", "F31", "1", 0, 4) "}", 4, "tensor w", "\"F31\""},
        {"{" T("w", "f32", "1", 0, 4) "}", 4, "tensor w", "\"f32\""},
        {"{" T("w", "", "1", 0, 4) "}", 4, "tensor w", "dtype"},
        {"{\"w\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "tensor w", "shape is missing"},
        {"{\"w\":{\"dtype\":\"U8\",\"shape\":1,\"data_offsets\":[0,1]}}", 1, "tensor w", "shape is missing"},
        {"{\"w\":{\"dtype\":\"U8\",\"shape\":{},\"data_offsets\":[0,1]}}", 1, "tensor w", "shape is missing"},
        {"{" T("w", "U8", "1,1,1,1,1,1,1,1,1", 0, 1) "}", 1, "tensor w", "rank 9"},
        {"{" T("w", "U8", "-1", 0, 1) "}", 1, "tensor w", "shape[0]"},
        {"{" T("w", "U8", "1,1.0", 0, 1) "}", 1, "tensor w", "shape[1]"},
        {"{" T("w", "U8", "1e0", 0, 1) "}", 1, "tensor w", "shape[0]"},
        {"{" T("w", "U8", "\"1\"", 0, 1) "}", 1, "tensor w", "shape[0]"},
        {"{" T("w", "U8", "null", 0, 1) "}", 1, "tensor w", "shape[0]"},
        {"{" T("w", "U8", "4294967296,4294967296", 0, 0) "}", 0, "tensor w", "overflows"},
        {"{" T("w", "U8", "9223372036854775807,3", 0, 1) "}", 1, "tensor w", "overflows"},
        {"{" T("w", "U8", "9223372036854775807", 0, 1) "}", 1, "tensor w", "overflows"}, /* in bits */
        {"{" T("w", "F64", "2305843009213693952", 0, 0) "}", 0, "tensor w", "overflows"},
        {"{" T("w", "F4", "3", 0, 2) "}", 2, "tensor w", "whole number of bytes"},
        {"{" T("w", "F6_E2M3", "2", 0, 2) "}", 2, "tensor w", "whole number of bytes"},
        {"{\"w\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "tensor w", "data_offsets is missing"},
        {"{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "tensor w", "data_offsets"},
        {"{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,1]}}", 1, "tensor w", "data_offsets"},
        {"{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":{\"0\":0,\"1\":1}}}", 1, "tensor w", "data_offsets"},
        {"{" T("w", "U8", "1", 0.0, 1) "}", 1, "tensor w", "data_offsets"},
        {"{" T("w", "U8", "1", "0", 1) "}", 1, "tensor w", "data_offsets"},
        {"{" T("w", "U8", "1", -1, 0) "}", 1, "tensor w", "outside the 1 bytes"},
        {"{" T("w", "U8", "1", 1, 0) "}", 1, "tensor w", "outside"},
        {"{" T("w", "U8", "1", 1, 2) "}", 1, "tensor w", "outside"},
        {"{" T("w", "U8", "2", 0, 2) "}", 1, "tensor w", "outside"},
        {"{" T("w", "U8", "1", 0, 9223372036854775807) "}", 1, "tensor w", "outside"},
        {"{" T("w", "U8", "2", 0, 1) "}", 1, "tensor w", "shape and dtype need 2"},
        {"{" T("w", "F32", "", 0, 1) "}", 1, "tensor w", "shape and dtype need 4"},
        {"{" T("w", "F32", "0,5", 0, 4) "}", 4, "tensor w", "shape and dtype need 0"},
        {"{" T("w", "BOOL", "8", 0, 1) "}", 1, "tensor w", "shape and dtype need 8"},
    };
    assert_all_refused(bad, COUNT(bad));
}

static void bad_places(void **state)
{
    (void)state;
    static const bad_header bad[] = {
        {"{}", 1, "", "tensors end at byte 0"},
        {"{" T("w", "U8", "1", 0, 1) "}", 2, "", "tensors end at byte 1 of the data, but there are 2"},
        {"{" T("w", "U8", "1", 1, 2) "}", 2, "tensor w", "hole after 0"},
        {"{" T("v", "U8", "1", 0, 1) "," T("w", "U8", "1", 2, 3) "}", 3, "tensor w", "hole after 1"},
        {"{" T("v", "U8", "2", 0, 2) "," T("w", "U8", "2", 1, 3) "}", 3, "tensor w", "overlap those of tensor v"},
        {"{" T("v", "U8", "2", 0, 2) "," T("w", "U8", "2", 0, 2) "}", 2, "overlap", "tensor"},
        {"{" T("v", "U8", "3", 0, 3) "," T("w", "U8", "1", 1, 2) "}", 3, "tensor w", "overlap"},
        {"{" T("v", "U8", "3", 0, 3) "," T("w", "U8", "0", 1, 1) "}", 3, "tensor w", "overlap"},
        {"{" T("w", "U8", "0", 1, 1) "}", 1, "tensor w", "hole"},
    };
    assert_all_refused(bad, COUNT(bad));
}

static void bad_metadata(void **state)
{
    (void)state;
    static const bad_header bad[] = {
        {"{\"__metadata__\":[]}", 0, "__metadata__", "no object"},
        {"{\"__metadata__\":\"x\"}", 0, "__metadata__", "no object"},
        {"{\"__metadata__\":null}", 0, "__metadata__", "no object"},
        {"{\"__metadata__\":{\"ok\":\"1\",\"steps\":250}}", 0, "\"steps\"", "no string"},
        {"{\"__metadata__\":{\"nested\":{\"a\":\"b\"}}}", 0, "\"nested\"", "no string"},
        {"{\"__metadata__\":{\"gone\":null}}", 0, "\"gone\"", "no string"},
    };
    assert_all_refused(bad, COUNT(bad));
}

static void bad_lengths(void **state)
{
    (void)state;
    unsigned char file[32] = {0};
    for (size_t n = 1; n < 8; n++) {
        scratch_write("x.safetensors", file, n);
        assert_error(scratch("x.safetensors"), DD_ERR_FORMAT, "", "too few");
    }
    scratch_write("x.safetensors", file, 8);
    assert_error(scratch("x.safetensors"), DD_ERR_FORMAT, "", "does not begin with '{'");
    memcpy(file, "\x03\0\0\0\0\0\0\0{}", 10);
    scratch_write("x.safetensors", file, 10);
    assert_error(scratch("x.safetensors"), DD_ERR_FORMAT, "", "past the end");
    /* One over the limit, with a file (sparse) that is long enough; then the largest number there is. */
    memcpy(file, "\x01\xe1\xf5\x05\0\0\0\0{}", 10);
    scratch_write("x.safetensors", file, 10);
    assert_int_equal(truncate(scratch("x.safetensors"), 200000000), 0);
    assert_error(scratch("x.safetensors"), DD_ERR_FORMAT, "100000001", "over the limit");
    memset(file, 0xff, 8);
    scratch_write("x.safetensors", file, 32);
    assert_error(scratch("x.safetensors"), DD_ERR_FORMAT, "18446744073709551615", "over the limit");
}

static void bad_files(void **state)
{
    (void)state;
    scratch_write("empty.safetensors", "", 0);
    assert_error(scratch("empty.safetensors"), DD_ERR_FORMAT, "", "is empty");
    assert_error(scratch("none.safetensors"), DD_ERR_NOT_FOUND, "", "does not exist");
    assert_error(scratch("empty.safetensors/x"), DD_ERR_NOT_FOUND, "", "does not exist");
    assert_error(scratch_dir, DD_ERR_IO, "", "is a folder");
    assert_error("/dev/null", DD_ERR_IO, "", "device or a pipe");
    assert_int_equal(mkfifo(scratch("pipe"), 0600), 0);
    assert_error(scratch("pipe"), DD_ERR_IO, "", "device or a pipe"); /* and does not wait for a writer */
    assert_int_equal(symlink("loop", scratch("loop")), 0);
    assert_error(scratch("loop"), DD_ERR_IO, "cannot be opened", strerror(ELOOP));
    dd_tensors *f = NULL;
    assert_int_equal(dd_safetensors_open(&f, "", NULL), DD_ERR_ARG);
    if (geteuid() != 0) {
        assert_int_equal(chmod(scratch("empty.safetensors"), 0), 0);
        assert_error(scratch("empty.safetensors"), DD_ERR_IO, "cannot be opened", strerror(EACCES));
    }
}

/* Every proper prefix of a good file is refused. */
static void truncation(void **state)
{
    (void)state;
    static const char header[] = "{" T("v", "U8", "3", 0, 3) "," T("w", "F32", "2", 3, 11) "}  ";
    make(header, sizeof header - 1, 11);
    size_t n;
    unsigned char *file = scratch_read("x.safetensors", &n);
    for (size_t k = 0; k < n; k++) {
        dd_tensors *f = NULL;
        dd_err err = {0};
        scratch_write("cut.safetensors", file, k);
        assert_int_equal(dd_safetensors_open(&f, scratch("cut.safetensors"), &err), DD_ERR_FORMAT);
        assert_non_null(strstr(err.text, "cut.safetensors"));
    }
    scratch_write("cut.safetensors", file, n);
    dd_tensors *f = open_good(scratch("cut.safetensors"));
    dd_tensors_close(&f);
    free(file);
}

static void long_names(void **state)
{
    (void)state;
    for (int n = DD_TENSOR_MAX_NAME; n <= DD_TENSOR_MAX_NAME + 1; n++) {
        char name[DD_TENSOR_MAX_NAME + 2], header[DD_TENSOR_MAX_NAME + 100];
        memset(name, 'n', sizeof name);
        name[n] = '\0';
        snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", name);
        if (n == DD_TENSOR_MAX_NAME) {
            dd_tensors *f = open_header(header, 0);
            assert_non_null(dd_tensors_find(f, name));
            dd_tensors_close(&f);
        } else {
            assert_error(make(header, strlen(header), 0), DD_ERR_FORMAT, "tensor nnnn", "name of 513 bytes");
        }
    }
}

static void too_many(void **state)
{
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        dd_str s = {0};
        dd_str_add(&s, "{\"__metadata__\":{}");
        for (int i = 0; i < DD_TENSORS_MAX + extra; i++)
            dd_str_addf(&s, ",\"t%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i);
        dd_str_add(&s, "}");
        const char *path = make(s.data, s.len, 0);
        dd_str_free(&s);
        if (extra) {
            assert_error(path, DD_ERR_FORMAT, "", "more than the limit of 65536");
        } else {
            dd_tensors *f = open_good(path);
            assert_int_equal(dd_tensors_count(f), DD_TENSORS_MAX);
            assert_non_null(dd_tensors_find(f, "t65535"));
            dd_tensors_close(&f);
        }
    }
    /* A long list would cost the JSON parser far more memory than the header has bytes. */
    dd_str s = {0};
    dd_str_add(&s, "{\"w\":{\"dtype\":\"U8\",\"shape\":[1");
    for (int i = 0; i < 1100000; i++) dd_str_add(&s, ",1");
    dd_str_add(&s, "],\"data_offsets\":[0,1]}}");
    const char *path = make(s.data, s.len, 1);
    dd_str_free(&s);
    assert_error(path, DD_ERR_FORMAT, "", "more values");
    /* Nesting that would exhaust a recursive parser's stack. */
    static char deep[100001] = "{\"w\":";
    memset(deep + 5, '[', sizeof deep - 6);
    assert_error(make(deep, sizeof deep - 1, 0), DD_ERR_FORMAT, "tensor w", "depth");
}

static void good_file(void **state)
{
    (void)state;
    static const char header[] = "{" T(
        "z", "BF16", "2,3", 5,
        17) ",\"__metadata__\":{\"format\":\"pt\",\"n\":\"2\"}," T("a", "U8", "5", 0,
                                                                   5) "," T("e", "F32", "0,7", 5,
                                                                            5) "," T("s", "F32", "", 17,
                                                                                     21) "," T("q", "F8_E4M3", "2", 21,
                                                                                               23) "," T("h", "F4", "4",
                                                                                                         23, 25) "}   ";
    dd_tensors *f = open_header(header, 25);
    assert_string_equal(dd_tensors_path(f), scratch("x.safetensors"));
    assert_int_equal(dd_tensors_bytes(f), 8 + sizeof header - 1 + 25);
    assert_int_equal(dd_tensors_count(f), 6);
    const char *sorted[] = {"a", "e", "h", "q", "s", "z"};
    for (int i = 0; i < 6; i++) {
        assert_string_equal(dd_tensors_at(f, i)->name, sorted[i]);
        assert_ptr_equal(dd_tensors_find(f, sorted[i]), dd_tensors_at(f, i));
    }
    assert_null(dd_tensors_find(f, "b"));
    assert_null(dd_tensors_find(f, ""));
    assert_null(dd_tensors_find(f, "__metadata__"));
    const dd_tensor *z = dd_tensors_find(f, "z");
    assert_true(z->known && z->dtype == DD_BF16);
    assert_string_equal(z->dtype_name, "BF16");
    assert_int_equal(z->rank, 2);
    assert_int_equal(z->shape[0], 2);
    assert_int_equal(z->shape[1], 3);
    assert_int_equal(z->count, 6);
    assert_int_equal(z->bytes, 12);
    assert_int_equal(((const unsigned char *)z->data)[0], 5);
    const dd_tensor *e = dd_tensors_find(f, "e"), *s = dd_tensors_find(f, "s"), *q = dd_tensors_find(f, "q"),
                    *h = dd_tensors_find(f, "h");
    assert_null(e->data);
    assert_int_equal(e->count, 0);
    assert_int_equal(s->rank, 0);
    assert_int_equal(s->count, 1);
    assert_false(q->known);
    assert_string_equal(q->dtype_name, "F8_E4M3");
    assert_false(h->known);
    assert_int_equal(h->count, 4);
    assert_int_equal(h->bytes, 2);
    assert_int_equal(dd_tensors_meta_count(f), 2);
    assert_string_equal(dd_tensors_meta(f, "format"), "pt");
    assert_null(dd_tensors_meta(f, "none"));
    const char *key, *value;
    dd_tensors_meta_at(f, 1, &key, &value);
    assert_string_equal(key, "n");
    assert_string_equal(value, "2");
    dd_tensors_close(&f);
    assert_null(f);
    dd_tensors_close(&f);
    f = open_header("{}", 0);
    assert_int_equal(dd_tensors_count(f), 0);
    assert_null(dd_tensors_find(f, "a"));
    assert_int_equal(dd_tensors_meta_count(f), 0);
    dd_tensors_close(&f);
}

static void every_dtype_is_listed(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int bits;
        bool known;
    } all[] = {{"BOOL", 8, 0},        {"F4", 4, 0},      {"F6_E2M3", 6, 0}, {"F6_E3M2", 6, 0}, {"U8", 8, 1},
               {"I8", 8, 0},          {"F8_E5M2", 8, 0}, {"F8_E4M3", 8, 0}, {"F8_E8M0", 8, 0}, {"F8_E4M3FNUZ", 8, 0},
               {"F8_E5M2FNUZ", 8, 0}, {"I16", 16, 0},    {"U16", 16, 0},    {"F16", 16, 1},    {"BF16", 16, 1},
               {"I32", 32, 1},        {"U32", 32, 0},    {"F32", 32, 1},    {"C64", 64, 0},    {"F64", 64, 1},
               {"I64", 64, 1},        {"U64", 64, 0}};
    assert_int_equal(COUNT(all), 22);
    for (size_t i = 0; i < COUNT(all); i++) {
        char header[200];
        snprintf(header, sizeof header, "{\"w\":{\"dtype\":\"%s\",\"shape\":[4],\"data_offsets\":[0,%d]}}", all[i].name,
                 all[i].bits / 2);
        dd_tensors *f = open_header(header, (size_t)all[i].bits / 2);
        const dd_tensor *t = dd_tensors_at(f, 0);
        assert_string_equal(t->dtype_name, all[i].name);
        assert_int_equal(t->known, all[i].known);
        if (t->known) assert_int_equal(dd_dtype_bytes(t->dtype) * 8, all[i].bits);
        float values[4];
        dd_err err = {0};
        const dd_status st = dd_tensors_read_f32(f, t, values, &err);
        if (!t->known) {
            assert_int_equal(st, DD_ERR_UNSUPPORTED);
            assert_non_null(strstr(err.text, "x.safetensors: tensor w"));
            assert_non_null(strstr(err.text, all[i].name));
        }
        dd_tensors_close(&f);
    }
}

/* One tensor w of n elements at an odd address. */
static dd_status read_back(const char *dtype, size_t size, const void *data, int n, float *out, dd_err *err)
{
    unsigned char file[512] = {0};
    char *header = (char *)file + 8;
    const int len = snprintf(header, 400,
                             "{\"pad\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                             "\"w\":{\"dtype\":\"%s\",\"shape\":[%d],\"data_offsets\":[1,%zu]}}",
                             dtype, n, 1 + size * (size_t)n);
    /* Page-aligned mapping: make the data section begin at an even address, w at an odd one. */
    const size_t n_header = (size_t)len + (size_t)len % 2, bytes = size * (size_t)n;
    if ((size_t)len < n_header) header[len] = ' ';
    file[0] = (unsigned char)(n_header & 255);
    file[1] = (unsigned char)(n_header >> 8);
    assert_true(8 + n_header + 1 + bytes <= sizeof file);
    memcpy(header + n_header + 1, data, bytes);
    scratch_write("x.safetensors", file, 8 + n_header + 1 + bytes);
    dd_tensors *f = open_good(scratch("x.safetensors"));
    const dd_tensor *t = dd_tensors_find(f, "w");
    assert_int_equal((uintptr_t)t->data % 2, 1);
    const dd_status st = dd_tensors_read_f32(f, t, out, err);
    dd_tensors_close(&f);
    return st;
}

static void assert_floats(const char *dtype, size_t size, const void *data, int n, const float *expected)
{
    float out[8];
    dd_err err = {0};
    if (read_back(dtype, size, data, n, out, &err) != DD_OK) fail_msg("%s", err.text);
    for (int i = 0; i < n; i++) assert_int_equal(dd_f32_bits(out[i]), dd_f32_bits(expected[i]));
}

static void assert_unreadable(const char *dtype, size_t size, const void *value, const char *reason)
{
    float out[2];
    unsigned char data[16] = {0}; /* element 0 is zero, element 1 the culprit */
    memcpy(data + size, value, size);
    dd_err err = {0};
    assert_int_equal(read_back(dtype, size, data, 2, out, &err), DD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "x.safetensors: tensor w: element 1"));
    if (!strstr(err.text, reason)) fail_msg("\"%s\" does not say \"%s\"", err.text, reason);
}

static void values_are_converted(void **state)
{
    (void)state;
    const float f32[] = {1.5f, -0.0f, 3.4028235e38f, 0x1p-149f};
    const uint16_t f16[] = {0x3e00, 0x8000, 0x7bff, 0x0001}, bf16[] = {0x3fc0, 0x8000, 0x7f7f, 0x0001};
    const double f64[] = {1.5, -0.0, 3.4028235677973362e38, 1e-300}; /* the third rounds down to FLT_MAX */
    const int64_t i64[] = {3, -16777216, INT64_C(1) << 40, -7};
    const int32_t i32[] = {3, -16777216, INT32_MIN, 1 << 30};
    const uint8_t u8[] = {0, 1, 128, 255};
    const float from_f16[] = {1.5f, -0.0f, 65504.0f, 0x1p-24f};
    const float from_bf16[] = {1.5f, -0.0f, 0x1.fep127f, 0x1p-133f};
    const float from_f64[] = {1.5f, -0.0f, 3.4028235e38f, 0.0f};
    const float from_i64[] = {3.0f, -16777216.0f, 0x1p40f, -7.0f};
    const float from_i32[] = {3.0f, -16777216.0f, -0x1p31f, 0x1p30f};
    const float from_u8[] = {0.0f, 1.0f, 128.0f, 255.0f};
    assert_floats("F32", 4, f32, 4, f32);
    assert_floats("F16", 2, f16, 4, from_f16);
    assert_floats("BF16", 2, bf16, 4, from_bf16);
    assert_floats("F64", 8, f64, 4, from_f64);
    assert_floats("I64", 8, i64, 4, from_i64);
    assert_floats("I32", 4, i32, 4, from_i32);
    assert_floats("U8", 1, u8, 4, from_u8);
}

static void impossible_values_are_refused(void **state)
{
    (void)state;
    const uint32_t f32[] = {0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff};
    const uint16_t f16[] = {0x7c00, 0xfe00}, bf16[] = {0x7f80, 0xffc0};
    const double f64[] = {INFINITY, -INFINITY, NAN, 1e39, -1e300, 3.4028235677973366e38};
    const int64_t i64[] = {16777217, INT64_MAX, INT64_MIN, (INT64_C(1) << 53) + 1};
    const int32_t i32[] = {16777217, INT32_MAX};
    for (size_t i = 0; i < COUNT(f32); i++) assert_unreadable("F32", 4, &f32[i], "not finite");
    for (size_t i = 0; i < COUNT(f16); i++) assert_unreadable("F16", 2, &f16[i], "not finite");
    for (size_t i = 0; i < COUNT(bf16); i++) assert_unreadable("BF16", 2, &bf16[i], "not finite");
    for (size_t i = 0; i < COUNT(f64); i++) assert_unreadable("F64", 8, &f64[i], "not finite in float32");
    for (size_t i = 0; i < COUNT(i64); i++) assert_unreadable("I64", 8, &i64[i], "not exact");
    for (size_t i = 0; i < COUNT(i32); i++) assert_unreadable("I32", 4, &i32[i], "not exact");
}

static void required_shapes(void **state)
{
    (void)state;
    dd_tensors *f = open_header("{" T("m.w", "U8", "2,3", 0, 6) "," T("s", "U8", "", 6, 7) "}", 7);
    const dd_tensor *t = NULL;
    dd_err err = {0};
    assert_int_equal(dd_tensors_require(f, "m.", "w", 2, (const int64_t[]){2, 3}, &t, &err), DD_OK);
    assert_string_equal(t->name, "m.w");
    assert_int_equal(dd_tensors_require(f, NULL, "m.w", 2, (const int64_t[]){-1, 3}, &t, &err), DD_OK);
    assert_int_equal(dd_tensors_require(f, "", "s", 0, NULL, NULL, &err), DD_OK);
    assert_int_equal(dd_tensors_require(f, "m.", "w", 2, (const int64_t[]){-1, 4}, &t, &err), DD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "x.safetensors: tensor m.w has shape [2, 3], expected [any, 4]"));
    assert_null(t);
    dd_err_clear(&err);
    assert_int_equal(dd_tensors_require(f, "m.", "w", 1, (const int64_t[]){6}, &t, &err), DD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "expected [6]"));
    dd_err_clear(&err);
    assert_int_equal(dd_tensors_require(f, "n.", "w", 1, (const int64_t[]){6}, &t, &err), DD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "x.safetensors: tensor n.w is missing"));
    char longest[2000];
    memset(longest, 'n', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(dd_tensors_require(f, longest, "w", 0, NULL, &t, NULL), DD_ERR_FORMAT);
    dd_tensors_close(&f);
}

static void round_trip(void **state)
{
    (void)state;
    const float w[6] = {1, 2, 3, 4, 5, 6}, scalar = 7;
    const uint16_t half[3] = {0x3c00, 0x4000, 0x4200};
    const uint8_t bytes[3] = {1, 2, 3};
    const int64_t big[1] = {-5};
    const dd_tensor_entry entries[] = {
        {"u", DD_U8, 1, {3}, bytes}, {"b.weight", DD_F32, 2, {2, 3}, w},
        {"h", DD_F16, 1, {3}, half}, {"a \"q\" \xc3\xa4\\", DD_F32, 0, {0}, &scalar},
        {"i", DD_I64, 1, {1}, big},  {"none", DD_BF16, 2, {4, 0}, NULL},
    };
    const dd_text_pair meta[] = {{"format", "pt"}, {"note", "line\nbreak \"q\" \xc3\xa4"}};
    assert_int_equal(dd_safetensors_write(scratch("w.safetensors"), entries, 6, meta, 2, NULL), DD_OK);
    size_t n;
    unsigned char *file = scratch_read("w.safetensors", &n);
    static const char expected[] =
        "{\"__metadata__\":{\"format\":\"pt\",\"note\":\"line\\nbreak \\\"q\\\" \xc3\xa4\"}," T(
            "i", "I64", "1", 0,
            8) ","
               "\"a \\\"q\\\" \xc3\xa4\\\\\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[8,12]}," T(
                   "b.weight", "F32", "2,3", 12, 36) "," T("h", "F16", "3", 36, 42) "," T("none", "BF16", "4,0", 42,
                                                                                          42) "," T("u", "U8", "3", 42,
                                                                                                    45) "}";
    const size_t header = (size_t)file[0] + 256u * file[1];
    assert_int_equal(header % 8, 0);
    assert_memory_equal(file + 8, expected, sizeof expected - 1);
    for (size_t i = sizeof expected - 1; i < header; i++) assert_int_equal(file[8 + i], ' ');
    assert_true(header < sizeof expected - 1 + 8);
    assert_int_equal(n, 8 + header + 45);
    free(file);
    dd_tensors *f = open_good(scratch("w.safetensors"));
    assert_int_equal(dd_tensors_count(f), 6);
    for (size_t i = 0; i < COUNT(entries); i++) {
        const dd_tensor *t = dd_tensors_find(f, entries[i].name);
        assert_non_null(t);
        assert_true(t->known && t->dtype == entries[i].dtype && t->rank == entries[i].rank);
        assert_memory_equal(t->shape, entries[i].shape, (size_t)t->rank * sizeof *t->shape);
        assert_int_equal((uintptr_t)t->data % dd_dtype_bytes(t->dtype), 0);
        if (t->bytes) assert_memory_equal(t->data, entries[i].data, t->bytes);
    }
    assert_string_equal(dd_tensors_meta(f, "note"), meta[1].value);
    dd_tensors_close(&f);
    assert_int_equal(dd_safetensors_write(scratch("none.safetensors"), NULL, 0, NULL, 0, NULL), DD_OK);
    f = open_good(scratch("none.safetensors"));
    assert_int_equal(dd_tensors_bytes(f), 16);
    dd_tensors_close(&f);
}

static void assert_unwritable(dd_tensor_entry a, dd_tensor_entry b, const char *culprit, const char *reason)
{
    const dd_tensor_entry entries[] = {a, b};
    dd_err err = {0};
    const char *path = scratch("bad.safetensors");
    assert_int_equal(dd_safetensors_write(path, entries, 2, NULL, 0, &err), DD_ERR_ARG);
    assert_memory_equal(err.text, path, strlen(path));
    if (!strstr(err.text, culprit)) fail_msg("\"%s\" does not name \"%s\"", err.text, culprit);
    if (!strstr(err.text, reason)) fail_msg("\"%s\" does not say \"%s\"", err.text, reason);
    assert_int_equal(scratch_count(), 0);
}

static void unwritable_entries(void **state)
{
    (void)state;
    static const float d[4] = {0};
    const dd_tensor_entry ok = {"ok", DD_F32, 1, {4}, d};
    char longest[DD_TENSOR_MAX_NAME + 2];
    memset(longest, 'n', sizeof longest);
    longest[DD_TENSOR_MAX_NAME + 1] = '\0';
    const int64_t huge = INT64_C(1) << 32;
    assert_unwritable(ok, (dd_tensor_entry){NULL, DD_F32, 1, {4}, d}, "", "cannot be written");
    assert_unwritable(ok, (dd_tensor_entry){"", DD_F32, 1, {4}, d}, "", "cannot be written");
    assert_unwritable(ok, (dd_tensor_entry){longest, DD_F32, 1, {4}, d}, "nnnn", "cannot be written");
    assert_unwritable(ok, (dd_tensor_entry){"a\nb", DD_F32, 1, {4}, d}, "a?b", "cannot be written");
    assert_unwritable(ok, (dd_tensor_entry){"a\xff", DD_F32, 1, {4}, d}, "", "not valid UTF-8");
    assert_unwritable(ok, (dd_tensor_entry){"__metadata__", DD_F32, 1, {4}, d}, "__metadata__", "cannot be written");
    assert_unwritable(ok, ok, "tensor ok", "given twice");
    assert_unwritable(ok, (dd_tensor_entry){"ok", DD_U8, 1, {4}, d}, "tensor ok", "given twice");
    assert_unwritable(ok, (dd_tensor_entry){"w", (dd_dtype)99, 1, {4}, d}, "tensor w", "dtype");
    assert_unwritable(ok, (dd_tensor_entry){"w", DD_F32, 9, {4}, d}, "tensor w", "rank 9");
    assert_unwritable(ok, (dd_tensor_entry){"w", DD_F32, -1, {4}, d}, "tensor w", "rank -1");
    assert_unwritable(ok, (dd_tensor_entry){"w", DD_F32, 2, {1, -4}, d}, "tensor w", "shape[1]");
    assert_unwritable(ok, (dd_tensor_entry){"w", DD_F32, 2, {huge, huge}, d}, "tensor w", "overflows");
    assert_unwritable(ok, (dd_tensor_entry){"w", DD_F32, 1, {4}, NULL}, "tensor w", "no data");
    dd_err err = {0};
    const dd_text_pair twice[] = {{"k", "1"}, {"k", "2"}}, half[] = {{"k", NULL}}, latin[] = {{"k", "\xe4"}};
    assert_int_equal(dd_safetensors_write(scratch("b"), &ok, 1, twice, 2, &err), DD_ERR_ARG);
    assert_non_null(strstr(err.text, "metadata field k is given twice"));
    assert_int_equal(dd_safetensors_write(scratch("b"), &ok, 1, half, 1, NULL), DD_ERR_ARG);
    assert_int_equal(dd_safetensors_write(scratch("b"), &ok, 1, latin, 1, NULL), DD_ERR_ARG);
    assert_int_equal(dd_safetensors_write(scratch("b"), &ok, -1, NULL, 0, NULL), DD_ERR_ARG);
    assert_int_equal(dd_safetensors_write("", &ok, 1, NULL, 0, NULL), DD_ERR_ARG);
    assert_int_equal(scratch_count(), 0);
}

static void write_errors(void **state)
{
    (void)state;
    static const float d[50000] = {0};
    const dd_tensor_entry small = {"w", DD_F32, 1, {4}, d}, large = {"w", DD_F32, 1, {50000}, d};
    dd_err err = {0};
    assert_int_equal(dd_safetensors_write(scratch("none/w"), &small, 1, NULL, 0, &err), DD_ERR_IO);
    assert_non_null(strstr(err.text, "none/w"));
    if (access("/dev/full", W_OK) != 0) {
        print_message("# no /dev/full here\n");
        skip();
    }
    for (int i = 0; i < 2; i++) {
        dd_err_clear(&err);
        assert_int_equal(dd_safetensors_write("/dev/full", i ? &large : &small, 1, NULL, 0, &err), DD_ERR_IO);
        assert_non_null(strstr(err.text, "/dev/full"));
        assert_non_null(strstr(err.text, strerror(ENOSPC)));
    }
    assert_int_equal(scratch_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bad_json, clear),
        cmocka_unit_test_setup(bad_tensors, clear),
        cmocka_unit_test_setup(bad_places, clear),
        cmocka_unit_test_setup(bad_metadata, clear),
        cmocka_unit_test_setup(bad_lengths, clear),
        cmocka_unit_test_setup(bad_files, clear),
        cmocka_unit_test_setup(truncation, clear),
        cmocka_unit_test_setup(long_names, clear),
        cmocka_unit_test_setup(too_many, clear),
        cmocka_unit_test_setup(good_file, clear),
        cmocka_unit_test_setup(every_dtype_is_listed, clear),
        cmocka_unit_test_setup(values_are_converted, clear),
        cmocka_unit_test_setup(impossible_values_are_refused, clear),
        cmocka_unit_test_setup(required_shapes, clear),
        cmocka_unit_test_setup(round_trip, clear),
        cmocka_unit_test_setup(unwritable_entries, clear),
        cmocka_unit_test_setup(write_errors, clear),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
