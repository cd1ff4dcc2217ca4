// SPDX-License-Identifier: MIT
// Formula: acc[i,n] = sum_k a[i,k] w[n,k] over the active chunks of N and K, then bias, GELU (tanh) or gated residual.
// Layout: a row-major, compact along K; w row-major [n,k] in the order of units, of the same type; c compact along N,
// c_unit columns from one unit to the next; the residual scatters rows by the list.
// Thread mapping: a block per TILE x TILE of the result (x: rows, y: columns). A thread has ROWS neighbouring rows of COLS
// columns that lie SIDE apart, so that reads of shared memory are wide or conflict-free and writes coalesce. A thread loads
// whole chunks along K. The grid is that of all rows and columns; blocks past those in force leave before they read more.
// Budget: at most 96 registers, 16384 bytes of shared memory, at least 5 blocks. These are two panels of DEPTH x TILE floats.
// Instructions: LDG.E.128, LDS.128.
// Preconditions: gemm_ok. Lists, counts and slots are on the device: trusted, the count clamped to m.
// Precision: float32, one fused multiply-add per product, k ascending, from zero: a result depends on its own row of a and
// w alone, whatever m, the other rows or slices are.
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/gemm_mma.h"
#include "kernels/cuda/panel.cuh"

// rows: those that this thread loads from, NULL outside of the matrix.
template <class T>
static __device__ __forceinline__ void panel_load(panel &p, const T *const (&rows)[LOADS], const int32_t *k_list,
                                                  int k0, int k, bool vector)
{
    const int chunk = threadIdx.x % CHUNKS, at = k0 + chunk * DD_CHUNK, live = k - at;
    const int from = live > 0 ? list_column(k_list, at) : 0;
#pragma unroll
    for (int l = 0; l < LOADS; l++) {
        const int column = panel_column((int)threadIdx.x / CHUNKS + l * STRIDE, chunk);
        float v[DD_CHUNK];
        load_part(v, rows[l] + from, rows[l] ? live : 0, vector);
#pragma unroll
        for (int i = 0; i < DD_CHUNK; i++) p.v[chunk * DD_CHUNK + i][column] = v[i];
    }
}

// acc comes back changed: its rows move up, one after the other, for registers cannot be indexed and the epilogue is long.
template <class C>
static __device__ __forceinline__ void store(const dd_gemm_args &g, const gemm_slice &s, int64_t item, int64_t m,
                                             int column, int32_t step, float (&acc)[ROWS][COLS])
{
    gemm_column columns[COLS];
#pragma unroll
    for (int c = 0; c < COLS; c++)
        if (column + c * SIDE < s.n) columns[c] = gemm_column_at(g, s, column + c * SIDE);
#pragma unroll 1
    for (int left = ROWS; left > 0 && item < m; left--, item++) {
        const gemm_out<C> out = gemm_out_at<C>(g, item, step);
#pragma unroll
        for (int c = 0; c < COLS; c++) {
            if (column + c * SIDE < s.n) gemm_store(g, out, columns[c], acc[0][c]);
#pragma unroll
            for (int r = 1; r < ROWS; r++) acc[r - 1][c] = acc[r][c];
        }
    }
}

template <class T, class C>
static __global__ void __launch_bounds__(THREADS)
    gemm_kernel(dd_gemm_args g, gemm_weight<T> w, bool a_vector, bool w_vector, const int32_t *step)
{
    __shared__ __align__(DD_VECTOR) panel a, b;
    const gemm_slice s = gemm_slice_at(g, w, *step);
    const int64_t m = rows_live(g.rows, g.m), row0 = (int64_t)blockIdx.x * TILE;
    const int col0 = (int)blockIdx.y * TILE;
    if (row0 >= m || col0 >= s.n) return;
    const T *a_rows[LOADS], *w_rows[LOADS];
#pragma unroll
    for (int l = 0; l < LOADS; l++) {
        const int i = (int)threadIdx.x / CHUNKS + l * STRIDE;
        a_rows[l] = row0 + i < m ? (const T *)g.a + (row0 + i) * g.lda : NULL;
        w_rows[l] = col0 + i < s.n ? w.w + (int64_t)list_column(s.n_list, col0 + i) * w.k : NULL;
    }
    float acc[ROWS][COLS] = {{0}};
    for (int k0 = 0; k0 < s.k; k0 += DEPTH) {
        panel_load(a, a_rows, NULL, k0, s.k, a_vector);
        panel_load(b, w_rows, s.k_list, k0, s.k, w_vector);
        __syncthreads();
        multiply(acc, a, b);
        __syncthreads(); // the panels are written again
    }
    store<C>(g, s, row0 + threadIdx.x / SIDE * ROWS, m, col0 + threadIdx.x % SIDE, *step, acc);
}

template <class T, class C> static dd_status launch(const dd_exec *exec, const dd_gemm_args *args)
{
    const dd_packed *p = args->w;
    const gemm_weight<T> w = {(const T *)p->data, (int)p->n, (int)p->k, (int)p->unit};
    const int64_t x = ceil_div(args->m, TILE), y = ceil_div(p->n, TILE);
    if (!grid_ok(x, y)) return DD_ERR_ARG;
    if (x == 0) return DD_OK;
    gemm_kernel<T, C><<<dim3((unsigned)x, (unsigned)y), THREADS, 0, stream_of(exec)>>>(
        *args, w, vector_ok<T>(args->a, args->lda), vector_ok<T>(p->data, p->k), exec->step);
    return launched();
}

dd_status dd_cuda_gemm(const dd_exec *exec, const dd_gemm_args *args)
{
    const dd_status st = gemm_ok(exec, args);
    if (st != DD_OK) return st;
    if (dd_cuda_gemm_mma_takes(args)) return dd_cuda_gemm_mma(exec, args, dd_cuda_gemm_mma_tile(args));
    const bool f32 = args->c_format == DD_FMT_F32;
    switch (args->a_format) {
    case DD_FMT_F32: return launch<float, float>(exec, args);
    case DD_FMT_TF32: return f32 ? launch<tf32, float>(exec, args) : launch<tf32, tf32>(exec, args);
    case DD_FMT_BF16: return f32 ? launch<bf16, float>(exec, args) : launch<bf16, bf16>(exec, args);
    case DD_FMT_F16: return f32 ? launch<f16, float>(exec, args) : launch<f16, f16>(exec, args);
    default: return DD_ERR_UNSUPPORTED;
    }
}
