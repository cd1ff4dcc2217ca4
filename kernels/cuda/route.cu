// SPDX-License-Identifier: MIT
// Formula: logit = w2 . ReLU(W1 x + b1) + b2 per token; a token is kept where dd_logit_on; idx lists the kept ones.
// Layout: x [R*S,D], W1 row-major [J,D]; mask [R*S]; idx ascending, *count entries, the rest is not written.
// Thread mapping: decide_kernel has a warp per token, lanes along D. list_kernel is one block that walks over the batch,
// THREADS tokens at a time: ballots within warps, then a scan of their counts, so that the list is the same in every run.
// Budget: decide_kernel: at most 40 registers, no shared memory, at least 6 blocks; list_kernel: at most 40 registers, 32
// bytes of shared memory, at least 6 blocks.
// Preconditions: W1 is [J,D], never sliced; R*S fits 32 bits.
// Precision: float32 sums in a fixed order. The decision is one comparison of the rounded logit, as everywhere.
#include "kernels/cuda/common.cuh"
#include "kernels/cuda/route_mma.h"

#define THREADS 256
#define WARPS (THREADS / DD_WARP)

static __global__ void __launch_bounds__(THREADS) decide_kernel(dd_route_args a, const float *w1, int n)
{
    const int i = (int)(blockIdx.x * WARPS + threadIdx.x / DD_WARP), lane = threadIdx.x % DD_WARP;
    if (i >= n) return;
    const float *x = a.x + (int64_t)i * a.d;
    float logit = 0;
    for (int j = 0; j < a.j; j++) {
        const float *w = w1 + (int64_t)j * a.d;
        float h = 0;
        for (int k = lane; k < a.d; k += DD_WARP) h = fmaf(x[k], w[k], h);
        h = warp_sum(h) + a.b1[j];
        if (!(h <= 0)) logit = fmaf(a.w2[j], h, logit); // NaN goes through
    }
    logit += a.b2[0];
    if (lane == 0) a.mask[i] = logit > DD_LOGIT_ON; // dd_logit_on
}

static __global__ void __launch_bounds__(THREADS) list_kernel(dd_route_args a, int n, const int32_t *step)
{
    __shared__ int counts[WARPS];
    const int lane = threadIdx.x % DD_WARP, warp = threadIdx.x / DD_WARP;
    int kept = 0; // before this stretch; the same in all threads
    for (int64_t first = 0; first < n; first += THREADS) {
        const int64_t i = first + threadIdx.x;
        const bool on = i < n && (a.forced ? a.forced[i] : a.mask[i]) != 0;
        const unsigned votes = __ballot_sync(DD_WARP_ALL, on);
        if (lane == 0) counts[warp] = __popc(votes);
        __syncthreads();
        int before = kept;
        for (int w = 0; w < WARPS; w++) {
            before += w < warp ? counts[w] : 0;
            kept += counts[w];
        }
        __syncthreads(); // counts is written again
        if (on) a.idx[before + __popc(votes & ((1u << lane) - 1u))] = (int32_t)i;
        if (i < n) {
            if (a.forced) a.mask[i] = on;
            if (a.hits) a.hits[i] += on;
        }
    }
    if (threadIdx.x != 0) return;
    *a.count = kept;
    if (a.kept) a.kept[*step] = kept;
}

static dd_status decide(const dd_exec *exec, const dd_route_args *args, int n)
{
    if (dd_cuda_route_mma_takes(args)) return dd_cuda_route_mma(exec, args);
    const unsigned blocks = (unsigned)ceil_div(n, WARPS);
    decide_kernel<<<blocks, THREADS, 0, stream_of(exec)>>>(*args, (const float *)args->w1->data, n);
    return launched();
}

dd_status dd_cuda_route(const dd_exec *exec, const dd_route_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->idx == NULL || args->count == NULL || args->mask == NULL)
        return DD_ERR_ARG;
    if (args->r <= 0 || args->s <= 0 || (int64_t)args->r * args->s > INT32_MAX) return DD_ERR_ARG;
    const int n = args->r * args->s;
    if (args->forced == NULL) {
        const dd_packed *w = args->w1;
        if (!packed_ok(w) || w->n != args->j || w->k != args->d || w->unit != w->n || w->as != DD_F32)
            return DD_ERR_ARG;
        if (args->x == NULL || args->b1 == NULL || args->w2 == NULL || args->b2 == NULL) return DD_ERR_ARG;
        const dd_status st = decide(exec, args, n);
        if (st != DD_OK) return st;
    }
    list_kernel<<<1, THREADS, 0, stream_of(exec)>>>(*args, n, exec->step);
    return launched();
}
