/* SPDX-License-Identifier: MIT
 * The status codes of the whole project, from one list. Values are pinned; gaps separate groups. */
#ifndef DD_KERNELS_STATUS_H
#define DD_KERNELS_STATUS_H

/* X(name, value, text) */
#define DD_STATUS_LIST(X)                                  \
    X(OK, 0, "success")                                    \
    X(ERR_ARG, -1, "invalid argument")                     \
    X(ERR_NOMEM, -2, "out of memory")                      \
    X(ERR_IO, -10, "input/output error")                   \
    X(ERR_FORMAT, -11, "malformed or contradictory input") \
    X(ERR_NOT_FOUND, -12, "not found")                     \
    X(ERR_UNSUPPORTED, -20, "not supported")               \
    X(ERR_DEVICE, -30, "device error")                     \
    X(ERR_CANCELLED, -40, "cancelled")                     \
    X(ERR_INTERNAL, -50, "internal error")

typedef enum dd_status {
#define DD_STATUS_ENUM(name, value, text) DD_##name = (value),
    DD_STATUS_LIST(DD_STATUS_ENUM)
#undef DD_STATUS_ENUM
} dd_status;

#endif
