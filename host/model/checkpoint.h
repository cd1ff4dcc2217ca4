/* SPDX-License-Identifier: MIT
 * Opens a checkpoint of any format that is known, by its content and not by its name. */
#ifndef DD_HOST_MODEL_CHECKPOINT_H
#define DD_HOST_MODEL_CHECKPOINT_H

#include "host/io/tensors.h"

/* How a file is to be taken. Zero: as it is. */
typedef struct dd_checkpoint_choice {
    dd_which which;
    const char *
        compat; /* "official" or "diffusers": numerics, in place of what the file's metadata say; NULL: what they say */
} dd_checkpoint_choice;

/* choice: NULL for zero. */
dd_status dd_checkpoint_open(dd_tensors **out, const char *path, const dd_checkpoint_choice *choice, dd_err *err);

/* From their names, "auto" being NULL; ERR_ARG lists them. */
dd_status dd_checkpoint_choose(dd_checkpoint_choice *out, const char *which, const char *compat, dd_err *err);

#endif
