/* SPDX-License-Identifier: MIT
 * The file of measurements: what was written is read back, keys decide what holds, and nothing that is no such file is taken
 * for one. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/exec/tune_cache.h"
#include "tests/unit/scratch.h"

static const dd_tune_key key = {"Card A", "9.0", "13.0", "0.1.0", "cuBLASLt 13.1.0"};
static dd_err err;
static char stale[DD_ERR_TEXT];

static dd_tuned tuned(int64_t m, dd_epilogue epilogue, double own, double library)
{
    return (dd_tuned){{m, 1152, 4608, DD_FMT_BF16, DD_FMT_F32, epilogue, false}, {{own, library, -1}}};
}

static void write_times(const dd_tune_key *k, dd_tuned *at, int n)
{
    const dd_tune_list list = {at, n};
    dd_err_clear(&err);
    assert_int_equal(dd_tune_write(scratch("tune.json"), k, &list, &err), DD_OK);
}

static dd_status read_times(dd_tune_list *out, const dd_tune_key *k)
{
    dd_err_clear(&err);
    return dd_tune_read(out, scratch("tune.json"), k, stale, &err);
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    dd_tuned first[] = {tuned(512, DD_EPI_BIAS, 10.5, 9.25), tuned(512, DD_EPI_GELU, 11, 12)};
    dd_tuned second[] = {tuned(512, DD_EPI_GELU, 13, 7), tuned(1024, DD_EPI_RESIDUAL, 1, 2)};
    dd_tune_list l;
    first[0].times.us[DD_BY_WGMMA] = 8;
    second[0].times.us[DD_BY_LIBRARY] = -1;
    scratch_clear();
    assert_int_equal(read_times(&l, &key), DD_OK);
    assert_int_equal(l.n, 0);
    write_times(&key, first, 2);
    write_times(&key, second, 2);
    assert_int_equal(scratch_count(), 1);
    assert_int_equal(read_times(&l, &key), DD_OK);
    assert_string_equal(stale, "");
    assert_int_equal(l.n, 3); /* the second time of a shape is in the place of the first */
    const dd_tuned *want[] = {&first[0], &second[0], &second[1]};
    for (int i = 0; i < 3; i++) {
        assert_true(dd_gemm_shape_equal(&l.at[i].shape, &want[i]->shape));
        for (int by = 0; by < DD_BY_COUNT; by++) assert_true(l.at[i].times.us[by] == want[i]->times.us[by]);
    }
    dd_tune_list_fini(&l);
}

/* Each field of the key in turn. */
static void other_keys_hold_no_more(void **state)
{
    (void)state;
    dd_tuned times[] = {tuned(512, DD_EPI_BIAS, 2, 1)};
    dd_tune_list l;
    for (int field = 0; field < 5; field++) {
        dd_tune_key other = key;
        char *const fields[] = {other.device, other.capability, other.driver, other.dydit, other.library};
        scratch_clear();
        write_times(&key, times, 1);
        fields[field][0] = 'X';
        assert_int_equal(read_times(&l, &other), DD_OK);
        assert_int_equal(l.n, 0);
        /* another device is no stale one */
        assert_int_equal(stale[0] != 0, field != 0);
        write_times(&other, times, 1);
        assert_int_equal(read_times(&l, &other), DD_OK);
        assert_int_equal(l.n, 1);
        dd_tune_list_fini(&l);
        assert_int_equal(read_times(&l, &key), DD_OK);
        assert_int_equal(l.n, field == 0); /* what is stale was dropped, other devices stay */
        dd_tune_list_fini(&l);
    }
}

