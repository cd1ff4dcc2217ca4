/* SPDX-License-Identifier: MIT
 * The `transformer` folder of a DiT in the layout of diffusers, as tensors with official names. */
#ifndef DD_HOST_MODEL_DIFFUSERS_H
#define DD_HOST_MODEL_DIFFUSERS_H

#include "host/io/tensors.h"

dd_status dd_diffusers_open(dd_tensors **out, const char *folder, dd_err *err);

#endif
