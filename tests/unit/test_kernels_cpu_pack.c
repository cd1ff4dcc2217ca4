/* SPDX-License-Identifier: MIT
 * CPU backend: packing of weights, and arguments that must be refused. */
#include "tests/unit/kernel_test.h"

static runner *const one = &runners[0]; /* serial */

/* The columns of W, read back through the GEMM with unit vectors. */
static void assert_columns(const dd_packed *w, const float *want, int n, int k, const char *what)
{
    buf a = buf_open((size_t)(k * k)), c = buf_open((size_t)(k * n));
    for (int i = 0; i < k * k; i++) a.p[i] = i / k == i % k;
    const dd_gemm_args g = {.a = a.p, .w = w, .c = c.p, .lda = k, .ldc = n, .m = k};
    for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++) {
        assert_int_equal(dd_cpu_ops(isa)->gemm(&one->exec, &g), DD_OK);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < k; j++)
                if (!(c.p[j * n + i] == want[i * k + j])) fail_msg("%s: weight [%d,%d] is wrong", what, i, j);
    }
    buf_close(&a);
    buf_close(&c);
}

static void widths_and_units(void **state)
{
    (void)state;
    static const int dims[][3] = {{1, 1, 1},      {7, 5, 7},     {8, 8, 8},      {56, 9, 56},
                                  {64, 17, 64},   {112, 16, 56}, {208, 20, 104}, {96, 33, 96},
                                  {100, 12, 100}, {144, 8, 72},  {49, 3, 49},    {97, 3, 97}};
    for (int i = 0; i < COUNT(dims); i++) {
        rnd g = rnd_open((uint64_t)i);
        const int n = dims[i][0], k = dims[i][1];
        weight w = weight_pack(buf_random(&g, (size_t)(n * k), NORMAL), n, k, dims[i][2]);
        buf_keep(&w.data);
        assert_columns(w.cpu, w.data.p, n, k, "float32");
        weight_close(&w);
    }
}

/* f16 and bf16, from an odd address, in pieces and in reverse order. */
static void types_and_pieces(void **state)
{
    (void)state;
    enum { N = 200, K = 21 };
    unsigned char raw[N * K * 2 + 1];
    float want[N * K];
    for (int type = DD_F16; type <= DD_BF16; type++) {
        for (int i = 0; i < N * K; i++) {
            const uint16_t h = (uint16_t)(type == DD_F16 ? (i * 37) & 0x7bff : 0x3f00 + i % 256);
            memcpy(raw + 1 + 2 * i, &h, 2);
            want[i] = type == DD_F16 ? dd_f16_to_f32(h) : dd_bf16_to_f32(h);
        }
        const dd_weight_desc d = {.name = "w", .data = raw + 1, .dtype = (dd_dtype)type, .n = N, .k = K, .n_unit = 40};
        const size_t bytes = dd_cpu_packed_bytes(&d), ref_bytes = dd_ref_packed_bytes(&d);
        void *whole = aligned_alloc(64, (bytes + 63) / 64 * 64), *pieces = aligned_alloc(64, (bytes + 63) / 64 * 64);
        void *ref = aligned_alloc(64, (ref_bytes + 63) / 64 * 64);
        dd_packed *a, *b;
        assert_int_equal(dd_cpu_pack(&d, whole, &a), DD_OK);
        assert_int_equal(dd_cpu_pack_begin(&d, pieces, &b), DD_OK);
        for (int i = dd_cpu_panels(b); i-- > 0;) assert_int_equal(dd_cpu_pack_panels(b, &d, i, i + 1), DD_OK);
        assert_int_equal(dd_cpu_pack_panels(b, &d, 2, dd_cpu_panels(b) + 1), DD_ERR_ARG);
        assert_memory_equal((char *)whole + 64, (char *)pieces + 64, bytes - 64);
        assert_columns(a, want, N, K, "16 bits");
        assert_int_equal(dd_ref_pack(&d, ref, &a), DD_OK);
        assert_memory_equal((char *)ref + 64, want, sizeof want);
        free(whole);
        free(pieces);
        free(ref);
    }
}

static void refused_weights(void **state)
{
    (void)state;
    float data[16 * 3] = {0};
    _Alignas(64) unsigned char storage[64 + 16 * 3 * 4];
    dd_packed *w = NULL;
    const dd_weight_desc good = {.name = "w", .data = data, .dtype = DD_F32, .n = 16, .k = 3, .n_unit = 8};
    dd_weight_desc d = good;
    static const uint32_t bad[] = {0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001};
    for (int i = 0; i < 48; i++) {
        data[i] = dd_f32_from_bits(bad[i % 4]);
        assert_int_equal(dd_cpu_pack(&good, storage, &w), DD_ERR_FORMAT);
        assert_int_equal(dd_ref_pack(&good, storage, &w), DD_ERR_FORMAT);
        data[i] = 0;
    }
    d.n_unit = 4; /* no multiple of a chunk */
    assert_int_equal(dd_cpu_packed_bytes(&d), 0);
    assert_int_equal(dd_cpu_pack(&d, storage, &w), DD_ERR_ARG);
    d.n_unit = 24;
    assert_int_equal(dd_cpu_pack(&d, storage, &w), DD_ERR_ARG);
    d = good;
    d.k = 0;
    assert_int_equal(dd_cpu_packed_bytes(&d) + dd_ref_packed_bytes(&d), 0);
    d.k = INT32_MAX;
    d.n = INT32_MAX - 7;
    (void)dd_cpu_packed_bytes(&d); /* no overflow under the sanitizer */
    d = good;
    d.dtype = DD_I32;
    assert_int_equal(dd_cpu_pack(&d, storage, &w), DD_ERR_UNSUPPORTED);
    assert_int_equal(dd_ref_pack(&d, storage, &w), DD_ERR_UNSUPPORTED);
    assert_null(w);
}

