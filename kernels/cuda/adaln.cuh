// SPDX-License-Identifier: MIT
// A row of LayerNorm + modulate by a warp, for adaln.cu and depth_average.cu.
// Precision: float32. Two passes; the second also sums x - mean and corrects mean and variance by it (Chan's corrected
// two-pass form), so that a large mean costs no accuracy. Sums have a fixed order: a row does not depend on the others.
#ifndef DD_KERNELS_CUDA_ADALN_CUH
#define DD_KERNELS_CUDA_ADALN_CUH

#include "kernels/cuda/common.cuh"
#include "kernels/cuda/element.cuh"

// cond: the vectors of the row's condition.
template <class Y>
__device__ __forceinline__ void adaln_row(const dd_adaln_args &a, const float *x, Y *y, const float *cond, int lane)
{
    const float *shift = cond + a.shift, *scale = cond + a.scale;
    const int d = a.d;
    float sum = 0, off = 0, square = 0;
    for (int j = lane; j < d; j += DD_WARP) sum += x[j];
    const float n = (float)d, mean = warp_sum(sum) / n;
    for (int j = lane; j < d; j += DD_WARP) {
        const float t = x[j] - mean;
        off += t;
        square = fmaf(t, t, square);
    }
    off = warp_sum(off) / n;
    const float var = warp_sum(square) / n - off * off, rstd = 1.0f / sqrtf(var + a.eps);
    for (int j = lane; j < d; j += DD_WARP) {
        const float normal = ((x[j] - mean) - off) * rstd;
        y[j] = rounded<Y>(fmaf(normal, 1.0f + scale[j], shift[j]));
    }
}

#endif
