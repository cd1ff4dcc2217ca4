/* SPDX-License-Identifier: MIT
 * The CUDA backend's kernels: the table of ops, and packing of weights. The same for every architecture.
 *
 * Pointers in arguments are device pointers, exec->step too, exec->stream is the cudaStream_t. A launcher checks what the
 * host knows (shapes, pointers, formats), enqueues and returns: it reads no device memory, allocates nothing and waits for
 * nothing, so that it can be captured in a graph and replayed. What lies on the device - slice lists, counts, slots,
 * coefficients - is read there, and is trusted: whoever uploads it has checked it.
 * DD_ERR_ARG: a precondition; DD_ERR_UNSUPPORTED: a format or size that this backend lacks; DD_ERR_DEVICE: the launch. */
#ifndef DD_KERNELS_CUDA_CUDA_H
#define DD_KERNELS_CUDA_CUDA_H

#include "kernels/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const dd_ops dd_cuda_ops;

#define DD_CUDA_HEADER 64 /* bytes of host memory behind a dd_packed, 64-byte aligned */

/* Bytes of device memory of a packed weight; 0 where the description is no matrix or asks for what is not there. */
size_t dd_cuda_packed_bytes(const dd_weight_desc *desc);

/* Writes rows [first, last) of the packed weight to staging (host memory, from its start), to be uploaded to the same
 * rows of the device's copy. Calls on different rows may run at once. ERR_FORMAT: a value that is not finite. */
dd_status dd_cuda_pack_rows(const dd_weight_desc *desc, int64_t first, int64_t last, void *staging);

/* Makes the header in storage (DD_CUDA_HEADER bytes of host memory, owned by the caller as data is), which ops get. data:
 * device memory of dd_cuda_packed_bytes, filled before an op runs. */
dd_status dd_cuda_pack_bind(const dd_weight_desc *desc, const void *data, void *storage, dd_packed **out);

#ifdef __cplusplus
}
#endif

#endif
