/* SPDX-License-Identifier: MIT
 * Stored branches onto the residual stream. What is right: dd_ref_gated_add on the same inputs.
 *
 * Bound, u = 2^-24: each branch rounds its product and the sum once, u (|gate f| + |x after it|), and the reference
 * rounds once at the end. A change is a rounded product; the reference's is one too: 2 u |gate f|. Rows that no branch
 * adds to keep their bits. What is kept has the bits of f, rounded once where that is of more bits; a change in bf16 is the
 * rounding of something within its bound (tensor.c). What a mask leaves out is NaN in f unless f is to be kept: it must not be
 * read into a result. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/checkkernel/check.h"

typedef enum gate_kind { NO_GATE, ALL_GATES, SOME_GATES } gate_kind;
typedef enum change_kind { NO_CHANGE, OWN_CHANGE, IN_PLACE } change_kind;

typedef struct params {
    int r, s, d, n;
    int rows; /* of the list that every other branch has; -1: no lists */
    gate_kind gate;
    bool mask;
    change_kind change; /* of the first branch */
    dd_format f, out;   /* out: of what the first branch keeps and changes */
    bool keep;          /* the first branch */
    ck_pattern how;
} params;

static float value_at(const void *f, dd_format format, int64_t i)
{
    return format == DD_FMT_BF16 ? dd_bf16_to_f32(((const uint16_t *)f)[i]) : ((const float *)f)[i];
}

static void add_case(ck_list *l, params p)
{
    static const char *const gate[] = {"none", "all", "some"}, *const keeps[] = {"none", "own", "in-place"};
    if (p.change == IN_PLACE) p.out = p.f;
    ck_list_add(l, &p, sizeof p, "r%d,s%d,d%d,n%d,rows=%d,gate=%s,mask=%d,change=%s%s,%s-%s,%s", p.r, p.s, p.d, p.n,
                p.rows, gate[p.gate], p.mask, keeps[p.change], p.keep ? ",keep" : "", dd_format_name(p.f),
                dd_format_name(p.out), ck_pattern_name(p.how));
}

static void list(ck_list *l)
{
    static const int widths[] = {1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 72, 127, 129, 144, 1152};
    int turn = 0;
    for (int i = 0; i < CK_COUNT(widths); i++)
        for (int how = 0; how < CK_PATTERNS; how++, turn++) {
            params p = {.r = 3, .s = 13, .d = widths[i], .n = 1 + turn % 4, .rows = turn % 3 ? turn % 40 : -1};
            p.gate = (gate_kind)(turn % 3);
            p.mask = turn % 2 != 0;
            p.change = (change_kind)(turn / 2 % 3);
            p.how = (ck_pattern)how;
            p.f = turn / 3 % 2 ? DD_FMT_BF16 : DD_FMT_F32;
            p.out = turn / 5 % 2 ? DD_FMT_F32 : DD_FMT_BF16;
            p.keep = turn % 4 == 3;
            if (l->level == CK_FULL || i % CK_PATTERNS == how) add_case(l, p);
        }
    const params all = {.r = 3, .s = 16, .d = 40, .n = 2, .rows = -1, .gate = ALL_GATES, .how = CK_NORMAL};
    params p = all;
    for (int n = 1; n <= DD_MAX_BRANCHES; n += n == 1 ? 6 : 9) p.n = n, add_case(l, p);
    for (int rows = 0; rows <= 48; rows += 16) /* nothing, whole items of 16 rows */
        for (int change = NO_CHANGE; change <= IN_PLACE; change++) {
            p = all;
            p.rows = rows;
            p.mask = true;
            p.change = (change_kind)change;
            add_case(l, p);
            p.f = DD_FMT_BF16;
            add_case(l, p);
            p.f = DD_FMT_F32, p.out = DD_FMT_BF16, p.keep = true;
            if (change != IN_PLACE) add_case(l, p);
        }
}

