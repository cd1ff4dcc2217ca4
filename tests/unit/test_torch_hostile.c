/* SPDX-License-Identifier: MIT
 * Files that look like torch.save's and are not honest: each refused with one sentence that names the file, and nothing
 * in them is run. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/io/torch_file.h"
#include "tests/unit/scratch.h"
#include "tests/unit/torch_archive.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))
#define PICKLE(text) text, sizeof text - 1
#define SHAPE4 PK_INT1("\4") "\x85"
#define ONE PK_INT1("\1") "\x85"
#define ZERO PK_INT1("\0")
#define DICT_OF(tensor) PK_BEGIN "}" PK_KEY("w") tensor "s."

static void refused(const char *path, const char *part)
{
    dd_err err = {0};
    dd_tensors *f = (dd_tensors *)&err;
    if (dd_torch_open(&f, path, DD_WHICH_AUTO, &err) == DD_OK) fail_msg("accepted: %s", part);
    assert_null(f);
    assert_true(err.status == DD_ERR_FORMAT || err.status == DD_ERR_UNSUPPORTED);
    if (!strstr(err.text, path) || !strstr(err.text, part)) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
    assert_null(strchr(err.text, '\n'));
}

static dd_tensors *accepted(const char *path)
{
    dd_err err = {0};
    dd_tensors *f = NULL;
    if (dd_torch_open(&f, path, DD_WHICH_AUTO, &err) != DD_OK) fail_msg("%s", err.text);
    return f;
}

static void honest(void **state)
{
    (void)state;
    dd_tensors *f = accepted(archive_of_pickle(PICKLE(DICT_OF(PK_GOOD))));
    const dd_tensor *t = dd_tensors_find(f, "w");
    assert_non_null(t);
    assert_int_equal(t->count, 4);
    float values[4]; /* this archive does not align its members */
    memcpy(values, t->data, sizeof values);
    assert_float_equal(values[3], 4, 0);
    dd_tensors_close(&f);
}

/* What other readers would call: refused where it is all there is, passed over where it stands beside tensors. */
static void code_is_not_run(void **state)
{
    static const char call[] = "cposix\nsystem\nX", tensor[] = "\x85Rs" PK_KEY("w") PK_GOOD "s.";
    char command[600];
    static archive_bytes p;
    (void)state;
    const int n = snprintf(command, sizeof command, "touch %s/was-run", scratch_dir);
    for (int alone = 0; alone < 2; alone++) {
        p.n = 0;
        if (alone) archive_add(&p, PICKLE(PK_BEGIN));
        else archive_add(&p, PICKLE(PK_BEGIN "}" PK_KEY("c")));
        archive_add(&p, call, sizeof call - 1);
        archive_put(&p, (uint64_t)n, 4);
        archive_add(&p, command, (size_t)n);
        if (alone) {
            archive_add(&p, PICKLE("\x85R."));
            refused(archive_of_pickle(p.b, p.n), "no dictionary of tensors");
        } else {
            archive_add(&p, tensor, sizeof tensor - 1);
            dd_tensors *f = accepted(archive_of_pickle(p.b, p.n));
            assert_int_equal(dd_tensors_count(f), 1);
            dd_tensors_close(&f);
        }
        assert_int_equal(access(scratch("was-run"), F_OK), -1);
    }
}

typedef struct bad_pickle {
    const char *text;
    size_t n;
    const char *says;
} bad_pickle;

