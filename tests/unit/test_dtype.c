/* SPDX-License-Identifier: MIT
 * Scalar conversions over their whole range, and the routing threshold against the float32 sigmoid. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/dtype.h"

static int is_nan_bits(uint32_t u) { return (u & 0x7fffffffu) > 0x7f800000u; }

static void sizes(void **state)
{
    (void)state;
    assert_int_equal(dd_dtype_bytes(DD_F32), 4);
    assert_int_equal(dd_dtype_bytes(DD_F16), 2);
    assert_int_equal(dd_dtype_bytes(DD_BF16), 2);
    assert_int_equal(dd_dtype_bytes(DD_F64), 8);
    assert_int_equal(dd_dtype_bytes(DD_I64), 8);
    assert_int_equal(dd_dtype_bytes(DD_I32), 4);
    assert_int_equal(dd_dtype_bytes(DD_TF32), 4);
    assert_int_equal(dd_dtype_bytes(DD_U8), 1);
}

static void every_f16(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const int exp = (int)(h >> 10 & 31), man = (int)(h & 1023);
        const uint32_t got = dd_f32_bits(dd_f16_to_f32((uint16_t)h));
        if (exp == 31 && man != 0) {
            assert_true(is_nan_bits(got));
            continue;
        }
        double want = exp == 31 ? HUGE_VAL : exp == 0 ? ldexp(man, -24) : ldexp(1024 + man, exp - 25);
        if (h & 0x8000) want = -want;
        assert_int_equal(got, dd_f32_bits((float)want)); /* bits: the sign of zero counts */
    }
}

static void bf16_round_trip(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float f = dd_bf16_to_f32((uint16_t)h);
        assert_int_equal(dd_f32_bits(f), h << 16);
        if (!is_nan_bits(h << 16)) assert_int_equal(dd_f32_to_bf16(f), h);
        else assert_true(is_nan_bits((uint32_t)dd_f32_to_bf16(f) << 16));
    }
}

/* Around every value: below, at and above the middle to the next one. Infinity is the next one after the largest. */
static void bf16_rounding(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        if ((h & 0x7f80) == 0x7f80) continue;
        const uint32_t low = h << 16;
        assert_int_equal(dd_f32_to_bf16(dd_f32_from_bits(low | 0x0001)), h);
        assert_int_equal(dd_f32_to_bf16(dd_f32_from_bits(low | 0x7fff)), h);
        assert_int_equal(dd_f32_to_bf16(dd_f32_from_bits(low | 0x8000)), h + (h & 1)); /* tie: to even */
        assert_int_equal(dd_f32_to_bf16(dd_f32_from_bits(low | 0x8001)), h + 1);
        assert_int_equal(dd_f32_to_bf16(dd_f32_from_bits(low | 0xffff)), h + 1);
    }
}

/* The same of f16: the middle is exact in float32, its neighbours are next to it. Behind the largest comes infinity. */
static void f16_rounding(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float f = dd_f16_to_f32((uint16_t)h);
        if ((h & 0x7c00) == 0x7c00) {
            if (!is_nan_bits(dd_f32_bits(f))) assert_int_equal(dd_f32_to_f16(f), h);
            continue;
        }
        assert_int_equal(dd_f32_to_f16(f), h);
        const float next = (h & 0x7fff) == 0x7bff ? copysignf(65536, f) : dd_f16_to_f32((uint16_t)(h + 1));
        const uint32_t middle = dd_f32_bits(f + (next - f) / 2);
        assert_int_equal(dd_f32_to_f16(dd_f32_from_bits(middle - 1)), h);
        assert_int_equal(dd_f32_to_f16(dd_f32_from_bits(middle)), h + (h & 1)); /* tie: to even */
        assert_int_equal(dd_f32_to_f16(dd_f32_from_bits(middle + 1)), h + 1);
    }
    assert_int_equal(dd_f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(dd_f32_to_f16(-1e30f), 0xfc00);
    assert_int_equal(dd_f32_to_f16(1e-30f), 0);
    assert_int_equal(dd_f32_to_f16(-1e-30f), 0x8000);
}

