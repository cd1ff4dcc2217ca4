/* SPDX-License-Identifier: MIT
 * The reference backend against small cases worked by hand. */
#include "tests/unit/kernel_test.h"

static runner *const one = &runners[0]; /* serial */

static void close_to(double want, float got) { assert_near(want, got, 4e-7 * (1 + fabs(want)), "ref", 0); }

/* w[n,k] = 100 n + k for 16 x 16, exact in float32. */
static weight counting(int64_t unit)
{
    buf b = buf_open(16 * 16);
    for (int i = 0; i < 256; i++) b.p[i] = (float)(100 * (i / 16) + i % 16);
    return weight_pack(b, 16, 16, unit);
}

static void gemm_bias_and_slices(void **state)
{
    (void)state;
    weight w = counting(8);
    float a[2 * 16], c[2 * 16], bias[16];
    for (int i = 0; i < 16; i++) {
        a[i] = i == 3;              /* row 0 picks k = 3 */
        a[16 + i] = i == 9 ? 2 : 0; /* row 1 doubles k = 9 */
        bias[i] = (float)i / 2;
    }
    dd_gemm_args g = {.a = a, .w = w.ref, .bias = bias, .c = c, .lda = 16, .ldc = 16, .m = 2};
    assert_int_equal(dd_ref_ops.gemm(&one->exec, &g), DD_OK);
    for (int n = 0; n < 16; n++) {
        close_to(100 * n + 3 + n / 2.0, c[n]);
        close_to(2 * (100 * n + 9) + n / 2.0, c[16 + n]);
    }
    /* the second half of N, compact; the second half of K, so that a's first column is k = 8 */
    const int32_t list[] = {1, 1}, offset = 0;
    g.n = g.k = (dd_slices){list, &offset};
    for (int i = 0; i < 32; i++) c[i] = -7;
    assert_int_equal(dd_ref_ops.gemm(&one->exec, &g), DD_OK);
    for (int n = 0; n < 8; n++) {
        close_to(100 * (n + 8) + 8 + 3 + (n + 8) / 2.0, c[n]);
        close_to((n + 8) / 2.0, c[16 + n]); /* k = 9 is column 1 now, where the row holds 0 */
        close_to(-7, c[8 + n]);
    }
    weight_close(&w);
}

static void gemm_gelu_and_residual(void **state)
{
    (void)state;
    weight w = counting(16);
    const float zero[16] = {0}, bias[16] = {0, 1, -1, 2, -2, 0.5f, -0.5f, 3};
    const double want[8] = {
        0, 0.8411919906, -0.1588080094, 1.9545977402, -0.0454022598, 0.3457140275, -0.1542859725, 2.9963627392};
    float c[3 * 16], gate[2 * 16];
    dd_gemm_args g = {
        .a = zero, .w = w.ref, .bias = bias, .c = c, .lda = 16, .ldc = 16, .m = 1, .epilogue = DD_EPI_GELU};
    assert_int_equal(dd_ref_ops.gemm(&one->exec, &g), DD_OK);
    for (int n = 0; n < 8; n++) close_to(want[n], c[n]);
    for (int i = 0; i < 48; i++) c[i] = 10;
    for (int i = 0; i < 32; i++) gate[i] = i < 16 ? 2 : 3;
    /* one kept row: token 2, which with 2 tokens to a row belongs to row 1, whose condition is 0 */
    const int32_t idx[] = {2}, count = 1, slot = 0, row_cond[] = {1, 0};
    g.epilogue = DD_EPI_RESIDUAL;
    g.rows = (dd_row_list){idx, &count};
    g.m = 3;
    g.gate = (dd_cond_table){gate, 0, 16, &slot, row_cond};
    g.s = 2;
    assert_int_equal(dd_ref_ops.gemm(&one->exec, &g), DD_OK);
    for (int i = 0; i < 48; i++) close_to(i < 32 ? 10 : 10 + 2 * (double)bias[i - 32], c[i]);
    weight_close(&w);
}

