/* SPDX-License-Identifier: MIT
 * Backends in shared objects of their own, so that the program links nothing of CUDA: libdydit-NAME.so exports one
 * function, dd_backend_open_v1. It is looked for in the folders of DYDIT_PLUGIN_PATH (absolute, colons between them; not
 * read by set-uid programs), beside the program, beside libdydit.so, and in LIBDIR/dydit; the first file of that name is
 * the one that counts. It stays loaded for the life of the process. */
#ifndef DD_HOST_EXEC_PLUGIN_H
#define DD_HOST_EXEC_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#include "host/exec/backend.h"

/* Changes with any change of what both sides see: dd_host_api, dd_backend, dd_program and what these hold. */
#define DD_PLUGIN_ABI 3
#define DD_PLUGIN_SYMBOL "dd_backend_open_v1"

/* What the program hands to a plugin; valid during the call. The sizes catch a plugin of another build. */
typedef struct dd_host_api {
    uint32_t abi; /* DD_PLUGIN_ABI; checked first, the rest is read only where it is equal */
    uint32_t api_size, backend_size, op_size;
    int32_t device; /* index among the devices; DD_DEVICE_LIST: open none, the backend gets devices and close alone */
    dd_err *err;
} dd_host_api;

#define DD_DEVICE_LIST (-1)

/* ERR_UNSUPPORTED: another ABI, no code for the device; ERR_DEVICE: no driver, no device; ERR_ARG: no such device. The
 * sentence in err says which, without naming the file. */
typedef dd_status dd_backend_open_fn(const dd_host_api *host, dd_backend **out);

/* Path of libdydit-NAME.so. ERR_NOT_FOUND: there is none; the sentence says where it was looked for. */
dd_status dd_plugin_find(const char *name, char *path, size_t size, dd_err *err);
/* Finds and opens it. ERR_UNSUPPORTED also for a file that cannot be loaded or that is no plugin of this version. The
 * sentence fits behind "because". */
dd_status dd_plugin_open(dd_backend **out, const char *name, int device, dd_err *err);

#endif
