/* SPDX-License-Identifier: MIT
 * Front of the attention over pixels: checks, scratch, the division into items. The work itself is
 * pixel_attention_tmpl.h. */
#include "kernels/cpu/pixel_attention.h"

size_t dd_cpu_pixel_attention_scratch(int64_t pixels, int64_t c)
{
    if (pixels <= 0 || c <= 0 || c > DD_PIXEL_ATTENTION_MAX) return 0;
    return (size_t)dd_pixel_layout(pixels, c).floats * sizeof(float);
}

dd_status dd_cpu_pixel_attention_run(const dd_exec *exec, const dd_pixel_attention_args *args, dd_format format,
                                     dd_task *task)
{
    const dd_pixel_attention_args *g = args;
    if (g == NULL || g->qkv == NULL || g->out == NULL || g->qkv_format != format || g->out_format != format)
        return DD_ERR_ARG;
    if (!dd_picture_ok(g->b, g->pixels, 1, g->c) || g->c > DD_PIXEL_ATTENTION_MAX) return DD_ERR_ARG;
    if (!dd_cpu_exec_ok(exec, dd_cpu_pixel_attention_scratch(g->pixels, g->c))) return DD_ERR_ARG;
    dd_pixel_job j = {.g = g, .scratch = exec->scratch};
    j.parts = (int32_t)(((int64_t)g->pixels + DD_PIXEL_QUERIES - 1) / DD_PIXEL_QUERIES);
    return dd_cpu_for(exec, (int64_t)g->b * j.parts, task, &j);
}
