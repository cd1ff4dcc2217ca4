// SPDX-License-Identifier: MIT
// Formula: c[s,l,:] = SiLU(temb[step + s,:] + emb[labels[l],:]), SiLU(z) = z / (1 + exp(-z)).
// Layout: [slots, n_cond, D], row-major with ldc; slots past the last step are not written.
// Thread mapping: a thread per element of D, grid y strides the (step, label) pairs; the step is read here.
// Budget: no shared memory, at most 40 registers.
// Preconditions: labels index emb (on the device: trusted); c_format is float32.
// Precision: float32, each operation rounded; expf of CUDA (2 ulp) and a division that rounds to nearest.
#include "kernels/cuda/common.cuh"

#define THREADS 128

static __global__ void __launch_bounds__(THREADS) cond_kernel(dd_cond_args a, const int32_t *at)
{
    const int i = (int)(blockIdx.x * THREADS + threadIdx.x);
    const int32_t step = *at, left = a.steps - step, slots = left < a.slots ? left : a.slots;
    if (i >= a.d) return;
    for (int64_t row = blockIdx.y; row < (int64_t)slots * a.n_cond; row += gridDim.y) {
        const int64_t t = step + row / a.n_cond, label = a.labels[row % a.n_cond];
        const float z = a.temb[t * a.d + i] + a.emb[label * a.d + i];
        ((float *)a.c)[row * a.ldc + i] = z / (1.0f + expf(-z));
    }
}

dd_status dd_cuda_cond(const dd_exec *exec, const dd_cond_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->temb == NULL || args->emb == NULL) return DD_ERR_ARG;
    if (args->labels == NULL || args->c == NULL || args->slots < 0 || args->n_cond < 0 || args->d <= 0)
        return DD_ERR_ARG;
    if (args->c_format != DD_FMT_F32) return DD_ERR_UNSUPPORTED;
    if (args->ldc < args->d) return DD_ERR_ARG;
    const int64_t rows = (int64_t)args->slots * args->n_cond, x = ceil_div(args->d, THREADS);
    if (rows == 0) return DD_OK;
    const int64_t y = rows < 65535 ? rows : 65535;
    cond_kernel<<<dim3((unsigned)x, (unsigned)y), THREADS, 0, stream_of(exec)>>>(*args, exec->step);
    return launched();
}
