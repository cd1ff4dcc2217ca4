/* SPDX-License-Identifier: MIT
 * The CPU backend: portable C, AVX2+FMA and AVX-512 in float32, AVX512-BF16 and AMX-BF16 also in bf16, chosen at run
 * time. Results do not depend on the number of threads, rows or active slices; they may differ in the last bits between
 * instruction sets. */
#ifndef DD_KERNELS_CPU_CPU_H
#define DD_KERNELS_CPU_CPU_H

#include <stdbool.h>

#include "kernels/ops.h"

/* Each of them counts as there only if those before it are, the last two only if the CPU has all of theirs. */
typedef enum dd_cpu_isa {
    DD_ISA_PORTABLE = 0,
    DD_ISA_AVX2,
    DD_ISA_AVX512,
    DD_ISA_AVX512BF16,
    DD_ISA_AMX,
    DD_ISA_COUNT
} dd_cpu_isa;

/* Build, CPU and operating system have it. Asks the system for the permission that AMX needs, refused: false. */
bool dd_cpu_has(dd_cpu_isa isa);

/* The same without asking the CPU: under some hypervisors CPUID hides instructions that work. */
bool dd_cpu_may_have(dd_cpu_isa isa);

dd_cpu_isa dd_cpu_detect(void);              /* the last one that is there */
const char *dd_cpu_isa_name(dd_cpu_isa isa); /* "portable", "avx2", "avx512", "avx512bf16", "amx"; "?" otherwise */
bool dd_cpu_emulated(dd_cpu_isa isa);        /* CONFIG=softisa: statements in place of the bf16 instructions */
bool dd_cpu_has_bf16(dd_cpu_isa isa);        /* its ops take DD_FMT_BF16_BLOCKS */
bool dd_cpu_prefers_bf16(dd_cpu_isa isa);    /* and are faster so on this CPU */

/* The ops of an instruction set; NULL where the build lacks it. Whether the CPU has it is the caller's business. */
const dd_ops *dd_cpu_ops(dd_cpu_isa isa);

/* Private scratch per thread that the ops need (exec->scratch, 64-byte aligned): attention over up to max_tokens
 * tokens of heads of head_dim, or over as many pixels of head_dim channels, routers of router_hidden. Zeros mean that the op
 * is not used. */
size_t dd_cpu_scratch_bytes(int32_t max_tokens, int32_t head_dim, int32_t router_hidden);

/* Bytes of a packed weight; 0 where the description is no matrix. One layout of float32 and one of bf16 for all
 * instruction sets. */
size_t dd_cpu_packed_bytes(const dd_weight_desc *desc);

/* Packs a weight into storage (64-byte aligned, dd_cpu_packed_bytes; owned by the caller). *out points into storage.
 * ERR_FORMAT: a value that is not finite as stored; ERR_UNSUPPORTED: dtype. Threads may pack different weights at a time. */
dd_status dd_cpu_pack(const dd_weight_desc *desc, void *storage, dd_packed **out);

/* The same in pieces, so that several threads can share a big weight: begin, then panels 0 .. dd_cpu_panels-1 in any
 * order and from any thread, with the same description. The weight is usable when all have returned DD_OK. */
dd_status dd_cpu_pack_begin(const dd_weight_desc *desc, void *storage, dd_packed **out);
int dd_cpu_panels(const dd_packed *packed);
dd_status dd_cpu_pack_panels(dd_packed *packed, const dd_weight_desc *desc, int first, int last); /* [first, last) */

#endif
