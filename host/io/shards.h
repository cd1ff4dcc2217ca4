/* SPDX-License-Identifier: MIT
 * Tensors of a folder: one safetensors file, or several that an index lists. */
#ifndef DD_HOST_IO_SHARDS_H
#define DD_HOST_IO_SHARDS_H

#include "host/io/tensors.h"

/* FOLDER/STEM.safetensors, or else what FOLDER/STEM.safetensors.index.json lists. The index may name files of the folder
 * only: a name with a path in it is refused, not followed. */
dd_status dd_shards_open(dd_tensors **out, const char *folder, const char *stem, dd_err *err);

#endif
