/* SPDX-License-Identifier: MIT
 * safetensors files: a memory-mapped reader that trusts nothing, and a writer that leaves whole files or none.
 * Format rules: https://github.com/huggingface/safetensors (header of at most 100 000 000 bytes, offsets contiguous
 * from 0 to the end of the file, no duplicate names, element counts computed without overflow). */
#ifndef DD_HOST_IO_SAFETENSORS_H
#define DD_HOST_IO_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"
#include "kernels/dtype.h"

#define DD_ST_MAX_RANK 8
#define DD_ST_MAX_TENSORS 65536
#define DD_ST_MAX_NAME 512

typedef struct dd_tensor {
    const char *name;       /* owned by the file */
    const char *dtype_name; /* as the file spells it, e.g. "BF16" */
    bool known;             /* dtype below is valid; other legal dtypes can be listed but not read */
    dd_dtype dtype;
    int rank;
    int64_t shape[DD_ST_MAX_RANK];
    int64_t count;    /* elements */
    const void *data; /* into the mapping, possibly unaligned; NULL if count is 0 */
    size_t bytes;
} dd_tensor;

typedef struct dd_st_file dd_st_file;

dd_status dd_st_open(dd_st_file **out, const char *path, dd_err *err);
void dd_st_close(dd_st_file **file);
const char *dd_st_path(const dd_st_file *file);
size_t dd_st_bytes(const dd_st_file *file); /* of the whole file */

int dd_st_count(const dd_st_file *file);
const dd_tensor *dd_st_at(const dd_st_file *file, int i);              /* sorted by name */
const dd_tensor *dd_st_find(const dd_st_file *file, const char *name); /* NULL if absent */

int dd_st_meta_count(const dd_st_file *file);
void dd_st_meta_at(const dd_st_file *file, int i, const char **key, const char **value);
const char *dd_st_meta(const dd_st_file *file, const char *key); /* NULL if absent */

/* Copies any numeric tensor (F32 F16 BF16 F64 I64 I32 U8) to float32; a value that is not finite is ERR_FORMAT. */
dd_status dd_st_read_f32(const dd_st_file *file, const dd_tensor *t, float *dst, dd_err *err);

/* Looks up `prefix``name` and requires this shape (-1: any extent). */
dd_status dd_st_require(const dd_st_file *file, const char *prefix, const char *name, int rank, const int64_t *shape,
                        const dd_tensor **out, dd_err *err);

typedef struct dd_st_entry {
    const char *name;
    dd_dtype dtype;
    int rank;
    int64_t shape[DD_ST_MAX_RANK];
    const void *data;
} dd_st_entry;

typedef struct dd_st_pair {
    const char *key, *value;
} dd_st_pair;

/* A file that exists in memory only: these tensors, all zero, under a name for messages. `data` of the entries is
 * ignored; the values are written through dd_st_fill before anything reads them. Names and texts are copied. */
dd_status dd_st_new(dd_st_file **out, const char *name, const dd_st_entry *entries, int n, const dd_st_pair *meta,
                    int n_meta, dd_err *err);
void *dd_st_fill(dd_st_file *file, const char *tensor); /* its data, NULL if absent */

/* Writes a whole file (sorted by element size, then name; header padded to 8), or nothing. */
dd_status dd_st_write(const char *path, const dd_st_entry *entries, int n, const dd_st_pair *meta, int n_meta,
                      dd_err *err);

#endif
