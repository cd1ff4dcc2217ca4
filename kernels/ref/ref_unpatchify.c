/* SPDX-License-Identifier: MIT
 * Formula: out[r, c, gy*p+py, gx*p+px] = tokens[r*S + gy*(size/p)+gx, (py*p+px)*co + c].
 * Layout: tokens of p*p*co values, channel fastest, to [R,co,size,size]. Threads: one. Budget: none.
 * Preconditions: p divides size. Precision: exact, values are moved. */
#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"

dd_status dd_ref_unpatchify(const dd_exec *exec, const dd_unpatchify_args *args)
{
    if (!dd_exec_ok(exec) || args == NULL || args->tokens == NULL || args->out == NULL) return DD_ERR_ARG;
    if (args->r <= 0 || args->co <= 0 || args->p <= 0 || args->size <= 0 || args->size % args->p != 0)
        return DD_ERR_ARG;
    const int64_t p = args->p, co = args->co, size = args->size, grid = size / p;
    for (int64_t r = 0; r < args->r; r++)
        for (int64_t c = 0; c < co; c++)
            for (int64_t y = 0; y < size; y++)
                for (int64_t x = 0; x < size; x++) {
                    const int64_t token = (r * grid + y / p) * grid + x / p;
                    const float *t = args->tokens + token * p * p * co;
                    args->out[((r * co + c) * size + y) * size + x] = t[(y % p * p + x % p) * co + c];
                }
    return DD_OK;
}
