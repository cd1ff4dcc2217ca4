/* SPDX-License-Identifier: MIT
 * adaLN, router and patch embedding of the CPU backend, every instruction set that this machine has: against
 * the reference within derived bounds, and bit for bit where results must not depend on threads, rows or neighbours. */
#include "tests/unit/kernel_test.h"

/* ---- adaln ---- */

/* LayerNorm: 8 eps (|n| + max|x| rstd) per element covers mean, variance and the two subtractions; modulation
 * multiplies it by |1 + scale| and adds two roundings. */
static void adaln_case(int r, int s, int d, pattern how, int rows, uint64_t seed)
{
    rnd g = rnd_open(seed);
    const int n = r * s, live = rows < 0 ? n : rows, width = 2 * d + 6;
    buf x = buf_random(&g, (size_t)(n * d), how), t = buf_random(&g, (size_t)(2 * 3 * width), NORMAL);
    buf want = buf_open((size_t)(n * d)), dense = buf_open((size_t)(n * d));
    int32_t *idx = calloc((size_t)n, sizeof *idx), count = live, slot[3] = {0, 0, 1},
            row_cond[8] = {0, 2, 1, 0, 2, 1, 0, 2};
    assert_non_null(idx);
    for (int i = 0; i < live; i++) idx[i] = n - live + i;
    buf_keep(&x);
    buf_keep(&t);
    dd_adaln_args a = {.x = x.p,
                       .y = want.p,
                       .ldy = d,
                       .cond = {t.p, 3 * width, width, slot, row_cond},
                       .shift = 2,
                       .scale = d + 3,
                       .r = r,
                       .s = s,
                       .d = d};
    if (rows >= 0) a.rows = (dd_row_list){idx, &count};
    for (int k = 0; k < 4; k++) runners[k].step = 2;
    assert_int_equal(dd_ref_adaln(&runners[0].exec, &a), DD_OK);
    for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++) {
        buf y[4];
        for (int k = 0; k < 4; k++) {
            y[k] = buf_open((size_t)(n * d));
            a.y = y[k].p;
            assert_int_equal(dd_cpu_ops(isa)->adaln(&runners[k].exec, &a), DD_OK);
            assert_same_bits(y[0].p, y[k].p, y[k].n, "adaln threads");
        }
        for (int i = 0; i < live; i++) {
            const int row = rows < 0 ? i : idx[i];
            const float *cond = t.p + 3 * width + row_cond[row / s] * width;
            double mean = 0, var = 0, max = 0;
            for (int j = 0; j < d; j++) mean += x.p[row * d + j] / (double)d;
            for (int j = 0; j < d; j++) var += pow(x.p[row * d + j] - mean, 2) / d;
            for (int j = 0; j < d; j++) max = fmax(max, fabs((double)x.p[row * d + j]));
            const double rstd = 1 / sqrt(var + 1e-6);
            for (int j = 0; j < d; j++) {
                const double norm = (x.p[row * d + j] - mean) * rstd, up = fabs(1 + (double)cond[d + 3 + j]);
                const double bound = 8 * EPS * (fabs(norm) + max * rstd) * up +
                                     2 * EPS * (fabs(norm) * up + fabs((double)want.p[i * d + j]));
                assert_near((double)want.p[i * d + j], y[0].p[i * d + j], bound, "adaln", i * d + j);
            }
        }
        for (int64_t i = (int64_t)live * d; i < (int64_t)n * d; i++) assert_true(is_poison(y[0].p[i]));
        dd_adaln_args b = a;
        b.rows = (dd_row_list){0};
        b.y = dense.p;
        assert_int_equal(dd_cpu_ops(isa)->adaln(&runners[3].exec, &b), DD_OK);
        if (live) assert_same_bits(dense.p + (n - live) * d, y[0].p, (size_t)(live * d), "adaln gathered");
        for (int k = 0; k < 4; k++) buf_close(&y[k]);
    }
    for (int k = 0; k < 4; k++) runners[k].step = 0;
    free(idx);
    buf_close(&x);
    buf_close(&t);
    buf_close(&want);
    buf_close(&dense);
}

static void adaln_shapes(void **state)
{
    (void)state;
    static const int widths[] = {1, 8, 37, 72, 144, 192, 1152};
    uint64_t seed = 100;
    for (int d = 0; d < COUNT(widths); d++)
        for (int p = 0; p < N_PATTERNS; p++) {
            adaln_case(8, 5, widths[d], (pattern)p, -1, seed++);
            adaln_case(3, 7, widths[d], (pattern)p, (int)(seed % 22), seed);
        }
    adaln_case(2, 4, 64, NORMAL, 0, seed);
}

/* ---- route ---- */

