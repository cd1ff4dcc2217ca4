/* SPDX-License-Identifier: MIT
 * GEMM. What is right: dd_ref_gemm on the same inputs, with a float32 result.
 *
 * Bound of |candidate - exact|, u = 2^-24, s = sum |a w| + |bias|, K active columns:
 * - The sum. In whatever order, K products are added by at most K roundings on the way of each, and the bias is one
 *   more: gamma(K + 1) s (Higham, Accuracy and Stability of Numerical Algorithms, 4.2; products of bfloat16 are exact in
 *   float32). For data whose roundings have no common direction, 6 sqrt(K) stands in for K: by Higham and Mary, A new
 *   approach to probabilistic rounding error analysis, 3.1, that fails with a probability below 2 K e^(-18) even if every
 *   rounding were the largest possible; equal values (CK_CONSTANT) keep K. +2 for the terms of second order and the
 *   reference's own rounding.
 * - Tensor cores (kernels/cuda/gemm_mma.cu) add 8 or 16 products at once to a partial sum and cut towards zero instead of
 *   rounding. Each product is cut at most once, by less than 2 u of the largest term, in the direction of its own sign: this
 *   is covered as roundings are. Partial sums are cut in a common direction, by less than 2 u |partial|, K/8 times. Data
 *   without a common sign have |partial| <= 6 sqrt(sum (a w)^2), about 6 s sqrt(pi/2) / sqrt(K) for normal ones, so that all
 *   cuts together are below 2 u K/8 7.5 s / sqrt(K) = 1.9 sqrt(K) u s: within 6 sqrt(K) u s. For equal signs partial sums grow
 *   to s evenly and are cut by K/8 u s in total, within K u s.
 *   TF32 is added 4 or 8 products at a time, K/4 times: a common direction makes 3.8 sqrt(K) u s, for which 4 sqrt(K) is added
 *   to c below; for equal signs 0.25 K u s of sums, and of products, each cut by less than u of a partial sum, which is s/2 on the
 *   average, 0.5 K u s.
 * - Subnormals: gradual underflow of a product or sum is at most 2^-150 each; instructions for bfloat16 may flush to
 *   zero at 2^-126, of inputs (times the other factor) and of sums. Those of f16 are not flushed.
 * - GELU: slope at most 1.13. Its exponent z = 2 sqrt(2/pi) (x + 0.044715 x^3) carries 4 roundings, which e^z turns into
 *   a relative error; 8 more for e^z, the sum and the division; below 2^-124 it may become 0. With a result of 16 bits e^z
 *   and 1/x may be approximate: ck_approx.
 * - Residual: two more roundings of c + gate (acc + bias).
 * - A result of fewer bits is the rounding of something within the bound (tensor.c).
 * Rows that no list names, columns past the result, and what lies beyond the last row stay as they were; columns between
 * units (c_unit) may hold anything. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/checkkernel/check.h"

#define TOKENS 9 /* of a row of the batch: gates change at odd places */

typedef struct params {
    int m, n, unit, parts, k, k_unit;
    ck_mask by_n, by_k;
    dd_epilogue epilogue;
    int rows; /* valid entries of the row list; -1: no list */
    int gap;  /* columns between units */
    dd_format a, c;
    ck_pattern how;
    dd_dtype stored;
    bool no_bias, nan, large; /* large: many results exceed f16 */
} params;

/* ---- which cases ---- */

static void add_case(ck_list *l, params p)
{
    static const char *const epilogues[] = {"bias", "gelu", "residual"};
    char more[96] = "";
    size_t n = 0;
    if (p.epilogue == DD_EPI_RESIDUAL) p.c = DD_FMT_F32;
    if (p.k_unit == 0) p.k_unit = DD_CHUNK;
    if (p.rows >= 0) n += (size_t)snprintf(more + n, sizeof more - n, ",rows=%d", p.rows);
    if (p.gap) n += (size_t)snprintf(more + n, sizeof more - n, ",gap=%d", p.gap);
    if (p.stored != DD_F32)
        n += (size_t)snprintf(more + n, sizeof more - n, ",stored=%s", p.stored == DD_F16 ? "f16" : "bf16");
    if (p.no_bias) n += (size_t)snprintf(more + n, sizeof more - n, ",nobias");
    if (p.nan) n += (size_t)snprintf(more + n, sizeof more - n, ",nan");
    if (p.large) n += (size_t)snprintf(more + n, sizeof more - n, ",large");
    ck_list_add(l, &p, sizeof p, "m%d,n%d/%dx%d,k%d/%d,%s-%s,%s,n=%s,k=%s,%s%s", p.m, p.n, p.unit,
                p.parts ? p.parts : 1, p.k, p.k_unit, dd_format_name(p.a), dd_format_name(p.c), epilogues[p.epilogue],
                ck_mask_name(p.by_n), ck_mask_name(p.by_k), ck_pattern_name(p.how), more);
}

