// SPDX-License-Identifier: MIT
// Formula: out = softmax(q kT / sqrt(E)) v for every row and active head.
// Layout: qkv rows [a, 3, E] of bf16 or f16, ld_head elements from one head to the next; out the same, rows [a, E], compact.
// Thread mapping: a block per (row, head, 64 queries), a warp per 16 of these: its q, scores and sums are fragments in
// registers, a lane has columns of rows l/4 and l/4 + 8. k and v of KEYS keys are in shared memory, those of the next ones on
// their way; rows lie an odd number of 16 bytes apart, so that ldmatrix has no bank conflicts and E is not padded.
// Budget: attention_mma_kernel<*<16,*>>: at most 160 registers, 34816 bytes of dynamic shared memory, at least 3 blocks (2 on 86,
// 89 and 120); attention_mma_kernel<*<8,*>>: at most 168 registers, 36864 bytes of dynamic shared memory, at least 3 blocks
// (2 on 86, 89 and 120); attention_mma_kernel<*<9,*>>: at most 168 registers, 36864 bytes of dynamic shared memory, at least
// 3 blocks (2 on 86, 89 and 120). That is 4 KEYS rows.
// Instructions: LDSM.16.M88.4, LDSM.16.MT88.4, LDGSTS.E.BYPASS.128; attention_mma_kernel<*<9,*>>: LDSM.16.MT88.2;
// attention_mma_kernel<*<16,*>>: LDSM.16.MT88.2; attention_mma_kernel<bf16,*>: HMMA.16816.F32.BF16;
// attention_mma_kernel<bf16,*<9,*>>: HMMA.1688.F32.BF16; attention_mma_kernel<bf16,*<16,*>>: HMMA.1688.F32.BF16;
// attention_mma_kernel<f16,*>: HMMA.16816.F32; attention_mma_kernel<f16,*<9,*>>: HMMA.1688.F32;
// attention_mma_kernel<f16,*<16,*>>: HMMA.1688.F32.
// Preconditions: E a multiple of 8 up to 128, ld_head >= 3E, dd_cuda_attention_mma_takes. The list of heads is on the device:
// trusted.
// Precision: sums in float32, E in steps of 16 and one of 8; softmax in one pass with a running maximum, corrected once per
// KEYS keys, to base 2; weights are rounded for their product with v, not for their own sum: in f16 to multiples of
// 2^-24 where they are below 2^-14. Keys are added in order, so that a head does not depend on the others.
#include <math_constants.h>

#include "kernels/cuda/attention_mma.h"
#include "kernels/cuda/common.cuh"
#include "kernels/cuda/mma.cuh"

#define WARPS 4
#define THREADS (WARPS * DD_WARP)
#define QUERIES (WARPS * DD_MMA_ROWS)
#define BLOCKS 3 // on a multiprocessor at least
#define MAX_CHUNKS 16

// MAX: chunks of E at most, exactly so if FIXED.
template <int MAX_, int KEYS_, bool FIXED_> struct attention_shape {
    enum { MAX = MAX_, KEYS = KEYS_, FIXED = FIXED_, STEPS = (MAX + 1) / 2, TILES = KEYS / DD_MMA_COLS };
};

// k, then v, of KEYS keys: rows of `chunks`, `pitch` chunks apart.
template <class T> struct key_tile {
    T *k, *v;
    int chunks, pitch;
};

// Two of them. Not an array: what is indexed at run time lies in local memory.
template <class T> struct key_ring {
    T *memory;
    int size, chunks, pitch; // size: elements of k, and of v
    __device__ __forceinline__ key_tile<T> operator[](int turn) const
    {
        T *k = memory + turn * 2 * size;
        return {k, k + size, chunks, pitch};
    }
};

template <class T>
static __device__ __forceinline__ const T *chunk_at(const key_tile<T> &t, const T *x, int key, int chunk)
{
    return x + (key * t.pitch + chunk) * DD_CHUNK;
}

// first: k of the tile's first key, v is e behind. Zeros past `live` keys.
template <class T, class S>
static __device__ __forceinline__ void copy_keys(const key_tile<T> &t, const T *first, int64_t ldq, int e, int live)
{
    for (int i = threadIdx.x; i < S::KEYS * t.chunks; i += THREADS) {
        const int key = i / t.chunks, chunk = i % t.chunks;
        const T *from = first + (key < live ? key * ldq : 0) + chunk * DD_CHUNK;
        copy_async(t.k + (key * t.pitch + chunk) * DD_CHUNK, from, key < live);
        copy_async(t.v + (key * t.pitch + chunk) * DD_CHUNK, from + e, key < live);
    }
}

