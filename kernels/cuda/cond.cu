// SPDX-License-Identifier: MIT
// Formula: c[s,l,:] = SiLU(temb[step + s,:] + emb[labels[l],:]), SiLU(z) = z / (1 + exp(-z)).
// Layout: [slots, n_cond, D], row-major with ldc, in any format of rows; slots past the last step are not written.
// Thread mapping: a thread per element of D, grid y strides the (step, label) pairs; the step is read here.
// Budget: at most 32 registers, no shared memory, at least 12 blocks.
// Preconditions: labels index emb (on the device: trusted).
// Precision: float32, each operation rounded; expf of CUDA (2 ulp) and a division that rounds to nearest.
#include "kernels/cuda/common.cuh"
#include "kernels/cuda/element.cuh"

#define THREADS 128

template <class C> static __global__ void __launch_bounds__(THREADS) cond_kernel(dd_cond_args a, const int32_t *at)
{
    const int i = (int)(blockIdx.x * THREADS + threadIdx.x);
    const int32_t step = *at, left = a.steps - step, slots = left < a.slots ? left : a.slots;
    if (i >= a.d) return;
    for (int64_t row = blockIdx.y; row < (int64_t)slots * a.n_cond; row += gridDim.y) {
        const int64_t t = step + row / a.n_cond, label = a.labels[row % a.n_cond];
        const float z = a.temb[t * a.d + i] + a.emb[label * a.d + i];
        ((C *)a.c)[row * a.ldc + i] = rounded<C>(z / (1.0f + expf(-z)));
    }
}

dd_status dd_cuda_cond(const dd_exec *exec, const dd_cond_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->temb == NULL || args->emb == NULL) return DD_ERR_ARG;
    if (args->labels == NULL || args->c == NULL || args->slots < 0 || args->n_cond < 0 || args->d <= 0)
        return DD_ERR_ARG;
    if (args->ldc < args->d) return DD_ERR_ARG;
    const int64_t rows = (int64_t)args->slots * args->n_cond, x = ceil_div(args->d, THREADS);
    if (rows == 0) return DD_OK;
    const dim3 grid((unsigned)x, (unsigned)(rows < 65535 ? rows : 65535));
    switch (args->c_format) {
    case DD_FMT_F32: cond_kernel<float><<<grid, THREADS, 0, stream_of(exec)>>>(*args, exec->step); break;
    case DD_FMT_TF32: cond_kernel<tf32><<<grid, THREADS, 0, stream_of(exec)>>>(*args, exec->step); break;
    case DD_FMT_BF16: cond_kernel<bf16><<<grid, THREADS, 0, stream_of(exec)>>>(*args, exec->step); break;
    case DD_FMT_F16: cond_kernel<f16><<<grid, THREADS, 0, stream_of(exec)>>>(*args, exec->step); break;
    default: return DD_ERR_UNSUPPORTED;
    }
    return launched();
}
