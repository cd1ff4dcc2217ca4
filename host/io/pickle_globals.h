/* SPDX-License-Identifier: MIT
 * The globals that a pickle of tensors may name. Internal to io/. */
#ifndef DD_HOST_IO_PICKLE_GLOBALS_H
#define DD_HOST_IO_PICKLE_GLOBALS_H

#include "host/io/pickle.h"

/* A GLOBAL, or INERT for anything that is not on the list. */
dd_pickle_value dd_pickle_global(const char *module, size_t module_bytes, const char *name, size_t name_bytes);

#endif
