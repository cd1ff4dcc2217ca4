/* SPDX-License-Identifier: MIT
 * Models from files: names, parameters, refusals, storage types, the id, and the costs of a published size. */
#define _XOPEN_SOURCE 700
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/model_file.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static const dd_text_pair two_heads = {"num_heads", "2"};

/* A tiny model whose file says its heads, with or without routers. */
static model_file tiny(bool dynamic)
{
    model_file f = model_tiny(dynamic);
    f.meta = &two_heads, f.n_meta = 1;
    return f;
}

static dd_model *open_model(const model_file *f)
{
    dd_model *m = NULL;
    dd_err err = {0};
    if (dd_model_open(&m, model_write("m.safetensors", f), NULL, &err) != DD_OK) fail_msg("%s", err.text);
    return m;
}

static void refused(const model_file *f, dd_status want, const char *part)
{
    dd_model *m = (dd_model *)(void *)&m;
    dd_err err = {0};
    const dd_status st = dd_model_open(&m, model_write("m.safetensors", f), NULL, &err);
    if (st != want) fail_msg("status %d instead of: %s", (int)st, part);
    assert_null(m);
    model_says(&err, part);
    model_says(&err, "m.safetensors: ");
}

static dd_key *tiny_keys(bool dynamic, int *n)
{
    dd_config cfg = model_tiny(dynamic).cfg;
    dd_key *keys;
    assert_int_equal(dd_config_derive(&cfg, "t", NULL), DD_OK);
    assert_int_equal(dd_dit_keys(&cfg, &keys, n, NULL), DD_OK);
    return keys;
}

static void published_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *preset;
        int keys, routers;
        int64_t params;
    } want[] = {{"DyDiT-XL/2", 516, 224, 678424644}, {"DiT-XL/2", 292, 0, 675129632}};
    for (int w = 0; w < COUNT(want); w++) {
        dd_config c;
        dd_key *keys;
        int n, routers = 0;
        int64_t params = 0;
        assert_int_equal(dd_config_preset(&c, want[w].preset, NULL), DD_OK);
        c.input_size = 32, c.in_channels = 4, c.num_classes = 1000, c.cfg_channels = 3, c.learn_sigma = true;
        assert_int_equal(dd_config_derive(&c, "x", NULL), DD_OK);
        assert_int_equal(dd_dit_keys(&c, &keys, &n, NULL), DD_OK);
        for (int i = 0; i < n; i++) {
            int64_t count = 1;
            for (int d = 0; d < keys[i].rank; d++) count *= keys[i].shape[d];
            params += count;
            routers += keys[i].router;
            assert_true(dd_key_is_network(keys[i].name));
            assert_ptr_equal(dd_key_find(keys, n, keys[i].name), &keys[i]); /* no name twice */
        }
        assert_int_equal(n, want[w].keys);
        assert_int_equal(routers, want[w].routers);
        assert_int_equal(params, want[w].params);
        assert_null(dd_key_find(keys, n, "blocks.28.attn.qkv.weight"));
        free(keys);
    }
    static const char *const others[] = {"golden.x", "ema", "block", "opt.blocks.0.w", "", "labels"};
    for (int i = 0; i < COUNT(others); i++) assert_false(dd_key_is_network(others[i]));
    assert_true(dd_key_is_network("transformer_blocks.0.norm.weight"));
}

/* DiT-XL/2 at 256 x 256 pixels: 118.64 G multiply-adds are published, of which the blocks are 118.38 G. */
static void costs_of_sites(void **state)
{
    (void)state;
    model_file f = tiny(true);
    dd_model *m = open_model(&f);
    dd_config c;
    assert_int_equal(dd_config_preset(&c, "DiT-XL/2", NULL), DD_OK);
    c.input_size = 32, c.in_channels = 4, c.num_classes = 1000, c.cfg_channels = 3, c.learn_sigma = true;
    assert_int_equal(dd_config_derive(&c, "x", NULL), DD_OK);
    const dd_site *attn = &m->sites[0], *mlp = &m->sites[1];
    assert_int_equal(attn->macs(&c, 16, 256), 1509949440);
    assert_int_equal(mlp->macs(&c, 16, 256), 2717908992);
    assert_int_equal(28 * (attn->macs(&c, 16, 256) + mlp->macs(&c, 16, 256)), 118380036096);
    for (int u = 1; u <= 16; u++) assert_int_equal(attn->macs(&c, u, 256), (uint64_t)u * attn->macs(&c, 1, 256));
    assert_int_equal(mlp->macs(&c, 5, 100), 5 * mlp->macs(&c, 1, 1) * 100);
    assert_int_equal(mlp->macs(&c, 0, 256), 0);
    /* of this model, by hand: 4 tokens; 16 values of a patch in, 32 out; 2 blocks; one hidden router unit */
    assert_int_equal(m->fixed_macs_row, 4 * 16 * 16 + 4 * 16 * 32);
    assert_int_equal(m->cond_macs, 16 * 16 * (2 * 6 + 2));
    assert_int_equal(m->router_macs_token, 16 + 1);
    dd_model_close(&m);
}

