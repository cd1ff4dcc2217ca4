/* SPDX-License-Identifier: MIT
 * What a checkpoint file is, also when it cannot be run: for `dydit inspect`. */
#ifndef DD_HOST_MODEL_INSPECT_H
#define DD_HOST_MODEL_INSPECT_H

#include "host/model/checkpoint.h"

typedef struct dd_inspect_spec {
    const char *path, *preset; /* preset: see dd_config_from_file */
    dd_checkpoint_choice choice;
    int as_json;
} dd_inspect_spec;

/* Text or one JSON object; the caller frees it. Fails only where the file is no checkpoint that can be read. */
dd_status dd_inspect(const dd_inspect_spec *spec, char **out, dd_err *err);

#endif
