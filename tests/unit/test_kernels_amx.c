/* SPDX-License-Identifier: MIT
 * The GEMM on the tiles of AMX: against the reference on the same bf16 inputs within a derived bound, and bit for bit where
 * results must not depend on threads, rows or slices. Runs where the CPU has tiles, or emulated in CONFIG=softisa. */
#include "tests/unit/amx_test.h"

#define TOKENS 9 /* of a row of the batch */
#define CUT 72   /* steps of 32 of K that the residual epilogue adds at a time, at most */

typedef struct gemm_case {
    int m, n, k, unit, c_unit; /* c_unit 0: no gaps */
    int by_n, by_k;
    dd_epilogue epilogue;
    dd_format format; /* of c */
    int rows;         /* -1 no list; else that many rows of the list are valid */
    pattern how;
} gemm_case;

typedef struct gemm_data {
    gemm_case c;
    buf data, a, bias, gate, start; /* data: W, in bf16 values; start: what the result is written over */
    void *ref, *cpu;
    dd_packed *wr, *wc;
    slices sn, sk;
    int32_t *idx, count, slot, row_cond[80];
    dd_gemm_args args;
    int64_t active_n, active_k, width; /* width: columns of the result, gaps included */
} gemm_data;

static void pack(gemm_data *d)
{
    const dd_weight_desc w = {
        .name = "w", .data = d->data.p, .dtype = DD_F32, .n = d->c.n, .k = d->c.k, .n_unit = d->c.unit, .as = DD_BF16};
    d->ref = aligned_alloc(64, (dd_ref_packed_bytes(&w) + 63) / 64 * 64);
    d->cpu = aligned_alloc(64, (dd_cpu_packed_bytes(&w) + 63) / 64 * 64);
    assert_non_null(d->ref);
    assert_non_null(d->cpu);
    assert_int_equal(dd_ref_pack(&w, d->ref, &d->wr), DD_OK);
    assert_int_equal(dd_cpu_pack(&w, d->cpu, &d->wc), DD_OK);
}

static buf open_result(int64_t rows, int64_t ld, dd_format format)
{
    return format == DD_FMT_F32 ? buf_open((size_t)(rows * ld)) : half_open(rows, ld, format);
}

static void data_open(gemm_data *d, const gemm_case *c, uint64_t seed)
{
    rnd r = rnd_open(seed);
    memset(d, 0, sizeof *d);
    d->c = *c;
    d->data = buf_random(&r, (size_t)c->n * (size_t)c->k, NORMAL);
    for (size_t i = 0; i < d->data.n; i++) d->data.p[i] = dd_bf16_to_f32(dd_f32_to_bf16(d->data.p[i]));
    pack(d);
    set_slices(&d->sn, &r, c->by_n, c->n, c->unit);
    set_slices(&d->sk, &r, c->by_k, c->k, 8);
    d->active_n = slices_width(&d->sn, c->n);
    d->active_k = slices_width(&d->sk, c->k);
    d->width = c->c_unit ? d->active_n / c->unit * c->c_unit : d->active_n;
    const int64_t lda = (d->active_k + 31) / 32 * 32 + (seed % 2 ? 32 : 0);
    const int64_t ldc = c->format == DD_FMT_BF16_BLOCKS ? (d->width + 31) / 32 * 32 + (seed % 3 ? 0 : 32)
                                                        : d->width + 5;
    d->a = half_open(c->m, lda, DD_FMT_BF16_BLOCKS);
    half_fill(&r, &d->a, DD_FMT_BF16_BLOCKS, c->m, d->active_k, lda, c->how);
    d->bias = buf_random(&r, (size_t)c->n, NORMAL);
    d->gate = buf_random(&r, (size_t)(10 * (c->n + 7)), NORMAL);
    d->start = open_result(c->m, ldc, c->format);
    if (c->epilogue == DD_EPI_RESIDUAL) fill(&r, d->start.p, d->start.n, NORMAL);
    d->idx = calloc((size_t)c->m + 1, sizeof *d->idx);
    assert_non_null(d->idx);
    d->count = c->rows;
    for (int i = 0; i < c->rows; i++) d->idx[i] = c->m - c->rows + i - (i < c->rows / 2 && c->m > c->rows); /* a gap */
    for (int i = 0; i < 80; i++) d->row_cond[i] = i * 7 % 10;
    d->args = (dd_gemm_args){.a = d->a.p, .bias = seed % 5 ? d->bias.p : NULL, .lda = lda, .ldc = ldc, .m = c->m};
    d->args.a_format = DD_FMT_BF16_BLOCKS;
    d->args.c_format = c->format;
    d->args.c_unit = c->c_unit;
    d->args.n = d->sn.s;
    d->args.k = d->sk.s;
    if (c->rows >= 0) d->args.rows = (dd_row_list){d->idx, &d->count};
    d->args.epilogue = c->epilogue;
    d->args.gate = (dd_cond_table){d->gate.p, 0, c->n + 7, &d->slot, d->row_cond};
    d->args.gate_off = 4;
    d->args.s = TOKENS;
    buf_keep(&d->a);
    buf_keep(&d->bias);
    buf_keep(&d->gate);
}

