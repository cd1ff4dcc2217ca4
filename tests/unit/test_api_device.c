/* SPDX-License-Identifier: MIT
 * The public interface on a device: what is estimated for it is what it takes, too little memory is said before a run and
 * after a failed allocation, and why "auto" took the CPU is said once. The device is tests/plugin/fake.c. */
#define _XOPEN_SOURCE 700
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dydit.h"
#include "tests/unit/scratch.h"

#define MODEL "tests/golden/model_d128_h4_p4.safetensors"

static const int labels[8] = {0, 3, 3, 25, 7, 1, 2, 9};

static int setup(void **state)
{
    char exe[512], dir[600];
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0 || scratch_setup(state) != 0) return -1;
    exe[n] = 0;
    *strrchr(exe, '/') = 0;
    snprintf(dir, sizeof dir, "%s/../plugin", exe);
    return setenv("DYDIT_PLUGIN_PATH", dir, 1);
}

/* What the log got. */
static char said[2048];
static int said_level, said_times;

static void on_log(void *user, int level, const char *text)
{
    (void)user;
    if (!strstr(text, "backend auto")) return;
    snprintf(said, sizeof said, "%s", text);
    said_level = level;
    said_times++;
}

typedef struct rig {
    dydit_ctx *ctx;
    dydit_model *model;
} rig;

/* precision: other than "auto", of a device that has them all. */
static rig open_rig_as(const char *backend, const char *fake, const char *precision)
{
    rig r = {0};
    dydit_options o;
    char words[128];
    snprintf(words, sizeof words, "%s%s", fake, strcmp(precision, "auto") == 0 ? "" : ",ref");
    dydit_options_init(&o, sizeof o);
    o.backend = backend;
    o.precision = precision;
    o.threads = 2;
    o.log = on_log;
    assert_int_equal(setenv("DYDIT_FAKE", words, 1), 0);
    if (dydit_open(&r.ctx, &o) != DYDIT_OK) fail_msg("%s", dydit_message(r.ctx));
    if (dydit_model_open(r.ctx, &r.model, MODEL, NULL) != DYDIT_OK) fail_msg("%s", dydit_message(r.ctx));
    return r;
}

static rig open_rig(const char *backend, const char *fake) { return open_rig_as(backend, fake, "auto"); }

static void close_rig(rig *r)
{
    dydit_model_close(&r->model);
    dydit_close(&r->ctx);
}

static dydit_sample_options quick(void)
{
    dydit_sample_options o;
    dydit_sample_options_init(&o, sizeof o);
    o.steps = "ddim4";
    o.labels = labels;
    o.n_images = 8;
    o.compare_dense = 1;
    o.keep_trajectory = 1;
    return o;
}

static dydit_estimate estimate(const rig *r, const dydit_sample_options *o)
{
    dydit_estimate e = {.size = sizeof e};
    if (dydit_estimate_sample(r->model, o, &e) != DYDIT_OK) fail_msg("%s", dydit_message(r->ctx));
    return e;
}

static void runs(const rig *r, const dydit_sample_options *o)
{
    dydit_result *result = NULL;
    if (dydit_sample(r->model, o, &result) != DYDIT_OK) fail_msg("%s", dydit_message(r->ctx));
    dydit_result_close(&result);
}

static void refused(const rig *r, const dydit_sample_options *o, const char *part)
{
    dydit_result *result = NULL;
    assert_int_equal(dydit_sample(r->model, o, &result), DYDIT_ERR_NOMEM);
    assert_null(result);
    if (!strstr(dydit_message(r->ctx), part)) fail_msg("\"%s\" is not in: %s", part, dydit_message(r->ctx));
}

/* A device with exactly the memory that was estimated is enough for this batch and for no larger one; weights that lie
 * there already are not asked for again. */
static void estimated_memory_is_enough(void **state)
{
    (void)state;
    char fake[64];
    dydit_sample_options o = quick();
    rig r = open_rig("cuda", "");
    o.batch_size = 3;
    dydit_estimate e = estimate(&r, &o);
    assert_true(e.device_bytes > e.weights_bytes && e.device_bytes < e.peak_bytes);
    assert_int_equal(e.device_free, (uint64_t)64 << 30);
    close_rig(&r);
    snprintf(fake, sizeof fake, "free=%" PRIu64, e.device_bytes);
    r = open_rig("cuda", fake);
    assert_int_equal(estimate(&r, &o).max_device_batch, 3);
    o.batch_size = 4;
    refused(&r, &o, "are missing; 3 images would fit");
    o.batch_size = 3;
    runs(&r, &o);
    const dydit_estimate loaded = estimate(&r, &o);
    assert_int_equal(loaded.device_bytes, e.device_bytes - e.weights_bytes);
    assert_int_equal(loaded.device_free, loaded.device_bytes);
    assert_int_equal(loaded.max_device_batch, 3);
    runs(&r, &o);
    close_rig(&r);
}

