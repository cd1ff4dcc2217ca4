/* SPDX-License-Identifier: MIT
 * The object behind dd_st_file. Internal to io/. */
#ifndef DD_HOST_IO_SAFETENSORS_FILE_H
#define DD_HOST_IO_SAFETENSORS_FILE_H

#include <jansson.h>

#include "host/io/safetensors.h"

struct dd_st_file {
    char *path;
    void *map; /* of the file, or anonymous */
    size_t bytes;
    json_t *doc; /* owns names and metadata texts; NULL for a file made in memory, where `map` holds them */
    dd_tensor *tensors;
    int n_tensors;
    dd_st_pair *meta;
    int n_meta;
};

/* As the format spells it, "BF16"; NULL where t is no type of ours. safetensors_write.c */
const char *dd_st_dtype_name(dd_dtype t);

#endif
