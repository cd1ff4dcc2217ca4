/* SPDX-License-Identifier: MIT
 * Forward passes on given rows: one plan row per distinct timestep, so that a user can hold any other
 * implementation's numbers against ours. */
#ifndef DD_HOST_EXEC_EVALUATE_H
#define DD_HOST_EXEC_EVALUATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "host/exec/backend.h"
#include "host/exec/weights.h"
#include "host/model/model.h"

typedef struct dd_eval_job {
    const dd_model *model;
    dd_backend *be;
    dd_format input; /* as in dd_run_spec */
    const dd_weight_store *weights;
    int64_t n;      /* rows */
    const float *x; /* [n, latents] */
    const float *t; /* [n] */
    const int *y;   /* [n] 0..num_classes */
    bool dense, trace;
    bool guided; /* also guide, with cfg_scale on cfg_channels */
    float cfg_scale;
    int cfg_channels;
    const uint8_t *forced; /* [token routers, n, S], or NULL */
    atomic_int *cancel;
} dd_eval_job;

typedef struct dd_eval_out {
    float *out;            /* [n, out] */
    float *cfg_out;        /* [2n, out]: conditional rows, then null rows; NULL unless guided */
    float *hidden;         /* [depth, n, S, D]; NULL unless trace, like the rest */
    float *heads, *groups; /* [depth, n, H] 0 or 1 */
    float *tokens;         /* [depth, n, S] 0 or 1 */
} dd_eval_out;

/* Rows that are evaluated together at most. */
int dd_evaluate_batch(const dd_eval_job *job);

/* What dd_evaluate allocates on the backend, beside the weights, with batches of `batch` rows. */
dd_status dd_evaluate_bytes(const dd_eval_job *job, int batch, uint64_t *out, dd_err *err);

/* out belongs to the caller also after a failure. */
dd_status dd_evaluate(const dd_eval_job *job, dd_eval_out *out, dd_err *err);
void dd_eval_out_fini(dd_eval_out *out);

#endif
