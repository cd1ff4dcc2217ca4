/* SPDX-License-Identifier: MIT
 * Attention of the CPU backend, every instruction set that this machine has: against the reference within a derived
 * bound, and bit for bit where results must not depend on threads, rows or other heads. */
#include "tests/unit/kernel_test.h"

/* A score q.k / sqrt(E) errs by at most d = (E + 4) eps sum|q k| / sqrt(E) (sum of E products, scale, maximum
 * subtracted), so each weight by e^(2d) at most, the maximum's error included; exponential, S additions of the sum, S
 * products with v and the division add (2S + 16) eps. Numerator and denominator both carry it: out errs by expm1(...)
 * sum p|v|. */
static void attention_compare(const dd_attention_args *g, int64_t heads, const float *want, const float *got,
                              const char *what)
{
    const int64_t s = g->s, e = g->e;
    for (int64_t i = 0; i < g->r * s; i++)
        for (int64_t h = 0; h < heads; h++) {
            const float *qkv = g->qkv, *q = qkv + i * g->ldq + h * g->ld_head,
                        *first = qkv + i / s * s * g->ldq + h * g->ld_head;
            double delta = 0, vmax = 0;
            for (int64_t j = 0; j < s; j++) {
                const float *k = first + j * g->ldq + e, *v = k + e;
                double cond = 0;
                for (int64_t x = 0; x < e; x++) cond += fabs((double)q[x] * k[x]);
                for (int64_t x = 0; x < e; x++) vmax = fabs((double)v[x]) > vmax ? fabs((double)v[x]) : vmax;
                if (cond > delta) delta = cond;
            }
            delta = ((double)e + 4) * EPS * delta / sqrt((double)e);
            const double bound = expm1(4 * delta + 2 * (2 * (double)s + 16) * EPS) * vmax;
            for (int64_t x = h * e; x < (h + 1) * e; x++)
                assert_near((double)want[i * g->ldo + x], got[i * g->ldo + x], bound, what, i * g->ldo + x);
        }
}

static void attention_case(int r, int s, int h, int e, slicing by_head, pattern how, uint64_t seed)
{
    rnd g = rnd_open(seed);
    slices sl;
    char what[160];
    slices_set(&sl, by_head, 3 * h * e, 3 * e);
    const int64_t heads = by_head == SLICE_NULL || by_head == SLICE_ALL ? h
                          : by_head == SLICE_NONE                       ? 0
                          : by_head == SLICE_ONE                        ? 1
                                                                        : (h + 1) / 2;
    const int64_t ld_head = 3 * e + (seed % 2 ? 0 : 8), ldq = heads * ld_head + 5, ldo = heads * e + 3;
    buf qkv = buf_random(&g, (size_t)(r * s * ldq), how), want = buf_open((size_t)(r * s * ldo));
    buf_keep(&qkv);
    dd_attention_args a = {.qkv = qkv.p,
                           .out = want.p,
                           .ldq = ldq,
                           .ldo = ldo,
                           .ld_head = ld_head,
                           .heads = sl.s,
                           .r = r,
                           .s = s,
                           .h = h,
                           .e = e};
    assert_int_equal(dd_ref_attention(&runners[2].exec, &a), DD_OK);
    for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++) {
        snprintf(what, sizeof what, "attention %s R%d S%d H%d E%d heads %d pattern %d seed %d", dd_cpu_isa_name(isa), r,
                 s, h, e, (int)heads, how, (int)seed);
        buf out[4];
        for (int t = 0; t < 4; t++) {
            out[t] = buf_open(want.n);
            a.out = out[t].p;
            assert_int_equal(dd_cpu_ops(isa)->attention(&runners[t].exec, &a), DD_OK);
            assert_same_bits(out[0].p, out[t].p, want.n, what);
        }
        attention_compare(&a, heads, want.p, out[0].p, what);
        for (size_t i = 0; i < want.n; i++)
            if ((int64_t)i % ldo >= heads * e) assert_true(is_poison(out[0].p[i]));
        for (int t = 0; t < 4; t++) buf_close(&out[t]);
    }
    buf_close(&qkv);
    buf_close(&want);
}

static void attention_shapes(void **state)
{
    (void)state;
    static const int dims[] = {8, 16, 32, 72, 128}, tokens[] = {1, 5, 16, 64};
    uint64_t seed = 1;
    for (int e = 0; e < COUNT(dims); e++)
        for (int s = 0; s < COUNT(tokens); s++)
            for (int p = 0; p < N_PATTERNS; p++)
                attention_case(2, tokens[s], 3, dims[e], SLICE_NULL, (pattern)p, seed++);
    for (int how = SLICE_NULL; how < N_SLICINGS; how++) attention_case(2, 11, 4, 24, (slicing)how, NORMAL, seed++);
    attention_case(1, 256, 1, 72, SLICE_NULL, NORMAL, seed++);
    attention_case(1, 1025, 1, 8, SLICE_NULL, UNIFORM, seed++);
}

/* A (row, head) gives the same bits alone and in company. */
static void attention_is_independent(void **state)
{
    (void)state;
    enum { R = 3, S = 21, H = 3, E = 40, LD = 3 * H * E };
    rnd g = rnd_open(77);
    buf qkv = buf_random(&g, R * S * LD, NORMAL), all = buf_open(R * S * H * E), one = buf_open(S * E),
        q1 = buf_open(S * 3 * E);
    for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++) {
        dd_attention_args a = {
            .qkv = qkv.p, .out = all.p, .ldq = LD, .ldo = H * E, .ld_head = 3 * E, .r = R, .s = S, .h = H, .e = E};
        assert_int_equal(dd_cpu_ops(isa)->attention(&runners[2].exec, &a), DD_OK);
        for (int r = 0; r < R; r++)
            for (int h = 0; h < H; h++) {
                for (int i = 0; i < S; i++)
                    for (int part = 0; part < 3; part++)
                        memcpy(q1.p + (i * 3 + part) * E, qkv.p + (r * S + i) * LD + (h * 3 + part) * E,
                               E * sizeof(float));
                dd_attention_args b = {.qkv = q1.p,
                                       .out = one.p,
                                       .ldq = 3 * E,
                                       .ldo = E,
                                       .ld_head = 3 * E,
                                       .r = 1,
                                       .s = S,
                                       .h = 1,
                                       .e = E};
                assert_int_equal(dd_cpu_ops(isa)->attention(&runners[h].exec, &b), DD_OK);
                for (int i = 0; i < S; i++)
                    assert_same_bits(all.p + (r * S + i) * H * E + h * E, one.p + i * E, E, "one head");
            }
    }
    buf_close(&qkv);
    buf_close(&all);
    buf_close(&one);
    buf_close(&q1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_shapes),
        cmocka_unit_test(attention_is_independent),
    };
    return cmocka_run_group_tests(tests, open_runners, close_runners);
}