static void too_little_memory(void **state)
{
    (void)state;
    dydit_sample_options o = quick();
    rig r = open_rig("cuda", "free=1000000");
    refused(&r, &o, "batches of 8 images need ");
    refused(&r, &o, " GB on the device, 0.001 GB are free: ");
    refused(&r, &o, "; no batch size would fit");
    close_rig(&r);
}

/* Forward passes of 40 rows with two timesteps: batches of 32. */
#define ROWS 40

static dydit_status forward_rows(const rig *r, int rows)
{
    static float x[ROWS * 32 * 32], t[ROWS], out[ROWS * 2 * 32 * 32];
    int y[ROWS];
    for (int i = 0; i < rows; i++) {
        t[i] = (float)(i % 2);
        y[i] = i % 26;
    }
    return dydit_forward(r->model, rows, x, t, y, 0, out);
}

static dydit_status forward(const rig *r) { return forward_rows(r, ROWS); }

/* With the guided pass, which is the larger one, and everything that a trace keeps. */
static dydit_status evaluate(const rig *r)
{
    dydit_eval_options o;
    dydit_eval_options_init(&o, sizeof o);
    o.in = MODEL;
    o.in_prefix = "golden.";
    o.out = scratch("out.safetensors");
    o.trace = 1;
    o.cfg_scale = 2;
    return dydit_eval(r->model, &o);
}

/* The least memory with which a run succeeds is found; with less it is refused before anything was allocated, in the
 * sentence of sampling, never by an allocation that failed. */
static uint64_t least_memory(dydit_status (*run)(const rig *r), const char *part)
{
    uint64_t lo = 0, hi = (uint64_t)1 << 30; /* fails, succeeds */
    char fake[64];
    while (hi - lo > 1) {
        const uint64_t mid = lo + (hi - lo) / 2;
        snprintf(fake, sizeof fake, "free=%" PRIu64, mid);
        rig r = open_rig("cuda", fake);
        const dydit_status st = run(&r);
        if (st == DYDIT_OK) hi = mid;
        else lo = mid;
        if (st != DYDIT_OK && (st != DYDIT_ERR_NOMEM || !strstr(dydit_message(r.ctx), " are missing; ")))
            fail_msg("%d: %s", (int)st, dydit_message(r.ctx));
        close_rig(&r);
    }
    snprintf(fake, sizeof fake, "free=%" PRIu64, hi);
    rig r = open_rig("cuda", fake);
    assert_int_equal(run(&r), DYDIT_OK);
    assert_int_equal(run(&r), DYDIT_OK); /* the weights are there already */
    close_rig(&r);
    snprintf(fake, sizeof fake, "free=%" PRIu64, hi - 1);
    r = open_rig("cuda", fake);
    assert_int_equal(run(&r), DYDIT_ERR_NOMEM);
    if (!strstr(dydit_message(r.ctx), part)) fail_msg("\"%s\" is not in: %s", part, dydit_message(r.ctx));
    close_rig(&r);
    return hi;
}

static void forward_passes_are_estimated(void **state)
{
    (void)state;
    char fake[64];
    const uint64_t least = least_memory(forward, "are missing; 31 images would fit");
    (void)least_memory(evaluate, "batches of 2 images need ");
    rig r = open_rig("cuda", "free=1000000");
    assert_int_equal(forward(&r), DYDIT_ERR_NOMEM);
    assert_non_null(strstr(dydit_message(r.ctx), "batches of 32 images need "));
    assert_non_null(strstr(dydit_message(r.ctx), "; no batch size would fit"));
    close_rig(&r);
    snprintf(fake, sizeof fake, "free=%" PRIu64 ",claimed=64000000000", least / 2); /* gone since it was asked for */
    r = open_rig("cuda", fake);
    assert_int_equal(forward(&r), DYDIT_ERR_NOMEM);
    assert_non_null(strstr(dydit_message(r.ctx), "the device has no "));
    assert_non_null(strstr(dydit_message(r.ctx), " images would fit"));
    close_rig(&r);
}

