/* SPDX-License-Identifier: MIT
 * Accuracy of exp and GELU of the CPU backend over a dense sweep. The ops themselves are tested by checkkernel. */
#define DD_VL 4
#include "kernels/cpu/cpu_vec.h"
#include "tests/unit/kernel_test.h"

/* The only op that may get no buffers at all. */
static void copy_of_nothing(void **state)
{
    (void)state;
    const dd_copy_args none = {NULL, NULL, 0};
    assert_int_equal(dd_ref_copy(&runners[0].exec, &none), DD_OK);
    assert_int_equal(dd_cpu_ops(DD_ISA_PORTABLE)->copy(&runners[0].exec, &none), DD_OK);
}

static float exp_of(float x)
{
    float t[4];
    vstore(t, vexp(vsplat(x)));
    for (int i = 1; i < 4; i++) assert_int_equal(dd_f32_bits(t[i]), dd_f32_bits(t[0]));
    return t[0];
}

/* The portable exponential, everywhere; the others are seen through attention and GELU below. */
static void exp_sweep(void **state)
{
    (void)state;
    for (double x = -103; x < 88.7; x += 1.0 / 4096) {
        const double want = exp((double)(float)x);
        assert_near(want, exp_of((float)x), 4 * EPS * want + 0x1p-149, "exp", (int64_t)(x * 4096)); /* 2 ulp */
    }
    assert_true(exp_of(0) == 1.0f && exp_of(-0.0f) == 1.0f && exp_of(-1e30f) == 0 && exp_of(-INFINITY) == 0);
    assert_int_equal(dd_f32_bits(exp_of(INFINITY)), 0x7f800000);
    assert_int_equal(dd_f32_bits(exp_of(1e30f)), 0x7f800000);
    static const uint32_t nans[] = {0x7fc00000, 0xffc00000, 0x7fffffff, 0xffc00001, 0x7f800001};
    for (int i = 0; i < COUNT(nans); i++)
        assert_true((dd_f32_bits(exp_of(dd_f32_from_bits(nans[i]))) & 0x7fffffff) > 0x7f800000);
}

/* Two keys, scores 0 and x: out = e^x / (1 + e^x). Exact until the exponential; then sum, reciprocal, product. */
static void exp_of_attention(void **state)
{
    (void)state;
    enum { E = 16 }; /* 1 / sqrt(E) is exact */
    for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++)
        for (double v = -87; v < 0; v += 1.0 / 64) {
            float qkv[2][3 * E] = {{0}}, out[2][E];
            const float x = (float)v;
            qkv[0][0] = 4;     /* q of token 0 */
            qkv[1][E] = x;     /* k of token 1 */
            qkv[1][2 * E] = 1; /* v of token 1 */
            const dd_attention_args a = {
                .qkv = qkv[0], .out = out[0], .ldq = 3 * E, .ldo = E, .ld_head = 3 * E, .r = 1, .s = 2, .h = 1, .e = E};
            assert_int_equal(dd_cpu_ops(isa)->attention(&runners[0].exec, &a), DD_OK);
            const double e = exp((double)x), want = e / (1 + e);
            assert_near(want, out[0][0], 7 * EPS * want + 0x1p-126, dd_cpu_isa_name(isa),
                        (int64_t)(v * 64)); /* 2 ulp and 3 roundings */
        }
}

/* x/2 (1 + tanh u) = x / (1 + e^(-2u)), which does not cancel. */
static double gelu_of(double x) { return x / (1 + exp(-1.59576912160573071176 * (x + 0.044715 * x * x * x))); }

/* A 1 x 1 matrix (padded to 8 columns) of value 1: gemm gives gelu(x). Bound as in tests/checkkernel/check_gemm.c; where e^z
 * overflows, results below 11 * 2^-128 become 0. */
static void gelu_sweep(void **state)
{
    (void)state;
    enum { N = 40001 };
    buf one = buf_open(1), x = buf_open(N), y = buf_open(N);
    one.p[0] = 1;
    weight w = weight_pack(one, 1, 1, 1);
    for (int i = 0; i < N; i++) x.p[i] = (float)(i - N / 2) / 1024;
    x.p[0] = -1e30f;
    x.p[N - 1] = 1e30f;
    for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++) {
        const dd_gemm_args a = {.a = x.p, .w = w.cpu, .c = y.p, .lda = 1, .ldc = 1, .m = N, .epilogue = DD_EPI_GELU};
        assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[2].exec, &a), DD_OK);
        for (int i = 1; i < N - 1; i++) {
            const double v = x.p[i], z = 1.5957691216 * fabs(v) * (1 + 0.044715 * v * v), want = gelu_of(v);
            assert_near(want, y.p[i], EPS * (8 + 4 * z) * fabs(want) + 0x1p-124, dd_cpu_isa_name(isa), i);
        }
        assert_true(y.p[0] == 0 && y.p[N - 1] == 1e30f);
    }
    weight_close(&w);
    buf_close(&x);
    buf_close(&y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_of_nothing),
        cmocka_unit_test(exp_sweep),
        cmocka_unit_test(exp_of_attention),
        cmocka_unit_test(gelu_sweep),
    };
    return cmocka_run_group_tests(tests, open_runners, close_runners);
}
