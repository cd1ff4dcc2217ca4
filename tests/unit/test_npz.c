/* SPDX-License-Identifier: MIT
 * Unit tests of npz sets: headers read back field by field (also of sizes that no test writes), growing, being gone on with,
 * and every way to be refused. That numpy reads them is tested in tests/cli/npz.sh, where there is one. */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/io/crc.h"
#include "host/io/npz.h"
#include "host/io/npz_file.h"
#include "host/io/npz_state.h"
#include "tests/unit/scratch.h"

enum { N = 5, H = 3, W = 4, IMAGE = H * W * 3 };
static const dd_npz_shape small = {N, H, W};
static uint8_t pixels[N * IMAGE];

static int clear(void **state)
{
    (void)state;
    scratch_clear();
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37 + i / 7);
    return 0;
}

/* ---- a reader of just these files ------------------------------------------------------------------------------ */

static uint64_t number(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes; i-- > 0;) v = v << 8 | p[i];
    return v;
}

static void assert_number(const uint8_t *p, int bytes, uint64_t wanted) { assert_int_equal(number(p, bytes), wanted); }

/* From "version needed" to "length of the extra field". */
static void read_member(const uint8_t *p, uint32_t crc)
{
    assert_number(p, 2, 45);
    assert_number(p + 2, 2, 0); /* flags */
    assert_number(p + 4, 2, 0); /* stored */
    assert_number(p + 6, 2, 0);
    assert_number(p + 8, 2, 1 << 5 | 1); /* 1 January 1980 */
    assert_number(p + 10, 4, crc);
    assert_number(p + 14, 4, 0xffffffff);
    assert_number(p + 18, 4, 0xffffffff);
    assert_number(p + 22, 2, 9);
    assert_number(p + 24, 2, 20);
}

/* Name and ZIP64 field; the size of the member. */
static uint64_t read_name_and_size(const uint8_t *p)
{
    assert_memory_equal(p, "arr_0.npy", 9);
    assert_number(p + 9, 2, 1);
    assert_number(p + 11, 2, 16);
    assert_int_equal(number(p + 13, 8), number(p + 21, 8));
    return number(p + 13, 8);
}

static void read_npy(const uint8_t *p, const char *shape)
{
    char text[200];
    assert_memory_equal(p, "\x93NUMPY\x01\x00", 8);
    assert_number(p + 8, 2, 118);
    snprintf(text, sizeof text, "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }", shape);
    const size_t n = strlen(text);
    assert_memory_equal(p + 10, text, n);
    for (size_t i = 10 + n; i < 127; i++) assert_int_equal(p[i], ' ');
    assert_int_equal(p[127], '\n');
}

/* tail: what stands at `at` in the file. */
static void read_tail(const uint8_t *tail, uint64_t at, uint64_t member, uint32_t crc)
{
    assert_memory_equal(tail, "PK\x01\x02", 4);
    read_member(tail + 6, crc);
    assert_number(tail + 32, 2, 0); /* comment */
    assert_number(tail + 42, 4, 0); /* the local header is at 0 */
    assert_int_equal(read_name_and_size(tail + 46), member);
    const uint8_t *end64 = tail + 75, *locator = end64 + 56, *end = locator + 20;
    assert_memory_equal(end64, "PK\x06\x06", 4);
    assert_number(end64 + 4, 8, 56 - 12);
    assert_number(end64 + 24, 8, 1);
    assert_number(end64 + 32, 8, 1);
    assert_number(end64 + 40, 8, 75);
    assert_number(end64 + 48, 8, at);
    assert_memory_equal(locator, "PK\x06\x07", 4);
    assert_number(locator + 8, 8, at + 75);
    assert_number(locator + 16, 4, 1);
    assert_memory_equal(end, "PK\x05\x06", 4);
    assert_number(end + 10, 2, 1);
    assert_number(end + 12, 4, 75);
    assert_number(end + 16, 4, 0xffffffff);
    assert_number(end + 20, 2, 0);
}

