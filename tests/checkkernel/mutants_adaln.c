/* SPDX-License-Identifier: MIT
 * Faulty LayerNorms: one plain loop in which single things can be wrong. */
#include <math.h>

#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"
#include "tests/checkkernel/check.h"
#include "tests/checkkernel/mutants.h"

typedef enum fault {
    WRONG_EPS,
    FIXED_EPS,
    ONE_PASS,
    UNBIASED,
    NO_ONE_PLUS,
    SWAPPED_VECTORS,
    WRONG_CONDITION,
    WRONG_STEP,
    LIST_IGNORED,
    LIST_OFF_BY_ONE,
    NOT_COMPACT,
    LAST_ROW_MISSING,
    LAST_COLUMN_MISSING,
    TAIL_NOT_IN_MEAN, /* columns past the last whole vector of 8 */
    CUTS_BITS,
    LEAVES_TAIL,
} fault;

typedef struct stats {
    double mean, rstd;
} stats;

static stats stats_of(const float *x, int d, double eps)
{
    const int n = ck_fault == TAIL_NOT_IN_MEAN && d >= 8 ? d / 8 * 8 : d;
    if (ck_fault == WRONG_EPS) eps *= 10;
    if (ck_fault == FIXED_EPS) eps = (double)DD_LN_EPS;
    double mean = 0, var = 0;
    float sum = 0, square = 0;
    for (int j = 0; j < n; j++) {
        mean += (double)x[j] / n;
        sum += x[j];
        square += x[j] * x[j];
    }
    for (int j = 0; j < n; j++) var += (x[j] - mean) * (x[j] - mean) / (ck_fault == UNBIASED && n > 1 ? n - 1 : n);
    if (ck_fault == ONE_PASS) var = (double)(square / (float)n - sum / (float)n * (sum / (float)n));
    return (stats){mean, 1 / sqrt(var + eps)};
}

static dd_status adaln(const dd_exec *e, const dd_adaln_args *a)
{
    const int64_t all = (int64_t)a->r * a->s, n = dd_row_count(&a->rows, all), d = a->d;
    for (int64_t i = 0; i < n - (ck_fault == LAST_ROW_MISSING); i++) {
        int64_t row = dd_row_at(&a->rows, i);
        if (ck_fault == LIST_IGNORED) row = i;
        if (ck_fault == LIST_OFF_BY_ONE && a->rows.idx) row = row > 0 ? row - 1 : row;
        const int64_t to = ck_fault == NOT_COMPACT ? row : i;
        const int64_t batch = ck_fault == WRONG_CONDITION ? i / a->s : row / a->s;
        const float *x = a->x + row * d, *cond = dd_cond_at(&a->cond, ck_fault == WRONG_STEP ? 0 : *e->step, batch);
        const float *shift = cond + (ck_fault == SWAPPED_VECTORS ? a->scale : a->shift);
        const float *scale = cond + (ck_fault == SWAPPED_VECTORS ? a->shift : a->scale);
        const stats s = stats_of(x, a->d, (double)a->eps);
        for (int64_t j = 0; j < d - (ck_fault == LAST_COLUMN_MISSING); j++) {
            const double y = (x[j] - s.mean) * s.rstd * ((ck_fault == NO_ONE_PLUS ? 0 : 1) + (double)scale[j]) +
                             shift[j];
            if (ck_fault == CUTS_BITS) ck_store_cut(a->y, a->y_format, a->ldy, to, j, (float)y);
            else dd_ref_store(a->y, a->y_format, a->ldy, to, j, y);
        }
        if (ck_fault != LEAVES_TAIL) dd_ref_finish_row(a->y, a->y_format, a->ldy, to, d);
    }
    return DD_OK;
}

#define ADALN(name, fault)                               \
    {                                                    \
        name, DD_OP_adaln, {.adaln = adaln}, fault, NULL \
    }
static const ck_mutant list[] = {
    ADALN("epsilon ten times as large", WRONG_EPS),
    ADALN("epsilon of another model", FIXED_EPS),
    ADALN("one-pass variance", ONE_PASS),
    ADALN("unbiased variance", UNBIASED),
    ADALN("scale without 1 +", NO_ONE_PLUS),
    ADALN("shift and scale swapped", SWAPPED_VECTORS),
    ADALN("condition of the compact row", WRONG_CONDITION),
    ADALN("tables of another step", WRONG_STEP),
    ADALN("row list ignored", LIST_IGNORED),
    ADALN("row list off by one", LIST_OFF_BY_ONE),
    ADALN("result not compact", NOT_COMPACT),
    ADALN("skips the last row", LAST_ROW_MISSING),
    ADALN("drops the last column", LAST_COLUMN_MISSING),
    ADALN("tail missing in the mean", TAIL_NOT_IN_MEAN),
    ADALN("bf16 by truncation", CUTS_BITS),
    ADALN("tail of blocks is not zeroed", LEAVES_TAIL),
};

ck_mutants ck_mutants_adaln(void) { return (ck_mutants){list, CK_COUNT(list)}; }
