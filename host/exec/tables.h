/* SPDX-License-Identifier: MIT
 * The per-step parameters of a session: slice lists, conditioning slots, timestep embeddings, solver coefficients.
 * Built on the host, uploaded once; ops index them by the step counter. */
#ifndef DD_HOST_EXEC_TABLES_H
#define DD_HOST_EXEC_TABLES_H

#include "host/exec/cond.h"
#include "host/exec/run_spec.h"

/* Slices of one axis of one weight: positions in `ints`, or -1 where the axis is whole at every step. */
typedef struct dd_axis_table {
    int64_t offset_at; /* [steps] offsets, relative to list_at */
    int64_t list_at;
} dd_axis_table;

/* Chunks of some neighbouring vectors of a weight that makes conditioning. */
typedef struct dd_cond_run {
    int first, end; /* of the weight's vectors */
    int64_t list_at;
} dd_cond_run;

typedef struct dd_tables {
    int32_t *ints;
    int64_t n_ints, cap_ints;
    dd_axis_table *n_axis, *k_axis; /* [n_weights] */
    dd_cond_run *runs;              /* [n_runs]: of parts of weights; the same at every step */
    int n_runs;
    int64_t run_offset_at; /* [steps] zeros */
    dd_cond cond;          /* what of the conditioning is computed, and in which order */
    int64_t slot_at;       /* [steps] place of a step in its chunk of conditioning, times the labels in it */
    float *temb;           /* [steps, D], in the order of the places */
} dd_tables;

/* with_temb 0 leaves the embeddings out: sizes alone (dry run). */
dd_status dd_tables_build(dd_tables *out, const dd_run_spec *spec, const dd_actions *actions, int with_temb,
                          dd_err *err);
void dd_tables_fini(dd_tables *t);
/* Vectors first .. end-1 of a weight, of which there are n; all of them are the whole axis. */
dd_axis_table dd_tables_run(const dd_tables *t, int first, int end, int n);
/* What a session keeps of them on the backend, coefficients and the labels of the rows included. */
size_t dd_tables_bytes(const dd_tables *t, const dd_run_spec *spec);

#endif
