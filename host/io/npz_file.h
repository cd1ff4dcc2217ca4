/* SPDX-License-Identifier: MIT
 * An npz that grows picture by picture beside its destination, survives being killed at any moment, and takes its name when
 * it is whole.
 *
 *   OUT.npz.partial  room for the headers, then the pictures so far; locked while it is being written
 *   OUT.npz.state    JSON: how many pictures are whole on the disk, their CRC-32, and what the caller wants remembered
 *
 * Pictures are synced before the state that counts them is renamed into place. So whatever stands behind the counted
 * pictures may be anything, and is written again. A second writer of the same set is refused. */
#ifndef DD_HOST_IO_NPZ_FILE_H
#define DD_HOST_IO_NPZ_FILE_H

#include <stdbool.h>

#include <jansson.h>

#include "host/io/npz.h"

typedef struct dd_npz_file dd_npz_file;

typedef struct dd_npz_begin {
    const char *path; /* of the npz; the folder is there */
    dd_npz_shape shape;
    json_t *settings; /* object; what is resumed must have been begun with equal ones */
    bool resume;      /* go on where there is something to go on with */
} dd_npz_begin;

/* Without resume an existing .partial is ERR_ARG. With it the counted pictures are read and held against their CRC-32;
 * other settings are ERR_ARG and the sentence names the first that differs. */
dd_status dd_npz_file_open(dd_npz_file **out, const dd_npz_begin *b, dd_err *err);

int64_t dd_npz_file_done(const dd_npz_file *f); /* pictures that are whole on the disk */
uint32_t dd_npz_file_crc(const dd_npz_file *f); /* CRC-32 of the member up to there */

/* pixels [count,H,W,3]: on the disk and counted when this returns DD_OK. */
dd_status dd_npz_file_append(dd_npz_file *f, const uint8_t *pixels, int64_t count, dd_err *err);

/* All pictures are there: headers, name, state removed. */
dd_status dd_npz_file_commit(dd_npz_file *f, dd_err *err);

/* Keeps what can be resumed; removes a set without pictures. NULL is fine. */
void dd_npz_file_close(dd_npz_file **f);

#endif
