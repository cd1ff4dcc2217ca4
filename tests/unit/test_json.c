/* SPDX-License-Identifier: MIT
 * Unit tests of JSON documents: reading files and text, checked fields, printing. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/io/json.h"
#include "tests/unit/scratch.h"

static json_t *parse(const char *text)
{
    json_t *doc = NULL;
    dd_err err = {0};
    if (dd_json_read_text(&doc, text, strlen(text), "test", &err) != DD_OK) fail_msg("%s", err.text);
    return doc;
}

static void assert_bad_text(const char *text, size_t n, const char *reason)
{
    dd_err err = {0};
    json_t *doc = (json_t *)&err;
    assert_int_equal(dd_json_read_text(&doc, text, n, "in.json", &err), DD_ERR_FORMAT);
    assert_null(doc);
    assert_memory_equal(err.text, "in.json:", 8);
    if (!strstr(err.text, reason)) fail_msg("\"%s\" does not say \"%s\"", err.text, reason);
}

static void text_is_checked(void **state)
{
    (void)state;
    json_decref(parse("{\"a\": [1, 2.5, null, true]}\n"));
    assert_bad_text("", 0, "1:0");
    assert_bad_text("{\"a\": 1, \"a\": 2}", 16, "duplicate");
    assert_bad_text("{\"a\": 1} x", 10, "end of file expected");
    assert_bad_text("{\"a\": }", 7, "unexpected token");
    assert_bad_text("{\"a\":\n\n nope}", 13, ":3:");
    assert_bad_text("{\"a\": 99999999999999999999}", 27, "too big integer");
    assert_bad_text("[\"\xff\"]", 5, "unable to decode byte");
    assert_bad_text("[\"\\u0000\"]", 10, "NUL");
    assert_bad_text("[1]\0", 4, "NUL byte at offset 3");
    assert_bad_text("[1\0]", 4, "NUL byte at offset 2");
    assert_bad_text("{\"a\": 1", 7, "end of file");
    char deep[5000];
    memset(deep, '[', sizeof deep);
    assert_bad_text(deep, sizeof deep, "depth");
}

static void files_are_read(void **state)
{
    (void)state;
    dd_err err = {0};
    json_t *doc = NULL;
    /* Larger than the first buffer. */
    const size_t n = 100000;
    char *text = malloc(n);
    assert_non_null(text);
    memset(text, ' ', n);
    text[0] = '[';
    text[n - 1] = ']';
    scratch_write("doc.json", text, n);
    assert_int_equal(dd_json_read_file(&doc, scratch("doc.json"), &err), DD_OK);
    assert_true(json_is_array(doc));
    json_decref(doc);
    text[n - 2] = 'x';
    scratch_write("bad.json", text, n);
    free(text);
    assert_int_equal(dd_json_read_file(&doc, scratch("bad.json"), &err), DD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "bad.json:1:"));
    assert_null(doc);
    dd_err_clear(&err);
    assert_int_equal(dd_json_read_file(&doc, scratch("missing.json"), &err), DD_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "missing.json"));
    dd_err_clear(&err);
    assert_int_equal(dd_json_read_file(&doc, scratch("doc.json/x"), &err), DD_ERR_NOT_FOUND);
    dd_err_clear(&err);
    assert_int_equal(dd_json_read_file(&doc, scratch_dir, &err), DD_ERR_IO);
    assert_non_null(strstr(err.text, scratch_dir));
    dd_err_clear(&err);
    scratch_write("empty.json", "", 0);
    assert_int_equal(dd_json_read_file(&doc, scratch("empty.json"), &err), DD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "empty.json"));
}

static void oversized_files_are_refused(void **state)
{
    (void)state;
    dd_err err = {0};
    json_t *doc = NULL;
    scratch_write("huge.json", "", 0);
    assert_int_equal(truncate(scratch("huge.json"), (off_t)DD_JSON_MAX_FILE + 1), 0); /* sparse */
    assert_int_equal(dd_json_read_file(&doc, scratch("huge.json"), &err), DD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "huge.json is larger than"));
}

#define WHERE "plan.json: steps[3]"

static void assert_field_error(dd_status st, dd_err *err, const char *key, const char *reason)
{
    assert_int_equal(st, DD_ERR_FORMAT);
    assert_memory_equal(err->text, WHERE, strlen(WHERE));
    assert_non_null(strstr(err->text, key));
    if (!strstr(err->text, reason)) fail_msg("\"%s\" does not say \"%s\"", err->text, reason);
    dd_err_clear(err);
}

