/* SPDX-License-Identifier: MIT
 * The tensor-core GEMM by itself: dd_cuda_gemm takes it where it can; tests and measurements choose its tile. */
#ifndef DD_KERNELS_CUDA_GEMM_MMA_H
#define DD_KERNELS_CUDA_GEMM_MMA_H

#include <stdbool.h>

#include "kernels/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Does it take these arguments, which dd_cuda_gemm has accepted? Operands in bf16, f16 or tf32 whose rows begin at
 * multiples of 16 bytes. */
bool dd_cuda_gemm_mma_takes(const dd_gemm_args *args);

/* The tile for the device in use: the largest of which every multiprocessor gets one, by m and the whole n. All give the
 * same bits. A negative number where the device does not answer. */
int dd_cuda_gemm_mma_tile(const dd_gemm_args *args);

/* Arguments that it takes, with a tile below DD_CUDA_MMA_TILES. */
dd_status dd_cuda_gemm_mma(const dd_exec *exec, const dd_gemm_args *args, int tile);

#define DD_CUDA_MMA_TILES 4
extern const char
    *const dd_cuda_gemm_mma_names[DD_CUDA_MMA_TILES]; /* rows x columns x depth x stages; of tf32 half the depth */

#ifdef __cplusplus
}
#endif

#endif
