/* SPDX-License-Identifier: MIT
 * Any checkpoint as one safetensors file with official names, or as a folder in the layout of diffusers. */
#ifndef DD_HOST_MODEL_CONVERT_H
#define DD_HOST_MODEL_CONVERT_H

#include <stdint.h>

#include "host/base/sha256.h"
#include "host/io/path.h"
#include "host/model/checkpoint.h"

typedef struct dd_convert_spec {
    const char *in, *out;
    const char *layout; /* "official", "diffusers"; NULL: official */
    const char
        *preset;       /* of the model, where the file does not tell its heads; only the layout of diffusers needs it */
    const char *dtype; /* "f32", "f16", "bf16": of the network's weights; NULL: every tensor keeps its bits */
    dd_checkpoint_choice choice;
} dd_convert_spec;

typedef struct dd_convert_report {
    char path[DD_PATH_MAX]; /* of the file of tensors: spec.out, or in it */
    int tensors;
    uint64_t bytes; /* of that file */
    char sha256[DD_SHA256_TEXT];
} dd_convert_report;

/* Routers, token selection and the timestep embedder stay float32 whatever dtype says: they decide what is computed.
 * Writes the whole file or folder, or nothing. */
dd_status dd_convert(const dd_convert_spec *spec, dd_convert_report *report, dd_err *err);

#endif
