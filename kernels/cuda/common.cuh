// SPDX-License-Identifier: MIT
// What launchers and kernels share: preconditions that the host can check, tables that kernels look up by the step, sums
// over a warp. Files are compiled with -fmad=false: multiply-adds are fused where the code says fmaf.
#ifndef DD_KERNELS_CUDA_COMMON_CUH
#define DD_KERNELS_CUDA_COMMON_CUH

#include <cuda_runtime.h>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/packed.h"

#ifdef __USE_FAST_MATH__
#error "dydit is not built with fast-math"
#endif

#define DD_WARP 32
#define DD_WARP_ALL 0xffffffffu

extern "C" {
#define DD_OP(name) dd_status dd_cuda_##name(const dd_exec *exec, const dd_##name##_args *args);
#include "kernels/ops.def"
#undef DD_OP
}

// ---- launchers ----

static inline bool exec_ok(const dd_exec *e) { return e != NULL && e->step != NULL; }

static inline cudaStream_t stream_of(const dd_exec *e) { return (cudaStream_t)e->stream; }

// The error is left for the caller to read and clear.
static inline dd_status launched(void) { return cudaPeekAtLastError() == cudaSuccess ? DD_OK : DD_ERR_DEVICE; }

static inline bool packed_ok(const dd_packed *w) { return w != NULL && w->tag == DD_CUDA_TAG && w->data != NULL; }

static inline bool slices_ok(dd_slices s, int64_t width, int64_t unit)
{
    if (s.pool == NULL) return true;
    return s.offset != NULL && width % DD_CHUNK == 0 && unit % DD_CHUNK == 0;
}

static inline bool rows_ok(const dd_row_list *rows) { return rows->idx == NULL || rows->count != NULL; }

static inline bool cond_table_ok(const dd_cond_table *t)
{
    return t->table != NULL && t->slot != NULL && t->row_cond != NULL;
}

static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Blocks along x; more than fit are refused by launchers.
static inline bool grid_ok(int64_t x, int64_t y) { return x <= INT32_MAX && y <= 65535; }

// ---- kernels ----

__device__ __forceinline__ const int32_t *list_at(dd_slices s, int32_t step)
{
    return s.pool ? s.pool + s.offset[step] : NULL;
}

__device__ __forceinline__ int list_width(const int32_t *list, int width) { return list ? list[0] * DD_CHUNK : width; }

// Which column of the whole axis the i-th active one is.
__device__ __forceinline__ int list_column(const int32_t *list, int i)
{
    return list ? list[1 + i / DD_CHUNK] * DD_CHUNK + i % DD_CHUNK : i;
}

// Never more than the grid was made for, whatever the device holds.
__device__ __forceinline__ int64_t rows_live(dd_row_list rows, int64_t max)
{
    if (rows.count == NULL) return max;
    const int64_t n = *rows.count;
    return n < 0 ? 0 : n < max ? n : max;
}

__device__ __forceinline__ int64_t row_at(dd_row_list rows, int64_t i) { return rows.idx ? rows.idx[i] : i; }

__device__ __forceinline__ const float *cond_at(const dd_cond_table &t, int32_t step, int64_t row)
{
    return t.table + t.slot[step] * t.slot_stride + t.row_cond[row] * t.cond_stride;
}

// The same sum in every lane; a fixed tree. All lanes of the warp take part.
__device__ __forceinline__ float warp_sum(float x)
{
    for (int d = DD_WARP / 2; d > 0; d /= 2) x += __shfl_xor_sync(DD_WARP_ALL, x, d);
    return x;
}

#endif