static const dd_format formats[][2] = {{DD_FMT_F32, DD_FMT_F32},          {DD_FMT_BF16, DD_FMT_BF16},
                                       {DD_FMT_BF16, DD_FMT_F32},         {DD_FMT_BF16_BLOCKS, DD_FMT_BF16_BLOCKS},
                                       {DD_FMT_BF16_BLOCKS, DD_FMT_BF16}, {DD_FMT_BF16_BLOCKS, DD_FMT_F32},
                                       {DD_FMT_F16, DD_FMT_F16},          {DD_FMT_F16, DD_FMT_F32},
                                       {DD_FMT_TF32, DD_FMT_TF32},        {DD_FMT_TF32, DD_FMT_F32}};

#define TURNS 6 /* formats that count: cases keep the names by which planted faults know them */

static const int row_counts[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129};

/* n, unit, parts, k: one, primes, one off every width of a panel or tile and every depth of a chunk */
static const int shapes[][4] = {{1, 1, 1, 1},      {2, 2, 1, 97},     {13, 13, 1, 12},   {31, 31, 1, 31},
                                {33, 33, 1, 33},   {47, 47, 1, 63},   {48, 48, 1, 64},   {49, 49, 1, 65},
                                {56, 56, 1, 7},    {97, 97, 1, 30},   {8, 8, 1, 8},      {24, 8, 1, 16},
                                {64, 16, 1, 72},   {96, 32, 1, 32},   {216, 72, 3, 40},  {144, 48, 3, 24},
                                {104, 104, 1, 25}, {256, 128, 1, 64}, {672, 224, 1, 96}, {48, 24, 3, 1151}};

static void list_shapes(ck_list *l)
{
    for (int s = 0; s < CK_COUNT(shapes); s++)
        for (int f = 0; f < CK_COUNT(formats); f++)
            for (int m = 0; m < CK_COUNT(row_counts); m++)
                for (int e = 0; e <= DD_EPI_RESIDUAL; e++) {
                    const int turn = ((s * TURNS + f) * CK_COUNT(row_counts) + m) * (DD_EPI_RESIDUAL + 1) + e;
                    const params p = {.m = row_counts[m],
                                      .n = shapes[s][0],
                                      .unit = shapes[s][1],
                                      .parts = shapes[s][2],
                                      .k = shapes[s][3],
                                      .a = formats[f][0],
                                      .c = formats[f][1],
                                      .epilogue = (dd_epilogue)e,
                                      .rows = -1,
                                      .how = turn % 3 ? CK_NORMAL : (ck_pattern)(turn / 3 % 4)};
                    const bool wanted = l->level == CK_FULL ? f == 0 || (m + e) % 3 == s % 3
                                                            : (m + 4 * s + 2 * f) % 15 == 0 && e == (s + f) % 3;
                    if (wanted) add_case(l, p);
                }
}

static void list_slices(ck_list *l)
{
    static const int sliced[] = {12, 13, 14, 15, 17, 18};
    for (int i = 0; i < CK_COUNT(sliced); i++)
        for (int f = 0; f < CK_COUNT(formats); f++)
            for (int n = 0; n < CK_MASKS; n++)
                for (int k = 0; k < CK_MASKS; k++) {
                    const int turn = ((i * TURNS + f) * CK_MASKS + n) * CK_MASKS + k;
                    const int *s = shapes[sliced[i]];
                    const params p = {.m = row_counts[turn % 15],
                                      .n = s[0],
                                      .unit = s[1],
                                      .parts = s[2],
                                      .k = s[3],
                                      .by_n = (ck_mask)n,
                                      .by_k = (ck_mask)k,
                                      .a = formats[f][0],
                                      .c = formats[f][1],
                                      .epilogue = (dd_epilogue)(turn % 3),
                                      .rows = turn % 5 == 0 ? row_counts[turn % 15] / 2 : -1,
                                      .gap = s[1] % 32 && turn % 2 ? 32 - s[1] % 32 : 0,
                                      .how = CK_NORMAL};
                    if (l->level == CK_FULL ? f == 0 || (n + k) % 2 == i % 2 : (n + i + f) % 6 == k) add_case(l, p);
                }
}

