/* SPDX-License-Identifier: MIT
 * A decoder of latents on a backend: its weights, packed once; and its program, whose memory is allocated when it opens for
 * the largest batch and picture. Smaller ones (tiles at an edge, a last batch) lower the program anew and allocate
 * nothing. */
#ifndef DD_HOST_EXEC_DECODER_H
#define DD_HOST_EXEC_DECODER_H

#include "host/exec/backend.h"
#include "host/model/vae.h"

typedef struct dd_decoder_weights dd_decoder_weights;

/* Format of what convolutions read in a run of this precision: bf16 where the backend has it for pictures, else
 * float32. */
dd_format dd_decoder_input(const dd_backend *be, dd_format precision);

dd_status dd_decoder_weights_load(dd_decoder_weights **out, const dd_vae *vae, dd_backend *be, dd_format input,
                                  dd_err *err);
void dd_decoder_weights_free(dd_decoder_weights **weights);
/* What dd_decoder_weights_load will allocate on the backend. */
size_t dd_decoder_weights_bytes(const dd_vae *vae, dd_backend *be, dd_format input);

/* Latents of [batch, channels, h, w]. */
typedef struct dd_decoder_shape {
    int batch, h, w;
} dd_decoder_shape;

/* Bytes that a decoder for this shape allocates on the backend; scratch: of the threads, shared with others. */
dd_status dd_decoder_bytes(const dd_vae *vae, dd_backend *be, dd_format input, dd_decoder_shape shape, size_t *bytes,
                           size_t *scratch, dd_err *err);

typedef struct dd_decoder dd_decoder;

/* Borrows vae, weights and backend. */
dd_status dd_decoder_open(dd_decoder **out, const dd_vae *vae, const dd_decoder_weights *weights,
                          dd_decoder_shape largest, dd_err *err);
void dd_decoder_close(dd_decoder **decoder);

/* latents [batch, channels, h, w] to pictures [batch, 3, factor * h, factor * w], both in host memory. */
dd_status dd_decoder_run(dd_decoder *decoder, dd_decoder_shape shape, const float *latents, float *pictures,
                         dd_err *err);

/* ---- between the files of the decoder ------------------------------------------------------------------------- */

struct dd_decoder_weights {
    dd_backend *be;
    dd_format input;
    int n_convs, n_norms;
    void **storage;        /* [n_convs] */
    dd_packed **packed;    /* [n_convs] */
    float **bias;          /* [n_convs] on the backend */
    float **gamma, **beta; /* [n_norms] on the backend */
    size_t bytes;
};

/* Format of a value in a run whose convolutions read `input`. */
static inline dd_format dd_vae_value_format(const dd_vae *vae, int value, dd_format input)
{
    return vae->values[value].operand ? input : DD_FMT_F32;
}

static inline int dd_vae_padded(int channels) { return (channels + DD_CHUNK - 1) / DD_CHUNK * DD_CHUNK; }

#endif
