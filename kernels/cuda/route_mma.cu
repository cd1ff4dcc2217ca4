// SPDX-License-Identifier: MIT
// Formula: logit = w2 . ReLU(W1 x + b1) + b2 per token; mask[token] = dd_logit_on.
// Layout: x [R*S,D], W1 row-major [J,D], both float32.
// Thread mapping: a warp has 16 tokens and TILES x 8 columns of the hidden layer at a time, a block WARPS of these. Two tiles of
// 32 values of x and W1 are in shared memory, one in use and one on its way.
// Budget: decide_mma_kernel<*<9,4>>: at most 128 registers, 34816 bytes of shared memory, at least 4 blocks (2 on 86, 89 and
// 120); decide_mma_kernel<*<6,4>>: at most 96 registers, 28672 bytes of shared memory, at least 5 blocks (3 on 86, 89 and
// 120); decide_mma_kernel<*<3,4>>: at most 64 registers, 22528 bytes of shared memory, at least 4 blocks;
// decide_mma_kernel<*<9,1>>: at most 128 registers, 22528 bytes of shared memory, at least 7 blocks (4 on 86, 89 and 120);
// decide_mma_kernel<*<6,1>>: at most 96 registers, 16384 bytes of shared memory, at least 9 blocks (5 on 86, 89 and 120);
// decide_mma_kernel<*<3,1>>: at most 64 registers, 10240 bytes of shared memory, at least 14 blocks (9 on 86, 89 and 120).
// Instructions: HMMA.1688.F32.TF32, LDSM.16.M88.4, LDSM.16.M88.2, LDGSTS.E.BYPASS.128.
// Preconditions: dd_cuda_route, dd_cuda_route_mma_takes. What TF32 rounds to infinity, from 2^128 - 2^116 on, counts as NaN.
// Precision: that of float32, on tensor cores that multiply TF32. A value is the sum of its nearest in TF32 and the nearest of
// the rest, but for 2^-22 of it; of the four products of two such sums the smallest is left out. Tensor cores cut when they add,
// so that a sum of theirs begins at zero for every 8 values of K, small products first, and is added to a float32 sum by an
// ordinary addition, k ascending: within (D/8 + 41) 2^-24 sum |x w|, which is derived in tests/checkkernel/check_route.c. A run in
// float32 does not come here: there routers are sums of fused multiply-adds (route.cu), as all else.
#include "kernels/cuda/common.cuh"
#include "kernels/cuda/route_mma.h"
#include "kernels/cuda/tile.cuh"

#define PIECES 8 // of a tile of depth: a line of 128 bytes
#define DEPTH (PIECES * piece_of<float>::SIZE)
#define MANY 8192 // tokens: as many blocks of four warps as large GPUs have multiprocessors

template <int TILES_, int WARPS_> struct route_shape {
    enum {
        TILES = TILES_,
        WARPS = WARPS_,
        TOKENS = WARPS * DD_MMA_ROWS,
        COLUMNS = TILES * DD_MMA_COLS,
        BLOCKS = 16 / WARPS
    };
};

template <class S> struct stage {
    operand_tile<float, S::TOKENS, PIECES> x;
    operand_tile<float, S::COLUMNS, PIECES> w;
};

// ROWS rows of a matrix of `rows` x d from column k on; zeros outside of it.
template <int THREADS, int ROWS>
static __device__ __forceinline__ void copy_rows(operand_tile<float, ROWS, PIECES> &to, const float *from, int rows,
                                                 int d, int k)
{
    const int piece = threadIdx.x % PIECES, at = k + piece * piece_of<float>::SIZE;
#pragma unroll 2 // more of them would keep their addresses in registers
    for (int row = threadIdx.x / PIECES; row < ROWS; row += THREADS / PIECES) {
        const bool live = row < rows && at < d;
        copy_async(to.at(row, piece), from + (live ? (int64_t)row * d + at : 0), live);
    }
}

static __device__ __forceinline__ uint32_t nearest_tf32(float x)
{
    uint32_t r;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
    return r;
}

template <int N>
static __device__ __forceinline__ void split(uint32_t (&large)[N], uint32_t (&small)[N], const uint32_t (&v)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++) {
        const float x = __uint_as_float(v[i]);
        large[i] = nearest_tf32(x);
        small[i] = nearest_tf32(x - __uint_as_float(large[i]));
    }
}

