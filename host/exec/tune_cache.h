/* SPDX-License-Identifier: MIT
 * What `tune` measured, in a file: per device and versions, the times of GEMMs by all that can do them. */
#ifndef DD_HOST_EXEC_TUNE_CACHE_H
#define DD_HOST_EXEC_TUNE_CACHE_H

#include <jansson.h>

#include "host/exec/engine.h"

/* What a measurement holds for: any other value makes it stale. */
typedef struct dd_tune_key {
    char device[128]; /* name */
    char capability[16], driver[32], dydit[16], library[40];
} dd_tune_key;

typedef struct dd_tuned {
    dd_gemm_shape shape;
    dd_gemm_times times;
} dd_tuned;

typedef struct dd_tune_list {
    dd_tuned *at;
    int n;
} dd_tune_list;

/* $XDG_CACHE_HOME/dydit/tune.json, or below $HOME/.cache. ERR_NOT_FOUND: neither is set. make: makes the folders too. */
dd_status dd_tune_path(char *path, size_t size, bool make, dd_err *err);

/* What the file holds for the key; nothing where there is no such file. stale, [DD_ERR_TEXT]: a sentence where it holds
 * measurements of this device by other versions alone; else empty. Whatever is no such file is ERR_FORMAT. */
dd_status dd_tune_read(dd_tune_list *out, const char *path, const dd_tune_key *key, char *stale, dd_err *err);
void dd_tune_list_fini(dd_tune_list *l);
bool dd_tune_has(const dd_tune_list *l, const dd_gemm_shape *shape);

/* Adds measurements to the file, in place of earlier ones of the same shapes and of all of this device that are stale; those
 * of other devices stay. */
dd_status dd_tune_write(const char *path, const dd_tune_key *key, const dd_tune_list *l, dd_err *err);

json_t *dd_tuned_doc(const dd_tuned *t);     /* as in the file; the caller json_decref's it */
const char *dd_epilogue_name(dd_epilogue e); /* "gelu" */

#endif
