/* SPDX-License-Identifier: MIT
 * Convolution. What is right: dd_ref_conv2d on the same inputs, with a float32 result.
 *
 * Bound: an output is a sum of K = ksize^2 C products, of which those outside of the picture are zero, and of bias and
 * residual: (min(K, 6 sqrt K) + 4) u (sum |a w| + |bias| + |residual|), u = 2^-24, as derived in check_gemm.c (K for equal
 * values; TF32 10 sqrt K), one rounding more for the residual. Flushed subnormals as there. A result of fewer bits is the
 * rounding of something within the bound (tensor.c).
 * A NaN in a pixel reaches the outputs that see that pixel and no other one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/checkkernel/picture.h"

typedef enum residual { NONE, APART, IN_PLACE } residual;

typedef struct params {
    int b, h, w, c, n, ksize, upsample;
    dd_format src, dst;
    residual residual;
    ck_pattern how;
    bool nan;
} params;

static void add_case(ck_list *l, params p)
{
    static const char *const residuals[] = {"", ",residual", ",residual=dst"};
    if (p.residual != NONE) p.dst = DD_FMT_F32;
    ck_list_add(l, &p, sizeof p, "b%d,h%d,w%d,c%d,n%d,k%d%s,%s-%s%s,%s%s", p.b, p.h, p.w, p.c, p.n, p.ksize,
                p.upsample ? ",up" : "", dd_format_name(p.src), dd_format_name(p.dst), residuals[p.residual],
                ck_pattern_name(p.how), p.nan ? ",nan" : "");
}

static const dd_format formats[][2] = {{DD_FMT_F32, DD_FMT_F32}, {DD_FMT_BF16, DD_FMT_BF16}, {DD_FMT_BF16, DD_FMT_F32},
                                       {DD_FMT_F16, DD_FMT_F16}, {DD_FMT_F16, DD_FMT_F32},   {DD_FMT_TF32, DD_FMT_TF32},
                                       {DD_FMT_TF32, DD_FMT_F32}};

/* b, h, w, c, n, ksize, upsample: single pixels, lines and columns, widths off every tile and panel, halves of a batch */
static const int shapes[][7] = {{1, 1, 1, 8, 8, 1, 0},
                                {1, 1, 1, 8, 8, 3, 0},
                                {1, 1, 9, 8, 16, 3, 0},
                                {1, 9, 1, 16, 8, 3, 0},
                                {2, 3, 5, 8, 24, 3, 0},
                                {1, 5, 7, 24, 40, 3, 0},
                                {3, 4, 4, 16, 8, 1, 0},
                                {1, 2, 2, 8, 8, 3, 1},
                                {2, 6, 4, 16, 24, 3, 1},
                                {1, 8, 8, 32, 48, 3, 0},
                                {1, 4, 33, 8, 56, 3, 0},
                                {2, 7, 10, 40, 104, 1, 0},
                                {1, 3, 3, 72, 32, 3, 0},
                                {1, 17, 9, 8, 8, 3, 0},
                                {1, 6, 6, 64, 64, 3, 1},
                                {1, 6, 12, 128, 16, 3, 0},
                                {1, 24, 24, 8, 56, 3, 0},
                                {1, 4, 6, 16, 8, 1, 1},
                                /* more channels than a line of zeros has, more of K than one slab */
                                {1, 1, 2, 1032, 8, 1, 0},
                                {1, 1, 1, 1032, 8, 3, 0}};

/* More channels than a line of zeros has, more of K than one slab, many items, as in a decoder */
static const int large[][7] = {{1, 2, 3, 1032, 8, 3, 0},    {1, 2, 5, 2056, 16, 1, 0}, {1, 16, 16, 128, 128, 3, 0},
                               {2, 20, 36, 64, 96, 3, 0},   {1, 8, 8, 512, 512, 3, 0}, {1, 8, 8, 256, 512, 1, 0},
                               {1, 16, 16, 256, 128, 3, 1}, {1, 32, 34, 128, 8, 3, 0}};

static params of_shape(const int *s, int f, int turn)
{
    return (params){.b = s[0],
                    .h = s[1],
                    .w = s[2],
                    .c = s[3],
                    .n = s[4],
                    .ksize = s[5],
                    .upsample = s[6],
                    .src = formats[f][0],
                    .dst = formats[f][1],
                    .residual = (residual)(formats[f][1] == DD_FMT_F32 ? turn % 3 : NONE),
                    .how = turn % 2 ? CK_NORMAL : (ck_pattern)(turn / 2 % 4)};
}