static void route_case(int r, int s, int d, int j, pattern how, uint64_t seed)
{
    rnd g = rnd_open(seed);
    const int n = r * s;
    weight w = weight_pack(buf_random(&g, (size_t)(j * d), NORMAL), j, d, j);
    buf x = buf_random(&g, (size_t)(n * d), how), b1 = buf_random(&g, (size_t)j, NORMAL),
        w2 = buf_random(&g, (size_t)j, NORMAL);
    buf b2 = buf_random(&g, 1, NORMAL);
    uint8_t mask[4][700];
    int32_t idx[4][700], count[4], hits[4][700], kept[4][2];
    int unsure = 0;
    for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++) {
        memset(mask, 7, sizeof mask);
        memset(hits, 0, sizeof hits);
        memset(idx, 0xff, sizeof idx);
        for (int t = 0; t < 4; t++) {
            const dd_route_args a = {.x = x.p,
                                     .w1 = w.cpu,
                                     .b1 = b1.p,
                                     .w2 = w2.p,
                                     .b2 = b2.p,
                                     .idx = idx[t],
                                     .count = &count[t],
                                     .mask = mask[t],
                                     .kept = kept[t],
                                     .hits = hits[t],
                                     .r = r,
                                     .s = s,
                                     .d = d,
                                     .j = j};
            assert_int_equal(dd_cpu_ops(isa)->route(&runners[t].exec, &a), DD_OK);
            assert_int_equal(kept[t][0], count[t]);
            assert_memory_equal(mask[0], mask[t], (size_t)n);
        }
        int k = 0;
        for (int i = 0; i < n; i++) {
            /* hidden unit: (D + 3) eps (sum|x w| + |b1|); logit: that times |w2|, and (J + 3) eps of its own terms */
            double logit = b2.p[0], bound = EPS * fabs(logit);
            for (int u = 0; u < j; u++) {
                double h = b1.p[u], cond = fabs(h);
                for (int q = 0; q < d; q++) h += (double)x.p[i * d + q] * w.data.p[u * d + q];
                for (int q = 0; q < d; q++) cond += fabs((double)x.p[i * d + q] * w.data.p[u * d + q]);
                logit += h > 0 ? h * w2.p[u] : 0;
                bound += (d + 3 + j + 3) * EPS * cond * fabs((double)w2.p[u]);
            }
            if (fabs(logit - (double)DD_LOGIT_ON) <= bound) unsure++;
            else assert_int_equal(mask[0][i], logit > (double)DD_LOGIT_ON);
            assert_int_equal(hits[0][i], mask[0][i]);
            if (mask[0][i]) assert_int_equal(idx[0][k++], i);
        }
        assert_int_equal(count[0], k);
        if (how != MEAN100) assert_true(unsure <= n / 4);
    }
    weight_close(&w);
    buf_close(&x);
    buf_close(&b1);
    buf_close(&w2);
    buf_close(&b2);
}

static void route_shapes(void **state)
{
    (void)state;
    static const int dims[][2] = {{32, 2}, {192, 12}, {64, 8}, {1152, 72}, {100, 61}};
    uint64_t seed = 200;
    for (int i = 0; i < COUNT(dims); i++)
        for (int p = 0; p < N_PATTERNS; p++) {
            route_case(1, 1, dims[i][0], dims[i][1], (pattern)p, seed++);
            route_case(3, 27, dims[i][0], dims[i][1], (pattern)p, seed++);
        }
    route_case(7, 100, 64, 60, NORMAL, seed); /* items of 64 tokens, the largest */
}

/* ---- patch embedding ---- */

static void patch_embed_shapes(void **state)
{
    (void)state;
    static const int dims[][5] = {{1, 2, 4, 8, 2},  {2, 4, 3, 6, 3}, {3, 3, 1, 12, 4},
                                  {1, 1, 16, 4, 1}, {2, 2, 5, 2, 1}, {2, 4, 4, 32, 2}}; /* B R C size p */
    for (int i = 0; i < COUNT(dims); i++)
        for (int d = 24; d <= 72; d += 25) {
            rnd g = rnd_open((uint64_t)(300 + i));
            const int b = dims[i][0], r = dims[i][1], c = dims[i][2], size = dims[i][3], p = dims[i][4], k = c * p * p;
            const int s = size / p * (size / p);
            weight w = weight_pack(buf_random(&g, (size_t)(d * k), NORMAL), d, k, d);
            buf in = buf_random(&g, (size_t)(b * c * size * size), OUTLIERS), bias = buf_random(&g, (size_t)d, NORMAL);
            buf pos = buf_random(&g, (size_t)(s * d), NORMAL), want = buf_open((size_t)(r * s * d));
            dd_patch_embed_args a = {in.p, w.ref, bias.p, pos.p, want.p, b, r, c, size, p, d};
            assert_int_equal(dd_ref_patch_embed(&runners[0].exec, &a), DD_OK);
            double top = 0, wtop = 0;
            for (size_t q = 0; q < in.n; q++) top = fmax(top, fabs((double)in.p[q]));
            for (size_t q = 0; q < w.data.n; q++) wtop = fmax(wtop, fabs((double)w.data.p[q]));
            a.w = w.cpu;
            for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++)
                for (int t = 0; t < 4; t++) {
                    buf x = buf_open(want.n);
                    a.x = x.p;
                    assert_int_equal(dd_cpu_ops(isa)->patch_embed(&runners[t].exec, &a), DD_OK);
                    for (size_t q = 0; q < want.n;
                         q++) /* K products of at most top * wtop, bias and position at most 6 each */
                        assert_near((double)want.p[q], x.p[q], (k + 4) * EPS * (k * top * wtop + 12), "patch_embed",
                                    (int64_t)q);
                    buf_close(&x);
                }
            weight_close(&w);
            buf_close(&in);
            buf_close(&bias);
            buf_close(&pos);
            buf_close(&want);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adaln_shapes),
        cmocka_unit_test(route_shapes),
        cmocka_unit_test(patch_embed_shapes),
    };
    return cmocka_run_group_tests(tests, open_runners, close_runners);
}
