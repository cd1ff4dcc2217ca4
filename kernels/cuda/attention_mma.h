/* SPDX-License-Identifier: MIT
 * The tensor-core attention by itself: dd_cuda_attention takes it where it can. */
#ifndef DD_KERNELS_CUDA_ATTENTION_MMA_H
#define DD_KERNELS_CUDA_ATTENTION_MMA_H

#include <stdbool.h>

#include "kernels/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Does it take these arguments, which dd_cuda_attention has accepted? bf16 or f16, q, k and v at multiples of 16 bytes, pairs of
 * results at multiples of 4. */
bool dd_cuda_attention_mma_takes(const dd_attention_args *args);

/* Arguments that it takes. */
dd_status dd_cuda_attention_mma(const dd_exec *exec, const dd_attention_args *args);

#ifdef __cplusplus
}
#endif

#endif
