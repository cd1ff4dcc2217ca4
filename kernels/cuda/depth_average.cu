// SPDX-License-Identifier: MIT
// Formula: y = sum over i of weight[i] * x[i]; norm.y = LayerNorm and modulation of y, as adaln.cu.
// Layout: rows of D floats, norm.y in any format of rows; the pointers of the sources are kernel arguments, in constant memory.
// Thread mapping: a warp per row, lanes along it, four columns of a lane at a time where rows are aligned to 16 bytes. The
// LayerNorm reads the row of y that its own warp has written.
// Budget: at most 48 registers, no shared memory, at least 10 blocks.
// Preconditions: 1 to DD_MAX_SOURCES sources; norm.x is y, its r, s and d are those of y, it has no list, ldy >= D, eps > 0.
// Precision: float32; one fused multiply-add per source in their order, LayerNorm as in adaln.cuh.
#include "kernels/cuda/adaln.cuh"

#define WARPS 4
#define QUAD 4     // columns of a vector
#define NONE -0.0f // the sum of nothing: adding to it keeps the sign of a zero

// All sources of a column are read before it is written: y may be one of them.
__device__ __forceinline__ void depth_row(const dd_depth_average_args &a, int64_t at, int lane, bool vector)
{
    const int d = a.d;
    if (vector) {
        for (int j = lane * QUAD; j < d; j += DD_WARP * QUAD) {
            float4 sum = make_float4(NONE, NONE, NONE, NONE);
#pragma unroll 4
            for (int i = 0; i < a.n; i++) {
                const float4 x = *(const float4 *)(a.x[i] + at + j);
                const float w = a.weight[i];
                sum.x = fmaf(w, x.x, sum.x), sum.y = fmaf(w, x.y, sum.y);
                sum.z = fmaf(w, x.z, sum.z), sum.w = fmaf(w, x.w, sum.w);
            }
            *(float4 *)(a.y + at + j) = sum;
        }
        return;
    }
    for (int j = lane; j < d; j += DD_WARP) {
        float sum = NONE;
        for (int i = 0; i < a.n; i++) sum = fmaf(a.weight[i], a.x[i][at + j], sum);
        a.y[at + j] = sum;
    }
}

template <class Y>
static __global__ void __launch_bounds__(WARPS *DD_WARP)
    depth_average_kernel(const __grid_constant__ dd_depth_average_args a, bool vector, const int32_t *step)
{
    const int64_t row = (int64_t)blockIdx.x * WARPS + threadIdx.x / DD_WARP;
    const int lane = threadIdx.x % DD_WARP;
    if (row >= (int64_t)a.r * a.s) return;
    depth_row(a, row * a.d, lane, vector);
    if (a.norm.y == NULL) return;
    __syncwarp();
    const float *cond = cond_at(a.norm.cond, *step, row / a.s);
    adaln_row(a.norm, a.y + row * a.d, (Y *)a.norm.y + row * a.norm.ldy, cond, lane);
}

static bool norm_ok(const dd_depth_average_args *a)
{
    const dd_adaln_args *g = &a->norm;
    if (g->y == NULL) return true;
    if (g->x != a->y || g->r != a->r || g->s != a->s || g->d != a->d || !cond_table_ok(&g->cond)) return false;
    return g->rows.idx == NULL && g->rows.count == NULL && g->eps > 0 && g->ldy >= g->d;
}

dd_status dd_cuda_depth_average(const dd_exec *exec, const dd_depth_average_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->y == NULL || args->r <= 0 || args->s <= 0 || args->d <= 0)
        return DD_ERR_ARG;
    if (args->n < 1 || args->n > DD_MAX_SOURCES || !norm_ok(args)) return DD_ERR_ARG;
    bool vector = vector_ok<float>(args->y, args->d); // and D is a multiple of QUAD
    for (int i = 0; i < args->n; i++) {
        if (args->x[i] == NULL) return DD_ERR_ARG;
        vector = vector && vector_ok<float>(args->x[i], args->d);
    }
    const int64_t blocks = ceil_div((int64_t)args->r * args->s, WARPS);
    if (!grid_ok(blocks, 1)) return DD_ERR_ARG;
    const unsigned x = (unsigned)blocks, threads = WARPS * DD_WARP;
    const cudaStream_t stream = stream_of(exec);
    switch (args->norm.y == NULL ? DD_FMT_F32 : args->norm.y_format) {
    case DD_FMT_F32: depth_average_kernel<float><<<x, threads, 0, stream>>>(*args, vector, exec->step); break;
    case DD_FMT_TF32: depth_average_kernel<tf32><<<x, threads, 0, stream>>>(*args, vector, exec->step); break;
    case DD_FMT_BF16: depth_average_kernel<bf16><<<x, threads, 0, stream>>>(*args, vector, exec->step); break;
    case DD_FMT_F16: depth_average_kernel<f16><<<x, threads, 0, stream>>>(*args, vector, exec->step); break;
    default: return DD_ERR_UNSUPPORTED;
    }
    return launched();
}
