/* SPDX-License-Identifier: MIT
 * The packed weight of the reference backend: plain row-major float32, units together; rounded to
 * what it is packed as. */
#ifndef DD_KERNELS_REF_REF_PACK_H
#define DD_KERNELS_REF_REF_PACK_H

#include <stdbool.h>

#include "kernels/ops.h"

#define DD_REF_TAG 0x31464552u /* "REF1": a weight packed by another backend is refused */

struct dd_packed {
    uint32_t tag;
    dd_dtype as;
    int64_t n, k, n_unit;
    const float *data; /* [n,k], behind this header */
};

static inline bool dd_ref_packed_ok(const struct dd_packed *w) { return w != NULL && w->tag == DD_REF_TAG; }

#endif