static void headers_of_any_size(void **state)
{
    (void)state;
    static const struct {
        dd_npz_shape shape;
        const char *text;
        uint64_t pictures; /* bytes */
    } sets[] = {{{1, 1, 1}, "(1, 1, 1, 3)", 3},
                {{5, 3, 4}, "(5, 3, 4, 3)", 180},
                {{50000, 256, 256}, "(50000, 256, 256, 3)", 9830400000},
                {{50000, 512, 512}, "(50000, 512, 512, 3)", 39321600000},
                {{1 << 30, 65536, 65536}, "(1073741824, 65536, 65536, 3)", 0}};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        const dd_npz_shape *s = &sets[i].shape;
        uint8_t head[DD_NPZ_HEAD], tail[DD_NPZ_TAIL];
        dd_npz_head(s, 0xdeadbeef, head);
        dd_npz_tail(s, 0xdeadbeef, tail);
        assert_memory_equal(head, "PK\x03\x04", 4);
        read_member(head + 4, 0xdeadbeef);
        read_npy(head + 59, sets[i].text);
        if (sets[i].pictures == 0) continue; /* its size is no 64-bit number: only the text has to fit */
        assert_int_equal(read_name_and_size(head + 30), 128 + sets[i].pictures);
        read_tail(tail, 187 + sets[i].pictures, 128 + sets[i].pictures, 0xdeadbeef);
        assert_int_equal(dd_npz_file_bytes(s), 187 + sets[i].pictures + 173);
        assert_int_equal(dd_npz_offset(s, s->n - 1) + dd_npz_image_bytes(s), 187 + sets[i].pictures);
    }
}

