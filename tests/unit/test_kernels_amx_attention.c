/* SPDX-License-Identifier: MIT
 * Attention on the tiles of AMX: against the reference on the same bf16 inputs within a derived bound, and bit for bit
 * where results must not depend on threads, rows or other heads. Runs where the CPU has tiles, or emulated in
 * CONFIG=softisa. */
#include "tests/unit/amx_test.h"

typedef struct attention_case {
    int r, s, h, e, by_head, gap; /* gap: elements behind the 3E of a head */
    pattern how;
} attention_case;

/* Eps is that of one float32 rounding. A score sums E exact products as in test_kernels_amx.c: (steps of 32 + 17) eps
 * sum|q k|; the scale, the maximum times it and their difference add 6 roundings of at most as much. So a weight errs by
 * e^(2d), the maximum's error included, d = (E / 32 + 24) eps sum|q k| / sqrt(E); the polynomial adds 1.4e-4, of both
 * signs, and the numerator one rounding to bf16; numerator and denominator sum over the keys, in steps of 32, the
 * denominator then over 16 lanes: (S / 32 + 17) and (S / 32 + 6) eps. Division, product and the rounding of the result. */
static void compare(const dd_attention_args *g, int64_t heads, const float *want, const buf *got, const char *what)
{
    const int64_t s = g->s, e = g->e;
    const uint16_t *qkv = g->qkv;
    double *score = malloc((size_t)s * sizeof *score);
    assert_non_null(score);
    for (int64_t i = 0; i < g->r * s; i++)
        for (int64_t h = 0; h < heads; h++) {
            const uint16_t *q = qkv + i * g->ldq + h * g->ld_head, *first = qkv + i / s * s * g->ldq + h * g->ld_head;
            double most = 0, max = -HUGE_VAL, sum = 0;
            for (int64_t j = 0; j < s; j++) {
                const uint16_t *k = first + j * g->ldq + e;
                double cond = 0;
                score[j] = 0;
                for (int64_t x = 0; x < e; x++) {
                    const double y = (double)dd_bf16_to_f32(q[x]) * dd_bf16_to_f32(k[x]);
                    cond += fabs(y);
                    score[j] += y;
                }
                score[j] /= sqrt((double)e);
                most = cond > most ? cond : most;
                max = score[j] > max ? score[j] : max;
            }
            for (int64_t j = 0; j < s; j++) sum += score[j] = exp(score[j] - max);
            const double delta = ((double)(e + 31) / 32 + 24) * EPS * most / sqrt((double)e),
                         steps = (double)(s + 31) / 32;
            const double relative = expm1(4 * delta + 2.8e-4 + EPS_BF16 + (2 * steps + 26) * EPS);
            for (int64_t x = 0; x < e; x++) {
                double cond = 0;
                for (int64_t j = 0; j < s; j++)
                    cond += score[j] / sum * fabs((double)dd_bf16_to_f32(first[j * g->ldq + 2 * e + x]));
                const double w = (double)want[i * heads * e + h * e + x], b = relative * cond;
                const float y = dd_bf16_to_f32(bits(got)[dd_block_at(g->ldo, i, h * e + x)]);
                assert_near(w, y, b + EPS_BF16 * (fabs(w) + b) + 0x1p-100, what, i * g->ldo + h * e + x);
            }
        }
    free(score);
}

/* Zeros behind the last head up to a multiple of 32, nothing else written. */
static void assert_rest(const dd_attention_args *g, int64_t heads, const buf *got, const char *what)
{
    const int64_t width = heads * g->e, end = (width + 31) / 32 * 32, rows = (int64_t)g->r * g->s;
    for (int64_t row = 0; row < (rows + 31) / 32 * 32; row++)
        for (int64_t col = 0; col < g->ldo; col++) {
            const uint16_t x = bits(got)[dd_block_at(g->ldo, row, col)];
            if (row < rows && col < width) continue;
            if (x != (row < rows && col < end ? 0 : NAN_BF16))
                fail_msg("%s: row %lld column %lld holds %x", what, (long long)row, (long long)col, x);
        }
}

static void run_case(const attention_case *c, uint64_t seed)
{
    rnd g = rnd_open(seed);
    slices sl;
    char what[160];
    set_slices(&sl, &g, c->by_head, 3 * c->h * c->e, 3 * c->e);
    const int64_t heads = slices_width(&sl, 3 * c->h * c->e) / (3 * c->e), rows = (int64_t)c->r * c->s;
    const int64_t ld_head = 3 * c->e + c->gap, ldq = heads * ld_head,
                  ldo = (heads * c->e + 31) / 32 * 32 + (seed % 2 ? 32 : 0);
    buf qkv = half_open(rows, ldq, DD_FMT_BF16), want = buf_open((size_t)(rows * heads * c->e));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t x = 0; x < 3 * c->e; x++) {
                float y;
                fill(&g, &y, 1, c->how);
                bits(&qkv)[i * ldq + h * ld_head + x] = dd_f32_to_bf16(y);
            }
    buf_keep(&qkv);
    dd_attention_args a = {.qkv = qkv.p, .ldq = ldq, .ldo = heads * c->e, .ld_head = ld_head, .heads = sl.s};
    a.r = c->r, a.s = c->s, a.h = c->h, a.e = c->e;
    a.qkv_format = DD_FMT_BF16;
    a.out = want.p;
    assert_int_equal(dd_ref_attention(&runners[2].exec, &a), DD_OK);
    a.out_format = DD_FMT_BF16_BLOCKS;
    a.ldo = ldo;
    snprintf(what, sizeof what, "attention R%d S%d H%d E%d heads %d gap %d pattern %d seed %d", c->r, c->s, c->h, c->e,
             (int)heads, c->gap, c->how, (int)seed);
    buf out[4];
    for (int t = 0; t < 4; t++) {
        out[t] = half_open(rows, ldo, DD_FMT_BF16_BLOCKS);
        a.out = out[t].p;
        assert_int_equal(dd_cpu_ops(DD_ISA_AMX)->attention(&runners[t].exec, &a), DD_OK);
        assert_same_bits(out[0].p, out[t].p, out[0].n, what);
    }
    compare(&a, heads, want.p, &out[0], what);
    if (heads > 0) assert_rest(&a, heads, &out[0], what);
    for (int t = 0; t < 4; t++) buf_close(&out[t]);
    buf_close(&qkv);
    buf_close(&want);
}

