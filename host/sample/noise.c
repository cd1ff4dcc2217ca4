/* SPDX-License-Identifier: MIT
 * Streams per image or per run. */
#include "host/sample/noise.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/sizes.h"
#include "host/sample/rng.h"

struct dd_noise {
    dd_noise_spec spec;
    int images;        /* of the current batch */
    dd_torch_rng *rng; /* one per image of a batch, or one in batch mode */
    float *work;       /* a draw as upstream makes it, of which a part is used */
};

dd_status dd_noise_open(dd_noise **out, const dd_noise_spec *spec, dd_err *err)
{
    const size_t streams = spec->batch_mode ? 1 : (size_t)spec->max_images;
    size_t count;
    *out = NULL;
    dd_noise *n = calloc(1, sizeof *n);
    if (n) {
        n->spec = *spec;
        n->rng = calloc(streams, sizeof *n->rng);
        if (dd_mul_size((size_t)spec->latent_count, (size_t)spec->rows, &count) &&
            dd_mul_size(count, spec->batch_mode ? (size_t)spec->max_images : 1, &count) &&
            dd_mul_size(count, sizeof *n->work, &count))
            n->work = malloc(count);
    }
    if (!n || !n->rng || !n->work) {
        dd_noise_close(&n);
        return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the random streams of %d images", spec->max_images);
    }
    if (spec->batch_mode) dd_torch_seed(&n->rng[0], spec->seed);
    *out = n;
    return DD_OK;
}

void dd_noise_close(dd_noise **noise)
{
    if (!*noise) return;
    free((*noise)->rng);
    free((*noise)->work);
    free(*noise);
    *noise = NULL;
}

void dd_noise_start(dd_noise *n, int64_t first, int images, float *latents)
{
    const size_t count = (size_t)n->spec.latent_count;
    n->images = images;
    if (n->spec.batch_mode) {
        dd_torch_randn(&n->rng[0], latents, (size_t)images * count);
        return;
    }
    for (int i = 0; i < images; i++) {
        dd_torch_seed(&n->rng[i], n->spec.seed + (uint64_t)(first + i));
        dd_torch_randn(&n->rng[i], latents + (size_t)i * count, count);
    }
}

void dd_noise_step(dd_noise *n, float *noise)
{
    const size_t count = (size_t)n->spec.latent_count, rows = (size_t)n->spec.rows, images = (size_t)n->images;
    if (n->spec.batch_mode) {
        dd_torch_randn(&n->rng[0], n->work, images * rows * count);
        memcpy(noise, n->work, images * count * sizeof *noise);
        return;
    }
    for (size_t i = 0; i < images; i++) {
        dd_torch_randn(&n->rng[i], n->work, rows * count);
        memcpy(noise + i * count, n->work, count * sizeof *noise);
    }
}
