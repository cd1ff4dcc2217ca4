/* SPDX-License-Identifier: MIT
 * Formula: dst[b,y,x,c] = scale * src[b,c,y,x], zeros in the channels that fill up. Layout: planes to pixels. Threads:
 * one. Budget: none. Preconditions: c a multiple of DD_CHUNK. Precision: one rounding. */
#include "kernels/ref/check_picture.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"

dd_status dd_ref_to_pixels(const dd_exec *exec, const dd_to_pixels_args *args)
{
    const dd_to_pixels_args *g = args;
    if (!dd_exec_ok(exec) || g == NULL || g->src == NULL || g->dst == NULL) return DD_ERR_ARG;
    if (!dd_picture_ok(g->b, g->h, g->w, g->c) || g->c_src <= 0 || g->c_src > g->c) return DD_ERR_ARG;
    if (!dd_pixel_format_ok(g->dst_format)) return DD_ERR_ARG;
    const int64_t plane = (int64_t)g->h * g->w;
    for (int64_t b = 0; b < g->b; b++)
        for (int64_t i = 0; i < plane; i++)
            for (int64_t c = 0; c < g->c; c++) {
                const double v = c < g->c_src ? (double)g->scale * g->src[(b * g->c_src + c) * plane + i] : 0;
                dd_ref_store(g->dst, g->dst_format, g->c, b * plane + i, c, v);
            }
    return DD_OK;
}
