/* SPDX-License-Identifier: MIT
 * What reuse does to the output of one step. A branch is computed at a step (the source), kept, and reused at a later one (the
 * target) that is computed otherwise, from the latents of a run of the plan; measured is the squared difference of the
 * predicted noise, guided where the step is. */
#ifndef DD_HOST_EXEC_PROBE_H
#define DD_HOST_EXEC_PROBE_H

#include <stdatomic.h>

#include "host/exec/backend.h"
#include "host/exec/run_spec.h"
#include "host/exec/weights.h"

/* Ages that are measured: steps from source to target. */
#define DD_PROBE_AGES 3
extern const int dd_probe_age[DD_PROBE_AGES];

typedef struct dd_probe_job {
    const dd_run_spec *spec; /* of a run of the plan, which reuses nothing */
    dd_backend *be;
    const dd_weight_store *weights;
    const int *labels;       /* [max_images] */
    const float *start;      /* [max_images, latents] before the first step */
    const float *trajectory; /* [steps, max_images, latents] after each */
    int stride;              /* sources: every so many steps, the last step but one among them */
    atomic_int *cancel;
    int (*on_pass)(void *user); /* after every forward pass; non-zero: cancel */
    void *user;
} dd_probe_job;

typedef struct dd_probe_out {
    double *error; /* [steps, sites, DD_PROBE_AGES] mean square over that of the prediction; negative: not measured */
    double *joint; /* [steps, DD_PROBE_AGES] likewise, where every site reuses that can */
} dd_probe_out;

/* Forward passes of dd_probe_run. */
int64_t dd_probe_passes(const dd_probe_job *job);
/* What it allocates on the backend beside the weights. */
dd_status dd_probe_bytes(const dd_probe_job *job, uint64_t *out, dd_err *err);

/* out belongs to the caller also after a failure. */
dd_status dd_probe_run(const dd_probe_job *job, dd_probe_out *out, dd_err *err);
void dd_probe_out_fini(dd_probe_out *out);

#endif
