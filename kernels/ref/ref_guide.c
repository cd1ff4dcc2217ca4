/* SPDX-License-Identifier: MIT
 * Formula: the first `channels` channels of both halves become u + scale (c - u), c conditional, u null.
 * Layout: [2B,co,size,size], rows [conditional; null], in place. Threads: one. Budget: none.
 * Preconditions: channels <= co. Precision: double, one rounding. */
#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"

dd_status dd_ref_guide(const dd_exec *exec, const dd_guide_args *args)
{
    if (!dd_exec_ok(exec) || args == NULL || args->out == NULL || args->b <= 0 || args->size <= 0) return DD_ERR_ARG;
    if (args->channels < 0 || args->channels > args->co) return DD_ERR_ARG;
    const int64_t plane = (int64_t)args->size * args->size, image = args->co * plane;
    for (int64_t b = 0; b < args->b; b++)
        for (int64_t i = 0; i < args->channels * plane; i++) {
            float *c = args->out + b * image + i, *u = c + args->b * image;
            *c = *u = (float)(*u + (double)args->scale * ((double)*c - *u));
        }
    return DD_OK;
}
