/* SPDX-License-Identifier: MIT
 * GEMM with bf16 inputs, every path that this machine has: against the reference on the same inputs within a proven
 * bound, and bit for bit where results must not depend on threads, rows or slices. */
#include "tests/unit/bf16_test.h"

#define TOKENS 9 /* of a row of the batch */

typedef struct gemm_case {
    int m, n, k, unit;
    slicing by_n, by_k;
    dd_epilogue epilogue;
    dd_format c_format;
    int gap;  /* columns of c between units */
    int rows; /* -1 no list; else that many rows of the list are valid */
    pattern how;
} gemm_case;

typedef struct gemm_data {
    gemm_case c;
    weight w;
    mat a, out; /* out: what the result is written over */
    buf bias, gate;
    slices sn, sk;
    int32_t *idx, count, slot, row_cond[80];
    dd_gemm_args args;
    int64_t active_n, active_k, width; /* width of the result */
} gemm_data;

static void data_open(gemm_data *d, const gemm_case *c, uint64_t seed)
{
    rnd r = rnd_open(seed);
    memset(d, 0, sizeof *d);
    d->c = *c;
    d->w = weight_bf16_pack(buf_random(&r, (size_t)c->n * (size_t)c->k, NORMAL), c->n, c->k, c->unit);
    slices_set(&d->sn, c->by_n, c->n, c->unit);
    slices_set(&d->sk, c->by_k, c->k, 8);
    d->active_n = c->by_n == SLICE_NULL ? c->n : 8 * (int64_t)d->sn.list[3];
    d->active_k = c->by_k == SLICE_NULL ? c->k : 8 * (int64_t)d->sk.list[3];
    d->width = c->gap ? d->active_n / c->unit * (c->unit + c->gap) : d->active_n;
    d->a = mat_random(&r, DD_FMT_BF16_BLOCKS, c->m, d->active_k, 3, c->how);
    d->out = c->epilogue == DD_EPI_RESIDUAL ? mat_random(&r, DD_FMT_F32, c->m, d->width, 5, NORMAL)
                                            : mat_open(c->c_format, c->m, d->width, 5);
    d->bias = buf_random(&r, (size_t)c->n, NORMAL);
    d->gate = buf_random(&r, (size_t)(10 * (c->n + 7)), NORMAL);
    d->idx = calloc((size_t)c->m + 1, sizeof *d->idx);
    assert_non_null(d->idx);
    d->count = c->rows;
    for (int i = 0; i < c->rows; i++) d->idx[i] = c->m - c->rows + i - (i < c->rows / 2 && c->m > c->rows); /* a gap */
    for (int i = 0; i < 80; i++) d->row_cond[i] = i * 7 % 10;
    d->args = (dd_gemm_args){.a = d->a.b.p,
                             .bias = d->bias.p,
                             .a_format = DD_FMT_BF16_BLOCKS,
                             .c_format = d->out.format,
                             .lda = d->a.ld,
                             .ldc = d->out.ld,
                             .c_unit = c->gap ? c->unit + c->gap : 0,
                             .m = c->m,
                             .n = d->sn.s,
                             .k = d->sk.s,
                             .epilogue = c->epilogue,
                             .gate_off = 4,
                             .s = TOKENS};
    if (c->rows >= 0) d->args.rows = (dd_row_list){d->idx, &d->count};
    d->args.gate = (dd_cond_table){d->gate.p, 0, c->n + 7, &d->slot, d->row_cond};
    buf_keep(&d->a.b);
    buf_keep(&d->bias);
    buf_keep(&d->gate);
    buf_keep(&d->w.data);
}

static void data_close(gemm_data *d)
{
    free(d->idx);
    weight_close(&d->w);
    mat_close(&d->a);
    mat_close(&d->out);
    buf_close(&d->bias);
    buf_close(&d->gate);
}

/* Bound of |cpu - exact|, see test_kernels_cpu.c: products of bf16 are exact in float32, so each of the K of them costs
 * one rounding, in any order of summation at most gamma(K) sum|a w|; bias one more. What is denormal counts as zero: a
 * lost operand costs TINY times the other, a lost sum TINY. GELU and residual as there. A result in bf16 is rounded once
 * more, or flushed. */
