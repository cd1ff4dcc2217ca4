/* SPDX-License-Identifier: MIT
 * Implementations with a planted fault: the reference, which has every format, with one op replaced. Each entry of a
 * table is one mutant; checkkernel must catch it. */
#ifndef DD_TESTS_CHECKKERNEL_MUTANTS_H
#define DD_TESTS_CHECKKERNEL_MUTANTS_H

#include "tests/checkkernel/impl.h"

typedef struct ck_mutant {
    const char *name;
    dd_op_id op;
    dd_ops with; /* the faulty entry; the others are NULL */
    int fault;   /* what ck_fault is while it runs, for functions that know several */
    dd_status (*pack)(const ck_impl *impl, const dd_weight_desc *desc, void *storage, dd_packed **out); /* or NULL */
} ck_mutant;

extern int ck_fault;

/* An entry of a table: `fault` of the function that is named as its op. */
#define CK_MUTANT(op, name, fault)                \
    {                                             \
        name, DD_OP_##op, {.op = op}, fault, NULL \
    }

typedef struct ck_mutants {
    const ck_mutant *list;
    int n;
} ck_mutants;

ck_mutants ck_mutants_common(void); /* faults that any op can have */
ck_mutants ck_mutants_gemm(void);
ck_mutants ck_mutants_attention(void);
ck_mutants ck_mutants_adaln(void);
ck_mutants ck_mutants_depth_average(void);
ck_mutants ck_mutants_gated_add(void);
ck_mutants ck_mutants_noise(void);
ck_mutants ck_mutants_solve(void);
ck_mutants ck_mutants_picture(void);
ck_mutants ck_mutants_small(void); /* the other ops */

/* Writes x as bfloat16 by cutting bits off. */
void ck_store_cut(void *p, dd_format format, int64_t ld, int64_t row, int64_t col, float x);

/* Zeros behind column `width` of blocks, kept from what the op writes: saves before, puts back after. */
uint16_t *ck_tail_save(const void *p, dd_format format, int64_t ld, int64_t rows, int64_t width);
void ck_tail_restore(void *p, dd_format format, int64_t ld, int64_t rows, int64_t width, uint16_t *saved);

#endif
