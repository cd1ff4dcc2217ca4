/* SPDX-License-Identifier: MIT
 * Formula: the first `channels` channels of both halves become u + scale (c - u), c conditional, u null.
 * Layout: [2B,co,size,size], rows [conditional; null], in place. Threads: the images. Budget: none.
 * Preconditions: channels <= co. Precision: float32, each operation rounded, as the released models compute it. */
#include "kernels/cpu/work.h"

static void guide_image(void *arg, int item, int thread)
{
    (void)thread;
    const dd_guide_args *a = arg;
    const int64_t plane = (int64_t)a->size * a->size, image = a->co * plane, n = a->channels * plane;
    const float scale = a->scale;
    float *c = a->out + item * image, *u = c + a->b * image;
    for (int64_t i = 0; i < n; i++) {
        const float d = c[i] - u[i], s = scale * d;
        c[i] = u[i] = u[i] + s;
    }
}

dd_status dd_cpu_guide(const dd_exec *exec, const dd_guide_args *args)
{
    if (!dd_cpu_exec_ok(exec, 0) || args == NULL || args->out == NULL || args->b <= 0 || args->size <= 0)
        return DD_ERR_ARG;
    if (args->channels < 0 || args->channels > args->co) return DD_ERR_ARG;
    dd_guide_args a = *args;
    return dd_cpu_for(exec, a.b, guide_image, &a);
}
