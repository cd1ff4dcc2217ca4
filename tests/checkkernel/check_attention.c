/* SPDX-License-Identifier: MIT
 * Attention. What is right: dd_ref_attention on the same inputs, with a float32 result.
 *
 * Bound: softmax.h.
 * The columns between heads (ld_head) hold NaN here: nothing may come from them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/checkkernel/softmax.h"

typedef struct params {
    int r, s, h, e;
    ck_mask heads;
    int gap;  /* columns between heads */
    bool odd; /* rows do not begin at multiples of 16 bytes, which kernels may need to read or write in another way */
    dd_format qkv, out;
    ck_pattern how;
    bool lifted; /* v + 3 */
    int nan;     /* 0 none, 1 in q of a token, 2 in v of a token */
} params;

static void add_case(ck_list *l, params p)
{
    static const char *const nans[] = {"", ",nan=q", ",nan=v"};
    ck_list_add(l, &p, sizeof p, "r%d,s%d,h%d,e%d,%s-%s,heads=%s,gap=%d,%s%s%s%s", p.r, p.s, p.h, p.e,
                dd_format_name(p.qkv), dd_format_name(p.out), ck_mask_name(p.heads), p.gap, ck_pattern_name(p.how),
                p.odd ? ",odd" : "", p.lifted ? ",lifted" : "", nans[p.nan]);
}

static void list(ck_list *l)
{
    static const dd_format formats[][2] = {{DD_FMT_F32, DD_FMT_F32},          {DD_FMT_BF16, DD_FMT_BF16},
                                           {DD_FMT_BF16, DD_FMT_BF16_BLOCKS}, {DD_FMT_BF16, DD_FMT_F32},
                                           {DD_FMT_F16, DD_FMT_F16},          {DD_FMT_F32, DD_FMT_TF32}};
    static const int dims[] = {8, 16, 24, 32, 40, 64, 72, 80, 128}, tokens[] = {1, 2, 5, 15, 16, 17, 31, 33, 64, 65};
    int turn = 0;
    for (int f = 0; f < CK_COUNT(formats); f++) {
        params p = {.qkv = formats[f][0], .out = formats[f][1]};
        for (int e = 0; e < CK_COUNT(dims); e++)
            for (int s = 0; s < CK_COUNT(tokens); s++, turn++) {
                p.r = 2;
                p.s = tokens[s];
                p.h = 3;
                p.e = dims[e];
                p.how = (ck_pattern)(turn % 4);
                p.gap = turn % 2 ? 0 : (32 - 3 * p.e % 32) % 32;
                p.odd = turn % 3 == 2;
                if (l->level == CK_FULL || (e + f) % 10 == s) add_case(l, p);
            }
        p = (params){
            .r = 2, .s = 11, .h = 4, .e = 24, .gap = 8, .qkv = formats[f][0], .out = formats[f][1], .how = CK_NORMAL};
        for (int m = 0; m < CK_MASKS; m++) {
            p.heads = (ck_mask)m;
            p.odd = m / 2 % 2; /* lists with both kinds of rows, among the quick cases of a format too */
            if (l->level == CK_FULL || (m + f) % 2 == 0) add_case(l, p);
        }
        p.heads = CK_NULL;
        p.odd = false;
        for (int how = CK_UNIFORM; how < CK_PATTERNS; how++) {
            p.how = (ck_pattern)how;
            if (l->level == CK_FULL || (how + f) % 2) add_case(l, p);
        }
        p.how = CK_UNIFORM;
        p.lifted = true;
        p.s = l->level == CK_FULL ? 320 : 192;
        add_case(l, p);
        p.lifted = false;
        p.s = 11;
        p.how = CK_NORMAL;
        for (p.nan = 1; p.nan <= 2; p.nan++) add_case(l, p);
        p = (params){.r = 1, .s = 256, .h = 1, .e = 72, .qkv = formats[f][0], .out = formats[f][1], .how = CK_NORMAL};
        if (l->level == CK_FULL || f == 0) add_case(l, p);
        p = (params){.r = 1, .s = 1025, .h = 1, .e = 8, .qkv = formats[f][0], .out = formats[f][1], .how = CK_UNIFORM};
        if (l->level == CK_FULL) add_case(l, p);
    }
    static const struct {
        int width, heads;
    } dits[] = {
#define DD_SHAPE(name, width, heads, blocks) {width, heads},
#include "bench/shapes.def"
#undef DD_SHAPE
    };
    for (int i = 0; l->level == CK_FULL && i < CK_COUNT(dits); i++)
        for (int f = 0; f < CK_COUNT(formats); f++) {
            const int e = dits[i].width / dits[i].heads;
            add_case(l, (params){.r = 2,
                                 .s = 96,
                                 .h = dits[i].heads,
                                 .e = e,
                                 .heads = CK_RANDOM,
                                 .gap = (32 - 3 * e % 32) % 32,
                                 .qkv = formats[f][0],
                                 .out = formats[f][1],
                                 .how = CK_NORMAL});
        }
}