static const bad_pickle bad_pickles[] = {
    {PICKLE(""), "ends too early"},
    {PICKLE("\x80\x04}."), "protocol 2"},
    {PICKLE("(dp0\n."), "protocol 2"},
    {PICKLE(PK_BEGIN "}"), "ends too early"},
    {PICKLE(PK_BEGIN "."), "the end is not where"},
    {PICKLE(PK_BEGIN "}}."), "the end is not where"},
    {PICKLE(PK_BEGIN "}.}"), "the end is not where"},
    {PICKLE(PK_BEGIN "(}."), "the end is not where"},
    {PICKLE(PK_BEGIN "}S'text'\n."), "opcode 0x53 ('S')"},
    {PICKLE(PK_BEGIN "i__main__\nX\n."), "opcode 0x69 ('i')"},
    {PICKLE(PK_BEGIN "\x93."), "opcode 0x93"},
    {PICKLE(PK_BEGIN "\x82\1."), "opcode 0x82"},
    {PICKLE(PK_BEGIN "cposix"), "global without a name"},
    {PICKLE(PK_BEGIN "h\5."), "never put"},
    {PICKLE(PK_BEGIN "}r\xff\xff\xff\xff."), "a memo of over"},
    {PICKLE(PK_BEGIN "q\0."), "lacks its operands"},
    {PICKLE(PK_BEGIN "R."), "lacks its operands"},
    {PICKLE(PK_BEGIN "}(R."), "lacks its operands"},
    {PICKLE(PK_BEGIN "}\x87."), "lacks its operands"},
    {PICKLE(PK_BEGIN "}t."), "lacks its mark"},
    {PICKLE(PK_BEGIN "(u."), "without a container"},
    {PICKLE(PK_BEGIN "}((u."), "without a container"},
    {PICKLE(PK_BEGIN "}(Nu."), "a key without a value"},
    {PICKLE(PK_BEGIN "](NNu."), "something that holds none"},
    {PICKLE(PK_BEGIN "}Na."), "something that holds none"},
    {PICKLE(PK_BEGIN ")(NNu."), "something that holds none"},
    {PICKLE(PK_BEGIN "X\xff\xff\xff\xff."), "text of over 65536"},
    {PICKLE(PK_BEGIN "X\xff\0\0\0."), "ends too early"},
    {PICKLE(PK_BEGIN "\x8a\xff."), "ends too early"},
    {PICKLE(PK_BEGIN "]."), "no dictionary of tensors"},
    {PICKLE(PK_BEGIN "}."), "holds no tensors"},
    {PICKLE(PK_BEGIN "}X\5\0\0\0model}s."), "model holds no tensors"},
    /* names */
    {PICKLE(PK_BEGIN "}(" PK_KEY("w") PK_GOOD PK_KEY("w") PK_GOOD "u."), "tensor w is there twice"},
    {PICKLE(PK_BEGIN "}(" PK_KEY("w") PK_GOOD "X\x8\0\0\0module.w" PK_GOOD "u."), "tensor w is there twice"},
    {PICKLE(PK_BEGIN "}" PK_KEY("\n") PK_GOOD "s."), "not plain UTF-8"},
    {PICKLE(PK_BEGIN "}" PK_KEY("\xff") PK_GOOD "s."), "not plain UTF-8"},
    {PICKLE(PK_BEGIN "}" PK_KEY("\0") PK_GOOD "s."), "not plain UTF-8"},
    {PICKLE(PK_BEGIN "}X\0\0\0\0" PK_GOOD "s."), "name has 0 bytes"},
    /* tensors */
    {PICKLE(DICT_OF(PK_TENSOR(PK_INT1("\1"), SHAPE4, ONE))), "tensor w: it reaches past the end"},
    {PICKLE(DICT_OF(PK_TENSOR(ZERO, PK_INT1("\5") "\x85", ONE))), "tensor w: it reaches past the end"},
    {PICKLE(DICT_OF(PK_TENSOR(ZERO, SHAPE4, PK_INT1("\2") "\x85"))), "tensor w: it reaches past the end"},
    {PICKLE(DICT_OF(PK_TENSOR("J\xff\xff\xff\xff", SHAPE4, ONE))), "its place in the storage"},
    {PICKLE(DICT_OF(PK_TENSOR(ZERO, "J\xff\xff\xff\xff\x85", ONE))), "an extent or a stride"},
    {PICKLE(DICT_OF(PK_TENSOR(ZERO, SHAPE4, "J\xff\xff\xff\xff\x85"))), "an extent or a stride"},
    {PICKLE(DICT_OF(PK_TENSOR(ZERO, "N\x85", ONE))), "an extent or a stride"},
    {PICKLE(DICT_OF(PK_TENSOR(ZERO, ")", ONE))), "its shape is missing"},
    {PICKLE(DICT_OF(PK_TENSOR(ZERO, "N", ONE))), "its shape is missing"},
    {PICKLE(DICT_OF(PK_TENSOR("\x8a\x8\xff\xff\xff\xff\xff\xff\xff\x7f", SHAPE4, ONE))), "it reaches past the end"},
    {PICKLE(DICT_OF(PK_TENSOR(ZERO, "\x8a\x8\xff\xff\xff\xff\xff\xff\xff\x7fK\2\x86", "K\0K\0\x86"))), "overflows"},
    {PICKLE(DICT_OF(PK_TENSOR(ZERO, "J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", "K\0K\0\x86"))), "four times as large"},
    {PICKLE(DICT_OF(PK_TENSOR(ZERO, "J\xff\xff\xff\x7f\x85", "K\0\x85"))), "four times as large as the file"},
    {PICKLE(DICT_OF(PK_TENSOR(ZERO, "K\xc8\x85", "K\0\x85"))), "copies would be larger than the file"},
    {PICKLE(DICT_OF(PK_TENSOR_OF("N", ZERO, SHAPE4, ONE))), "its storage is of no known kind"},
    {PICKLE(DICT_OF(PK_TENSOR_OF("NQ", ZERO, SHAPE4, ONE))), "its storage is of no known kind"},
    {PICKLE(DICT_OF(PK_TENSOR_OF(")Q", ZERO, SHAPE4, ONE))), "its storage is of no known kind"},
    {PICKLE(DICT_OF(PK_TENSOR_OF(PK_STORAGE("OddStorage", "K\4"), ZERO, SHAPE4, ONE))), "of no known kind"},
    {PICKLE(DICT_OF(PK_TENSOR_OF(PK_STORAGE("DoubleStorage", "K\4"), ZERO, SHAPE4, ONE))), "another size in data.pkl"},
    {PICKLE(DICT_OF(PK_TENSOR_OF(PK_STORAGE("FloatStorage", "K\5"), ZERO, SHAPE4, ONE))), "another size in data.pkl"},
    {PICKLE(DICT_OF(PK_TENSOR_OF(PK_STORAGE("FloatStorage", "\x8a\x8\1\0\0\0\0\0\0\x40"), ZERO, SHAPE4, ONE))),
     "another size in data.pkl"},
    {PICKLE(DICT_OF(PK_GLOBAL("torch._utils", "_rebuild_tensor_v2") ")R")), "its storage is of no known kind"},
};

