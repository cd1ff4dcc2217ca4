/* SPDX-License-Identifier: MIT
 * Members of a zip archive that are used in place, as torch.save writes them: stored, not compressed. ZIP64 included.
 *
 * Own code instead of libzip: tensors are used in the mapped file, so the offset of a member's data is needed, and
 * libzip hands out bytes only. It is also the stricter reader: members do not overlap, and what local headers say
 * must be what the directory says (bytes between members, such as data descriptors, are passed over). Checksums are not compared,
 * as torch.load does not either: that would read the whole file before the first use. */
#ifndef DD_HOST_IO_ZIP_H
#define DD_HOST_IO_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include "host/base/status.h"

typedef struct dd_zip_member {
    const char *name; /* [name_bytes], not terminated; no control characters, neither absolute nor with ".." */
    size_t name_bytes;
    const unsigned char *data; /* [bytes] */
    size_t bytes;
    size_t begin;   /* of its local header in the file */
    int compressed; /* then data is of no use */
} dd_zip_member;

typedef struct dd_zip {
    dd_zip_member *members; /* sorted by name */
    int n;
} dd_zip;

/* path: for messages. file [bytes]: stays with the caller and is pointed into. */
dd_status dd_zip_read(dd_zip *zip, const char *path, const unsigned char *file, size_t bytes, dd_err *err);
void dd_zip_fini(dd_zip *zip);

/* NULL if absent. */
const dd_zip_member *dd_zip_find(const dd_zip *zip, const char *name, size_t name_bytes);

#endif
