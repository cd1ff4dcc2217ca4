/* SPDX-License-Identifier: MIT
 * Files of routers: the released layout as PyTorch writes it (tests/golden/torch_routers.py), JSON there and back, and every
 * refusal with its file and place. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/plan/router_table.h"
#include "support/golden.h"
#include "tests/unit/scratch.h"

#define ROUTERS "tests/golden/torch_routers.pt" /* 10 steps, 3 blocks */
#define UVIT "tests/golden/torch_routers_uvit.pth"
#define RUN "tests/golden/policy_dit_d32_h2_p2.safetensors" /* whose l2c5 has the same routers */

static dd_router_table read_ok(const char *path)
{
    dd_err err = {0};
    dd_router_table t;
    if (dd_router_read(&t, path, &err) != DD_OK) fail_msg("%s", err.text);
    return t;
}

static void refused(const char *path, dd_status want, const char *part)
{
    dd_err err = {0};
    dd_router_table t;
    if (dd_router_read(&t, path, &err) != want) fail_msg("%s instead of \"%s\"", err.text, part);
    assert_null(t.values);
    if (!strstr(err.text, path) || !strstr(err.text, part)) fail_msg("\"%s\" lacks \"%s\"", err.text, part);
}

static const char *file_of(const char *name, const char *data, size_t n)
{
    const char *path = scratch(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return path;
}

static const char *json_file(const char *text) { return file_of("r.json", text, strlen(text)); }

/* Optimizer, arguments and device tags are passed over; odd steps are not read. */
static void released_layout(void **state)
{
    (void)state;
    size_t n;
    golden g = golden_open(RUN);
    float *want = golden_values(&g, "golden.l2c5.router", &n);
    dd_router_table t = read_ok(ROUTERS);
    assert_int_equal(t.n_steps, 10);
    assert_int_equal(t.n_sites, 6);
    assert_false(t.probabilities);
    assert_true(t.threshold == 0.1);
    for (size_t i = 0; i < n; i++) {
        const float expected = i / 6 % 2 ? 0 : want[i];
        assert_memory_equal(&t.values[i], &expected, sizeof expected);
    }
    dd_router_fini(&t);
    t = read_ok(UVIT); /* a state dict by itself; that it does not fit is said where there is a model */
    assert_int_equal(t.n_sites, 58);
    dd_router_fini(&t);
    free(want);
    golden_close(&g);
}

static void json_there_and_back(void **state)
{
    (void)state;
    dd_err err = {0};
    char *text;
    dd_router_table t = read_ok(ROUTERS);
    for (int k = 0; k < 2; k++) {
        t.probabilities = k;
        for (int i = 0; k && i < 60; i++) t.values[i] = i / 6 % 2 ? 0 : 1.0f / (float)(i + 1);
        t.threshold = k ? 0.9 : -0.25;
        assert_int_equal(dd_router_to_json(&t, &text, &err), DD_OK);
        dd_router_table again = read_ok(json_file(text));
        assert_true(again.n_steps == t.n_steps && again.n_sites == t.n_sites && again.probabilities == t.probabilities);
        assert_true(again.threshold == t.threshold);
        assert_memory_equal(again.values, t.values, 60 * sizeof(float));
        dd_router_fini(&again);
        free(text);
    }
    dd_router_fini(&t);
}

/* As written by hand: odd steps hold anything, the threshold may be left out. */
static void json_by_hand(void **state)
{
    (void)state;
    dd_router_table t = read_ok(json_file(" {\"schema\":\"dydit-router\",\"schema_version\":1,\"steps\":3,\"depth\":1,"
                                          "\"probabilities\":[[1,0],\"odd\",[0.5,0.25]]}"));
    const float want[] = {1, 0, 0, 0, 0.5f, 0.25f};
    assert_memory_equal(t.values, want, sizeof want);
    assert_true(t.threshold == DD_ROUTER_THRESHOLD);
    dd_router_fini(&t);
}

#define HEAD "{\"schema\":\"dydit-router\",\"schema_version\":1,"
#define SIZE HEAD "\"steps\":2,\"depth\":1,"

static void json_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
        dd_status want;
    } bad[] = {
        {"[1]", "routers are a JSON object", DD_ERR_FORMAT},
        {"{", ":1:1:", DD_ERR_FORMAT},
        {"{}", "\"schema\" is missing", DD_ERR_FORMAT},
        {"{\"schema\":\"dydit-plan\"}", "schema is \"dydit-plan\", routers have \"dydit-router\"", DD_ERR_FORMAT},
        {"{\"schema\":\"dydit-router\",\"schema_version\":2}", "schema_version is 2", DD_ERR_UNSUPPORTED},
        {HEAD "\"step\":2}", "\"step\" is not known", DD_ERR_FORMAT},
        {HEAD "\"steps\":2}", "\"depth\" is missing", DD_ERR_FORMAT},
        {HEAD "\"steps\":0,\"depth\":1}", "\"steps\" is 0", DD_ERR_FORMAT},
        {HEAD "\"steps\":1001,\"depth\":1}", "routers of 1001 steps, a plan has 1 to 1000", DD_ERR_FORMAT},
        {HEAD "\"steps\":2,\"depth\":1025}", "\"depth\" is 1025", DD_ERR_FORMAT},
        {HEAD "\"steps\":2,\"steps\":2}", "duplicate", DD_ERR_FORMAT},
        {SIZE "\"threshold\":\"0.1\"}", "\"threshold\" is no number", DD_ERR_FORMAT},
        {SIZE "\"threshold\":1e7}", "\"threshold\" is 1e+07, not within", DD_ERR_FORMAT},
        {SIZE "\"threshold\":0.1}", "neither \"logits\" nor \"probabilities\"", DD_ERR_FORMAT},
        {SIZE "\"logits\":[[1,2],null],\"probabilities\":[[1,1],null]}", "both \"logits\" and", DD_ERR_FORMAT},
        {SIZE "\"logits\":1}", "\"logits\" is an integer", DD_ERR_FORMAT},
        {SIZE "\"logits\":[[1,2]]}", "\"logits\" has 1 entries for 2 steps", DD_ERR_FORMAT},
        {SIZE "\"logits\":[null,[1,2]]}", "logits[0] is no array; only odd steps", DD_ERR_FORMAT},
        {SIZE "\"logits\":[[1,2,3],null]}", "logits[0] has 3 values, two for each of 1 blocks are 2", DD_ERR_FORMAT},
        {SIZE "\"logits\":[[1,true],null]}", "logits[0][1] is no number", DD_ERR_FORMAT},
        {SIZE "\"logits\":[[1e300,1],null]}", "logits[0][0] is 1e+300, not within", DD_ERR_FORMAT},
        {SIZE "\"probabilities\":[[0,1.1],null]}", "probabilities[0][1] is 1.1, not within 0 to 1", DD_ERR_FORMAT}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) refused(json_file(bad[i].text), bad[i].want, bad[i].part);
}

