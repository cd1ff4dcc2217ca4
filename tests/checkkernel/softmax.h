/* SPDX-License-Identifier: MIT
 * How far an attention may be off: weights and scores of one query, for the ops that have a softmax.
 *
 * Bound, u = 2^-24. A score s_j = q.k_j / sqrt(E) errs by d_j <= (E + 4) u sum |q k_j| / sqrt(E), however it is summed;
 * subtracting the maximum rounds once more, by u (|s_j| + |max|), and the error of the maximum itself is common to all
 * weights and cancels. So the weight p_j errs by a factor 1 + f_j, f_j = expm1(d_j + 2 u (|s_j| + |max|) + 8 u), where 8 u
 * is for e^x. With c_S = min(S, 6 sqrt(S)) + 3 for sums over the keys (see check_gemm.c):
 *   numerator:    N = sum p_j |v_j| (f_j + c_S u),   denominator, relative:  F = sum p_j f_j + c_S u,
 *   |error| <= (N + |out| (F + 3 u)) / (1 - F).
 * From inputs of 16 bits e^x and 1/x may be approximate: f_j + ck_approx. The weights may be rounded to bfloat16, by e_j
 * <= 2^-8, before they meet v, or to f16, by 2^-11 and half a unit of 2^-24 that is the least there is, where the largest weight
 * is 1 before they are divided by their sum, and afterwards less: e_j <= 2^-11 + 2^-25 / p_j. The result then errs by sum p_j e_j v_j, or by sum p_j e_j (v_j - out) if the denominator
 * sums the rounded weights: at most sum p_j e_j |.|, and for scores without a pattern 6 sqrt(sum (p_j e_j .)^2) by the
 * same argument as in check_gemm.c. Cases with v in [2, 4) make that small enough to see how results are rounded.
 * Tensor cores (kernels/cuda/attention_mma.cu) add K products in (K/16 + 2) 2^-23 sum |.|, cut instead of rounded: (K/8 + 4) u is
 * below (E + 4) u for scores, and with one more rounding for each 32 keys below c_S u for the sums, up to S = 1300. Weights
 * to base 2 have the exponent s log2(e), whose constant bears 3 roundings: below 2 u (|s_j| + |max|) and ck_approx.
 * A result is a mean of v, so 2 max |v| is always enough. Weights below 2^-126 may become 0. */
#ifndef DD_TESTS_CHECKKERNEL_SOFTMAX_H
#define DD_TESTS_CHECKKERNEL_SOFTMAX_H

#include "tests/checkkernel/check.h"

typedef struct ck_softmax {
    int s, e;         /* keys, and columns of each */
    dd_format format; /* of q, k and v */
    ck_pattern how;
    int64_t ld;             /* from one token to the next; k and v lie e and 2 e behind q */
    const float *q, *first; /* the query; q of token 0 of its head */
    double *weight, *f;     /* [s] */
    float *naive;           /* [s] */
} ck_softmax;

void ck_softmax_open(ck_softmax *y);
void ck_softmax_close(ck_softmax *y);
void ck_softmax_query(ck_softmax *y, const float *q, const float *first); /* the next query */
double ck_softmax_bound(const ck_softmax *y, int x, double want);         /* of column x of the result */
float ck_softmax_naive(const ck_softmax *y, int x);

#endif
