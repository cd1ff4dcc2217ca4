/* SPDX-License-Identifier: MIT
 * The sliced GEMM of the CPU backend, every instruction set that this machine has: against the reference within a
 * proven bound, and bit for bit where results must not depend on threads, rows or slices. */
#include "tests/unit/kernel_test.h"

typedef struct gemm_case {
    int m, n, k, unit;
    slicing by_n, by_k;
    dd_epilogue epilogue;
    int rows; /* -1 no list; else that many rows of the list are valid */
    pattern how;
} gemm_case;

typedef struct gemm_data {
    gemm_case c;
    weight w;
    buf a, bias, gate, out; /* out: what the result is written over */
    slices sn, sk;
    int32_t *idx, count, slot, row_cond[80];
    dd_gemm_args args;
    int64_t active_n, active_k;
} gemm_data;

#define TOKENS 9 /* of a row of the batch */

static void data_open(gemm_data *d, const gemm_case *c, uint64_t seed)
{
    rnd r = rnd_open(seed);
    memset(d, 0, sizeof *d);
    d->c = *c;
    d->w = weight_pack(buf_random(&r, (size_t)c->n * (size_t)c->k, NORMAL), c->n, c->k, c->unit);
    slices_set(&d->sn, c->by_n, c->n, c->unit);
    slices_set(&d->sk, c->by_k, c->k, 8);
    d->active_n = c->by_n == SLICE_NULL ? c->n : 8 * (int64_t)d->sn.list[3];
    d->active_k = c->by_k == SLICE_NULL ? c->k : 8 * (int64_t)d->sk.list[3];
    const int64_t lda = d->active_k + 3, ldc = d->active_n + 5;
    d->a = buf_random(&r, (size_t)(lda * c->m), c->how);
    d->bias = buf_random(&r, (size_t)c->n, NORMAL);
    d->gate = buf_random(&r, (size_t)(10 * (c->n + 7)), NORMAL);
    d->out = buf_open((size_t)(ldc * c->m));
    if (c->epilogue == DD_EPI_RESIDUAL) fill(&r, d->out.p, d->out.n, NORMAL);
    d->idx = calloc((size_t)c->m + 1, sizeof *d->idx);
    assert_non_null(d->idx);
    d->count = c->rows;
    for (int i = 0; i < c->rows; i++) d->idx[i] = c->m - c->rows + i - (i < c->rows / 2 && c->m > c->rows); /* a gap */
    for (int i = 0; i < 80; i++) d->row_cond[i] = i * 7 % 10;
    d->args = (dd_gemm_args){
        .a = d->a.p, .bias = d->bias.p, .lda = lda, .ldc = ldc, .m = c->m, .n = d->sn.s, .k = d->sk.s};
    if (c->rows >= 0) d->args.rows = (dd_row_list){d->idx, &d->count};
    d->args.epilogue = c->epilogue;
    d->args.gate = (dd_cond_table){d->gate.p, 0, c->n + 7, &d->slot, d->row_cond};
    d->args.gate_off = 4;
    d->args.s = TOKENS;
    buf_keep(&d->a);
    buf_keep(&d->bias);
    buf_keep(&d->gate);
    buf_keep(&d->w.data);
}

static void data_close(gemm_data *d)
{
    free(d->idx);
    weight_close(&d->w);
    buf_close(&d->a);
    buf_close(&d->bias);
    buf_close(&d->gate);
    buf_close(&d->out);
}

/* Bound of |cpu - exact|. A float32 sum of K products, each product and each addition rounded, errs by at most
 * gamma(K) sum|a w|, gamma(K) = K eps / (1 - K eps) (Higham, Accuracy and Stability, 3.1); the bias adds one rounding,
 * the reference's own result half an ulp, and (K + 3) eps >= gamma(K + 2) for K < 4000. GELU: slope at most 1.13; its
 * exponent z = 2 sqrt(2/pi) (x + 0.044715 x^3) carries 4 roundings, which e^z turns into a relative error; 8 more for
 * e^z, the sum and the division. Residual: two more roundings. */