static void list_rest(ck_list *l)
{
    static const int kept[][2] = {{9, 0}, {9, 1}, {9, 9}, {70, 0}, {70, 33}, {70, 70}, {65, 64}};
    static const params deep[] = {
        {.m = 17, .n = 56, .unit = 56, .k = 2400, .rows = -1, .how = CK_NORMAL},
        {.m = 9, .n = 48, .unit = 48, .k = 2500, .epilogue = DD_EPI_RESIDUAL, .rows = -1, .how = CK_OUTLIERS},
        {.m = 68, .n = 40, .unit = 40, .k = 3000, .by_k = CK_ALTERNATE, .rows = -1, .how = CK_UNIFORM},
        {.m = 33, .n = 64, .unit = 64, .k = 577, .epilogue = DD_EPI_GELU, .rows = -1, .how = CK_NORMAL},
        {.m = 77, .n = 216, .unit = 72, .k = 1216, .rows = -1, .how = CK_NORMAL},
        {.m = 600, .n = 96, .unit = 32, .k = 16, .by_n = CK_ALTERNATE, .epilogue = DD_EPI_GELU, .rows = -1},
        {.m = 1100, .n = 64, .unit = 64, .k = 8, .rows = 1027, .how = CK_NORMAL},
    };
    /* Rows at multiples of 16 bytes, and a last run of columns, units or gates that vectors do not fit. */
    static const params ragged[] = {
        {.m = 20, .n = 45, .unit = 45, .k = 72, .rows = -1, .how = CK_NORMAL},
        {.m = 20, .n = 45, .unit = 45, .k = 72, .epilogue = DD_EPI_RESIDUAL, .rows = 13, .how = CK_NORMAL},
        {.m = 20, .n = 48, .unit = 24, .k = 72, .rows = -1, .gap = 3, .how = CK_NORMAL},
        {.m = 36,
         .n = 144,
         .unit = 48,
         .k = 24,
         .by_n = CK_ALTERNATE,
         .epilogue = DD_EPI_RESIDUAL,
         .rows = 21,
         .how = CK_NORMAL},
    };
    for (int f = 0; f < CK_COUNT(formats); f++) {
        params p = {.n = 96, .unit = 32, .k = 40, .by_k = CK_ALTERNATE, .a = formats[f][0], .c = formats[f][1]};
        for (int i = 0; i < CK_COUNT(kept); i++)
            for (int e = 0; e <= DD_EPI_RESIDUAL; e++) {
                p.m = kept[i][0];
                p.rows = kept[i][1];
                p.epilogue = (dd_epilogue)e;
                p.how = CK_NORMAL;
                if (l->level == CK_FULL || (i + f) % 3 == e) add_case(l, p);
            }
        for (int i = 0; i < CK_COUNT(deep); i++) {
            params d = deep[i];
            d.a = formats[f][0];
            d.c = formats[f][1];
            if (l->level == CK_FULL || (i + f) % 4 == 0) add_case(l, d);
        }
        for (int i = 0; i < CK_COUNT(ragged); i++) {
            params r = ragged[i];
            r.a = formats[f][0];
            r.c = formats[f][1];
            if (r.gap == 0 || r.c != DD_FMT_BF16_BLOCKS) add_case(l, r); /* blocks need units of whole chunks */
        }
        p = (params){.m = 33, .n = 72, .unit = 24, .k = 72, .a = formats[f][0], .c = formats[f][1], .rows = -1};
        for (int how = 0; how < CK_PATTERNS; how++)
            for (int e = 0; e <= DD_EPI_RESIDUAL; e++) {
                p.how = (ck_pattern)how;
                p.epilogue = (dd_epilogue)e;
                if (l->level == CK_FULL || (how + f) % 3 == e) add_case(l, p);
            }
        p.how = CK_NORMAL;
        p.m = 10;
        for (int e = 0; e <= DD_EPI_RESIDUAL; e++) {
            p.epilogue = (dd_epilogue)e;
            p.stored = e == 0 ? DD_F16 : DD_BF16;
            add_case(l, p);
            p.stored = DD_F32;
            p.no_bias = true;
            add_case(l, p);
            p.no_bias = false;
            p.nan = true;
            add_case(l, p);
            p.nan = false;
            p.large = true;
            if (p.c == DD_FMT_F16) add_case(l, p);
            p.large = false;
        }
    }
}

