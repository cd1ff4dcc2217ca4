/* SPDX-License-Identifier: MIT
 * bf16 beside GEMM and attention: the instructions against their manual, packing, LayerNorm and conditioning against
 * their float32 results. */
#include "tests/unit/bf16_test.h"

/* ---- instructions ---- */

static float flushed(float x)
{
    const uint32_t u = dd_f32_bits(x);
    return u & 0x7f800000u ? x : dd_f32_from_bits(u & 0x80000000u);
}

/* A finite bf16: any, around 1, the smallest exponents, such that products are near them. */
static uint16_t some_bf16(rnd *r, int kind)
{
    const uint64_t x = rnd_bits(r), base[] = {0, 120, 0, 55}, span[] = {255, 16, 4, 16};
    return (uint16_t)((x & 0x807f) | (base[kind] + (x >> 32) % span[kind]) << 7);
}

static bool same_float(float a, float b) { return dd_f32_bits(a) == dd_f32_bits(b) || (isnan(a) && isnan(b)); }

/* The sums of AVX512-BF16: pairs ascending, odd element first, each one fused multiply-add without denormals. */
static void sums_follow_the_manual(void **state)
{
    (void)state;
    enum { M = 24, N = 32, K = 8 };
    if (!bf16_path(DD_ISA_AVX512BF16)) {
        print_message("this CPU has no AVX512-BF16\n");
        skip();
    }
    for (int kind = 0; kind < 4; kind++)
        for (int round = 0; round < 200; round++) {
            rnd r = rnd_open((uint64_t)(kind * 1000 + round));
            buf data = buf_open(N * K);
            for (int i = 0; i < N * K; i++) data.p[i] = dd_bf16_to_f32(some_bf16(&r, kind));
            weight w = weight_bf16_pack(data, N, K, N);
            mat a = mat_open(DD_FMT_BF16_BLOCKS, M, K, 0), c = mat_open(DD_FMT_F32, M, N, 0);
            for (int i = 0; i < M; i++)
                for (int k = 0; k < 32; k++) *mat_half(&a, i, k) = k < K ? some_bf16(&r, kind) : 0;
            const dd_gemm_args g = {
                .a = a.b.p, .w = w.cpu, .c = c.b.p, .a_format = a.format, .lda = a.ld, .ldc = N, .m = M};
            assert_int_equal(dd_cpu_ops(DD_ISA_AVX512BF16)->gemm(&runners[0].exec, &g), DD_OK);
            for (int i = 0; i < M; i++)
                for (int n = 0; n < N; n++) {
                    float sum = 0;
                    for (int k = 0; k < K; k++) /* 1, 0, 3, 2, ... */
                        sum = flushed(fmaf(flushed(mat_at(&a, i, k ^ 1)), flushed(w.data.p[n * K + (k ^ 1)]), sum));
                    if (!same_float(sum + 0.0f, mat_at(&c, i, n)))
                        fail_msg("kind %d: sum is %a, not %a", kind, (double)mat_at(&c, i, n), (double)sum);
                }
            weight_close(&w);
            mat_close(&a);
            mat_close(&c);
        }
}

/* Any float, through the bias, to bf16. */
static void rounding_follows_the_manual(void **state)
{
    (void)state;
    enum { N = 1 << 14 };
    bf16_or_skip();
    rnd r = rnd_open(7);
    buf zero = buf_open(N), bias = buf_open(N);
    memset(zero.p, 0, N * sizeof(float));
    for (int i = 0; i < N; i++) {
        uint32_t u = (uint32_t)rnd_bits(&r);
        if (i % 4 == 0) u = (u & 0xff7fffffu) ^ (u & 0x7f000000u); /* denormal and near */
        if (i % 4 == 1) u |= 0x7f800000u;                          /* NaN; infinity where the rest is zero */
        if (i % 4 == 2) u = (u & 0xffff0000u) | (0x7fffu + (uint32_t)(i / 4 % 3)); /* at ties */
        if (i % 64 == 1) u &= 0xff800000u;
        bias.p[i] = dd_f32_from_bits(u);
    }
    weight w = weight_bf16_pack(zero, N, 1, N);
    mat a = mat_random(&r, DD_FMT_BF16_BLOCKS, 1, 1, 0, NORMAL);
    FOR_BF16_PATHS(isa)
    {
        mat c = mat_open(DD_FMT_BF16_BLOCKS, 1, N, 0);
        const dd_gemm_args g = {.a = a.b.p,
                                .w = w.cpu,
                                .bias = bias.p,
                                .c = c.b.p,
                                .a_format = a.format,
                                .c_format = c.format,
                                .lda = a.ld,
                                .ldc = c.ld,
                                .m = 1};
        assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[0].exec, &g), DD_OK);
        for (int i = 0; i < N; i++) {
            const uint16_t want = dd_f32_to_bf16(flushed(bias.p[i] + 0.0f));
            if (want != *mat_half(&c, 0, i))
                fail_msg("%a became %04x, not %04x", (double)bias.p[i], *mat_half(&c, 0, i), want);
        }
        mat_close(&c);
    }
    weight_close(&w);
    buf_close(&bias);
    mat_close(&a);
}

