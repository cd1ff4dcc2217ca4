/* SPDX-License-Identifier: MIT
 * LayerNorm and modulation. What is right: dd_ref_adaln on the same inputs, with a float32 result.
 *
 * Bound, u = 2^-24, n = (x - mean) rstd: mean, variance and the two subtractions, in two passes and with sums of at most
 * D / 16 terms one after the other, are 8 u (|n| + max |x| rstd); a one-pass variance is not within it once the mean is
 * large. Modulation multiplies that by |1 + scale| and adds two roundings. Flushed subnormals: 2^-126 each of two. */
#include <math.h>
#include <stdlib.h>

#include "tests/checkkernel/check.h"

typedef struct params {
    int r, s, d, rows;
    dd_format y;
    ck_pattern how;
    bool nan;
} params;

static void add_case(ck_list *l, params p)
{
    ck_list_add(l, &p, sizeof p, "r%d,s%d,d%d,%s,rows=%d,%s%s", p.r, p.s, p.d, dd_format_name(p.y), p.rows,
                ck_pattern_name(p.how), p.nan ? ",nan" : "");
}

static void list(ck_list *l)
{
    static const int widths[] = {
        1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 37, 63, 64, 65, 127, 128, 72, 129, 144, 192,
#define DD_SHAPE(name, width, heads, blocks) width,
#include "bench/shapes.def"
#undef DD_SHAPE
    };
    int turn = 0;
    for (int f = DD_FMT_F32; f < DD_FMT_COUNT; f++) {
        for (int d = 0; d < CK_COUNT(widths); d++)
            for (int how = 0; how < CK_PATTERNS; how++, turn++) {
                params p = {.r = 8, .s = 5, .d = widths[d], .rows = -1, .y = (dd_format)f, .how = (ck_pattern)how};
                if (l->level == CK_FULL || (d + f) % CK_PATTERNS == how) add_case(l, p);
                p.r = 3;
                p.s = 7;
                p.rows = turn % 22;
                if (l->level == CK_FULL || (d + f + 3) % CK_PATTERNS == how) add_case(l, p);
            }
        add_case(l, (params){.r = 2, .s = 4, .d = 64, .rows = 0, .y = (dd_format)f, .how = CK_NORMAL});
        add_case(l, (params){.r = 2, .s = 35, .d = 72, .rows = 67, .y = (dd_format)f, .how = CK_NORMAL});
        add_case(l, (params){.r = 2, .s = 5, .d = 72, .rows = -1, .y = (dd_format)f, .how = CK_NORMAL, .nan = true});
    }
}

static const char *unsupported(const ck_impl *impl, const void *p)
{
    return ck_impl_reads(impl, ((const params *)p)->y) ? NULL : "format";
}

static void expect_row(ck_case *c, const ck_matrix *y, int64_t i, int64_t row, const float *want)
{
    const dd_adaln_args *g = &c->args.adaln;
    const float *x = g->x + row * g->d, *cond = dd_cond_at(&g->cond, c->step, row / g->s);
    double mean = 0, var = 0, max = 0;
    float naive_mean = 0, naive_var = 0;
    for (int j = 0; j < g->d; j++) {
        mean += (double)x[j] / g->d;
        naive_mean += x[j];
        max = fmax(max, fabs((double)x[j]));
    }
    naive_mean /= (float)g->d;
    for (int j = 0; j < g->d; j++) {
        var += ((double)x[j] - mean) * ((double)x[j] - mean) / g->d;
        naive_var += (x[j] - naive_mean) * (x[j] - naive_mean);
    }
    const double rstd = 1 / sqrt(var + (double)g->eps);
    const float naive_rstd = 1.0f / sqrtf(naive_var / (float)g->d + g->eps);
    for (int j = 0; j < g->d; j++) {
        const double norm = fabs((x[j] - mean) * rstd), up = fabs(1 + (double)cond[g->scale + j]), w = (double)want[j];
        const double bound = 8 * CK_EPS * (norm + max * rstd) * up + 2 * CK_EPS * (norm * up + fabs(w)) + 2 * CK_FLUSH;
        const float naive = (x[j] - naive_mean) * naive_rstd * (1 + cond[g->scale + j]) + cond[g->shift + j];
        ck_expect_near(y->t, ck_matrix_at(y, i, j), w, bound, naive);
    }
}

