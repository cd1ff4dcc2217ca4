/* SPDX-License-Identifier: MIT
 * Patch embedding. What is right: dd_ref_patch_embed on the same inputs.
 * Bound: a sum of K products and two more terms, (K + 4) 2^-24 (sum |a w| + |bias| + |pos|); see check_gemm.c. */
#include <math.h>
#include <stdlib.h>

#include "tests/checkkernel/check.h"

typedef struct params {
    int b, r, c, size, p, d;
    ck_pattern how;
} params;

static void list(ck_list *l)
{
    static const int dims[][5] = {{1, 2, 4, 8, 2},  {2, 4, 3, 6, 3}, {3, 3, 1, 12, 4}, {1, 2, 2, 6, 2},
                                  {1, 1, 16, 4, 1}, {2, 2, 5, 2, 1}, {2, 4, 4, 32, 2}}; /* B R C size p */
    static const int widths[] = {24, 49, 74, 1, 384, 1152};
    for (int i = 0; i < CK_COUNT(dims); i++)
        for (int d = 0; d < CK_COUNT(widths); d++)
            for (int how = 0; how < CK_PATTERNS; how++) {
                const params p = {dims[i][0], dims[i][1], dims[i][2],     dims[i][3],
                                  dims[i][4], widths[d],  (ck_pattern)how};
                const bool big = p.size == 32 && p.d > 100;
                if (big ? how != CK_NORMAL : l->level == CK_QUICK ? (i + d) % CK_PATTERNS != how : p.d > 100 && how > 3)
                    continue;
                if (big && l->level == CK_QUICK) continue;
                ck_list_add(l, &p, sizeof p, "b%d,r%d,c%d,size%d,p%d,d%d,%s", p.b, p.r, p.c, p.size, p.p, p.d,
                            ck_pattern_name(p.how));
            }
}

static void gather(const dd_patch_embed_args *g, int64_t row, int64_t token, float *patch)
{
    const int64_t grid = g->size / g->p, size = g->size, p = g->p;
    const float *image = g->latents + row % g->b * g->c * size * size + token / grid * p * size + token % grid * p;
    for (int64_t c = 0; c < g->c; c++)
        for (int64_t y = 0; y < p; y++)
            for (int64_t x = 0; x < p; x++) *patch++ = image[(c * size + y) * size + x];
}

static void build(ck_case *c)
{
    const params *p = c->params;
    dd_patch_embed_args *g = &c->args.patch_embed;
    const int64_t grid = p->size / p->p, s = grid * grid, d = p->d, k = (int64_t)p->c * p->p * p->p;
    ck_weight_open(c, d, k, d, 1, DD_F32, DD_F32, CK_NORMAL);
    *g = (dd_patch_embed_args){.b = p->b, .r = p->r, .c = p->c, .size = p->size, .p = p->p, .d = p->d};
    g->latents = ck_in_f32(c, "latents", (size_t)((int64_t)p->b * p->c * p->size * p->size), p->how);
    g->bias = ck_in_f32(c, "bias", (size_t)d, CK_NORMAL);
    g->pos = ck_in_f32(c, "pos", (size_t)(s * d), CK_NORMAL);
    ck_tensor *x = ck_out(c, "x", DD_F32, (size_t)(p->r * s * d));
    float *want = ck_alloc(x->bytes), *patch = ck_alloc((size_t)k * sizeof *patch);
    dd_patch_embed_args a = *g;
    a.x = want;
    ck_reference(c, &(dd_op_args){.patch_embed = a});
    g->x = x->p;
    for (int64_t row = 0; row < p->r * s; row++) {
        gather(g, row / s, row % s, patch);
        for (int64_t n = 0; n < d; n++) {
            const float *w = c->weight.rows + n * k;
            const double more = fabs((double)g->bias[n]) + fabs((double)g->pos[row % s * d + n]);
            float naive = 0;
            for (int64_t i = 0; i < k; i++) naive += patch[i] * w[i];
            ck_expect_near(x, row * d + n, (double)want[row * d + n],
                           ((double)k + 4) * CK_EPS * (ck_abs_dot(patch, w, k) + more) + (double)k * 0x1p-149,
                           naive + g->bias[n] + g->pos[row % s * d + n]);
        }
    }
    free(want);
    free(patch);
}

static void bind(dd_op_args *args, const dd_packed *w) { args->patch_embed.w = w; }

/* The last image alone. */
static bool variant(ck_case *c, int i)
{
    dd_patch_embed_args *g = &c->variant_args.patch_embed;
    const ck_tensor *x = &c->tensors[c->n_tensors - 1];
    c->variant_args = c->args;
    if (i > 0 || g->r < 2) return false;
    const size_t one = x->n / (size_t)g->r, row = (size_t)g->b - 1;
    for (size_t j = 0; j < x->n; j++) c->variant_map[j] = j < one ? (int64_t)(row * one + j) : CK_UNTOUCHED;
    g->latents += (int64_t)row * g->c * g->size * g->size;
    g->b = g->r = 1;
    return true;
}

const ck_op ck_op_patch_embed = {
    .id = DD_OP_patch_embed, .list = list, .build = build, .bind = bind, .variant = variant};
