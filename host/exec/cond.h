/* SPDX-License-Identifier: MIT
 * Which vectors of the conditioning table the steps read, and what is computed for them: a step that reuses branches reads
 * their gates alone. Within a chunk, steps that read more come first, so that each vector is computed for the first so
 * many: one GEMM over neighbouring vectors of equal count. */
#ifndef DD_HOST_EXEC_COND_H
#define DD_HOST_EXEC_COND_H

#include "host/exec/run_spec.h"
#include "host/exec/structure.h"

/* Steps whose conditioning is computed together: as many as fit in this many bytes, so that the adaLN weights (a
 * third of DiT-XL) are read once per chunk and not once per step. */
#define DD_COND_BYTES ((size_t)64 << 20)
#define DD_COND_MAX_SLOTS 32

int dd_cond_slots(const dd_run_spec *spec);

typedef struct dd_cond {
    int slots; /* steps of a chunk; the last may have fewer */
    int n_chunks;
    int n_vectors; /* in a row of the table, each as wide as the tokens */
    int *place;    /* [steps] of a step's vectors in its chunk */
    int *count;    /* [n_chunks, n_vectors] places that a vector is computed for, from 0 on */
} dd_cond;

dd_status dd_cond_build(dd_cond *out, const dd_run_spec *spec, const dd_actions *actions, dd_err *err);
void dd_cond_fini(dd_cond *c);

static inline const int *dd_cond_counts(const dd_cond *c, int chunk)
{
    return c->count + (int64_t)chunk * c->n_vectors;
}

/* Do two chunks compute the same? */
bool dd_cond_same(const dd_cond *c, int a, int b);

/* Where the run of vectors with the count of `first` ends, at most `end`. */
int dd_cond_run_end(const dd_cond *c, int chunk, int first, int end);

#endif
