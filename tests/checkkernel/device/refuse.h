/* SPDX-License-Identifier: MIT
 * test_refuse: what its files share. A line states what is changed in good arguments and what must come of it. */
#ifndef CK_REFUSE_H
#define CK_REFUSE_H

#include <stdbool.h>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/packed.h"

#define BYTES 65536 /* of each buffer; more than any good arguments reach */

/* Device memory. Zeros make good inputs of every op: counts, lists, steps and labels are zero too. */
extern char *in, *out;
extern dd_exec exec;
extern bool failing; /* every other launch does, from the first one on */

#define F(p) ((float *)(void *)(p))
#define I(p) ((int32_t *)(void *)(p))

/* What a call returned and should have, and how many kernels it should have launched. */
void expect(const char *what, dd_status got, dd_status want, int kernels);
/* The same call twice with good arguments. Where launches fail the first one does, and the second one is well. */
void expect_good(const char *what, dd_status first, dd_status second, int kernels);
/* st, unless launches fail and cudaGetLastError does not say why, once. */
dd_status after_failure(dd_status st);
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Verdict on everything since the last one. */
void section(const char *name);

/* A weight of zeros [n,k]; one of another backend; one without data. Some at a time may be in use. */
dd_packed *weight(int64_t n, int64_t k, int64_t unit, dd_dtype as);
dd_packed *foreign(dd_packed *w);
dd_packed *empty(dd_packed *w);
dd_cond_table table(void);

/* refuse_ops.c, refuse_gemm.c, refuse_picture.c */
void test_small_ops(void);
void test_gemm(void);
void test_attention(void);
void test_route(void);
void test_pictures(void);

#define CALL(call, kernels)                           \
    do {                                              \
        const dd_status first_ = after_failure(call); \
        expect_good(#call, first_, call, (kernels));  \
    } while (0)
/* With good_OP() in `a`, of which the statements change something. */
#define WITH(op, want, kernels, ...)                                                                    \
    do {                                                                                                \
        dd_##op##_args a = good_##op();                                                                 \
        __VA_ARGS__;                                                                                    \
        if ((want) == DD_OK && (kernels) > 0) CALL(dd_cuda_ops.op(&exec, &a), (kernels));               \
        else if (!failing) expect(#op ": " #__VA_ARGS__, dd_cuda_ops.op(&exec, &a), (want), (kernels)); \
    } while (0)
#define GOOD(op, kernels, ...) WITH(op, DD_OK, kernels, __VA_ARGS__)
#define EMPTY(op, ...) WITH(op, DD_OK, 0, __VA_ARGS__)
#define BAD(op, ...) WITH(op, DD_ERR_ARG, 0, __VA_ARGS__)
#define LACKS(op, ...) WITH(op, DD_ERR_UNSUPPORTED, 0, __VA_ARGS__)
/* What is the same for every op. */
#define COMMON(op)                                                                \
    do {                                                                          \
        const dd_##op##_args a = good_##op();                                     \
        const dd_exec no_step = {.stream = exec.stream};                          \
        if (failing) break;                                                       \
        expect(#op ": no exec", dd_cuda_ops.op(NULL, &a), DD_ERR_ARG, 0);         \
        expect(#op ": no step", dd_cuda_ops.op(&no_step, &a), DD_ERR_ARG, 0);     \
        expect(#op ": no arguments", dd_cuda_ops.op(&exec, NULL), DD_ERR_ARG, 0); \
    } while (0)

#endif
