/* SPDX-License-Identifier: MIT
 * The tensor-core convolution; dd_cuda_conv2d takes it for what is not float32. */
#ifndef DD_KERNELS_CUDA_CONV2D_MMA_H
#define DD_KERNELS_CUDA_CONV2D_MMA_H

#include "kernels/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Arguments that dd_cuda_conv2d has accepted, of bf16, f16 or tf32. */
dd_status dd_cuda_conv2d_mma(const dd_exec *exec, const dd_conv2d_args *args);

#ifdef __cplusplus
}
#endif

#endif