static void data_close(gemm_data *d)
{
    free(d->idx);
    free(d->ref);
    free(d->cpu);
    buf_close(&d->data);
    buf_close(&d->a);
    buf_close(&d->bias);
    buf_close(&d->gate);
    buf_close(&d->start);
}

/* Bound of |amx - exact| before the rounding to the format of c. Products of bf16 are exact in float32. In a step of 32 a
 * product passes at most 15 additions with others of its parity (the first one is exact), one of the two sums, and one to
 * the accumulator in this and each later step (the first of all is exact): at most steps + 16 roundings, each of relative
 * size eps; (steps + 17) eps >= gamma(steps + 16) for steps < 4000 (Higham, Accuracy and Stability, 3.1). The bias adds
 * one, the reference's own result another. Flushed denormals: 2^-126 per operation.
 * GELU: slope at most 1.13. In float32: its exponent z = 2 sqrt(2/pi) (x + 0.044715 x^3) carries 4 roundings, which e^z
 * turns into a relative error; 8 more for e^z, the sum and the division. For bf16: 1.4e-4 of 2^t, 2^-14 of the reciprocal,
 * and 5e-7 |t| of the exponent, |t| < 150 where the result is not below 2^-126: together 2.8e-4.
 * Residual: parts of at most 72 steps are added one after the other, two roundings each of at most |c| + |gate| cond. */
static double bound_of(const gemm_data *d, int64_t item, int64_t n, double want, double old, double gate)
{
    const double bias = d->args.bias ? (double)d->bias.p[n] : 0;
    double cond = fabs(bias), sum = bias;
    for (int64_t k = 0; k < d->active_k; k++) {
        const float x = dd_bf16_to_f32(bits(&d->a)[dd_block_at(d->args.lda, item, k)]);
        const double y = (double)x * d->data.p[n * d->c.k + slices_col(&d->sk, k)];
        cond += fabs(y);
        sum += y;
    }
    const double steps = ceil((double)d->active_k / 32), parts = ceil(steps / CUT);
    const double b = (steps + 19) * EPS * cond + (double)d->active_k * 0x1p-126;
    const double z = 1.5957691216 * fabs(sum) * (1 + 0.044715 * sum * sum);
    const double output = d->c.format == DD_FMT_F32 ? 0 : EPS_BF16;
    switch (d->c.epilogue) {
    case DD_EPI_BIAS: return b + output * (fabs(want) + b);
    case DD_EPI_GELU:
        if (output > 0) return 1.13 * b + (2.8e-4 + 1.001 * output) * (fabs(want) + 1.13 * b) + 0x1p-120;
        return 1.13 * b + EPS * (8 + 4 * (z < 110 ? z : 110)) * fabs(want) + 0x1p-120;
    case DD_EPI_RESIDUAL: break;
    }
    return fabs(gate) * b + (2 * parts + 1) * EPS * (fabs(old) + fabs(want) + fabs(gate) * cond);
}

static float result_at(const gemm_data *d, const buf *c, int64_t row, int64_t col)
{
    if (d->c.format == DD_FMT_F32) return c->p[row * d->args.ldc + col];
    return dd_bf16_to_f32(bits(c)[half_at(d->c.format, d->args.ldc, row, col)]);
}

/* Every element that must not be written still holds what it held. */
static void assert_untouched(const gemm_data *d, const buf *got, const bool *written, const char *what)
{
    const bool f32 = d->c.format == DD_FMT_F32;
    const size_t n = f32 ? got->n : 2 * got->n;
    for (size_t i = 0; i < n; i++) {
        if (written[i]) continue;
        const bool same = f32 ? dd_f32_bits(got->p[i]) == dd_f32_bits(d->start.p[i])
                              : bits(got)[i] == bits(&d->start)[i];
        if (!same) fail_msg("%s: element %zu was written", what, i);
    }
}