/* ROUTERS with `old` replaced by `new` of the same length wherever it is. */
static const char *changed(const char *old, const char *new)
{
    static char data[1 << 16];
    FILE *f = fopen(ROUTERS, "rb");
    assert_non_null(f);
    const size_t n = fread(data, 1, sizeof data, f), length = strlen(old);
    fclose(f);
    assert_true(n < sizeof data && strlen(new) == length);
    int found = 0;
    for (size_t i = 0; i + length <= n; i++)
        if (memcmp(data + i, old, length) == 0) memcpy(data + i, new, length), found++;
    assert_true(found > 0);
    return file_of("changed.pt", data, n);
}

static void refused_files(void **state)
{
    (void)state;
    refused(changed("3.prob", "3.prop"), DD_ERR_FORMAT,
            "3.prob is missing: the routers of 10 steps are 0.prob to 9.prob");
    refused(changed("9.prob", "a.prob"), DD_ERR_FORMAT, "9.prob is missing");
    refused(changed("routers", "router_"), DD_ERR_FORMAT, "its dictionary holds no tensors");
    refused(changed("FloatStorage", "FancyStorage"), DD_ERR_FORMAT, "its storage is of no known kind");
    refused(changed("_rebuild_tensor_v2", "_rebuild_tensor_v9"), DD_ERR_FORMAT, "routers holds no tensors");
    refused("tests/golden/torch_train.pt", DD_ERR_FORMAT, "its dictionary holds no tensors");
    refused("tests/golden/torch_flat.pt", DD_ERR_FORMAT, "0.prob is missing");
    refused("tests/golden/torch_before_1_6.pt", DD_ERR_UNSUPPORTED, "before PyTorch 1.6");
    refused("tests/golden/torch_script.pt", DD_ERR_UNSUPPORTED, "TorchScript");
    refused(file_of("empty.pt", "", 0), DD_ERR_FORMAT, "");
    refused(file_of("text.pt", "0.prob = 1, 2, 3, 4", 19), DD_ERR_FORMAT, "");
    refused("tests/golden", DD_ERR_IO, "could not be read");
    refused("tests/golden/none.pt", DD_ERR_NOT_FOUND, "cannot be opened");
}

/* Every prefix of the file ends in a sentence. */
static void cut_off(void **state)
{
    (void)state;
    static char data[1 << 16];
    FILE *f = fopen(ROUTERS, "rb");
    assert_non_null(f);
    const size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    for (size_t k = 0; k < n; k += 97) refused(file_of("cut.pt", data, k), DD_ERR_FORMAT, "");
}

/* JSON whose bytes were changed at random is refused in a sentence or read; cut off, it is refused. */
static void damaged_json(void **state)
{
    (void)state;
    static const char bytes[] = "0123456789-.eE[]{},:\"nulltrue \\\xff";
    uint32_t seed = 1;
    char *text;
    dd_err err = {0};
    dd_router_table t = read_ok(ROUTERS);
    assert_int_equal(dd_router_to_json(&t, &text, &err), DD_OK);
    dd_router_fini(&t);
    const size_t n = strlen(text);
    for (size_t k = 0; k < n - 2; k += 37) refused(file_of("cut.json", text, k), DD_ERR_FORMAT, "");
    for (int k = 0; k < 300; k++) {
        seed = seed * 1664525u + 1013904223u;
        const size_t at = (seed >> 8) % n;
        const char was = text[at];
        text[at] = bytes[(seed >> 4) % (sizeof bytes - 1)];
        const char *path = file_of("changed.json", text, n);
        text[at] = was;
        err.text[0] = 0;
        const dd_status st = dd_router_read(&t, path, &err);
        if (st == DD_OK ? !t.values : t.values || !strstr(err.text, path)) fail_msg("change %d: %s", k, err.text);
        dd_err_clear(&err);
        dd_router_fini(&t);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(released_layout), cmocka_unit_test(json_there_and_back), cmocka_unit_test(json_by_hand),
        cmocka_unit_test(json_refusals),   cmocka_unit_test(refused_files),       cmocka_unit_test(cut_off),
        cmocka_unit_test(damaged_json),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
