/* SPDX-License-Identifier: MIT
 * Models with the shapes of a published one and random weights: for timing, no picture comes out of them. Matrices are
 * stored as bf16; vectors, routers, position table and timestep embedder as float32. */
#ifndef DD_HOST_MODEL_RANDOM_H
#define DD_HOST_MODEL_RANDOM_H

#include "host/model/model.h"

typedef struct dd_random_spec {
    const char *preset;           /* "DyDiT-XL/2" */
    int input_size;               /* of the latents (4 channels, 1000 classes); 0: 32 */
    uint64_t seed;                /* equal seeds give equal weights */
    double unit_share;            /* of heads and MLP groups that the timestep routers switch on; 0: 0.62 */
    double token_bias;            /* of the token routers, whose share is about a half at 0 */
    int dwa_dilation, dwa_period; /* depth-weighted averages, names of the package; 0: none */
} dd_random_spec;

/* The checkpoint, in memory. ERR_ARG: preset or size. */
dd_status dd_random_file(dd_tensors **out, const dd_random_spec *spec, dd_err *err);
/* The model. Its `random` is true: token routers may be moved (exec/calibrate.h). */
dd_status dd_random_model(dd_model **out, const dd_random_spec *spec, dd_err *err);

#endif
