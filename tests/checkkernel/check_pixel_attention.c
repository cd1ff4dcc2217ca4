/* SPDX-License-Identifier: MIT
 * Attention over the pixels of a picture. What is right: dd_ref_pixel_attention on the same inputs, with a float32 result.
 * Bound: softmax.h, with E = C. */
#include <stdlib.h>

#include "tests/checkkernel/picture.h"
#include "tests/checkkernel/softmax.h"

typedef struct params {
    int b, pixels, c;
    dd_format qkv, out;
    ck_pattern how;
    bool lifted; /* v + 3: shows how results are rounded */
    int nan;     /* 0 none, 1 in q of a pixel, 2 in v of a pixel */
} params;

static void add_case(ck_list *l, params p)
{
    static const char *const nans[] = {"", ",nan=q", ",nan=v"};
    ck_list_add(l, &p, sizeof p, "b%d,p%d,c%d,%s-%s,%s%s%s", p.b, p.pixels, p.c, dd_format_name(p.qkv),
                dd_format_name(p.out), ck_pattern_name(p.how), p.lifted ? ",lifted" : "", nans[p.nan]);
}

static void list(ck_list *l)
{
    static const dd_format formats[][2] = {
        {DD_FMT_F32, DD_FMT_F32}, {DD_FMT_BF16, DD_FMT_BF16}, {DD_FMT_F16, DD_FMT_F16}, {DD_FMT_F32, DD_FMT_TF32}};
    static const int dims[][3] = {{1, 1, 8},  {2, 2, 16},  {1, 7, 24},  {3, 15, 40},  {2, 17, 64},
                                  {1, 33, 8}, {1, 48, 72}, {2, 49, 32}, {1, 64, 512}, {1, 100, 16}};
    static const int large[][3] = {{1, 1025, 8}, {2, 97, 512}, {1, 400, 128}};
    for (int f = 0; f < CK_COUNT(formats); f++) {
        params p = {.qkv = formats[f][0], .out = formats[f][1]};
        for (int s = 0; s < CK_COUNT(dims) + CK_COUNT(large) * (l->level == CK_FULL); s++) {
            const int *d = s < CK_COUNT(dims) ? dims[s] : large[s - CK_COUNT(dims)];
            p.b = d[0];
            p.pixels = d[1];
            p.c = d[2];
            p.how = d[1] > 1000 ? CK_UNIFORM : (ck_pattern)((s + f) % 4);
            if (l->level == CK_FULL || f == 0 || (s + f) % 3 == 0) add_case(l, p);
        }
        p = (params){.b = 1, .pixels = 19, .c = 24, .qkv = formats[f][0], .out = formats[f][1]};
        for (int how = 0; how < CK_PATTERNS; how++) {
            p.how = (ck_pattern)how;
            if (l->level == CK_FULL || (how + f) % 4 == 0) add_case(l, p);
        }
        p.how = CK_NORMAL;
        for (p.nan = 1; p.nan <= 2; p.nan++) add_case(l, p);
        p = (params){.b = 1, .pixels = 150, .c = 16, .qkv = formats[f][0], .out = formats[f][1], .lifted = true};
        add_case(l, p);
    }
}

static const char *unsupported(const ck_impl *impl, const void *q)
{
    const params *p = q;
    const char *why = ck_pixels_unsupported(impl, p->qkv);
    return why ? why : ck_pixels_unsupported(impl, p->out);
}

static void expect(ck_case *c, const float *qkv, const ck_matrix *out)
{
    const params *p = c->params;
    const int64_t ld = 3 * (int64_t)p->c, pixels = (int64_t)p->b * p->pixels;
    float *want = ck_alloc((size_t)(pixels * p->c) * sizeof *want);
    dd_pixel_attention_args a = c->args.pixel_attention;
    a.out = want;
    a.out_format = DD_FMT_F32;
    ck_reference(c, &(dd_op_args){.pixel_attention = a});
    ck_softmax y = {.s = p->pixels, .e = p->c, .format = p->qkv, .how = p->how, .ld = ld};
    ck_softmax_open(&y);
    for (int64_t i = 0; i < pixels; i++) {
        ck_softmax_query(&y, qkv + i * ld, qkv + i / p->pixels * p->pixels * ld);
        for (int x = 0; x < p->c; x++) {
            const double exact = (double)want[i * p->c + x];
            ck_expect_near(out->t, i * p->c + x, exact, ck_softmax_bound(&y, x, exact), ck_softmax_naive(&y, x));
        }
    }
    ck_softmax_close(&y);
    free(want);
}

static uint64_t least_work(const void *q)
{
    const params *p = q;
    return (uint64_t)((int64_t)p->b * p->pixels * 4 * p->c) * (uint64_t)p->pixels;
}

static void build(ck_case *c)
{
    const params *p = c->params;
    dd_pixel_attention_args *g = &c->args.pixel_attention;
    const int64_t ld = 3 * (int64_t)p->c, pixels = (int64_t)p->b * p->pixels;
    *g = (dd_pixel_attention_args){
        .qkv_format = p->qkv, .out_format = p->out, .b = p->b, .pixels = p->pixels, .c = p->c};
    float *plain = ck_alloc((size_t)(pixels * ld) * sizeof *plain);
    const ck_matrix qkv = ck_pixels_in(c, "qkv", p->qkv, pixels, ld, p->how, plain);
    if (p->nan) plain[(p->pixels > 1) * ld + (p->nan == 1 ? 3 : 2 * p->c + 4)] = dd_f32_from_bits(0x7fc00000);
    for (int64_t i = 0; i < pixels * ld; i++) {
        if (p->lifted && i % ld >= 2 * p->c) plain[i] += 3;
        ck_matrix_set(&qkv, i / ld, i % ld, plain[i]);
        plain[i] = ck_matrix_get(&qkv, i / ld, i % ld);
    }
    const ck_matrix out = ck_matrix_open(c, "out", p->out, pixels, p->c, true);
    g->qkv = qkv.t->p;
    g->out = out.t->p;
    c->tokens = p->pixels;
    c->head_dim = p->c;
    c->zeros_ok = p->how == CK_ZEROS || p->how == CK_SMALL;
    expect(c, plain, &out);
    free(plain);
}

static bool variant(ck_case *c, int i)
{
    const params *p = c->params;
    dd_pixel_attention_args *g = &c->variant_args.pixel_attention;
    int64_t at;
    if (i > 0 || !ck_last_picture(c, ck_first_output(c), p->b, &at)) return false;
    g->qkv = (const char *)g->qkv + 3 * at * ck_format_bytes(p->qkv);
    g->out = (char *)g->out + at * ck_format_bytes(p->out);
    g->b = 1;
    return true;
}

const ck_op ck_op_pixel_attention = {.id = DD_OP_pixel_attention,
                                     .list = list,
                                     .unsupported = unsupported,
                                     .least_work = least_work,
                                     .build = build,
                                     .variant = variant};