static void every_shape(void **state)
{
    (void)state;
    if (!amx_here()) skip();
    static const int dims[] = {8, 16, 24, 32, 40, 64, 72, 128}, tokens[] = {1, 5, 15, 16, 17, 31, 32, 33, 64, 100};
    uint64_t seed = 1;
    for (int e = 0; e < COUNT(dims); e++)
        for (int s = 0; s < COUNT(tokens); s++) {
            const attention_case c = {
                2, tokens[s], 3, dims[e], SLICE_NULL, (int)(seed % 3) * 8, (pattern)(seed % N_PATTERNS)};
            run_case(&c, seed++);
        }
}

static void every_slicing(void **state)
{
    (void)state;
    if (!amx_here()) skip();
    uint64_t seed = 1000;
    for (int how = SLICE_NULL; how <= SLICE_RANDOM; how++)
        for (int e = 24; e <= 72; e += 48) {
            const attention_case c = {2, 45, 6, e, how, 32 - 3 * e % 32, NORMAL};
            run_case(&c, seed++);
        }
}

static void long_rows(void **state)
{
    (void)state;
    if (!amx_here()) skip();
    static const attention_case cases[] = {{1, 256, 1, 72, SLICE_NULL, 8, NORMAL},
                                           {1, 257, 2, 72, SLICE_NULL, 8, UNIFORM},
                                           {1, 1025, 1, 8, SLICE_NULL, 0, UNIFORM}};
    for (int i = 0; i < COUNT(cases); i++) run_case(&cases[i], (uint64_t)(2000 + i));
}

/* A (row, head) gives the same bits alone and in company. */
static void independent(void **state)
{
    (void)state;
    if (!amx_here()) skip();
    enum { R = 3, S = 37, H = 3, E = 40, LD = H * 128, LDO = 128 };
    rnd g = rnd_open(77);
    buf qkv = half_open(R * S, LD, DD_FMT_BF16), all = half_open(R * S, LDO, DD_FMT_BF16_BLOCKS);
    half_fill(&g, &qkv, DD_FMT_BF16, R * S, LD, LD, NORMAL);
    dd_attention_args a = {.qkv = qkv.p, .out = all.p, .qkv_format = DD_FMT_BF16, .out_format = DD_FMT_BF16_BLOCKS};
    a.ldq = LD, a.ldo = LDO, a.ld_head = 128, a.r = R, a.s = S, a.h = H, a.e = E;
    const dd_ops *ops = dd_cpu_ops(DD_ISA_AMX);
    assert_int_equal(ops->attention(&runners[2].exec, &a), DD_OK);
    for (int r = 0; r < R; r++)
        for (int h = 0; h < H; h++) {
            buf one = half_open(S, 64, DD_FMT_BF16_BLOCKS);
            dd_attention_args b = a;
            b.qkv = bits(&qkv) + r * S * LD + h * 128;
            b.out = one.p;
            b.ldo = 64, b.r = 1, b.h = 1;
            assert_int_equal(ops->attention(&runners[h].exec, &b), DD_OK);
            for (int i = 0; i < S; i++)
                for (int x = 0; x < E; x++)
                    assert_int_equal(bits(&all)[dd_block_at(LDO, r * S + i, h * E + x)],
                                     bits(&one)[dd_block_at(64, i, x)]);
            buf_close(&one);
        }
    dd_attention_args bad = a;
    bad.qkv_format = DD_FMT_BF16_BLOCKS;
    assert_int_equal(ops->attention(&runners[0].exec, &bad), DD_ERR_ARG);
    bad = a, bad.out_format = DD_FMT_F32;
    assert_int_equal(ops->attention(&runners[0].exec, &bad), DD_ERR_ARG);
    bad = a, bad.ldo = 100;
    assert_int_equal(ops->attention(&runners[0].exec, &bad), DD_ERR_ARG);
    bad = a, bad.ld_head = 3 * E - 8;
    assert_int_equal(ops->attention(&runners[0].exec, &bad), DD_ERR_ARG);
    buf_close(&qkv);
    buf_close(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape),
        cmocka_unit_test(every_slicing),
        cmocka_unit_test(long_rows),
        cmocka_unit_test(independent),
    };
    return cmocka_run_group_tests(tests, open_runners, close_runners);
}
