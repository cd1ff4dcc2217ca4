/* SPDX-License-Identifier: MIT
 * Formula: dst[b,c,y,x] = src[b,y,x,c]. Layout: pixels to planes. Threads: one. Budget: none. Preconditions: c a multiple of
 * DD_CHUNK. Precision: exact, values are moved. */
#include "kernels/ref/check_picture.h"
#include "kernels/ref/ref.h"

dd_status dd_ref_to_planes(const dd_exec *exec, const dd_to_planes_args *args)
{
    const dd_to_planes_args *g = args;
    if (!dd_exec_ok(exec) || g == NULL || g->src == NULL || g->dst == NULL) return DD_ERR_ARG;
    if (!dd_picture_ok(g->b, g->h, g->w, g->c) || g->c_dst <= 0 || g->c_dst > g->c) return DD_ERR_ARG;
    const int64_t plane = (int64_t)g->h * g->w;
    for (int64_t b = 0; b < g->b; b++)
        for (int64_t c = 0; c < g->c_dst; c++)
            for (int64_t i = 0; i < plane; i++)
                g->dst[(b * g->c_dst + c) * plane + i] = g->src[(b * plane + i) * g->c + c];
    return DD_OK;
}
