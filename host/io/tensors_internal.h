/* SPDX-License-Identifier: MIT
 * The object behind dd_tensors. Internal to io/. */
#ifndef DD_HOST_IO_TENSORS_INTERNAL_H
#define DD_HOST_IO_TENSORS_INTERNAL_H

#include <jansson.h>
#include <stdalign.h>

#include "host/io/tensors.h"

/* Memory that lives as long as the tensors: names, values that no file holds as they are. */
typedef struct dd_owned dd_owned;
struct dd_owned {
    dd_owned *next;
    alignas(64) unsigned char data[];
};

struct dd_tensors {
    char *path;
    void *map; /* of the file, or anonymous */
    size_t bytes;
    json_t *doc; /* owns names and metadata texts; NULL for a file made in memory, where `map` holds them */
    dd_tensor *tensors;
    int n_tensors;
    dd_text_pair *meta;
    int n_meta;
    dd_owned *owned;
    dd_tensors *shards, *next; /* other sets that the tensors lie in, a list: closed with this one */
    size_t bytes_shards;       /* of their files */
    const char *format, *part; /* see dd_tensors_format */
};

/* An object without tensors; and one that maps path, a `what` ("safetensors file"), for a reader of its format. */
dd_status dd_tensors_begin(dd_tensors **out, const char *path, dd_err *err);
dd_status dd_tensors_map(dd_tensors **out, const char *path, const char *what, dd_err *err);

/* Zeroed memory that is freed with the tensors, or NULL. */
void *dd_tensors_own(dd_tensors *file, size_t bytes);

/* Sets or replaces a metadata field; both texts outlive the tensors. False: out of memory. */
bool dd_tensors_set_meta(dd_tensors *file, const char *key, const char *value);

/* List the tensors of a mapped file; after a failure it can only be closed. */
dd_status dd_safetensors_read(dd_tensors *file, dd_err *err);
dd_status dd_torch_read(dd_tensors *file, dd_which which, dd_err *err);

/* As the format spells it, "BF16"; NULL where t is no type of ours. safetensors_write.c */
const char *dd_safetensors_dtype_name(dd_dtype t);

/* Order of `tensors`: for qsort and bsearch. */
int dd_tensor_by_name(const void *a, const void *b);

#endif
