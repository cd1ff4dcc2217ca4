/* SPDX-License-Identifier: MIT
 * Conversion into the layout of diffusers: the folder that diffusers itself has written comes back from official names with
 * every bit, official names come back from a folder, and where something is wrong nothing is left. */
#define _XOPEN_SOURCE 700
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "host/io/json.h"
#include "host/io/safetensors.h"
#include "host/io/shards.h"
#include "host/model/convert.h"
#include "tests/unit/scratch.h"

#define DIT "tests/golden/policy_dit_d32_h2_p2.safetensors"
#define DYDIT "tests/golden/model_d64_h4_p2.safetensors"
#define FOLDER "tests/golden/diffusers_dit/transformer"
#define STEM "diffusion_pytorch_model"

typedef struct named {
    char text[1024];
} named;

/* scratch() forgets a name after the next ones. */
static named kept(const char *name)
{
    named p;
    snprintf(p.text, sizeof p.text, "%s", scratch(name));
    return p;
}

/* scratch_clear takes empty folders only. */
static void clear_folder(const char *folder)
{
    char name[2048];
    snprintf(name, sizeof name, "%s/config.json", folder);
    assert_int_equal(remove(name), 0);
    snprintf(name, sizeof name, "%s/" STEM ".safetensors", folder);
    assert_int_equal(remove(name), 0);
    assert_int_equal(rmdir(folder), 0); /* nothing else was there */
}

static dd_status convert(const char *in, const char *out, const char *layout, const char *compat, dd_err *err)
{
    const dd_convert_spec spec = {.in = in, .out = out, .layout = layout, .choice = {.compat = compat}};
    dd_convert_report report = {0};
    return dd_convert(&spec, &report, err);
}

static void converted(const char *in, const char *out, const char *layout, const char *compat)
{
    dd_err err = {0};
    if (convert(in, out, layout, compat, &err) != DD_OK) fail_msg("%s", err.text);
}

static dd_tensors *opened(const char *path)
{
    dd_err err = {0};
    dd_tensors *f = NULL;
    if (dd_checkpoint_open(&f, path, NULL, &err) != DD_OK) fail_msg("%s", err.text);
    return f;
}

static dd_tensors *opened_as_it_is(const char *folder)
{
    dd_err err = {0};
    dd_tensors *f = NULL;
    if (dd_shards_open(&f, folder, STEM, &err) != DD_OK) fail_msg("%s", err.text);
    return f;
}

