/* SPDX-License-Identifier: MIT
 * Geometry: presets, rules, and what is read from a file. Every refusal is provoked and its sentence looked at. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/io/safetensors.h"

#include "tests/unit/model_file.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static void presets(void **state)
{
    (void)state;
    static const struct {
        const char *size;
        int hidden, depth, heads;
    } want[] = {{"S", 384, 12, 6}, {"B", 768, 12, 12}, {"L", 1024, 24, 16}, {"XL", 1152, 28, 16}};
    for (int i = 0; i < 4; i++)
        for (int patch = 2; patch <= 8; patch *= 2)
            for (int dynamic = 0; dynamic < 2; dynamic++) {
                char name[32];
                dd_config c;
                snprintf(name, sizeof name, "%sDiT-%s/%d", dynamic ? "Dy" : "", want[i].size, patch);
                memset(&c, 0x5a, sizeof c);
                assert_int_equal(dd_config_preset(&c, name, NULL), DD_OK);
                assert_int_equal(c.hidden_size, want[i].hidden);
                assert_int_equal(c.depth, want[i].depth);
                assert_int_equal(c.num_heads, want[i].heads);
                assert_int_equal(c.mlp_hidden, 4 * want[i].hidden);
                assert_int_equal(c.patch_size, patch);
                assert_int_equal(c.dynamic, dynamic);
                assert_null(c.labels);
                c.input_size = 32, c.in_channels = 4, c.num_classes = 1000, c.cfg_channels = 3;
                assert_int_equal(dd_config_derive(&c, "p", NULL), DD_OK);
                assert_string_equal(c.arch, name);
                assert_int_equal(c.tokens, 32 / patch * (32 / patch));
                assert_int_equal(c.head_dim, want[i].hidden / want[i].heads);
                assert_int_equal(c.router_hidden, dynamic ? want[i].hidden / 16 : 0);
            }
    static const char *const bad[] = {"",          "DiT",     "DiT-XL",  "DiT-XL/",   "DiT-XL/3",    "DiT-XL/22",
                                      "DiT-XL/2 ", "DiT-M/2", "dit-S/2", "DiT-XL2/2", "DyDyDiT-S/2", "DyDiT",
                                      "Dy",        "DiT-/2",  "DiT-X/2", "UDiT-S/2",  "DiT-S/-2",    "DiT-S/16"};
    for (int i = 0; i < COUNT(bad); i++) {
        dd_config c;
        dd_err err = {0};
        char part[64];
        assert_int_equal(dd_config_preset(&c, bad[i], &err), DD_ERR_ARG);
        snprintf(part, sizeof part, "model '%s' is not known: DiT-S, DiT-B, DiT-L, DiT-XL or DyDiT-", bad[i]);
        model_says(&err, part);
    }
}

static void derived_fields(void **state)
{
    (void)state;
    dd_config c = model_tiny(true).cfg;
    c.patch_size = 1;
    assert_int_equal(dd_config_derive(&c, "f", NULL), DD_OK);
    assert_int_equal(c.tokens, 16);
    assert_int_equal(c.head_dim, 8);
    assert_int_equal(c.group_size, 16);
    assert_int_equal(c.out_channels, 8);
    assert_int_equal(c.router_hidden, 1);
    assert_int_equal(c.latent_count, 64);
    assert_string_equal(c.arch, "DyDiT-d16-l2-h2/1");
    c.dynamic = c.learn_sigma = false;
    assert_int_equal(dd_config_derive(&c, "f", NULL), DD_OK);
    assert_int_equal(c.out_channels, 4);
    assert_int_equal(c.router_hidden, 0);
    assert_string_equal(c.arch, "DiT-d16-l2-h2/1");
    assert_int_equal(dd_config_preset(&c, "DiT-S/2", NULL), DD_OK); /* an MLP of another width is no published size */
    c.input_size = 32, c.in_channels = 4, c.num_classes = 1000, c.cfg_channels = 3, c.mlp_hidden /= 2;
    assert_int_equal(dd_config_derive(&c, "f", NULL), DD_OK);
    assert_string_equal(c.arch, "DiT-d384-l12-h6/2");
}

#define AT(field) offsetof(dd_config, field)

