// SPDX-License-Identifier: MIT
// Formula: out = softmax(q kT / sqrt(E)) v for every row and active head.
// Layout: qkv rows [a, 3, E], ld_head elements from one head to the next; out rows [a, E], compact.
// Thread mapping: a block per (row, head, QUERIES queries); 4 neighbouring lanes share a query, lane p has the elements p,
// p+4, .. of q and of the sum. Keys and values pass through shared memory, KEYS at a time.
// Budget: 2 KEYS E floats of shared memory, at most 32 KiB; at most 128 registers.
// Preconditions: E a multiple of 8 up to 128, ld_head >= 3E, float32. The list of heads is on the device: trusted.
// Precision: float32; softmax in one pass with a running maximum, which is corrected once per GROUP keys. Keys are added in
// order, so that a head does not depend on the others.
#include <math_constants.h>

#include "kernels/cuda/common.cuh"

#define QUERIES 32
#define PARTS 4 // lanes of a query
#define KEYS 32
#define GROUP 8
#define THREADS (QUERIES * PARTS)
#define MAX_E 128

struct softmax_state {
    float max, sum;
};

// Scores of GROUP keys from shared memory, then their part of the sums. Keys from `live` on count as not there.
template <int N>
static __device__ __forceinline__ void add_group(softmax_state &s, float (&acc)[N], const float (&q)[N], const float *k,
                                                 const float *v, int e, int live)
{
    const int part = threadIdx.x % PARTS, own = e / PARTS;
    float p[GROUP], top = s.max;
#pragma unroll
    for (int j = 0; j < GROUP; j++) {
        float dot = 0;
#pragma unroll
        for (int i = 0; i < N; i++)
            if (i < own) dot = fmaf(q[i], k[j * e + i * PARTS + part], dot);
        dot += __shfl_xor_sync(DD_WARP_ALL, dot, 1);
        dot += __shfl_xor_sync(DD_WARP_ALL, dot, 2);
        p[j] = j < live ? dot : -CUDART_INF_F;
        top = fmaxf(top, p[j]);
    }
    const float old = expf(s.max - top); // 0 at first: exp(-inf)
    s.max = top;
    s.sum *= old;
#pragma unroll
    for (int i = 0; i < N; i++) acc[i] *= old;
#pragma unroll
    for (int j = 0; j < GROUP; j++) {
        const float w = expf(p[j] - top);
        s.sum += w;
#pragma unroll
        for (int i = 0; i < N; i++)
            if (i < own) acc[i] = fmaf(w, v[j * e + i * PARTS + part], acc[i]);
    }
}

// N: elements of a lane at most, E <= PARTS N.
template <int N>
static __global__ void __launch_bounds__(THREADS) attention_kernel(dd_attention_args a, int tiles, const int32_t *step)
{
    extern __shared__ float shared[]; // k, then v: [KEYS, e] each
    const int e = a.e, part = threadIdx.x % PARTS, own = e / PARTS, head = blockIdx.y;
    const int32_t *list = list_at(a.heads, *step);
    if (head >= list_width(list, 3 * a.h * e) / (3 * e)) return;
    const int query = (int)(blockIdx.x % tiles) * QUERIES + threadIdx.x / PARTS;
    const int64_t row = (int64_t)(blockIdx.x / tiles) * a.s;
    const float *qkv = (const float *)a.qkv + row * a.ldq + head * a.ld_head;
    const float scale = 1.0f / sqrtf((float)e);
    float *keys = shared, *values = shared + KEYS * e, q[N], acc[N];
#pragma unroll
    for (int i = 0; i < N; i++) {
        q[i] = query < a.s && i < own ? qkv[query * a.ldq + i * PARTS + part] * scale : 0.0f;
        acc[i] = 0;
    }
    softmax_state s = {-CUDART_INF_F, 0};
    for (int first = 0; first < a.s; first += KEYS) {
        const int live = a.s - first < KEYS ? a.s - first : KEYS;
        for (int i = threadIdx.x; i < KEYS * e; i += THREADS) {
            const int key = i / e, at = i % e;
            const float *from = qkv + (first + key) * a.ldq + e + at;
            keys[i] = key < live ? from[0] : 0.0f;
            values[i] = key < live ? from[e] : 0.0f;
        }
        __syncthreads();
        for (int j = 0; j < live; j += GROUP) add_group<N>(s, acc, q, keys + j * e, values + j * e, e, live - j);
        __syncthreads(); // the tile is written again
    }
    if (query >= a.s) return;
    float *out = (float *)a.out + (row + query) * a.ldo + head * e;
#pragma unroll
    for (int i = 0; i < N; i++)
        if (i < own) out[i * PARTS + part] = acc[i] / s.sum;
}

dd_status dd_cuda_attention(const dd_exec *exec, const dd_attention_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->qkv == NULL || args->out == NULL) return DD_ERR_ARG;
    if (args->r <= 0 || args->s <= 0 || args->h <= 0 || args->h > DD_MAX_UNITS) return DD_ERR_ARG;
    const int e = args->e;
    if (e <= 0 || e > MAX_E || e % DD_CHUNK != 0 || args->ld_head < 3 * e) return DD_ERR_ARG;
    if (args->qkv_format != DD_FMT_F32 || args->out_format != DD_FMT_F32) return DD_ERR_UNSUPPORTED;
    if (!slices_ok(args->heads, 3 * (int64_t)args->h * e, 3 * e)) return DD_ERR_ARG;
    if (args->heads.pool == NULL && (args->ldq < args->h * args->ld_head || args->ldo < (int64_t)args->h * e))
        return DD_ERR_ARG;
    const int tiles = (int)ceil_div(args->s, QUERIES);
    if (!grid_ok((int64_t)args->r * tiles, args->h)) return DD_ERR_ARG;
    const dim3 grid((unsigned)(args->r * tiles), (unsigned)args->h);
    const size_t bytes = 2 * (size_t)(KEYS * e) * sizeof(float);
    if (e <= 32) attention_kernel<8><<<grid, THREADS, bytes, stream_of(exec)>>>(*args, tiles, exec->step);
    else if (e <= 72) attention_kernel<18><<<grid, THREADS, bytes, stream_of(exec)>>>(*args, tiles, exec->step);
    else attention_kernel<32><<<grid, THREADS, bytes, stream_of(exec)>>>(*args, tiles, exec->step);
    return launched();
}
