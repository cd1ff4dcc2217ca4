/* SPDX-License-Identifier: MIT
 * Backends from shared objects: where they are looked for, what is said of those that cannot be used, what `auto`
 * takes. The plugin is tests/plugin/fake.c. */
#define _GNU_SOURCE /* RTLD_DEFAULT, dladdr */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/exec/plugin.h"
#include "tests/unit/scratch.h"

static char fake_dir[1024]; /* build/CONFIG/tests/plugin */

static int setup(void **state)
{
    char exe[512];
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0) return -1;
    exe[n] = 0;
    *strrchr(exe, '/') = 0;
    snprintf(fake_dir, sizeof fake_dir, "%s/../plugin", exe);
    return scratch_setup(state);
}

/* Every test says where to look and what the plugin is to do. */
static void env(const char *path, const char *fake)
{
    assert_int_equal(setenv("DYDIT_PLUGIN_PATH", path, 1), 0);
    assert_int_equal(setenv("DYDIT_FAKE", fake, 1), 0);
}

static void expect_text(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("\"%s\" is not in: %s", part, text);
}

static void refused(const char *name, int device, dd_status want, const char *part)
{
    dd_err err = {0};
    dd_backend *be = (dd_backend *)&err;
    const dd_status st = dd_plugin_open(&be, name, device, &err);
    if (st != want) fail_msg("%s instead of: %s", dd_status_name(st), part);
    assert_null(be);
    expect_text(err.text, part);
}

static void open_and_close(void **state)
{
    (void)state;
    dd_err err = {0};
    env(fake_dir, "");
    for (int i = 0; i < 2; i++) {
        dd_backend *be = NULL;
        const dd_status st = dd_plugin_open(&be, "cuda", 0, &err);
        if (st != DD_OK) fail_msg("%s", err.text);
        assert_string_equal(be->name, "cuda");
        assert_int_equal(be->devices->n, 2);
        assert_int_equal(be->devices->opened, 0);
        uint64_t before, after;
        void *p;
        assert_int_equal(be->memory_free(be, &before, &err), DD_OK);
        assert_int_equal(be->alloc(be, 1000, &p, &err), DD_OK);
        assert_int_equal(be->memory_free(be, &after, &err), DD_OK);
        assert_int_equal(before - after, 1000);
        be->release(be, p);
        dd_backend_close(&be);
    }
}

static void list_of_devices(void **state)
{
    (void)state;
    dd_err err = {0};
    dd_backend *be = NULL;
    env(fake_dir, "");
    assert_int_equal(dd_plugin_open(&be, "cuda", DD_DEVICE_LIST, &err), DD_OK);
    assert_int_equal(be->devices->n, 2);
    assert_int_equal(be->devices->opened, -1);
    assert_string_equal(be->devices->device[1].name, "Fake Two");
    dd_backend_close(&be);
}

static void refusals(void **state)
{
    (void)state;
    env(fake_dir, "abi");
    char part[96];
    snprintf(part, sizeof part, "libdydit-cuda.so is of another build: it does not know plugin interface %d",
             DD_PLUGIN_ABI);
    refused("cuda", 0, DD_ERR_UNSUPPORTED, part);
    env(fake_dir, "size");
    refused("cuda", 0, DD_ERR_UNSUPPORTED, "the plugin is of another build");
    env(fake_dir, "driver");
    refused("cuda", 0, DD_ERR_DEVICE, "there is no NVIDIA driver");
    env(fake_dir, "empty");
    refused("cuda", DD_DEVICE_LIST, DD_ERR_DEVICE, "there is no device");
    env(fake_dir, "nothing");
    refused("cuda", 0, DD_ERR_INTERNAL, "libdydit-cuda.so returned no backend");
    env(fake_dir, "");
    refused("cuda", 1, DD_ERR_UNSUPPORTED, "no code for compute capability 7.0");
    refused("cuda", 2, DD_ERR_ARG, "device 2");
}

static void files_that_are_no_plugins(void **state)
{
    (void)state;
    Dl_info info;
    char part[1200];
    env(scratch_dir, "");
    scratch_write("libdydit-text.so", "no shared object", 16);
    snprintf(part, sizeof part, "%s/libdydit-text.so cannot be loaded: ", scratch_dir);
    refused("text", 0, DD_ERR_UNSUPPORTED, part);
    /* Any library in which there is a function that everyone has. */
    void *symbol = dlsym(RTLD_DEFAULT, "cos");
    assert_non_null(symbol);
    assert_int_not_equal(dladdr(symbol, &info), 0);
    assert_int_equal(symlink(info.dli_fname, scratch("libdydit-libm.so")), 0);
    refused("libm", 0, DD_ERR_UNSUPPORTED, "libdydit-libm.so has no function dd_backend_open_v1");
    scratch_clear();
}