/* ---- packing ---- */

/* Every type of source from an odd address, rows of units together, in pieces; then element by element. */
static void packed_layout(void **state)
{
    (void)state;
    static const int dims[][4] = {{216, 40, 72, 3}, {33, 35, 33, 1}, {64, 1, 64, 1}, {96, 70, 24, 3}, {8, 64, 8, 1}};
    for (int type = DD_F32; type <= DD_BF16; type++)
        for (int c = 0; c < COUNT(dims); c++) {
            rnd r = rnd_open((uint64_t)c);
            const int n = dims[c][0], k = dims[c][1], unit = dims[c][2], panels = (unit + 31) / 32,
                      pad = (k + 31) / 32 * 32;
            const size_t size = dd_dtype_bytes((dd_dtype)type);
            unsigned char *raw = malloc((size_t)(n * k) * size + 1);
            float *value = malloc((size_t)(n * k) * sizeof *value);
            assert_true(raw && value);
            for (int i = 0; i < n * k; i++) {
                float x = (float)rnd_normal(&r);
                uint16_t h = (uint16_t)(type == DD_F16 ? rnd_bits(&r) & 0xbbff : dd_f32_to_bf16(x));
                value[i] = type == DD_F32 ? x : type == DD_F16 ? dd_f16_to_f32(h) : dd_bf16_to_f32(h);
                memcpy(raw + 1 + (size_t)i * size, type == DD_F32 ? (void *)&x : (void *)&h, size);
            }
            const dd_weight_desc d = {.name = "w",
                                      .data = raw + 1,
                                      .dtype = (dd_dtype)type,
                                      .n = n,
                                      .k = k,
                                      .n_unit = unit,
                                      .parts = dims[c][3],
                                      .as = DD_BF16};
            const size_t bytes = dd_cpu_packed_bytes(&d);
            assert_int_equal(bytes, 64 + (size_t)(n / unit * panels * pad) * 64);
            unsigned char *storage = aligned_alloc(64, bytes);
            memset(storage, 0xff, bytes);
            dd_packed *w;
            assert_int_equal(dd_cpu_pack_begin(&d, storage, &w), DD_OK);
            assert_int_equal(dd_cpu_panels(w), n / unit * panels);
            for (int i = dd_cpu_panels(w); i-- > 0;) assert_int_equal(dd_cpu_pack_panels(w, &d, i, i + 1), DD_OK);
            for (int p = 0; p < dd_cpu_panels(w); p++)
                for (int x = 0; x < pad; x++)
                    for (int col = 0; col < 32; col++) {
                        const int in_unit = p % panels * 32 + col, row = p / panels * unit + in_unit;
                        const bool there = in_unit < unit && x < k;
                        const uint16_t want = there ? dd_f32_to_bf16(value[dd_weight_row(&d, row) * k + x]) : 0;
                        uint16_t got;
                        memcpy(&got,
                               storage + 64 +
                                   ((size_t)p * (size_t)pad * 32 + (size_t)((x / 2 * 32 + col) * 2 + x % 2)) * 2,
                               2);
                        assert_int_equal(got, want);
                    }
            free(raw);
            free(value);
            free(storage);
        }
}

