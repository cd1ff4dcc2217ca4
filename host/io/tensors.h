/* SPDX-License-Identifier: MIT
 * Named tensors with metadata, as a checkpoint holds them: from a file that its reader has checked and mapped
 * (safetensors.h), or made in memory. */
#ifndef DD_HOST_IO_TENSORS_H
#define DD_HOST_IO_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"
#include "kernels/dtype.h"

#define DD_TENSOR_MAX_RANK 8
#define DD_TENSORS_MAX 65536
#define DD_TENSOR_MAX_NAME 512

typedef struct dd_tensor {
    const char *name;       /* owned by the file */
    const char *dtype_name; /* as the file spells it, e.g. "BF16" */
    bool known;             /* dtype below is valid; other legal dtypes can be listed but not read */
    dd_dtype dtype;
    int rank;
    int64_t shape[DD_TENSOR_MAX_RANK];
    int64_t count;    /* elements */
    const void *data; /* into the mapping, possibly unaligned; NULL if count is 0 */
    size_t bytes;
} dd_tensor;

typedef struct dd_tensors dd_tensors;

/* Which state dict of a training checkpoint; AUTO: `ema`, else `model`, else `state_dict`, else the
 * file is one itself. ROUTERS: `routers`, else the file is one itself. */
typedef enum dd_which { DD_WHICH_AUTO, DD_WHICH_EMA, DD_WHICH_MODEL, DD_WHICH_ROUTERS } dd_which;

void dd_tensors_close(dd_tensors **file);
const char *dd_tensors_path(const dd_tensors *file);
size_t dd_tensors_bytes(const dd_tensors *file); /* of the whole file, or of all files */
/* "safetensors", "torch", "diffusers"; and the state dict that was taken, "ema", "model" or "state_dict", or ""
 * where the file is one. */
const char *dd_tensors_format(const dd_tensors *file);
const char *dd_tensors_part(const dd_tensors *file);

int dd_tensors_count(const dd_tensors *file);
const dd_tensor *dd_tensors_at(const dd_tensors *file, int i);              /* sorted by name */
const dd_tensor *dd_tensors_find(const dd_tensors *file, const char *name); /* NULL if absent */

int dd_tensors_meta_count(const dd_tensors *file);
void dd_tensors_meta_at(const dd_tensors *file, int i, const char **key, const char **value);
const char *dd_tensors_meta(const dd_tensors *file, const char *key); /* NULL if absent */

/* Copies any numeric tensor (F32 F16 BF16 F64 I64 I32 U8) to float32; a value that is not finite is ERR_FORMAT. */
dd_status dd_tensors_read_f32(const dd_tensors *file, const dd_tensor *t, float *dst, dd_err *err);

/* Looks up `prefix``name` and requires this shape (-1: any extent). */
dd_status dd_tensors_require(const dd_tensors *file, const char *prefix, const char *name, int rank,
                             const int64_t *shape, const dd_tensor **out, dd_err *err);

typedef struct dd_tensor_entry {
    const char *name;
    dd_dtype dtype;
    int rank;
    int64_t shape[DD_TENSOR_MAX_RANK];
    const void *data;
} dd_tensor_entry;

typedef struct dd_text_pair {
    const char *key, *value;
} dd_text_pair;

/* A file that exists in memory only: these tensors, all zero, under a name for messages. `data` of the entries is
 * ignored; the values are written through dd_tensors_fill before anything reads them. Names and texts are copied. */
dd_status dd_tensors_new(dd_tensors **out, const char *name, const dd_tensor_entry *entries, int n,
                         const dd_text_pair *meta, int n_meta, dd_err *err);
void *dd_tensors_fill(dd_tensors *file, const char *tensor); /* its data, NULL if absent */

#endif
