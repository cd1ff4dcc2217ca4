// SPDX-License-Identifier: MIT
// From fragments of mma to the result of a GEMM. The columns of a warp's 32 are dealt to fragments so that a lane has 16
// neighbouring bytes of a row of c: columns are rows of W, which may lie in shared memory in any order. So four lanes store
// 64 neighbouring bytes, and a run of columns, which no unit cuts, is looked up once.
#ifndef DD_KERNELS_CUDA_GEMM_MMA_STORE_CUH
#define DD_KERNELS_CUDA_GEMM_MMA_STORE_CUH

#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/mma.cuh"

#define DD_MMA_WIDTH 32                           // columns of a warp
#define DD_MMA_TILES (DD_MMA_WIDTH / DD_MMA_COLS) // fragments beside each other

// Neighbouring columns of a lane, and how many such runs it has.
template <class C> struct run_of {
    enum { SIZE = DD_VECTOR / sizeof(C), COUNT = DD_CHUNK / SIZE };
};

// Column of the result, within the warp's 32, for row p of the warp's part of the tile of W. In fragment p / 8 it is column
// p % 8, the element p % 2 of lane p % 8 / 2: the lane's value 2 (p / 8) + p % 2 of 8.
template <class C> static __device__ __forceinline__ int fragment_column(int p)
{
    const int value = p / DD_MMA_COLS * 2 + p % 2, lane = p % DD_MMA_COLS / 2, size = run_of<C>::SIZE;
    return value / size * (4 * size) + lane * size + value % size;
}

template <int N> struct column_run {
    int64_t at; // in a row of c
    int n;      // of w
    int live;   // columns there are
    float bias[N];
};

// first: active column.
template <int N>
static __device__ __forceinline__ void run_at(column_run<N> &r, const dd_gemm_args &g, const gemm_slice &s, int first)
{
    r.live = s.n - first < N ? s.n - first : N;
    if (r.live <= 0) return;
    r.at = first / s.unit * s.c_unit + first % s.unit;
    r.n = list_column(s.n_list, first);
#pragma unroll
    for (int i = 0; i < N; i++) r.bias[i] = g.bias && i < r.live ? g.bias[r.n + i] : 0.0f;
}

static __device__ __forceinline__ void store_vector(float *p, const float (&v)[4])
{
    *(float4 *)p = make_float4(v[0], v[1], v[2], v[3]);
}

static __device__ __forceinline__ void store_vector(tf32 *p, const float (&v)[4])
{
    *(float4 *)p = make_float4(dd_f32_to_tf32(v[0]), dd_f32_to_tf32(v[1]), dd_f32_to_tf32(v[2]), dd_f32_to_tf32(v[3]));
}

template <class C> static __device__ __forceinline__ void store_vector(C *p, const float (&v)[DD_CHUNK])
{
    *(uint4 *)p = make_uint4(packed(C(), v[0], v[1]), packed(C(), v[2], v[3]), packed(C(), v[4], v[5]),
                             packed(C(), v[6], v[7]));
}

static __device__ __forceinline__ void store_one(float *p, float v) { *p = v; }
static __device__ __forceinline__ void store_one(tf32 *p, float v) { *p = rounded<tf32>(v); }
template <class C> static __device__ __forceinline__ void store_one(C *p, float v)
{
    p->bits = (uint16_t)packed(C(), v, 0);
}

// A result of 16 bits bears an exponential and a quotient that are right to 2^-21: its own rounding is 2^-9 or 2^-12.
template <class C> static __device__ __forceinline__ float gelu_for(float x)
{
    if (sizeof(C) == sizeof(float)) return gelu_tanh(x);
    const float z = 1.5957691216057308f * fmaf(0.044715f * x * x, x, x); // as in gelu_tanh
    return __fdividef(x, 1.0f + __expf(-z));
}

// c += gate v, of which c is float32.
static __device__ __forceinline__ void add_residual(float (&v)[4], const float *c, const float *gate, int live,
                                                    bool vector)
{
    float old[4];
    if (vector && live == 4) {
        const float4 u = *(const float4 *)c;
        old[0] = u.x, old[1] = u.y, old[2] = u.z, old[3] = u.w;
    } else {
#pragma unroll
        for (int i = 0; i < 4; i++) old[i] = i < live ? c[i] : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (i < live) v[i] = fmaf(gate[i], v[i], old[i]);
}

template <class C, int N>
static __device__ __forceinline__ void add_residual(float (&)[N], const C *, const float *, int, bool)
{
    // gemm_ok refuses it
}

// v: sums over K of a run in one row. vector: runs begin at multiples of 16 bytes.
template <class C, int N>
static __device__ __forceinline__ void store_run(const dd_gemm_args &g, const gemm_out<C> &out, const column_run<N> &r,
                                                 float (&v)[N], bool vector)
{
    if (r.live <= 0) return;
    C *c = out.c + r.at;
#pragma unroll
    for (int i = 0; i < N; i++) v[i] += r.bias[i];
    if (g.epilogue == DD_EPI_GELU) {
#pragma unroll
        for (int i = 0; i < N; i++) v[i] = gelu_for<C>(v[i]);
    } else if (g.epilogue == DD_EPI_RESIDUAL) {
        add_residual(v, c, out.gate + r.n, r.live, vector);
    }
    if (vector && r.live == N) {
        store_vector(c, v);
        return;
    }
#pragma unroll
    for (int i = 0; i < N; i++)
        if (i < r.live) store_one(c + i, v[i]);
}

// Halves of fragments, 8 rows each, move up by one: registers cannot be indexed, and the epilogue is long.
template <int ROWS> static __device__ __forceinline__ void move_up(float (&acc)[ROWS][DD_MMA_TILES][4])
{
#pragma unroll
    for (int i = 0; i < ROWS; i++)
#pragma unroll
        for (int j = 0; j < DD_MMA_TILES; j++)
#pragma unroll
            for (int b = 0; b < 2; b++) {
                acc[i][j][b] = acc[i][j][b + 2];
                if (i + 1 < ROWS) acc[i][j][b + 2] = acc[i + 1][j][b];
            }
}

// acc: fragments of 16 rows by 32 columns, the first of which are items row and column of the result; comes back changed.
// m: live rows.
template <class C, int ROWS>
static __device__ __forceinline__ void store_fragments(const dd_gemm_args &g, const gemm_slice &s, int32_t step,
                                                       int64_t row, int64_t m, int column, bool vector,
                                                       float (&acc)[ROWS][DD_MMA_TILES][4])
{
    enum { SIZE = run_of<C>::SIZE, COUNT = run_of<C>::COUNT };
    const int lane = threadIdx.x % DD_WARP;
    int64_t item = row + lane / 4;
    column_run<SIZE> runs[COUNT];
#pragma unroll
    for (int r = 0; r < COUNT; r++) run_at(runs[r], g, s, column + r * 4 * SIZE + lane % 4 * SIZE);
#pragma unroll 1
    for (int half = 0; half < 2 * ROWS && item < m; half++, item += 8) {
        const gemm_out<C> out = gemm_out_at<C>(g, item, step);
#pragma unroll
        for (int r = 0; r < COUNT; r++) {
            float v[SIZE];
#pragma unroll
            for (int i = 0; i < SIZE; i++) v[i] = acc[0][(r * SIZE + i) / 2][i % 2]; // as in fragment_column
            store_run(g, out, runs[r], v, vector);
        }
        move_up(acc);
    }
}

#endif