/* want: float32, ldc = width. */
static void compare(const gemm_data *d, const float *want, int64_t ld_want, const buf *got, const char *what)
{
    const bool residual = d->c.epilogue == DD_EPI_RESIDUAL;
    const int64_t live = d->c.rows >= 0 ? d->c.rows : d->c.m;
    bool *written = calloc(2 * d->start.n + 1, sizeof *written);
    assert_non_null(written);
    for (int64_t i = 0; i < live; i++) {
        const int64_t row = residual && d->c.rows >= 0 ? d->idx[i] : i;
        for (int64_t j = 0; j < d->active_n; j++) {
            const int64_t n = slices_col(&d->sn, j);
            const int64_t col = d->c.c_unit ? j / d->c.unit * d->c.c_unit + j % d->c.unit : j;
            const double gate = residual ? (double)d->gate.p[d->row_cond[row / TOKENS] * (d->c.n + 7) + 4 + n] : 0;
            const double old = residual ? (double)result_at(d, &d->start, row, col) : 0;
            const double w = (double)want[row * ld_want + col];
            assert_near(w, result_at(d, got, row, col), bound_of(d, i, n, w, old, gate), what, row * d->args.ldc + col);
            written[half_at(d->c.format, d->args.ldc, row, col)] = true;
        }
        for (int64_t col = d->width; d->c.format == DD_FMT_BF16_BLOCKS && col % 32; col++) {
            const int64_t at = dd_block_at(d->args.ldc, row, col);
            if (bits(got)[at] != 0) fail_msg("%s: row %lld has no zero behind its end", what, (long long)row);
            written[at] = true;
        }
    }
    assert_untouched(d, got, written, what);
    free(written);
}

static buf result_open(const gemm_data *d) { return buf_clone(&d->start); }

static void run_gemm(gemm_data *d, int threads, const buf *c)
{
    d->args.w = d->wc;
    d->args.c = c->p;
    assert_int_equal(dd_cpu_ops(DD_ISA_AMX)->gemm(&runners[threads].exec, &d->args), DD_OK);
    buf_check(c);
}

static void run_case(const gemm_case *c, uint64_t seed)
{
    gemm_data d;
    char what[160];
    data_open(&d, c, seed);
    snprintf(what, sizeof what, "gemm M%d N%d/%d>%d K%d slices %d,%d epilogue %d format %d rows %d pattern %d seed %d",
             c->m, c->n, c->unit, c->c_unit, c->k, c->by_n, c->by_k, c->epilogue, c->format, c->rows, c->how,
             (int)seed);
    const int64_t ld_want = c->epilogue == DD_EPI_RESIDUAL ? d.args.ldc : d.width;
    buf want = buf_open((size_t)(ld_want * c->m));
    if (c->epilogue == DD_EPI_RESIDUAL) memcpy(want.p, d.start.p, want.n * sizeof *want.p);
    dd_gemm_args ref = d.args;
    ref.w = d.wr;
    ref.c = want.p;
    ref.c_format = DD_FMT_F32;
    ref.ldc = ld_want;
    assert_int_equal(dd_ref_gemm(&runners[2].exec, &ref), DD_OK);
    buf first = result_open(&d);
    run_gemm(&d, 0, &first);
    compare(&d, want.p, ld_want, &first, what);
    for (int t = 1; t < 4; t++) {
        buf again = result_open(&d);
        run_gemm(&d, t, &again);
        assert_same_bits(first.p, again.p, first.n, what);
        buf_close(&again);
    }
    buf_close(&first);
    buf_close(&want);
    data_close(&d);
}

static const int row_counts[] = {1, 15, 16, 17, 31, 32, 33, 100, 257};
static const struct {
    dd_epilogue epilogue;
    dd_format format;
} ends[] = {{DD_EPI_BIAS, DD_FMT_F32},    {DD_EPI_BIAS, DD_FMT_BF16}, {DD_EPI_BIAS, DD_FMT_BF16_BLOCKS},
            {DD_EPI_GELU, DD_FMT_F32},    {DD_EPI_GELU, DD_FMT_BF16}, {DD_EPI_GELU, DD_FMT_BF16_BLOCKS},
            {DD_EPI_RESIDUAL, DD_FMT_F32}};
static const struct {
    int n, k, unit, c_unit;
} shapes[] = {{8, 8, 8, 0},     {32, 13, 32, 0},      {16, 96, 16, 0},   {96, 72, 32, 0},  {216, 40, 72, 96},
              {120, 64, 40, 0}, {648, 144, 216, 224}, {80, 104, 40, 48}, {50, 30, 50, 64}, {160, 1184, 160, 0}};

