/* SPDX-License-Identifier: MIT
 * Output files that appear whole or not at all: written beside their destination, synced, then renamed over it.
 * A destination that is no regular file (a device, a pipe) is written directly. */
#ifndef DD_HOST_IO_OUTFILE_H
#define DD_HOST_IO_OUTFILE_H

#include <stddef.h>
#include <stdio.h>

#include "host/base/status.h"

typedef struct dd_outfile dd_outfile;

/* ERR_IO names the path and the reason. */
dd_status dd_outfile_open(dd_outfile **out, const char *path, dd_err *err);
FILE *dd_outfile_stream(dd_outfile *f);
dd_status dd_outfile_write(dd_outfile *f, const void *data, size_t n, dd_err *err);
/* Flushes, checks, renames. The handle is gone afterwards, whatever the result; on failure nothing is left behind. */
dd_status dd_outfile_commit(dd_outfile **f, dd_err *err);
/* Drops what was written. NULL is fine. */
void dd_outfile_discard(dd_outfile **f);

/* Checks, before any work is done, that path could be written: the folder exists and is writable, the target is no
 * folder. */
dd_status dd_outfile_check(const char *path, dd_err *err);

/* Writes one text as a whole file. */
dd_status dd_outfile_text(const char *path, const char *text, dd_err *err);

#endif