static void list_real(ck_list *l)
{
    static const struct {
        const char *name;
        int width, heads;
    } dits[] = {
#define DD_SHAPE(name, width, heads, blocks) {#name, width, heads},
#include "bench/shapes.def"
#undef DD_SHAPE
    };
    for (int i = 0; i < CK_COUNT(dits); i++)
        for (int f = 0; f < CK_COUNT(formats); f++) {
            const int d = dits[i].width, h = dits[i].heads, e = d / h, m = l->level == CK_FULL ? 37 : 5;
            const ck_mask half = i % 2 ? CK_ALTERNATE : CK_RANDOM;
            const int gap = ck_format_bytes(formats[f][0]) == 4 ? 0 : (3 * e + 31) / 32 * 32 - 3 * e;
            const params all[] = {
                {.n = 3 * d, .unit = 3 * e, .parts = 3, .k = d, .by_n = half, .gap = gap, .rows = -1},
                {.n = d, .unit = d, .k = d, .k_unit = e, .by_k = half, .epilogue = DD_EPI_RESIDUAL, .rows = -1},
                {.n = 4 * d, .unit = 4 * d / h, .k = d, .by_n = half, .epilogue = DD_EPI_GELU, .rows = m / 2},
                {.n = d,
                 .unit = d,
                 .k = 4 * d,
                 .k_unit = 4 * d / h,
                 .by_k = half,
                 .epilogue = DD_EPI_RESIDUAL,
                 .rows = m / 2}};
            if (l->level == CK_QUICK && i % 3 != 0) continue; /* the smallest and the largest */
            for (int g = 0; g < CK_COUNT(all); g++) {
                params p = all[g];
                p.m = m;
                p.a = formats[f][0];
                p.c = formats[f][1];
                p.how = CK_NORMAL;
                if (l->level == CK_QUICK && (g + f + i) % 4 != 0) continue;
                add_case(l, p);
            }
        }
}

static void list(ck_list *l)
{
    list_shapes(l);
    list_slices(l);
    list_rest(l);
    list_real(l);
}

static const char *unsupported(const ck_impl *impl, const void *q)
{
    const params *p = q;
    return ck_impl_reads(impl, p->a) && ck_impl_writes_rows(impl, p->a, p->c) ? NULL : "format";
}

/* ---- one case ---- */

/* What the expectation needs, compact along both axes. */
typedef struct work {
    const params *p;
    const dd_gemm_args *g;
    const int32_t *n_list, *k_list;
    int64_t n, k, live, c_unit, width;
    float *a, *w; /* [live,k], [n,k] */
    ck_matrix c;
} work;

static int64_t result_column(const work *w, int64_t i) { return i / w->p->unit * w->c_unit + i % w->p->unit; }

static double bound_of(const work *w, int64_t item, int64_t i, double sum, double want, double old, double gate)
{
    const params *p = w->p;
    const double k = (double)w->k, cond = ck_abs_dot(w->a + item * w->k, w->w + i * w->k, w->k);
    const double bias = p->no_bias ? 0 : fabs((double)w->g->bias[ck_column(w->n_list, i)]);
    const double root = p->a == DD_FMT_TF32 ? 10 * sqrt(k) : 6 * sqrt(k);
    const double c = (p->how == CK_CONSTANT ? k : fmin(k, root)) + 3;
    const double flush = p->a == DD_FMT_F32 ? (k + 2) * 0x1p-149 : (3 * k + 4) * CK_FLUSH;
    const double b = c * CK_EPS * (cond + bias) + flush;
    const double z = 1.5957691216 * fabs(sum) * (1 + 0.044715 * sum * sum);
    switch (p->epilogue) {
    case DD_EPI_BIAS: return b;
    case DD_EPI_GELU: return 1.13 * b + (CK_EPS * (8 + 4 * fmin(z, 110)) + ck_approx(p->c)) * fabs(want) + 0x1p-124;
    case DD_EPI_RESIDUAL: break;
    }
    return fabs(gate) * b + 2 * CK_EPS * (fabs(old) + fabs(want) + fabs(gate * sum)) + 0x1p-149;
}