static void places(void **state)
{
    (void)state;
    dd_err err = {0};
    char list[4096], found[2048], want[2048];
    /* Nowhere: says where, the folder of this program among them, and none twice. */
    snprintf(list, sizeof list, "/nonexistent:%s::/nonexistent/:%s:", scratch_dir, scratch_dir);
    env(list, "");
    assert_int_equal(dd_plugin_find("nonesuch", found, sizeof found, &err), DD_ERR_NOT_FOUND);
    snprintf(want, sizeof want, "libdydit-nonesuch.so was not found in /nonexistent, %s, /nonexistent/, /",
             scratch_dir);
    expect_text(err.text, want);
    expect_text(err.text, "/tests/unit, ");
    expect_text(err.text, "/dydit");
    assert_null(strstr(strstr(err.text, scratch_dir) + 1, scratch_dir));
    /* The first one counts, though it cannot be loaded and a later one could be. */
    snprintf(list, sizeof list, "/nonexistent:%s:%s", scratch_dir, fake_dir);
    env(list, "");
    snprintf(want, sizeof want, "%s/libdydit-cuda.so", fake_dir);
    assert_int_equal(dd_plugin_find("cuda", found, sizeof found, &err), DD_OK);
    assert_string_equal(found, want);
    scratch_write("libdydit-cuda.so", "", 0);
    assert_int_equal(dd_plugin_find("cuda", found, sizeof found, &err), DD_OK);
    assert_string_equal(found, scratch("libdydit-cuda.so"));
    refused("cuda", 0, DD_ERR_UNSUPPORTED, "cannot be loaded");
    /* A relative folder is refused, wherever it stands. */
    snprintf(list, sizeof list, "%s:build", fake_dir);
    env(list, "");
    refused("cuda", 0, DD_ERR_ARG, "DYDIT_PLUGIN_PATH names the folder 'build', which does not begin with /");
    scratch_clear();
}

static dd_status open_choice(const char *name, int device, char *why, dd_err *err, char *taken)
{
    const dd_backend_choice choice = {.name = name, .threads = 1, .device = device};
    dd_backend *be;
    dd_err_clear(err);
    const dd_status st = dd_backend_open(&be, &choice, why, err);
    strcpy(taken, be ? be->name : "");
    assert_int_equal(st == DD_OK, be != NULL);
    dd_backend_close(&be);
    return st;
}

static void automatic_choice(void **state)
{
    (void)state;
    char why[DD_ERR_TEXT], taken[16];
    dd_err err = {0};
    env(fake_dir, "");
    assert_int_equal(open_choice("auto", 0, why, &err, taken), DD_OK);
    assert_string_equal(taken, "cuda");
    assert_string_equal(why, "");
    env(fake_dir, "driver");
    assert_int_equal(open_choice("auto", 0, why, &err, taken), DD_OK);
    assert_string_equal(taken, "cpu");
    assert_string_equal(why, "backend auto: cpu, because there is no NVIDIA driver");
    assert_string_equal(err.text, "");
    assert_int_equal(open_choice("auto", 0, NULL, &err, taken), DD_OK);
    env(scratch_dir, "");
    assert_int_equal(symlink(fake_dir, scratch("libdydit-cuda.so")), 0); /* a folder */
    assert_int_equal(open_choice("auto", 0, why, &err, taken), DD_OK);
    assert_string_equal(taken, "cpu");
    expect_text(why, "backend auto: cpu, because ");
    expect_text(why, "libdydit-cuda.so cannot be loaded: ");
    /* What the caller got wrong is no reason for another backend. */
    env(fake_dir, "");
    assert_int_equal(open_choice("auto", 5, why, &err, taken), DD_ERR_ARG);
    expect_text(err.text, "backend cuda: device 5");
    env("here", "");
    assert_int_equal(open_choice("auto", 0, why, &err, taken), DD_ERR_ARG);
    scratch_clear();
}

static void explicit_choice(void **state)
{
    (void)state;
    char taken[16], file[1100];
    dd_err err = {0};
    env(fake_dir, "");
    assert_int_equal(open_choice("cuda", 0, NULL, &err, taken), DD_OK);
    assert_string_equal(taken, "cuda");
    env(fake_dir, "driver");
    assert_int_equal(open_choice("cuda", 0, NULL, &err, taken), DD_ERR_DEVICE);
    assert_string_equal(err.text, "backend cuda: there is no NVIDIA driver");
    env(scratch_dir, "emu");
    snprintf(file, sizeof file, "%s/libdydit-cuda.so", fake_dir);
    assert_int_equal(symlink(file, scratch("libdydit-emu.so")), 0);
    assert_int_equal(open_choice("emu", 0, NULL, &err, taken), DD_OK);
    assert_string_equal(taken, "emu");
    assert_int_equal(open_choice("cpu", 1, NULL, &err, taken), DD_ERR_ARG);
    expect_text(err.text, "device 1: backend cpu has no devices");
    assert_int_equal(open_choice("cuda", -1, NULL, &err, taken), DD_ERR_ARG);
    assert_int_equal(open_choice("gpu", 0, NULL, &err, taken), DD_ERR_ARG);
    scratch_clear();
}

static void *open_often(void *arg)
{
    int *failed = arg;
    for (int i = 0; i < 20; i++) {
        dd_backend *be = NULL;
        dd_err err = {0};
        if (dd_plugin_open(&be, "cuda", 0, &err) != DD_OK) ++*failed;
        dd_backend_close(&be);
    }
    return NULL;
}

static void two_threads_at_once(void **state)
{
    (void)state;
    pthread_t thread[2];
    int failed[2] = {0};
    env(fake_dir, "");
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&thread[i], NULL, open_often, &failed[i]), 0);
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(failed[0] + failed[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(open_and_close),  cmocka_unit_test(list_of_devices),
                                       cmocka_unit_test(refusals),        cmocka_unit_test(files_that_are_no_plugins),
                                       cmocka_unit_test(places),          cmocka_unit_test(automatic_choice),
                                       cmocka_unit_test(explicit_choice), cmocka_unit_test(two_threads_at_once)};
    return cmocka_run_group_tests_name("plugin", tests, setup, scratch_teardown);
}