static void adaln_by_hand(void **state)
{
    (void)state;
    /* mean 2, variance 5; then a gathered row that is constant: LayerNorm gives 0 */
    const float x[] = {-1, 1, 3, 5, 8, 8, 8, 8}, table[] = {9, 1, 2, 3, 4, 0, 1, -1, 0.5f};
    const int32_t slot = 0, row_cond[] = {0, 0}, idx[] = {1}, count = 1;
    float y[8];
    dd_adaln_args a = {.x = x,
                       .y = y,
                       .ldy = 4,
                       .cond = {table, 0, 0, &slot, row_cond},
                       .shift = 1,
                       .scale = 5,
                       .r = 2,
                       .s = 1,
                       .d = 4,
                       .eps = 1e-6f};
    assert_int_equal(dd_ref_ops.adaln(&one->exec, &a), DD_OK);
    const double rstd = 1 / sqrt(5 + 1e-6);
    for (int i = 0; i < 4; i++) {
        close_to((x[i] - 2.0) * rstd * (1 + (double)table[5 + i]) + table[1 + i], y[i]);
        close_to(table[1 + i], y[4 + i]);
    }
    a.rows = (dd_row_list){idx, &count};
    y[4] = -5;
    assert_int_equal(dd_ref_ops.adaln(&one->exec, &a), DD_OK);
    for (int i = 0; i < 4; i++) close_to(table[1 + i], y[i]);
    close_to(-5, y[4]);
}

static void attention_by_hand(void **state)
{
    (void)state;
    enum { E = 8, H = 2 };
    float qkv[2][3 * H * E] = {{0}}, out[2][H * E];
    /* head 1: query 4 e0, keys 0 and ln 3 / 4 * sqrt(8) e0: weights 1/4 and 3/4; head 0: equal weights */
    qkv[0][3 * E] = qkv[1][3 * E] = 4;
    qkv[1][4 * E] = (float)(log(3) / 4 * sqrt(8));
    for (int i = 0; i < E; i++) {
        qkv[0][2 * E + i] = (float)i;
        qkv[1][2 * E + i] = 10;
        qkv[0][5 * E + i] = 4;
        qkv[1][5 * E + i] = (float)(8 * i);
    }
    dd_attention_args a = {
        .qkv = qkv[0], .out = out[0], .ldq = 3 * H * E, .ldo = H * E, .ld_head = 3 * E, .r = 1, .s = 2, .h = H, .e = E};
    assert_int_equal(dd_ref_ops.attention(&one->exec, &a), DD_OK);
    for (int t = 0; t < 2; t++)
        for (int i = 0; i < E; i++) {
            close_to((i + 10) / 2.0, out[t][i]);
            close_to(1 + 6 * i, out[t][E + i]);
        }
    /* one row of two instead of two rows of one: each token sees itself only */
    a.r = 2;
    a.s = 1;
    assert_int_equal(dd_ref_ops.attention(&one->exec, &a), DD_OK);
    for (int i = 0; i < E; i++) close_to(i, out[0][i]);
    for (int i = 0; i < E; i++) close_to(8 * i, out[1][E + i]);
}

static void route_by_hand(void **state)
{
    (void)state;
    buf b = buf_open(2 * 2);
    const float w1[] = {1, 0, 0, -1}; /* hidden: ReLU(x0), ReLU(-x1) */
    memcpy(b.p, w1, sizeof w1);
    weight w = weight_pack(b, 2, 2, 2);
    const float x[] = {1, 0, 0, -3, 2, 1, -4, 5}, b1[] = {0, 0}, w2[] = {2, -1}, b2[] = {-0x1.8p-24f};
    const uint8_t forced[] = {0, 5, 0, 1};
    int32_t idx[4] = {0}, count = -1, kept[2] = {-1, -1}, hits[4] = {1, 1, 1, 1};
    uint8_t mask[4] = {9, 9, 9, 9};
    dd_route_args a = {.x = x,
                       .w1 = w.ref,
                       .b1 = b1,
                       .w2 = w2,
                       .b2 = b2,
                       .idx = idx,
                       .count = &count,
                       .mask = mask,
                       .kept = kept,
                       .hits = hits,
                       .r = 2,
                       .s = 2,
                       .d = 2,
                       .j = 2};
    one->step = 1;
    assert_int_equal(dd_ref_ops.route(&one->exec, &a), DD_OK); /* logits about 2, -3, 4, 0 - */
    assert_true(count == 2 && kept[1] == 2 && kept[0] == -1 && idx[0] == 0 && idx[1] == 2);
    assert_true(mask[0] == 1 && mask[1] == 0 && mask[2] == 1 && mask[3] == 0);
    assert_true(hits[0] == 2 && hits[1] == 1 && hits[2] == 2 && hits[3] == 1);
    a.forced = forced;
    assert_int_equal(dd_ref_ops.route(&one->exec, &a), DD_OK);
    assert_true(count == 2 && idx[0] == 1 && idx[1] == 3 && mask[0] == 0 && mask[1] == 1 && mask[3] == 1);
    one->step = 0;
    weight_close(&w);
}

