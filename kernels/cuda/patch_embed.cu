// SPDX-License-Identifier: MIT
// Formula: x[r,s,:] = W patch(latents[r mod B], s) + bias + pos[s,:].
// Layout: a patch is [C,p,p]; tokens row-major; W row-major [D, C*p*p].
// Thread mapping: a block has TOKENS tokens of the distinct images and THREADS columns; a thread sums its column for all
// of them, then writes it to every row of the batch that shares the image.
// Budget: at most 48 registers, 49152 bytes of dynamic shared memory, at least 2 blocks; at most 48 registers, 256 bytes of
// dynamic shared memory, at least 10 blocks. That is TOKENS of the largest patches, and of 2 x 2 x 4 values.
// Preconditions: p divides size; W is [D, C*p*p], never sliced; a patch has at most 3072 values.
// Precision: float32, fused multiply-adds in the order of the patch.
#include "kernels/cuda/common.cuh"

#define THREADS 128
#define TOKENS 4
#define MAX_PATCH 3072

static __global__ void __launch_bounds__(THREADS)
    patch_embed_kernel(dd_patch_embed_args a, const float *w, int64_t tokens, int grid)
{
    extern __shared__ float patch[]; // [TOKENS, k]
    const int k = a.c * a.p * a.p, n = (int)(blockIdx.y * THREADS + threadIdx.x);
    const int64_t first = (int64_t)blockIdx.x * TOKENS, s = (int64_t)grid * grid;
    const int live = tokens - first < TOKENS ? (int)(tokens - first) : TOKENS;
    for (int i = threadIdx.x; i < TOKENS * k; i += THREADS) {
        const int64_t token = first + i / k, at = token % s;
        const int in = i % k, c = in / (a.p * a.p), y = in / a.p % a.p, x = in % a.p;
        const int64_t row = (token / s * a.c + c) * a.size + at / grid * a.p + y;
        patch[i] = i / k < live ? a.latents[row * a.size + at % grid * a.p + x] : 0;
    }
    __syncthreads();
    if (n >= a.d) return;
    float acc[TOKENS] = {0};
    for (int i = 0; i < k; i++) {
        const float v = w[(int64_t)n * k + i];
#pragma unroll
        for (int t = 0; t < TOKENS; t++) acc[t] = fmaf(patch[t * k + i], v, acc[t]);
    }
#pragma unroll
    for (int t = 0; t < TOKENS; t++) {
        if (t >= live) break;
        const int64_t image = (first + t) / s, at = (first + t) % s;
        const float v = acc[t] + a.bias[n] + a.pos[at * a.d + n];
        for (int64_t r = image; r < a.r; r += a.b) a.x[(r * s + at) * a.d + n] = v;
    }
}

dd_status dd_cuda_patch_embed(const dd_exec *exec, const dd_patch_embed_args *args)
{
    if (!exec_ok(exec) || args == NULL || !packed_ok(args->w)) return DD_ERR_ARG;
    if (args->latents == NULL || args->bias == NULL || args->pos == NULL || args->x == NULL) return DD_ERR_ARG;
    if (args->b <= 0 || args->r <= 0 || args->c <= 0 || args->p <= 0 || args->size <= 0 || args->size % args->p != 0)
        return DD_ERR_ARG;
    const dd_packed *w = args->w;
    const int64_t k = (int64_t)args->c * args->p * args->p;
    if (w->n != args->d || w->k != k || w->unit != w->n || w->as != DD_F32) return DD_ERR_ARG;
    if (k > MAX_PATCH) return DD_ERR_UNSUPPORTED;
    const int grid = args->size / args->p, images = args->r < args->b ? args->r : args->b;
    const int64_t tokens = (int64_t)images * grid * grid;
    const int64_t x = ceil_div(tokens, TOKENS), y = ceil_div(args->d, THREADS);
    if (!grid_ok(x, y)) return DD_ERR_ARG;
    patch_embed_kernel<<<dim3((unsigned)x, (unsigned)y), THREADS, (size_t)(TOKENS * k) * sizeof(float),
                         stream_of(exec)>>>(*args, (const float *)w->data, tokens, grid);
    return launched();
}
