/* SPDX-License-Identifier: MIT
 * Guidance. What is right: dd_ref_guide.
 * Bound, u = 2^-24: the difference, the product and the sum round once each: u (2 |scale (c - u)| + 2 |result|). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/checkkernel/check.h"

typedef struct params {
    int b, co, channels, size;
    float scale;
    ck_pattern how;
} params;

static void list(ck_list *l)
{
    static const int dims[][4] = {{2, 8, 0, 6}, {2, 8, 3, 6}, {3, 8, 4, 5}, {1, 8, 8, 7}, {1, 4, 3, 1}, {4, 8, 3, 32}};
    static const float scales[] = {4, 1, 0, 1.5f};
    for (int i = 0; i < CK_COUNT(dims); i++)
        for (int how = 0; how < CK_PATTERNS; how++) {
            const params p = {dims[i][0], dims[i][1], dims[i][2], dims[i][3], scales[(i + how) % 4], (ck_pattern)how};
            ck_list_add(l, &p, sizeof p, "b%d,co%d,channels%d,size%d,scale%g,%s", p.b, p.co, p.channels, p.size,
                        (double)p.scale, ck_pattern_name(p.how));
        }
}

static void build(ck_case *c)
{
    const params *p = c->params;
    dd_guide_args *g = &c->args.guide;
    const size_t plane = (size_t)(p->size * p->size), half = (size_t)(p->b * p->co) * plane;
    *g = (dd_guide_args){.scale = p->scale, .b = p->b, .co = p->co, .channels = p->channels, .size = p->size};
    ck_tensor *out = ck_out(c, "out", DD_F32, 2 * half);
    float *in = out->p, *want = ck_alloc(out->bytes);
    ck_fill(&c->rng, in, out->n, p->how);
    memcpy(want, in, out->bytes);
    g->out = want;
    ck_reference(c, &c->args);
    g->out = in;
    c->zeros_ok = p->how == CK_ZEROS;
    for (size_t i = 0; i < out->n; i++) {
        const float x = in[i % half], u = in[i % half + half], w = want[i];
        if (i / plane % (size_t)p->co >= (size_t)p->channels) continue;
        ck_expect_near(out, (int64_t)i, (double)w,
                       CK_EPS * (2.1 * fabs((double)p->scale * ((double)x - u)) + 2 * fabs((double)w)) + 0x1p-148,
                       u + p->scale * (x - u));
    }
    free(want);
}

const ck_op ck_op_guide = {.id = DD_OP_guide, .list = list, .build = build};
