/* SPDX-License-Identifier: MIT
 * Decoders: files that are none, configurations, memory, stopping. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host/api_internal.h"
#include "host/model/vae.h"
#include "support/golden.h"
#include "tests/unit/scratch.h"
#include "tests/unit/vae_file.h"

/* ---- files ----------------------------------------------------------------------------------------------------- */

static void refused(const char *path, dd_status status, const char *a, const char *b)
{
    dd_vae *vae = NULL;
    dd_err err = {0};
    assert_int_equal(dd_vae_open(&vae, path, &err), status);
    assert_null(vae);
    if (!strstr(err.text, a) || !strstr(err.text, b)) fail_msg("'%s' names neither %s nor %s", err.text, a, b);
}

static void test_shapes(void **state)
{
    (void)state;
    static const struct {
        vae_file file;
        const char *why;
    } cases[] = {
        {{.drop = "decoder.conv_in.weight"}, "no decoder"},
        {{.drop = "post_quant_conv.weight"}, "post_quant_conv.weight is missing"},
        {{.drop = "decoder.conv_out.bias"}, "conv_out.bias is missing"},
        {{.drop = "decoder.mid_block.attentions.0.to_k.weight"}, "to_k.weight is missing"},
        {{.drop = "decoder.up_blocks.0.resnets.1.conv1.weight"}, "is no part of this decoder"},
        {{.drop = "decoder.up_blocks.1.resnets.1.conv1.weight"}, "up_blocks.1.resnets.1.conv1.weight is missing"},
        {{.drop = "decoder.up_blocks.2.resnets.0.conv_shortcut.weight"}, "conv_shortcut.weight is missing"},
        {{.extra = "decoder.up_blocks.0.attentions.0.to_q.weight"}, "is no part of this decoder"},
        {{.extra = "decoder.up_blocks.2.upsamplers.0.conv.weight"}, "is no part of this decoder"},
        {{.wide = "decoder.conv_in.weight", .wide_axis = 1}, "conv_in.weight has shape"},
        {{.wide = "decoder.conv_in.weight", .wide_axis = 2}, "conv_in.weight has shape"},
        {{.wide = "decoder.conv_in.weight", .wide_axis = 0}, "33 channels"},
        {{.wide = "decoder.conv_in.bias", .wide_axis = 0}, "conv_in.bias has shape"},
        {{.wide = "post_quant_conv.weight", .wide_axis = 3}, "post_quant_conv.weight has shape"},
        {{.wide = "decoder.mid_block.attentions.0.to_q.weight", .wide_axis = 1}, "to_q.weight has shape"},
        {{.wide = "decoder.mid_block.attentions.0.to_q.weight", .wide_axis = 3, .rank4 = true},
         "to_q.weight has shape"},
        {{.wide = "decoder.up_blocks.1.resnets.0.norm1.weight", .wide_axis = 0}, "norm1.weight has shape"},
        {{.wide = "decoder.conv_out.weight", .wide_axis = 0}, "pictures of 4 channels"},
        {{.groups = "3"}, "3 groups"},
        {{.groups = "0"}, "norm_num_groups is 0"},
        {{.groups = "four"}, "norm_num_groups"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vae_write(scratch("bad.safetensors"), &cases[i].file);
        dd_vae *vae = NULL;
        dd_err err = {0};
        const dd_status st = dd_vae_open(&vae, scratch("bad.safetensors"), &err);
        if (st != DD_ERR_FORMAT && st != DD_ERR_UNSUPPORTED) fail_msg("case %zu: status %d %s", i, (int)st, err.text);
        assert_null(vae);
        if (!strstr(err.text, cases[i].why) || !strstr(err.text, "bad.safetensors"))
            fail_msg("'%s' does not say '%s'", err.text, cases[i].why);
    }
    refused(scratch("none.safetensors"), DD_ERR_NOT_FOUND, "none.safetensors", "");
    refused("models/glyphs.safetensors", DD_ERR_FORMAT, "glyphs.safetensors", "no decoder");
}

static void write_config(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* The fields of the golden decoder, of which one may be another. */
static void test_config(void **state)
{
    (void)state;
    static const char weights[] = "diffusion_pytorch_model.safetensors";
    static const struct {
        const char *text, *why; /* why NULL: taken */
        bool unsupported;
    } cases[] = {
        {"{\"_class_name\": \"AutoencoderKL\", \"norm_num_groups\": 8, \"scaling_factor\": 0.5, \"sample_size\": 32, "
         "\"block_out_channels\": [8, 16, 32], \"layers_per_block\": 1, \"latent_channels\": 4, \"act_fn\": \"silu\"}",
         NULL, false},
        {"{\"_class_name\": \"AutoencoderKL\", \"norm_num_groups\": 8, \"block_out_channels\": [32, 16, 8]}",
         "block_out_channels", false},
        {"{\"_class_name\": \"AutoencoderKL\", \"norm_num_groups\": 8, \"layers_per_block\": 2}", "layers_per_block",
         false},
        {"{\"_class_name\": \"AutoencoderKL\", \"norm_num_groups\": 8, \"latent_channels\": 16}", "latent_channels",
         false},
        {"{\"_class_name\": \"AutoencoderKL\", \"norm_num_groups\": 8, \"act_fn\": \"gelu\"}", "act_fn", true},
        {"{\"_class_name\": \"AutoencoderKL\", \"norm_num_groups\": 8, \"shift_factor\": 0.1}", "shift_factor", true},
        {"{\"_class_name\": \"AutoencoderKL\", \"norm_num_groups\": 8, \"scaling_factor\": 0}", "scaling_factor",
         false},
        {"{\"_class_name\": \"AutoencoderKL\"}", "32 groups", false},
        {"{\"_class_name\": \"AutoencoderTiny\", \"norm_num_groups\": 8}", "AutoencoderTiny", false},
        {"{\"norm_num_groups\": 8}", "_class_name is missing", false},
        {"[8]", "_class_name is missing", false},
        {"{\"_class_name\": ", "config.json", false},
    };
    refused(scratch_dir, DD_ERR_NOT_FOUND, weights, "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vae_write(scratch(weights), &(vae_file){0});
        write_config(scratch("config.json"), cases[i].text);
        if (cases[i].why) {
            refused(scratch_dir, cases[i].unsupported ? DD_ERR_UNSUPPORTED : DD_ERR_FORMAT, cases[i].why, "");
            continue;
        }
        dd_vae *vae = NULL;
        dd_err err = {0};
        if (dd_vae_open(&vae, scratch_dir, &err) != DD_OK) fail_msg("%s", err.text);
        assert_int_equal(vae->cfg.groups, 8);
        assert_int_equal(vae->cfg.sample_size, 32);
        assert_true(vae->cfg.scaling == 0.5f);
        dd_vae_close(&vae);
    }
    scratch_clear();
}

/* ---- decoding -------------------------------------------------------------------------------------------------- */

enum { SIDE = 12, LATENTS = 2 * 4 * SIDE * SIDE, PIXELS = 2 * 3 * 16 * SIDE * SIDE };

typedef struct rig {
    dydit_ctx *ctx;
    dydit_vae *vae;
    dydit_decode_options o;
    float latents[LATENTS], out[PIXELS];
    char warning[512];
    int calls;
} rig;

static void on_log(void *user, int level, const char *text)
{
    rig *r = user;
    if (level == DYDIT_WARN) snprintf(r->warning, sizeof r->warning, "%s", text);
}

static rig *rig_open(void)
{
    rig *r = calloc(1, sizeof *r);
    dydit_options o;
    assert_non_null(r);
    dydit_options_init(&o, sizeof o);
    o.backend = "ref";
    o.threads = 1;
    o.precision = "fp32";
    o.log = on_log;
    o.log_user = r;
    assert_int_equal(dydit_open(&r->ctx, &o), DYDIT_OK);
    assert_int_equal(dydit_vae_open(r->ctx, &r->vae, VAE_GOLDEN), DYDIT_OK);
    dydit_decode_options_init(&r->o, sizeof r->o);
    for (int i = 0; i < LATENTS; i++) r->latents[i] = (float)(i * 7 % 31 - 15) / 16.0f;
    return r;
}

static void rig_close(rig *r)
{
    dydit_vae_close(&r->vae);
    dydit_close(&r->ctx);
    free(r);
}

static dydit_status decode(rig *r) { return dydit_vae_decode(r->vae, 2, SIDE, SIDE, r->latents, &r->o, r->out); }

static float *in_tiles(rig *r)
{
    float *want = malloc(sizeof r->out);
    assert_non_null(want);
    r->o.tiling = DYDIT_TILING_ON;
    assert_int_equal(decode(r), DYDIT_OK);
    memcpy(want, r->out, sizeof r->out);
    memset(r->out, 0, sizeof r->out);
    r->o.tiling = DYDIT_TILING_AUTO;
    return want;
}

static uint64_t peak(rig *r, dydit_tiling tiling)
{
    dydit_estimate e = {.size = sizeof e};
    dydit_decode_options o = r->o;
    o.tiling = tiling;
    assert_int_equal(dydit_estimate_decode(r->vae, 2, SIDE, SIDE, &o, &e), DYDIT_OK);
    assert_int_equal(e.vae_tiled, tiling == DYDIT_TILING_ON);
    return e.vae_peak_bytes;
}

static void test_limit(void **state)
{
    (void)state;
    rig *r = rig_open();
    float *want = in_tiles(r);
    const uint64_t whole = peak(r, DYDIT_TILING_OFF), tiles = peak(r, DYDIT_TILING_ON);
    assert_true(tiles < whole);
    r->o.max_mem = tiles;
    dydit_estimate e = {.size = sizeof e};
    assert_int_equal(dydit_estimate_decode(r->vae, 2, SIDE, SIDE, &r->o, &e), DYDIT_OK);
    assert_int_equal(e.vae_tiled, 1);
    assert_int_equal(decode(r), DYDIT_OK);
    assert_memory_equal(r->out, want, sizeof r->out);
    assert_non_null(strstr(r->warning, "tiles of 4 latents"));
    r->o.tiling = DYDIT_TILING_OFF;
    assert_int_equal(decode(r), DYDIT_ERR_NOMEM);
    r->o.tiling = DYDIT_TILING_AUTO;
    r->o.max_mem = 1000;
    assert_int_equal(decode(r), DYDIT_ERR_NOMEM);
    assert_non_null(strstr(dydit_message(r->ctx), "in tiles"));
    free(want);
    rig_close(r);
}

/* A backend that gives no block of more than so many bytes. */
static size_t largest_block;
static dd_status (*true_alloc)(dd_backend *be, size_t bytes, void **out, dd_err *err);

static dd_status small_alloc(dd_backend *be, size_t bytes, void **out, dd_err *err)
{
    if (bytes > largest_block) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory: %zu bytes more are needed", bytes);
    return true_alloc(be, bytes, out, err);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    rig *r = rig_open();
    float *want = in_tiles(r); /* weights are there from here on */
    dydit_estimate e = {.size = sizeof e};
    assert_int_equal(dydit_estimate_decode(r->vae, 2, SIDE, SIDE, &r->o, &e), DYDIT_OK);
    true_alloc = r->ctx->be->alloc;
    largest_block = (size_t)e.vae_activation_bytes - 1;
    r->ctx->be->alloc = small_alloc;
    assert_int_equal(decode(r), DYDIT_OK);
    assert_memory_equal(r->out, want, sizeof r->out);
    assert_non_null(strstr(r->warning, "out of memory"));
    largest_block = 0;
    assert_int_equal(decode(r), DYDIT_ERR_NOMEM);
    r->ctx->be->alloc = true_alloc;
    free(want);
    rig_close(r);
}

static void test_missing_ops(void **state)
{
    (void)state;
    rig *r = rig_open();
    const dd_ops *full = r->ctx->be->ops;
    for (int id = DD_OP_to_pixels; id < DD_OP_COUNT; id++) {
        dd_ops ops = *full;
        char part[64];
        if (id == DD_OP_to_pixels) ops.to_pixels = NULL;
        if (id == DD_OP_conv2d) ops.conv2d = NULL;
        if (id == DD_OP_group_norm) ops.group_norm = NULL;
        if (id == DD_OP_pixel_attention) ops.pixel_attention = NULL;
        if (id == DD_OP_to_planes) ops.to_planes = NULL;
        r->ctx->be->ops = &ops;
        assert_int_equal(decode(r), DYDIT_ERR_UNSUPPORTED);
        snprintf(part, sizeof part, "backend ref has no op %s", dd_op_name((dd_op_id)id));
        assert_non_null(strstr(dydit_message(r->ctx), part));
    }
    r->ctx->be->ops = full;
    assert_int_equal(decode(r), DYDIT_OK);
    rig_close(r);
}

static int stop_at_second(void *user, const dydit_progress *p)
{
    rig *r = user;
    assert_true(p->step >= 1 && p->step <= p->steps && p->images == 2);
    return ++r->calls == 2;
}

static void test_stop(void **state)
{
    (void)state;
    rig *r = rig_open();
    r->o.progress = stop_at_second;
    r->o.user = r;
    r->o.tiling = DYDIT_TILING_ON;
    assert_int_equal(decode(r), DYDIT_ERR_CANCELLED);
    assert_int_equal(r->calls, 2);
    r->o.progress = NULL;
    assert_int_equal(decode(r), DYDIT_OK);
    rig_close(r);
}

static void test_arguments(void **state)
{
    (void)state;
    rig *r = rig_open();
    const dydit_decode_options good = r->o;
    r->o.tile_overlap = 0.95;
    assert_int_equal(decode(r), DYDIT_ERR_ARG);
    r->o = good, r->o.batch_size = -1;
    assert_int_equal(decode(r), DYDIT_ERR_ARG);
    r->o = good, r->o.tile_size = -1;
    assert_int_equal(decode(r), DYDIT_ERR_ARG);
    assert_int_equal(dydit_vae_decode(r->vae, 0, SIDE, SIDE, r->latents, &good, r->out), DYDIT_ERR_ARG);
    assert_int_equal(dydit_vae_decode(r->vae, 1, 1 << 30, SIDE, r->latents, &good, r->out), DYDIT_ERR_ARG);
    rig_close(r);
}

/* A result becomes pictures of 8 bits; its figures and its grid say so. */
static void test_result(void **state)
{
    (void)state;
    rig *r = rig_open();
    dydit_model *model = golden_model(r->ctx, "tests/golden/model_d64_h4_p2.safetensors");
    dydit_sample_options s;
    dydit_result *result = NULL;
    dydit_stats stats = {.size = sizeof stats};
    const int labels[2] = {1, 2};
    int64_t n = 0;
    int side = 0;
    dydit_sample_options_init(&s, sizeof s);
    s.steps = "ddim2";
    s.labels = labels;
    s.n_images = 2;
    assert_int_equal(dydit_sample(model, &s, &result), DYDIT_OK);
    assert_null(dydit_result_pictures(result, &n, &side));
    assert_int_equal(dydit_result_write_png(result, scratch("a.png"), NULL), DYDIT_ERR_UNSUPPORTED);
    assert_int_equal(dydit_result_decode(result, r->vae, NULL), DYDIT_OK);
    const uint8_t *pictures = dydit_result_pictures(result, &n, &side);
    assert_non_null(pictures);
    assert_int_equal(n, 2);
    assert_int_equal(side, 32);
    float *floats = malloc(2 * 3 * 32 * 32 * sizeof *floats);
    assert_non_null(floats);
    const float *latents = dydit_result_latents(result, NULL);
    assert_int_equal(dydit_vae_decode(r->vae, 2, 8, 8, latents, NULL, floats), DYDIT_OK);
    for (int i = 0; i < 2 * 1024; i++)
        for (int c = 0; c < 3; c++)
            assert_int_equal(pictures[i * 3 + c], dd_api_to_byte(floats[(i / 1024 * 3 + c) * 1024 + i % 1024]));
    assert_int_equal(dydit_result_write_png(result, scratch("a.png"), NULL), DYDIT_OK);
    assert_int_equal(dydit_result_stats(result, &stats), DYDIT_OK);
    assert_true(stats.decode_seconds > 0 && stats.peak_bytes > 0 && !stats.decode_tiled);
    free(floats);
    dydit_result_close(&result);
    dydit_model_close(&model);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes),        cmocka_unit_test(test_config),
                                       cmocka_unit_test(test_limit),         cmocka_unit_test(test_stop),
                                       cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_arguments),
                                       cmocka_unit_test(test_result),        cmocka_unit_test(test_missing_ops)};
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
