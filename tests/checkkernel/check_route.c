/* SPDX-License-Identifier: MIT
 * Token router. What is right: the logit in double, rounded to float32, against DD_LOGIT_ON.
 *
 * Bound, u = 2^-24, s = sum |x w| + |b1|. A hidden unit errs by (D + 3) u s, a logit by that times |w2| and by (J + 3) u of its
 * own terms. Closer to the threshold than this a decision is free, but the same in every run; list, count, mask and
 * statistics must agree with each other always. "edge" cases have logits of exactly b2, next to the threshold: no
 * decision is free there. In "sharp" cases one hidden unit decides, and the last value of every token puts its logit at 1.5
 * times the bound, above and below by turns: what errs by more than 2.5 of it decides half of the tokens otherwise.
 *
 * Split products (kernels/cuda/route_mma.cu) have a bound of their own, (D/8 + 41) u s, below that of float32 from D = 44 on;
 * where they are allowed, the larger of the two holds, but in sharp cases on a device its own.
 * - Parts. x = X + x' + e with |x'| <= 2^-11 |x|, for TF32 has 11 bits, and |e| <= 2^-22 |x|; w likewise. Of x w the terms
 *   x'w', X f and e W are left out: 3 x 2^-22 |x w| (1 + 2^-10) < 13 u |x w|.
 * - Sums within 8 values of K. The two products with a small part are below 2^-10 of the third: their own errors are below 2^-5 u.
 *   In the third, 8 products and twice the sum before (4 are added at a time, or 8) are cut by less than 2 u of the largest term, and
 *   twice the sum: 2 u (8 + 2 + 2) s.
 * - D/8 sums of these are added with a rounding each, then b1; +3 as in float32. */
#include <math.h>
#include <stdlib.h>

#include "tests/checkkernel/check.h"

typedef enum source { SCORED, EDGE, FORCED, SHARP } source;

typedef struct params {
    int r, s, d, j;
    source from;
    int detail; /* EDGE: ulps above the threshold; FORCED: ck_mask; SHARP: the hidden unit */
    bool stats, nan, split;
    ck_pattern how;
} params;

static void add_case(ck_list *l, params p)
{
    static const char *const sources[] = {"scored", "edge", "forced", "sharp"};
    ck_list_add(l, &p, sizeof p, "r%d,s%d,d%d,j%d,%s%+d,%s,%s%s%s", p.r, p.s, p.d, p.j, sources[p.from], p.detail,
                ck_pattern_name(p.how), p.stats ? "stats" : "plain", p.nan ? ",nan" : "", p.split ? ",split" : "");
}

static void list(ck_list *l)
{
    static const int dims[][2] = {{32, 2}, {192, 12}, {64, 8}, {33, 7}, {100, 61}, {1152, 72}};
    for (int i = 0; i < CK_COUNT(dims); i++)
        for (int how = 0; how < CK_PATTERNS; how++) {
            params p = {
                .r = 1, .s = 1, .d = dims[i][0], .j = dims[i][1], .how = (ck_pattern)how, .stats = (i + how) & 1};
            if (l->level == CK_FULL) add_case(l, p);
            p.r = 3;
            p.s = 27;
            if (l->level == CK_FULL || (i + how) % 4 == 0) add_case(l, p);
            p.split = true;
            if (l->level == CK_FULL || (i + how) % 4 == 1) add_case(l, p);
        }
    for (int i = 0; i < 12; i++) {
        params p = {.r = 2, .s = 60, .d = dims[i % 6][0], .j = dims[i % 6][1], .from = SHARP, .split = i >= 6};
        p.how = i % 2 ? CK_NORMAL : CK_UNIFORM;
        p.detail = (5 * i + 3) % p.j;
        add_case(l, p);
        p.how = CK_OUTLIERS;
        if (l->level == CK_FULL) add_case(l, p);
    }
    /* More tokens than small blocks are for. */
    params many = {.r = 3, .s = 2731, .d = 16, .j = 40, .from = SHARP, .detail = 33, .split = true, .how = CK_NORMAL};
    add_case(l, many);
    many.d = 20, many.j = 9, many.detail = 8, add_case(l, many);
    many.d = 12, many.j = 73, many.detail = 72, add_case(l, many);
    add_case(l, (params){.r = 2, .s = 5, .d = 64, .j = 8, .how = CK_NORMAL, .nan = true, .split = true});
    add_case(l, (params){.r = 3, .s = 27, .d = 64, .j = 40, .how = CK_NORMAL, .split = true});
    add_case(l,
             (params){.r = 7, .s = l->level == CK_FULL ? 100 : 31, .d = 64, .j = 60, .how = CK_NORMAL, .stats = true});
    add_case(l, (params){.r = 2, .s = 5, .d = 64, .j = 8, .how = CK_NORMAL, .stats = true, .nan = true});
    for (int u = -1; u <= 1; u++)
        for (int split = 0; split < 2; split++)
            add_case(l, (params){.r = 2,
                                 .s = 33,
                                 .d = 16,
                                 .j = 4,
                                 .from = EDGE,
                                 .detail = u,
                                 .how = CK_NORMAL,
                                 .stats = true,
                                 .split = split});
    for (int m = CK_NONE; m < CK_MASKS; m++)
        add_case(
            l,
            (params){.r = 2, .s = 165, .d = 16, .j = 4, .from = FORCED, .detail = m, .how = CK_NORMAL, .stats = m & 1});
}

