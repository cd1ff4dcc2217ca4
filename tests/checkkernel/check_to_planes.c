/* SPDX-License-Identifier: MIT
 * Pixels to planes. Values are moved: the bits of dd_ref_to_planes. */
#include <stdlib.h>

#include "tests/checkkernel/picture.h"

static void list(ck_list *l)
{
    static const int dims[][5] = {{1, 1, 1, 8, 1}, {1, 1, 7, 8, 3},   {2, 5, 3, 8, 3},   {3, 4, 4, 8, 8},
                                  {1, 9, 2, 8, 5}, {2, 3, 5, 24, 13}, {1, 17, 33, 8, 3}, {1, 8, 8, 40, 20}};
    for (int i = 0; i < CK_COUNT(dims); i++) {
        const dd_to_planes_args p = {
            .b = dims[i][0], .h = dims[i][1], .w = dims[i][2], .c = dims[i][3], .c_dst = dims[i][4]};
        ck_list_add(l, &p, sizeof p, "b%d,h%d,w%d,c%dof%d", p.b, p.h, p.w, p.c_dst, p.c);
    }
}

static void build(ck_case *c)
{
    dd_to_planes_args *g = &c->args.to_planes;
    *g = *(const dd_to_planes_args *)c->params;
    const size_t pixels = (size_t)(g->b * g->h * g->w), n = pixels * (size_t)g->c_dst;
    g->src = ck_in_f32(c, "src", pixels * (size_t)g->c, CK_NORMAL);
    ck_tensor *dst = ck_out(c, "dst", DD_F32, n);
    g->dst = ck_alloc(n * sizeof(float));
    ck_reference(c, &c->args);
    for (size_t i = 0; i < n; i++)
        dst->expect[i] = (ck_expect){.want = (double)g->dst[i], .bits = dd_f32_bits(g->dst[i]), .kind = CK_BITS};
    free(g->dst);
    g->dst = dst->p;
}

static bool variant(ck_case *c, int i)
{
    dd_to_planes_args *g = &c->variant_args.to_planes;
    int64_t at;
    if (i > 0 || !ck_last_picture(c, ck_first_output(c), c->args.to_planes.b, &at)) return false;
    g->src += (int64_t)(g->b - 1) * g->h * g->w * g->c;
    g->dst += at;
    g->b = 1;
    return true;
}

const ck_op ck_op_to_planes = {.id = DD_OP_to_planes, .list = list, .build = build, .variant = variant};
