/* SPDX-License-Identifier: MIT
 * Checkpoints that PyTorch wrote (tests/golden/torch_files.py) against the same tensors in safetensors files: equal bit
 * for bit, as tensors and as models. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/io/safetensors.h"
#include "host/io/tensors_internal.h"
#include "host/io/torch_file.h"
#include "host/model/checkpoint.h"
#include "support/golden.h"

#define MODEL "tests/golden/sampling_d32_h2_p2.safetensors"
#define TRAIN "tests/golden/torch_train.pt"
#define FLAT "tests/golden/torch_flat.pt"

static dd_tensors *open_as(const char *path, dd_which which)
{
    dd_err err = {0};
    dd_tensors *f = NULL;
    if (dd_checkpoint_open(&f, path, &(dd_checkpoint_choice){.which = which}, &err) != DD_OK) fail_msg("%s", err.text);
    return f;
}

static void refused(const char *path, dd_which which, dd_status want, const char *part)
{
    dd_err err = {0};
    dd_tensors *f = NULL;
    assert_int_equal(dd_checkpoint_open(&f, path, &(dd_checkpoint_choice){.which = which}, &err), want);
    assert_null(f);
    if (!strstr(err.text, path) || !strstr(err.text, part)) fail_msg("\"%s\" lacks \"%s\"", err.text, part);
}

static void same_tensor(const dd_tensor *a, const dd_tensor *b)
{
    if (a->rank != b->rank || a->count != b->count || a->bytes != b->bytes || strcmp(a->dtype_name, b->dtype_name) != 0)
        fail_msg("%s differs in shape or dtype", b->name);
    for (int i = 0; i < a->rank; i++) assert_int_equal(a->shape[i], b->shape[i]);
    assert_true((a->data == NULL) == (b->data == NULL));
    if (a->bytes && memcmp(a->data, b->data, a->bytes) != 0) fail_msg("%s differs in its values", b->name);
}

static void every_kind_of_tensor(void **state)
{
    (void)state;
    dd_tensors *pt = open_as("tests/golden/torch_kinds.pt", DD_WHICH_AUTO);
    dd_tensors *st = open_as("tests/golden/torch_kinds.safetensors", DD_WHICH_AUTO);
    assert_int_equal(dd_tensors_count(pt), dd_tensors_count(st));
    assert_int_equal(dd_tensors_count(pt), 14);
    for (int i = 0; i < dd_tensors_count(pt); i++) {
        assert_string_equal(dd_tensors_at(pt, i)->name, dd_tensors_at(st, i)->name);
        same_tensor(dd_tensors_at(pt, i), dd_tensors_at(st, i));
    }
    assert_string_equal(dd_tensors_format(pt), "torch");
    assert_string_equal(dd_tensors_format(st), "safetensors");
    dd_tensors_close(&pt);
    dd_tensors_close(&st);
}

/* The weights of MODEL and nothing else; `part` says where they were. */
static void same_weights(const char *path, dd_which which, const char *part)
{
    dd_tensors *pt = open_as(path, which), *st = open_as(MODEL, DD_WHICH_AUTO);
    assert_string_equal(dd_tensors_part(pt), part);
    int weights = 0;
    for (int i = 0; i < dd_tensors_count(st); i++) {
        const dd_tensor *want = dd_tensors_at(st, i);
        if (strncmp(want->name, "golden.", 7) == 0) continue;
        const dd_tensor *got = dd_tensors_find(pt, want->name);
        if (!got) fail_msg("%s is missing", want->name);
        same_tensor(got, want);
        weights++;
    }
    assert_int_equal(dd_tensors_count(pt), weights);
    dd_tensors_close(&pt);
    dd_tensors_close(&st);
}

static void choice_of_state_dict(void **state)
{
    (void)state;
    same_weights(TRAIN, DD_WHICH_AUTO, "ema");
    same_weights(TRAIN, DD_WHICH_EMA, "ema");
    same_weights(FLAT, DD_WHICH_AUTO, "");
    dd_tensors *model = open_as(TRAIN, DD_WHICH_MODEL);
    assert_string_equal(dd_tensors_part(model), "model");
    assert_string_equal(dd_tensors_find(model, "pos_embed")->dtype_name, "BF16");
    dd_tensors_close(&model);
    refused(FLAT, DD_WHICH_EMA, DD_ERR_ARG, "no state dict 'ema'");
    refused(FLAT, DD_WHICH_MODEL, DD_ERR_ARG, "no state dict 'model'");
    refused(MODEL, DD_WHICH_EMA, DD_ERR_ARG, "no choice of ema and model");
}

static void in_place(void **state)
{
    (void)state;
    dd_err err = {0};
    dd_tensors *f = NULL;
    assert_int_equal(dd_torch_open(&f, FLAT, DD_WHICH_AUTO, &err), DD_OK);
    const dd_tensor *a = dd_tensors_find(f, "x_embedder.proj.weight"), *b = dd_tensors_find(f, "pos_embed");
    const unsigned char *map = f->map, *pa = a->data, *pb = b->data;
    assert_true(pa >= map && pa + a->bytes <= map + f->bytes);
    assert_true(pb >= map && pb + b->bytes <= map + f->bytes);
    assert_int_equal((pa - map) % 64, 0); /* as torch.save aligns members */
    dd_tensors_close(&f);
}

static void other_formats(void **state)
{
    (void)state;
    refused("tests/golden/torch_before_1_6.pt", DD_WHICH_AUTO, DD_ERR_UNSUPPORTED, "before PyTorch 1.6");
    refused("tests/golden/torch_script.pt", DD_WHICH_AUTO, DD_ERR_UNSUPPORTED, "TorchScript");
    refused("tests/golden", DD_WHICH_AUTO, DD_ERR_IO, "is a folder without config.json");
}

/* One pass of each of the three files. */
static void forward_is_equal(void **state)
{
    static const char *const paths[] = {MODEL, TRAIN, FLAT};
    float x[2 * 4 * 8 * 8], t[2] = {999, 17}, *out[3];
    const int labels[2] = {3, 10};
    (void)state;
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = (float)((int)(i * 37 % 101) - 50) / 25.0f;
    dydit_ctx *ctx = golden_ctx("cpu", 1);
    for (int k = 0; k < 3; k++) {
        dydit_model *model = golden_model(ctx, paths[k]);
        out[k] = calloc(2 * 8 * 8 * 8, sizeof *out[k]);
        assert_non_null(out[k]);
        assert_int_equal(dydit_forward(model, 2, x, t, labels, 0, out[k]), DYDIT_OK);
        assert_memory_equal(out[k], out[0], 2 * 8 * 8 * 8 * sizeof **out);
        dydit_model_close(&model);
    }
    assert_true(out[0][0] != 0.0f);
    for (int k = 0; k < 3; k++) free(out[k]);
    dydit_close(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_tensor), cmocka_unit_test(choice_of_state_dict), cmocka_unit_test(in_place),
        cmocka_unit_test(other_formats),        cmocka_unit_test(forward_is_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
