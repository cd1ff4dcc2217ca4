/* SPDX-License-Identifier: MIT
 * Formula: planes [B,C,H,W] to pixels [B,H,W,C] with a factor and zeros in the channels that fill up, and back.
 * Layout: as said, pixels in float32 or bf16. Threads: lines of pixels; planes. Budget: none. Preconditions: c a multiple
 * of DD_CHUNK. Precision: one rounding of the product, one to bf16; back exact, values are moved. */
#include "kernels/cpu/picture.h"

static void to_pixels_line(void *arg, int item, int thread)
{
    (void)thread;
    const dd_to_pixels_args *g = arg;
    const int64_t plane = (int64_t)g->h * g->w, b = item / g->h, c = g->c, first = (int64_t)item * g->w;
    const float *src = g->src + b * g->c_src * plane + item % g->h * (int64_t)g->w;
    for (int64_t x = 0; x < g->w; x++)
        for (int64_t i = 0; i < c; i++) {
            const float v = i < g->c_src ? g->scale * src[i * plane + x] : 0;
            if (g->dst_format == DD_FMT_F32) ((float *)g->dst)[(first + x) * c + i] = v;
            else ((uint16_t *)g->dst)[(first + x) * c + i] = dd_f32_to_bf16(v);
        }
}

dd_status dd_cpu_to_pixels(const dd_exec *exec, const dd_to_pixels_args *args)
{
    if (!dd_cpu_exec_ok(exec, 0) || args == NULL || args->src == NULL || args->dst == NULL) return DD_ERR_ARG;
    if (!dd_picture_ok(args->b, args->h, args->w, args->c) || args->c_src <= 0 || args->c_src > args->c)
        return DD_ERR_ARG;
    if (args->dst_format != DD_FMT_F32 && args->dst_format != DD_FMT_BF16) return DD_ERR_ARG;
    dd_to_pixels_args a = *args;
    return dd_cpu_for(exec, (int64_t)a.b * a.h, to_pixels_line, &a);
}

static void to_planes_plane(void *arg, int item, int thread)
{
    (void)thread;
    const dd_to_planes_args *g = arg;
    const int64_t plane = (int64_t)g->h * g->w, b = item / g->c_dst;
    const float *src = g->src + b * plane * g->c + item % g->c_dst;
    float *dst = g->dst + item * plane;
    for (int64_t i = 0; i < plane; i++) dst[i] = src[i * g->c];
}

dd_status dd_cpu_to_planes(const dd_exec *exec, const dd_to_planes_args *args)
{
    if (!dd_cpu_exec_ok(exec, 0) || args == NULL || args->src == NULL || args->dst == NULL) return DD_ERR_ARG;
    if (!dd_picture_ok(args->b, args->h, args->w, args->c) || args->c_dst <= 0 || args->c_dst > args->c)
        return DD_ERR_ARG;
    dd_to_planes_args a = *args;
    return dd_cpu_for(exec, (int64_t)a.b * a.c_dst, to_planes_plane, &a);
}
