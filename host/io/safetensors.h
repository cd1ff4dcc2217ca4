/* SPDX-License-Identifier: MIT
 * safetensors files: a memory-mapped reader that trusts nothing, and a writer that leaves whole files or none.
 * Format rules: https://github.com/huggingface/safetensors (header of at most 100 000 000 bytes, offsets contiguous
 * from 0 to the end of the file, no duplicate names, element counts computed without overflow). */
#ifndef DD_HOST_IO_SAFETENSORS_H
#define DD_HOST_IO_SAFETENSORS_H

#include "host/io/tensors.h"

dd_status dd_safetensors_open(dd_tensors **out, const char *path, dd_err *err);

/* Writes a whole file (sorted by element size, then name; header padded to 8), or nothing. */
dd_status dd_safetensors_write(const char *path, const dd_tensor_entry *entries, int n, const dd_text_pair *meta,
                               int n_meta, dd_err *err);

#endif
