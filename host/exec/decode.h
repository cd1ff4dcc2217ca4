/* SPDX-License-Identifier: MIT
 * Decodes any number of latents, batch by batch, whole or in tiles. */
#ifndef DD_HOST_EXEC_DECODE_H
#define DD_HOST_EXEC_DECODE_H

#include <stdatomic.h>

#include "host/exec/decoder.h"
#include "host/exec/tiles.h"

/* How latents of [n, channels, h, w] are cut up. */
typedef struct dd_decode_plan {
    int64_t n;
    int h, w, batch; /* batch: at most n */
    int tile;        /* latents along a side of a tile; 0: pictures are decoded whole */
    double overlap;  /* share of a tile */
} dd_decode_plan;

/* A tile that covers the picture is none. */
static inline bool dd_decode_tiled(const dd_decode_plan *p)
{
    return p->tile > 0 && (p->tile < p->h || p->tile < p->w);
}

typedef struct dd_decode_bytes {
    size_t backend, scratch; /* without weights */
    size_t host;             /* a batch of pictures, and rows of tiles */
} dd_decode_bytes;

dd_status dd_decode_footprint(dd_decode_bytes *out, const dd_vae *vae, dd_backend *be, dd_format input,
                              const dd_decode_plan *plan, dd_err *err);

typedef struct dd_decode_state {
    int64_t done;    /* pictures */
    int tile, tiles; /* of the current batch */
    double seconds;
} dd_decode_state;

typedef struct dd_decode_job {
    dd_decode_plan plan;
    const dd_vae *vae;
    const dd_decoder_weights *weights;
    const float *latents; /* [n, channels, h, w] */
    /* Takes pictures [count, 3, factor * h, factor * w], of which `first` is the first. */
    void (*take)(void *user, int64_t first, int count, const float *pictures);
    int (*on_tile)(void *user, const dd_decode_state *state); /* not 0: stop. May be NULL */
    void *user;
    atomic_int *cancel; /* may be NULL */
} dd_decode_job;

/* DD_ERR_CANCELLED between two tiles or batches. */
dd_status dd_decode_run(const dd_decode_job *job, double *seconds, dd_err *err);

#endif
