// SPDX-License-Identifier: MIT
// Formula: acc[b,y,x,n] = sum over taps and channels of in[b, y + i - p, x + j - p, c] w[n, i, j, c], zeros outside of the
// picture, in is src or src with every pixel repeated 2 x 2; then + bias, + residual.
// Layout: pixels [B,H,W,C], w row-major [N, ksize, ksize, C], both bf16, f16 or tf32; dst float32 or of that type. A product of
// matrices, see conv2d.cuh; pieces of 16 bytes of the left one are gathered on their way to shared memory.
// Thread mapping: a block per PIXELS x CHANNELS of the result, those of the same pixels side by side; a warp per 32 x 32 of these. Three tiles of
// both operands, PIECES pieces deep, are on their way or in use; a thread copies the same piece of several rows of each.
// Budget: at most 96 registers, 24576 bytes of shared memory, at least 4 blocks. That is STAGES tiles of PIXELS + CHANNELS rows.
// Instructions: LDSM.16.M88.4, LDGSTS.E.BYPASS.128; conv2d_mma_kernel<bf16,*>: HMMA.16816.F32.BF16;
// conv2d_mma_kernel<f16,*>: HMMA.16816.F32; conv2d_mma_kernel<tf32,*>: HMMA.1688.F32.TF32.
// Preconditions: those of conv2d.cu.
// Precision: products are exact; tensor cores add those of two pieces of the depth (16, in tf32 8) to a float32 sum, taps row by
// row, channels ascending, from zero, the last piece of an odd number beside zeros. A result depends on what its pixel sees alone.
#include "kernels/cuda/conv2d_mma.h"

#include "kernels/cuda/conv2d.cuh"
#include "kernels/cuda/gemm_mma_store.cuh"
#include "kernels/cuda/tile.cuh"

#define PIXELS 64
#define CHANNELS 64
#define PIECES 4
#define STAGES 3
#define WARP_ROWS 32
#define WARPS_N (CHANNELS / DD_MMA_WIDTH)
#define THREADS (PIXELS / WARP_ROWS * WARPS_N * DD_WARP)
#define FRAGMENTS (WARP_ROWS / DD_MMA_ROWS)
#define STRIDE (THREADS / PIECES) // rows that the block copies at once
#define LOADS (PIXELS / STRIDE)
#define BLOCKS 4
static_assert(PIXELS == CHANNELS, "a thread copies as many rows of both");

template <class T> struct stage {
    operand_tile<T, PIXELS, PIECES> a;
    operand_tile<T, CHANNELS, PIECES> w;
};

// What a thread copies: places and rows of w, NULL behind the last one, and the depth of its next piece.
template <class T> struct source {
    place at[LOADS];
    const T *w[LOADS];
    int k, depth;
};

// C: type of the result, which says how columns are dealt to fragments.
template <class T, class C>
static __device__ __forceinline__ void source_open(source<T> &f, const dd_conv2d_args &g, const T *w, int64_t pixel,
                                                   int64_t pixels, int channel)
{
    const int first = (int)threadIdx.x / PIECES;
    f.depth = g.ksize * g.ksize * g.c;
    f.k = (int)threadIdx.x % PIECES * piece_of<T>::SIZE;
#pragma unroll
    for (int i = 0; i < LOADS; i++) {
        const int row = first + i * STRIDE, in_warp = row % DD_MMA_WIDTH;
        const int n = channel + row - in_warp + fragment_column<C>(in_warp);
        f.at[i] = place_of(g, pixel + row, pixels);
        f.w[i] = n < g.n ? w + (int64_t)n * f.depth : NULL;
    }
}

template <class T> static __device__ __forceinline__ void copy_next(stage<T> &to, source<T> &f, const dd_conv2d_args &g)
{
    const int first = (int)threadIdx.x / PIECES, piece = threadIdx.x % PIECES;
    const bool live = f.k < f.depth;
#pragma unroll
    for (int i = 0; i < LOADS; i++) {
        const int row = first + i * STRIDE;
        const T *from = live ? seen<T>(g, f.at[i], f.k) : NULL;
        copy_async(to.a.at(row, piece), from ? from : (const T *)g.src, from != NULL);
        copy_async(to.w.at(row, piece), f.w[i] + f.k, live && f.w[i]);
    }
    f.k += PIECES * piece_of<T>::SIZE;
}