typedef dd_status gemm_fn(const dd_exec *, const dd_gemm_args *);

static void refused_by(gemm_fn *gemm, const dd_packed *w, const dd_packed *foreign)
{
    float a[2 * 16] = {0}, c[2 * 96] = {0};
    int32_t list[16] = {0}, offset = 0, idx[2] = {0, 1}, count = 2;
    const dd_gemm_args good = {.a = a, .w = w, .c = c, .lda = 16, .ldc = 96, .m = 2};
    dd_gemm_args g = good;
    assert_int_equal(gemm(&one->exec, &g), DD_OK);
    assert_int_equal(gemm(NULL, &g), DD_ERR_ARG);
    g.w = foreign;
    assert_int_equal(gemm(&one->exec, &g), DD_ERR_ARG);
    g = good;
    g.lda = 15;
    assert_int_equal(gemm(&one->exec, &g), DD_ERR_ARG);
    g = good;
    g.ldc = 95;
    assert_int_equal(gemm(&one->exec, &g), DD_ERR_ARG);
    g = good;
    g.epilogue = DD_EPI_RESIDUAL; /* without a gate */
    assert_int_equal(gemm(&one->exec, &g), DD_ERR_ARG);
    g = good;
    g.rows = (dd_row_list){idx, &count};
    for (count = -1; count <= 3; count++)
        assert_int_equal(gemm(&one->exec, &g), count >= 0 && count <= 2 ? DD_OK : DD_ERR_ARG);
    static const int32_t lists[][6] = {{4, 0, 1, 2, 3},
                                       {4, 4, 5, 6, 7},
                                       {0},
                                       {2, 0, 1},
                                       {4, 1, 2, 3, 4},
                                       {4, 0, 1, 2, 4},
                                       {4, 0, 0, 1, 2},
                                       {4, 3, 2, 1, 0},
                                       {4, 12, 13, 14, 15},
                                       {-1},
                                       {5, 0, 1, 2, 3, 4}};
    for (int i = 0; i < COUNT(lists); i++) {
        memset(list, 0, sizeof list);
        memcpy(list, lists[i], sizeof lists[i]);
        g = good;
        g.n = (dd_slices){list, &offset};
        assert_int_equal(gemm(&one->exec, &g), i < 3 ? DD_OK : DD_ERR_ARG);
    }
    static const int32_t runs[][3] = {{2, 0, 1}, {1, 1}, {0}, {2, 1, 0}, {1, 2}, {3, 0, 1}};
    for (int i = 0; i < COUNT(runs); i++) {
        memset(list, 0, sizeof list);
        memcpy(list, runs[i], sizeof runs[i]);
        g = good;
        g.k = (dd_slices){list, &offset};
        assert_int_equal(gemm(&one->exec, &g), i < 3 ? DD_OK : DD_ERR_ARG);
    }
}

static void refused_arguments(void **state)
{
    (void)state;
    rnd r = rnd_open(1);
    weight w = weight_pack(buf_random(&r, 96 * 16, NORMAL), 96, 16, 32); /* units of 4 chunks */
    refused_by(dd_ref_gemm, w.ref, w.cpu);
    for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++) {
        refused_by(dd_cpu_ops(isa)->gemm, w.cpu, w.ref);
        const size_t bytes = one->exec.scratch_bytes;
        float qkv[3 * 8 * 9] = {0}, out[8 * 9];
        dd_attention_args a = {
            .qkv = qkv, .out = out, .ldq = 24, .ldo = 8, .ld_head = 24, .r = 1, .s = 9, .h = 1, .e = 8};
        assert_int_equal(dd_cpu_ops(isa)->attention(&one->exec, &a), DD_OK);
        one->exec.scratch_bytes = 100;
        assert_int_equal(dd_cpu_ops(isa)->attention(&one->exec, &a), DD_ERR_ARG);
        one->exec.scratch_bytes = bytes;
        a.e = 12;
        assert_int_equal(dd_cpu_ops(isa)->attention(&one->exec, &a), DD_ERR_ARG);
        a.e = 136;
        assert_int_equal(dd_cpu_ops(isa)->attention(&one->exec, &a), DD_ERR_ARG);
        assert_non_null(dd_cpu_isa_name(isa));
    }
    assert_null(dd_cpu_ops(DD_ISA_COUNT));
    weight_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(widths_and_units),
        cmocka_unit_test(types_and_pieces),
        cmocka_unit_test(refused_weights),
        cmocka_unit_test(refused_arguments),
    };
    return cmocka_run_group_tests(tests, open_runners, close_runners);
}