static void list(ck_list *l)
{
    for (int f = 0; f < CK_COUNT(formats); f++) {
        for (int s = 0; s < CK_COUNT(shapes); s++)
            if (l->level == CK_FULL || f == 0 || (s + f) % 3 == 0) add_case(l, of_shape(shapes[s], f, s + f));
        for (int s = 0; s < CK_COUNT(large) && l->level == CK_FULL; s++) add_case(l, of_shape(large[s], f, s + f + 1));
        params p = of_shape(shapes[5], f, 0);
        for (int how = 0; how < CK_PATTERNS; how++) {
            p.how = (ck_pattern)how;
            if (l->level == CK_FULL || (how + f) % 3 == 0) add_case(l, p);
        }
        p.how = CK_NORMAL;
        p.nan = true;
        add_case(l, p);
        p = of_shape(shapes[8], f, 1);
        p.residual = formats[f][1] == DD_FMT_F32 ? IN_PLACE : NONE;
        add_case(l, p);
    }
}

static const char *unsupported(const ck_impl *impl, const void *q)
{
    const params *p = q;
    return ck_pixels_unsupported(impl, p->src);
}

/* ---- one case ---- */

typedef struct work {
    const params *p;
    const dd_conv2d_args *g;
    const float *src, *old, *rows; /* values of the input and of the residual; the weight */
    float *patch;                  /* [ksize * ksize * c] */
} work;

/* What the weights of pixel (y,x) of picture b meet. */
static void gather(const work *w, int64_t b, int64_t y, int64_t x)
{
    const params *p = w->p;
    const int64_t shrink = p->upsample ? 2 : 1, half = p->ksize / 2, c = p->c;
    float *to = w->patch;
    for (int64_t i = y - half; i <= y + half; i++)
        for (int64_t j = x - half; j <= x + half; j++, to += c) {
            const bool inside = i >= 0 && i < p->h && j >= 0 && j < p->w;
            const int64_t pixel = (b * (p->h / shrink) + i / shrink) * (p->w / shrink) + j / shrink;
            for (int64_t k = 0; k < c; k++) to[k] = inside ? w->src[pixel * c + k] : 0;
        }
}

static double bound_of(const params *p, int64_t k, double sum, double want)
{
    const double root = (p->src == DD_FMT_TF32 ? 10 : 6) * sqrt((double)k);
    const double c = (p->how == CK_CONSTANT ? (double)k : fmin((double)k, root)) + 4;
    const double flush = p->src == DD_FMT_F32 ? (double)(k + 2) * 0x1p-149 : (double)(3 * k + 4) * CK_FLUSH;
    return c * CK_EPS * sum + CK_EPS * fabs(want) + flush;
}

static void expect_pixel(const work *w, const ck_matrix *dst, int64_t pixel, const float *want)
{
    const params *p = w->p;
    const int64_t k = (int64_t)p->ksize * p->ksize * p->c, plane = (int64_t)p->h * p->w;
    gather(w, pixel / plane, pixel % plane / p->w, pixel % p->w);
    for (int64_t n = 0; n < p->n; n++) {
        const float *row = w->rows + n * k;
        const double exact = (double)want[pixel * p->n + n];
        const float bias = w->g->bias[n], old = w->old ? w->old[pixel * p->n + n] : 0;
        const double sum = ck_abs_dot(w->patch, row, k) + fabs((double)bias) + fabs((double)old);
        float naive = 0;
        for (int64_t i = 0; i < k; i++) naive += w->patch[i] * row[i];
        ck_expect_near(dst->t, pixel * p->n + n, exact, bound_of(p, k, sum, exact), naive + bias + old);
    }
}

