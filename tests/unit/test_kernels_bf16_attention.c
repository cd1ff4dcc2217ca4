/* SPDX-License-Identifier: MIT
 * Attention with bf16 inputs, every path that this machine has: against the reference on the same inputs within a derived
 * bound, and bit for bit on any number of threads. */
#include "tests/unit/bf16_test.h"

/* As in test_kernels_cpu_attention.c, scores err by d and weights by e^(2d). Then each weight is rounded to bf16 or
 * flushed, which costs numerators BF16_EPS sum p|v| and S TINY, and the result is rounded. */
static void attention_compare(const dd_attention_args *g, const mat *qkv, const mat *want, const mat *got,
                              int64_t heads, const char *what)
{
    const int64_t s = g->s, e = g->e;
    for (int64_t i = 0; i < g->r * s; i++)
        for (int64_t h = 0; h < heads; h++) {
            double delta = 0, vmax = 0;
            for (int64_t j = i / s * s; j < i / s * s + s; j++) {
                double cond = 0;
                for (int64_t x = h * g->ld_head; x < h * g->ld_head + e; x++) {
                    cond += fabs((double)mat_at(qkv, i, x) * mat_at(qkv, j, x + e));
                    vmax = fmax(vmax, fabs((double)mat_at(qkv, j, x + 2 * e)));
                }
                if (cond > delta) delta = cond;
            }
            delta = ((double)e + 4) * EPS * delta / sqrt((double)e) + (double)e * TINY;
            const double sums = expm1(4 * delta + 2 * (2 * (double)s + 16) * EPS) * vmax;
            const double b = sums + BF16_EPS * (vmax + sums) + ((double)s + 2) * TINY * (vmax + 2);
            for (int64_t x = h * e; x < (h + 1) * e; x++) {
                const double exact = (double)mat_at(want, i, x);
                assert_near(exact, mat_at(got, i, x), b + BF16_EPS * (fabs(exact) + b) + TINY, what, i * got->ld + x);
            }
        }
}

static void attention_case(int r, int s, int h, int e, slicing by_head, pattern how, uint64_t seed)
{
    rnd g = rnd_open(seed);
    slices sl;
    char what[160];
    slices_set(&sl, by_head, 3 * h * e, 3 * e);
    const int64_t heads = by_head == SLICE_NULL ? h : sl.list[3] * 8 / (3 * e), ld_head = (3 * e + 31) / 32 * 32;
    mat qkv = mat_random(&g, DD_FMT_BF16, r * s, heads * ld_head, 5, how);
    mat want = mat_open(DD_FMT_F32, r * s, heads * e, 0), out = mat_open(DD_FMT_BF16_BLOCKS, r * s, heads * e, 33);
    buf_keep(&qkv.b);
    dd_attention_args a = {.qkv = qkv.b.p,
                           .out = want.b.p,
                           .qkv_format = DD_FMT_BF16,
                           .ldq = qkv.ld,
                           .ldo = want.ld,
                           .ld_head = ld_head,
                           .heads = sl.s,
                           .r = r,
                           .s = s,
                           .h = h,
                           .e = e};
    assert_int_equal(dd_ref_attention(&runners[2].exec, &a), DD_OK);
    a.out_format = DD_FMT_BF16_BLOCKS;
    a.ldo = out.ld;
    FOR_BF16_PATHS(isa)
    {
        snprintf(what, sizeof what, "attention %s R%d S%d H%d E%d heads %d pattern %d seed %d", dd_cpu_isa_name(isa), r,
                 s, h, e, (int)heads, how, (int)seed);
        mat first = mat_clone(&out);
        a.out = first.b.p;
        assert_int_equal(dd_cpu_ops(isa)->attention(&runners[0].exec, &a), DD_OK);
        attention_compare(&a, &qkv, &want, &first, heads, what);
        mat_check_rest(&first, &out, heads * e, what);
        for (int t = 1; t < 4; t++) {
            mat again = mat_clone(&out);
            a.out = again.b.p;
            assert_int_equal(dd_cpu_ops(isa)->attention(&runners[t].exec, &a), DD_OK);
            for (int i = 0; i < r * s; i++)
                for (int64_t j = 0; j < heads * e; j++)
                    assert_int_equal(mat_bits(&first, i, j), mat_bits(&again, i, j));
            mat_close(&again);
        }
        mat_close(&first);
    }
    mat_close(&qkv);
    mat_close(&want);
    mat_close(&out);
}

static void attention_shapes(void **state)
{
    (void)state;
    static const int dims[] = {8, 16, 24, 32, 40, 72, 104, 128}, tokens[] = {1, 5, 16, 33, 64};
    bf16_or_skip();
    uint64_t seed = 1;
    for (int e = 0; e < COUNT(dims); e++)
        for (int s = 0; s < COUNT(tokens); s++)
            for (int p = 0; p < N_PATTERNS; p++)
                attention_case(2, tokens[s], 3, dims[e], SLICE_NULL, (pattern)p, seed++);
    for (int how = SLICE_NULL; how < N_SLICINGS; how++) attention_case(2, 11, 5, 24, (slicing)how, NORMAL, seed++);
    attention_case(1, 256, 1, 72, SLICE_NULL, NORMAL, seed++);
    attention_case(1, 1025, 1, 8, SLICE_NULL, UNIFORM, seed++);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(attention_shapes)};
    return cmocka_run_group_tests(tests, open_runners, close_runners);
}