static void refused(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0x7fffffff, 0x7f7fffff, 0xff7f8000};
    float data[16 * 3] = {0}, a[32 * 32] = {0}, c[32 * 32];
    _Alignas(64) unsigned char storage[64 + 2 * 32 * 32 * 2];
    dd_packed *w = NULL;
    const dd_weight_desc good = {.name = "w", .data = data, .n = 16, .k = 3, .n_unit = 8, .as = DD_BF16};
    for (int i = 0; i < 48; i++) {
        data[i] = dd_f32_from_bits(bad[i % COUNT(bad)]);
        assert_int_equal(dd_cpu_pack(&good, storage, &w), DD_ERR_FORMAT);
        data[i] = 0;
    }
    data[5] = dd_f32_from_bits(0x7f7f7fff); /* the largest that rounds to a finite value */
    assert_int_equal(dd_cpu_pack(&good, storage, &w), DD_OK);
    const dd_gemm_args g = {.a = a, .w = w, .c = c, .a_format = DD_FMT_BF16_BLOCKS, .lda = 32, .ldc = 16, .m = 2};
    for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++) {
        dd_gemm_args b = g;
        assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[0].exec, &b), dd_cpu_has_bf16(isa) ? DD_OK : DD_ERR_ARG);
        b.a_format = DD_FMT_F32; /* with a weight of bf16 */
        assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[0].exec, &b), DD_ERR_ARG);
    }
    FOR_BF16_PATHS(isa)
    {
        dd_gemm_args b = g;
        b.a_format = DD_FMT_BF16;
        assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[0].exec, &b), DD_ERR_ARG);
        b = g;
        b.lda = 40;
        assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[0].exec, &b), DD_ERR_ARG);
        b = g;
        b.c_unit = 4;
        assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[0].exec, &b), DD_ERR_ARG);
        b.c_unit = 16;
        assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[0].exec, &b), DD_ERR_ARG); /* 32 columns in 16 */
    }
}

/* ---- float32 results, rounded ---- */

static void adaln_and_cond_round(void **state)
{
    (void)state;
    bf16_or_skip();
    static const int widths[] = {1, 8, 15, 17, 31, 32, 33, 72, 1152, 1160};
    int32_t row_cond[3] = {1, 0, 1}, slot = 0, idx[] = {0, 2, 3, 9, 10, 20}, count = COUNT(idx), labels[] = {2, 0};
    for (int i = 0; i < COUNT(widths); i++)
        for (int list = 0; list < 2; list++) {
            const int d = widths[i], n = list ? count : 21;
            rnd r = rnd_open((uint64_t)(100 + i));
            buf x = buf_random(&r, (size_t)(21 * d), (pattern)(i % N_PATTERNS)),
                cond = buf_random(&r, (size_t)(4 * d), NORMAL);
            mat y = mat_open(DD_FMT_F32, n, d, 0), c = mat_open(DD_FMT_F32, 6, d, 0);
            dd_adaln_args a = {.x = x.p,
                               .y = y.b.p,
                               .ldy = d,
                               .cond = {cond.p, 0, 2 * d, &slot, row_cond},
                               .scale = d,
                               .r = 3,
                               .s = 7,
                               .d = d,
                               .eps = DD_LN_EPS};
            if (list) a.rows = (dd_row_list){idx, &count};
            dd_cond_args e = {.temb = x.p,
                              .emb = cond.p,
                              .labels = labels,
                              .c = c.b.p,
                              .ldc = d,
                              .slots = 3,
                              .steps = 9,
                              .n_cond = 2,
                              .d = d};
            assert_int_equal(dd_cpu_ops(DD_ISA_AVX512)->adaln(&runners[0].exec, &a), DD_OK);
            assert_int_equal(dd_cpu_ops(DD_ISA_AVX512)->cond(&runners[0].exec, &e), DD_OK);
            FOR_BF16_PATHS(isa)
            {
                mat yb = mat_open(DD_FMT_BF16_BLOCKS, n, d, 32), cb = mat_open(DD_FMT_BF16_BLOCKS, 6, d, 32);
                const mat y0 = yb, c0 = cb;
                mat ybefore = mat_clone(&y0), cbefore = mat_clone(&c0);
                a.y_format = e.c_format = DD_FMT_BF16_BLOCKS;
                a.y = yb.b.p;
                a.ldy = yb.ld;
                e.c = cb.b.p;
                e.ldc = cb.ld;
                assert_int_equal(dd_cpu_ops(isa)->adaln(&runners[3].exec, &a), DD_OK);
                assert_int_equal(dd_cpu_ops(isa)->cond(&runners[3].exec, &e), DD_OK);
                for (int row = 0; row < n; row++)
                    for (int j = 0; j < d; j++)
                        assert_int_equal(mat_bits(&yb, row, j), dd_f32_to_bf16(flushed(mat_at(&y, row, j))));
                for (int row = 0; row < 6; row++)
                    for (int j = 0; j < d; j++)
                        assert_int_equal(mat_bits(&cb, row, j), dd_f32_to_bf16(mat_at(&c, row, j)));
                mat_check_rest(&yb, &ybefore, d, "adaln");
                mat_check_rest(&cb, &cbefore, d, "cond");
                mat_close(&yb);
                mat_close(&cb);
                mat_close(&ybefore);
                mat_close(&cbefore);
            }
            buf_close(&x);
            buf_close(&cond);
            mat_close(&y);
            mat_close(&c);
        }
}

