/* SPDX-License-Identifier: MIT
 * Names of files and folders. */
#ifndef DD_HOST_IO_PATH_H
#define DD_HOST_IO_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "host/base/status.h"

#define DD_PATH_MAX 4096

/* `folder`/`name``end` in out [DD_PATH_MAX]; ERR_ARG where there is no room for it. */
dd_status dd_path_join(char *out, const char *folder, const char *name, const char *end, dd_err *err);

/* Length of the folder part including its slash; 0: the current folder. */
size_t dd_path_folder_length(const char *path);

bool dd_path_is_folder(const char *path);
bool dd_path_is_file(const char *path);

/* A name beside target that begins with a dot, for what is renamed to it later: another one for each attempt and each
 * user of the process (`user` is an address of its own). The caller frees it; NULL: out of memory. */
char *dd_path_temp(const char *target, const void *user, int attempt);

#define DD_PATH_TEMP_TRIES 100 /* attempts that are worth it */

#endif
