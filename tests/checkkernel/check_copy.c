/* SPDX-License-Identifier: MIT
 * Copy. The same bytes, and not one more. */
#include "tests/checkkernel/check.h"

typedef struct params {
    int bytes, from, to; /* offsets */
} params;

static void list(ck_list *l)
{
    static const int sizes[] = {0, 1, 3, 63, 64, 65, 4096, 1000003};
    for (int i = 0; i < CK_COUNT(sizes); i++)
        for (int off = 0; off < 3; off++) {
            const params p = {sizes[i], off, 2 * off % 3};
            ck_list_add(l, &p, sizeof p, "bytes%d,from%d,to%d", p.bytes, p.from, p.to);
        }
}

static void build(ck_case *c)
{
    const params *p = c->params;
    ck_tensor *src = ck_in(c, "src", DD_U8, (size_t)p->bytes + 4), *dst = ck_out(c, "dst", DD_U8, (size_t)p->bytes + 4);
    uint8_t *s = src->p;
    for (size_t i = 0; i < src->n; i++) s[i] = (uint8_t)ck_rng_bits(&c->rng);
    for (int i = 0; i < p->bytes; i++)
        dst->expect[p->to + i] = (ck_expect){.want = s[p->from + i], .bits = s[p->from + i], .kind = CK_BITS};
    c->args.copy = (dd_copy_args){.dst = (uint8_t *)dst->p + p->to, .src = s + p->from, .bytes = (size_t)p->bytes};
}

const ck_op ck_op_copy = {.id = DD_OP_copy, .list = list, .build = build};