static void bad_pickles_are_refused(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT(bad_pickles); i++)
        refused(archive_of_pickle(bad_pickles[i].text, bad_pickles[i].n), bad_pickles[i].says);
}

/* An empty list, then the same bytes many times. */
static void repeated(const char *unit, size_t times, const char *says)
{
    static archive_bytes p;
    p.n = 0;
    archive_add(&p, PICKLE(PK_BEGIN "]"));
    for (size_t i = 0; i < times; i++) archive_add(&p, unit, strlen(unit));
    archive_add(&p, ".", 1);
    refused(archive_of_pickle(p.b, p.n), says);
}

static void bombs(void **state)
{
    (void)state;
    repeated("(", 300, "nested deeper");
    repeated("]", 70000, "more values are stacked");
    /* Tuples that hold the one before twice: whoever walks them all meets 2^30000 leaves. And once, 100000 deep. */
    repeated("q\1h\1\x86", 30000, "no dictionary of tensors");
    repeated("\x85", 100000, "no dictionary of tensors");
}

/* A good pickle and storage; each case bends one member. */
static void bad_archives_are_refused(void **state)
{
    static const char pickle[] = DICT_OF(PK_GOOD);
    static const float values[4] = {1, 2, 3, 4};
    const archive_member good[] = {{.name = "x/data.pkl", .data = pickle, .n = sizeof pickle - 1},
                                   {.name = "x/data/0", .data = values, .n = sizeof values}};
    const struct {
        archive_member third;
        archive_member second; /* in place of the good one, where it has a name */
        const char *says;
    } cases[] = {
        {{.name = "../data"}, {0}, "not plain"},
        {{.name = "x/../../data"}, {0}, "not plain"},
        {{.name = "/etc/x"}, {0}, "not plain"},
        {{.name = "x\\data"}, {0}, "not plain"},
        {{.name = "y/data"}, {0}, "outside the folder"},
        {{.name = "x/data/0"}, {0}, "is there twice"},
        {{.name = "x/constants.pkl"}, {0}, "TorchScript"},
        {{.name = "x/byteorder", .data = "big", .n = 3}, {0}, "not little-endian"},
        {{.name = "x/code", .method = 8}, {0}, "is compressed"},
        {{.name = "x/secret", .flags = 1}, {0}, "is encrypted"},
        {{.name = "x/huge", .zip64 = true, .dir_size = INT32_MAX, .local_size = INT32_MAX},
         {0},
         "reaches past the end"},
        {{.name = "x/big", .dir_size = 1 << 20, .local_size = 1 << 20}, {0}, "reaches past the end"},
        {{.name = "x/early", .dir_offset = -40}, {0}, "not where the directory says"},
        {{.name = "x/late", .dir_offset = 1 << 20}, {0}, "not where the directory says"},
        {{.name = "x/renamed", .local_name = "x/another"}, {0}, "another name"},
        {{0}, {.name = "x/data/0", .data = values, .n = 16, .local_size = 4}, "another size or method"},
        {{0}, {.name = "x/data/0", .data = values, .n = 16, .dir_size = -4}, "another size or method"},
        {{0}, {.name = "x/data/0", .data = values, .n = 12}, "another size in data.pkl"},
        {{0}, {.name = "x/data/1", .data = values, .n = 16}, "its values are not in the archive"},
        {{.name = "x/version"},
         {.name = "x/data/0", .data = values, .n = 16, .dir_size = 16, .local_size = 16},
         "overlaps the member before it"},
    };
    static archive_bytes a;
    (void)state;
    for (int i = 0; i < COUNT(cases); i++) {
        const archive_member members[] = {good[0], cases[i].second.name ? cases[i].second : good[1], cases[i].third};
        archive_make(&a, members, cases[i].third.name ? 3 : 2);
        scratch_write("x.pt", a.b, a.n);
        refused(scratch("x.pt"), cases[i].says);
    }
}