static void what_a_model_holds(void **state)
{
    (void)state;
    for (int dynamic = 0; dynamic < 2; dynamic++) {
        model_file f = tiny(dynamic);
        dd_model *m = open_model(&f);
        int n_keys;
        int64_t params = 0;
        dd_key *keys = tiny_keys(dynamic, &n_keys);
        for (int i = 0; i < n_keys; i++) {
            int64_t count = 1;
            for (int d = 0; d < keys[i].rank; d++) count *= keys[i].shape[d];
            params += count;
        }
        assert_int_equal(m->n_params, params);
        assert_int_equal(dd_tensors_count(m->file), n_keys);
        assert_string_equal(m->cfg.arch, dynamic ? "DyDiT-d16-l2-h2/2" : "DiT-d16-l2-h2/2");
        assert_int_equal(m->n_sites, 4);
        assert_int_equal(m->n_routers, dynamic ? 2 : 0);
        assert_int_equal(m->n_step_routers, dynamic ? 4 : 0);
        assert_int_equal(m->body.n, dynamic ? 20 : 18);
        assert_int_equal(m->prologue.n, 4);
        assert_int_equal(m->cond_width, 16 * 14);
        assert_int_equal(dd_model_site(m, "blocks.1.attn"), 2);
        assert_int_equal(dd_model_site(m, "blocks.1.mlp"), 3);
        assert_int_equal(dd_model_site(m, "blocks.2.mlp"), -1);
        assert_int_equal(dd_model_site(m, ""), -1);
        for (int s = 0; s < 4; s++) {
            assert_true(m->sites[s].units == 2 && m->sites[s].residual && m->sites[s].block == s / 2);
            assert_int_equal(m->sites[s].router, dynamic && s % 2 ? s / 2 : -1);
        }
        for (int i = 0; i < m->body.n; i++)
            assert_int_equal(m->body.at[i].routed_only, m->body.at[i].op == DD_OP_route);
        free(keys);
        dd_model_close(&m);
        assert_null(m);
        dd_model_close(&m);
    }
    dd_model *m = NULL;
    dd_err err = {0};
    assert_int_equal(dd_model_open(&m, scratch("none"), NULL, &err), DD_ERR_NOT_FOUND);
    model_says(&err, "none");
    assert_null(m);
}

/* A matrix keeps its storage and knows which rows belong to which unit. */
static void slices_of_weights(void **state)
{
    (void)state;
    model_file f = tiny(true);
    f.dtype = DD_BF16;
    dd_model *m = open_model(&f);
    int seen = 0;
    for (int i = 0; i < m->n_weights; i++) {
        const dd_weight *w = &m->weights[i];
        assert_int_equal(w->desc.dtype, DD_BF16);
        if (strcmp(w->desc.name, "blocks.1.attn.qkv.weight") == 0) {
            assert_true(w->n_map.site == 2 && w->k_map.site == -1 && w->operand);
            assert_true(w->desc.n == 48 && w->desc.k == 16 && w->desc.n_unit == 24 && w->desc.parts == 3);
            /* packed: q, k, v of head 0, then of head 1; in the file: all q, all k, all v */
            for (int row = 0; row < 48; row++)
                assert_int_equal(dd_weight_row(&w->desc, row), row % 24 / 8 * 16 + row / 24 * 8 + row % 8);
            seen++;
        } else if (strcmp(w->desc.name, "blocks.1.mlp.fc2.weight") == 0) {
            assert_true(w->n_map.site == -1 && w->k_map.site == 3 && w->desc.parts <= 1);
            assert_true(w->desc.n == 16 && w->desc.k == 32 && w->desc.n_unit == 16 && w->k_map.unit_size == 16);
            seen++;
        } else if (strcmp(w->desc.name, "x_embedder.proj.weight") == 0) {
            assert_true(w->n_map.site == -1 && w->k_map.site == -1 && w->desc.n == 16 && w->desc.k == 16);
            assert_false(w->operand);
            seen++;
        }
    }
    assert_int_equal(seen, 3);
    dd_model_close(&m);
}

