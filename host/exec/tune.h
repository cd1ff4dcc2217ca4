/* SPDX-License-Identifier: MIT
 * Times every GEMM of a plan's programs by all that can do it: the backend's own kernels, its library, wgmma. */
#ifndef DD_HOST_EXEC_TUNE_H
#define DD_HOST_EXEC_TUNE_H

#include <stdatomic.h>

#include "host/exec/run_spec.h"
#include "host/exec/tune_cache.h"
#include "host/exec/weights.h"

typedef struct dd_tune_job {
    const dd_run_spec *spec; /* max_images are sampled */
    dd_backend *be;          /* has an engine, found */
    const dd_weight_store *weights;
    const atomic_int *cancel;
} dd_tune_job;

/* Adds an entry for each shape that there may be a choice for and that has none. The library, where it is there, is in use
 * afterwards, for everything.
 * ERR_CANCELLED. */
dd_status dd_tune_run(dd_tune_list *out, const dd_tune_job *job, dd_err *err);

#endif
