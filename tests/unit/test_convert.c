/* SPDX-License-Identifier: MIT
 * Conversion: every bit is kept unless another element type is asked for; what decides stays float32; nothing is written
 * where something is wrong. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/io/safetensors.h"
#include "host/model/convert.h"
#include "tests/unit/scratch.h"

#define MODEL "tests/golden/sampling_d32_h2_p2.safetensors"
#define TRAIN "tests/golden/torch_train.pt"

static dd_convert_report converted(const char *in, const char *out, const char *dtype, dd_which which)
{
    const dd_convert_spec spec = {.in = in, .out = out, .dtype = dtype, .choice = {.which = which}};
    dd_convert_report report = {0};
    dd_err err = {0};
    if (dd_convert(&spec, &report, &err) != DD_OK) fail_msg("%s", err.text);
    return report;
}

static void refused(const dd_convert_spec *spec, dd_status want, const char *part)
{
    dd_convert_report report;
    dd_err err = {0};
    assert_int_equal(dd_convert(spec, &report, &err), want);
    if (!strstr(err.text, part)) fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static dd_tensors *opened(const char *path)
{
    dd_err err = {0};
    dd_tensors *f = NULL;
    if (dd_safetensors_open(&f, path, &err) != DD_OK) fail_msg("%s", err.text);
    return f;
}

static void every_bit_is_kept(void **state)
{
    (void)state;
    const char *out = scratch("a.safetensors");
    const dd_convert_report first = converted(MODEL, out, NULL, DD_WHICH_AUTO);
    dd_tensors *a = opened(MODEL), *b = opened(out);
    assert_int_equal(dd_tensors_count(a), dd_tensors_count(b));
    assert_int_equal(first.tensors, dd_tensors_count(b));
    assert_int_equal(first.bytes, dd_tensors_bytes(b));
    assert_string_equal(dd_tensors_meta(b, "num_heads"), "2");
    for (int i = 0; i < dd_tensors_count(a); i++) {
        const dd_tensor *x = dd_tensors_at(a, i), *y = dd_tensors_at(b, i);
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
    dd_tensors_close(&a);
    dd_tensors_close(&b);
    /* From .pt, and there and back again. */
    const dd_convert_report from_pt = converted(TRAIN, scratch("b.safetensors"), NULL, DD_WHICH_EMA);
    const dd_convert_report again = converted(scratch("b.safetensors"), scratch("c.safetensors"), "f32", DD_WHICH_AUTO);
    assert_string_equal(from_pt.sha256, again.sha256);
    assert_string_not_equal(from_pt.sha256, first.sha256);
}

static bool begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

/* bfloat16 to float32 and back loses nothing; what decides was never rounded. */
static void other_types(void **state)
{
    (void)state;
    const dd_convert_report bf16 = converted(MODEL, scratch("bf16"), "bf16", DD_WHICH_AUTO);
    converted(scratch("bf16"), scratch("f32"), "f32", DD_WHICH_AUTO);
    const dd_convert_report back = converted(scratch("f32"), scratch("back"), "bf16", DD_WHICH_AUTO);
    assert_string_equal(bf16.sha256, back.sha256);
    converted(MODEL, scratch("f16"), "f16", DD_WHICH_AUTO);
    dd_tensors *a = opened(MODEL), *b = opened(scratch("bf16")), *h = opened(scratch("f16"));
    int kept = 0, rounded = 0;
    for (int i = 0; i < dd_tensors_count(a); i++) {
        const dd_tensor *x = dd_tensors_at(a, i), *y = dd_tensors_at(b, i), *z = dd_tensors_at(h, i);
        const bool decides = strstr(x->name, "router") || strstr(x->name, "mlp_head") || begins(x->name, "t_embedder");
        if (decides || begins(x->name, "golden.")) {
            assert_int_equal(y->dtype, DD_F32);
            assert_memory_equal(x->data, y->data, x->bytes);
            assert_memory_equal(x->data, z->data, x->bytes);
            kept += decides;
            continue;
        }
        rounded++;
        assert_int_equal(y->dtype, DD_BF16);
        assert_int_equal(z->dtype, DD_F16);
        for (int64_t k = 0; k < x->count; k++) {
            const float v = ((const float *)x->data)[k];
            assert_int_equal(((const uint16_t *)y->data)[k], dd_f32_to_bf16(v));
            assert_int_equal(((const uint16_t *)z->data)[k], dd_f32_to_f16(v));
        }
    }
    assert_int_equal(kept, 2 * 8 + 4);
    assert_int_equal(rounded, 2 * 10 + 8);
    dd_tensors_close(&a);
    dd_tensors_close(&b);
    dd_tensors_close(&h);
}

static void refusals(void **state)
{
    static const float large[2] = {1, 70000};
    const dd_tensor_entry e = {"blocks.0.mlp.fc1.bias", DD_F32, 1, {2}, large};
    dd_err err = {0};
    (void)state;
    scratch_clear();
    assert_int_equal(dd_safetensors_write(scratch("large"), &e, 1, NULL, 0, &err), DD_OK);
    const dd_convert_spec range = {.in = scratch("large"), .out = scratch("out"), .dtype = "f16"};
    refused(&range, DD_ERR_FORMAT, "tensor blocks.0.mlp.fc1.bias: element 1 is 70000, which f16 cannot hold");
    const dd_convert_spec dtype = {.in = MODEL, .out = scratch("out"), .dtype = "f8"};
    refused(&dtype, DD_ERR_ARG, "'f8' is none of f32, f16, bf16");
    const dd_convert_spec absent = {.in = scratch("none"), .out = scratch("out")};
    refused(&absent, DD_ERR_NOT_FOUND, "does not exist");
    const dd_convert_spec folder = {.in = MODEL, .out = scratch("none/out")};
    refused(&folder, DD_ERR_IO, "none");
    assert_int_equal(scratch_count(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_bit_is_kept), cmocka_unit_test(other_types),
                                       cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
