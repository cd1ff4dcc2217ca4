/* SPDX-License-Identifier: MIT
 * Lowering: nodes of the model and a plan row become a program of ops with resolved pointers. */
#ifndef DD_HOST_EXEC_LOWER_H
#define DD_HOST_EXEC_LOWER_H

#include "host/exec/program.h"
#include "host/exec/run_spec.h"
#include "host/exec/structure.h"
#include "host/exec/tables.h"
#include "host/exec/weights.h"

/* Everything a program points to. Device pointers of the backend. */
typedef struct dd_binding {
    const dd_run_spec *spec;
    const dd_actions *actions; /* of the plan */
    const dd_ops *ops;
    const char *backend_name;
    const dd_weight_store *weights;
    const dd_tables *tables; /* positions; the data itself is at: */
    const int32_t *ints;
    const float *temb, *coefs;         /* [steps,D], [steps,DD_COEF_COUNT] */
    void *const *buffer;               /* [n_buffers] */
    int images, n_labels;              /* of the current batch; n_labels distinct, null included */
    const int32_t *row_cond;           /* [2*images] rows: conditional, then null */
    const int32_t *labels;             /* [n_labels] */
    float *noise, *x0;                 /* [images, latents]; x0 may be NULL */
    float *kept_x;                     /* [dd_spec_kept, images, latents]; NULL where nothing runs */
    const dd_noise_stream *streams[2]; /* of the latents, of the steps: [images] each; NULL: nothing is drawn */
    const uint8_t *forced;             /* [token routers, rows, S], or NULL */
    uint8_t *mask;                     /* [token routers, rows, S] */
    int32_t *kept;                     /* [token routers, steps] */
    int32_t *hits;                     /* [rows, S], or NULL */
    float *hidden;                     /* [depth, rows, S, D], or NULL */
} dd_binding;

/* Program of all steps that share the structure of `step`. ERR_UNSUPPORTED names an op that the backend lacks. */
dd_status dd_lower_body(dd_program *out, const dd_binding *b, int step, dd_err *err);

/* How many ops that program has. */
dd_status dd_lower_count(int *n_ops, const dd_run_spec *spec, const dd_actions *actions, int step, dd_err *err);

/* Fills the conditioning table for a chunk of steps; to be run at the first of them. Chunks that are dd_cond_same have the
 * same program. */
dd_status dd_lower_prologue(dd_program *out, const dd_binding *b, int chunk, dd_err *err);

/* Draws the starting latents of the batch; empty where they come from outside. */
dd_status dd_lower_start(dd_program *out, const dd_binding *b, dd_err *err);

void dd_program_free(dd_program *p);

#endif
