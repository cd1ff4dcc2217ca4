/* SPDX-License-Identifier: MIT
 * Checkpoints of torch.save (.pt), read without executing anything that is in them. */
#ifndef DD_HOST_IO_TORCH_FILE_H
#define DD_HOST_IO_TORCH_FILE_H

#include "host/io/tensors.h"

dd_status dd_torch_open(dd_tensors **out, const char *path, dd_which which, dd_err *err);

#endif
