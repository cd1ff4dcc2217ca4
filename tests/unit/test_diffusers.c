/* SPDX-License-Identifier: MIT
 * Folders of diffusers (tests/golden/diffusers_dit.py): the same model under official names, and folders that lie. */
#define _XOPEN_SOURCE 700
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/io/safetensors.h"
#include "host/model/checkpoint.h"
#include "host/model/config.h"
#include "host/model/temb.h"
#include "support/golden.h"
#include "tests/unit/scratch.h"

#define FOLDER "tests/golden/diffusers_dit/transformer"
#define EXPECTED "tests/golden/diffusers_dit/expected.safetensors"
#define CONFIG                                                                                                     \
    "{\"_class_name\":\"DiTTransformer2DModel\",\"activation_fn\":\"gelu-approximate\",\"attention_head_dim\":16," \
    "\"in_channels\":4,\"norm_type\":\"ada_norm_zero\",\"num_attention_heads\":2,\"num_embeds_ada_norm\":10,"      \
    "\"num_layers\":1,\"out_channels\":8,\"patch_size\":2,\"sample_size\":8}"
#define INDEX "diffusion_pytorch_model.safetensors.index.json"

/* Sums of 32 to 128 products in another order, two blocks: diffusers' own float32 is 2.3e-7 from its float64. */
#define TOLERANCE 2e-6

/* compat NULL: the default. */
static void forward_near(const char *want, const char *backend, const char *compat)
{
    dydit_options o;
    dydit_ctx *ctx = NULL;
    dydit_options_init(&o, sizeof o);
    o.backend = backend;
    o.precision = "fp32";
    if (compat) o.compat = compat;
    assert_int_equal(dydit_open(&ctx, &o), DYDIT_OK);
    dydit_model *model = golden_model(ctx, FOLDER);
    golden g = golden_open(EXPECTED);
    size_t nx, nt, ny;
    float *x = golden_values(&g, "x", &nx), *t = golden_values(&g, "t", &nt), *y = golden_values(&g, "y", &ny);
    float *out = calloc(2 * nx, sizeof *out);
    int labels[3];
    assert_int_equal(ny, 3);
    assert_non_null(out);
    for (int i = 0; i < 3; i++) labels[i] = (int)y[i];
    assert_int_equal(dydit_forward(model, 3, x, t, labels, 0, out), DYDIT_OK);
    golden_near_values(&g, want, out, 2 * nx, TOLERANCE);
    free(out);
    free(x);
    free(t);
    free(y);
    golden_close(&g);
    dydit_model_close(&model);
    dydit_close(&ctx);
}

static void forward(void **state)
{
    (void)state;
    forward_near("official", "cpu", NULL);
    forward_near("official", "ref", "official");
    forward_near("out", "cpu", "diffusers");
    forward_near("out", "ref", "diffusers");
}

/* exp(-ln(10000) i / 127), at timesteps 0 and 1. */
static void frequencies(void **state)
{
    float f[2 * DD_TIME_FREQS];
    (void)state;
    dd_time_features_diffusers(f, 0);
    for (int i = 0; i < DD_TIME_FREQS; i++) assert_true(f[i] == 1.0f && f[DD_TIME_FREQS + i] == 0.0f);
    dd_time_features_diffusers(f, 1);
    for (int i = 0; i < DD_TIME_FREQS; i++) /* the exponent has an error of 2^-24 of up to 9.2 */
        assert_float_equal(f[DD_TIME_FREQS + i], sin(pow(10000, -i / 127.0)), 1e-6);
    assert_float_equal(f[2 * DD_TIME_FREQS - 1], 1e-4, 1e-9);
}

static void config_of(const char *compat, dd_config *c)
{
    dd_err err = {0};
    dd_tensors *f = NULL;
    const dd_checkpoint_choice choice = {.compat = compat};
    if (dd_checkpoint_open(&f, FOLDER, &choice, &err) != DD_OK) fail_msg("%s", err.text);
    if (dd_config_from_file(c, f, NULL, &err) != DD_OK) fail_msg("%s", err.text);
    dd_tensors_close(&f);
    dd_config_fini(c);
}

static void what_compat_changes(void **state)
{
    dd_config c;
    (void)state;
    config_of(NULL, &c);
    assert_true(!c.diffusers && c.cfg_channels == 3 && c.mlp_norm_eps == 1e-6f);
    config_of("official", &c);
    assert_true(!c.diffusers && c.cfg_channels == 3 && c.mlp_norm_eps == 1e-6f);
    config_of("diffusers", &c);
    assert_true(c.diffusers && c.cfg_channels == 4 && c.mlp_norm_eps == 0.01f);
}