static void build(ck_case *c)
{
    const params *p = c->params;
    dd_adaln_args *g = &c->args.adaln;
    const int64_t all = (int64_t)p->r * p->s, live = p->rows < 0 ? all : p->rows, d = p->d;
    /* The epsilons of official DiT and, in odd widths, of diffusers. */
    const float eps = d % 2 ? 1e-5f : DD_LN_EPS;
    *g = (dd_adaln_args){.eps = eps, .y_format = p->y, .shift = 2, .scale = d + 3, .r = p->r, .s = p->s, .d = p->d};
    g->ldy = ck_ld(p->y, d, p->y == DD_FMT_F32 ? 3 : 2);
    g->cond = ck_cond_table(c, "cond", p->r, 2 * d + 6, CK_NORMAL);
    if (p->rows >= 0) g->rows = ck_row_list(c, all, p->rows);
    float *x = ck_in(c, "x", DD_F32, (size_t)(all * d))->p; /* rows that are not listed stay NaN */
    for (int64_t i = 0; i < live; i++) ck_fill(&c->rng, x + (g->rows.idx ? g->rows.idx[i] : i) * d, (size_t)d, p->how);
    if (p->nan) x[d + d / 2] = dd_f32_from_bits(0x7fc00000);
    g->x = x;
    const ck_matrix y = ck_matrix_open(c, "y", p->y, all, g->ldy, true);
    g->y = y.t->p;
    float *want = ck_alloc((size_t)(all * d) * sizeof *want);
    dd_adaln_args a = *g;
    a.y = want;
    a.y_format = DD_FMT_F32;
    a.ldy = d;
    ck_reference(c, &(dd_op_args){.adaln = a});
    for (int64_t i = 0; i < live; i++) expect_row(c, &y, i, g->rows.idx ? g->rows.idx[i] : i, want + i * d);
    ck_matrix_finish(&y, live, d);
    free(want);
}

/* Gathered rows have the bits that they have among all. */
static bool variant(ck_case *c, int i)
{
    const params *p = c->params;
    dd_adaln_args *g = &c->variant_args.adaln;
    const int all = p->r * p->s;
    const ck_matrix y = {&c->tensors[c->n_tensors - 1], p->y, all, c->args.adaln.ldy};
    if (p->rows >= 0 || i > 2) return false;
    int32_t *idx = c->variant_lists[0], *count = c->variant_lists[1];
    *count = 0;
    for (int row = 0; row < all; row++)
        if (i == 0 ? row == 0 : i == 1 ? row == all - 1 : row % 2 == 1) idx[(*count)++] = row;
    for (size_t j = 0; j < y.t->n; j++) c->variant_map[j] = CK_UNTOUCHED;
    const int end = p->y == DD_FMT_BF16_BLOCKS ? (*count + 31) / 32 * 32 : *count;
    for (int row = 0; row < end; row++)
        for (int64_t col = 0; col < y.ld; col++) {
            const int64_t at = ck_matrix_at(&y, row, col);
            if (row >= *count) c->variant_map[at] = CK_UNSEEN;
            else if (y.t->expect[at].kind != CK_KEEP) c->variant_map[at] = ck_matrix_at(&y, idx[row], col);
        }
    c->variant_args = c->args;
    g->rows = (dd_row_list){.idx = idx, .count = count};
    return true;
}

const ck_op ck_op_adaln = {
    .id = DD_OP_adaln, .list = list, .unsupported = unsupported, .build = build, .variant = variant};
