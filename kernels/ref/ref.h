/* SPDX-License-Identifier: MIT
 * The reference backend: obvious loops, double accumulation, one rounding per result, one thread. It states what is
 * right; every other backend is tested against it. */
#ifndef DD_KERNELS_REF_REF_H
#define DD_KERNELS_REF_REF_H

#include "kernels/ops.h"

extern const dd_ops dd_ref_ops;

/* Bytes that dd_ref_pack needs; 0 where the description is no matrix. */
size_t dd_ref_packed_bytes(const dd_weight_desc *desc);

/* Converts a weight to float32 inside storage (64-byte aligned, dd_ref_packed_bytes; owned by the caller). *out points
 * into storage. ERR_FORMAT: a value that is not finite; ERR_UNSUPPORTED: dtype. */
dd_status dd_ref_pack(const dd_weight_desc *desc, void *storage, dd_packed **out);

#define DD_OP(name) dd_status dd_ref_##name(const dd_exec *exec, const dd_##name##_args *args);
#include "kernels/ops.def"
#undef DD_OP

#endif