static void names_and_values(void **state)
{
    dd_err err = {0};
    dd_tensors *f = NULL, *shard = NULL;
    (void)state;
    if (dd_checkpoint_open(&f, FOLDER, NULL, &err) != DD_OK) fail_msg("%s", err.text);
    assert_string_equal(dd_tensors_format(f), "diffusers");
    assert_int_equal(dd_tensors_count(f), 12 + 2 * 10);
    assert_string_equal(dd_tensors_meta(f, "num_heads"), "2");
    if (dd_safetensors_open(&shard, FOLDER "/diffusion_pytorch_model-00001-of-00002.safetensors", &err) != DD_OK)
        fail_msg("%s", err.text);
    const dd_tensor *qkv = dd_tensors_find(f, "blocks.0.attn.qkv.weight");
    assert_non_null(qkv);
    assert_int_equal(qkv->shape[0], 96);
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "transformer_blocks.0.attn1.to_%c.weight", "qkv"[i]);
        const dd_tensor *part = dd_tensors_find(shard, name);
        assert_non_null(part);
        assert_memory_equal((const char *)qkv->data + (size_t)i * part->bytes, part->data, part->bytes);
    }
    dd_tensors_close(&shard);
    dd_tensors_close(&f);
}

static void refused(dd_which which, dd_status want, const char *part)
{
    dd_err err = {0};
    dd_tensors *f = NULL;
    assert_int_equal(dd_checkpoint_open(&f, scratch_dir, &(dd_checkpoint_choice){.which = which}, &err), want);
    assert_null(f);
    if (!strstr(err.text, scratch_dir) || !strstr(err.text, part)) fail_msg("\"%s\" lacks \"%s\"", err.text, part);
}

static void put(const char *name, const char *text) { scratch_write(name, text, strlen(text)); }

static void bad_configs(void **state)
{
    (void)state;
    scratch_clear();
    refused(DD_WHICH_AUTO, DD_ERR_IO, "is a folder without config.json");
    put("config.json", "{\"_class_name\":\"UNet2DConditionModel\"}");
    refused(DD_WHICH_AUTO, DD_ERR_UNSUPPORTED, "_class_name");
    put("config.json", "{\"_class_name\":\"DiTTransformer2DModel\"}");
    refused(DD_WHICH_AUTO, DD_ERR_FORMAT, "num_attention_heads");
    put("config.json", CONFIG);
    refused(DD_WHICH_EMA, DD_ERR_ARG, "no choice");
    refused(DD_WHICH_AUTO, DD_ERR_NOT_FOUND, "diffusion_pytorch_model.safetensors");
}

static void bad_indices(void **state)
{
    static const struct {
        const char *index;
        dd_status status;
        const char *says;
    } cases[] = {
        {"{}", DD_ERR_FORMAT, "weight_map"},
        {"{\"weight_map\":{}}", DD_ERR_FORMAT, "lists 0 tensors"},
        {"{\"weight_map\":{\"a\":1}}", DD_ERR_FORMAT, "names no file"},
        {"{\"weight_map\":{\"a\":\"../a.safetensors\"}}", DD_ERR_FORMAT, "no plain name"},
        {"{\"weight_map\":{\"a\":\"/etc/a.safetensors\"}}", DD_ERR_FORMAT, "no plain name"},
        {"{\"weight_map\":{\"a\":\"x/a.safetensors\"}}", DD_ERR_FORMAT, "no plain name"},
        {"{\"weight_map\":{\"a\":\"x\\\\a.safetensors\"}}", DD_ERR_FORMAT, "no plain name"},
        {"{\"weight_map\":{\"a\":\".a.safetensors\"}}", DD_ERR_FORMAT, "no plain name"},
        {"{\"weight_map\":{\"a\":\"config.json\"}}", DD_ERR_FORMAT, "no plain name"},
        {"{\"weight_map\":{\"a\":\"none.safetensors\"}}", DD_ERR_NOT_FOUND, "none.safetensors"},
        {"{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"1.safetensors\"}}", DD_ERR_FORMAT, "files hold 1"},
        {"{\"weight_map\":{\"b\":\"1.safetensors\"}}", DD_ERR_FORMAT, "tensor b is not in"},
        {"{\"weight_map\":{\"a\":\"1.safetensors\"}}", DD_ERR_FORMAT, "attn1.to_q.weight is missing"},
    };
    static const float one = 1;
    const dd_tensor_entry e = {"a", DD_F32, 1, {1}, &one};
    dd_err err = {0};
    (void)state;
    scratch_clear();
    put("config.json", CONFIG);
    assert_int_equal(dd_safetensors_write(scratch("1.safetensors"), &e, 1, NULL, 0, &err), DD_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(INDEX, cases[i].index);
        refused(DD_WHICH_AUTO, cases[i].status, cases[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward),          cmocka_unit_test(frequencies), cmocka_unit_test(what_compat_changes),
        cmocka_unit_test(names_and_values), cmocka_unit_test(bad_configs), cmocka_unit_test(bad_indices)};
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
