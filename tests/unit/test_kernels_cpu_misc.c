/* SPDX-License-Identifier: MIT
 * The rest of the CPU backend: small ops against the reference, accuracy of exp and GELU over a dense sweep, and
 * whether the stated scratch is enough. */
#define DD_VL 4
#include "kernels/cpu/cpu_vec.h"
#include "tests/unit/kernel_test.h"

/* ---- small ops: results of 0 to 3 threads are the same bits ---- */

static void cond_op(void **state)
{
    (void)state;
    enum { STEPS = 5, L = 3, D = 29, CLASSES = 4 };
    rnd g = rnd_open(1);
    buf temb = buf_random(&g, STEPS * D, NORMAL), emb = buf_random(&g, CLASSES * D, OUTLIERS),
        want = buf_open(4 * L * D);
    const int32_t labels[L] = {3, 0, 2};
    for (int step = 0; step < STEPS; step++) {
        dd_cond_args a = {temb.p, emb.p, labels, want.p, DD_FMT_F32, D, 4, STEPS, L, D};
        buf_poison(&want);
        for (int t = 0; t < 4; t++) runners[t].step = step;
        assert_int_equal(dd_ref_cond(&runners[0].exec, &a), DD_OK);
        for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++)
            for (int t = 0; t < 4; t++) {
                buf c = buf_open(want.n);
                a.c = c.p;
                assert_int_equal(dd_cpu_ops(isa)->cond(&runners[t].exec, &a), DD_OK);
                for (int i = 0; i < 4 * L * D; i++) {
                    if (i / (L * D) >= STEPS - step) {
                        assert_true(is_poison(c.p[i]));
                        continue;
                    }
                    const double z = (double)temb.p[(step + i / (L * D)) * D + i % D] +
                                     emb.p[labels[i / D % L] * D + i % D];
                    /* slope at most 1.1 times the rounding of z; exp, sum, division: 6 roundings */
                    assert_near((double)want.p[i], c.p[i],
                                1.1 * EPS * fabs(z) + 6 * EPS * fabs((double)want.p[i]) + 0x1p-126, "cond", i);
                }
                buf_close(&c);
            }
    }
    for (int t = 0; t < 4; t++) runners[t].step = 0;
    buf_close(&temb);
    buf_close(&emb);
    buf_close(&want);
}

static void unpatchify_op(void **state)
{
    (void)state;
    static const int dims[][4] = {{1, 1, 1, 1}, {3, 8, 16, 2}, {2, 2, 8, 4}, {2, 3, 9, 3}}; /* R co size p */
    for (int i = 0; i < COUNT(dims); i++) {
        rnd g = rnd_open((uint64_t)i);
        const size_t n = (size_t)(dims[i][0] * dims[i][1] * dims[i][2] * dims[i][2]);
        buf tokens = buf_random(&g, n, NORMAL), want = buf_open(n);
        dd_unpatchify_args a = {tokens.p, want.p, dims[i][0], dims[i][1], dims[i][2], dims[i][3]};
        assert_int_equal(dd_ref_unpatchify(&runners[0].exec, &a), DD_OK);
        for (int t = 0; t < 4; t++) {
            buf out = buf_open(n);
            a.out = out.p;
            assert_int_equal(dd_cpu_ops(DD_ISA_PORTABLE)->unpatchify(&runners[t].exec, &a), DD_OK);
            assert_same_bits(want.p, out.p, n, "unpatchify");
            buf_close(&out);
        }
        buf_close(&tokens);
        buf_close(&want);
    }
}

static void guide_op(void **state)
{
    (void)state;
    enum { B = 2, CO = 8, SIZE = 6, N = 2 * B * CO * SIZE * SIZE };
    for (int channels = 0; channels <= CO; channels += 4) {
        rnd g = rnd_open((uint64_t)channels);
        buf in = buf_random(&g, N, OUTLIERS), want = buf_clone(&in);
        dd_guide_args a = {want.p, 4.0f, B, CO, channels, SIZE};
        assert_int_equal(dd_ref_guide(&runners[0].exec, &a), DD_OK);
        for (int t = 0; t < 4; t++) {
            buf out = buf_clone(&in);
            a.out = out.p;
            assert_int_equal(dd_cpu_ops(DD_ISA_PORTABLE)->guide(&runners[t].exec, &a), DD_OK);
            for (int i = 0; i < N; i++) { /* difference, product, sum: one rounding each */
                const double c = in.p[i % (N / 2)], u = in.p[i % (N / 2) + N / 2];
                const bool guided = i / (SIZE * SIZE) % CO < channels;
                assert_near((double)want.p[i], out.p[i],
                            guided ? EPS * (8.1 * fabs(c - u) + 2 * fabs((double)want.p[i])) : 0, "guide", i);
            }
            buf_close(&out);
        }
        buf_close(&in);
        buf_close(&want);
    }
}

