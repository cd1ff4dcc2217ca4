// SPDX-License-Identifier: MIT
// Formula: acc[b,y,x,n] = sum over taps and channels of in[b, y + i - p, x + j - p, c] w[n, i, j, c], zeros outside of the
// picture, in is src or src with every pixel repeated 2 x 2; then + bias, + residual.
// Layout: pixels [B,H,W,C], w row-major [N, ksize, ksize, C]: a product of matrices, see conv2d.cuh, of which the left one is
// gathered while it is loaded.
// Thread mapping: a block per TILE pixels (x) and TILE channels (y) of the result; panels and threads are those of panel.cuh.
// Budget: at most 96 registers, 16384 bytes of shared memory, at least 5 blocks. These are two panels of DEPTH x TILE floats.
// Instructions: LDG.E.128, LDS.128.
// Preconditions: dd_cuda_conv2d_ok; src and w begin at multiples of DD_VECTOR. What is not float32 is conv2d_mma.cu's.
// Precision: float32, one fused multiply-add per product, taps row by row, channels ascending, from zero; then bias, then
// residual. A result depends on what its pixel sees alone.
#include "kernels/cuda/conv2d.cuh"
#include "kernels/cuda/conv2d_mma.h"
#include "kernels/cuda/panel.cuh"

// v: a chunk of a row of the panel.
static __device__ __forceinline__ void panel_put(panel &p, int row, int chunk, const float (&v)[DD_CHUNK])
{
    const int column = panel_column(row, chunk);
#pragma unroll
    for (int i = 0; i < DD_CHUNK; i++) p.v[chunk * DD_CHUNK + i][column] = v[i];
}

// The places of the rows that this thread loads, and the rows of w, NULL behind the last one.
struct source {
    place at[LOADS];
    const float *w[LOADS];
};

static __device__ __forceinline__ void panels_load(panel &a, panel &b, const dd_conv2d_args &g, const source &s, int k0,
                                                   int depth)
{
    const int chunk = threadIdx.x % CHUNKS, k = k0 + chunk * DD_CHUNK;
#pragma unroll
    for (int l = 0; l < LOADS; l++) {
        const int row = (int)threadIdx.x / CHUNKS + l * STRIDE;
        const float *from = k < depth ? seen<float>(g, s.at[l], k) : NULL;
        float v[DD_CHUNK];
        load_part(v, from, from ? DD_CHUNK : 0, true);
        panel_put(a, row, chunk, v);
        load_part(v, s.w[l] + k, s.w[l] && k < depth ? DD_CHUNK : 0, true);
        panel_put(b, row, chunk, v);
    }
}

static __device__ __forceinline__ void store(const dd_conv2d_args &g, int64_t pixel, int64_t pixels, int column,
                                             const float (&acc)[ROWS][COLS])
{
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int c = 0; c < COLS; c++) {
            const int n = column + c * SIDE;
            const int64_t at = (pixel + r) * g.n + n;
            if (pixel + r >= pixels || n >= g.n) continue;
            const float v = acc[r][c] + g.bias[n];
            ((float *)g.dst)[at] = g.residual ? v + g.residual[at] : v;
        }
}

static __global__ void __launch_bounds__(THREADS) conv2d_kernel(dd_conv2d_args g, const float *w, int64_t pixels)
{
    __shared__ __align__(DD_VECTOR) panel a, b;
    const int64_t row0 = (int64_t)blockIdx.x * TILE;
    const int col0 = (int)blockIdx.y * TILE, depth = g.ksize * g.ksize * g.c;
    source s;
#pragma unroll
    for (int l = 0; l < LOADS; l++) {
        const int i = (int)threadIdx.x / CHUNKS + l * STRIDE;
        s.at[l] = place_of(g, row0 + i, pixels);
        s.w[l] = col0 + i < g.n ? w + (int64_t)(col0 + i) * depth : NULL;
    }
    float acc[ROWS][COLS] = {{0}};
    for (int k0 = 0; k0 < depth; k0 += DEPTH) {
        panels_load(a, b, g, s, k0, depth);
        __syncthreads();
        multiply(acc, a, b);
        __syncthreads(); // the panels are written again
    }
    store(g, row0 + threadIdx.x / SIDE * ROWS, pixels, col0 + threadIdx.x % SIDE, acc);
}

dd_status dd_cuda_conv2d_ok(const dd_exec *exec, const dd_conv2d_args *g)
{
    if (!exec_ok(exec) || g == NULL || g->src == NULL || g->bias == NULL || g->dst == NULL) return DD_ERR_ARG;
    if (!packed_ok(g->w) || (g->ksize != 1 && g->ksize != 3)) return DD_ERR_ARG;
    if (!dd_picture_ok(g->b, g->h, g->w_out, g->c) || !dd_picture_ok(g->b, g->h, g->w_out, g->n)) return DD_ERR_ARG;
    if (g->upsample && (g->h % 2 != 0 || g->w_out % 2 != 0)) return DD_ERR_ARG;
    if (g->w->n != g->n || g->w->k != (int64_t)g->ksize * g->ksize * g->c || g->w->k > INT32_MAX) return DD_ERR_ARG;
    if (!dd_pixel_format_ok(g->src_format) || !dd_pixel_format_ok(g->dst_format)) return DD_ERR_UNSUPPORTED;
    if (dd_format_dtype(g->src_format) != g->w->as) return DD_ERR_ARG;
    if (g->residual && g->dst_format != DD_FMT_F32) return DD_ERR_ARG;
    if (g->dst_format != DD_FMT_F32 && g->dst_format != g->src_format) return DD_ERR_UNSUPPORTED;
    return chunks_ok(g->src) && chunks_ok(g->w->data) ? DD_OK : DD_ERR_UNSUPPORTED;
}

dd_status dd_cuda_conv2d(const dd_exec *exec, const dd_conv2d_args *args)
{
    const dd_status st = dd_cuda_conv2d_ok(exec, args);
    if (st != DD_OK) return st;
    if (args->src_format != DD_FMT_F32) return dd_cuda_conv2d_mma(exec, args);
    const int64_t pixels = (int64_t)args->b * args->h * args->w_out;
    const dim3 grid((unsigned)ceil_div(pixels, TILE), (unsigned)ceil_div(args->n, TILE));
    if (!grid_ok(grid.x, grid.y)) return DD_ERR_ARG;
    conv2d_kernel<<<grid, THREADS, 0, stream_of(exec)>>>(*args, (const float *)args->w->data, pixels);
    return launched();
}