static float naive_of(const work *w, int64_t item, int64_t i, float old, float gate)
{
    const float *a = w->a + item * w->k, *b = w->w + i * w->k;
    float acc = 0;
    for (int64_t k = 0; k < w->k; k++) acc += a[k] * b[k];
    if (!w->p->no_bias) acc += w->g->bias[ck_column(w->n_list, i)];
    switch (w->p->epilogue) {
    case DD_EPI_BIAS: return acc;
    case DD_EPI_GELU: return 0.5f * acc * (1 + tanhf(0.797884561f * (acc + 0.044715f * acc * acc * acc)));
    case DD_EPI_RESIDUAL: break;
    }
    return old + gate * acc;
}

static void expect_row(ck_case *c, const work *w, int64_t item, const float *want, bool with_naive)
{
    const dd_gemm_args *g = w->g;
    const bool residual = g->epilogue == DD_EPI_RESIDUAL;
    const int64_t row = residual && g->rows.idx ? g->rows.idx[item] : item;
    const float *gates = residual ? dd_cond_at(&g->gate, c->step, row / g->s) + g->gate_off : NULL;
    for (int64_t i = 0; i < w->n; i++) {
        const int64_t n = ck_column(w->n_list, i), col = result_column(w, i);
        const double exact = (double)want[row * w->width + col], gate = gates ? (double)gates[n] : 0;
        const double old = residual ? (double)ck_matrix_get(&w->c, row, col) : 0;
        double sum = w->p->no_bias ? 0 : (double)g->bias[n]; /* only GELU and the residual need it, roughly */
        if (residual) sum = gate != 0 ? (exact - old) / gate : 0;
        else if (g->epilogue == DD_EPI_GELU)
            for (int64_t k = 0; k < w->k; k++) sum += (double)w->a[item * w->k + k] * w->w[i * w->k + k];
        const float naive = with_naive ? naive_of(w, item, i, (float)old, (float)gate)
                                       : dd_f32_from_bits(CK_POISON_F32);
        ck_expect_near(w->c.t, ck_matrix_at(&w->c, row, col), exact, bound_of(w, item, i, sum, exact, old, gate),
                       naive);
    }
    if (w->c_unit != w->p->unit)
        for (int64_t col = 0; col < w->width; col++)
            if (col % w->c_unit >= w->p->unit) ck_expect_kind(w->c.t, ck_matrix_at(&w->c, row, col), CK_FREE);
}

static void expect(ck_case *c, work *w)
{
    const params *p = w->p;
    const float *rows = c->weight.rows;
    float *want = ck_alloc((size_t)(p->m * w->width + 1) * sizeof *want);
    dd_gemm_args g = *w->g;
    g.c = want;
    g.c_format = DD_FMT_F32;
    g.ldc = w->width;
    if (p->epilogue == DD_EPI_RESIDUAL)
        for (int64_t row = 0; row < p->m; row++)
            for (int64_t i = 0; i < w->width; i++) want[row * w->width + i] = ck_matrix_get(&w->c, row, i);
    ck_reference(c, &(dd_op_args){.gemm = g});
    w->w = ck_alloc((size_t)(w->n * w->k + 1) * sizeof *w->w);
    for (int64_t i = 0; i < w->n; i++)
        for (int64_t k = 0; k < w->k; k++)
            w->w[i * w->k + k] = rows[ck_column(w->n_list, i) * p->k + ck_column(w->k_list, k)];
    const bool naive = w->live * w->n * w->k < 4000000;
    for (int64_t item = 0; item < w->live; item++) expect_row(c, w, item, want, naive);
    ck_matrix_finish(&w->c, w->live, w->width);
    if (p->nan) c->no_naive = true;
    free(want);
    free(w->w);
}