static void garbage_is_refused(void **state)
{
    (void)state;
#define DEVICE                                                                                                     \
    "\"device\":\"Card A\",\"capability\":\"9.0\",\"driver\":\"13.0\",\"dydit\":\"0.1.0\",\"library\":\"cuBLASLt " \
    "13.1.0\""
#define FILE_OF(devices) "{\"schema\":\"dydit-tune\",\"schema_version\":1,\"devices\":[" devices "]}"
#define GEMM(m, input, epilogue, own)                                                                  \
    "{\"m\":" m ",\"n\":2,\"k\":3,\"input\":\"" input "\",\"output\":\"f32\",\"epilogue\":\"" epilogue \
    "\",\"sliced\":false,\"own_us\":" own ",\"library_us\":1}"
#define GEMMS(gemm) FILE_OF("{" DEVICE ",\"gemms\":[" gemm "]}")
    static const char *const good = GEMMS(GEMM("1", "f32", "bias", "2"));
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "tune.json"},
        {"no JSON", "tune.json"},
        {"[]", "no file of measurements"},
        {"{\"schema\":\"dydit-plan\",\"schema_version\":1,\"devices\":[]}", "dydit-plan"},
        {"{\"schema\":\"dydit-tune\",\"schema_version\":3,\"devices\":[]}", "schema_version"},
        {"{\"schema\":\"dydit-tune\",\"schema_version\":1}", "devices"},
        {FILE_OF("7"), "devices[0] is no object"},
        {FILE_OF("{\"device\":\"Card A\"}"), "capability"},
        {FILE_OF("{" DEVICE "}"), "gemms"},
        {GEMMS("7"), "gemms[0] is no object"},
        {GEMMS(GEMM("0", "f32", "bias", "2")), "field \"m\" is 0"},
        {GEMMS(GEMM("1", "f8", "bias", "2")), "f8"},
        {GEMMS(GEMM("1", "f32", "relu", "2")), "relu"},
        {GEMMS("{\"m\":1,\"n\":2,\"k\":3,\"input\":\"f32\",\"output\":\"f32\",\"epilogue\":\"bias\"}"), "sliced"},
        {GEMMS(GEMM("1", "f32", "bias", "-2")), "own_us"},
        {GEMMS(GEMM("1", "f32", "bias", "\"2\"")), "own_us"},
        {GEMMS(GEMM("1", "f32", "bias", "2,\"wgmma_us\":-1")), "wgmma_us"},
        {GEMMS(GEMM("1", "f32", "bias", "2,\"wgmma_us\":null")), "wgmma_us"},
    };
    const dd_tuned one = tuned(512, DD_EPI_BIAS, 2, 1);
    dd_tune_list l;
    scratch_write("tune.json", good, strlen(good));
    assert_int_equal(read_times(&l, &key), DD_OK);
    assert_int_equal(l.n, 1);
    dd_tune_list_fini(&l);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n;
        scratch_write("tune.json", cases[i].text, strlen(cases[i].text));
        assert_int_equal(read_times(&l, &key), DD_ERR_FORMAT);
        if (!strstr(err.text, "tune.json") || !strstr(err.text, cases[i].words))
            fail_msg("%s: '%s' is not in: %s", cases[i].text, cases[i].words, err.text);
        assert_int_equal(l.n, 0);
        /* nor is it written over */
        dd_tuned copy = one;
        const dd_tune_list list = {&copy, 1};
        assert_int_equal(dd_tune_write(scratch("tune.json"), &key, &list, NULL), DD_ERR_FORMAT);
        unsigned char *kept = scratch_read("tune.json", &n);
        assert_string_equal((const char *)kept, cases[i].text);
        free(kept);
    }
}

static void default_place(void **state)
{
    (void)state;
    char path[4096], want[4096];
    scratch_clear();
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_int_equal(dd_tune_path(path, sizeof path, false, NULL), DD_ERR_NOT_FOUND);
    setenv("HOME", "/home/me", 1);
    assert_int_equal(dd_tune_path(path, sizeof path, false, NULL), DD_OK);
    assert_string_equal(path, "/home/me/.cache/dydit/tune.json");
    setenv("XDG_CACHE_HOME", "relative", 1);
    assert_int_equal(dd_tune_path(path, sizeof path, false, NULL), DD_OK);
    assert_string_equal(path, "/home/me/.cache/dydit/tune.json");
    setenv("XDG_CACHE_HOME", scratch_dir, 1);
    assert_int_equal(dd_tune_path(path, sizeof path, true, NULL), DD_OK);
    snprintf(want, sizeof want, "%s/dydit/tune.json", scratch_dir);
    assert_string_equal(path, want);
    assert_int_equal(scratch_count(), 1); /* the folder was made */
    assert_int_equal(dd_tune_path(path, 20, false, NULL), DD_ERR_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(other_keys_hold_no_more),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(default_place),
    };
    return cmocka_run_group_tests_name("tune_cache", tests, scratch_setup, scratch_teardown);
}