// The fragments of 16 queries, the first of which is query 0 of q; zeros past `live`.
template <class T, class S>
static __device__ __forceinline__ void load_queries(uint32_t (&q)[S::STEPS][4], const T *x, int64_t ldq, int chunks,
                                                    int live)
{
    const int lane = threadIdx.x % DD_WARP;
#pragma unroll
    for (int c = 0; c < 2 * S::STEPS; c++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int query = lane / 4 + half * 8;
            const bool there = c < chunks && query < live;
            q[c / 2][c % 2 * 2 + half] = there ? *(const uint32_t *)(x + query * ldq + c * DD_CHUNK + lane % 4 * 2) : 0;
        }
}

template <class T, class S>
static __device__ __forceinline__ void multiply_keys(float (&s)[S::TILES][4], const uint32_t (&q)[S::STEPS][4],
                                                     const key_tile<T> &t)
{
    const int lane = threadIdx.x % DD_WARP;
    uint32_t b[4];
#pragma unroll
    for (int c = 0; c < S::MAX; c += 2) {
        if (c + 1 < t.chunks) {
#pragma unroll
            for (int j = 0; j < S::TILES; j += 2) {
                load_matrices(b, chunk_at(t, t.k, j * 8 + lane / 16 * 8 + lane % 8, c + lane / 8 % 2));
                mma_two(T(), s[j], q[c / 2], b[0], b[1]);
                mma_two(T(), s[j + 1], q[c / 2], b[2], b[3]);
            }
        } else if (c < t.chunks) {
            const uint32_t a[2] = {q[c / 2][0], q[c / 2][1]};
#pragma unroll
            for (int j = 0; j < S::TILES; j += 4) {
                load_matrices(b, chunk_at(t, t.k, j * 8 + lane, c));
#pragma unroll
                for (int i = 0; i < 4; i++) mma_one(T(), s[j + i], a, b[i]);
            }
        }
    }
}

// Of the two rows of a lane; sum: of this lane's columns.
struct softmax_state {
    float max[2], sum[2];
};

// Scores become weights, sums are corrected. scale: to base 2. Keys from `live` on count as not there.
template <class S>
static __device__ __forceinline__ void weigh(float (&s)[S::TILES][4], softmax_state &state, float (&acc)[S::MAX][4],
                                             float scale, int live)
{
    const int first = threadIdx.x % 4 * 2;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float top = state.max[half];
#pragma unroll
        for (int i = 0; i < 2 * S::TILES; i++) {
            float &x = s[i / 2][half * 2 + i % 2];
            x = i / 2 * DD_MMA_COLS + first + i % 2 < live ? x * scale : -CUDART_INF_F;
            top = fmaxf(top, x);
        }
        top = fmaxf(top, __shfl_xor_sync(DD_WARP_ALL, top, 1));
        top = fmaxf(top, __shfl_xor_sync(DD_WARP_ALL, top, 2));
        const float old = exp2f(state.max[half] - top); // 0 at first: 2^-inf
        state.max[half] = top;
        state.sum[half] *= old;
#pragma unroll
        for (int c = 0; c < S::MAX; c++) {
            acc[c][half * 2] *= old;
            acc[c][half * 2 + 1] *= old;
        }
#pragma unroll
        for (int i = 0; i < 2 * S::TILES; i++) {
            float &x = s[i / 2][half * 2 + i % 2];
            x = exp2f(x - top);
            state.sum[half] += x;
        }
    }
}

template <class T, class S>
static __device__ __forceinline__ void add_values(float (&acc)[S::MAX][4], const float (&s)[S::TILES][4],
                                                  const key_tile<T> &t)
{
    const int lane = threadIdx.x % DD_WARP;
#pragma unroll
    for (int j = 0; j < S::TILES; j += 2) {
        const uint32_t p[4] = {packed(T(), s[j][0], s[j][1]), packed(T(), s[j][2], s[j][3]),
                               packed(T(), s[j + 1][0], s[j + 1][1]), packed(T(), s[j + 1][2], s[j + 1][3])};
        const int key = j * 8 + lane % 16;
#pragma unroll
        for (int c = 0; c < S::MAX; c += 2) {
            if (c + 1 < t.chunks) {
                uint32_t b[4];
                load_transposed(b, chunk_at(t, t.v, key, c + lane / 16));
                mma_two(T(), acc[c], p, b[0], b[1]);
                mma_two(T(), acc[c + 1], p, b[2], b[3]);
            } else if (c < t.chunks) {
                uint32_t b[2];
                load_transposed(b, chunk_at(t, t.v, key, c));
                mma_two(T(), acc[c], p, b[0], b[1]);
            }
        }
    }
}

