/* SPDX-License-Identifier: MIT
 * Weighted sums of residual streams, with the LayerNorm of the sum. What is right: dd_ref_depth_average on the same inputs.
 *
 * Bound of y, u = 2^-24: each source rounds its product and the sum once, u (|w x| + |sum after it|) = e_j, and the
 * reference rounds once at the end. A single source of weight 1 is a copy: its bits.
 *
 * Bound of the LayerNorm: that of check_adaln.c on y, and what the errors e_j of y do to n = (y - mean) rstd. The mean moves
 * by at most mean(e). S = sqrt(variance + eps) is a norm of (y - mean, sqrt(eps)), so it moves by at most rms(e): with
 * q = rms(e) / S, 1/S changes by a factor of at most 1 / (1 - q). Together (e_j + mean(e)) rstd / (1 - q) + |n| q / (1 - q),
 * times |1 + scale|. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/checkkernel/check.h"

typedef struct params {
    int r, s, d, n;
    int in_place; /* this source is y; -1: none */
    bool norm;    /* with the LayerNorm, in format */
    bool copy;    /* one source of weight 1 */
    dd_format format;
    ck_pattern how;
} params;

static void add_case(ck_list *l, params p)
{
    ck_list_add(l, &p, sizeof p, "r%d,s%d,d%d,n%d,y=%d,%s,%s%s", p.r, p.s, p.d, p.n, p.in_place,
                p.norm ? dd_format_name(p.format) : "alone", ck_pattern_name(p.how), p.copy ? ",copy" : "");
}

static void list(ck_list *l)
{
    static const int widths[] = {1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 72, 127, 129, 132, 144, 1152};
    static const int counts[] = {1, 2, 3, 4, 5, 7, 12};
    int turn = 0;
    for (int f = DD_FMT_F32; f < DD_FMT_COUNT; f++)
        for (int i = 0; i < CK_COUNT(widths); i++)
            for (int how = 0; how < CK_PATTERNS; how++, turn++) {
                params p = {.r = 3, .s = 7, .d = widths[i], .n = counts[turn % CK_COUNT(counts)], .norm = true};
                p.in_place = turn % 3 ? -1 : turn / 3 % p.n;
                p.format = (dd_format)f;
                p.how = (ck_pattern)how;
                if (l->level == CK_FULL || (i + f) % CK_PATTERNS == how) add_case(l, p);
                p.norm = false;
                if (f == DD_FMT_F32 && (l->level == CK_FULL || i % CK_PATTERNS == how)) add_case(l, p);
            }
    params p = {.r = 2, .s = 16, .d = 40, .n = DD_MAX_SOURCES, .in_place = -1, .norm = true, .how = CK_NORMAL};
    add_case(l, p);
    p.n = 29, p.in_place = 28; /* the last one of DiT-XL */
    add_case(l, p);
    p.n = 1, p.in_place = -1, p.copy = true, p.how = CK_SMALL; /* subnormals and all */
    add_case(l, p);
    p.d = 33;
    add_case(l, p);
}

static const char *unsupported(const ck_impl *impl, const void *p)
{
    const params *q = p;
    return !q->norm || ck_impl_reads(impl, q->format) ? NULL : "format";
}

/* A row of y with the errors it may have. */
typedef struct row {
    double *y, *error;
    float *naive;
} row;

static void sum_row(const dd_depth_average_args *g, int64_t first, const row *out)
{
    for (int64_t j = 0; j < g->d; j++) {
        double sum = 0, error = 0;
        float naive = 0;
        for (int i = 0; i < g->n; i++) {
            const float x = g->x[i][first + j];
            const double part = (double)g->weight[i] * (double)x;
            sum += part;
            error += CK_EPS * (fabs(part) + fabs(sum)) + 0x1p-149;
            naive += g->weight[i] * x;
        }
        out->y[j] = sum;
        out->error[j] = error * (1 + 64 * CK_EPS);
        out->naive[j] = naive;
    }
}

static void expect_y(ck_tensor *t, const params *p, int64_t first, const row *in, const float *want)
{
    for (int64_t j = 0; j < p->d; j++) {
        const int64_t at = first + j;
        if (p->copy) t->expect[at] = (ck_expect){.want = in->y[j], .bits = dd_f32_bits(want[at]), .kind = CK_BITS};
        else ck_expect_near(t, at, (double)want[at], in->error[j] + CK_EPS * fabs(in->y[j]), in->naive[j]);
    }
}

