// SPDX-License-Identifier: MIT
// Formula: out_i = softmax over j of (q_i k_j / sqrt(C)) v_j, one head over the pixels of a picture.
// Layout: qkv [B,P,3,C], out [B,P,C].
// Thread mapping: a block per QUERIES queries of a picture, a warp per MINE of them. For scores a lane has one of KEYS keys,
// whose channels pass through shared memory DEPTH at a time together with those of the queries: a lane reads its own key's row,
// rows lie PITCH apart so that the eight lanes of a pass meet all banks, and queries are broadcasts. For sums a lane has RUN
// neighbouring channels of every WIDE, up to C, in registers; values pass through shared memory VALUES keys at a time.
// Budget: at most 120 registers, 24448 bytes of shared memory, at least 2 blocks. These are slabs of keys and queries,
// KEYS + QUERIES rows of PITCH, and VALUES rows of C at most.
// Instructions: LDG.E.128, LDS.128, STS.128.
// Preconditions: C a multiple of DD_CHUNK, at most DD_PIXEL_ATTENTION_MAX; qkv begins at a multiple of DD_VECTOR.
// Precision: float32; a score is one chain of fused multiply-adds; softmax in one pass with a running maximum, corrected once
// per KEYS keys. Keys are added in order: a pixel depends on its own picture alone.
#include <math_constants.h>

#include "kernels/cuda/picture.cuh"

#define WARPS 8
#define THREADS (WARPS * DD_WARP)
#define MINE 3 // queries of a warp
#define QUERIES (WARPS * MINE)
#define KEYS DD_WARP
#define DEPTH 32
#define PITCH (DEPTH + 4)
#define VALUES 8
#define RUN 4
#define WIDE (DD_WARP * RUN)
#define RUNS (DD_PIXEL_ATTENTION_MAX / WIDE)

struct memory {
    float keys[KEYS][PITCH], queries[QUERIES][PITCH];
    float values[VALUES][DD_PIXEL_ATTENTION_MAX];
};

// `rows` rows of `columns` values, from the first on, to rows that are pitch apart; zeros past live_rows and live_columns.
template <class T>
static __device__ __forceinline__ void load_rows(float *to, int pitch, const T *from, int64_t ld, int rows, int columns,
                                                 int live_rows, int live_columns)
{
    const int chunks = columns / DD_CHUNK;
#pragma unroll 1
    for (int i = threadIdx.x; i < rows * chunks; i += THREADS) {
        const int row = i / chunks, at = i % chunks * DD_CHUNK;
        float v[DD_CHUNK];
        load_part(v, from + row * ld + at, row < live_rows && at < live_columns ? DD_CHUNK : 0, true);
        store_chunk(to + row * pitch + at, v);
    }
}

// Adds the products of DEPTH channels of this lane's key and each of this warp's queries.
static __device__ __forceinline__ void add_scores(float (&score)[MINE], const memory &m)
{
    const float *key = m.keys[threadIdx.x % DD_WARP];
    const float(*query)[PITCH] = m.queries + threadIdx.x / DD_WARP * MINE;
#pragma unroll 2 // registers are those of the sums
    for (int d = 0; d < DEPTH; d += RUN) {
        const float4 k = *(const float4 *)(key + d);
#pragma unroll
        for (int i = 0; i < MINE; i++) {
            const float4 q = *(const float4 *)(query[i] + d);
            score[i] = fmaf(q.x, k.x, score[i]);
            score[i] = fmaf(q.y, k.y, score[i]);
            score[i] = fmaf(q.z, k.z, score[i]);
            score[i] = fmaf(q.w, k.w, score[i]);
        }
    }
}

// Of a query, in all lanes.
struct softmax_state {
    float max, sum;
};

// A score becomes the key's weight; what has been summed is corrected.
static __device__ __forceinline__ void weigh(float &score, softmax_state &s, float (&acc)[RUNS * RUN])
{
    float top = score;
    for (int d = DD_WARP / 2; d > 0; d /= 2) top = fmaxf(top, __shfl_xor_sync(DD_WARP_ALL, top, d));
    top = fmaxf(top, s.max);
    const float old = expf(s.max - top); // 0 at first: exp(-inf)
    score = expf(score - top);
    s.max = top;
    s.sum = fmaf(s.sum, old, warp_sum(score));
#pragma unroll
    for (int i = 0; i < RUNS * RUN; i++) acc[i] *= old;
}

// VALUES keys from `first` on of those that the lanes have weights of.
static __device__ __forceinline__ void add_values(float (&acc)[MINE][RUNS * RUN], const float (&weight)[MINE],
                                                  const memory &m, int first, int c)
{
    const int own = threadIdx.x % DD_WARP * RUN;
#pragma unroll 1
    for (int j = 0; j < VALUES; j++) {
        float w[MINE];
#pragma unroll
        for (int i = 0; i < MINE; i++) w[i] = __shfl_sync(DD_WARP_ALL, weight[i], first + j);
#pragma unroll
        for (int r = 0; r < RUNS; r++)
            if (r * WIDE < c) {
                const float4 v = *(const float4 *)(m.values[j] + r * WIDE + own);
#pragma unroll
                for (int i = 0; i < MINE; i++) {
                    acc[i][r * RUN] = fmaf(w[i], v.x, acc[i][r * RUN]);
                    acc[i][r * RUN + 1] = fmaf(w[i], v.y, acc[i][r * RUN + 1]);
                    acc[i][r * RUN + 2] = fmaf(w[i], v.z, acc[i][r * RUN + 2]);
                    acc[i][r * RUN + 3] = fmaf(w[i], v.w, acc[i][r * RUN + 3]);
                }
            }
    }
}

