/* SPDX-License-Identifier: MIT
 * Which random numbers belong to which image. Per-image mode: image i draws what upstream draws at batch 1 with seed
 * + i: its latents, then at every step as many rows as upstream's model sees (two under guidance, also outside its
 * interval), of which the first is used. Batch mode: upstream's order for the whole batch, one stream over all
 * batches. */
#ifndef DD_HOST_SAMPLE_NOISE_H
#define DD_HOST_SAMPLE_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/base/status.h"

typedef struct dd_noise dd_noise;

typedef struct dd_noise_spec {
    uint64_t seed;
    bool batch_mode;
    int64_t latent_count; /* values of one image */
    int rows;             /* 2 if guidance is in use, else 1 */
    int max_images;       /* of a batch */
} dd_noise_spec;

dd_status dd_noise_open(dd_noise **out, const dd_noise_spec *spec, dd_err *err);
void dd_noise_close(dd_noise **noise);

/* Starting latents of images first .. first+images-1: [images, latent_count]. */
void dd_noise_start(dd_noise *n, int64_t first, int images, float *latents);

/* Noise of the next step of the current batch: [images, latent_count]. */
void dd_noise_step(dd_noise *n, float *noise);

#endif