static void every_epilogue_and_shape(void **state)
{
    (void)state;
    if (!amx_here()) skip();
    uint64_t seed = 0;
    for (int s = 0; s < COUNT(shapes); s++)
        for (int m = 0; m < COUNT(row_counts); m++)
            for (int e = 0; e < COUNT(ends); e++) {
                if (shapes[s].n * row_counts[m] > 40000 && e != m % COUNT(ends)) continue;
                const gemm_case c = {row_counts[m],
                                     shapes[s].n,
                                     shapes[s].k,
                                     shapes[s].unit,
                                     shapes[s].c_unit,
                                     SLICE_NULL,
                                     SLICE_NULL,
                                     ends[e].epilogue,
                                     ends[e].format,
                                     -1,
                                     (pattern)(seed % N_PATTERNS)};
                run_case(&c, seed++);
            }
}

static void every_slicing(void **state)
{
    (void)state;
    if (!amx_here()) skip();
    uint64_t seed = 1000;
    for (int s = 3; s < COUNT(shapes); s++)
        for (int n = 0; n <= SLICE_RANDOM; n++)
            for (int k = 0; k <= SLICE_RANDOM; k++) {
                if (shapes[s].n % 8 || shapes[s].k % 8) continue;
                /* an unsliced weight (unit == n) allows all or nothing */
                if (shapes[s].unit == shapes[s].n && (n == SLICE_ONE || n == SLICE_ALTERNATE)) continue;
                const int e = (int)(seed % COUNT(ends));
                const gemm_case c = {row_counts[seed % 7], shapes[s].n, shapes[s].k, shapes[s].unit,
                                     shapes[s].c_unit,     n,           k,           ends[e].epilogue,
                                     ends[e].format,       -1,          NORMAL};
                run_case(&c, seed++);
            }
}

static void routed_rows(void **state)
{
    (void)state;
    if (!amx_here()) skip();
    uint64_t seed = 2000;
    static const int kept[][2] = {{9, 0}, {9, 1}, {9, 9}, {70, 0}, {70, 33}, {70, 70}, {65, 64}, {640, 300}};
    for (int i = 0; i < COUNT(kept); i++)
        for (int e = 0; e < COUNT(ends); e++) {
            const gemm_case c = {
                kept[i][0],     96,         32,    32, 0, SLICE_NULL, SLICE_ALTERNATE, ends[e].epilogue,
                ends[e].format, kept[i][1], NORMAL};
            run_case(&c, seed++);
        }
}

static void long_sums_and_many_rows(void **state)
{
    (void)state;
    if (!amx_here()) skip();
    /* more than one chunk of 18 steps of K, than one part of 72 steps, than one pass over the panels, than 8 row blocks */
    static const gemm_case cases[] = {
        {33, 40, 3200, 40, 0, SLICE_NULL, SLICE_NULL, DD_EPI_BIAS, DD_FMT_BF16_BLOCKS, -1, NORMAL},
        {40, 64, 4608, 64, 0, SLICE_NULL, SLICE_NULL, DD_EPI_RESIDUAL, DD_FMT_F32, -1, NORMAL},
        {65, 40, 3464, 40, 0, SLICE_NULL, SLICE_RANDOM, DD_EPI_RESIDUAL, DD_FMT_F32, 50, UNIFORM},
        {65, 40, 3464, 40, 0, SLICE_NULL, SLICE_ALTERNATE, DD_EPI_GELU, DD_FMT_BF16, -1, OUTLIERS},
        {600, 96, 16, 32, 0, SLICE_ALTERNATE, SLICE_NULL, DD_EPI_GELU, DD_FMT_BF16_BLOCKS, -1, NORMAL},
        {600, 64, 1160, 64, 0, SLICE_NULL, SLICE_RANDOM, DD_EPI_RESIDUAL, DD_FMT_F32, -1, NORMAL},
        {1100, 64, 8, 64, 0, SLICE_NULL, SLICE_NULL, DD_EPI_BIAS, DD_FMT_F32, 1027, NORMAL},
    };
    for (int i = 0; i < COUNT(cases); i++) run_case(&cases[i], (uint64_t)(3000 + i));
}