static void patches_there_and_back(void **state)
{
    (void)state;
    enum { C = 2, SIZE = 4, P = 2, S = 4, K = C * P * P };
    buf b = buf_open(K * K);
    for (int i = 0; i < K * K; i++) b.p[i] = i / K == i % K; /* W = I: a token is its patch */
    weight w = weight_pack(b, K, K, K);
    float image[C * SIZE * SIZE], bias[K] = {0}, pos[S * K], x[2 * S * K], tokens[S * K], back[C * SIZE * SIZE];
    for (int i = 0; i < COUNT(image); i++) image[i] = (float)i;
    for (int i = 0; i < S * K; i++) pos[i] = (float)(1000 * (i / K));
    bias[3] = 0.5f;
    const dd_patch_embed_args a = {image, w.ref, bias, pos, x, 1, 2, C, SIZE, P, K};
    assert_int_equal(dd_ref_ops.patch_embed(&one->exec, &a), DD_OK);
    for (int r = 0; r < 2; r++) { /* token 3 is the lower right patch: rows 2, 3 and columns 2, 3 */
        static const float want[K] = {10, 11, 14, 15.5f, 26, 27, 30, 31};
        for (int i = 0; i < K; i++) close_to(3000 + (double)want[i], x[(r * S + 3) * K + i]);
    }
    /* back: a token is ordered (row, column, channel) */
    for (int t = 0; t < S; t++)
        for (int i = 0; i < K; i++)
            tokens[t * K + i] = image[i % C * 16 + (t / 2 * 2 + i / C / 2) * 4 + t % 2 * 2 + i / C % 2];
    const dd_unpatchify_args u = {tokens, back, 1, C, SIZE, P};
    assert_int_equal(dd_ref_ops.unpatchify(&one->exec, &u), DD_OK);
    for (int i = 0; i < COUNT(image); i++) close_to((double)image[i], back[i]);
    weight_close(&w);
}

static void conditions_and_guidance(void **state)
{
    (void)state;
    const float temb[] = {1, 2, 3, 4}, emb[] = {0, 0, -1, -2, 5, 6};
    const int32_t labels[] = {2, 1};
    float c[8] = {0}, out[] = {1, 2, 3, 4, 11, 12, 13, 14};
    const dd_cond_args a = {temb, emb, labels, c, DD_FMT_F32, 2, 2, 2, 2, 2};
    one->step = 1; /* one step is left */
    c[4] = -9;
    assert_int_equal(dd_ref_ops.cond(&one->exec, &a), DD_OK);
    const double z[] = {8, 10, 2, 2};
    for (int i = 0; i < 4; i++) close_to(z[i] / (1 + exp(-z[i])), c[i]);
    close_to(-9, c[4]);
    one->step = 0;
    const dd_guide_args g = {out, 3, 1, 2, 1, 1}; /* one of two channels: u + 3 (c - u) = 11 - 30 */
    dd_guide_args two = g;
    two.co = 4;
    two.channels = 1;
    assert_int_equal(dd_ref_ops.guide(&one->exec, &two), DD_OK);
    close_to(-19, out[0]);
    close_to(-19, out[4]);
    for (int i = 1; i < 4; i++) assert_true(out[i] == (float)(i + 1) && out[4 + i] == (float)(i + 11));
}

static void solver_steps(void **state)
{
    (void)state;
    /* X 2, E 0.5, MX0 0.25, MXT 0.75, ME 0.1, SIGMA, LOG_MIN -4, LOG_MAX -2; one pixel, eps 3, v 0 (w = 1/2, l = -3) */
    float coef[DD_COEF_COUNT] = {2, 0.5f, 0.25f, 0.75f, 0.1f, 1, -4, -2}, x = 5, x0 = 0;
    const float out[] = {3, 0}, noise = -2;
    dd_solve_args a = {DD_SOLVER_DDPM, coef, &x, out, &noise, &x0, 1, 1, 2, 1, NULL, NULL, NULL};
    assert_int_equal(dd_ref_ops.solve(&one->exec, &a), DD_OK);
    close_to(8.5, x0);
    close_to(0.25 * 8.5 + 0.75 * 5 - 2 * exp(-1.5), x);
    x = 5;
    a.co = 1; /* no variance channels: l = LOG_MIN */
    assert_int_equal(dd_ref_ops.solve(&one->exec, &a), DD_OK);
    close_to(0.25 * 8.5 + 0.75 * 5 - 2 * exp(-2), x);
    x = 5;
    a.solver = DD_SOLVER_DDIM;
    coef[DD_COEF_SIGMA] = 0;
    a.noise = NULL;
    a.x0 = NULL;
    assert_int_equal(dd_ref_ops.solve(&one->exec, &a), DD_OK);
    close_to(0.25 * 8.5 + 0.1 * 3, x);
    coef[DD_COEF_SIGMA] = 1;
    assert_int_equal(dd_ref_ops.solve(&one->exec, &a), DD_ERR_ARG); /* noise is missing */
    char dst[4] = "abc";
    const dd_copy_args c = {dst, "xyz", 2};
    assert_int_equal(dd_ref_ops.copy(&one->exec, &c), DD_OK);
    assert_string_equal(dst, "xyc");
}

