// SPDX-License-Identifier: MIT
// Formula: element e of a draw by T threads: turn = e/T of thread e%T; words 2h, 2h+1 of its Philox block turn/4 after
// the offset, h = turn%4 / 2; sqrt(-2 ln u) sin v where turn is even, cos v where it is odd.
// Layout: [B,count], a stream each. T is that of the launch that is imitated, not of this one.
// Thread mapping: a thread per element of an image, consecutive; grid y strides images.
// Budget: at most 32 registers, no shared memory, at least 6 blocks.
// Preconditions: stride is a multiple of 4; so are offsets and first is not negative, known on the device only.
// Precision: float32. __sincosf is an approximation, and taken in spite of the rule against fast math: PyTorch's numbers
// come from cuRAND, which computes them by logf and __sincosf, so that these two functions are the stream. An exact sine
// would give other last bits than torch.randn does on the same card.
#include "kernels/cuda/common.cuh"
#include "kernels/philox.h"

#define THREADS 256

static __global__ void __launch_bounds__(THREADS) noise_kernel(dd_noise_args a, const int32_t *step)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= a.count) return;
    const uint64_t grown = (uint64_t)*step * a.stride;
    for (int64_t b = blockIdx.y; b < a.b; b += gridDim.y) {
        const dd_noise_stream s = a.stream[b];
        const uint64_t e = (uint64_t)(s.first + i), turn = e / a.threads;
        uint32_t word[4];
        float sine, cosine;
        dd_philox4x32(e % a.threads, (s.offset + grown) / 4 + turn / 4, s.seed, word);
        const uint32_t x = turn & 2 ? word[2] : word[0], y = turn & 2 ? word[3] : word[1];
        __sincosf(dd_philox_v(y), &sine, &cosine);
        a.dst[b * a.count + i] = (turn & 1 ? cosine : sine) * sqrtf(-2.0f * logf(dd_philox_u(x)));
    }
}

dd_status dd_cuda_noise(const dd_exec *exec, const dd_noise_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->dst == NULL || args->stream == NULL) return DD_ERR_ARG;
    if (args->b <= 0 || args->count <= 0 || args->threads == 0 || args->stride % 4 != 0) return DD_ERR_ARG;
    const int64_t x = ceil_div(args->count, THREADS);
    if (!grid_ok(x, 1)) return DD_ERR_ARG;
    const int y = args->b < 65535 ? args->b : 65535;
    noise_kernel<<<dim3((unsigned)x, (unsigned)y), THREADS, 0, stream_of(exec)>>>(*args, exec->step);
    return launched();
}