static const char *unsupported(const ck_impl *impl, const void *q)
{
    const params *p = q;
    if (impl->all_formats) return NULL;
    if (p->qkv == DD_FMT_F32) return p->out == DD_FMT_F32 || (p->out == DD_FMT_TF32 && impl->tf32) ? NULL : "format";
    if (p->qkv == DD_FMT_F16) return impl->f16 ? NULL : "format";
    return impl->bf16 != DD_FMT_F32 && p->out == impl->bf16 ? NULL : "format";
}

static void expect(ck_case *c, const float *qkv, int64_t heads, const ck_matrix *out)
{
    const params *p = c->params;
    const dd_attention_args *g = &c->args.attention;
    const int64_t width = heads * p->e, rows = (int64_t)p->r * p->s;
    float *want = ck_alloc((size_t)(rows * width + 1) * sizeof *want);
    dd_attention_args a = *g;
    a.out = want;
    a.out_format = DD_FMT_F32;
    a.ldo = width;
    ck_reference(c, &(dd_op_args){.attention = a});
    ck_softmax y = {.s = p->s, .e = p->e, .format = p->qkv, .how = p->how, .ld = g->ldq};
    ck_softmax_open(&y);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t h = 0; h < heads; h++) {
            const float *first = qkv + i / p->s * p->s * g->ldq + h * g->ld_head;
            ck_softmax_query(&y, qkv + i * g->ldq + h * g->ld_head, first);
            for (int x = 0; x < p->e; x++) {
                const double exact = (double)want[i * width + h * p->e + x];
                ck_expect_near(out->t, ck_matrix_at(out, i, h * p->e + x), exact, ck_softmax_bound(&y, x, exact),
                               ck_softmax_naive(&y, x));
            }
        }
    ck_matrix_finish(out, rows, width);
    free(want);
    ck_softmax_close(&y);
}

static uint64_t least_work(const void *q)
{
    const params *p = q;
    return p->heads == CK_NULL ? (uint64_t)p->r * (uint64_t)p->s * (uint64_t)p->s * (uint64_t)(4 * p->h * p->e) : 0;
}