/* Weights that are there already do not count again, whatever size theirs is; here they are most of what is needed. */
static void forward_pass_once_more(void **state)
{
    (void)state;
    static const char *const precisions[] = {"fp32", "bf16", "fp16", "tf32"};
    for (size_t i = 0; i < sizeof precisions / sizeof precisions[0]; i++) {
        rig r = open_rig_as("cuda", "free=1000000000", precisions[i]);
        for (int k = 0; k < 2; k++)
            if (forward_rows(&r, 1) != DYDIT_OK) fail_msg("%s: %s", precisions[i], dydit_message(r.ctx));
        close_rig(&r);
    }
}

/* Somebody else took the memory after it was asked for. */
static void memory_that_went(void **state)
{
    (void)state;
    char fake[64];
    dydit_sample_options o = quick();
    rig r = open_rig("cuda", "");
    o.batch_size = 2;
    const uint64_t two = estimate(&r, &o).device_bytes;
    close_rig(&r);
    snprintf(fake, sizeof fake, "free=%" PRIu64 ",claimed=64000000000", two);
    r = open_rig("cuda", fake);
    o.batch_size = 8;
    refused(&r, &o, "the device has no ");
    close_rig(&r);
    r = open_rig("cuda", fake);
    refused(&r, &o, " bytes more; 2 images would fit");
    close_rig(&r);
    /* In pieces too small: which batch would fit cannot be told. */
    r = open_rig("cuda", "largest=1000");
    refused(&r, &o, "the device has no ");
    assert_null(strstr(dydit_message(r.ctx), "would fit"));
    close_rig(&r);
}

static void host_memory_has_no_device(void **state)
{
    (void)state;
    const dydit_sample_options o = quick();
    rig r = open_rig("cpu", "");
    const dydit_estimate e = estimate(&r, &o);
    assert_int_equal(e.device_bytes, 0);
    assert_int_equal(e.device_free, 0);
    assert_int_equal(e.max_device_batch, -1);
    close_rig(&r);
}

/* Same latents, whoever computes them: the fake device is the CPU, two steps in flight. */
static void same_pictures(void **state)
{
    (void)state;
    static const char *const backends[] = {"cpu", "cuda"};
    float *kept[2];
    size_t bytes = 0;
    for (int i = 0; i < 2; i++) {
        rig r = open_rig(backends[i], "");
        dydit_sample_options o = quick();
        dydit_result *result = NULL;
        int64_t n;
        o.compare_dense = o.keep_trajectory = 0;
        o.batch_size = 3;
        o.steps = "5";
        assert_int_equal(dydit_sample(r.model, &o, &result), DYDIT_OK);
        const float *x = dydit_result_latents(result, &n);
        bytes = (size_t)n * 32 * 32 * sizeof *x;
        kept[i] = malloc(bytes);
        assert_non_null(kept[i]);
        memcpy(kept[i], x, bytes);
        dydit_result_close(&result);
        close_rig(&r);
    }
    assert_memory_equal(kept[0], kept[1], bytes);
    free(kept[0]);
    free(kept[1]);
}

static void reason_is_said_once(void **state)
{
    (void)state;
    dydit_sample_options o = quick();
    said_times = 0;
    rig r = open_rig("auto", "driver");
    (void)estimate(&r, &o);
    assert_int_equal(said_times, 0); /* nothing ran */
    for (int i = 0; i < 2; i++) runs(&r, &o);
    assert_int_equal(said_times, 1);
    assert_int_equal(said_level, DYDIT_WARN);
    assert_string_equal(said, "backend auto: cpu, because there is no NVIDIA driver");
    close_rig(&r);
    r = open_rig("auto", "");
    runs(&r, &o);
    close_rig(&r);
    r = open_rig("cpu", "driver");
    runs(&r, &o);
    close_rig(&r);
    assert_int_equal(said_times, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(estimated_memory_is_enough),
                                       cmocka_unit_test(too_little_memory),
                                       cmocka_unit_test(forward_passes_are_estimated),
                                       cmocka_unit_test(forward_pass_once_more),
                                       cmocka_unit_test(memory_that_went),
                                       cmocka_unit_test(host_memory_has_no_device),
                                       cmocka_unit_test(same_pictures),
                                       cmocka_unit_test(reason_is_said_once)};
    return cmocka_run_group_tests_name("api_device", tests, setup, scratch_teardown);
}
