/* SPDX-License-Identifier: MIT
 * The decisions of the token router on tensor cores: dd_cuda_route takes them where it may and can. */
#ifndef DD_KERNELS_CUDA_ROUTE_MMA_H
#define DD_KERNELS_CUDA_ROUTE_MMA_H

#include <stdbool.h>

#include "kernels/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Does it take these arguments, which dd_cuda_route has accepted and which force nothing? They allow split products; rows
 * of x and W1 begin at multiples of 16 bytes. */
bool dd_cuda_route_mma_takes(const dd_route_args *args);

/* Fills the mask alone, for arguments that it takes. */
dd_status dd_cuda_route_mma(const dd_exec *exec, const dd_route_args *args);

#ifdef __cplusplus
}
#endif

#endif
