// SPDX-License-Identifier: MIT
// Formula: out = softmax(q kT / sqrt(E)) v for every row and active head.
// Layout: qkv rows [a, 3, E], ld_head elements from one head to the next; out rows [a, E], compact. Both float32 or bf16.
// Thread mapping: a block per (row, head, QUERIES queries); PARTS neighbouring lanes share a query, lane p has elements
// RUN p .. RUN p + RUN - 1 of every WIDE of q and of the sum. Keys and values pass through shared memory, KEYS at a time, in
// float32, rows of a multiple of WIDE; all queries of a warp read the same ones, which is a broadcast.
// Budget: attention_kernel<*,20>: at most 128 registers, 20480 bytes of dynamic shared memory, at least 4 blocks;
// attention_kernel<*,32>: at most 128 registers, 32768 bytes of dynamic shared memory, at least 4 blocks (3 on 86, 89 and
// 120). That is 2 KEYS rows.
// Instructions: LDG.E.128, LDS.128, STS.128.
// Preconditions: E a multiple of 8 up to 128, ld_head >= 3E. The list of heads is on the device: trusted.
// Precision: float32; softmax in one pass with a running maximum, which is corrected once per GROUP keys. Keys are added in
// order, so that a head does not depend on the others.
#include <math_constants.h>

#include "kernels/cuda/attention_mma.h"
#include "kernels/cuda/common.cuh"
#include "kernels/cuda/element.cuh"

#define QUERIES 32
#define PARTS 4 // lanes of a query
#define RUN 4   // elements of one read of shared memory
#define WIDE (PARTS * RUN)
#define KEYS 32
#define GROUP 8
#define THREADS (QUERIES * PARTS)
#define BLOCKS \
    4 // on a multiprocessor: 128 registers a thread, which is more than ptxas takes by itself and spares spills
#define MAX_E 128

struct softmax_state {
    float max, sum;
};

// The product of a query and a key, in all lanes of the query.
template <int N> static __device__ __forceinline__ float dot(const float (&q)[N], const float *k, int pitch)
{
    float sum = 0;
#pragma unroll
    for (int i = 0; i < N; i += RUN)
        if (i * PARTS < pitch) {
            const float4 v = *(const float4 *)(k + i * PARTS);
            sum = fmaf(q[i], v.x, sum);
            sum = fmaf(q[i + 1], v.y, sum);
            sum = fmaf(q[i + 2], v.z, sum);
            sum = fmaf(q[i + 3], v.w, sum);
        }
    sum += __shfl_xor_sync(DD_WARP_ALL, sum, 1);
    return sum + __shfl_xor_sync(DD_WARP_ALL, sum, 2);
}

template <int N> static __device__ __forceinline__ void add(float (&acc)[N], float w, const float *v, int pitch)
{
#pragma unroll
    for (int i = 0; i < N; i += RUN)
        if (i * PARTS < pitch) {
            const float4 x = *(const float4 *)(v + i * PARTS);
            acc[i] = fmaf(w, x.x, acc[i]);
            acc[i + 1] = fmaf(w, x.y, acc[i + 1]);
            acc[i + 2] = fmaf(w, x.z, acc[i + 2]);
            acc[i + 3] = fmaf(w, x.w, acc[i + 3]);
        }
}

// Scores of GROUP keys from shared memory, then their part of the sums. Keys from `live` on count as not there. k, v: this
// lane's first element of the first key.
template <int N>
static __device__ __forceinline__ void add_group(softmax_state &s, float (&acc)[N], const float (&q)[N], const float *k,
                                                 const float *v, int pitch, int live)
{
    float p[GROUP], top = s.max;
#pragma unroll
    for (int j = 0; j < GROUP; j++) {
        const float score = dot(q, k + j * pitch, pitch);
        p[j] = j < live ? score : -CUDART_INF_F;
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
        add(acc, w, v + j * pitch, pitch);
    }
}

// KEYS rows of k and of v, from the k of the first on; zeros past `live` rows and e elements.
template <class T>
static __device__ __forceinline__ void load_keys(float *keys, float *values, const T *first, int64_t ldq, int e,
                                                 int pitch, int live, bool vector)
{
    for (int i = threadIdx.x * DD_CHUNK; i < KEYS * pitch; i += THREADS * DD_CHUNK) {
        const int key = i / pitch, at = i % pitch, n = key < live && at < e ? DD_CHUNK : 0;
        const T *from = first + key * ldq + at;
        float x[DD_CHUNK];
        load_part(x, from, n, vector);
        store_chunk(keys + i, x);
        load_part(x, from + e, n, vector);
        store_chunk(values + i, x);
    }
}