// out: of query 0 of the warp's 16, of which `live` are there.
template <class T, class S>
static __device__ __forceinline__ void store(T *out, int64_t ldo, int chunks, int live, const softmax_state &state,
                                             const float (&acc)[S::MAX][4])
{
    const int lane = threadIdx.x % DD_WARP;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float sum = state.sum[half];
        sum += __shfl_xor_sync(DD_WARP_ALL, sum, 1);
        sum += __shfl_xor_sync(DD_WARP_ALL, sum, 2);
        const float part = 1.0f / sum;
        const int query = lane / 4 + half * 8;
#pragma unroll
        for (int c = 0; c < S::MAX; c++)
            if (c < chunks && query < live)
                *(uint32_t *)(out + query * ldo + c * DD_CHUNK + lane % 4 * 2) = packed(T(), acc[c][half * 2] * part,
                                                                                        acc[c][half * 2 + 1] * part);
    }
}

template <class T, class S>
static __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention_mma_kernel(dd_attention_args a, int tiles, const int32_t *step)
{
    extern __shared__ __align__(DD_VECTOR) unsigned char shared[];
    T *memory = (T *)shared;
    const int e = S::FIXED ? S::MAX * DD_CHUNK : a.e, chunks = e / DD_CHUNK, pitch = chunks | 1, head = blockIdx.y;
    const int32_t *list = list_at(a.heads, *step);
    if (head >= list_width(list, 3 * a.h * e) / (3 * e)) return;
    const key_ring<T> ring = {memory, S::KEYS * pitch * DD_CHUNK, chunks, pitch};
    const int64_t row = (int64_t)(blockIdx.x / tiles) * a.s;
    const int query = (int)(blockIdx.x % tiles) * QUERIES + (int)threadIdx.x / DD_WARP * DD_MMA_ROWS;
    const T *qkv = (const T *)a.qkv + row * a.ldq + head * a.ld_head;
    const float scale = 1.4426950408889634f / sqrtf((float)e); // log2 of Euler's number
    uint32_t q[S::STEPS][4];
    float acc[S::MAX][4] = {};
    softmax_state state = {{-CUDART_INF_F, -CUDART_INF_F}, {0, 0}};
    copy_keys<T, S>(ring[0], qkv + e, a.ldq, e, a.s);
    copy_commit();
    load_queries<T, S>(q, qkv + query * a.ldq, a.ldq, chunks, a.s - query);
    for (int first = 0, turn = 0; first < a.s; first += S::KEYS, turn ^= 1) {
        const int next = first + S::KEYS;
        copy_wait<0>();
        __syncthreads(); // the keys are there for all, and all are done with those before
        if (next < a.s) copy_keys<T, S>(ring[turn ^ 1], qkv + next * a.ldq + e, a.ldq, e, a.s - next);
        copy_commit();
        float s[S::TILES][4] = {};
        multiply_keys<T, S>(s, q, ring[turn]);
        weigh<S>(s, state, acc, scale, a.s - first);
        add_values<T, S>(acc, s, ring[turn]);
    }
    store<T, S>((T *)a.out + (row + query) * a.ldo + head * e, a.ldo, chunks, a.s - query, state, acc);
}

template <class T, class S> static dd_status launch(const dd_exec *exec, const dd_attention_args *args)
{
    const int tiles = (int)ceil_div(args->s, QUERIES), pitch = args->e / DD_CHUNK | 1;
    const size_t bytes = 4 * (size_t)(S::KEYS * pitch) * DD_VECTOR;
    if (!grid_ok((int64_t)args->r * tiles, args->h)) return DD_ERR_ARG;
    const dim3 grid((unsigned)(args->r * tiles), (unsigned)args->h);
    attention_mma_kernel<T, S><<<grid, THREADS, bytes, stream_of(exec)>>>(*args, tiles, exec->step);
    return launched();
}

bool dd_cuda_attention_mma_takes(const dd_attention_args *args)
{
    return (args->qkv_format == DD_FMT_BF16 || args->qkv_format == DD_FMT_F16) &&
           args->out_format == args->qkv_format && vector_ok<bf16>(args->qkv, args->ldq) &&
           vector_ok<bf16>(NULL, args->ld_head) && (uintptr_t)args->out % sizeof(uint32_t) == 0 && args->ldo % 2 == 0;
}

template <class T> static dd_status launch_shape(const dd_exec *exec, const dd_attention_args *args)
{
    switch (args->e) {
    case 64: return launch<T, attention_shape<8, 64, true>>(exec, args);
    case 72: return launch<T, attention_shape<9, 64, true>>(exec, args);
    default: return launch<T, attention_shape<MAX_CHUNKS, 32, false>>(exec, args);
    }
}

dd_status dd_cuda_attention_mma(const dd_exec *exec, const dd_attention_args *args)
{
    return args->qkv_format == DD_FMT_BF16 ? launch_shape<bf16>(exec, args) : launch_shape<f16>(exec, args);
}
