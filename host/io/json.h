/* SPDX-License-Identifier: MIT
 * JSON documents over jansson: reading fields with errors that name file and field, and printing. */
#ifndef DD_HOST_IO_JSON_H
#define DD_HOST_IO_JSON_H

#include <stdint.h>

#include <jansson.h>

#include "host/base/status.h"

#define DD_JSON_MAX_FILE (256u << 20)

/* Duplicate keys are refused. The caller json_decref's the result. */
dd_status dd_json_read_file(json_t **out, const char *path, dd_err *err);
dd_status dd_json_read_text(json_t **out, const char *text, size_t n, const char *what, dd_err *err);

/* Fields of an object; `where` begins the error sentence, e.g. "plan.json: steps[3]". A missing field is ERR_FORMAT. */
dd_status dd_json_int(const json_t *obj, const char *key, int64_t lo, int64_t hi, const char *where, int64_t *out,
                      dd_err *err);
dd_status dd_json_string(const json_t *obj, const char *key, const char *where, const char **out, dd_err *err);
dd_status dd_json_bool(const json_t *obj, const char *key, const char *where, int *out, dd_err *err);
dd_status dd_json_array(const json_t *obj, const char *key, const char *where, json_t **out, dd_err *err);
dd_status dd_json_object(const json_t *obj, const char *key, const char *where, json_t **out, dd_err *err);
/* ERR_FORMAT naming the first key of obj that is not in the NULL-terminated list. */
dd_status dd_json_only_keys(const json_t *obj, const char *const *keys, const char *where, dd_err *err);

/* Indented text with a final newline, reals with 9 digits (figures are for people and plots); the caller frees it.
 * Steals nothing. */
dd_status dd_json_print(const json_t *doc, char **out, dd_err *err);

#endif
