/* SPDX-License-Identifier: MIT
 * The object behind dd_tensors. Internal to io/. */
#ifndef DD_HOST_IO_TENSORS_INTERNAL_H
#define DD_HOST_IO_TENSORS_INTERNAL_H

#include <jansson.h>

#include "host/io/tensors.h"

struct dd_tensors {
    char *path;
    void *map; /* of the file, or anonymous */
    size_t bytes;
    json_t *doc; /* owns names and metadata texts; NULL for a file made in memory, where `map` holds them */
    dd_tensor *tensors;
    int n_tensors;
    dd_text_pair *meta;
    int n_meta;
};

/* As the format spells it, "BF16"; NULL where t is no type of ours. safetensors_write.c */
const char *dd_safetensors_dtype_name(dd_dtype t);

/* Order of `tensors`: for qsort and bsearch. */
int dd_tensor_by_name(const void *a, const void *b);

#endif
