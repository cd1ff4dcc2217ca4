/* SPDX-License-Identifier: MIT
 * Opens a checkpoint of any format that is known, by its content and not by its name. */
#ifndef DD_HOST_MODEL_CHECKPOINT_H
#define DD_HOST_MODEL_CHECKPOINT_H

#include "host/io/tensors.h"

dd_status dd_checkpoint_open(dd_tensors **out, const char *path, dd_which which, dd_err *err);

/* "auto", "ema", "model"; ERR_ARG lists them. NULL: auto. */
dd_status dd_which_find(dd_which *out, const char *name, dd_err *err);

#endif
