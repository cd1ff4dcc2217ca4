// SPDX-License-Identifier: MIT
// What every GEMM kernel shares, whatever multiplies: preconditions, slices in force, where a result goes and the
// epilogues. A kernel brings the tile and its accumulators; gemm_store takes one of them, in float32. T: type of the
// elements of a and w, C: of c.
#ifndef DD_KERNELS_CUDA_GEMM_CUH
#define DD_KERNELS_CUDA_GEMM_CUH

#include "kernels/cuda/common.cuh"
#include "kernels/cuda/element.cuh"

template <class T> struct gemm_weight {
    const T *w; // [n,k]
    int n, k, unit;
};

// What is in force at a step: n and k count active columns and depth.
struct gemm_slice {
    const int32_t *n_list, *k_list;
    int64_t c_unit;
    int n, k, unit;
};

template <class T>
static __device__ __forceinline__ gemm_slice gemm_slice_at(const dd_gemm_args &g, const gemm_weight<T> &w, int32_t step)
{
    gemm_slice s;
    s.n_list = list_at(g.n, step);
    s.k_list = list_at(g.k, step);
    s.c_unit = g.c_unit ? g.c_unit : w.unit;
    s.n = list_width(s.n_list, w.n);
    s.k = list_width(s.k_list, w.k);
    s.unit = w.unit;
    return s;
}

// A row of the result.
template <class C> struct gemm_out {
    C *c;
    const float *gate;
};

template <class C>
static __device__ __forceinline__ gemm_out<C> gemm_out_at(const dd_gemm_args &g, int64_t item, int32_t step)
{
    const bool residual = g.epilogue == DD_EPI_RESIDUAL;
    const int64_t row = residual ? row_at(g.rows, item) : item;
    gemm_out<C> o;
    o.c = (C *)g.c + row * g.ldc;
    o.gate = residual ? cond_at(g.gate, step, row / g.s) + g.gate_off : NULL;
    return o;
}

// A column of the result.
struct gemm_column {
    int64_t at; // in a row of c
    int n;      // of w
    float bias;
};

// i: active column.
static __device__ __forceinline__ gemm_column gemm_column_at(const dd_gemm_args &g, const gemm_slice &s, int i)
{
    gemm_column c;
    c.at = i / s.unit * s.c_unit + i % s.unit;
    c.n = list_column(s.n_list, i);
    c.bias = g.bias ? g.bias[c.n] : 0.0f;
    return c;
}

// 0.5 x (1 + tanh(z)) = x / (1 + exp(-2z)), z = sqrt(2/pi) (x + 0.044715 x^3): no cancellation for negative x. Below
// about -88 the exponential overflows and the result is -0, which is right to 2^-124.
static __device__ __forceinline__ float gelu_tanh(float x)
{
    const float z = 1.5957691216057308f * fmaf(0.044715f * x * x, x, x); // 2 sqrt(2/pi)
    return x / (1.0f + expf(-z));
}

template <class C>
static __device__ __forceinline__ void gemm_store(const dd_gemm_args &g, const gemm_out<C> &out,
                                                  const gemm_column &column, float acc)
{
    C *c = out.c + column.at;
    acc += column.bias;
    switch (g.epilogue) {
    case DD_EPI_BIAS: *c = rounded<C>(acc); break;
    case DD_EPI_GELU: *c = rounded<C>(gelu_tanh(acc)); break;
    case DD_EPI_RESIDUAL: *c = rounded<C>(fmaf(out.gate[column.n], acc, to_f32(*c))); break;
    }
}

// Inputs of one type, results in float32 or in that type.
static inline dd_status gemm_formats_ok(const dd_gemm_args *args)
{
    const dd_format a = args->a_format, c = args->c_format;
    if (dd_format_dtype(a) != args->w->as) return DD_ERR_ARG;
    if (args->epilogue == DD_EPI_RESIDUAL && c != DD_FMT_F32) return DD_ERR_ARG;
    if (a == DD_FMT_BF16_BLOCKS || (unsigned)a >= DD_FMT_COUNT) return DD_ERR_UNSUPPORTED;
    return c == DD_FMT_F32 || c == a ? DD_OK : DD_ERR_UNSUPPORTED;
}

static inline dd_status gemm_ok(const dd_exec *exec, const dd_gemm_args *args)
{
    if (!exec_ok(exec) || args == NULL || !packed_ok(args->w)) return DD_ERR_ARG;
    const dd_packed *w = args->w;
    if (args->a == NULL || args->c == NULL || args->m < 0 || (unsigned)args->epilogue > DD_EPI_RESIDUAL)
        return DD_ERR_ARG;
    if (!slices_ok(args->n, w->n, w->unit) || !slices_ok(args->k, w->k, DD_CHUNK)) return DD_ERR_ARG;
    const int64_t stride = args->c_unit ? args->c_unit : w->unit;
    if (stride < w->unit || !rows_ok(&args->rows)) return DD_ERR_ARG;
    // With a list the active widths are known on the device only.
    if (args->k.pool == NULL && args->lda < w->k) return DD_ERR_ARG;
    if (args->n.pool == NULL && args->ldc < w->n / w->unit * stride) return DD_ERR_ARG;
    if (args->epilogue == DD_EPI_RESIDUAL && (!cond_table_ok(&args->gate) || args->s <= 0)) return DD_ERR_ARG;
    return gemm_formats_ok(args);
}

#endif
