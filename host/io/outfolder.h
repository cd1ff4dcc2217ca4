/* SPDX-License-Identifier: MIT
 * Folders of output files that appear whole or not at all: filled beside their destination, then renamed to it. What is
 * there already is never replaced, but for an empty folder. */
#ifndef DD_HOST_IO_OUTFOLDER_H
#define DD_HOST_IO_OUTFOLDER_H

#include "host/base/status.h"

typedef struct dd_outfolder dd_outfolder;

/* Checks, before any work is done, that path could be made: ERR_IO names it and the reason. */
dd_status dd_outfolder_check(const char *path, dd_err *err);

dd_status dd_outfolder_open(dd_outfolder **out, const char *path, dd_err *err);
/* Where to write a file of this name, a literal: path [DD_PATH_MAX]. At most 4 of a folder. */
dd_status dd_outfolder_file(dd_outfolder *f, const char *name, char *path, dd_err *err);
/* Renames. The handle is gone afterwards, whatever the result; on failure nothing is left behind. */
dd_status dd_outfolder_commit(dd_outfolder **f, dd_err *err);
/* Drops the folder and its files. NULL is fine. */
void dd_outfolder_discard(dd_outfolder **f);

#endif