template <class O>
static __device__ __forceinline__ void store(O *out, int c, const float (&acc)[RUNS * RUN], float sum)
{
    const int own = threadIdx.x % DD_WARP * RUN;
#pragma unroll
    for (int i = 0; i < RUNS * RUN; i++) {
        const int at = i / RUN * WIDE + own + i % RUN;
        if (at < c) out[at] = rounded<O>(acc[i] / sum);
    }
}

template <class T, class O>
static __global__ void __launch_bounds__(THREADS, 2) pixel_attention_kernel(dd_pixel_attention_args a, int tiles)
{
    __shared__ __align__(DD_VECTOR) memory m;
    const int c = a.c, query = (int)(blockIdx.x % tiles) * QUERIES, mine = threadIdx.x / DD_WARP * MINE;
    const int lane = threadIdx.x % DD_WARP, wide = (c + WIDE - 1) / WIDE * WIDE;
    const int64_t ld = 3 * (int64_t)c, picture = (int64_t)(blockIdx.x / tiles) * a.pixels;
    const T *qkv = (const T *)a.qkv + picture * ld;
    const float scale = 1.0f / sqrtf((float)c);
    softmax_state s[MINE];
    float acc[MINE][RUNS * RUN] = {};
#pragma unroll
    for (int i = 0; i < MINE; i++) s[i] = {-CUDART_INF_F, 0};
    for (int first = 0; first < a.pixels; first += KEYS) {
        const int live = a.pixels - first;
        const T *keys = qkv + first * ld + c;
        float score[MINE] = {};
        for (int d = 0; d < c; d += DEPTH) {
            __syncthreads(); // all are done with what was there
            load_rows(m.keys[0], PITCH, keys + d, ld, KEYS, DEPTH, live, c - d);
            load_rows(m.queries[0], PITCH, qkv + query * ld + d, ld, QUERIES, DEPTH, a.pixels - query, c - d);
            __syncthreads();
            add_scores(score, m);
        }
#pragma unroll
        for (int i = 0; i < MINE; i++) {
            score[i] = lane < live ? score[i] * scale : -CUDART_INF_F;
            weigh(score[i], s[i], acc[i]);
        }
        for (int j = 0; j < KEYS && j < live; j += VALUES) {
            __syncthreads(); // all are done with the values before
            load_rows(m.values[0], DD_PIXEL_ATTENTION_MAX, keys + c + j * ld, ld, VALUES, wide, live - j, c);
            __syncthreads();
            add_values(acc, score, m, j, c);
        }
    }
#pragma unroll
    for (int i = 0; i < MINE; i++)
        if (query + mine + i < a.pixels) store((O *)a.out + (picture + query + mine + i) * c, c, acc[i], s[i].sum);
}

template <class T, class O> static dd_status launch(const dd_exec *exec, const dd_pixel_attention_args *args)
{
    const int tiles = (int)ceil_div(args->pixels, QUERIES);
    pixel_attention_kernel<T, O><<<(unsigned)(args->b * tiles), THREADS, 0, stream_of(exec)>>>(*args, tiles);
    return launched();
}

dd_status dd_cuda_pixel_attention(const dd_exec *exec, const dd_pixel_attention_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->qkv == NULL || args->out == NULL) return DD_ERR_ARG;
    if (!dd_picture_ok(args->b, args->pixels, 1, args->c) || args->c > DD_PIXEL_ATTENTION_MAX) return DD_ERR_ARG;
    if (!dd_pixel_format_ok(args->qkv_format) || !dd_pixel_format_ok(args->out_format)) return DD_ERR_UNSUPPORTED;
    if (!chunks_ok(args->qkv)) return DD_ERR_UNSUPPORTED;
    const bool same = args->qkv_format == args->out_format;
    switch (args->qkv_format) {
    case DD_FMT_F32:
    case DD_FMT_TF32: // as float32: nothing here multiplies in fewer bits
        if (args->out_format == DD_FMT_TF32) return launch<float, tf32>(exec, args);
        return args->out_format == DD_FMT_F32 ? launch<float, float>(exec, args) : DD_ERR_UNSUPPORTED;
    case DD_FMT_BF16: return same ? launch<bf16, bf16>(exec, args) : DD_ERR_UNSUPPORTED;
    case DD_FMT_F16: return same ? launch<f16, f16>(exec, args) : DD_ERR_UNSUPPORTED;
    default: return DD_ERR_UNSUPPORTED;
    }
}