static void expect_norm(ck_case *c, const ck_matrix *h, int64_t at, const row *in, const float *want)
{
    const dd_depth_average_args *g = &c->args.depth_average;
    const float *cond = dd_cond_at(&g->norm.cond, c->step, at / g->s);
    const int64_t d = g->d;
    double mean = 0, var = 0, max = 0, off = 0, rms = 0;
    float naive_mean = 0, naive_var = 0;
    for (int64_t j = 0; j < d; j++) {
        mean += in->y[j] / (double)d;
        off += in->error[j] / (double)d;
        rms += in->error[j] * in->error[j] / (double)d;
        max = fmax(max, fabs(in->y[j]));
        naive_mean += in->naive[j] / (float)d;
    }
    for (int64_t j = 0; j < d; j++) {
        var += (in->y[j] - mean) * (in->y[j] - mean) / (double)d;
        naive_var += (in->naive[j] - naive_mean) * (in->naive[j] - naive_mean) / (float)d;
    }
    const double rstd = 1 / sqrt(var + (double)g->norm.eps), q = sqrt(rms) * rstd;
    const float naive_rstd = 1.0f / sqrtf(naive_var + g->norm.eps);
    for (int64_t j = 0; j < d; j++) {
        const double norm = fabs((in->y[j] - mean) * rstd), up = fabs(1 + (double)cond[g->norm.scale + j]);
        const double w = (double)want[at * d + j];
        const double moved = ((in->error[j] + off) * rstd + norm * q) / (1 - q);
        const double bound = 8 * CK_EPS * (norm + max * rstd) * up + 2 * CK_EPS * (norm * up + fabs(w)) + 2 * CK_FLUSH +
                             moved * up;
        const float naive = (in->naive[j] - naive_mean) * naive_rstd * (1 + cond[g->norm.scale + j]) +
                            cond[g->norm.shift + j];
        ck_expect_near(h->t, ck_matrix_at(h, at, j), w, bound, naive);
    }
}

/* What the reference makes of it, y and, in float32, norm.y: [R*S,D] each. */
static void reference(ck_case *c, float *y, float *h)
{
    dd_depth_average_args a = c->args.depth_average;
    a.y = y;
    a.norm.x = y;
    if (a.norm.y) a.norm.y = h, a.norm.y_format = DD_FMT_F32, a.norm.ldy = a.d;
    ck_reference(c, &(dd_op_args){.depth_average = a});
}

static void open_sources(ck_case *c)
{
    const params *p = c->params;
    dd_depth_average_args *g = &c->args.depth_average;
    const int64_t rows = (int64_t)p->r * p->s;
    *g = (dd_depth_average_args){.n = p->n, .r = p->r, .s = p->s, .d = p->d};
    g->y = ck_matrix_open(c, "y", DD_FMT_F32, rows, p->d, true).t->p;
    float *x = ck_matrix_open(c, "x", DD_FMT_F32, rows * p->n, p->d, false).t->p;
    for (int i = 0; i < p->n; i++) {
        float *one = i == p->in_place ? g->y : x + i * rows * p->d; /* what nobody reads stays NaN */
        ck_fill(&c->rng, one, (size_t)(rows * p->d), p->how);
        g->x[i] = one;
        g->weight[i] = p->copy ? 1.0f : (float)ck_rng_normal(&c->rng);
    }
}

static void build(ck_case *c)
{
    const params *p = c->params;
    dd_depth_average_args *g = &c->args.depth_average;
    const int64_t rows = (int64_t)p->r * p->s, d = p->d;
    const size_t n = (size_t)(rows * d);
    open_sources(c);
    ck_tensor *y = &c->tensors[0];
    if (p->copy) ((float *)(uintptr_t)g->x[0])[0] = -0.0f;
    ck_matrix h = {0};
    if (p->norm) {
        const float eps = d % 2 ? 1e-5f : DD_LN_EPS;
        g->norm = (dd_adaln_args){
            .x = g->y, .eps = eps, .shift = 2, .scale = d + 3, .r = p->r, .s = p->s, .d = p->d, .y_format = p->format};
        g->norm.ldy = ck_ld(p->format, d, p->format == DD_FMT_F32 ? 3 : 2);
        g->norm.cond = ck_cond_table(c, "cond", p->r, 2 * d + 6, CK_NORMAL);
        h = ck_matrix_open(c, "h", p->format, rows, g->norm.ldy, true);
        g->norm.y = h.t->p;
    }
    float *want = ck_alloc(n * sizeof *want), *norm = ck_alloc(n * sizeof *norm);
    double *numbers = ck_alloc(2 * (size_t)d * sizeof *numbers);
    const row one = {numbers, numbers + d, ck_alloc((size_t)d * sizeof(float))};
    reference(c, want, norm);
    for (int64_t i = 0; i < rows; i++) {
        sum_row(g, i * d, &one);
        expect_y(y, p, i * d, &one, want);
        if (p->norm) expect_norm(c, &h, i, &one, norm);
    }
    if (p->norm) ck_matrix_finish(&h, rows, d);
    c->zeros_ok = p->how == CK_ZEROS || p->how == CK_SMALL;
    free(want), free(norm), free(numbers), free(one.naive);
}

/* y alone, of all rows and of the first ones. */
static bool variant(ck_case *c, int i)
{
    const params *p = c->params;
    dd_depth_average_args *g = &c->variant_args.depth_average;
    const int r = i == 0 ? p->r : 1;
    const int64_t live = (int64_t)r * p->s * p->d;
    if (i > 1) return false;
    for (int64_t j = 0; j < (int64_t)c->tensors[0].n; j++) c->variant_map[j] = j < live ? j : CK_UNTOUCHED;
    c->variant_args = c->args;
    g->norm = (dd_adaln_args){0};
    g->r = r;
    return true;
}

const ck_op ck_op_depth_average = {
    .id = DD_OP_depth_average, .list = list, .unsupported = unsupported, .build = build, .variant = variant};
