/* SPDX-License-Identifier: MIT
 * The CUDA backend's kernels: the table of ops, and packing of weights. The same for every architecture.
 *
 * Pointers in arguments are device pointers, exec->step too, exec->stream is the cudaStream_t. A launcher checks what the
 * host knows (shapes, pointers, formats), enqueues and returns: it reads no device memory, allocates nothing and waits for
 * nothing, so that it can be captured in a graph and replayed. What lies on the device - slice lists, counts, slots,
 * coefficients - is read there, and is trusted: whoever uploads it has checked it.
 * DD_ERR_ARG: a precondition; DD_ERR_UNSUPPORTED: a format or size that this backend lacks; DD_ERR_DEVICE: the launch; the
 * caller reads why from cudaGetLastError, which clears it. */
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

/* Packs rows [first, last) of the file: raw (device, aligned to 16 bytes) holds them as they lie there, in desc->dtype;
 * their places in data (device, dd_cuda_packed_bytes, aligned to 16 bytes) get what ops read. desc is read on the host, its
 * data never. *bad (device) becomes 1 if a stored value is not finite, which the exactness of skipping rests on; else it
 * is left as it was. Enqueues on the stream (cudaStream_t) as ops do. */
dd_status dd_cuda_pack(void *stream, const dd_weight_desc *desc, const void *raw, int64_t first, int64_t last,
                       void *data, int32_t *bad);

/* Makes the header in storage (DD_CUDA_HEADER bytes of host memory, owned by the caller as data is), which ops get. data:
 * device memory of dd_cuda_packed_bytes, filled before an op runs. */
dd_status dd_cuda_pack_bind(const dd_weight_desc *desc, const void *data, void *storage, dd_packed **out);

/* Enqueues *step (device) = value: the step counter of the ops behind it on the stream. */
dd_status dd_cuda_set_step(void *stream, int32_t *step, int32_t value);

/* What the op conv2d returns without doing anything, or DD_OK. */
dd_status dd_cuda_conv2d_ok(const dd_exec *exec, const dd_conv2d_args *args);

/* Does this build have code that runs on the current device? DD_ERR_UNSUPPORTED: no. */
dd_status dd_cuda_has_code(void);

#ifdef __cplusplus
}
#endif

#endif