static void equal_tensors(const dd_tensors *a, const dd_tensors *b)
{
    assert_int_equal(dd_tensors_count(a), dd_tensors_count(b));
    for (int i = 0; i < dd_tensors_count(a); i++) {
        const dd_tensor *x = dd_tensors_at(a, i), *y = dd_tensors_at(b, i);
        assert_string_equal(x->name, y->name);
        assert_string_equal(x->dtype_name, y->dtype_name);
        assert_int_equal(x->rank, y->rank);
        assert_memory_equal(x->shape, y->shape, sizeof x->shape);
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
}

static void as_diffusers_wrote_it(void **state)
{
    (void)state;
    scratch_clear();
    const named official = kept("official");
    const named folder = kept("folder");
    converted(FOLDER, official.text, NULL, NULL);
    converted(official.text, folder.text, "diffusers", NULL);
    dd_tensors *a = opened_as_it_is(FOLDER), *b = opened_as_it_is(folder.text);
    equal_tensors(a, b);
    dd_tensors_close(&a);
    dd_tensors_close(&b);
    json_t *want = NULL, *have = NULL;
    dd_err err = {0};
    assert_int_equal(dd_json_read_file(&want, FOLDER "/config.json", &err), DD_OK);
    assert_int_equal(dd_json_read_file(&have, scratch("folder/config.json"), &err), DD_OK);
    json_object_del(want, "_diffusers_version");
    assert_true(json_equal(want, have));
    json_decref(want);
    json_decref(have);
    clear_folder(folder.text);
}

/* compat has no field in config.json: it goes along in the metadata. */
static void there_and_back(void **state)
{
    (void)state;
    scratch_clear();
    const named folder = kept("folder/"); /* with a slash, and from an empty folder on */
    const named back = kept("back");
    assert_int_equal(mkdir(folder.text, 0777), 0);
    converted(DIT, folder.text, "diffusers", "diffusers");
    converted(folder.text, back.text, "official", NULL);
    dd_tensors *a = opened(DIT), *b = opened(back.text);
    equal_tensors(a, b);
    assert_string_equal(dd_tensors_meta(b, "compat"), "diffusers");
    assert_null(dd_tensors_meta(b, "format"));
    dd_tensors_close(&a);
    dd_tensors_close(&b);
    clear_folder(folder.text);
}

static void sixteen_bits(void **state)
{
    (void)state;
    scratch_clear();
    const named official = kept("official");
    const named folder = kept("folder");
    const dd_convert_spec spec = {.in = DIT, .out = folder.text, .layout = "diffusers", .dtype = "bf16"};
    dd_convert_report report = {0};
    dd_err err = {0};
    if (dd_convert(&spec, &report, &err) != DD_OK) fail_msg("%s", err.text);
    assert_non_null(strstr(report.path, "folder/" STEM ".safetensors"));
    const dd_convert_spec direct = {.in = DIT, .out = official.text, .dtype = "bf16"};
    if (dd_convert(&direct, &report, &err) != DD_OK) fail_msg("%s", err.text);
    dd_tensors *a = opened(folder.text), *b = opened(official.text);
    for (int i = 0; i < dd_tensors_count(b); i++) {
        const dd_tensor *y = dd_tensors_at(b, i), *x = dd_tensors_find(a, y->name);
        assert_non_null(x);
        if (strcmp(y->name, "pos_embed") == 0) continue; /* computed anew, in float32 */
        assert_string_equal(x->dtype_name, y->dtype_name);
        assert_memory_equal(x->data, y->data, y->bytes);
    }
    dd_tensors_close(&a);
    dd_tensors_close(&b);
    /* Positions in 16 bits are still those of the table. */
    const named again = kept("again");
    converted(official.text, again.text, "diffusers", NULL);
    clear_folder(again.text);
    clear_folder(folder.text);
}

static void refused(const char *in, const char *out, const char *layout, dd_status want, const char *part)
{
    dd_err err = {0};
    const int files = scratch_count();
    assert_int_equal(convert(in, out, layout, NULL, &err), want);
    if (!strstr(err.text, part)) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
    assert_int_equal(scratch_count(), files);
}

/* The model without or with one tensor changed: drop a name, add one, or set an element of pos_embed. */
typedef struct change {
    const char *drop, *add;
    float position;
} change;

static void write_changed(const char *path, const change *c)
{
    dd_err err = {0};
    dd_tensors *f = opened(DIT);
    dd_tensor_entry list[128];
    float positions[16 * 32];
    const dd_text_pair meta = {"num_heads", "2"};
    int n = 0;
    for (int i = 0; i < dd_tensors_count(f); i++) {
        const dd_tensor *t = dd_tensors_at(f, i);
        if (strncmp(t->name, "golden.", 7) == 0 || (c->drop && strcmp(t->name, c->drop) == 0)) continue;
        list[n] = (dd_tensor_entry){.name = t->name, .dtype = t->dtype, .rank = t->rank, .data = t->data};
        memcpy(list[n].shape, t->shape, sizeof t->shape);
        if (strcmp(t->name, "pos_embed") == 0) {
            assert_int_equal(t->bytes, sizeof positions);
            memcpy(positions, t->data, sizeof positions);
            if (c->position != 0) positions[100] = c->position;
            list[n].data = positions;
        }
        n++;
    }
    if (c->add) list[n++] = (dd_tensor_entry){c->add, DD_F32, 1, {1}, positions};
    if (dd_safetensors_write(path, list, n, &meta, 1, &err) != DD_OK) fail_msg("%s", err.text);
    dd_tensors_close(&f);
}

static void refusals(void **state)
{
    (void)state;
    scratch_clear();
    const named in = kept("in");
    const named out = kept("out");
    refused(DIT, out.text, "f", DD_ERR_ARG, "'f' is none of official, diffusers");
    refused(DIT, scratch("out.safetensors"), "diffusers", DD_ERR_ARG, "give it a name without .safetensors");
    refused(DYDIT, out.text, "diffusers", DD_ERR_UNSUPPORTED, "has routers");
    refused(DIT, scratch("none/out"), "diffusers", DD_ERR_IO, "none");
    refused(DIT, "", "diffusers", DD_ERR_ARG, "is empty");
    write_changed(in.text, &(change){.position = 0.5f});
    refused(in.text, out.text, "diffusers", DD_ERR_UNSUPPORTED, "pos_embed is not the table");
    write_changed(in.text, &(change){.position = NAN});
    refused(in.text, out.text, "diffusers", DD_ERR_FORMAT, "pos_embed");
    write_changed(in.text, &(change){.drop = "blocks.1.attn.proj.bias"});
    refused(in.text, out.text, "diffusers", DD_ERR_FORMAT, "blocks.1.attn.proj.bias");
    write_changed(in.text, &(change){.add = "blocks.1.attn.q_norm.weight"});
    refused(in.text, out.text, "diffusers", DD_ERR_UNSUPPORTED, "q_norm.weight has no name");
    refused(DIT, in.text, "diffusers", DD_ERR_IO, "is there and no folder");
    write_changed(in.text, &(change){.add = "extra"});
    converted(in.text, out.text, "diffusers", NULL);
    refused(in.text, out.text, "diffusers", DD_ERR_IO, "not empty");
    clear_folder(out.text);
}

/* The disk is full behind config.json. */
static void half_written(void **state)
{
    const struct rlimit little = {20000, RLIM_INFINITY};
    struct rlimit before;
    dd_err err = {0};
    (void)state;
    scratch_clear();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    const dd_status st = convert(DIT, scratch("out"), "diffusers", NULL, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(st, DD_ERR_IO);
    assert_int_equal(scratch_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_diffusers_wrote_it), cmocka_unit_test(there_and_back),
                                       cmocka_unit_test(sixteen_bits), cmocka_unit_test(refusals),
                                       cmocka_unit_test(half_written)};
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
