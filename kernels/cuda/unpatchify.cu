// SPDX-License-Identifier: MIT
// Formula: out[r, c, gy*p+py, gx*p+px] = tokens[r*S + gy*(size/p)+gx, (py*p+px)*co + c].
// Layout: tokens of p*p*co values, channel fastest, to [R,co,size,size].
// Thread mapping: a thread per element of out, consecutive along x, so that the writes coalesce.
// Budget: at most 32 registers, no shared memory, at least 6 blocks.
// Preconditions: p divides size.
// Precision: exact, values are moved.
#include "kernels/cuda/common.cuh"

#define THREADS 256

static __global__ void __launch_bounds__(THREADS) unpatchify_kernel(dd_unpatchify_args a)
{
    const int64_t plane = (int64_t)a.size * a.size, i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= a.r * a.co * plane) return;
    const int64_t image = i / plane, r = image / a.co, c = image % a.co;
    const int at = (int)(i % plane), y = at / a.size, x = at % a.size, grid = a.size / a.p;
    const int64_t token = (r * grid + y / a.p) * grid + x / a.p;
    const int in_token = y % a.p * a.p + x % a.p;
    a.out[i] = a.tokens[(token * a.p * a.p + in_token) * a.co + c];
}

dd_status dd_cuda_unpatchify(const dd_exec *exec, const dd_unpatchify_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->tokens == NULL || args->out == NULL) return DD_ERR_ARG;
    if (args->r <= 0 || args->co <= 0 || args->p <= 0 || args->size <= 0 || args->size % args->p != 0)
        return DD_ERR_ARG;
    if ((int64_t)args->size * args->size > INT32_MAX) return DD_ERR_ARG;
    const int64_t blocks = ceil_div((int64_t)args->r * args->co * args->size * args->size, THREADS);
    if (!grid_ok(blocks, 1)) return DD_ERR_ARG;
    unpatchify_kernel<<<(unsigned)blocks, THREADS, 0, stream_of(exec)>>>(*args);
    return launched();
}