static double bound_of(const gemm_data *d, int64_t item, int64_t n, double want, double old, double gate)
{
    double cond = fabs((double)d->bias.p[n]), sum = d->bias.p[n], tiny = 2 * (double)d->active_k;
    for (int64_t k = 0; k < d->active_k; k++) {
        const int64_t col = d->c.by_k == SLICE_NULL ? k : d->sk.list[4 + k / 8] * 8 + k % 8;
        const double a = mat_at(&d->a, item, k), w = d->w.data.p[n * d->c.k + col];
        cond += fabs(a * w);
        sum += a * w;
        tiny += fabs(a) + fabs(w);
    }
    double b = ((double)d->active_k + 3) * EPS * cond + TINY * tiny;
    const double z = 1.5957691216 * fabs(sum) * (1 + 0.044715 * sum * sum);
    switch (d->c.epilogue) {
    case DD_EPI_BIAS: break;
    case DD_EPI_GELU: b = 1.13 * b + EPS * (8 + 4 * (z < 110 ? z : 110)) * fabs(want) + TINY; break;
    case DD_EPI_RESIDUAL: return fabs(gate) * b + 2 * EPS * (fabs(old) + fabs(want) + fabs(gate * sum));
    }
    return d->out.format == DD_FMT_F32 ? b : b + BF16_EPS * (fabs(want) + b) + TINY;
}

/* Column of c where the j-th active column of W goes. */
static int64_t column(const gemm_data *d, int64_t j) { return j / d->c.unit * (d->c.unit + d->c.gap) + j % d->c.unit; }

/* want: the reference's result in float32. */
static void compare(const gemm_data *d, const mat *want, const mat *got, const char *what)
{
    const bool residual = d->c.epilogue == DD_EPI_RESIDUAL;
    const int64_t live = d->c.rows >= 0 ? d->c.rows : d->c.m;
    mat seen = mat_clone(got); /* what was checked becomes what was there before */
    for (int64_t i = 0; i < live; i++) {
        const int64_t row = residual && d->c.rows >= 0 ? d->idx[i] : i;
        for (int64_t j = 0; j < d->active_n; j++) {
            const int64_t n = d->c.by_n == SLICE_NULL ? j : d->sn.list[4 + j / 8] * 8 + j % 8, at = column(d, j);
            const double gate = residual ? (double)d->gate.p[d->row_cond[row / TOKENS] * (d->c.n + 7) + 4 + n] : 0;
            const double old = residual ? (double)mat_at(&d->out, row, at) : 0, exact = (double)mat_at(want, row, at);
            assert_near(exact, mat_at(got, row, at), bound_of(d, i, n, exact, old, gate), what, row * got->ld + at);
            if (got->format == DD_FMT_F32) mat_set(&seen, row, at, mat_at(&d->out, row, at));
            else *mat_half(&seen, row, at) = *mat_half(&d->out, row, at);
        }
    }
    seen.rows = live;
    if (!residual) mat_check_rest(&seen, &d->out, d->width, what);
    seen.rows = d->c.m;
    for (int64_t i = residual ? 0 : live; i < d->c.m; i++) /* rows past the count, and what lies between columns */
        for (int64_t j = 0; j < seen.ld; j++)
            if (got->format == DD_FMT_F32 && mat_bits(&seen, i, j) != mat_bits(&d->out, i, j))
                fail_msg("%s: %lld,%lld was written", what, (long long)i, (long long)j);
    for (int64_t i = 0; i < live; i++)
        for (int64_t j = 0; j < d->width; j++)
            if (mat_bits(&seen, i, j) != mat_bits(&d->out, i, j))
                fail_msg("%s: %lld,%lld was written", what, (long long)i, (long long)j);
    mat_close(&seen);
}

/* One case: the reference, then every path on 0 (no pool), 1, 2 and 3 threads. */
static void run_case(const gemm_case *c, uint64_t seed)
{
    gemm_data d;
    char what[160];
    data_open(&d, c, seed);
    mat want = c->epilogue == DD_EPI_RESIDUAL ? mat_clone(&d.out) : mat_open(DD_FMT_F32, c->m, d.width, 0);
    dd_gemm_args ref = d.args;
    ref.w = d.w.ref;
    ref.c = want.b.p;
    ref.c_format = DD_FMT_F32;
    ref.ldc = want.ld;
    assert_int_equal(dd_ref_gemm(&runners[0].exec, &ref), DD_OK);
    d.args.w = d.w.cpu;
    FOR_BF16_PATHS(isa)
    {
        snprintf(what, sizeof what,
                 "gemm %s M%d N%d/%d K%d slices %d,%d epilogue %d to %d gap %d rows %d pattern %d seed %d",
                 dd_cpu_isa_name(isa), c->m, c->n, c->unit, c->k, c->by_n, c->by_k, c->epilogue, c->c_format, c->gap,
                 c->rows, c->how, (int)seed);
        mat first = mat_clone(&d.out);
        d.args.c = first.b.p;
        assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[0].exec, &d.args), DD_OK);
        compare(&d, &want, &first, what);
        for (int t = 1; t < 4; t++) {
            mat again = mat_clone(&d.out);
            d.args.c = again.b.p;
            assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[t].exec, &d.args), DD_OK);
            assert_same_bits(first.b.p, again.b.p, first.b.n, what);
            mat_close(&again);
        }
        mat_close(&first);
    }
    mat_close(&want);
    data_close(&d);
}

