/* SPDX-License-Identifier: MIT
 * Bounds by data sheet: what binds, which peak counts, what may grow or shrink with what, and the table of devices. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "tests/unit/bound_rig.h"

static void nearly(double have, double want)
{
    if (!(fabs(have - want) <= 1e-12 * want)) fail_msg("%.17g, by hand %.17g", have, want); /* a few roundings */
}

/* 1e12 bytes and 100e12 or 10e12 FLOP a second, 2 us a launch: one op of each kind of limit. */
static void the_largest_binds(void **state)
{
    (void)state;
    dd_work w = {
        .macs = 1000, .weights = 1000000, .read = 2000000, .written = 3000000, .launches = 1, .unit = DD_UNIT_TENSOR};
    dd_bound_sum s = dd_bound_op(&w, &all_tokens);
    nearly(dd_bound_seconds(&s), 6e-6);
    assert_int_equal(dd_bound_binder(&s), DD_BY_MEMORY);
    w.launches = 4;
    s = dd_bound_op(&w, &all_tokens);
    nearly(dd_bound_seconds(&s), 8e-6);
    assert_int_equal(dd_bound_binder(&s), DD_BY_LAUNCH);
    w.macs = 450000000; /* 900 M FLOP: 9 us, without tensor cores 90 us */
    s = dd_bound_op(&w, &all_tokens);
    nearly(dd_bound_seconds(&s), 9e-6);
    assert_int_equal(dd_bound_binder(&s), DD_BY_MACS);
    w.unit = DD_UNIT_FP32;
    s = dd_bound_op(&w, &all_tokens);
    nearly(dd_bound_seconds(&s), 90e-6);
    assert_string_equal(dd_binder_name(DD_BY_MEMORY), "memory");
    assert_string_equal(dd_binder_name(DD_BY_MACS), "MACs");
    assert_string_equal(dd_binder_name(DD_BY_LAUNCH), "launch");
}

/* Where memory and launches cost nothing. In float32 there are no tensor cores; TF32 has half of the rate of 16 bits, and
 * three products of it make one of the routers'; attention in tf32 is float32. */
static void peaks_follow_the_format(void **state)
{
    (void)state;
    static const dd_sheet fast = {"TEST", "made up", 1e30, 100e12, 10e12, 1, 1e9};
    static const dd_bound_terms terms = {&fast, 0, 1};
    static const dd_op_kind operands[] = {DD_KIND_COND, DD_KIND_QKV, DD_KIND_ATTENTION, DD_KIND_PROJ,
                                          DD_KIND_FC1,  DD_KIND_FC2, DD_KIND_FINAL};
    rig r = rig_open(MODEL_D64, "ref");
    static const struct {
        dd_format input;
        double operand, attention, route;
    } all[] = {{DD_FMT_F32, 10e12, 10e12, 10e12},
               {DD_FMT_BF16, 100e12, 100e12, 100e12 / 6},
               {DD_FMT_F16, 100e12, 100e12, 100e12 / 6},
               {DD_FMT_TF32, 50e12, 10e12, 100e12 / 6}};
    for (size_t f = 0; f < sizeof all / sizeof all[0]; f++) {
        sampling(&r, 1, all[f].input);
        const dd_bound b = bound_of(&r, &terms);
        for (size_t i = 0; i < sizeof operands / sizeof operands[0]; i++) {
            const dd_bound_sum *s = &b.kind[operands[i]];
            const double flops = operands[i] == DD_KIND_ATTENTION ? all[f].attention : all[f].operand;
            nearly(s->by[DD_BY_MACS], 2 * (double)s->work.macs / flops);
        }
        nearly(b.kind[DD_KIND_ROUTE].by[DD_BY_MACS], 2 * (double)b.kind[DD_KIND_ROUTE].work.macs / all[f].route);
        nearly(b.kind[DD_KIND_EMBED].by[DD_BY_MACS], 2 * (double)b.kind[DD_KIND_EMBED].work.macs / 10e12);
    }
    rig_close(&r);
}