static void taken(const archive_member *members, int n)
{
    static archive_bytes a;
    dd_err err = {0};
    dd_tensors *f = NULL;
    archive_make(&a, members, n);
    scratch_write("x.pt", a.b, a.n);
    if (dd_torch_open(&f, scratch("x.pt"), DD_WHICH_AUTO, &err) != DD_OK) fail_msg("%s", err.text);
    const dd_tensor *t = dd_tensors_at(f, 0);
    assert_int_equal(t->count, 4);
    assert_memory_equal(t->data, members[1].data, 16);
    dd_tensors_close(&f);
}

/* The folder has the name of the file that was saved; sizes and offsets of large archives lie in extra fields. */
static void unusual_archives(void **state)
{
    (void)state;
    static const char pickle[] = DICT_OF(PK_GOOD);
    static const float values[4] = {1, 2, 3, 4};
    archive_member m[] = {{.name = "at 12:30/data.pkl", .data = pickle, .n = sizeof pickle - 1},
                          {.name = "at 12:30/data/0", .data = values, .n = sizeof values}};
    taken(m, 2);
    m[1].zip64 = true;
    taken(m, 2);
    m[0].zip64 = true;
    taken(m, 2);
}

/* Cut off at any byte, or with bytes behind its end: never taken. */
static void cut_off_anywhere(void **state)
{
    (void)state;
    size_t n;
    archive_of_pickle(PICKLE(DICT_OF(PK_GOOD)));
    unsigned char *file = scratch_read("x.pt", &n);
    for (size_t k = 1; k < n; k++) {
        scratch_write("x.pt", file, k);
        refused(scratch("x.pt"), "");
    }
    file[n] = 0;
    scratch_write("x.pt", file, n + 1);
    refused(scratch("x.pt"), "the end of its directory");
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest),
        cmocka_unit_test(code_is_not_run),
        cmocka_unit_test(bad_pickles_are_refused),
        cmocka_unit_test(bombs),
        cmocka_unit_test(bad_archives_are_refused),
        cmocka_unit_test(cut_off_anywhere),
        cmocka_unit_test(unusual_archives),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