static double bound_of(const gemm_data *d, int64_t item, int64_t n, double want, double old, double gate)
{
    double cond = fabs((double)d->bias.p[n]), sum = d->bias.p[n];
    for (int64_t k = 0; k < d->active_k; k++) {
        const int64_t col = d->c.by_k == SLICE_NULL ? k : d->sk.list[4 + k / 8] * 8 + k % 8;
        const double x = (double)d->a.p[item * d->args.lda + k] * d->w.data.p[n * d->c.k + col];
        cond += fabs(x);
        sum += x;
    }
    const double b = ((double)d->active_k + 3) * EPS * cond;
    const double z = 1.5957691216 * fabs(sum) * (1 + 0.044715 * sum * sum);
    switch (d->c.epilogue) {
    case DD_EPI_BIAS: return b;
    case DD_EPI_GELU: return 1.13 * b + EPS * (8 + 4 * (z < 110 ? z : 110)) * fabs(want) + 0x1p-126;
    case DD_EPI_RESIDUAL: break;
    }
    return fabs(gate) * b + 2 * EPS * (fabs(old) + fabs(want) + fabs(gate * sum));
}

static void compare(const gemm_data *d, const float *want, const float *got, const char *what)
{
    const int64_t ldc = d->args.ldc, live = d->c.rows >= 0 ? d->c.rows : d->c.m;
    bool *written = calloc(d->out.n + 1, sizeof *written);
    assert_non_null(written);
    for (int64_t i = 0; i < live; i++) {
        const bool residual = d->c.epilogue == DD_EPI_RESIDUAL;
        const int64_t row = residual && d->c.rows >= 0 ? d->idx[i] : i;
        for (int64_t j = 0; j < d->active_n; j++) {
            const int64_t n = d->c.by_n == SLICE_NULL ? j : d->sn.list[4 + j / 8] * 8 + j % 8, at = row * ldc + j;
            const double gate = residual ? (double)d->gate.p[d->row_cond[row / TOKENS] * (d->c.n + 7) + 4 + n] : 0;
            const double old = residual ? (double)d->out.p[at] : 0;
            assert_near((double)want[at], got[at], bound_of(d, i, n, (double)want[at], old, gate), what, at);
            written[at] = true;
        }
    }
    for (size_t i = 0; i < d->out.n; i++)
        if (!written[i] && dd_f32_bits(got[i]) != dd_f32_bits(d->out.p[i]))
            fail_msg("%s: element %zu was written", what, i);
    free(written);
}

/* One case: the reference, then every instruction set on 0 (no pool), 1, 2 and 3 threads. */
static void run_case(const gemm_case *c, uint64_t seed, runner r[4])
{
    gemm_data d;
    char what[160];
    data_open(&d, c, seed);
    buf want = buf_clone(&d.out);
    d.args.w = d.w.ref;
    d.args.c = want.p;
    assert_int_equal(dd_ref_gemm(&r[0].exec, &d.args), DD_OK);
    d.args.w = d.w.cpu;
    for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++) {
        snprintf(what, sizeof what, "gemm %s M%d N%d/%d K%d slices %d,%d epilogue %d rows %d pattern %d seed %d",
                 dd_cpu_isa_name(isa), c->m, c->n, c->unit, c->k, c->by_n, c->by_k, c->epilogue, c->rows, c->how,
                 (int)seed);
        buf first = buf_clone(&d.out);
        d.args.c = first.p;
        assert_int_equal(dd_cpu_ops(isa)->gemm(&r[0].exec, &d.args), DD_OK);
        buf_check(&first);
        compare(&d, want.p, first.p, what);
        for (int t = 1; t < 4; t++) {
            buf again = buf_clone(&d.out);
            d.args.c = again.p;
            assert_int_equal(dd_cpu_ops(isa)->gemm(&r[t].exec, &d.args), DD_OK);
            assert_same_bits(first.p, again.p, first.n, what);
            buf_close(&again);
        }
        buf_close(&first);
    }
    buf_close(&want);
    data_close(&d);
}