static void build(ck_case *c)
{
    const params *p = c->params;
    dd_attention_args *g = &c->args.attention;
    const int32_t *list;
    const int64_t rows = (int64_t)p->r * p->s;
    *g = (dd_attention_args){.qkv_format = p->qkv,
                             .out_format = p->out,
                             .ld_head = 3 * p->e + p->gap,
                             .r = p->r,
                             .s = p->s,
                             .h = p->h,
                             .e = p->e};
    g->heads = ck_slices(c, "heads", 3 * (int64_t)p->h * p->e, 3 * (int64_t)p->e, p->heads, &list);
    const int64_t heads = ck_active(list, 3 * (int64_t)p->h * p->e) / (3 * p->e);
    g->ldq = ck_ld(p->qkv, heads * g->ld_head, !p->odd ? DD_CHUNK : p->qkv == DD_FMT_F32 ? 5 : 2);
    g->ldo = ck_ld(p->out, heads * p->e, !p->odd ? DD_CHUNK : ck_format_bytes(p->out) == 4 ? 3 : 2);
    const ck_matrix qkv = ck_matrix_open(c, "qkv", p->qkv, rows, g->ldq, false);
    const ck_matrix out = ck_matrix_open(c, "out", p->out, rows, g->ldo, true);
    g->qkv = qkv.t->p;
    g->out = out.t->p;
    c->tokens = p->s;
    c->head_dim = p->e;
    /* the means of such small v are mostly subnormal, which products of bf16 may take as 0 */
    c->zeros_ok = p->how == CK_ZEROS || p->how == CK_SMALL;
    float *plain = ck_alloc((size_t)(rows * g->ldq) * sizeof *plain);
    ck_fill(&c->rng, plain, (size_t)(rows * g->ldq), p->how);
    if (p->nan) plain[(p->s > 1) * g->ldq + (p->nan == 1 ? 3 : 2 * p->e + 4)] = dd_f32_from_bits(0x7fc00000);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t x = h * g->ld_head; x < h * g->ld_head + 3 * p->e; x++) {
                const bool lift = p->lifted && x - h * g->ld_head >= 2 * p->e;
                ck_matrix_set(&qkv, i, x, plain[i * g->ldq + x] + (lift ? 3.0f : 0.0f));
                plain[i * g->ldq + x] = ck_matrix_get(&qkv, i, x);
            }
    expect(c, plain, heads, &out);
    free(plain);
}

/* A row of the batch, and a head, give the same bits alone as in company. */
static bool variant(ck_case *c, int i)
{
    const params *p = c->params;
    dd_attention_args *g = &c->variant_args.attention;
    const ck_matrix m = {&c->tensors[c->n_tensors - 1], p->out, (int64_t)p->r * p->s, c->args.attention.ldo};
    const int64_t size = ck_format_bytes(p->qkv), out_size = ck_format_bytes(p->out), rows = p->s, e = p->e;
    if (p->heads != CK_NULL || i > 1) return false;
    for (size_t j = 0; j < m.t->n; j++) c->variant_map[j] = CK_UNTOUCHED;
    c->variant_args = c->args;
    if (i == 0) { /* the last row of the batch, in its place */
        const int64_t first = (p->r - 1) * rows;
        if (p->out == DD_FMT_BF16_BLOCKS && first % DD_BLOCK != 0) i = 1;
        else {
            g->r = 1;
            g->qkv = (const char *)g->qkv + first * g->ldq * size;
            g->out = (char *)g->out + first * g->ldo * out_size;
            for (size_t j = 0; j < m.t->n; j++) {
                const ck_kind kind = m.t->expect[j].kind;
                if (kind == CK_FREE) c->variant_map[j] = CK_UNSEEN;
            }
            for (int64_t row = first; row < first + rows; row++)
                for (int64_t col = 0; col < g->ldo; col++) {
                    const int64_t at = ck_matrix_at(&m, row, col);
                    if (m.t->expect[at].kind != CK_KEEP) c->variant_map[at] = at;
                }
            return true;
        }
    }
    int32_t *list = c->variant_lists[0];
    const int64_t head = p->h - 1, per = 3 * e / DD_CHUNK;
    list[0] = (int32_t)per;
    for (int64_t j = 0; j < per; j++) list[1 + j] = (int32_t)(head * per + j);
    memset(c->variant_lists[1], 0, sizeof c->variant_lists[1]);
    g->heads = (dd_slices){.pool = list, .offset = c->variant_lists[1]};
    g->qkv = (const char *)g->qkv + head * g->ld_head * size; /* compact: its columns come first */
    for (size_t j = 0; j < m.t->n; j++)
        if (m.t->expect[j].kind != CK_KEEP) c->variant_map[j] = p->out == DD_FMT_BF16_BLOCKS ? CK_UNSEEN : CK_UNTOUCHED;
    for (int64_t row = 0; row < p->r * rows; row++)
        for (int64_t x = 0; x < e; x++) c->variant_map[ck_matrix_at(&m, row, x)] = ck_matrix_at(&m, row, head * e + x);
    return true;
}

const ck_op ck_op_attention = {.id = DD_OP_attention,
                               .list = list,
                               .unsupported = unsupported,
                               .least_work = least_work,
                               .build = build,
                               .variant = variant};
