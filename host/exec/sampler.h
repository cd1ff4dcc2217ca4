/* SPDX-License-Identifier: MIT
 * Samples images batch by batch: noise in, program, guidance and solver steps, latents out; and, on request, the same
 * steps dense beside them for a fair comparison of time. */
#ifndef DD_HOST_EXEC_SAMPLER_H
#define DD_HOST_EXEC_SAMPLER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "host/exec/backend.h"
#include "host/exec/calibrate.h"
#include "host/exec/profile.h"
#include "host/exec/relay.h"
#include "host/exec/run_spec.h"
#include "host/exec/weights.h"

typedef struct dd_sample_state {
    int64_t first, images_done, images;
    int batch, step, steps;
    double seconds;
} dd_sample_state;

typedef struct dd_sample_job {
    dd_run_spec spec;     /* max_images, plan, solver, … */
    const dd_plan *dense; /* complete model on the same timesteps, to be timed beside it; NULL: no comparison */
    dd_backend *be;
    const dd_weight_store *weights;
    const dd_leg *other; /* of the plan's other weight set; NULL: it has none. With keep_trajectory of equal shape */
    int64_t n_images, first; /* first: number of the first image, for its random stream */
    const int *labels;       /* [n_images] */
    int noise_rows;          /* rows that upstream draws per image and step */
    bool noise_used;         /* the solver adds noise, and it comes from the host */
    bool noise_drawn;        /* in batch mode: steps move the stream on, whether their noise is used or not */
    uint64_t seed;
    bool batch_mode;
    const float *latents_in; /* [n_images, latents], or NULL */
    const float *noise_in;   /* [steps, n_images, latents], or NULL */
    bool keep_trajectory;
    int preview_interval;
    dd_profile *profile;         /* op times are added here, of the main run; NULL: ops are not timed */
    dd_calibration *calibration; /* token routers are moved; NULL: they are not */
    atomic_int *cancel;
    int (*on_step)(void *user, const dd_sample_state *st);    /* non-zero: cancel */
    int (*on_preview)(void *user, const dd_sample_state *st); /* out->latents hold the predictions; non-zero: cancel */
    /* After a batch. NULL: out keeps all images, else those of the last batch alone. Non-zero: cancel. */
    int (*on_batch)(void *user, const dd_sample_state *st);
    void *user;
} dd_sample_job;

typedef struct dd_sample_out {
    float *latents;   /* [n_images, latents]; with on_batch [images of a batch, latents] */
    int32_t *hits;    /* [as latents, S] how often a token of the conditional row was kept by a router. Models that have
                          another number of tokens than the first one are left out */
    uint64_t *kept;   /* [steps, routers] kept tokens of all rows */
    int routers;      /* token routers of the model that has most */
    uint64_t *rows;   /* [steps] rows that ran */
    uint64_t *labels; /* [steps] distinct labels conditioned, summed over batches */
    float *trajectory; /* [steps, n_images, latents], or NULL */
    float *start;      /* with a trajectory: [n_images, latents] before the first step */
    uint8_t
        *tokens; /* [steps, token routers, rows, S], rows: conditional, then null where any step is guided; or NULL */
    double seconds, dense_seconds;
    uint64_t session_bytes;
    dd_graphs graphs; /* of the main run */
} dd_sample_out;

/* out belongs to the caller also after a failure; release with dd_sample_out_fini. */
dd_status dd_sampler_run(const dd_sample_job *job, dd_sample_out *out, dd_err *err);
void dd_sample_out_fini(dd_sample_out *out);
/* Latents and hits become NULL; figures stay. */
void dd_sample_out_drop_images(dd_sample_out *out);

#endif