/* Every upper half of the bits, with what decides in the lower one. */
static void tf32_rounding(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 1u << 19; h++) {
        const uint32_t u = h << 13;
        if ((u & 0x7f800000u) == 0x7f800000u) continue;
        assert_int_equal(dd_f32_bits(dd_f32_to_tf32(dd_f32_from_bits(u))), u);
        assert_int_equal(dd_f32_bits(dd_f32_to_tf32(dd_f32_from_bits(u | 0x0fff))), u);
        assert_int_equal(dd_f32_bits(dd_f32_to_tf32(dd_f32_from_bits(u | 0x1000))), u + ((h & 1) << 13));
        assert_int_equal(dd_f32_bits(dd_f32_to_tf32(dd_f32_from_bits(u | 0x1001))), u + 0x2000);
    }
    assert_true(isinf(dd_f32_to_tf32(HUGE_VALF)));
}

static void rounded_as(void **state)
{
    (void)state;
    const float x = 1.0f + 0x1p-8f + 0x1p-11f + 0x1p-20f; /* just above ties of f16 and of TF32 */
    assert_true(dd_rounded(x, DD_F32) == x);
    assert_true(dd_rounded(x, DD_TF32) == 1.0f + 0x1p-8f + 0x1p-10f);
    assert_true(dd_rounded(x, DD_F16) == 1.0f + 0x1p-8f + 0x1p-10f);
    assert_true(dd_rounded(x, DD_BF16) == 1.0f + 0x1p-7f);
    assert_true(dd_rounded(0x1p20f, DD_TF32) == 0x1p20f && isinf(dd_rounded(0x1p20f, DD_F16)));
}

static void nan_stays_nan(void **state)
{
    (void)state;
    for (uint32_t payload = 1; payload < 0x800000; payload += payload < 0x20000 ? 1 : 4099) {
        const float nan = dd_f32_from_bits(0xff800000 | payload);
        assert_true(is_nan_bits(dd_f32_bits(dd_f16_to_f32(dd_f32_to_f16(nan)))));
        assert_true(is_nan_bits(dd_f32_bits(dd_f32_to_tf32(nan))));
    }
    for (uint32_t payload = 1; payload < 0x800000; payload += payload < 0x20000 ? 1 : 4099) {
        assert_true(is_nan_bits((uint32_t)dd_f32_to_bf16(dd_f32_from_bits(0x7f800000 | payload)) << 16));
        assert_true(is_nan_bits((uint32_t)dd_f32_to_bf16(dd_f32_from_bits(0xff800000 | payload)) << 16));
    }
}

static void finite_by_exponent_bits(void **state)
{
    (void)state;
    static const uint32_t finite[] = {0, 1, 0x80000000, 0x7f7fffff, 0xff7fffff, 0x3f800000, 0x00800000};
    static const uint32_t other[] = {0x7f800000, 0xff800000, 0x7f800001, 0x7fc00000, 0xffffffff};
    for (size_t i = 0; i < sizeof finite / sizeof *finite; i++) assert_true(dd_f32_finite(dd_f32_from_bits(finite[i])));
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) assert_false(dd_f32_finite(dd_f32_from_bits(other[i])));
}

/* sigmoid(x) > 0.5 with every operation rounded to float32, the exponential correctly. */
static int sigmoid_on(float x)
{
    const float e = (float)exp(-(double)x), d = 1.0f + e;
    return 1.0f / d > 0.5f;
}

static void threshold_equals_sigmoid(void **state)
{
    (void)state;
    int64_t wrong = 0;
    for (uint32_t u = dd_f32_bits(0x1p-26f); u <= dd_f32_bits(0x1p-20f); u++) {
        const float x = dd_f32_from_bits(u);
        wrong += sigmoid_on(x) != dd_logit_on(x);
    }
    assert_int_equal(wrong, 0);
    for (uint32_t u = 0; u < 0x7f800000; u += 9973) { /* elsewhere, both signs */
        const float x = dd_f32_from_bits(u);
        wrong += sigmoid_on(x) != dd_logit_on(x);
        wrong += sigmoid_on(-x) != dd_logit_on(-x);
    }
    assert_int_equal(wrong, 0);
    assert_false(dd_logit_on(DD_LOGIT_ON));
    assert_true(dd_logit_on(nextafterf(DD_LOGIT_ON, 1)));
    assert_false(dd_logit_on(NAN));
    assert_true(dd_logit_on(INFINITY));
    assert_false(dd_logit_on(-INFINITY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(every_f16),
        cmocka_unit_test(bf16_round_trip),
        cmocka_unit_test(bf16_rounding),
        cmocka_unit_test(nan_stays_nan),
        cmocka_unit_test(f16_rounding),
        cmocka_unit_test(tf32_rounding),
        cmocka_unit_test(rounded_as),
        cmocka_unit_test(finite_by_exponent_bits),
        cmocka_unit_test(threshold_equals_sigmoid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