// N: elements of a lane at most, pitch <= PARTS N.
template <class T, class O, int N>
static __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention_kernel(dd_attention_args a, int tiles, int pitch, bool vector, const int32_t *step)
{
    extern __shared__ __align__(DD_VECTOR) float shared[]; // k, then v: [KEYS, pitch] each
    const int e = a.e, own = threadIdx.x % PARTS * RUN, head = blockIdx.y;
    const int32_t *list = list_at(a.heads, *step);
    if (head >= list_width(list, 3 * a.h * e) / (3 * e)) return;
    const int query = (int)(blockIdx.x % tiles) * QUERIES + threadIdx.x / PARTS;
    const int64_t row = (int64_t)(blockIdx.x / tiles) * a.s;
    const T *qkv = (const T *)a.qkv + row * a.ldq + head * a.ld_head;
    const float scale = 1.0f / sqrtf((float)e);
    float *keys = shared, *values = shared + KEYS * pitch, q[N], acc[N];
#pragma unroll
    for (int i = 0; i < N; i++) {
        const int at = i / RUN * WIDE + own + i % RUN;
        q[i] = query < a.s && at < e ? to_f32(qkv[query * a.ldq + at]) * scale : 0.0f;
        acc[i] = 0;
    }
    softmax_state s = {-CUDART_INF_F, 0};
    for (int first = 0; first < a.s; first += KEYS) {
        const int live = a.s - first < KEYS ? a.s - first : KEYS;
        load_keys(keys, values, qkv + first * a.ldq + e, a.ldq, e, pitch, live, vector);
        __syncthreads();
        for (int j = 0; j < live; j += GROUP)
            add_group<N>(s, acc, q, keys + j * pitch + own, values + j * pitch + own, pitch, live - j);
        __syncthreads(); // the tile is written again
    }
    if (query >= a.s) return;
    O *out = (O *)a.out + (row + query) * a.ldo + head * e;
#pragma unroll
    for (int i = 0; i < N; i++) {
        const int at = i / RUN * WIDE + own + i % RUN;
        if (at < e) out[at] = rounded<O>(acc[i] / s.sum);
    }
}

template <class T, class O> static dd_status launch(const dd_exec *exec, const dd_attention_args *args)
{
    const int tiles = (int)ceil_div(args->s, QUERIES), pitch = (int)ceil_div(args->e, WIDE) * WIDE;
    if (!grid_ok((int64_t)args->r * tiles, args->h)) return DD_ERR_ARG;
    const dim3 grid((unsigned)(args->r * tiles), (unsigned)args->h);
    const size_t bytes = 2 * (size_t)(KEYS * pitch) * sizeof(float);
    const bool vector = vector_ok<T>(args->qkv, args->ldq) && vector_ok<T>(NULL, args->ld_head);
    const cudaStream_t stream = stream_of(exec);
    if (pitch <= 80)
        attention_kernel<T, O, 20><<<grid, THREADS, bytes, stream>>>(*args, tiles, pitch, vector, exec->step);
    else attention_kernel<T, O, 32><<<grid, THREADS, bytes, stream>>>(*args, tiles, pitch, vector, exec->step);
    return launched();
}

dd_status dd_cuda_attention(const dd_exec *exec, const dd_attention_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->qkv == NULL || args->out == NULL) return DD_ERR_ARG;
    if (args->r <= 0 || args->s <= 0 || args->h <= 0 || args->h > DD_MAX_UNITS) return DD_ERR_ARG;
    const int e = args->e;
    if (e <= 0 || e > MAX_E || e % DD_CHUNK != 0 || args->ld_head < 3 * e) return DD_ERR_ARG;
    if (!slices_ok(args->heads, 3 * (int64_t)args->h * e, 3 * e)) return DD_ERR_ARG;
    if (args->heads.pool == NULL && (args->ldq < args->h * args->ld_head || args->ldo < (int64_t)args->h * e))
        return DD_ERR_ARG;
    const bool same = args->qkv_format == args->out_format;
    if (dd_cuda_attention_mma_takes(args)) return dd_cuda_attention_mma(exec, args);
    switch (args->qkv_format) {
    case DD_FMT_F32:
        if (args->out_format == DD_FMT_TF32) return launch<float, tf32>(exec, args);
        return same ? launch<float, float>(exec, args) : DD_ERR_UNSUPPORTED;
    case DD_FMT_BF16: return same ? launch<bf16, bf16>(exec, args) : DD_ERR_UNSUPPORTED;
    case DD_FMT_F16: return same ? launch<f16, f16>(exec, args) : DD_ERR_UNSUPPORTED;
    default: return DD_ERR_UNSUPPORTED;
    }
}
