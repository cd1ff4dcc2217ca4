/* SPDX-License-Identifier: MIT
 * Faulty attentions: one plain loop in which single things can be wrong. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"
#include "tests/checkkernel/check.h"
#include "tests/checkkernel/mutants.h"

typedef enum fault {
    SWAPPED_QK,
    NO_SCALE,
    LAST_KEY_MISSING,
    CAUSAL,
    ONE_KEY_TOO_MANY,  /* of zeros, as padding would be */
    FIRST_ROW_KEYS,    /* keys and values of the first row of the batch */
    PARTS_NOT_BY_HEAD, /* all q, then all k, then all v */
    NO_MAXIMUM,        /* e^s overflows */
    NO_SUM,
    LAST_QUERY_MISSING,
    LAST_COLUMN_MISSING,
    HALF_PRECISION_P, /* weights rounded to 11 bits */
    CUTS_BITS,
    LEAVES_TAIL,
    READS_GAP
} fault;

typedef struct view {
    const dd_attention_args *a;
    int64_t heads;
} view;

static double load(const view *v, int64_t row, int64_t head, int part, int64_t x)
{
    const dd_attention_args *a = v->a;
    const int64_t col = ck_fault == PARTS_NOT_BY_HEAD ? (part * v->heads + head) * a->e + x
                                                      : head * a->ld_head + part * a->e + x;
    return (double)dd_ref_load(a->qkv, a->qkv_format, a->ldq, row, col);
}

static double weight_of(double p) /* p <= 1 */
{
    return ck_fault == HALF_PRECISION_P ? (double)dd_f32_from_bits(dd_f32_bits((float)p) & 0xffffe000u) : p;
}

static void query(const view *v, int64_t row, int64_t head)
{
    const dd_attention_args *a = v->a;
    const int64_t s = a->s, batch = row / s * s, keys = ck_fault == FIRST_ROW_KEYS ? 0 : batch;
    const int64_t n = ck_fault == CAUSAL ? row - batch + 1 : ck_fault == LAST_KEY_MISSING && s > 1 ? s - 1 : s;
    double *p = ck_alloc((size_t)(s + 1) * sizeof *p), max = -HUGE_VAL, sum = 0;
    for (int64_t j = 0; j < n; j++) {
        const bool swap = ck_fault == SWAPPED_QK;
        for (int64_t x = 0; x < a->e; x++)
            p[j] += load(v, swap ? keys + j : row, head, 0, x) * load(v, swap ? row : keys + j, head, 1, x);
        if (ck_fault != NO_SCALE) p[j] /= sqrt((double)a->e);
        max = fmax(max, p[j]);
    }
    for (int64_t j = 0; j < n; j++) {
        p[j] = ck_fault == NO_MAXIMUM ? (double)expf((float)p[j]) : exp(p[j] - max);
        sum += p[j];
    }
    if (ck_fault == ONE_KEY_TOO_MANY) sum += exp(0 - max);
    if (ck_fault == NO_SUM) sum = 1;
    for (int64_t x = 0; x < a->e - (ck_fault == LAST_COLUMN_MISSING); x++) {
        double acc = 0;
        for (int64_t j = 0; j < n; j++) acc += weight_of(p[j]) * load(v, keys + j, head, 2, x);
        if (ck_fault == CUTS_BITS)
            ck_store_cut(a->out, a->out_format, a->ldo, row, head * a->e + x, (float)(acc / sum));
        else dd_ref_store(a->out, a->out_format, a->ldo, row, head * a->e + x, acc / sum);
    }
    free(p);
}

static dd_status attention(const dd_exec *e, const dd_attention_args *a)
{
    const int64_t width = dd_slices_width(dd_slices_at(a->heads, *e->step), 3 * (int64_t)a->h * a->e) / 3;
    const view v = {a, width / a->e};
    const int64_t rows = (int64_t)a->r * a->s;
    for (int64_t row = 0; row < rows; row++) {
        if (ck_fault == LAST_QUERY_MISSING && row == rows - 1) break;
        for (int64_t h = 0; h < v.heads; h++) query(&v, row, h);
        if (ck_fault != LEAVES_TAIL) dd_ref_finish_row(a->out, a->out_format, a->ldo, row, width);
    }
    if (ck_fault == READS_GAP && v.heads > 0 && a->ld_head > 3 * a->e) {
        const float x = dd_ref_load(a->qkv, a->qkv_format, a->ldq, 0, 3 * a->e);
        const float y = dd_ref_load(a->out, a->out_format, a->ldo, 0, 0);
        dd_ref_store(a->out, a->out_format, a->ldo, 0, 0, (double)(y + 0 * x));
    }
    return DD_OK;
}

#define ATTENTION(name, fault)                                       \
    {                                                                \
        name, DD_OP_attention, {.attention = attention}, fault, NULL \
    }
static const ck_mutant list[] = {
    ATTENTION("q and k swapped", SWAPPED_QK),
    ATTENTION("scores not scaled", NO_SCALE),
    ATTENTION("last key missing", LAST_KEY_MISSING),
    ATTENTION("keys after the query missing", CAUSAL),
    ATTENTION("padded key counted", ONE_KEY_TOO_MANY),
    ATTENTION("keys of the first row of the batch", FIRST_ROW_KEYS),
    ATTENTION("q, k and v of all heads instead of head by head", PARTS_NOT_BY_HEAD),
    ATTENTION("maximum not subtracted", NO_MAXIMUM),
    ATTENTION("weights not normalised", NO_SUM),
    ATTENTION("last query missing", LAST_QUERY_MISSING),
    ATTENTION("last column missing", LAST_COLUMN_MISSING),
    ATTENTION("weights of 11 bits", HALF_PRECISION_P),
    ATTENTION("bf16 by truncation", CUTS_BITS),
    ATTENTION("tail of blocks is not zeroed", LEAVES_TAIL),
    ATTENTION("reads between the heads", READS_GAP),
};

ck_mutants ck_mutants_attention(void) { return (ck_mutants){list, CK_COUNT(list)}; }
