/* SPDX-License-Identifier: MIT
 * Runs every mutant until a case catches it. One that nothing catches is a failure of the tests. */
#include "tests/checkkernel/mutants.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernels/ref/ref_format.h"
#include "tests/checkkernel/options.h"

int ck_fault;

void ck_store_cut(void *p, dd_format format, int64_t ld, int64_t row, int64_t col, float x)
{
    dd_ref_store(p, format, ld, row, col,
                 format == DD_FMT_F32 ? (double)x : (double)dd_bf16_to_f32((uint16_t)(dd_f32_bits(x) >> 16)));
}

uint16_t *ck_tail_save(const void *p, dd_format format, int64_t ld, int64_t rows, int64_t width)
{
    uint16_t *saved = ck_alloc((size_t)(rows * DD_BLOCK) * sizeof *saved);
    if (format != DD_FMT_BF16_BLOCKS) return saved;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t col = width; col % DD_BLOCK != 0; col++)
            saved[row * DD_BLOCK + col % DD_BLOCK] = ((const uint16_t *)p)[dd_block_at(ld, row, col)];
    return saved;
}

void ck_tail_restore(void *p, dd_format format, int64_t ld, int64_t rows, int64_t width, uint16_t *saved)
{
    if (format == DD_FMT_BF16_BLOCKS)
        for (int64_t row = 0; row < rows; row++)
            for (int64_t col = width; col % DD_BLOCK != 0; col++)
                ((uint16_t *)p)[dd_block_at(ld, row, col)] = saved[row * DD_BLOCK + col % DD_BLOCK];
    free(saved);
}

/* The reference with the faulty op. */
static ck_impl plant(const ck_mutant *m, dd_ops *ops)
{
    int n;
    ck_impl impl = ck_impls(&n)[0];
    *ops = *impl.ops;
#define DD_OP(name) \
    if (m->with.name) ops->name = m->with.name;
#include "kernels/ops.def"
#undef DD_OP
    snprintf(impl.name, sizeof impl.name, "mutant");
    impl.ops = ops;
    if (m->pack) impl.pack = m->pack;
    ck_fault = m->fault;
    return impl;
}

static bool caught(const ck_options *o, const ck_mutant *m, const ck_list *l, ck_exec *execs, int *runs)
{
    dd_ops ops;
    const ck_impl impl = plant(m, &ops);
    for (int i = 0; i < l->n; i++) {
        ck_case c;
        ck_case_open(&c, ck_ops[m->op], &l->entries[i], o->seed);
        const ck_result r = ck_verify(&c, &impl, execs);
        ck_case_close(&c);
        ++*runs;
        if (r.outcome == CK_PASS) continue;
        printf("caught   %-12s %-44s by %-8s after %3d cases: %s\n", ck_op_name(m->op), m->name,
               r.check ? r.check : "mistrust", i + 1, l->entries[i].name);
        return true;
    }
    printf("MISSED   %-12s %s: %d cases passed\n  checkkernel --mutants --op=%s --seed=%llu\n", ck_op_name(m->op),
           m->name, l->n, ck_op_name(m->op), (unsigned long long)o->seed);
    return false;
}

int ck_run_mutants(const ck_options *o)
{
    const ck_mutants groups[] = {ck_mutants_common(), ck_mutants_gemm(),          ck_mutants_attention(),
                                 ck_mutants_adaln(),  ck_mutants_depth_average(), ck_mutants_gated_add(),
                                 ck_mutants_noise(),  ck_mutants_small(),         ck_mutants_solve(),
                                 ck_mutants_picture()};
    ck_exec execs[CK_EXECS];
    int found = 0, missed = 0, runs = 0;
    for (int t = 0; t < CK_EXECS; t++) ck_exec_open(&execs[t], t);
    for (int op = 0; op < DD_OP_COUNT; op++) {
        if (!ck_wanted(o->op, ck_op_name((dd_op_id)op))) continue;
        ck_list l = ck_cases(o, ck_ops[op]);
        for (int g = 0; g < CK_COUNT(groups); g++)
            for (int i = 0; i < groups[g].n; i++) {
                if ((int)groups[g].list[i].op != op) continue;
                if (caught(o, &groups[g].list[i], &l, execs, &runs)) found++;
                else missed++;
            }
        ck_list_free(&l);
    }
    for (int t = 0; t < CK_EXECS; t++) ck_exec_close(&execs[t]);
    if (found + missed == 0) printf("no mutant was run\n");
    printf("%d mutants caught, %d missed, in %d cases\n", found, missed, runs);
    printf("%d passed, %d failed, 0 skipped\n", found, missed);
    return missed > 0 || found == 0;
}