static const int row_counts[] = {1, 2, 7, 8, 9, 63, 65};
static const struct {
    int n, k, unit;
} shapes[] = {{8, 8, 8},      {24, 16, 24},  {64, 72, 16}, {96, 32, 32}, {216, 40, 72}, {104, 24, 104},
              {256, 64, 128}, {120, 24, 24}, {13, 12, 13}, {50, 30, 50}, {2, 96, 2}};

static void every_epilogue_and_shape(void **state)
{
    (void)state;
    uint64_t seed = 0;
    for (int s = 0; s < COUNT(shapes); s++)
        for (int m = 0; m < COUNT(row_counts); m++)
            for (int e = 0; e <= DD_EPI_RESIDUAL; e++) {
                const gemm_case c = {row_counts[m],  shapes[s].n, shapes[s].k,
                                     shapes[s].unit, SLICE_NULL,  SLICE_NULL,
                                     (dd_epilogue)e, -1,          (pattern)(seed % N_PATTERNS)};
                run_case(&c, seed++, runners);
            }
}

static void every_slicing(void **state)
{
    (void)state;
    uint64_t seed = 1000;
    for (int s = 2; s < 8; s++)
        for (int n = 0; n < N_SLICINGS; n++)
            for (int k = 0; k < N_SLICINGS; k++)
                for (int e = 0; e <= DD_EPI_RESIDUAL; e++) {
                    /* an unsliced weight (unit == n) allows all or nothing */
                    if (shapes[s].unit == shapes[s].n && (n == SLICE_ONE || n == SLICE_ALTERNATE)) continue;
                    const gemm_case c = {row_counts[seed % 7], shapes[s].n, shapes[s].k,
                                         shapes[s].unit,       (slicing)n,  (slicing)k,
                                         (dd_epilogue)e,       -1,          (pattern)(seed % N_PATTERNS)};
                    run_case(&c, seed++, runners);
                }
}

static void routed_rows(void **state)
{
    (void)state;
    uint64_t seed = 2000;
    static const int kept[][2] = {{9, 0}, {9, 1}, {9, 9}, {70, 0}, {70, 33}, {70, 70}, {65, 64}};
    for (int i = 0; i < COUNT(kept); i++)
        for (int e = 0; e <= DD_EPI_RESIDUAL; e++) {
            const gemm_case c = {kept[i][0],     96,         32,    32, SLICE_NULL, SLICE_ALTERNATE,
                                 (dd_epilogue)e, kept[i][1], NORMAL};
            run_case(&c, seed++, runners);
        }
}

static void long_sums_and_many_rows(void **state)
{
    (void)state;
    /* more than one chunk of 1152 along K, more than one block of 512 rows */
    static const gemm_case cases[] = {
        {17, 56, 2400, 56, SLICE_NULL, SLICE_NULL, DD_EPI_BIAS, -1, NORMAL},
        {9, 48, 2500, 48, SLICE_NULL, SLICE_NULL, DD_EPI_RESIDUAL, -1, OUTLIERS},
        {65, 40, 3000, 40, SLICE_NULL, SLICE_ALTERNATE, DD_EPI_BIAS, -1, UNIFORM},
        {600, 96, 16, 32, SLICE_ALTERNATE, SLICE_NULL, DD_EPI_GELU, -1, NORMAL},
        {1100, 64, 8, 64, SLICE_NULL, SLICE_NULL, DD_EPI_BIAS, 1027, NORMAL},
    };
    for (int i = 0; i < COUNT(cases); i++) run_case(&cases[i], (uint64_t)(3000 + i), runners);
}