/* Of a hidden unit, in units of 2^-24 of its terms. */
static double unit_bound(const params *p)
{
    const double f32 = p->d + 3, split = p->d / 8.0 + 41;
    if (!p->split) return f32;
    return p->from == SHARP ? split : fmax(f32, split);
}

/* Sure: 0 or 1; else -1. */
static int decide(const ck_case *c, const dd_route_args *g, int64_t token)
{
    const params *p = c->params;
    const float *x = g->x + token * g->d;
    double logit = g->b2[0], bound = CK_EPS * fabs(logit);
    for (int j = 0; j < g->j; j++) {
        const float *w = c->weight.rows + (int64_t)j * g->d;
        const double cond = ck_abs_dot(x, w, g->d) + fabs((double)g->b1[j]);
        double h = g->b1[j];
        for (int k = 0; k < g->d; k++) h += (double)x[k] * w[k];
        if (!(h <= 0)) logit += h * g->w2[j]; /* NaN goes through */
        bound += (unit_bound(p) + g->j + 3) * CK_EPS * cond * fabs((double)g->w2[j]) +
                 (p->split ? (3 * g->d + 4) * CK_FLUSH : g->d * 0x1p-149);
    }
    if (p->from == EDGE) return logit > (double)DD_LOGIT_ON;
    if (!dd_f32_finite((float)logit)) return 0; /* NaN is not greater */
    return fabs(logit - (double)DD_LOGIT_ON) <= bound ? -1 : logit > (double)DD_LOGIT_ON;
}

enum { MASK, IDX, COUNT, KEPT, HITS, N_OUT };

static void expect(ck_case *c, ck_tensor *const *out)
{
    const params *p = c->params;
    const dd_route_args *g = &c->args.route;
    const int n = p->r * p->s;
    int unsure = 0;
    for (int i = 0; i < n; i++) {
        const int on = g->forced ? g->forced[i] != 0 : decide(c, g, i);
        out[MASK]->expect[i] = (ck_expect){.want = on, .bits = (uint32_t)on, .kind = on < 0 ? CK_SAME : CK_BITS};
        unsure += on < 0;
        ck_expect_kind(out[IDX], i, CK_FREE); /* post() */
        if (p->stats) ck_expect_kind(out[HITS], i, CK_SAME);
    }
    ck_expect_kind(out[COUNT], 0, CK_SAME);
    if (p->stats) ck_expect_kind(out[KEPT], c->step, CK_SAME);
    /* One that leaves everything open would test nothing. */
    c->zeros_ok = unsure <= n / 4 || p->how == CK_MEAN100 || p->how == CK_OUTLIERS;
}

/* Where the weight is largest each token gets the value that makes its logit what it should be. */
static void sharpen(const ck_case *c, float *x, const float *b1, float *w2, float *b2)
{
    const params *p = c->params;
    const float *w = c->weight.rows + (int64_t)p->detail * p->d;
    int top = 0;
    for (int k = 1; k < p->d; k++)
        if (fabsf(w[k]) > fabsf(w[top])) top = k;
    for (int j = 0; j < p->j; j++) w2[j] = j == p->detail;
    b2[0] = -1;
    for (int i = 0; i < p->r * p->s; i++, x += p->d) {
        x[top] = 0;
        double rest = b1[p->detail];
        for (int k = 0; k < p->d; k++) rest += (double)x[k] * w[k];
        const double cond = ck_abs_dot(x, w, p->d) + fabs((double)b1[p->detail]) + fabs(1 - rest);
        const double off = 1.5 * ((unit_bound(p) + p->j + 3) * CK_EPS * cond + CK_EPS);
        x[top] = (float)((1 + (double)DD_LOGIT_ON + (i % 2 ? off : -off) - rest) / w[top]);
    }
}

static const char *unsupported(const ck_impl *impl, const void *q)
{
    const params *p = q;
    return p->from == SHARP && p->split && !impl->tf32 && !impl->all_formats ? "sums are whole here" : NULL;
}