/* A row gives the same bits alone, a unit of N without the others. */
static void independent_of_rows_and_columns(void **state)
{
    (void)state;
    if (!amx_here()) skip();
    static const int rows[] = {0, 15, 16, 31, 32, 76};
    for (int e = 0; e < COUNT(ends); e++) {
        gemm_data d;
        const gemm_case c = {77, 216,   2400 + 72, 72, 72, SLICE_NULL, SLICE_RANDOM, ends[e].epilogue, ends[e].format,
                             -1, NORMAL};
        data_open(&d, &c, 4000);
        buf all = result_open(&d), a = half_open(1, d.args.lda, DD_FMT_BF16_BLOCKS);
        run_gemm(&d, 2, &all);
        for (int i = 0; i < COUNT(rows); i++) {
            buf one = result_open(&d);
            d.args.a = a.p;
            d.args.m = 1;
            for (int64_t k = 0; k < d.args.lda; k++)
                bits(&a)[dd_block_at(d.args.lda, 0, k)] = bits(&d.a)[dd_block_at(d.args.lda, rows[i], k)];
            if (c.epilogue == DD_EPI_RESIDUAL) {
                memcpy(one.p, d.start.p + rows[i] * d.args.ldc, (size_t)d.args.ldc * sizeof *one.p);
                d.row_cond[0] = rows[i] / TOKENS * 7 % 10;
            }
            run_gemm(&d, i % 4, &one);
            for (int64_t col = 0; col < d.width; col++)
                assert_int_equal(dd_f32_bits(result_at(&d, &one, 0, col)),
                                 dd_f32_bits(result_at(&d, &all, rows[i], col)));
            d.row_cond[0] = 0;
            buf_close(&one);
        }
        d.args.a = d.a.p;
        d.args.m = c.m;
        for (int how = SLICE_ONE; how <= SLICE_RANDOM && c.epilogue != DD_EPI_RESIDUAL; how++) {
            rnd r = rnd_open(17);
            set_slices(&d.sn, &r, how, c.n, c.unit);
            d.args.n = d.sn.s;
            buf some = result_open(&d);
            run_gemm(&d, 3, &some);
            for (int64_t row = 0; row < c.m; row++)
                for (int64_t col = 0; col < slices_width(&d.sn, c.n); col++)
                    assert_int_equal(dd_f32_bits(result_at(&d, &some, row, col)),
                                     dd_f32_bits(result_at(&d, &all, row, slices_col(&d.sn, col))));
            buf_close(&some);
        }
        buf_close(&all);
        buf_close(&a);
        data_close(&d);
    }
}

static void refused_arguments(void **state)
{
    (void)state;
    if (!amx_here()) skip();
    gemm_data d;
    const gemm_case c = {33, 96, 64, 32, 0, SLICE_NULL, SLICE_NULL, DD_EPI_BIAS, DD_FMT_BF16, -1, NORMAL};
    data_open(&d, &c, 1);
    buf out = result_open(&d);
    d.args.w = d.wc;
    d.args.c = out.p;
    const dd_ops *ops = dd_cpu_ops(DD_ISA_AMX);
    const dd_exec *exec = &runners[0].exec;
    dd_gemm_args bad = d.args;
    assert_int_equal(ops->gemm(exec, NULL), DD_ERR_ARG);
    bad.a_format = DD_FMT_BF16;
    assert_int_equal(ops->gemm(exec, &bad), DD_ERR_ARG);
    bad = d.args, bad.a_format = DD_FMT_F32; /* the weight is bf16 */
    assert_int_equal(ops->gemm(exec, &bad), DD_ERR_ARG);
    bad = d.args, bad.w = d.wr;
    assert_int_equal(ops->gemm(exec, &bad), DD_ERR_ARG);
    bad = d.args, bad.lda = 63;
    assert_int_equal(ops->gemm(exec, &bad), DD_ERR_ARG);
    bad = d.args, bad.c_unit = 24;
    assert_int_equal(ops->gemm(exec, &bad), DD_ERR_ARG);
    bad = d.args, bad.epilogue = DD_EPI_RESIDUAL;
    assert_int_equal(ops->gemm(exec, &bad), DD_ERR_ARG);
    dd_exec small = *exec;
    small.scratch_bytes = 1024;
    assert_int_equal(ops->gemm(&small, &d.args), DD_ERR_ARG);
    bad = d.args, bad.m = 0;
    assert_int_equal(ops->gemm(exec, &bad), DD_OK);
    assert_memory_equal(out.p, d.start.p, out.n * sizeof *out.p);
    buf_close(&out);
    data_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_epilogue_and_shape),
        cmocka_unit_test(every_slicing),
        cmocka_unit_test(routed_rows),
        cmocka_unit_test(long_sums_and_many_rows),
        cmocka_unit_test(independent_of_rows_and_columns),
        cmocka_unit_test(refused_arguments),
    };
    return cmocka_run_group_tests(tests, open_runners, close_runners);
}
