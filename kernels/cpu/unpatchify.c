/* SPDX-License-Identifier: MIT
 * Formula: out[r, c, gy*p+py, gx*p+px] = tokens[r*S + gy*(size/p)+gx, (py*p+px)*co + c].
 * Layout: tokens of p*p*co values, channel fastest, to [R,co,size,size]. Threads: the (row, channel) planes. Budget:
 * none.
 * Preconditions: p divides size. Precision: exact, values are moved. */
#include "kernels/cpu/work.h"

static void unpatchify_plane(void *arg, int item, int thread)
{
    (void)thread;
    const dd_unpatchify_args *a = arg;
    const int64_t p = a->p, co = a->co, size = a->size, grid = size / p, width = p * p * co;
    const float *tokens = a->tokens + item / co * grid * grid * width + item % co;
    float *out = a->out + item * size * size;
    for (int64_t y = 0; y < size; y++) {
        const float *row = tokens + y / p * grid * width + y % p * p * co;
        for (int64_t gx = 0; gx < grid; gx++)
            for (int64_t px = 0; px < p; px++) *out++ = row[gx * width + px * co];
    }
}

dd_status dd_cpu_unpatchify(const dd_exec *exec, const dd_unpatchify_args *args)
{
    if (!dd_cpu_exec_ok(exec, 0) || args == NULL || args->tokens == NULL || args->out == NULL) return DD_ERR_ARG;
    if (args->r <= 0 || args->co <= 0 || args->p <= 0 || args->size <= 0 || args->size % args->p != 0)
        return DD_ERR_ARG;
    dd_unpatchify_args a = *args;
    return dd_cpu_for(exec, (int64_t)a.r * a.co, unpatchify_plane, &a);
}