// One tile of depth. row: of the warp's first token.
template <class S>
static __device__ __forceinline__ void multiply(float (&acc)[S::TILES][4], const stage<S> &t, int row)
{
    const int lane = threadIdx.x % DD_WARP;
#pragma unroll 1
    for (int piece = 0; piece < PIECES; piece += 2) {
        uint32_t a[4], a_large[4], a_small[4];
        load_a_two(a, t.x, row, piece);
        split(a_large, a_small, a);
#pragma unroll
        for (int j = 0; j < S::TILES; j++) {
            uint32_t b[2], large[2], small[2];
            float sum[4] = {};
            load_matrices(b, t.w.at(j * DD_MMA_COLS + lane % 8, piece + lane / 8 % 2));
            split(large, small, b);
            mma_two(tf32(), sum, a_small, large[0], large[1]);
            mma_two(tf32(), sum, a_large, small[0], small[1]);
            mma_two(tf32(), sum, a_large, large[0], large[1]);
#pragma unroll
            for (int i = 0; i < 4; i++) acc[j][i] += sum[i];
        }
    }
}

// What columns from `first` on add to the logits of a lane's two rows.
template <class S>
static __device__ __forceinline__ void add_columns(float (&logit)[2], const dd_route_args &a, int first,
                                                   const float (&acc)[S::TILES][4])
{
#pragma unroll
    for (int j = 0; j < S::TILES; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int column = first + j * DD_MMA_COLS + threadIdx.x % 4 * 2 + i % 2;
            if (column >= a.j) continue;
            const float h = acc[j][i] + a.b1[column];
            if (!(h <= 0)) logit[i / 2] = fmaf(a.w2[column], h, logit[i / 2]); // NaN goes through
        }
}

template <class S>
static __global__ void __launch_bounds__(S::WARPS *DD_WARP, S::BLOCKS)
    decide_mma_kernel(dd_route_args a, const float *w1, int n)
{
    __shared__ __align__(DD_LINE) stage<S> ring[2];
    const int first = (int)blockIdx.x * S::TOKENS, row = (int)threadIdx.x / DD_WARP * DD_MMA_ROWS;
    const int lane = threadIdx.x % DD_WARP;
    const float *x = a.x + (int64_t)first * a.d;
    float logit[2] = {};
    for (int column = 0; column < a.j; column += S::COLUMNS) {
        const float *w = w1 + (int64_t)column * a.d;
        float acc[S::TILES][4] = {};
        __syncthreads(); // all are done with the tiles of the columns before
        copy_rows<S::WARPS * DD_WARP>(ring[0].x, x, n - first, a.d, 0);
        copy_rows<S::WARPS * DD_WARP>(ring[0].w, w, a.j - column, a.d, 0);
        copy_commit();
        for (int k = 0, turn = 0; k < a.d; k += DEPTH, turn ^= 1) {
            copy_wait<0>();
            __syncthreads(); // the tile is there for all, and all are done with the one before
            if (k + DEPTH < a.d) {
                copy_rows<S::WARPS * DD_WARP>(ring[turn ^ 1].x, x, n - first, a.d, k + DEPTH);
                copy_rows<S::WARPS * DD_WARP>(ring[turn ^ 1].w, w, a.j - column, a.d, k + DEPTH);
            }
            copy_commit();
            multiply<S>(acc, ring[turn], row);
        }
        add_columns<S>(logit, a, column, acc);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float sum = logit[half];
        sum += __shfl_xor_sync(DD_WARP_ALL, sum, 1);
        sum += __shfl_xor_sync(DD_WARP_ALL, sum, 2);
        const int token = first + row + half * 8 + lane / 4;
        if (lane % 4 == 0 && token < n) a.mask[token] = sum + a.b2[0] > DD_LOGIT_ON; // dd_logit_on
    }
}

template <class S> static dd_status launch(const dd_exec *exec, const dd_route_args *args)
{
    const int n = args->r * args->s;
    const unsigned blocks = (unsigned)ceil_div(n, S::TOKENS);
    decide_mma_kernel<S><<<blocks, S::WARPS * DD_WARP, 0, stream_of(exec)>>>(*args, (const float *)args->w1->data, n);
    return launched();
}

template <int WARPS> static dd_status launch_tiles(const dd_exec *exec, const dd_route_args *args)
{
    if (args->j <= 24) return launch<route_shape<3, WARPS>>(exec, args);
    return args->j <= 48 ? launch<route_shape<6, WARPS>>(exec, args) : launch<route_shape<9, WARPS>>(exec, args);
}

bool dd_cuda_route_mma_takes(const dd_route_args *args)
{
    return args->split && vector_ok<float>(args->x, args->d) && vector_ok<float>(args->w1->data, args->d);
}

dd_status dd_cuda_route_mma(const dd_exec *exec, const dd_route_args *args)
{
    return args->r * args->s < MANY ? launch_tiles<1>(exec, args) : launch_tiles<4>(exec, args);
}
