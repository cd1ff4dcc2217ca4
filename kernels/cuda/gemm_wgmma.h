/* SPDX-License-Identifier: MIT
 * The GEMM by the asynchronous matrix instructions of Hopper. dd_cuda_gemm never takes it: whoever wants it has measured it. */
#ifndef DD_KERNELS_CUDA_GEMM_WGMMA_H
#define DD_KERNELS_CUDA_GEMM_WGMMA_H

#include <stdbool.h>

#include "kernels/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Is the device in use one of compute capability 9.0, and was this built for machine code of that (ARCHS has 90)? */
bool dd_cuda_wgmma_here(void);

/* DD_ERR_UNSUPPORTED: not its own, for dd_cuda_gemm: the instructions are not here, operands in another type than bf16 and
 * f16, or whose rows do not begin at multiples of 16 bytes. */
dd_status dd_cuda_gemm_wgmma(const dd_exec *exec, const dd_gemm_args *args, int tile);

/* The tile for these arguments: the largest of which every multiprocessor gets one, by m and the whole n. All give the same
 * bits. -1 where the instructions are not here. */
int dd_cuda_gemm_wgmma_tile(const dd_gemm_args *args);

#define DD_CUDA_WGMMA_TILES 2
extern const char *const dd_cuda_gemm_wgmma_names[DD_CUDA_WGMMA_TILES]; /* rows x columns x depth x stages */

#ifdef __cplusplus
}
#endif

#endif