static void expect(ck_case *c, const float *src, const ck_matrix *dst)
{
    const params *p = c->params;
    const int64_t pixels = (int64_t)p->b * p->h * p->w, k = (int64_t)p->ksize * p->ksize * p->c;
    work w = {.p = p, .g = &c->args.conv2d, .src = src, .old = c->args.conv2d.residual, .rows = c->weight.rows};
    float *want = ck_alloc((size_t)(pixels * p->n) * sizeof *want);
    dd_conv2d_args a = *w.g;
    a.dst = want;
    a.dst_format = DD_FMT_F32;
    ck_reference(c, &(dd_op_args){.conv2d = a});
    w.patch = ck_alloc((size_t)k * sizeof *w.patch);
    for (int64_t i = 0; i < pixels; i++) expect_pixel(&w, dst, i, want);
    free(w.patch);
    free(want);
}

static uint64_t least_work(const void *q)
{
    const params *p = q;
    return (uint64_t)((int64_t)p->b * p->h * p->w * p->n) * (uint64_t)(p->ksize * p->ksize * p->c);
}

static void build(ck_case *c)
{
    const params *p = c->params;
    dd_conv2d_args *g = &c->args.conv2d;
    const int64_t pixels = (int64_t)p->b * p->h * p->w, from = p->upsample ? pixels / 4 : pixels;
    ck_weight_open(c, p->n, (int64_t)p->ksize * p->ksize * p->c, p->n, 1, DD_F32, dd_format_dtype(p->src), CK_NORMAL);
    *g = (dd_conv2d_args){.src_format = p->src,
                          .dst_format = p->dst,
                          .b = p->b,
                          .h = p->h,
                          .w_out = p->w,
                          .c = p->c,
                          .n = p->n,
                          .ksize = p->ksize,
                          .upsample = p->upsample};
    float *plain = ck_alloc((size_t)(from * p->c) * sizeof *plain);
    const ck_matrix src = ck_pixels_in(c, "src", p->src, from, p->c, p->how, plain);
    if (p->nan) {
        plain[from / 2 * p->c + p->c / 2] = dd_f32_from_bits(0x7fc00000);
        ck_matrix_set(&src, from / 2, p->c / 2, dd_f32_from_bits(0x7fc00000));
        c->no_naive = true;
    }
    g->src = src.t->p;
    g->bias = ck_in_f32(c, "bias", (size_t)p->n, CK_NORMAL);
    if (p->residual == APART) g->residual = ck_in_f32(c, "residual", (size_t)(pixels * p->n), CK_NORMAL);
    const ck_matrix dst = ck_matrix_open(c, "dst", p->dst, pixels, p->n, true);
    g->dst = dst.t->p;
    if (p->residual == IN_PLACE) {
        ck_fill(&c->rng, dst.t->p, dst.t->n, CK_NORMAL);
        g->residual = dst.t->p;
    }
    expect(c, plain, &dst);
    free(plain);
}

static void bind(dd_op_args *args, const dd_packed *w) { args->conv2d.w = w; }

/* The upper half of a picture as a picture of its own: all of its lines but the last one see what they saw. */
static bool upper_half(ck_case *c)
{
    const params *p = c->params;
    const ck_tensor *dst = ck_first_output(c);
    const int64_t h = p->h / 4 * 2, line = (int64_t)p->w * p->n;
    if (p->b > 1 || h == 0) return false;
    c->variant_args = c->args;
    c->variant_args.conv2d.h = (int32_t)h;
    for (int64_t i = 0; i < (int64_t)dst->n; i++)
        c->variant_map[i] = i >= h * line ? CK_UNTOUCHED : i >= (h - 1) * line && p->ksize > 1 ? CK_UNSEEN : i;
    return true;
}

static bool variant(ck_case *c, int i)
{
    const params *p = c->params;
    dd_conv2d_args *g = &c->variant_args.conv2d;
    const int64_t in = (int64_t)p->h * p->w * p->c / (p->upsample ? 4 : 1);
    int64_t at;
    if (i > 0) return false;
    if (!ck_last_picture(c, ck_first_output(c), p->b, &at)) return upper_half(c);
    g->src = (const char *)g->src + (p->b - 1) * in * ck_format_bytes(p->src);
    g->dst = (char *)g->dst + at * ck_format_bytes(p->dst);
    if (g->residual) g->residual += at;
    g->b = 1;
    return true;
}

const ck_op ck_op_conv2d = {.id = DD_OP_conv2d,
                            .list = list,
                            .unsupported = unsupported,
                            .least_work = least_work,
                            .build = build,
                            .bind = bind,
                            .variant = variant};
