/* SPDX-License-Identifier: MIT
 * The CPU backend: float32, portable C, AVX2+FMA and AVX-512, chosen at run time. Results do not depend on the number
 * of threads, rows or active slices; they may differ in the last bits between instruction sets. */
#ifndef DD_KERNELS_CPU_CPU_H
#define DD_KERNELS_CPU_CPU_H

#include "kernels/ops.h"

typedef enum dd_cpu_isa { DD_ISA_PORTABLE = 0, DD_ISA_AVX2, DD_ISA_AVX512, DD_ISA_COUNT } dd_cpu_isa;

/* The best instruction set that CPU, operating system and build support. */
dd_cpu_isa dd_cpu_detect(void);
const char *dd_cpu_isa_name(dd_cpu_isa isa); /* "portable", "avx2", "avx512"; "?" otherwise */

/* The ops of an instruction set; NULL where the build lacks it. Whether the CPU has it is the caller's business. */
const dd_ops *dd_cpu_ops(dd_cpu_isa isa);

/* Private scratch per thread that the ops need (exec->scratch, 64-byte aligned): attention over up to max_tokens
 * tokens of heads of head_dim, routers of router_hidden. Zeros mean that the op is not used. */
size_t dd_cpu_scratch_bytes(int32_t max_tokens, int32_t head_dim, int32_t router_hidden);

/* Bytes of a packed weight; 0 where the description is no matrix. One layout for all instruction sets. */
size_t dd_cpu_packed_bytes(const dd_weight_desc *desc);

/* Packs a weight into storage (64-byte aligned, dd_cpu_packed_bytes; owned by the caller). *out points into storage.
 * ERR_FORMAT: a value that is not finite; ERR_UNSUPPORTED: dtype. Threads may pack different weights at a time. */
dd_status dd_cpu_pack(const dd_weight_desc *desc, void *storage, dd_packed **out);

/* The same in pieces, so that several threads can share a big weight: begin, then panels 0 .. dd_cpu_panels-1 in any
 * order and from any thread, with the same description. The weight is usable when all have returned DD_OK. */
dd_status dd_cpu_pack_begin(const dd_weight_desc *desc, void *storage, dd_packed **out);
int dd_cpu_panels(const dd_packed *packed);
dd_status dd_cpu_pack_panels(dd_packed *packed, const dd_weight_desc *desc, int first, int last); /* [first, last) */

#endif