static const int row_counts[] = {1, 2, 7, 8, 9, 31, 33, 65};
static const struct {
    int n, k, unit;
} shapes[] = {{8, 8, 8},      {24, 16, 24},  {64, 72, 16}, {96, 32, 32},   {216, 40, 72},
              {104, 24, 104}, {192, 64, 96}, {13, 12, 13}, {50, 30, 50},   {2, 96, 2},
              {80, 200, 40},  {432, 8, 216}, {33, 1, 33},  {576, 96, 288}, {40, 33, 40}};

static dd_format format_of(dd_epilogue e, uint64_t i)
{
    static const dd_format all[] = {DD_FMT_BF16_BLOCKS, DD_FMT_BF16, DD_FMT_F32};
    return e == DD_EPI_RESIDUAL ? DD_FMT_F32 : all[i % 3];
}

static void every_epilogue_and_shape(void **state)
{
    (void)state;
    bf16_or_skip();
    uint64_t seed = 0;
    for (int s = 0; s < COUNT(shapes); s++)
        for (int m = 0; m < COUNT(row_counts); m++)
            for (int e = 0; e <= DD_EPI_RESIDUAL; e++, seed++) {
                const gemm_case c = {.m = row_counts[m],
                                     .n = shapes[s].n,
                                     .k = shapes[s].k,
                                     .unit = shapes[s].unit,
                                     .epilogue = (dd_epilogue)e,
                                     .c_format = format_of((dd_epilogue)e, seed / 3),
                                     .gap = seed % 5 == 0   ? (32 - shapes[s].unit % 32) % 32
                                            : seed % 5 == 1 ? 3
                                                            : 0,
                                     .rows = -1,
                                     .how = (pattern)(seed % N_PATTERNS)};
                run_case(&c, seed);
            }
}

static void every_slicing(void **state)
{
    (void)state;
    bf16_or_skip();
    uint64_t seed = 2000;
    for (int by_n = 0; by_n < N_SLICINGS; by_n++)
        for (int by_k = 0; by_k < N_SLICINGS; by_k++)
            for (int f = 0; f < 3; f++)
                for (int unit = 40; unit <= 96; unit += 32, seed++) { /* 40, 72 */
                    const gemm_case c = {.m = 37,
                                         .n = 4 * unit,
                                         .k = 104,
                                         .unit = unit,
                                         .by_n = (slicing)by_n,
                                         .by_k = (slicing)by_k,
                                         .epilogue = (dd_epilogue)(seed % 3),
                                         .c_format = format_of((dd_epilogue)(seed % 3), (uint64_t)f),
                                         .gap = seed % 2 ? 0 : 24,
                                         .rows = -1,
                                         .how = NORMAL};
                    run_case(&c, seed);
                }
}

static void routed_rows_and_long_sums(void **state)
{
    (void)state;
    bf16_or_skip();
    for (int rows = 0; rows <= 70; rows += rows < 2 ? 1 : 17)
        for (int e = 0; e <= DD_EPI_RESIDUAL; e++) {
            const gemm_case c = {.m = 70,
                                 .n = 64,
                                 .k = 40,
                                 .unit = 32,
                                 .by_n = SLICE_ALTERNATE,
                                 .epilogue = (dd_epilogue)e,
                                 .c_format = format_of((dd_epilogue)e, 0),
                                 .rows = rows};
            run_case(&c, 3000 + (uint64_t)rows);
        }
    static const gemm_case cases[] = {
        {.m = 17, .n = 56, .k = 4608, .unit = 56, .rows = -1, .how = NORMAL},
        {.m = 9, .n = 48, .k = 2500, .unit = 48, .epilogue = DD_EPI_RESIDUAL, .rows = -1, .how = OUTLIERS},
        {.m = 65, .n = 40, .k = 3000, .unit = 40, .by_k = SLICE_ALTERNATE, .c_format = DD_FMT_BF16, .rows = -1},
        {.m = 1100, .n = 64, .k = 8, .unit = 64, .c_format = DD_FMT_BF16_BLOCKS, .rows = 1027, .how = NORMAL},
    };
    for (int i = 0; i < COUNT(cases); i++) run_case(&cases[i], (uint64_t)(3100 + i));
}