/* ---- NaN ---- */

/* A NaN in row 1 spoils row 1 everywhere and nothing else; one in v the column of its head. */
static void nan_spoils_its_row(void **state)
{
    (void)state;
    bf16_or_skip();
    enum { M = 10, N = 56, K = 24 };
    rnd r = rnd_open(9);
    weight w = weight_bf16_pack(buf_random(&r, N * K, NORMAL), N, K, N);
    mat a = mat_random(&r, DD_FMT_BF16_BLOCKS, M, K, 0, NORMAL), q = mat_random(&r, DD_FMT_BF16, M, K, 0, NORMAL);
    mat c = mat_open(DD_FMT_BF16_BLOCKS, M, N, 0), o = mat_open(DD_FMT_BF16_BLOCKS, M, 8, 0);
    mat_set(&a, 1, 5, NAN);
    FOR_BF16_PATHS(isa)
    {
        const dd_ops *ops = dd_cpu_ops(isa);
        for (int e = DD_EPI_BIAS; e <= DD_EPI_GELU; e++) {
            const dd_gemm_args g = {.a = a.b.p,
                                    .w = w.cpu,
                                    .c = c.b.p,
                                    .a_format = a.format,
                                    .c_format = c.format,
                                    .lda = a.ld,
                                    .ldc = c.ld,
                                    .m = M,
                                    .epilogue = (dd_epilogue)e};
            assert_int_equal(ops->gemm(&runners[0].exec, &g), DD_OK);
            for (int i = 0; i < M * N; i++) assert_int_equal(dd_f32_finite(mat_at(&c, i / N, i % N)), i / N != 1);
        }
        const dd_attention_args at = {.qkv = q.b.p,
                                      .out = o.b.p,
                                      .qkv_format = q.format,
                                      .out_format = o.format,
                                      .ldq = q.ld,
                                      .ldo = o.ld,
                                      .ld_head = K,
                                      .r = 1,
                                      .s = M,
                                      .h = 1,
                                      .e = 8};
        const float q_old = mat_at(&q, 1, 5), v_old = mat_at(&q, 1, 20);
        mat_set(&q, 1, 5, NAN);
        assert_int_equal(ops->attention(&runners[0].exec, &at), DD_OK);
        for (int i = 0; i < M * 8; i++) assert_int_equal(dd_f32_finite(mat_at(&o, i / 8, i % 8)), i / 8 != 1);
        mat_set(&q, 1, 5, q_old);
        mat_set(&q, 1, 20, NAN);
        assert_int_equal(ops->attention(&runners[0].exec, &at), DD_OK);
        for (int i = 0; i < M * 8; i++) assert_int_equal(dd_f32_finite(mat_at(&o, i / 8, i % 8)), i % 8 != 4);
        mat_set(&q, 1, 20, v_old);
    }
    weight_close(&w);
    mat_close(&a);
    mat_close(&q);
    mat_close(&c);
    mat_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_follow_the_manual), cmocka_unit_test(rounding_follows_the_manual),
        cmocka_unit_test(packed_layout),          cmocka_unit_test(refused),
        cmocka_unit_test(adaln_and_cond_round),   cmocka_unit_test(nan_spoils_its_row),
    };
    return cmocka_run_group_tests(tests, open_runners, close_runners);
}
