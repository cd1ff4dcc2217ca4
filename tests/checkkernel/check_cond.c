/* SPDX-License-Identifier: MIT
 * Conditioning vectors. What is right: dd_ref_cond on the same inputs, with a float32 result.
 *
 * Bound, u = 2^-24: the sum z rounds once and SiLU has a slope of at most 1.1; e^-z (4), the sum and the division are 6
 * roundings. Where e^-z overflows the result may be 0. */
#include <math.h>
#include <stdlib.h>

#include "tests/checkkernel/check.h"

typedef struct params {
    int slots, steps, n_cond, d;
    dd_format c;
    ck_pattern how;
} params;

enum { CLASSES = 5 };

static void list(ck_list *l)
{
    static const int widths[] = {1, 7, 8, 29, 32, 33, 72, 384, 1152};
    for (int f = DD_FMT_F32; f < DD_FMT_COUNT; f++)
        for (int d = 0; d < CK_COUNT(widths); d++)
            for (int how = 0; how < CK_PATTERNS; how++) {
                /* the case is at step 2: three steps are left, two, one, none */
                const params p = {.slots = 1 + (d + how) % 4,
                                  .steps = 5 - how % 4,
                                  .n_cond = 1 + (d + how) % 3,
                                  .d = widths[d],
                                  .c = (dd_format)f,
                                  .how = (ck_pattern)how};
                if (l->level == CK_QUICK && (d + f) % 3 != how % 3) continue;
                ck_list_add(l, &p, sizeof p, "slots%d,steps%d,labels%d,d%d,%s,%s", p.slots, p.steps, p.n_cond, p.d,
                            dd_format_name(p.c), ck_pattern_name(p.how));
            }
}

static const char *unsupported(const ck_impl *impl, const void *p)
{
    return ck_impl_reads(impl, ((const params *)p)->c) ? NULL : "format";
}

static void build(ck_case *c)
{
    const params *p = c->params;
    dd_cond_args *g = &c->args.cond;
    const int64_t rows = (int64_t)p->slots * p->n_cond, d = p->d;
    *g = (dd_cond_args){.c_format = p->c, .slots = p->slots, .steps = p->steps, .n_cond = p->n_cond, .d = p->d};
    const float *temb = ck_in_f32(c, "temb", (size_t)(p->steps * d), p->how);
    const float *emb = ck_in_f32(c, "emb", (size_t)(CLASSES * d), p->how);
    int32_t *labels = ck_in_i32(c, "labels", (size_t)p->n_cond);
    for (int i = 0; i < p->n_cond; i++) labels[i] = (3 * i + 4) % CLASSES;
    g->ldc = ck_ld(p->c, d, p->c == DD_FMT_F32 ? 3 : 2);
    const ck_matrix m = ck_matrix_open(c, "c", p->c, rows, g->ldc, true);
    g->temb = temb;
    g->emb = emb;
    g->labels = labels;
    g->c = m.t->p;
    c->zeros_ok = p->how == CK_ZEROS || (p->how == CK_SMALL && p->c == DD_FMT_F16);
    float *want = ck_alloc((size_t)(rows * d) * sizeof *want);
    dd_cond_args a = *g;
    a.c = want;
    a.c_format = DD_FMT_F32;
    a.ldc = d;
    ck_reference(c, &(dd_op_args){.cond = a});
    const int64_t left = p->steps - c->step, live = (left < p->slots ? left : p->slots) * p->n_cond;
    for (int64_t row = 0; row < live; row++)
        for (int64_t i = 0; i < d; i++) {
            const float z = temb[(c->step + row / p->n_cond) * d + i] + emb[labels[row % p->n_cond] * d + i];
            const double w = (double)want[row * d + i];
            ck_expect_near(m.t, ck_matrix_at(&m, row, i), w,
                           1.1 * CK_EPS * fabs((double)z) + 6 * CK_EPS * fabs(w) + 2 * CK_FLUSH, z / (1 + expf(-z)));
        }
    ck_matrix_finish(&m, live, d);
    free(want);
}

/* One label alone. */
static bool variant(ck_case *c, int i)
{
    const params *p = c->params;
    dd_cond_args *g = &c->variant_args.cond;
    const ck_matrix m = {&c->tensors[c->n_tensors - 1], p->c, (int64_t)p->slots * p->n_cond, c->args.cond.ldc};
    const int64_t left = p->steps - c->step, live = left < p->slots ? left : p->slots;
    if (i > 0 || p->n_cond < 2 || live < 1) return false;
    for (size_t j = 0; j < m.t->n; j++)
        c->variant_map[j] = m.t->expect[j].kind == CK_KEEP || p->c != DD_FMT_BF16_BLOCKS ? CK_UNTOUCHED : CK_UNSEEN;
    for (int64_t s = 0; s < live; s++)
        for (int64_t k = 0; k < p->d; k++)
            c->variant_map[ck_matrix_at(&m, s, k)] = ck_matrix_at(&m, s * p->n_cond + p->n_cond - 1, k);
    c->variant_args = c->args;
    g->labels += p->n_cond - 1;
    g->n_cond = 1;
    return true;
}

const ck_op ck_op_cond = {
    .id = DD_OP_cond, .list = list, .unsupported = unsupported, .build = build, .variant = variant};