/* A row gives the same bits alone and in company; a unit of columns beside any others. */
static void independent_of_rows_and_columns(void **state)
{
    (void)state;
    bf16_or_skip();
    enum { M = 77, N = 216, K = 1216, UNIT = 72 };
    const gemm_case c = {.m = M, .n = N, .k = K, .unit = UNIT, .epilogue = DD_EPI_GELU, .rows = -1, .how = NORMAL};
    FOR_BF16_PATHS(isa)
    {
        gemm_data d;
        data_open(&d, &c, 4000);
        d.args.w = d.w.cpu;
        mat all = mat_clone(&d.out), some = mat_open(DD_FMT_F32, M, N, 5);
        d.args.c = all.b.p;
        assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[2].exec, &d.args), DD_OK);
        d.args.c = some.b.p;
        for (int how = SLICE_ONE; how <= SLICE_ALL; how++) {
            slices_set(&d.sn, (slicing)how, N, UNIT);
            d.args.n = d.sn.s;
            assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[3].exec, &d.args), DD_OK);
            for (int i = 0; i < M; i++)
                for (int j = 0; j < d.sn.list[3]; j++)
                    assert_same_bits(all.b.p + i * all.ld + d.sn.list[4 + j] * 8, some.b.p + i * some.ld + j * 8, 8,
                                     "some columns");
        }
        d.args.n = (dd_slices){0};
        for (int first = 0; first < M; first += 6)
            for (int m = 1; m <= 13 && first + m <= M; m += 4) {
                mat a = mat_open(DD_FMT_BF16_BLOCKS, m, K, 0);
                for (int i = 0; i < m; i++)
                    for (int k = 0; k < K; k++) *mat_half(&a, i, k) = *mat_half(&d.a, first + i, k);
                d.args.a = a.b.p;
                d.args.lda = a.ld;
                d.args.m = m;
                assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[m % 4].exec, &d.args), DD_OK);
                for (int i = 0; i < m; i++)
                    assert_same_bits(all.b.p + (first + i) * all.ld, some.b.p + i * some.ld, N, "some rows");
                mat_close(&a);
            }
        mat_close(&all);
        mat_close(&some);
        data_close(&d);
    }
}

/* Leaving out chunks of K equals zeros in their place: bit for bit where each element has one accumulator (tiles of AMX
 * group K by 32, so that a chunk may meet other neighbours). */
static void sliced_equals_masked(void **state)
{
    (void)state;
    const dd_cpu_isa isa = DD_ISA_AVX512BF16;
    enum { M = 70, N = 104, K = 1152 + 72 };
    if (!bf16_path(isa)) {
        print_message("this CPU has no AVX512-BF16\n");
        skip();
    }
    for (int how = SLICE_NONE; how <= SLICE_ALL; how++) {
        const gemm_case c = {.m = M, .n = N, .k = K, .unit = N, .by_k = (slicing)how, .rows = -1, .how = NORMAL};
        gemm_data d;
        data_open(&d, &c, 5000);
        d.args.w = d.w.cpu;
        mat wide = mat_open(DD_FMT_BF16_BLOCKS, M, K, 0), masked = mat_clone(&d.out), sliced = mat_clone(&d.out);
        memset(wide.b.p, 0, wide.b.n * sizeof(float));
        for (int i = 0; i < M; i++)
            for (int64_t j = 0; j < d.active_k; j++)
                *mat_half(&wide, i, d.sk.list[4 + j / 8] * 8 + j % 8) = *mat_half(&d.a, i, j);
        d.args.c = sliced.b.p;
        assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[2].exec, &d.args), DD_OK);
        d.args.k = (dd_slices){0};
        d.args.a = wide.b.p;
        d.args.lda = wide.ld;
        d.args.c = masked.b.p;
        assert_int_equal(dd_cpu_ops(isa)->gemm(&runners[1].exec, &d.args), DD_OK);
        assert_same_bits(masked.b.p, sliced.b.p, sliced.b.n, "sliced and masked");
        mat_close(&wide);
        mat_close(&masked);
        mat_close(&sliced);
        data_close(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_epilogue_and_shape),  cmocka_unit_test(every_slicing),
        cmocka_unit_test(routed_rows_and_long_sums), cmocka_unit_test(independent_of_rows_and_columns),
        cmocka_unit_test(sliced_equals_masked),
    };
    return cmocka_run_group_tests(tests, open_runners, close_runners);
}