static double gate_of(const ck_case *c, const dd_branch *b, int64_t row, int64_t j)
{
    if (b->gate < 0) return 1;
    return (double)dd_cond_at(&c->args.gated_add.cond, c->step, row / c->args.gated_add.s)[b->gate + j];
}

static int64_t place(const dd_branch *b, int64_t row)
{
    if (b->rows.idx == NULL) return row;
    for (int64_t i = 0; i < *b->rows.count; i++)
        if (b->rows.idx[i] == row) return i;
    return -1;
}

/* What one row of x must become. */
static void expect_row(ck_case *c, ck_tensor *x, int64_t row, const float *want)
{
    const dd_gated_add_args *g = &c->args.gated_add;
    for (int64_t j = 0; j < g->d; j++) {
        const int64_t at = row * g->d + j;
        const float start = ((const float *)x->p)[at];
        double sum = (double)start, bound = 0;
        float naive = start;
        bool touched = false;
        for (int i = 0; i < g->n; i++) {
            const dd_branch *b = &g->branch[i];
            const int64_t held = place(b, row);
            if (held < 0 || (b->mask && !b->mask[row])) continue;
            const double gate = gate_of(c, b, row, j),
                         part = gate * (double)value_at(b->f, b->f_format, held * g->d + j);
            sum += part;
            bound += CK_EPS * (fabs(part) + fabs(sum)) + 0x1p-149;
            naive += (float)gate * value_at(b->f, b->f_format, held * g->d + j);
            touched = true;
        }
        if (touched) ck_expect_near(x, at, (double)want[at], bound * (1 + 64 * CK_EPS) + CK_EPS * fabs(sum), naive);
        else x->expect[at] = (ck_expect){.want = (double)start, .bits = dd_f32_bits(start), .kind = CK_BITS};
    }
}

static void expect_change(ck_case *c, ck_tensor *t, const dd_branch *b)
{
    const int64_t d = c->args.gated_add.d, all = (int64_t)c->args.gated_add.r * c->args.gated_add.s;
    for (int64_t row = 0; row < all; row++) {
        const int64_t held = place(b, row);
        for (int64_t j = 0; held >= 0 && j < d; j++) {
            const int64_t at = held * d + j;
            const float gate = (float)gate_of(c, b, row, j);
            const float f = value_at(b->f, b->f_format, at);
            const double part = (double)gate * (double)f;
            if (b->mask && !b->mask[row]) ck_expect_kind(t, at, CK_ZERO);
            else ck_expect_near(t, at, part, 2 * CK_EPS * fabs(part) + 0x1p-149, gate * f);
        }
    }
}

static void expect_kept(ck_case *c, ck_tensor *t, const dd_branch *b)
{
    const int64_t d = c->args.gated_add.d, all = (int64_t)c->args.gated_add.r * c->args.gated_add.s;
    for (int64_t row = 0; row < all; row++) {
        const int64_t held = place(b, row);
        for (int64_t j = 0; held >= 0 && j < d; j++) {
            const float f = value_at(b->f, b->f_format, held * d + j);
            const uint32_t bits = b->out_format == DD_FMT_BF16 ? dd_f32_to_bf16(f) : dd_f32_bits(f);
            t->expect[held * d + j] = (ck_expect){.want = (double)f, .bits = bits, .kind = CK_BITS};
        }
    }
}

/* The values of a branch; rows that a mask leaves out stay poisoned. */
static void fill_branch(ck_case *c, const dd_branch *b, void *f, ck_pattern how)
{
    const int64_t d = c->args.gated_add.d, all = (int64_t)c->args.gated_add.r * c->args.gated_add.s;
    float *values = ck_alloc((size_t)d * sizeof *values);
    for (int64_t row = 0; row < all; row++) {
        const int64_t held = place(b, row);
        if (held < 0 || (b->mask && !b->mask[row] && !b->keep)) continue;
        ck_fill(&c->rng, values, (size_t)d, how);
        for (int64_t j = 0; j < d; j++)
            if (b->f_format == DD_FMT_BF16) ((uint16_t *)f)[held * d + j] = dd_f32_to_bf16(values[j]);
            else ((float *)f)[held * d + j] = values[j];
    }
    free(values);
}

