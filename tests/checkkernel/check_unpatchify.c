/* SPDX-License-Identifier: MIT
 * Tokens to images. Values are moved: the bits of dd_ref_unpatchify. */
#include <stdlib.h>

#include "tests/checkkernel/check.h"

static void list(ck_list *l)
{
    static const int dims[][4] = {{1, 1, 1, 1},  {3, 8, 16, 2}, {2, 2, 8, 4},  {2, 3, 9, 3},
                                  {1, 8, 32, 2}, {5, 1, 7, 1},  {2, 13, 6, 2}, {4, 4, 10, 5}}; /* R co size p */
    for (int i = 0; i < CK_COUNT(dims); i++) {
        const dd_unpatchify_args p = {.r = dims[i][0], .co = dims[i][1], .size = dims[i][2], .p = dims[i][3]};
        ck_list_add(l, &p, sizeof p, "r%d,co%d,size%d,p%d", p.r, p.co, p.size, p.p);
    }
}

static void build(ck_case *c)
{
    dd_unpatchify_args *g = &c->args.unpatchify;
    *g = *(const dd_unpatchify_args *)c->params;
    const size_t n = (size_t)(g->r * g->co * g->size * g->size);
    g->tokens = ck_in_f32(c, "tokens", n, CK_NORMAL);
    ck_tensor *out = ck_out(c, "out", DD_F32, n);
    g->out = ck_alloc(n * sizeof(float));
    ck_reference(c, &c->args);
    for (size_t i = 0; i < n; i++)
        out->expect[i] = (ck_expect){.want = (double)g->out[i], .bits = dd_f32_bits(g->out[i]), .kind = CK_BITS};
    free(g->out);
    g->out = out->p;
}

/* The last row of the batch alone. */
static bool variant(ck_case *c, int i)
{
    dd_unpatchify_args *g = &c->variant_args.unpatchify;
    const size_t n = c->tensors[c->n_tensors - 1].n, one = n / (size_t)c->args.unpatchify.r;
    c->variant_args = c->args;
    if (i > 0 || g->r < 2) return false;
    for (size_t j = 0; j < n; j++) c->variant_map[j] = j < n - one ? CK_UNTOUCHED : (int64_t)j;
    g->tokens += n - one;
    g->out += n - one;
    g->r = 1;
    return true;
}

const ck_op ck_op_unpatchify = {.id = DD_OP_unpatchify, .list = list, .build = build, .variant = variant};
