/* SPDX-License-Identifier: MIT
 * Cases of the op `solve`: check_solve.c has the solvers that know one step, check_solve_multistep.c those that keep what
 * earlier steps predicted. */
#ifndef DD_TESTS_CHECKKERNEL_CHECK_SOLVE_H
#define DD_TESTS_CHECKKERNEL_CHECK_SOLVE_H

#include "tests/checkkernel/check.h"

/* Where a multistep run stands: what of the past there is. */
typedef enum ck_phase { CK_FIRST, CK_SECOND, CK_MIDDLE, CK_LAST, CK_PHASES } ck_phase;

typedef struct ck_solve_params {
    int b, c, co, size;
    dd_solver solver;
    bool noisy, want_x0;
    ck_phase phase; /* of multistep solvers */
    ck_pattern how;
} ck_solve_params;

void ck_solve_list_multistep(ck_list *l);
void ck_solve_build_multistep(ck_case *c);

#endif
