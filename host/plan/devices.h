/* SPDX-License-Identifier: MIT
 * What data sheets say about GPUs, for bounds. A device needs not be there, nor anything of CUDA. */
#ifndef DD_HOST_PLAN_DEVICES_H
#define DD_HOST_PLAN_DEVICES_H

#include "host/base/status.h"

typedef struct dd_sheet {
    const char *name, *product; /* "RTX4090", "GeForce RTX 4090" */
    double bytes_per_s;         /* of memory */
    double tensor_flops;        /* per second, dense bf16 with float32 sums */
    double fp32_flops;          /* per second, without tensor cores */
    int sms;
    double memory_bytes;
} dd_sheet;

/* By name, upper or lower case. ERR_ARG lists the names there are. */
dd_status dd_sheet_find(const dd_sheet **out, const char *name, dd_err *err);

#endif
