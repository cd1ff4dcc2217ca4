// SPDX-License-Identifier: MIT
// Formula: x[row,:] += gate * f[row,:] for every branch in turn; keep = f; change = gate * f, 0 where the mask says no.
// Layout: rows of D; x float32, the others float32 or bf16 and compact with a list.
// Thread mapping: a block per row of x, threads along it. The first warp looks the row up in the lists of the branches,
// then each thread sums all branches of its columns in a register, so that x is read and written once.
// Budget: at most 32 registers, 640 bytes of shared memory, at least 12 blocks.
// Preconditions: at most DD_MAX_BRANCHES branches, idx only with a count, gates only with a table.
// Precision: float32; one fused multiply-add per branch, as the residual epilogue of the GEMM; change and what is kept in bf16
// are rounded to nearest even.
#include "kernels/cuda/common.cuh"
#include "kernels/cuda/element.cuh"
#include "kernels/ref/check.h"

#define THREADS 128

// One branch at the row of the block.
struct gated_term {
    const void *f; // NULL: the row is not there
    const float *gate;
    void *keep, *change;
    bool on; // the row gets it
    bool f_bf16, out_bf16;
};

__device__ __forceinline__ void *gated_at(const void *p, bool bf16, int64_t element)
{
    return p ? (char *)p + element * (bf16 ? 2 : 4) : NULL;
}

__device__ __forceinline__ float gated_load(const void *p, bool is_bf16, int64_t j)
{
    return is_bf16 ? to_f32(((const bf16 *)p)[j]) : ((const float *)p)[j];
}

__device__ __forceinline__ void gated_store(void *p, bool is_bf16, int64_t j, float v)
{
    if (is_bf16) ((bf16 *)p)[j] = rounded<bf16>(v);
    else ((float *)p)[j] = v;
}

// Which row of the branch holds `row` of x, -1: none.
__device__ __forceinline__ int64_t gated_find(dd_row_list rows, int64_t row, int64_t all)
{
    if (rows.idx == NULL) return row;
    int64_t lo = 0, hi = rows_live(rows, all);
    const int64_t held = hi;
    while (lo < hi) {
        const int64_t mid = lo + (hi - lo) / 2;
        if (rows.idx[mid] < row) lo = mid + 1;
        else hi = mid;
    }
    return lo < held && rows.idx[lo] == row ? lo : -1;
}

static __global__ void __launch_bounds__(THREADS)
    gated_add_kernel(const __grid_constant__ dd_gated_add_args a, const int32_t *step)
{
    __shared__ gated_term terms[DD_MAX_BRANCHES];
    const int64_t row = blockIdx.x, d = a.d;
    if (threadIdx.x < a.n) {
        const dd_branch *b = &a.branch[threadIdx.x];
        const int64_t at = gated_find(b->rows, row, (int64_t)a.r * a.s);
        const bool on = b->mask == NULL || b->mask[row];
        gated_term t;
        t.on = on;
        t.f_bf16 = b->f_format == DD_FMT_BF16;
        t.out_bf16 = b->out_format == DD_FMT_BF16;
        t.f = at >= 0 ? gated_at(b->f, t.f_bf16, at * d) : NULL;
        t.gate = b->gate >= 0 ? cond_at(a.cond, *step, row / a.s) + b->gate : NULL;
        t.keep = at >= 0 ? gated_at(b->keep, t.out_bf16, at * d) : NULL;
        t.change = at >= 0 ? gated_at(b->change, t.out_bf16, at * d) : NULL;
        terms[threadIdx.x] = t;
    }
    __syncthreads();
    for (int64_t j = threadIdx.x; j < d; j += THREADS) {
        float x = a.x[row * d + j];
        for (int i = 0; i < a.n; i++) {
            const gated_term t = terms[i];
            if (t.f == NULL || !(t.on || t.keep || t.change)) continue;
            const float f = t.on || t.keep ? gated_load(t.f, t.f_bf16, j) : 0.0f;
            const float gate = t.gate ? t.gate[j] : 1.0f;
            if (t.on) x = fmaf(gate, f, x);
            if (t.keep) gated_store(t.keep, t.out_bf16, j, f);
            if (t.change) gated_store(t.change, t.out_bf16, j, t.on ? gate * f : 0.0f);
        }
        a.x[row * d + j] = x;
    }
}

static bool branch_ok(const dd_gated_add_args *a, const dd_branch *b)
{
    return dd_branch_formats_ok(b) && b->gate >= -1 && (b->rows.idx != NULL) == (b->rows.count != NULL) &&
           (b->gate < 0 || cond_table_ok(&a->cond));
}

dd_status dd_cuda_gated_add(const dd_exec *exec, const dd_gated_add_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->x == NULL || args->r <= 0 || args->s <= 0 || args->d <= 0)
        return DD_ERR_ARG;
    if (args->n < 1 || args->n > DD_MAX_BRANCHES) return DD_ERR_ARG;
    for (int i = 0; i < args->n; i++)
        if (!branch_ok(args, &args->branch[i])) return DD_ERR_ARG;
    const int64_t rows = (int64_t)args->r * args->s;
    if (!grid_ok(rows, 1)) return DD_ERR_ARG;
    gated_add_kernel<<<(unsigned)rows, THREADS, 0, stream_of(exec)>>>(*args, exec->step);
    return launched();
}
