// SPDX-License-Identifier: MIT
// Formula: y = (x - mean) / sqrt(var + eps) * (1 + scale) + shift, mean and var over the row, var biased.
// Layout: x rows of D floats, y in any format of rows; with a list x is gathered and y compact.
// Thread mapping: a warp per row, lanes along it; warps past the count of rows leave.
// Budget: at most 40 registers, no shared memory, at least 12 blocks. The row is read three times, from the L1 cache after the
// first.
// Preconditions: ldy >= D; eps > 0; idx only with a count.
// Precision: float32, see adaln.cuh.
#include "kernels/cuda/adaln.cuh"

#define WARPS 4

template <class Y>
static __global__ void __launch_bounds__(WARPS *DD_WARP)
    adaln_kernel(dd_adaln_args a, int64_t rows, const int32_t *step)
{
    const int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / DD_WARP;
    const int lane = threadIdx.x % DD_WARP;
    if (i >= rows_live(a.rows, rows)) return;
    const int64_t row = row_at(a.rows, i);
    const float *x = a.x + row * a.d, *cond = cond_at(a.cond, *step, row / a.s);
    adaln_row(a, x, (Y *)a.y + i * a.ldy, cond, lane);
}

dd_status dd_cuda_adaln(const dd_exec *exec, const dd_adaln_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->x == NULL || args->y == NULL) return DD_ERR_ARG;
    if (args->r <= 0 || args->s <= 0 || args->d <= 0 || !cond_table_ok(&args->cond)) return DD_ERR_ARG;
    const int64_t all = (int64_t)args->r * args->s, blocks = ceil_div(all, WARPS);
    if (!(args->eps > 0) || args->ldy < args->d || !rows_ok(&args->rows) || !grid_ok(blocks, 1)) return DD_ERR_ARG;
    const unsigned x = (unsigned)blocks, threads = WARPS * DD_WARP;
    switch (args->y_format) {
    case DD_FMT_F32: adaln_kernel<float><<<x, threads, 0, stream_of(exec)>>>(*args, all, exec->step); break;
    case DD_FMT_TF32: adaln_kernel<tf32><<<x, threads, 0, stream_of(exec)>>>(*args, all, exec->step); break;
    case DD_FMT_BF16: adaln_kernel<bf16><<<x, threads, 0, stream_of(exec)>>>(*args, all, exec->step); break;
    case DD_FMT_F16: adaln_kernel<f16><<<x, threads, 0, stream_of(exec)>>>(*args, all, exec->step); break;
    default: return DD_ERR_UNSUPPORTED;
    }
    return launched();
}
