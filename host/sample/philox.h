/* SPDX-License-Identifier: MIT
 * Where the random numbers of a run lie in PyTorch's CUDA generator: size of the launch, offset, element. The op `noise`
 * draws them. Facts: calc_execution_policy and distribution_elementwise_grid_stride_kernel of ATen
 * (native/cuda/DistributionTemplates.h). A launch has blocks of 256 threads and never more than the card holds at a
 * time; each thread takes four numbers per block of the generator, at distances of all threads. So a draw of more
 * numbers than the card holds threads depends on the card. */
#ifndef DD_HOST_SAMPLE_PHILOX_H
#define DD_HOST_SAMPLE_PHILOX_H

#include "host/base/status.h"
#include "host/sample/noise.h"
#include "kernels/ops.h"

typedef struct dd_card {
    const char *name; /* "A100" */
    int sms, threads_per_sm;
} dd_card;

/* A card of the table, whatever the case of the letters. ERR_ARG lists the names. */
dd_status dd_card_find(dd_card *out, const char *name, dd_err *err);
/* ERR_ARG where no launch would fit, or none that 32 bits can count. */
dd_status dd_card_check(const dd_card *card, dd_err *err);

/* Threads of the launch that draws n numbers, and by how much the generator's offset is larger afterwards. n > 0. */
uint32_t dd_card_threads(const dd_card *card, int64_t n);
uint64_t dd_card_growth(const dd_card *card, int64_t n);

/* Numbers from which on PyTorch splits a draw into several launches: its tensors are indexed by 32-bit byte offsets. */
#define DD_DRAW_MAX (INT64_C(1) << 29)

typedef enum dd_draw { DD_DRAW_LATENTS, DD_DRAW_STEP } dd_draw; /* at the start of a batch; at each of its steps */

typedef struct dd_draws {
    dd_noise_spec images; /* which numbers belong to which image */
    int steps;            /* of a batch that draw, whether their numbers are used or not */
    dd_card card;         /* the one that is imitated */
} dd_draws;

/* Numbers of one draw for a batch of `images`: those of the batch in batch mode, else of one image. */
int64_t dd_draws_count(const dd_draws *p, dd_draw draw, int images);

/* Streams of images first .. first+images-1: [images] each, of their latents and of their noise at step 0. In batch mode
 * all batches before this one have had max_images. */
void dd_draws_streams(const dd_draws *p, int64_t first, int images, dd_noise_stream *latents, dd_noise_stream *steps);

#endif
