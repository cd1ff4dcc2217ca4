/* SPDX-License-Identifier: MIT
 * Preconditions that the reference and the CPU ops on pictures share. */
#ifndef DD_KERNELS_REF_CHECK_PICTURE_H
#define DD_KERNELS_REF_CHECK_PICTURE_H

#include "kernels/ref/check.h"

/* All but the weight, which is the backend's. */
static inline bool dd_conv2d_ok(const dd_conv2d_args *a)
{
    if (a == NULL || a->src == NULL || a->bias == NULL || a->dst == NULL) return false;
    if (!dd_picture_ok(a->b, a->h, a->w_out, a->c) || !dd_picture_ok(a->b, a->h, a->w_out, a->n)) return false;
    if (a->ksize != 1 && a->ksize != 3) return false;
    if (a->upsample && (a->h % 2 != 0 || a->w_out % 2 != 0)) return false;
    if (!dd_pixel_format_ok(a->src_format) || !dd_pixel_format_ok(a->dst_format)) return false;
    return a->residual == NULL || a->dst_format == DD_FMT_F32;
}

#endif
