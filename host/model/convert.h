/* SPDX-License-Identifier: MIT
 * Any checkpoint as one safetensors file. */
#ifndef DD_HOST_MODEL_CONVERT_H
#define DD_HOST_MODEL_CONVERT_H

#include <stdint.h>

#include "host/base/sha256.h"
#include "host/model/checkpoint.h"

typedef struct dd_convert_spec {
    const char *in, *out;
    const char *dtype; /* "f32", "f16", "bf16": of the network's weights; NULL: every tensor keeps its bits */
    dd_checkpoint_choice choice;
} dd_convert_spec;

typedef struct dd_convert_report {
    int tensors;
    uint64_t bytes; /* of the file */
    char sha256[DD_SHA256_TEXT];
} dd_convert_report;

/* Routers, token selection and the timestep embedder stay float32 whatever dtype says: they decide what is computed.
 * Writes the whole file or nothing. */
dd_status dd_convert(const dd_convert_spec *spec, dd_convert_report *report, dd_err *err);

#endif
