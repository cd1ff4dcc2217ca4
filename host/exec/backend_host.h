/* SPDX-License-Identifier: MIT
 * What the two backends in host memory (ref, cpu) share. */
#ifndef DD_HOST_EXEC_BACKEND_HOST_H
#define DD_HOST_EXEC_BACKEND_HOST_H

#include "host/base/pool.h"
#include "host/exec/backend_common.h"

typedef struct dd_host_backend {
    dd_backend base;
    dd_pool *pool; /* NULL: ops run on the calling thread */
    dd_exec exec;
    int32_t step;
    char detail[96], choices[96];
    size_t (*thread_scratch)(const dd_limits *limits); /* bytes per thread, NULL: none */
} dd_host_backend;

/* Allocates and fills memory, transfer and run functions; the caller sets name, ops, packing. */
dd_status dd_host_backend_new(dd_host_backend **out, int threads, dd_err *err);

dd_status dd_backend_open_ref(dd_backend **out, int threads, dd_err *err);
dd_status dd_backend_open_cpu(dd_backend **out, int threads, dd_err *err);

/* backend_cpu_peak.c */
dd_status dd_cpu_backend_peak_macs(dd_backend *be, dd_format input, double *macs_per_s, dd_err *err);
dd_status dd_cpu_backend_peak_read(dd_backend *be, double *bytes_per_s, dd_err *err);

#endif
