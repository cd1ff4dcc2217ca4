/* SPDX-License-Identifier: MIT
 * Faulty sums of stored branches: the reference on wrong arguments, or its result altered. */
#include <stdlib.h>
#include <string.h>

#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"
#include "tests/checkkernel/check.h"
#include "tests/checkkernel/mutants.h"

typedef enum fault {
    GATE_MISSING,
    GATE_OF_ANOTHER,
    GATE_OF_STEP_ZERO,
    LIST_IGNORED,
    MASK_IGNORED,
    MASK_BY_ENTRY, /* of the compact row */
    LAST_BRANCH_MISSING,
    FIRST_BRANCH_ALONE,
    CHANGE_WITHOUT_GATE,
    CHANGE_UNMASKED,
    KEPT_WITH_GATE,
    KEPT_WHERE_MASKED, /* alone */
    KEPT_CUT,          /* instead of rounded */
    LAST_COLUMN_MISSING,
    LAST_ROW_MISSING,
} fault;

/* Rows of x that the entries of a branch stand for, as a mask by entry would have them. */
static void mask_by_entry(dd_branch *b, uint8_t *room)
{
    for (int64_t i = 0; b->rows.idx && b->mask && i < *b->rows.count; i++) room[b->rows.idx[i]] = b->mask[i];
    if (b->rows.idx && b->mask) b->mask = room;
}

static void spoil_branch(dd_branch *b, uint8_t *room)
{
    switch (ck_fault) {
    case GATE_MISSING: b->gate = -1; break;
    case GATE_OF_ANOTHER: b->gate += b->gate >= 0; break;
    case LIST_IGNORED: b->rows = (dd_row_list){NULL, NULL}; break;
    case MASK_IGNORED: b->mask = NULL; break;
    case MASK_BY_ENTRY: mask_by_entry(b, room); break;
    default: break;
    }
}

static void spoil_change(const dd_gated_add_args *a)
{
    const dd_branch *b = &a->branch[0];
    const int64_t all = (int64_t)a->r * a->s, n = b->rows.idx ? *b->rows.count : all;
    if (b->change == NULL || b->change == b->f) return;
    for (int64_t i = 0; i < n; i++) {
        const bool on = b->mask == NULL || b->mask[dd_row_at(&b->rows, i)];
        for (int64_t j = 0; j < a->d; j++) {
            const double f = dd_ref_load(b->f, b->f_format, a->d, i, j);
            if (ck_fault == CHANGE_WITHOUT_GATE && on) dd_ref_store(b->change, b->out_format, a->d, i, j, f);
            if (ck_fault == CHANGE_UNMASKED && !on) dd_ref_store(b->change, b->out_format, a->d, i, j, 1);
        }
    }
}

static void spoil_kept(const dd_gated_add_args *a, int32_t step)
{
    const dd_branch *b = &a->branch[0];
    const int64_t all = (int64_t)a->r * a->s, n = b->rows.idx ? *b->rows.count : all;
    for (int64_t i = 0; b->keep && i < n; i++) {
        const int64_t row = dd_row_at(&b->rows, i);
        const float *gate = b->gate < 0 ? NULL : dd_cond_at(&a->cond, step, row / a->s) + b->gate;
        for (int64_t j = 0; j < a->d; j++) {
            const float f = dd_ref_load(b->f, b->f_format, a->d, i, j);
            if (ck_fault == KEPT_WITH_GATE && gate)
                dd_ref_store(b->keep, b->out_format, a->d, i, j, (double)(gate[j] * f));
            if (ck_fault == KEPT_WHERE_MASKED && b->mask && !b->mask[row])
                dd_ref_store(b->keep, b->out_format, a->d, i, j, 0);
            if (ck_fault == KEPT_CUT && b->out_format == DD_FMT_BF16)
                ((uint16_t *)b->keep)[i * a->d + j] = (uint16_t)(dd_f32_bits(f) >> 16);
        }
    }
}

static dd_status gated_add(const dd_exec *e, const dd_gated_add_args *args)
{
    const int32_t zero = 0;
    dd_gated_add_args a = *args;
    dd_exec x = *e;
    const int64_t d = a.d, all = (int64_t)a.r * a.s;
    uint8_t *room = ck_alloc((size_t)all);
    float *old = ck_alloc((size_t)(all * d) * sizeof *old);
    memcpy(old, a.x, (size_t)(all * d) * sizeof *old);
    for (int i = 0; i < a.n; i++) spoil_branch(&a.branch[i], room);
    if (ck_fault == GATE_OF_STEP_ZERO) x.step = &zero;
    if (ck_fault == LAST_BRANCH_MISSING && a.n > 1) a.n--;
    if (ck_fault == FIRST_BRANCH_ALONE) a.n = 1;
    const dd_status st = dd_ref_gated_add(&x, &a);
    for (int64_t row = 0; row < all; row++) {
        const bool last_row = ck_fault == LAST_ROW_MISSING && row == all - 1;
        for (int64_t j = 0; j < d; j++)
            if (last_row || (ck_fault == LAST_COLUMN_MISSING && j == d - 1)) a.x[row * d + j] = old[row * d + j];
    }
    spoil_kept(args, *e->step);
    if (ck_fault == CHANGE_WITHOUT_GATE || ck_fault == CHANGE_UNMASKED) spoil_change(args);
    free(room);
    free(old);
    return st;
}

#define GATED_ADD(name, fault)                                       \
    {                                                                \
        name, DD_OP_gated_add, {.gated_add = gated_add}, fault, NULL \
    }
static const ck_mutant list[] = {
    GATED_ADD("without the gate", GATE_MISSING),
    GATED_ADD("gate one column further", GATE_OF_ANOTHER),
    GATED_ADD("gate of the first step", GATE_OF_STEP_ZERO),
    GATED_ADD("row list ignored", LIST_IGNORED),
    GATED_ADD("mask ignored", MASK_IGNORED),
    GATED_ADD("mask by the compact row", MASK_BY_ENTRY),
    GATED_ADD("last branch missing", LAST_BRANCH_MISSING),
    GATED_ADD("first branch alone", FIRST_BRANCH_ALONE),
    GATED_ADD("change without the gate", CHANGE_WITHOUT_GATE),
    GATED_ADD("change where the mask says no", CHANGE_UNMASKED),
    GATED_ADD("kept with the gate", KEPT_WITH_GATE),
    GATED_ADD("kept only where the mask says yes", KEPT_WHERE_MASKED),
    GATED_ADD("kept bits cut", KEPT_CUT),
    GATED_ADD("drops the last column", LAST_COLUMN_MISSING),
    GATED_ADD("skips the last row", LAST_ROW_MISSING),
};

ck_mutants ck_mutants_gated_add(void) { return (ck_mutants){list, CK_COUNT(list)}; }