static void solve_case(dd_solver solver, int co, bool noisy, bool with_x0)
{
    enum { B = 3, C = 4, SIZE = 5, PLANE = SIZE * SIZE, N = B * C * PLANE };
    rnd g = rnd_open((uint64_t)((int)solver * 100 + co * 10 + noisy));
    buf x = buf_random(&g, N, NORMAL), out = buf_random(&g, (size_t)(B * co * PLANE), NORMAL),
        noise = buf_random(&g, N, NORMAL);
    const float coef[2][DD_COEF_COUNT] = {
        {0}, {1.5f, 1.1f, 0.3f, 0.7f, 0.2f, noisy ? (solver == DD_SOLVER_DDPM ? 1 : 0.4f) : 0, -5.0f, -3.5f}};
    buf want = buf_clone(&x), want0 = buf_open(N);
    dd_solve_args a = {solver, coef[0], want.p, out.p, noisy ? noise.p : NULL, want0.p, B, C, co, SIZE};
    for (int t = 0; t < 4; t++) runners[t].step = 1;
    assert_int_equal(dd_ref_solve(&runners[0].exec, &a), DD_OK);
    for (int t = 0; t < 4; t++) {
        buf y = buf_clone(&x), x0 = buf_open(N);
        a.x = y.p;
        a.x0 = with_x0 ? x0.p : NULL;
        assert_int_equal(dd_cpu_ops(DD_ISA_PORTABLE)->solve(&runners[t].exec, &a), DD_OK);
        for (int i = 0; i < N; i++) {
            const float eps = out.p[i / (C * PLANE) * co * PLANE + i % (C * PLANE)];
            /* at most 8 roundings of each term; |l| <= 10 carries 5 roundings into the exponent */
            const double terms = fabs(1.5 * (double)x.p[i]) + fabs(1.1 * (double)eps), z = fabs((double)noise.p[i]);
            const double bound = EPS * (8 * (terms + fabs((double)x.p[i]) + fabs((double)eps)) + 60 * z);
            assert_near((double)want.p[i], y.p[i], bound, "solve", i);
            if (with_x0) assert_near((double)want0.p[i], x0.p[i], 2 * EPS * terms, "x0", i);
            else assert_true(is_poison(x0.p[i]));
        }
        buf_close(&y);
        buf_close(&x0);
        runners[t].step = 0;
    }
    buf_close(&x);
    buf_close(&out);
    buf_close(&noise);
    buf_close(&want);
    buf_close(&want0);
}

static void solve_op(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++) solve_case(i & 1 ? DD_SOLVER_DDIM : DD_SOLVER_DDPM, i & 2 ? 4 : 8, i & 4, i & 8);
}

static void copy_op(void **state)
{
    (void)state;
    char src[] = "0123456789", dst[] = "xxxxxxxxxx";
    const dd_copy_args a = {dst + 1, src + 2, 7}, none = {NULL, NULL, 0};
    assert_int_equal(dd_cpu_ops(DD_ISA_PORTABLE)->copy(&runners[0].exec, &a), DD_OK);
    assert_string_equal(dst, "x2345678xx");
    assert_int_equal(dd_cpu_ops(DD_ISA_PORTABLE)->copy(&runners[0].exec, &none), DD_OK);
}

/* ---- functions ---- */

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

/* A 1 x 1 matrix (padded to 8 columns) of value 1: gemm gives gelu(x). Bound as in test_kernels_cpu.c; where e^z
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

/* dd_cpu_scratch_bytes is enough: a guard behind exactly that many bytes stays. */
static void scratch_is_enough(void **state)
{
    (void)state;
    static const int dims[][2] = {{1, 8}, {13, 24}, {100, 72}, {257, 128}, {40, 8}};
    rnd r = rnd_open(3);
    for (int i = 0; i < COUNT(dims); i++) {
        const int s = dims[i][0], e = dims[i][1];
        const size_t bytes = dd_cpu_scratch_bytes(s, e, 60);
        unsigned char *area = aligned_alloc(64, (bytes + 256) / 64 * 64);
        assert_non_null(area);
        memset(area + bytes, 0xa5, 64);
        void *scratch[] = {area};
        const dd_exec exec = {.step = &runners[0].step, .n_threads = 1, .scratch = scratch, .scratch_bytes = bytes};
        weight w = weight_pack(buf_random(&r, (size_t)(60 * e), NORMAL), 60, e, 60);
        buf x = buf_random(&r, (size_t)(600 * 3 * e), NORMAL), y = buf_open(600 * 60), o = buf_open((size_t)(s * e));
        int32_t idx[600], count;
        uint8_t mask[600];
        for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++) {
            const dd_ops *ops = dd_cpu_ops(isa);
            const dd_attention_args at = {
                .qkv = x.p, .out = o.p, .ldq = 3 * e, .ldo = e, .ld_head = 3 * e, .r = 1, .s = s, .h = 1, .e = e};
            const dd_gemm_args g = {.a = x.p, .w = w.cpu, .c = y.p, .lda = e, .ldc = 60, .m = 600};
            const dd_route_args ro = {.x = x.p,
                                      .w1 = w.cpu,
                                      .b1 = x.p,
                                      .w2 = x.p,
                                      .b2 = x.p,
                                      .idx = idx,
                                      .count = &count,
                                      .mask = mask,
                                      .r = 1,
                                      .s = 600,
                                      .d = e,
                                      .j = 60};
            assert_int_equal(ops->attention(&exec, &at), DD_OK);
            assert_int_equal(ops->gemm(&exec, &g), DD_OK);
            assert_int_equal(ops->route(&exec, &ro), DD_OK);
            for (int b = 0; b < 64; b++) assert_int_equal(area[bytes + (size_t)b], 0xa5);
        }
        free(area);
        weight_close(&w);
        buf_close(&x);
        buf_close(&y);
        buf_close(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cond_op),          cmocka_unit_test(unpatchify_op), cmocka_unit_test(guide_op),
        cmocka_unit_test(solve_op),         cmocka_unit_test(copy_op),       cmocka_unit_test(exp_sweep),
        cmocka_unit_test(exp_of_attention), cmocka_unit_test(gelu_sweep),    cmocka_unit_test(scratch_is_enough),
    };
    return cmocka_run_group_tests(tests, open_runners, close_runners);
}