static void integers(void **state)
{
    (void)state;
    dd_err err = {0};
    int64_t v = -1;
    json_t *o = parse("{\"i\": 250, \"f\": 3.5, \"s\": \"1\", \"w\": 3.0, \"min\": -9223372036854775808}");
    assert_int_equal(dd_json_int(o, "i", 1, 250, WHERE, &v, &err), DD_OK);
    assert_int_equal(v, 250);
    assert_int_equal(dd_json_int(o, "min", INT64_MIN, INT64_MAX, WHERE, &v, &err), DD_OK);
    assert_true(v == INT64_MIN);
    v = 7;
    assert_field_error(dd_json_int(o, "i", 1, 249, WHERE, &v, &err), &err, "\"i\"", "is 250, expected 1 to 249");
    assert_field_error(dd_json_int(o, "i", 251, 300, WHERE, &v, &err), &err, "\"i\"", "expected 251 to 300");
    assert_field_error(dd_json_int(o, "f", 0, 9, WHERE, &v, &err), &err, "\"f\"", "fractional");
    assert_field_error(dd_json_int(o, "w", 0, 9, WHERE, &v, &err), &err, "\"w\"", "expected an integer");
    assert_field_error(dd_json_int(o, "s", 0, 9, WHERE, &v, &err), &err, "\"s\"", "is a string");
    assert_field_error(dd_json_int(o, "none", 0, 9, WHERE, &v, &err), &err, "\"none\"", "missing");
    assert_int_equal(v, 7);
    json_decref(o);
}

static void other_fields(void **state)
{
    (void)state;
    dd_err err = {0};
    const char *s = NULL;
    int b = -1;
    json_t *child = NULL;
    json_t *o = parse("{\"s\": \"text\", \"t\": true, \"f\": false, \"a\": [1], \"o\": {}, \"n\": null}");
    assert_int_equal(dd_json_string(o, "s", WHERE, &s, &err), DD_OK);
    assert_string_equal(s, "text");
    assert_int_equal(dd_json_bool(o, "t", WHERE, &b, &err), DD_OK);
    assert_int_equal(b, 1);
    assert_int_equal(dd_json_bool(o, "f", WHERE, &b, &err), DD_OK);
    assert_int_equal(b, 0);
    assert_int_equal(dd_json_array(o, "a", WHERE, &child, &err), DD_OK);
    assert_int_equal(json_array_size(child), 1);
    assert_int_equal(dd_json_object(o, "o", WHERE, &child, &err), DD_OK);
    assert_true(json_is_object(child));
    assert_field_error(dd_json_string(o, "t", WHERE, &s, &err), &err, "\"t\"", "is a boolean, expected a string");
    assert_field_error(dd_json_bool(o, "n", WHERE, &b, &err), &err, "\"n\"", "is null, expected true or false");
    assert_field_error(dd_json_array(o, "o", WHERE, &child, &err), &err, "\"o\"", "is an object, expected an array");
    assert_field_error(dd_json_object(o, "a", WHERE, &child, &err), &err, "\"a\"", "is an array, expected an object");
    assert_field_error(dd_json_object(o, "x", WHERE, &child, &err), &err, "\"x\"", "missing");
    assert_field_error(dd_json_string(json_object_get(o, "a"), "k", WHERE, &s, &err), &err, "\"k\"",
                       "expected an object");
    json_decref(o);
}

static void unknown_keys_are_refused(void **state)
{
    (void)state;
    static const char *const keys[] = {"steps", "policy", NULL};
    dd_err err = {0};
    json_t *o = parse("{\"policy\": 1, \"steps\": 2}");
    assert_int_equal(dd_json_only_keys(o, keys, WHERE, &err), DD_OK);
    json_object_set_new(o, "stepz", json_null());
    assert_field_error(dd_json_only_keys(o, keys, WHERE, &err), &err, "\"stepz\"", "not known");
    json_decref(o);
    o = parse("[]");
    assert_field_error(dd_json_only_keys(o, keys, WHERE, &err), &err, "", "expected an object");
    json_decref(o);
}

static void printing(void **state)
{
    (void)state;
    char *text = NULL;
    json_t *o = parse("{\"z\":[1,2],\"a\":{\"x\":\"q\\\"\\n\\u00e4\",\"y\":0.1},\"e\":[]}");
    assert_int_equal(dd_json_print(o, &text, NULL), DD_OK);
    assert_int_equal(o->refcount, 1);
    assert_non_null(strstr(text, "{\n  \"z\": [\n    1,\n    2\n  ],\n  \"a\": {\n    \"x\": \"q\\\"\\n\xc3\xa4\",\n"));
    assert_string_equal(text + strlen(text) - 5, "[]\n}\n");
    json_t *again = parse(text);
    assert_true(json_equal(o, again));
    json_decref(again);
    json_decref(o);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_checked),
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(oversized_files_are_refused),
        cmocka_unit_test(integers),
        cmocka_unit_test(other_fields),
        cmocka_unit_test(unknown_keys_are_refused),
        cmocka_unit_test(printing),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