static void shapes_are_refused(void **state)
{
    (void)state;
    static const dd_npz_shape bad[] = {{0, 8, 8},
                                       {-1, 8, 8},
                                       {1, 0, 8},
                                       {1, 8, -1},
                                       {1, 65537, 8},
                                       {1, 8, 65537},
                                       {(1 << 30) + 1, 1, 1},
                                       {1 << 30, 65536, 65536}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        dd_err err = {0};
        assert_int_equal(dd_npz_check(&bad[i], "x.npz", &err), DD_ERR_ARG);
        assert_non_null(strstr(err.text, "x.npz"));
    }
    assert_int_equal(dd_npz_check(&(dd_npz_shape){50000, 512, 512}, "x.npz", NULL), DD_OK);
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

static dd_status open_set(dd_npz_file **f, const char *settings, bool resume, dd_err *err)
{
    json_t *doc = json_loads(settings, 0, NULL);
    assert_non_null(doc);
    const dd_npz_begin b = {scratch("a.npz"), small, doc, resume};
    dd_err_clear(err);
    const dd_status st = dd_npz_file_open(f, &b, err);
    json_decref(doc);
    return st;
}

static void append(dd_npz_file *f, int first, int count)
{
    assert_int_equal(dd_npz_file_done(f), first);
    assert_int_equal(dd_npz_file_append(f, pixels + first * IMAGE, count, NULL), DD_OK);
    assert_int_equal(dd_npz_file_done(f), first + count);
}

static void assert_whole(void)
{
    size_t n;
    uint8_t *data = scratch_read("a.npz", &n);
    const uint32_t crc = dd_crc32(0, data + 59, 128 + sizeof pixels);
    assert_int_equal(n, 187 + sizeof pixels + 173);
    read_member(data + 4, crc);
    read_npy(data + 59, "(5, 3, 4, 3)");
    assert_memory_equal(data + 187, pixels, sizeof pixels);
    read_tail(data + 187 + sizeof pixels, 187 + sizeof pixels, 128 + sizeof pixels, crc);
    assert_int_equal(scratch_count(), 1);
    free(data);
}

static void appears_when_whole(void **state)
{
    (void)state;
    dd_npz_file *f;
    dd_err err = {0};
    assert_int_equal(open_set(&f, "{\"seed\": 1}", false, &err), DD_OK);
    append(f, 0, 2);
    append(f, 2, 0);
    append(f, 2, 2);
    assert_int_equal(dd_npz_file_commit(f, &err), DD_ERR_ARG);
    dd_err_clear(&err);
    assert_int_equal(dd_npz_file_append(f, pixels, 2, &err), DD_ERR_ARG);
    assert_int_not_equal(access(scratch("a.npz"), F_OK), 0);
    append(f, 4, 1);
    assert_int_equal(dd_npz_file_commit(f, NULL), DD_OK);
    dd_npz_file_close(&f);
    assert_null(f);
    assert_whole();
}

static void without_pictures_nothing_is_left(void **state)
{
    (void)state;
    dd_npz_file *f;
    dd_err err = {0};
    assert_int_equal(open_set(&f, "{}", true, &err), DD_OK);
    assert_int_equal(scratch_count(), 2);
    dd_npz_file_close(&f);
    assert_int_equal(scratch_count(), 0);
}

static void is_gone_on_with(void **state)
{
    (void)state;
    dd_npz_file *f;
    dd_err err = {0};
    const char *settings = "{\"seed\": 1, \"scale\": 1.2345678901234}";
    assert_int_equal(open_set(&f, settings, true, &err), DD_OK);
    append(f, 0, 2);
    dd_npz_file_close(&f);
    assert_int_equal(scratch_count(), 2);
    assert_int_equal(open_set(&f, settings, false, &err), DD_ERR_ARG);
    assert_non_null(strstr(err.text, "a.npz.partial is left of a run that was stopped"));
    /* half a picture that no state counts, longer than the whole set */
    const int fd = open(scratch("a.npz.partial"), O_WRONLY | O_APPEND);
    for (int i = 0; i < 9; i++) assert_int_equal(write(fd, pixels, sizeof pixels), sizeof pixels);
    close(fd);
    assert_int_equal(open_set(&f, settings, true, &err), DD_OK);
    append(f, 2, 3);
    dd_npz_file_close(&f); /* all pictures are there, but the run ended before the end */
    assert_int_equal(open_set(&f, settings, true, &err), DD_OK);
    assert_int_equal(dd_npz_file_done(f), N);
    assert_int_equal(dd_npz_file_commit(f, NULL), DD_OK);
    dd_npz_file_close(&f);
    assert_whole();
}

static void a_second_writer_is_refused(void **state)
{
    (void)state;
    dd_npz_file *f, *g;
    dd_err err = {0};
    assert_int_equal(open_set(&f, "{}", true, &err), DD_OK);
    append(f, 0, 1);
    assert_int_equal(open_set(&g, "{}", true, &err), DD_ERR_IO);
    assert_non_null(strstr(err.text, "another run is writing this set"));
    assert_int_equal(open_set(&g, "{}", false, &err), DD_ERR_IO);
    append(f, 1, 4);
    assert_int_equal(dd_npz_file_commit(f, NULL), DD_OK);
    dd_npz_file_close(&f);
    assert_whole();
}

/* A set of two pictures that was left, with settings {"seed": 1}. */
static void leave_two(void)
{
    dd_npz_file *f;
    dd_err err = {0};
    scratch_clear();
    assert_int_equal(open_set(&f, "{\"seed\": 1}", false, &err), DD_OK);
    append(f, 0, 2);
    dd_npz_file_close(&f);
}

static void assert_not_resumed(const char *settings, dd_status st, const char *why)
{
    dd_npz_file *f;
    dd_err err = {0};
    const int files = scratch_count();
    assert_int_equal(open_set(&f, settings, true, &err), st);
    assert_null(f);
    if (!strstr(err.text, why)) fail_msg("'%s' does not say '%s'", err.text, why);
    assert_int_equal(scratch_count(), files);
}

static void other_settings_are_named(void **state)
{
    (void)state;
    leave_two();
    assert_not_resumed("{\"seed\": 2}", DD_ERR_ARG, "a.npz.state: seed was 1 when the set was begun and is 2 now");
    assert_not_resumed("{\"seed\": 1, \"eta\": 0.5}", DD_ERR_ARG, "eta was not set when the set was begun and is 0.5");
    assert_not_resumed("{}", DD_ERR_ARG, "seed was 1 when the set was begun and is not set now");
}

static void spoiled_files_are_named(void **state)
{
    (void)state;
    leave_two();
    int fd = open(scratch("a.npz.partial"), O_WRONLY);
    assert_int_equal(pwrite(fd, "!", 1, 187 + IMAGE), 1);
    close(fd);
    assert_not_resumed("{\"seed\": 1}", DD_ERR_FORMAT, "a.npz.partial has changed since");
    leave_two();
    assert_int_equal(truncate(scratch("a.npz.partial"), 187 + IMAGE), 0);
    assert_not_resumed("{\"seed\": 1}", DD_ERR_FORMAT, "a.npz.partial ends before the 2 pictures");
    leave_two();
    assert_int_equal(unlink(scratch("a.npz.partial")), 0);
    assert_not_resumed("{\"seed\": 1}", DD_ERR_NOT_FOUND, "a.npz.partial is not there");
    leave_two();
    assert_int_equal(unlink(scratch("a.npz.state")), 0);
    assert_not_resumed("{\"seed\": 1}", DD_ERR_NOT_FOUND, "a.npz.state is not there");
    static const char *const states[][2] = {
        {"{", "a.npz.state"},
        {"[]", "no JSON object"},
        {"{\"schema\": \"dydit-run\"}", "schema"},
        {"{\"schema\": \"dydit-set-state\", \"schema_version\": 2}", "schema_version"},
        {"{\"schema\": \"dydit-set-state\", \"schema_version\": 1, \"images_done\": 6, \"crc32\": 1, \"settings\": {}}",
         "images_done"},
        {"{\"schema\": \"dydit-set-state\", \"schema_version\": 1, \"images_done\": 2, \"crc32\": 1, \"settings\": []}",
         "settings"}};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        leave_two();
        scratch_write("a.npz.state", states[i][0], strlen(states[i][0]));
        assert_not_resumed("{\"seed\": 1}", DD_ERR_FORMAT, states[i][1]);
    }
}