static uint64_t least_work(const void *q)
{
    const params *p = q;
    return (uint64_t)p->m * (uint64_t)(p->n * p->k);
}

static void build(ck_case *c)
{
    const params *p = c->params;
    dd_gemm_args *g = &c->args.gemm;
    work w = {.p = p, .g = g, .c_unit = p->unit + p->gap, .live = p->rows >= 0 ? p->rows : p->m};
    ck_weight_open(c, p->n, p->k, p->unit, p->parts, p->stored, dd_format_dtype(p->a), CK_NORMAL);
    *g = (dd_gemm_args){.a_format = p->a, .c_format = p->c, .m = p->m, .epilogue = p->epilogue, .s = TOKENS};
    g->n = ck_slices(c, "n_slices", p->n, p->unit, p->by_n, &w.n_list);
    g->k = ck_slices(c, "k_slices", p->k, p->k_unit, p->by_k, &w.k_list);
    w.n = ck_active(w.n_list, p->n);
    w.k = ck_active(w.k_list, p->k);
    w.width = p->gap ? w.n / p->unit * w.c_unit : w.n;
    g->c_unit = p->gap ? w.c_unit : 0;
    /* Rows of a begin at multiples of 16 bytes in half of the cases, those of c in some of these: kernels may then read and
     * write in another way. In those rows of a lie beside each other where they can, so that nothing is behind the last. */
    const int64_t up = DD_CHUNK - w.k % DD_CHUNK;
    const int64_t more = p->m % 4 == 0 ? up % DD_CHUNK : p->m % 2 == 0 ? up : ck_format_bytes(p->a) == 4 ? 3 : 2;
    g->lda = ck_ld(p->a, w.k, more);
    g->ldc = ck_ld(p->c, w.width, p->m % 4 == 0 ? DD_CHUNK - w.width % DD_CHUNK : ck_format_bytes(p->c) == 4 ? 5 : 2);
    if (!p->no_bias) g->bias = ck_in_f32(c, "bias", (size_t)p->n, CK_NORMAL);
    if (p->rows >= 0) g->rows = ck_row_list(c, p->m, p->rows);
    if (p->epilogue == DD_EPI_RESIDUAL) {
        g->gate = ck_cond_table(c, "gate", (p->m + TOKENS - 1) / TOKENS, p->n + 4, CK_NORMAL);
        g->gate_off = 4;
    }
    const ck_matrix a = ck_matrix_open(c, "a", p->a, p->m, g->lda, false);
    w.c = ck_matrix_open(c, "c", p->c, p->m, g->ldc, true);
    g->a = a.t->p;
    g->c = w.c.t->p;
    w.a = ck_alloc((size_t)(w.live * w.k + 1) * sizeof *w.a);
    ck_fill(&c->rng, w.a, (size_t)(w.live * w.k), p->how);
    if (p->large) /* results of 2 x 17000 on the average; inputs stay below 65504 */
        for (int64_t i = 0; i < w.live * w.k; i++) w.a[i] *= 17000;
    if (p->nan && w.live > 1 && w.k > 0) w.a[w.k + w.k / 2] = dd_f32_from_bits(0x7fc00000);
    for (int64_t row = 0; row < w.live; row++)
        for (int64_t k = 0; k < w.k; k++) {
            ck_matrix_set(&a, row, k, w.a[row * w.k + k]);
            w.a[row * w.k + k] = ck_matrix_get(&a, row, k);
        }
    ck_matrix_finish(&a, w.live, w.k);
    if (p->epilogue == DD_EPI_RESIDUAL)
        for (int64_t row = 0; row < p->m; row++)
            for (int64_t i = 0; i < w.width; i++) ck_matrix_set(&w.c, row, i, (float)ck_rng_normal(&c->rng));
    c->zeros_ok = p->no_bias && (p->how == CK_ZEROS || w.k == 0);
    c->zeros_ok |= p->how == CK_ZEROS || p->how == CK_SMALL;
    expect(c, &w);
    free(w.a);
}

static void bind(dd_op_args *args, const dd_packed *w) { args->gemm.w = w; }

/* ---- a value does not depend on the rows beside it, nor on the other columns in force ---- */

static void clear_map(ck_case *c)
{
    for (size_t i = 0; i < c->tensors[c->n_tensors - 1].n; i++) c->variant_map[i] = CK_UNTOUCHED;
}

