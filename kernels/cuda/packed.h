/* SPDX-License-Identifier: MIT
 * The packed weight of the CUDA backend: a header on the host, row-major data on the device, units together. */
#ifndef DD_KERNELS_CUDA_PACKED_H
#define DD_KERNELS_CUDA_PACKED_H

#include "kernels/ops.h"

#define DD_CUDA_TAG 0x31554443u /* "CDU1": a weight packed by another backend is refused */

struct dd_packed {
    uint32_t tag;
    dd_dtype as;
    int64_t n, k, unit;
    const void *data; /* [n,k] of `as`, device */
};

#endif
