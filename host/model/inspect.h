/* SPDX-License-Identifier: MIT
 * What a checkpoint file is, also when it cannot be run: for `dydit inspect`. */
#ifndef DD_HOST_MODEL_INSPECT_H
#define DD_HOST_MODEL_INSPECT_H

#include "host/base/status.h"

/* Text or one JSON object; the caller frees it. Fails only where the file is no readable safetensors file. */
dd_status dd_inspect(const char *path, const char *preset, int as_json, char **out, dd_err *err);

#endif