static void rules(void **state)
{
    (void)state;
    static const struct {
        size_t a;
        int to;
        size_t b; /* 0: this one alone */
        int b_to;
        dd_status want;
        const char *text;
    } cases[] = {
        {AT(hidden_size), 7, 0, 0, DD_ERR_FORMAT, "f: hidden_size is 7, allowed are 8 to 16384"},
        {AT(hidden_size), 16385, 0, 0, DD_ERR_FORMAT, "hidden_size is 16385"},
        {AT(hidden_size), -16, 0, 0, DD_ERR_FORMAT, "hidden_size is -16"},
        {AT(depth), 0, 0, 0, DD_ERR_FORMAT, "f: depth is 0, allowed are 1 to 256"},
        {AT(depth), 257, 0, 0, DD_ERR_FORMAT, "depth is 257"},
        {AT(num_heads), 0, 0, 0, DD_ERR_FORMAT, "f: num_heads is 0, allowed are 1 to 64"},
        {AT(num_heads), 65, 0, 0, DD_ERR_FORMAT, "num_heads is 65, allowed are 1 to 64"},
        {AT(patch_size), 0, 0, 0, DD_ERR_FORMAT, "f: patch_size is 0, allowed are 1 to 64"},
        {AT(patch_size), 65, 0, 0, DD_ERR_FORMAT, "patch_size is 65"},
        {AT(input_size), 0, 0, 0, DD_ERR_FORMAT, "f: input_size is 0, allowed are 1 to 2048"},
        {AT(input_size), 2049, 0, 0, DD_ERR_FORMAT, "input_size is 2049"},
        {AT(in_channels), 0, 0, 0, DD_ERR_FORMAT, "f: in_channels is 0, allowed are 1 to 64"},
        {AT(in_channels), 65, 0, 0, DD_ERR_FORMAT, "in_channels is 65"},
        {AT(num_classes), 0, 0, 0, DD_ERR_FORMAT, "f: num_classes is 0, allowed are 1 to 1000000"},
        {AT(num_classes), 1000001, 0, 0, DD_ERR_FORMAT, "num_classes is 1000001"},
        {AT(mlp_hidden), 7, 0, 0, DD_ERR_FORMAT, "f: MLP channels is 7, allowed are 8 to 262144"},
        {AT(mlp_hidden), 262145, 0, 0, DD_ERR_FORMAT, "MLP channels is 262145"},
        {AT(cfg_channels), 0, 0, 0, DD_ERR_FORMAT, "f: cfg_channels is 0, allowed are 1 to 4"},
        {AT(cfg_channels), 5, 0, 0, DD_ERR_FORMAT, "cfg_channels is 5, allowed are 1 to 4"},
        {AT(input_size), 5, 0, 0, DD_ERR_FORMAT, "f: input_size 5 is not divisible by patch_size 2"},
        {AT(input_size), 258, 0, 0, DD_ERR_FORMAT, "f: tokens of a side is 129, allowed are 1 to 128"},
        {AT(num_heads), 3, 0, 0, DD_ERR_FORMAT, "f: hidden_size 16 is not divisible by num_heads 3"},
        {AT(mlp_hidden), 33, 0, 0, DD_ERR_FORMAT, "f: 33 MLP channels cannot be cut into 2 equal groups (num_heads)"},
        {AT(hidden_size), 24, 0, 0, DD_ERR_UNSUPPORTED, "f: head size 12 is no multiple of 8"},
        {AT(num_heads), 4, 0, 0, DD_ERR_UNSUPPORTED, "f: head size 4 is no multiple of 8"},
        {AT(hidden_size), 272, 0, 0, DD_ERR_UNSUPPORTED, "f: head size 136 is larger than 128"},
        {AT(mlp_hidden), 40, 0, 0, DD_ERR_UNSUPPORTED, "f: MLP group size 20 is no multiple of 8"},
        {AT(hidden_size), 8, AT(num_heads), 1, DD_ERR_FORMAT, "f: hidden_size 8 is too small for a token router"},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        dd_config c = model_tiny(true).cfg;
        dd_err err = {0};
        memcpy((char *)&c + cases[i].a, &cases[i].to, sizeof(int));
        if (cases[i].b) memcpy((char *)&c + cases[i].b, &cases[i].b_to, sizeof(int));
        const dd_status st = dd_config_derive(&c, "f", &err);
        if (st != cases[i].want) fail_msg("status %d instead of: %s", (int)st, cases[i].text);
        model_says(&err, cases[i].text);
    }
    dd_config c = model_tiny(false).cfg; /* largest heads and most of them, and one small block without routers */
    c.hidden_size = 64 * 128, c.mlp_hidden = 64 * 8, c.num_heads = 64;
    assert_int_equal(dd_config_derive(&c, "f", NULL), DD_OK);
    c.hidden_size = c.mlp_hidden = 8, c.num_heads = 1;
    assert_int_equal(dd_config_derive(&c, "f", NULL), DD_OK);
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

static dd_status read_config(const char *path, const char *preset, dd_config *c, dd_err *err)
{
    dd_tensors *file;
    memset(err, 0, sizeof *err);
    if (dd_safetensors_open(&file, path, err) != DD_OK) fail_msg("%s", err->text);
    const dd_status st = dd_config_from_file(c, file, preset, err);
    dd_tensors_close(&file);
    return st;
}

static dd_config accepted(const model_file *f, const char *preset)
{
    dd_config c;
    dd_err err;
    if (read_config(model_write("c.safetensors", f), preset, &c, &err) != DD_OK) fail_msg("%s", err.text);
    return c;
}

static void refused(const model_file *f, const char *preset, const char *part)
{
    dd_config c;
    dd_err err;
    const dd_status st = read_config(model_write("c.safetensors", f), preset, &c, &err);
    if (st != DD_ERR_FORMAT) fail_msg("status %d instead of: %s", (int)st, part);
    model_says(&err, part);
    if (strncmp(err.text, "model '", 7) != 0) model_says(&err, "c.safetensors: ");
}

static model_file shapes_of(bool dynamic)
{
    model_file f = model_tiny(dynamic);
    f.shapes_only = true;
    return f;
}

static void same_config(const dd_config *a, const dd_config *b)
{
    static const size_t ints[] = {AT(input_size), AT(patch_size), AT(in_channels),  AT(hidden_size),  AT(depth),
                                  AT(num_heads),  AT(mlp_hidden), AT(num_classes),  AT(cfg_channels), AT(tokens),
                                  AT(head_dim),   AT(group_size), AT(out_channels), AT(router_hidden)};
    for (int i = 0; i < COUNT(ints); i++) {
        if (memcmp((const char *)a + ints[i], (const char *)b + ints[i], sizeof(int)) != 0)
            fail_msg("field %d of the configuration differs", i);
    }
    assert_int_equal(a->learn_sigma, b->learn_sigma);
    assert_int_equal(a->dynamic, b->dynamic);
    assert_int_equal(a->latent_count, b->latent_count);
    assert_string_equal(a->arch, b->arch);
    assert_null(a->labels);
}

static void geometry_from_shapes(void **state)
{
    (void)state;
    model_file f = shapes_of(true);
    dd_config c = accepted(&f, NULL);
    f.cfg.cfg_channels = c.cfg_channels;
    assert_int_equal(dd_config_derive(&f.cfg, "f", NULL), DD_OK);
    same_config(&c, &f.cfg);
    assert_int_equal(c.cfg_channels, 3); /* the channels that upstream guides */
    f.cfg.in_channels = 1, f.cfg.cfg_channels = 1, f.cfg.learn_sigma = false, f.cfg.depth = 12;
    f.cfg.patch_size = 4, f.cfg.input_size = 32, f.cfg.num_classes = 1, f.cfg.mlp_hidden = 80;
    c = accepted(&f, NULL);
    assert_int_equal(dd_config_derive(&f.cfg, "f", NULL), DD_OK);
    same_config(&c, &f.cfg);
    assert_int_equal(c.cfg_channels, 1);
}

static void shapes_that_make_no_model(void **state)
{
    (void)state;
    static const char *const telling[] = {"x_embedder.proj.weight", "pos_embed", "y_embedder.embedding_table.weight",
                                          "blocks.0.mlp.fc1.weight", "final_layer.linear.weight"};
    for (int i = 0; i < COUNT(telling); i++) {
        model_file f = shapes_of(true);
        char part[160];
        f.drop = telling[i];
        snprintf(part, sizeof part, "tensor %s is missing: no DiT or DyDiT checkpoint with official names", telling[i]);
        refused(&f, NULL, part);
        f.drop = NULL, f.rename = telling[i], f.to = "other", f.extra = telling[i]; /* [1] */
        snprintf(part, sizeof part, "tensor %s has rank 1, expected", telling[i]);
        refused(&f, NULL, part);
    }
    model_file f = shapes_of(true);
    f.wide = "final_layer.linear.weight";
    refused(&f, NULL, "final_layer.linear.weight has 33 rows, expected 16 (noise) or 32 (noise and variance)");
    f.wide = "blocks.0.mlp.fc1.weight";
    refused(&f, NULL, "33 MLP channels cannot be cut");
    f.wide = "blocks.0.attn_rate.router.weight"; /* units - 1 rows */
    refused(&f, NULL, "hidden_size 16 is not divisible by num_heads 3");
    f.wide = "pos_embed", f.wide_axis = 1;
    refused(&f, NULL, "tensor pos_embed holds 5 tokens, which is no square");
}

/* Every key: agreeing, contradicting, and no number. */
static void metadata(void **state)
{
    (void)state;
    static const struct {
        const char *key, *agrees, *contradicts, *says;
    } cases[] = {
        {"input_size", "4", "8", "metadata says input_size 8, but pos_embed says 4"},
        {"patch_size", "2", "4", "metadata says patch_size 4, but x_embedder.proj.weight says 2"},
        {"in_channels", "4.0", "3", "metadata says in_channels 3, but x_embedder.proj.weight says 4"},
        {"hidden_size", "16", "1152", "metadata says hidden_size 1152, but x_embedder.proj.weight says 16"},
        {"depth", "2", "3", "metadata says depth 3, but the number of blocks says 2"},
        {"num_heads", "2", "4", "metadata says num_heads 4, but blocks.0.attn_rate.router.weight says 2"},
        {"num_classes", "3", "1000", "metadata says num_classes 1000, but y_embedder.embedding_table.weight says 3"},
        {"cfg_channels", "4", "5", "cfg_channels is 5, allowed are 1 to 4"},
        {"learn_sigma", "True", "False", "metadata says learn_sigma 0, but final_layer.linear.weight says 1"},
        {"learn_sigma", "true", "false", "metadata says learn_sigma 0"},
        {"learn_sigma", "1", "0", "metadata says learn_sigma 0"},
        {"mlp_ratio", "2.0", "4.0", "mlp_ratio 4, but blocks.0.mlp.fc1.weight has 32 rows for width 16"},
        {"mlp_ratio", "2.06", "2.0625", "mlp_ratio 2.0625"}, /* int(16 * ratio), as upstream */
        {"mlp_ratio", "2", "-2", "mlp_ratio -2"},
        {"mlp_ratio", "2e0", "1e300", "mlp_ratio 1e+300"},
        {"labels", "cat,dog,emu", "cat,dog", "metadata labels names 2 classes, but the tensors hold 3"},
        {"labels", ",,", "", "metadata labels names 1 classes, but the tensors hold 3"},
    };
    static const char *const no_number[] = {"", "x", "2x", "nan", "inf", "1e999", "TRUE"};
    for (int i = 0; i < COUNT(cases); i++) {
        model_file f = shapes_of(true);
        dd_text_pair meta = {cases[i].key, cases[i].agrees};
        f.meta = &meta, f.n_meta = 1;
        dd_config c = accepted(&f, NULL);
        if (strcmp(meta.key, "cfg_channels") == 0) assert_int_equal(c.cfg_channels, 4);
        assert_int_equal(c.labels != NULL, strcmp(meta.key, "labels") == 0);
        dd_config_fini(&c);
        dd_config_fini(&c);
        meta.value = cases[i].contradicts;
        refused(&f, NULL, cases[i].says);
        for (int k = 0; k < COUNT(no_number) && strcmp(meta.key, "labels") != 0; k++) {
            char part[96];
            meta.value = no_number[k];
            snprintf(part, sizeof part, "metadata %s is '%s', expected a number", meta.key, meta.value);
            refused(&f, NULL, part);
        }
    }
    model_file f = shapes_of(true);
    const dd_text_pair odd[] = {{"depth", "2.5"}, {"num_heads", "1e10"}};
    f.n_meta = 1, f.meta = &odd[0];
    refused(&f, NULL, "metadata depth is 2.5, expected a whole number");
    f.meta = &odd[1];
    refused(&f, NULL, "metadata num_heads is 1e+10, expected a whole number");
}

static void labels_of_the_file(void **state)
{
    (void)state;
    model_file f = shapes_of(true);
    const dd_text_pair meta[] = {{"labels", "golden retriever,,T-shirt"}, {"other", "nothing"}};
    f.meta = meta, f.n_meta = 2;
    dd_config c = accepted(&f, NULL);
    assert_string_equal(c.labels[0], "golden retriever");
    assert_string_equal(c.labels[1], "");
    assert_string_equal(c.labels[2], "T-shirt");
    dd_config_fini(&c);
    assert_null(c.labels);
    dd_config_fini(NULL);
    f.cfg.learn_sigma = false; /* labels are read, then a rule fails: nothing leaks */
    const dd_text_pair both[] = {{"labels", "a,b,c"}, {"cfg_channels", "9"}};
    f.meta = both;
    refused(&f, NULL, "cfg_channels is 9");
}

static void heads_of_a_dense_model(void **state)
{
    (void)state;
    model_file f = shapes_of(false);
    refused(&f, NULL,
            "the number of heads of this dense DiT is not in the file: add metadata num_heads or give --model");
    const dd_text_pair two = {"num_heads", "2"}, zero = {"num_heads", "0"}, odd = {"num_heads", "3"};
    f.meta = &two, f.n_meta = 1;
    assert_int_equal(accepted(&f, NULL).num_heads, 2);
    f.meta = &zero;
    refused(&f, NULL, "number of heads");
    f.meta = &odd;
    refused(&f, NULL, "hidden_size 16 is not divisible by num_heads 3");
    /* published widths tell their heads */
    f = shapes_of(false);
    assert_int_equal(dd_config_preset(&f.cfg, "DiT-S/8", NULL), DD_OK);
    f.cfg.input_size = 32, f.cfg.in_channels = 4, f.cfg.num_classes = 10, f.cfg.cfg_channels = 3;
    dd_config c = accepted(&f, NULL);
    assert_int_equal(c.num_heads, 6);
    assert_string_equal(c.arch, "DiT-S/8");
    assert_int_equal(accepted(&f, "DiT-S/8").num_heads, 6);
    const dd_text_pair twelve = {"num_heads", "12"};
    f.meta = &twelve, f.n_meta = 1; /* the file knows better */
    assert_int_equal(accepted(&f, NULL).num_heads, 12);
    refused(&f, "DiT-S/8", "model DiT-S/8 has heads 6, but the file has 12");
    f.n_meta = 0, f.cfg.depth = 11; /* width alone does not */
    refused(&f, NULL, "number of heads");
    refused(&f, "DiT-S/8", "model DiT-S/8 has depth 12, but the file has 11");
}

static void presets_and_files(void **state)
{
    (void)state;
    model_file f = shapes_of(true);
    dd_config c;
    dd_err err;
    assert_int_equal(read_config(model_write("c.safetensors", &f), "DiT-M/2", &c, &err), DD_ERR_ARG);
    refused(&f, "DyDiT-XL/2", "model DyDiT-XL/2 has width 1152, but the file has 16");
    f = shapes_of(false);
    assert_int_equal(dd_config_preset(&f.cfg, "DiT-S/4", NULL), DD_OK);
    f.cfg.input_size = 32, f.cfg.in_channels = 4, f.cfg.num_classes = 10, f.cfg.cfg_channels = 3;
    refused(&f, "DiT-S/8", "model DiT-S/8 has patch size 8, but the file has 4");
    refused(&f, "DiT-B/4", "model DiT-B/4 has width 768, but the file has 384");
    refused(&f, "DyDiT-S/4", "model DyDiT-S/4 has routers, but the file has none");
    assert_string_equal(accepted(&f, "DiT-S/4").arch, "DiT-S/4");
    f.cfg.dynamic = true; /* a DyDiT holds the DiT of its size: run dense */
    assert_string_equal(accepted(&f, "DyDiT-S/4").arch, "DyDiT-S/4");
    assert_string_equal(accepted(&f, "DiT-S/4").arch, "DyDiT-S/4");
    f.cfg.num_heads = 12;
    refused(&f, "DyDiT-S/4", "model DyDiT-S/4 has heads 6, but the file has 12");
    f.cfg.num_heads = 6, f.cfg.mlp_hidden = 768;
    refused(&f, "DyDiT-S/4", "model DyDiT-S/4 has MLP channels 1536, but the file has 768");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets),
        cmocka_unit_test(derived_fields),
        cmocka_unit_test(rules),
        cmocka_unit_test(geometry_from_shapes),
        cmocka_unit_test(shapes_that_make_no_model),
        cmocka_unit_test(metadata),
        cmocka_unit_test(labels_of_the_file),
        cmocka_unit_test(heads_of_a_dense_model),
        cmocka_unit_test(presets_and_files),
    };
    return cmocka_run_group_tests_name("model_config", tests, scratch_setup, scratch_teardown);
}