template <class T>
static __device__ __forceinline__ void multiply(float (&acc)[FRAGMENTS][DD_MMA_TILES][4], const stage<T> &t, int row,
                                                int column)
{
#pragma unroll
    for (int piece = 0; piece < PIECES; piece += 2) {
        uint32_t a[FRAGMENTS][4], b[DD_MMA_TILES / 2][4];
#pragma unroll
        for (int j = 0; j < DD_MMA_TILES / 2; j++) load_b_two(b[j], t.w, column + j * 16, piece);
#pragma unroll
        for (int i = 0; i < FRAGMENTS; i++) load_a_two(a[i], t.a, row + i * DD_MMA_ROWS, piece);
#pragma unroll
        for (int i = 0; i < FRAGMENTS; i++)
#pragma unroll
            for (int j = 0; j < DD_MMA_TILES; j++)
                mma_two(T(), acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
}

// Sums of neighbouring channels of a pixel; n is a multiple of DD_CHUNK, so that a run is there as a whole or not at all.
template <class C, int N>
static __device__ __forceinline__ void store_run(const dd_conv2d_args &g, int64_t pixel, int n, float (&v)[N],
                                                 bool vector)
{
    const int64_t at = pixel * g.n + n;
    if (n >= g.n) return;
#pragma unroll
    for (int i = 0; i < N; i++) {
        v[i] += g.bias[n + i];
        if (g.residual) v[i] += g.residual[at + i];
    }
    C *dst = (C *)g.dst + at;
    if (vector) {
        store_vector(dst, v);
        return;
    }
#pragma unroll
    for (int i = 0; i < N; i++) store_one(dst + i, v[i]);
}

// acc: 32 x 32, of pixels from `pixel` and channels from `column` on; comes back changed.
template <class C>
static __device__ __forceinline__ void store(const dd_conv2d_args &g, int64_t pixel, int64_t pixels, int column,
                                             bool vector, float (&acc)[FRAGMENTS][DD_MMA_TILES][4])
{
    enum { SIZE = run_of<C>::SIZE, COUNT = run_of<C>::COUNT };
    const int lane = threadIdx.x % DD_WARP;
    pixel += lane / 4;
#pragma unroll 1
    for (int half = 0; half < 2 * FRAGMENTS && pixel < pixels; half++, pixel += 8) {
#pragma unroll
        for (int r = 0; r < COUNT; r++) {
            float v[SIZE];
#pragma unroll
            for (int i = 0; i < SIZE; i++) v[i] = acc[0][(r * SIZE + i) / 2][i % 2]; // as in fragment_column
            store_run<C>(g, pixel, column + r * 4 * SIZE + lane % 4 * SIZE, v, vector);
        }
        move_up(acc);
    }
}

template <class T, class C>
static __global__ void __launch_bounds__(THREADS, BLOCKS)
    conv2d_mma_kernel(dd_conv2d_args g, const T *w, int64_t pixels, bool vector)
{
    __shared__ __align__(DD_LINE) stage<T> ring[STAGES];
    const int warp = threadIdx.x / DD_WARP, row = warp / WARPS_N * WARP_ROWS, column = warp % WARPS_N * DD_MMA_WIDTH;
    const unsigned across = ((unsigned)g.n + CHANNELS - 1) / CHANNELS;
    const int64_t pixel = (int64_t)(blockIdx.x / across) * PIXELS;
    const int channel = (int)(blockIdx.x % across) * CHANNELS;
    float acc[FRAGMENTS][DD_MMA_TILES][4] = {};
    source<T> from;
    source_open<T, C>(from, g, w, pixel, pixels, channel);
    const int tiles = (from.depth + PIECES * piece_of<T>::SIZE - 1) / (PIECES * piece_of<T>::SIZE);
#pragma unroll 1
    for (int i = 0; i < STAGES - 1; i++) {
        if (i < tiles) copy_next(ring[i], from, g);
        copy_commit();
    }
    int use = 0, fill = STAGES - 1;
    for (int tile = 0; tile < tiles; tile++) {
        copy_wait<STAGES - 2>();
        __syncthreads(); // the tile is there for all, and all are done with the one that is filled next
        if (tile + STAGES - 1 < tiles) copy_next(ring[fill], from, g);
        copy_commit();
        multiply(acc, ring[use], row, column);
        use = use + 1 < STAGES ? use + 1 : 0;
        fill = fill + 1 < STAGES ? fill + 1 : 0;
    }
    store<C>(g, pixel + row, pixels, channel + column, vector, acc);
}

template <class T, class C> static dd_status launch(const dd_exec *exec, const dd_conv2d_args *args)
{
    const int64_t pixels = (int64_t)args->b * args->h * args->w_out;
    const int64_t blocks = ceil_div(pixels, PIXELS) * ceil_div(args->n, CHANNELS);
    if (!grid_ok(blocks, 1)) return DD_ERR_ARG;
    conv2d_mma_kernel<T, C><<<(unsigned)blocks, THREADS, 0, stream_of(exec)>>>(*args, (const T *)args->w->data, pixels,
                                                                               chunks_ok(args->dst));
    return launched();
}

dd_status dd_cuda_conv2d_mma(const dd_exec *exec, const dd_conv2d_args *args)
{
    const bool f32 = args->dst_format == DD_FMT_F32;
    switch (args->src_format) {
    case DD_FMT_TF32: return f32 ? launch<tf32, float>(exec, args) : launch<tf32, tf32>(exec, args);
    case DD_FMT_BF16: return f32 ? launch<bf16, float>(exec, args) : launch<bf16, bf16>(exec, args);
    case DD_FMT_F16: return f32 ? launch<f16, float>(exec, args) : launch<f16, f16>(exec, args);
    default: return DD_ERR_UNSUPPORTED;
    }
}