static uint64_t least_work(const void *q)
{
    const params *p = q;
    return (uint64_t)((int64_t)p->r * p->s * p->d) * (uint64_t)p->j;
}

static void build(ck_case *c)
{
    const params *p = c->params;
    dd_route_args *g = &c->args.route;
    const size_t n = (size_t)(p->r * p->s), j = (size_t)p->j;
    *g = (dd_route_args){.r = p->r, .s = p->s, .d = p->d, .j = p->j};
    c->hidden = p->j;
    ck_weight_open(c, p->j, p->d, p->j, 1, DD_F32, DD_F32, CK_NORMAL);
    float *x = ck_in_f32(c, "x", n * (size_t)p->d, p->how), *b1 = ck_in_f32(c, "b1", j, CK_NORMAL);
    float *w2 = ck_in_f32(c, "w2", j, p->from == EDGE ? CK_ZEROS : CK_NORMAL), *b2 = ck_in_f32(c, "b2", 1, CK_NORMAL);
    if (p->from == SHARP) sharpen(c, x, b1, w2, b2);
    if (p->nan) { /* the token is off, as it would not be without its hidden units */
        x[p->d + 3] = dd_f32_from_bits(0x7fc00000);
        b2[0] = fabsf(b2[0]);
    }
    if (p->from == EDGE) b2[0] = dd_f32_from_bits(dd_f32_bits(DD_LOGIT_ON) + (uint32_t)p->detail);
    *g = (dd_route_args){
        .x = x, .b1 = b1, .w2 = w2, .b2 = b2, .split = p->split, .r = p->r, .s = p->s, .d = p->d, .j = p->j};
    if (p->from == FORCED) {
        uint8_t *forced = ck_in(c, "forced", DD_U8, n)->p;
        bool *on = ck_alloc(n);
        ck_mask_fill(&c->rng, on, (int)n, (ck_mask)p->detail);
        for (size_t i = 0; i < n; i++) forced[i] = on[i] ? (uint8_t)(1 + i % 255) : 0; /* any value but 0 is on */
        free(on);
        g->forced = forced;
    }
    ck_tensor *out[N_OUT] = {0};
    out[MASK] = ck_out(c, "mask", DD_U8, n);
    out[IDX] = ck_out(c, "idx", DD_I32, n);
    out[COUNT] = ck_out(c, "count", DD_I32, 1);
    g->mask = out[MASK]->p;
    g->idx = out[IDX]->p;
    g->count = out[COUNT]->p;
    if (p->stats) {
        out[KEPT] = ck_out(c, "kept", DD_I32, 4);
        out[HITS] = ck_out(c, "hits", DD_I32, n);
        g->kept = out[KEPT]->p;
        g->hits = out[HITS]->p;
        for (size_t i = 0; i < n; i++) g->hits[i] = (int32_t)(7 * i);
    }
    expect(c, out);
}

static void bind(dd_op_args *args, const dd_packed *w) { args->route.w1 = w; }

static const char *post(const ck_case *c)
{
    const dd_route_args *g = &c->args.route;
    int32_t n = 0;
    for (int32_t i = 0; i < g->r * g->s; i++) {
        if (g->mask[i] > 1) return "mask is neither 0 nor 1";
        if (g->hits && g->hits[i] != 7 * i + g->mask[i]) return "hits do not add the mask";
        if (g->mask[i] && g->idx[n++] != i) return "idx is not the ascending list of what mask keeps";
    }
    if (*g->count != n) return "count is not the sum of mask";
    return g->kept && g->kept[c->step] != n ? "kept[step] is not count" : NULL;
}

/* The last row of the batch alone. */
static bool variant(ck_case *c, int i)
{
    const params *p = c->params;
    dd_route_args *g = &c->variant_args.route;
    const int first = (p->r - 1) * p->s, n = p->r * p->s;
    if (i > 0 || p->r < 2 || p->s > 600) return false;
    for (int j = 0; j < n; j++) c->variant_map[j] = j < first ? CK_UNTOUCHED : j;
    c->variant_args = c->args;
    g->x += (int64_t)first * p->d;
    if (g->forced) g->forced += first;
    g->mask += first;
    g->idx = c->variant_lists[0];
    g->count = c->variant_lists[1];
    g->kept = g->hits = NULL;
    g->r = 1;
    return true;
}

const ck_op ck_op_route = {.id = DD_OP_route,
                           .list = list,
                           .unsupported = unsupported,
                           .least_work = least_work,
                           .build = build,
                           .bind = bind,
                           .post = post,
                           .variant = variant};