/* No figure of b is above that of a; MACs and bytes differ. */
static void check_less(const dd_bound_sum *b, const dd_bound_sum *a, const char *what)
{
    const dd_work *x = &b->work, *y = &a->work;
    const bool below = x->macs < y->macs && x->weights <= y->weights && x->read < y->read && x->written < y->written &&
                       x->launches <= y->launches && dd_bound_seconds(b) < dd_bound_seconds(a);
    if (!below) fail_msg("%s: not below", what);
}

static void more_work_has_a_larger_bound(void **state)
{
    (void)state;
    static const dd_bound_terms free_launch = {&sheet, 0, 1}, free_half = {&sheet, 0, 0.5};
    rig r = rig_open(MODEL_D128, "ref");
    rig_plan(&r, "6", 0, 999, true);
    sampling(&r, 2, DD_FMT_BF16);
    const dd_bound planned = bound_of(&r, &free_launch), half = bound_of(&r, &free_half);
    const dd_bound launched = bound_of(&r, &all_tokens);
    sampling(&r, 3, DD_FMT_BF16);
    const dd_bound larger = bound_of(&r, &free_launch);
    rig_plan(&r, "6", 0, 999, false);
    sampling(&r, 2, DD_FMT_BF16);
    const dd_bound dense = bound_of(&r, &free_launch);
    check_less(&half.total, &planned.total, "half of the tokens");
    check_less(&planned.total, &larger.total, "two images and three");
    static const dd_op_kind sliced[] = {DD_KIND_QKV, DD_KIND_ATTENTION, DD_KIND_FC1};
    for (int i = 0; i < 3; i++)
        if (!(dd_bound_seconds(&planned.kind[sliced[i]]) < dd_bound_seconds(&dense.kind[sliced[i]])))
            fail_msg("%s: planned is not below dense", dd_kind_name(sliced[i]));
    for (int k = 0; k < DD_KIND_COUNT; k++)
        if (k != DD_KIND_ROUTE && k != DD_KIND_ADALN && k != DD_KIND_FC2 &&
            !(dd_bound_seconds(&planned.kind[k]) <= dd_bound_seconds(&dense.kind[k])))
            fail_msg("%s: planned is above dense", dd_kind_name((dd_op_kind)k));
    assert_true(dd_bound_seconds(&launched.total) > dd_bound_seconds(&planned.total));
    assert_true(planned.total.by[DD_BY_LAUNCH] == 0 && launched.total.by[DD_BY_LAUNCH] > 0);
    rig_close(&r);
}

static void sheets(void **state)
{
    (void)state;
    static const char *const names[] = {"H100", "H200", "A100", "RTX4090", "L4"};
    const dd_sheet *s = NULL;
    dd_err err = {0};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(dd_sheet_find(&s, names[i], &err), DD_OK);
        assert_string_equal(s->name, names[i]);
        /* a slip of a power of ten: today's cards read a byte for 100 to 500 FLOP, and have more of it than L4's 24 GB */
        assert_true(s->tensor_flops / s->bytes_per_s > 100 && s->tensor_flops / s->bytes_per_s < 500);
        assert_true(s->fp32_flops < s->tensor_flops && s->memory_bytes >= 24e9 && s->memory_bytes < 200e9);
        assert_true(s->sms >= 58 && s->sms <= 132);
    }
    assert_int_equal(dd_sheet_find(&s, "rtx4090", &err), DD_OK);
    assert_int_equal(dd_sheet_find(&s, "B9000", &err), DD_ERR_ARG);
    assert_null(s);
    for (int i = 0; i < 5; i++) assert_non_null(strstr(err.text, names[i]));
    assert_non_null(strstr(err.text, "B9000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_binds),
        cmocka_unit_test(peaks_follow_the_format),
        cmocka_unit_test(more_work_has_a_larger_bound),
        cmocka_unit_test(sheets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
