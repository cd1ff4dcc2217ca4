/* SPDX-License-Identifier: MIT
 * Faulty weighted sums: the reference on wrong arguments, or its result altered. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"
#include "tests/checkkernel/check.h"
#include "tests/checkkernel/mutants.h"

typedef enum fault {
    NEWEST_MISSING,
    OLDEST_MISSING,
    NEWEST_ALONE,
    WEIGHTS_REVERSED,
    WEIGHTS_OF_ONE,
    NORMALIZED, /* weights that sum to 1 */
    CLAMPED,    /* no negative weights */
    SUM_IN_BF16,
    SIGN_OF_ZERO_LOST,
    Y_BEFORE_SOURCES, /* in place */
    LAST_COLUMN_MISSING,
    LAST_ROW_MISSING,
    NORM_OF_NEWEST,
    NORM_MISSING,
    NORM_OF_STEP_ZERO,
    NORM_SWAPPED,
    NORM_EPSILON,
} fault;

static void spoil_weights(dd_depth_average_args *a)
{
    double sum = 0;
    for (int i = 0; i < a->n; i++) sum += (double)a->weight[i];
    for (int i = 0; i < a->n; i++) {
        float *w = &a->weight[i];
        if (ck_fault == WEIGHTS_OF_ONE) *w = 1;
        if (ck_fault == NORMALIZED && fabs(sum) > 1e-3) *w = (float)((double)*w / sum);
        if (ck_fault == CLAMPED && *w < 0) *w = 0;
    }
    for (int i = 0; ck_fault == WEIGHTS_REVERSED && i < a->n / 2; i++) {
        const float w = a->weight[i];
        a->weight[i] = a->weight[a->n - 1 - i];
        a->weight[a->n - 1 - i] = w;
    }
}

static void spoil_sources(dd_depth_average_args *a)
{
    const int last = a->n - 1;
    if (ck_fault == NEWEST_MISSING && a->n > 1) a->n--;
    if (ck_fault == OLDEST_MISSING) a->weight[0] = a->n > 1 ? 0 : a->weight[0];
    if (ck_fault == NEWEST_ALONE) a->n = 1, a->x[0] = a->x[last], a->weight[0] = a->weight[last];
}

static void spoil_norm(dd_adaln_args *g)
{
    const int64_t shift = g->shift;
    if (ck_fault == NORM_MISSING) g->y = NULL;
    if (ck_fault == NORM_SWAPPED) g->shift = g->scale, g->scale = shift;
    if (ck_fault == NORM_EPSILON) g->eps *= 10;
}

/* The result before the call is put back, or altered. */
static void spoil_result(const dd_depth_average_args *a, const float *old)
{
    const int64_t d = a->d, all = (int64_t)a->r * a->s;
    for (int64_t row = 0; row < all; row++)
        for (int64_t j = 0; j < d; j++) {
            float *y = &a->y[row * d + j];
            const bool kept = ck_fault == LAST_ROW_MISSING ? row == all - 1
                                                           : ck_fault == LAST_COLUMN_MISSING && j == d - 1;
            if (kept) *y = old[row * d + j];
            if (ck_fault == SUM_IN_BF16) *y = dd_bf16_to_f32(dd_f32_to_bf16(*y));
            if (ck_fault == SIGN_OF_ZERO_LOST) *y += 0.0f;
        }
}

static dd_status depth_average(const dd_exec *e, const dd_depth_average_args *args)
{
    const int32_t zero = 0;
    dd_depth_average_args a = *args;
    dd_exec x = *e;
    const size_t bytes = (size_t)a.r * (size_t)a.s * (size_t)a.d * sizeof(float);
    float *old = ck_alloc(bytes);
    memcpy(old, a.y, bytes);
    spoil_weights(&a);
    spoil_sources(&a);
    spoil_norm(&a.norm);
    if (ck_fault == Y_BEFORE_SOURCES) memset(a.y, 0, bytes);
    if (ck_fault == NORM_OF_STEP_ZERO) x.step = &zero;
    dd_status st = dd_ref_depth_average(&x, &a);
    spoil_result(args, old);
    if (st == DD_OK && ck_fault == NORM_OF_NEWEST && a.norm.y && a.x[a.n - 1] != a.y) {
        a.norm.x = a.x[a.n - 1];
        st = dd_ref_adaln(e, &a.norm);
    }
    free(old);
    return st;
}

#define AVERAGE(name, fault) CK_MUTANT(depth_average, name, fault)
static const ck_mutant list[] = {
    AVERAGE("newest source missing", NEWEST_MISSING),
    AVERAGE("oldest source missing", OLDEST_MISSING),
    AVERAGE("newest source alone", NEWEST_ALONE),
    AVERAGE("weights in reverse", WEIGHTS_REVERSED),
    AVERAGE("weights of one", WEIGHTS_OF_ONE),
    AVERAGE("weights that sum to one", NORMALIZED),
    AVERAGE("no negative weights", CLAMPED),
    AVERAGE("sum in bf16", SUM_IN_BF16),
    AVERAGE("a copy loses the sign of zero", SIGN_OF_ZERO_LOST),
    AVERAGE("written before the sources are read", Y_BEFORE_SOURCES),
    AVERAGE("drops the last column", LAST_COLUMN_MISSING),
    AVERAGE("skips the last row", LAST_ROW_MISSING),
    AVERAGE("LayerNorm of the newest source", NORM_OF_NEWEST),
    AVERAGE("LayerNorm missing", NORM_MISSING),
    AVERAGE("LayerNorm with tables of the first step", NORM_OF_STEP_ZERO),
    AVERAGE("shift and scale swapped", NORM_SWAPPED),
    AVERAGE("epsilon ten times as large", NORM_EPSILON),
};

ck_mutants ck_mutants_depth_average(void) { return (ck_mutants){list, CK_COUNT(list)}; }
