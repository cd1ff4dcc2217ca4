/* SPDX-License-Identifier: MIT
 * Planes to pixels. What is right: dd_ref_to_pixels with a float32 result. Bound: one rounding, 2^-24 |x|, and what
 * instructions for bfloat16 flush. Channels that fill up are zero. */
#include <math.h>
#include <stdlib.h>

#include "tests/checkkernel/picture.h"

typedef struct params {
    int b, h, w, c_src, c;
    float scale;
    dd_format dst;
    ck_pattern how;
} params;

static void list(ck_list *l)
{
    static const int dims[][5] = {{1, 1, 1, 1, 8}, {1, 1, 7, 4, 8},   {2, 5, 3, 4, 8},   {3, 4, 4, 8, 8},
                                  {1, 9, 2, 3, 8}, {2, 3, 5, 13, 24}, {1, 17, 33, 4, 8}, {1, 8, 8, 20, 40}};
    static const ck_pattern patterns[] = {CK_NORMAL, CK_OUTLIERS, CK_SMALL, CK_UNIFORM};
    for (int i = 0; i < CK_COUNT(dims); i++)
        for (int f = 0; f < DD_FMT_COUNT; f++) {
            if (f == DD_FMT_BF16_BLOCKS) continue;
            const params p = {.b = dims[i][0],
                              .h = dims[i][1],
                              .w = dims[i][2],
                              .c_src = dims[i][3],
                              .c = dims[i][4],
                              .scale = (i + f) % 3 ? (float)(1 / 0.18215) : 1,
                              .dst = (dd_format)f,
                              .how = patterns[(i + f) % CK_COUNT(patterns)]};
            if (l->level == CK_FULL || f == DD_FMT_F32 || (i + f) % 3 == 0)
                ck_list_add(l, &p, sizeof p, "b%d,h%d,w%d,c%dof%d,x%.4g,%s,%s", p.b, p.h, p.w, p.c_src, p.c,
                            (double)p.scale, dd_format_name(p.dst), ck_pattern_name(p.how));
        }
}

static const char *unsupported(const ck_impl *impl, const void *p)
{
    return ck_pixels_unsupported(impl, ((const params *)p)->dst);
}

static void build(ck_case *c)
{
    const params *p = c->params;
    dd_to_pixels_args *g = &c->args.to_pixels;
    const int64_t plane = (int64_t)p->h * p->w, pixels = p->b * plane;
    *g = (dd_to_pixels_args){
        .dst_format = p->dst, .scale = p->scale, .b = p->b, .h = p->h, .w = p->w, .c_src = p->c_src, .c = p->c};
    g->src = ck_in_f32(c, "src", (size_t)(pixels * p->c_src), p->how);
    const ck_matrix dst = ck_matrix_open(c, "dst", p->dst, pixels, p->c, true);
    float *want = ck_alloc((size_t)(pixels * p->c) * sizeof *want);
    dd_to_pixels_args a = *g;
    a.dst = want;
    a.dst_format = DD_FMT_F32;
    ck_reference(c, &(dd_op_args){.to_pixels = a});
    g->dst = dst.t->p;
    c->zeros_ok = p->how == CK_SMALL;
    for (int64_t i = 0; i < pixels * p->c; i++) {
        if (i % p->c >= p->c_src) ck_expect_kind(dst.t, i, CK_ZERO);
        else ck_expect_near(dst.t, i, (double)want[i], CK_EPS * fabs((double)want[i]) + CK_FLUSH, want[i]);
    }
    free(want);
}

static bool variant(ck_case *c, int i)
{
    const params *p = c->params;
    dd_to_pixels_args *g = &c->variant_args.to_pixels;
    int64_t at;
    if (i > 0 || !ck_last_picture(c, ck_first_output(c), p->b, &at)) return false;
    g->src += (int64_t)(p->b - 1) * p->c_src * p->h * p->w;
    g->dst = (char *)g->dst + at * ck_format_bytes(p->dst);
    g->b = 1;
    return true;
}

const ck_op ck_op_to_pixels = {
    .id = DD_OP_to_pixels, .list = list, .unsupported = unsupported, .build = build, .variant = variant};
