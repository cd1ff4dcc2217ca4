/* SPDX-License-Identifier: MIT
 * The `transformer` folder of a DiT in the layout of diffusers: read as tensors with official names, and written. */
#ifndef DD_HOST_MODEL_DIFFUSERS_H
#define DD_HOST_MODEL_DIFFUSERS_H

#include "host/io/tensors.h"

dd_status dd_diffusers_open(dd_tensors **out, const char *folder, dd_err *err);

typedef struct dd_diffusers_source {
    const dd_tensors *file;         /* official names: shapes and metadata */
    const dd_tensor_entry *entries; /* its tensors in order, with the values that are to be written */
    const char *preset;             /* see dd_config_from_file */
} dd_diffusers_source;

/* Writes config.json and one file of tensors into a new folder, or nothing. What the layout has no place for is
 * ERR_UNSUPPORTED: routers, MLPs that are not four times as wide as the model, other positions than its table. */
dd_status dd_diffusers_write(const char *folder, const dd_diffusers_source *source, dd_err *err);

#endif