/* A process that was killed between making the two files leaves an empty one, which stands in no one's way. */
static void an_empty_file_is_begun_anew(void **state)
{
    (void)state;
    dd_npz_file *f;
    dd_err err = {0};
    for (int resume = 0; resume < 2; resume++) {
        scratch_clear();
        scratch_write("a.npz.partial", "", 0);
        assert_int_equal(open_set(&f, "{}", resume, &err), DD_OK);
        append(f, 0, N);
        assert_int_equal(dd_npz_file_commit(f, NULL), DD_OK);
        dd_npz_file_close(&f);
        assert_whole();
    }
}

static void a_full_disk_is_known_before(void **state)
{
    (void)state;
    dd_npz_file *f;
    dd_err err = {0};
    json_t *doc = json_object();
    const dd_npz_begin b = {scratch("a.npz"), {1 << 30, 65536, 16}, doc, false}; /* 3 PB */
    assert_int_equal(dd_npz_file_open(&f, &b, &err), DD_ERR_IO);
    assert_non_null(strstr(err.text, "a.npz: the set needs"));
    assert_int_equal(scratch_count(), 0);
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_of_any_size),
        cmocka_unit_test(shapes_are_refused),
        cmocka_unit_test_setup(appears_when_whole, clear),
        cmocka_unit_test_setup(without_pictures_nothing_is_left, clear),
        cmocka_unit_test_setup(is_gone_on_with, clear),
        cmocka_unit_test_setup(a_second_writer_is_refused, clear),
        cmocka_unit_test_setup(other_settings_are_named, clear),
        cmocka_unit_test_setup(spoiled_files_are_named, clear),
        cmocka_unit_test_setup(an_empty_file_is_begun_anew, clear),
        cmocka_unit_test_setup(a_full_disk_is_known_before, clear),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
