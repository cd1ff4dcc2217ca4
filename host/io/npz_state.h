/* SPDX-License-Identifier: MIT
 * What is known about a set of pictures that is being written: how much of it is whole, and the settings it was begun with. */
#ifndef DD_HOST_IO_NPZ_STATE_H
#define DD_HOST_IO_NPZ_STATE_H

#include <stdint.h>

#include <jansson.h>

#include "host/base/status.h"

typedef struct dd_npz_state {
    int64_t done;     /* pictures */
    uint32_t crc;     /* CRC-32 of the member up to there */
    json_t *settings; /* an object; borrowed */
} dd_npz_state;

/* Replaces the file as a whole. */
dd_status dd_npz_state_write(const char *path, const dd_npz_state *s, dd_err *err);

/* *doc holds s->settings; the caller json_decref's it, also after a failure. n: pictures of the whole set. */
dd_status dd_npz_state_read(const char *path, int64_t n, json_t **doc, dd_npz_state *s, dd_err *err);

/* ERR_ARG naming the first field of the two objects that differs. path: the file that `then` is from. */
dd_status dd_npz_same_settings(json_t *then, json_t *now, const char *path, dd_err *err);

#endif