/* What a branch writes; NULL: it does not. */
typedef struct results {
    ck_tensor *keep, *change;
} results;

static results open_branch(ck_case *c, int i, const uint8_t *mask)
{
    const params *p = c->params;
    const int64_t all = (int64_t)p->r * p->s;
    const size_t n = (size_t)(all * p->d);
    const change_kind change = i == 0 ? p->change : NO_CHANGE;
    dd_branch *b = &c->args.gated_add.branch[i];
    const dd_dtype type = dd_format_dtype(p->f), kept = dd_format_dtype(p->out);
    ck_tensor *f = change == IN_PLACE ? ck_out(c, "f", type, n) : ck_in(c, "f", type, n);
    results out = {0};
    *b = (dd_branch){.f = f->p,
                     .f_format = p->f,
                     .out_format = p->out,
                     .gate = p->gate == ALL_GATES || (p->gate == SOME_GATES && i % 2 == 0) ? 1 + i : -1};
    if (p->rows >= 0 && i % 2 == 0) {
        const int64_t keep = p->rows > i ? p->rows - i : p->rows;
        b->rows = ck_row_list(c, all, keep);
        int32_t *idx = (int32_t *)(uintptr_t)b->rows.idx; /* behind the count as well, rows go on in order */
        for (int64_t k = keep; k < all; k++) idx[k] = (int32_t)(all - 1);
    }
    if (i % 3 == 0) b->mask = mask;
    if (change == IN_PLACE) out.change = f;
    if (change == OWN_CHANGE) out.change = ck_out(c, "change", kept, n);
    if (out.change) b->change = out.change->p;
    if (i == 0 && p->keep) out.keep = ck_out(c, "keep", kept, n), b->keep = out.keep->p;
    fill_branch(c, b, f->p, p->how);
    return out;
}

static void build(ck_case *c)
{
    const params *p = c->params;
    dd_gated_add_args *g = &c->args.gated_add;
    const size_t n = (size_t)p->r * (size_t)p->s * (size_t)p->d;
    results first = {0};
    ck_tensor *x = ck_out(c, "x", DD_F32, n);
    ck_fill(&c->rng, x->p, n, p->how);
    *g = (dd_gated_add_args){.x = x->p, .n = p->n, .r = p->r, .s = p->s, .d = p->d};
    if (p->gate != NO_GATE) g->cond = ck_cond_table(c, "cond", p->r, p->d + 1 + DD_MAX_BRANCHES, CK_NORMAL);
    uint8_t *mask = NULL;
    if (p->mask) {
        ck_tensor *t = ck_in(c, "mask", DD_U8, (size_t)(p->r * p->s));
        mask = t->p;
        for (int i = 0; i < p->r * p->s; i++) mask[i] = (uint8_t)ck_rng_below(&c->rng, 3); /* 2 counts as 1 */
    }
    for (int i = 0; i < p->n; i++) {
        const results out = open_branch(c, i, mask);
        if (i == 0) first = out;
    }
    float *want = ck_alloc(n * sizeof *want), *kept = ck_alloc(n * sizeof *kept), *changed = ck_alloc(n * sizeof *kept);
    dd_gated_add_args a = *g;
    memcpy(want, x->p, n * sizeof *want);
    a.x = want;
    if (a.branch[0].change) a.branch[0].change = changed;
    if (a.branch[0].keep) a.branch[0].keep = kept;
    ck_reference(c, &(dd_op_args){.gated_add = a});
    for (int64_t row = 0; row < (int64_t)p->r * p->s; row++) expect_row(c, x, row, want);
    if (first.change) expect_change(c, first.change, &g->branch[0]);
    if (first.keep) expect_kept(c, first.keep, &g->branch[0]);
    c->zeros_ok = true;
    free(want);
    free(kept);
    free(changed);
}

const ck_op ck_op_gated_add = {.id = DD_OP_gated_add, .list = list, .build = build};