static ck_matrix result_of(ck_case *c)
{
    const params *p = c->params;
    return (ck_matrix){&c->tensors[c->n_tensors - 1], p->c, p->m, c->args.gemm.ldc};
}

static bool some_rows(ck_case *c, int first, int count)
{
    const params *p = c->params;
    dd_gemm_args *g = &c->variant_args.gemm;
    const ck_matrix m = result_of(c);
    const int64_t bytes = ck_format_bytes(p->a), out_bytes = ck_format_bytes(p->c);
    clear_map(c);
    g->a = (const char *)g->a + first * g->lda * bytes;
    g->c = (char *)g->c + first * g->ldc * out_bytes;
    g->m = count;
    const int64_t end = p->c == DD_FMT_BF16_BLOCKS ? (first + count + 31) / 32 * 32 : first + count;
    for (int64_t row = first; row < end; row++)
        for (int64_t col = 0; col < g->ldc; col++) {
            const int64_t i = ck_matrix_at(&m, row, col);
            const ck_kind kind = m.t->expect[i].kind;
            if (row >= first + count || kind == CK_FREE) c->variant_map[i] = CK_UNSEEN;
            else if (kind != CK_KEEP) c->variant_map[i] = i;
        }
    return true;
}

static bool some_columns(ck_case *c, ck_mask how)
{
    const params *p = c->params;
    dd_gemm_args *g = &c->variant_args.gemm;
    const ck_matrix m = result_of(c);
    const int64_t unit = p->unit, c_unit = unit + p->gap, live = p->rows >= 0 ? p->rows : p->m;
    int32_t *list = c->variant_lists[0];
    int64_t slot = 0;
    clear_map(c);
    list[0] = 0;
    for (int64_t u = 0; u < p->n / unit; u++) {
        if (how == CK_ONE ? u != 1 : u % 2 != 0) continue;
        for (int64_t i = 0; i < unit / DD_CHUNK; i++) list[++list[0]] = (int32_t)(u * (unit / DD_CHUNK) + i);
        for (int64_t row = 0; row < live; row++)
            for (int64_t i = 0; i < unit; i++)
                c->variant_map[ck_matrix_at(&m, row, slot * c_unit + i)] = ck_matrix_at(&m, row, u * c_unit + i);
        slot++;
    }
    for (size_t i = 0; i < m.t->n; i++) /* gaps and the tail of blocks, which other cases look at */
        if (c->variant_map[i] == CK_UNTOUCHED && m.t->expect[i].kind != CK_KEEP) c->variant_map[i] = CK_UNSEEN;
    memset(c->variant_lists[1], 0, sizeof c->variant_lists[1]);
    g->n = (dd_slices){.pool = list, .offset = c->variant_lists[1]};
    return true;
}

static bool variant(ck_case *c, int i)
{
    const params *p = c->params;
    const bool blocks = p->a == DD_FMT_BF16_BLOCKS || p->c == DD_FMT_BF16_BLOCKS,
               residual = p->epilogue == DD_EPI_RESIDUAL;
    const int starts[] = {0, 0, p->m / 2, p->m - 1}, counts[] = {1, (p->m + 1) / 2, p->m - p->m / 2, 1};
    int k = i;
    c->variant_args = c->args;
    if (p->rows < 0 && p->m > 1)
        for (int j = 0; j < CK_COUNT(starts); j++) {
            const int first = blocks     ? starts[j] / DD_BLOCK * DD_BLOCK
                              : residual ? starts[j] / TOKENS * TOKENS
                                         : starts[j];
            if (residual && first > 0) continue; /* the gates would be those of other rows */
            if (k-- == 0) return some_rows(c, first, counts[j] < p->m - first ? counts[j] : p->m - first);
        }
    if (p->by_n == CK_NULL && p->unit < p->n && p->unit % DD_CHUNK == 0 && !residual)
        for (int how = CK_ONE; how <= CK_ALTERNATE; how++)
            if (k-- == 0) return some_columns(c, (ck_mask)how);
    return false;
}

const ck_op ck_op_gemm = {.id = DD_OP_gemm,
                          .list = list,
                          .unsupported = unsupported,
                          .least_work = least_work,
                          .build = build,
                          .bind = bind,
                          .variant = variant};