static void missing_tensors(void **state)
{
    (void)state;
    int n;
    dd_key *keys = tiny_keys(true, &n);
    for (int i = 0; i < n; i++) {
        model_file f = tiny(true);
        f.drop = keys[i].name;
        /* Without the first router the file is a dense DiT, to which the other routers do not belong. */
        const bool first = strcmp(f.drop, "blocks.0.attn_rate.router.weight") == 0;
        refused(&f, DD_ERR_FORMAT, first ? "does not belong to a DiT-d16-l2-h2/2" : f.drop);
    }
    free(keys);
}

static void wrong_shapes(void **state)
{
    (void)state;
    int n;
    dd_key *keys = tiny_keys(true, &n);
    for (int i = 0; i < n; i++)
        for (int axis = 0; axis < keys[i].rank; axis++) {
            model_file f = tiny(true);
            dd_model *m = NULL;
            dd_err err = {0};
            f.wide = keys[i].name, f.wide_axis = axis;
            if (axis == 0 && strcmp(f.wide, "y_embedder.embedding_table.weight") == 0) continue; /* one more class */
            const dd_status st = dd_model_open(&m, model_write("m.safetensors", &f), NULL, &err);
            if (st != DD_ERR_FORMAT) fail_msg("%s, axis %d: status %d: %s", f.wide, axis, (int)st, err.text);
            assert_null(m);
            /* A few shapes are the geometry, so that another tensor is the one that disagrees. */
            if (strncmp(f.wide, "blocks.1.", 9) == 0) model_says(&err, f.wide);
        }
    model_file f = tiny(true);
    f.wide = "y_embedder.embedding_table.weight";
    dd_model *m = open_model(&f);
    assert_int_equal(m->cfg.num_classes, 4);
    dd_model_close(&m);
    free(keys);
}

static void unexpected_tensors(void **state)
{
    (void)state;
    static const char *const strange[] = {"blocks.0.attn.q_norm.weight",
                                          "blocks.2.attn.qkv.weight",
                                          "blocks.9.mlp.fc1.weight",
                                          "blocks.1.ls1.gamma",
                                          "x_embedder.norm.weight",
                                          "transformer_blocks.0.norm1.weight",
                                          "pos_embed.freqs",
                                          "final_layer.linear.weight_scale"};
    for (int i = 0; i < COUNT(strange); i++) {
        model_file f = tiny(true);
        char part[128];
        f.extra = strange[i];
        snprintf(part, sizeof part, "tensor %s does not belong to a DyDiT-d16-l2-h2/2", strange[i]);
        if (strcmp(f.extra, "blocks.2.attn.qkv.weight") == 0) /* a third block, of which all else is missing */
            refused(&f, DD_ERR_FORMAT, "blocks.2.");
        else refused(&f, DD_ERR_FORMAT, part);
    }
    model_file f = tiny(true);
    f.extra = "dwa_modules.0.weight";
    refused(&f, DD_ERR_FORMAT, "tensor dwa_modules.0.weight does not belong to a DyDiT-d16-l2-h2/2");
    f = tiny(false);
    f.extra = "blocks.1.mlp_rate.router.weight"; /* routers, but not where the first would be */
    refused(&f, DD_ERR_FORMAT, "tensor blocks.1.mlp_rate.router.weight does not belong to a DiT-d16-l2-h2/2");
    f.extra = "golden.x";
    dd_model *m = open_model(&f);
    f.extra = NULL;
    dd_model *plain = open_model(&f);
    assert_true(m->id == plain->id && m->n_params == plain->n_params);
    dd_model_close(&m);
    dd_model_close(&plain);
}

/* Matrices stay in the file as they are, so their storage must be one that is packed; vectors are converted. */
static void storage_types(void **state)
{
    (void)state;
    int n;
    dd_key *keys = tiny_keys(true, &n);
    int matrices = 0;
    for (int i = 0; i < n; i++) {
        model_file f = tiny(true);
        dd_model *m = NULL;
        dd_err err = {0};
        f.f64 = keys[i].name;
        const dd_status st = dd_model_open(&m, model_write("m.safetensors", &f), NULL, &err);
        if (st == DD_OK) {
            dd_model_close(&m);
            continue;
        }
        char part[128];
        snprintf(part, sizeof part, "tensor %s is stored as F64, supported are F32, F16 and BF16", f.f64);
        assert_int_equal(st, DD_ERR_UNSUPPORTED);
        model_says(&err, part);
        matrices++;
    }
    assert_int_equal(matrices, 2 * 6 + 3); /* qkv, proj, fc1, fc2, adaLN, token router; both ends and the last adaLN */
    free(keys);
    model_file f = tiny(true);
    f.poison = "blocks.1.attn.qkv.bias";
    refused(&f, DD_ERR_FORMAT, "tensor blocks.1.attn.qkv.bias: element 0 is not finite");
}