static void run_gemm(gemm_data *d, dd_cpu_isa isa, int threads, const float *a, int64_t lda, int m, buf *out,
                     int64_t ldc)
{
    d->args.a = a;
    d->args.lda = lda;
    d->args.m = m;
    d->args.c = out->p;
    d->args.ldc = ldc;
    assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[threads].exec, &d->args), DD_OK);
}

/* A value does not depend on the rows beside it, nor on the other columns in force. */
static void independent_of_rows_and_columns(void **state)
{
    (void)state;
    for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++)
        for (int e = DD_EPI_BIAS; e <= DD_EPI_GELU; e++) {
            gemm_data d;
            const gemm_case c = {77, 216, 1216, 72, SLICE_NULL, SLICE_NULL, (dd_epilogue)e, -1, NORMAL};
            data_open(&d, &c, 4000);
            d.args.w = d.w.cpu;
            buf all = buf_open(77 * 216), some = buf_open(77 * 216);
            run_gemm(&d, isa, 2, d.a.p, 1219, 77, &all, 216);
            for (int first = 0; first < 77; first += 5)
                for (int m = 1; m <= 13 && first + m <= 77; m += 3) {
                    run_gemm(&d, isa, m % 4, d.a.p + first * 1219, 1219, m, &some, 216);
                    assert_same_bits(all.p + first * 216, some.p, (size_t)m * 216, "some rows");
                }
            for (int how = SLICE_ONE; how <= SLICE_ALL; how++) {
                slices_set(&d.sn, (slicing)how, 216, 72);
                d.args.n = d.sn.s;
                run_gemm(&d, isa, 3, d.a.p, 1219, 77, &some, 216);
                for (int i = 0; i < 77; i++)
                    for (int j = 0; j < d.sn.list[3]; j++)
                        assert_same_bits(all.p + i * 216 + d.sn.list[4 + j] * 8, some.p + i * 216 + j * 8, 8,
                                         "some columns");
            }
            buf_close(&all);
            buf_close(&some);
            data_close(&d);
        }
}

/* Leaving out chunks of K equals zeros in their place, bit for bit. */
static void sliced_equals_masked(void **state)
{
    (void)state;
    const int m = 70, n = 104, k = 2 * 1152 + 72;
    for (dd_cpu_isa isa = DD_ISA_PORTABLE; isa <= dd_cpu_detect(); isa++)
        for (int how = SLICE_NONE; how <= SLICE_ALL; how++) {
            gemm_data d;
            const gemm_case c = {m, n, k, n, SLICE_NULL, (slicing)how, DD_EPI_BIAS, -1, NORMAL};
            data_open(&d, &c, 5000);
            d.args.w = d.w.cpu;
            buf wide = buf_open((size_t)(m * k)), masked = buf_open((size_t)(m * n)),
                sliced = buf_open((size_t)(m * n));
            memset(wide.p, 0, wide.n * sizeof(float));
            for (int i = 0; i < m; i++)
                for (int64_t j = 0; j < d.active_k; j++)
                    wide.p[i * k + d.sk.list[4 + j / 8] * 8 + j % 8] = d.a.p[i * d.args.lda + j];
            run_gemm(&d, isa, 2, d.a.p, d.args.lda, m, &sliced, n);
            d.args.k = (dd_slices){0};
            run_gemm(&d, isa, 1, wide.p, k, m, &masked, n);
            assert_same_bits(masked.p, sliced.p, sliced.n, "sliced and masked");
            buf_close(&wide);
            buf_close(&masked);
            buf_close(&sliced);
            data_close(&d);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_epilogue_and_shape),
        cmocka_unit_test(every_slicing),
        cmocka_unit_test(routed_rows),
        cmocka_unit_test(long_sums_and_many_rows),
        cmocka_unit_test(independent_of_rows_and_columns),
        cmocka_unit_test(sliced_equals_masked),
    };
    return cmocka_run_group_tests(tests, open_runners, close_runners);
}
