/* SPDX-License-Identifier: MIT
 * One buffer that an op reads or writes, fenced by guard zones, with what must be in it after a run.
 *
 * Before every run a tensor is put back to its initial contents: the data of an input; poison, a NaN, in every element of
 * an output that the case did not set. After it, inputs and elements marked CK_KEEP must hold the same bits. Float32
 * tensors may lie at any multiple of 4 bytes and do; those of other formats are aligned to 64 bytes. Behind an input comes a page
 * that nobody may read: a kernel that reads too far is stopped there, see main.c. (Not under the address sanitizer, which
 * has its own way.) */
#ifndef DD_TESTS_CHECKKERNEL_TENSOR_H
#define DD_TESTS_CHECKKERNEL_TENSOR_H

#include <stdbool.h>

#include "kernels/ops.h"

#define CK_POISON_F32 0x7fc0beefu /* a quiet NaN */
#define CK_POISON_BF16 0x7fceu    /* of f16 too */
#define CK_POISON_U8 0xa5u

typedef enum ck_kind {
    CK_KEEP, /* not written: the initial bits */
    CK_NEAR, /* within bound of want; in fewer bits than float32 the rounding of something within bound of want */
    CK_ZERO, /* +0 or -0 */
    CK_BITS, /* `bits` exactly */
    CK_SAME, /* anything, but the same in every run */
    CK_FREE  /* anything */
} ck_kind;

typedef struct ck_expect {
    double want, bound;
    uint32_t bits;
    ck_kind kind;
} ck_expect;

typedef struct ck_tensor {
    const char *name;
    dd_dtype dtype;
    bool output;
    size_t n, bytes;
    void *p;           /* [n], what ops see */
    void *initial;     /* [n], after ck_tensor_seal */
    void *first;       /* outputs: what the first run left, for the next runs to equal */
    ck_expect *expect; /* outputs: [n], all CK_KEEP at first */
    float *naive;      /* outputs: [n] or NULL: same-precision computation, poison where there is none */
    unsigned char *base;
    size_t mapped, behind; /* bytes of the mapping of an input; of the guard behind the data */
} ck_tensor;

/* A poisoned buffer of n elements. aligned: to 64 bytes in any case. Exits when memory runs out, as all of this tool
 * does. */
ck_tensor ck_tensor_open(const char *name, dd_dtype dtype, size_t n, bool output, bool aligned);
void ck_tensor_close(ck_tensor *t);
void ck_tensor_seal(ck_tensor *t);    /* what it holds now is its initial contents */
void ck_tensor_restore(ck_tensor *t); /* before a run; guards too */

uint32_t ck_bits_at(const ck_tensor *t, const void *p, size_t i);
double ck_value_at(const ck_tensor *t, const void *p, size_t i);
bool ck_guards_hold(const ck_tensor *t);

/* Does element i of an output fulfil its expectation? */
bool ck_element_ok(const ck_tensor *t, size_t i);

void *ck_alloc(size_t bytes); /* zeroed, 64-byte aligned; freed with free */

#endif