static double weight_value(const dd_weight_desc *d, int64_t i)
{
    uint16_t h;
    float v;
    if (d->dtype == DD_F32) {
        memcpy(&v, (const char *)d->data + 4 * i, 4);
        return (double)v;
    }
    memcpy(&h, (const char *)d->data + 2 * i, 2);
    return (double)(d->dtype == DD_F16 ? dd_f16_to_f32(h) : dd_bf16_to_f32(h));
}

static void same_values(const dd_model *a, const dd_model *b, double rounding)
{
    assert_int_equal(a->n_consts, b->n_consts);
    assert_int_equal(a->n_weights, b->n_weights);
    for (int i = 0; i < a->n_consts; i++) {
        assert_int_equal(a->consts[i].count, b->consts[i].count);
        for (int64_t k = 0; k < a->consts[i].count; k++) {
            const double x = (double)a->consts[i].data[k], y = (double)b->consts[i].data[k];
            if (!(fabs(x - y) <= rounding * fabs(x))) fail_msg("%s: %g is not %g", a->consts[i].name, y, x);
        }
    }
    for (int i = 0; i < a->n_weights; i++)
        for (int64_t k = 0; k < a->weights[i].desc.n * a->weights[i].desc.k; k++) {
            const double x = weight_value(&a->weights[i].desc, k), y = weight_value(&b->weights[i].desc, k);
            if (!(fabs(x - y) <= rounding * fabs(x))) fail_msg("%s: %g is not %g", a->weights[i].desc.name, y, x);
        }
}

static void same_model_in_any_storage(void **state)
{
    (void)state;
    static const struct {
        dd_dtype dtype;
        double rounding;
    } half[] = {{DD_F16, 0x1p-11}, {DD_BF16, 0x1p-8}};
    for (int fine = 0; fine < 2; fine++) {
        model_file f = tiny(true);
        f.fine = fine;
        dd_model *full = open_model(&f);
        for (int i = 0; i < 2; i++) {
            f.dtype = half[i].dtype;
            dd_model *m = open_model(&f);
            same_values(full, m, fine ? half[i].rounding : 0);
            assert_int_equal(m->n_params, full->n_params);
            assert_int_equal(m->id == full->id, !fine); /* routers that read the same are the same */
            dd_model_close(&m);
        }
        dd_model_close(&full);
    }
}

static uint64_t id_of(const model_file *f)
{
    dd_model *m = open_model(f);
    const uint64_t id = m->id;
    dd_model_close(&m);
    return id;
}

/* A plan is for the routers that made it and for the sites it names; other weights may be trained on. */
static void id_of_a_model(void **state)
{
    (void)state;
    int n;
    dd_key *keys = tiny_keys(true, &n);
    model_file f = tiny(true);
    const uint64_t id = id_of(&f),
                   dense = id_of(&(model_file){.cfg = tiny(false).cfg, .meta = &two_heads, .n_meta = 1});
    assert_true(id == id_of(&f) && id != dense);
    for (int i = 0; i < n; i++) {
        f.touch = keys[i].name;
        const bool router = strstr(f.touch, "_rate.router.") || strstr(f.touch, ".token_selection.");
        assert_int_equal(keys[i].router, router);
        if ((id_of(&f) != id) != router) fail_msg("id after a change of %s", f.touch);
    }
    free(keys);
    f = tiny(true), f.cfg.num_classes = 4;
    assert_true(id_of(&f) != id);
    f = tiny(true), f.cfg.depth = 1;
    assert_true(id_of(&f) != id);
    f = tiny(true), f.cfg.input_size = 8;
    assert_true(id_of(&f) != id);
    f = tiny(false), f.cfg.hidden_size = 16;
    const dd_text_pair one_head = {"num_heads", "1"}; /* the same tensors cut otherwise */
    f.cfg.num_heads = 1, f.meta = &one_head;
    assert_true(id_of(&f) != dense);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_sizes),           cmocka_unit_test(costs_of_sites),
        cmocka_unit_test(what_a_model_holds),        cmocka_unit_test(slices_of_weights),
        cmocka_unit_test(missing_tensors),           cmocka_unit_test(wrong_shapes),
        cmocka_unit_test(unexpected_tensors),        cmocka_unit_test(storage_types),
        cmocka_unit_test(same_model_in_any_storage), cmocka_unit_test(id_of_a_model),
    };
    return cmocka_run_group_tests_name("model", tests, scratch_setup, scratch_teardown);
}