/* One pixel, eps 3, by hand: a first step, one with all that is kept, a last one. */
static void multistep_solver_steps(void **state)
{
    (void)state;
    float coef[DD_COEF_COUNT] = {2, 0.5f, 0.25f, 0.75f}, x = 5, m1 = NAN, m2 = NAN, y1 = NAN;
    const float out[] = {3, NAN}; /* no variance is read */
    dd_solve_args a = {DD_SOLVER_UNIPC, coef, &x, out, NULL, NULL, 1, 1, 2, 1, &m1, &m2, &y1};
    assert_int_equal(dd_ref_ops.solve(&one->exec, &a), DD_OK);
    close_to(0.25 * 8.5 + 0.75 * 5, x); /* x0 = 10 - 1.5 */
    assert_true(m1 == 8.5f && y1 == 5.0f);
    coef[DD_COEF_MX1] = -0.5f, coef[DD_COEF_CY] = 0.5f, coef[DD_COEF_C0] = 2, coef[DD_COEF_C1] = 4,
    coef[DD_COEF_C2] = 8;
    x = 1, m1 = 10, m2 = 20, y1 = 30; /* x0 = 0.5, y = 15 + 1 + 40 + 160 */
    assert_int_equal(dd_ref_ops.solve(&one->exec, &a), DD_OK);
    close_to(0.25 * 0.5 + 0.75 * 216 - 0.5 * 10, x);
    assert_true(m1 == 0.5f && m2 == 10.0f && y1 == 216.0f);
    a.solver = DD_SOLVER_DPMPP2M, a.x0_2 = NULL, a.y_1 = NULL, coef[DD_COEF_CY] = 0;
    x = 1, m1 = 10;
    assert_int_equal(dd_ref_ops.solve(&one->exec, &a), DD_OK);
    close_to(0.25 * 0.5 + 0.75 * 1 - 0.5 * 10, x);
    assert_true(m1 == 0.5f);
    a.x0_1 = NULL;
    assert_int_equal(dd_ref_ops.solve(&one->exec, &a), DD_ERR_ARG);
}

static void packed_rows(void **state)
{
    (void)state;
    static const int64_t descs[][3] = {
        {48, 16, 2}, {216, 72, 3}, {24, 24, 3}, {24, 8, 1}, {5, 5, 0}}; /* n, unit, parts */
    for (size_t d = 0; d < sizeof descs / sizeof descs[0]; d++) {
        const dd_weight_desc w = {.n = descs[d][0], .k = 1, .n_unit = descs[d][1], .parts = descs[d][2]};
        for (int64_t i = 0; i < w.n; i++) assert_int_equal(dd_weight_packed_row(&w, dd_weight_row(&w, i)), i);
    }
    const dd_weight_desc w = {.n = 48, .k = 1, .n_unit = 16, .parts = 2}; /* 8 rows of each part in a unit */
    assert_int_equal(dd_weight_packed_row(&w, 7), 7);
    assert_int_equal(dd_weight_packed_row(&w, 8), 16);
    assert_int_equal(dd_weight_packed_row(&w, 24), 8);
    assert_int_equal(dd_weight_packed_row(&w, 47), 47);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_bias_and_slices),    cmocka_unit_test(gemm_gelu_and_residual),
        cmocka_unit_test(adaln_by_hand),           cmocka_unit_test(attention_by_hand),
        cmocka_unit_test(route_by_hand),           cmocka_unit_test(patches_there_and_back),
        cmocka_unit_test(conditions_and_guidance), cmocka_unit_test(solver_steps),
        cmocka_unit_test(multistep_solver_steps),  cmocka_unit_test(packed_rows),
    };
    return cmocka_run_group_tests(tests, open_runners, close_runners);
}
