// SPDX-License-Identifier: MIT
// Formula: acc[i,n] = sum_k a[i,k] w[n,k] over the active chunks of N and K, then bias, GELU (tanh) or gated residual.
// Layout: a row-major, compact along K; w row-major [n,k] in the order of units; c compact along N, c_unit columns from one
// unit to the next; the residual scatters rows by the list.
// Thread mapping: a block per TILE x TILE of the result (x: rows, y: columns), 4 x 4 results a thread, 16 apart, so that
// reads of shared memory are conflict-free and writes coalesce. The grid is that of all rows and columns; blocks past the
// rows and columns in force leave before they read anything else.
// Budget: two panels of DEPTH x (TILE + 1) floats in shared memory (8.1 KiB), at most 64 registers.
// Preconditions: gemm_ok. Lists, counts and slots are on the device: trusted, the count clamped to m.
// Precision: float32, one fused multiply-add per product, k ascending, from zero: a result depends on its own row of a and
// w alone, whatever m, the other rows or slices are.
#include "kernels/cuda/gemm.cuh"

#define TILE 64
#define DEPTH 16
#define SIDE 16 // threads along each side of a tile
#define EACH (TILE / SIDE)
#define THREADS (SIDE * SIDE)

// One panel: rows [first, first + TILE) of a matrix of `rows` rows, DEPTH values from k0 on, transposed; zero outside.
struct panel {
    float v[DEPTH][TILE + 1]; // + 1: the transposing writes fall into different banks
};

static __device__ __forceinline__ void load_a(panel &p, const dd_gemm_args &g, int64_t first, int64_t rows, int k0,
                                              int k)
{
    for (int i = threadIdx.x; i < TILE * DEPTH; i += THREADS) {
        const int row = i / DEPTH, d = i % DEPTH;
        const bool in = first + row < rows && k0 + d < k;
        p.v[d][row] = in ? ((const float *)g.a)[(first + row) * g.lda + k0 + d] : 0.0f;
    }
}

static __device__ __forceinline__ void load_w(panel &p, const gemm_slice &w, int first, int k0)
{
    for (int i = threadIdx.x; i < TILE * DEPTH; i += THREADS) {
        const int row = i / DEPTH, d = i % DEPTH;
        const bool in = first + row < w.n && k0 + d < w.k;
        float v = 0;
        if (in) v = w.w[(int64_t)list_column(w.n_list, first + row) * w.ld + list_column(w.k_list, k0 + d)];
        p.v[d][row] = v;
    }
}

static __global__ void __launch_bounds__(THREADS) gemm_kernel(dd_gemm_args g, gemm_weight weight, const int32_t *step)
{
    __shared__ panel a, b;
    const gemm_slice w = gemm_slice_at(g, weight, *step);
    const int64_t m = rows_live(g.rows, g.m), row0 = (int64_t)blockIdx.x * TILE;
    const int col0 = (int)blockIdx.y * TILE, tx = threadIdx.x % SIDE, ty = threadIdx.x / SIDE;
    if (row0 >= m || col0 >= w.n) return;
    float acc[EACH][EACH] = {{0}};
    for (int k0 = 0; k0 < w.k; k0 += DEPTH) {
        load_a(a, g, row0, m, k0, w.k);
        load_w(b, w, col0, k0);
        __syncthreads();
#pragma unroll
        for (int d = 0; d < DEPTH; d++) {
            float x[EACH], y[EACH];
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                x[i] = a.v[d][ty + i * SIDE];
                y[i] = b.v[d][tx + i * SIDE];
            }
#pragma unroll
            for (int i = 0; i < EACH; i++)
#pragma unroll
                for (int j = 0; j < EACH; j++) acc[i][j] = fmaf(x[i], y[j], acc[i][j]);
        }
        __syncthreads(); // the panels are written again
    }
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        const int64_t item = row0 + ty + i * SIDE;
        if (item >= m) break;
        const gemm_out out = gemm_out_at(g, item, *step);
#pragma unroll
        for (int j = 0; j < EACH; j++)
            if (col0 + tx + j * SIDE < w.n) gemm_store(g, w, out, col0 + tx + j * SIDE, acc[i][j]);
    }
}

dd_status dd_cuda_gemm(const dd_exec *exec, const dd_gemm_args *args)
{
    const dd_status st = gemm_ok(exec, args);
    if (st != DD_OK) return st;
    const dd_packed *p = args->w;
    const gemm_weight w = {(const float *)p->data, (int)p->n, (int)p->k, (int)p->unit};
    const int64_t x = ceil_div(args->m, TILE), y = ceil_div(p->n, TILE);
    if (!grid_ok(x, y)) return DD_ERR_ARG;
    if (x == 0) return DD_OK;
    gemm_kernel<<<dim3((unsigned)x, (unsigned)y), THREADS, 0, stream_of(exec)>>>(*args, w, exec->step);
    return launched();
}
