/* SPDX-License-Identifier: MIT
 * Table of the probes, and the reading loop. */
#include "kernels/cpu/peak.h"

/* DD_WITH_isa: the Makefile compiles that instruction set. Those with bf16 compute float32 as avx512 does. */
const dd_cpu_probe *dd_cpu_peak_probe(dd_cpu_isa isa, bool bf16)
{
    if (bf16 && !dd_cpu_has_bf16(isa)) return NULL;
    if (!bf16 && dd_cpu_has_bf16(isa)) isa = DD_ISA_AVX512;
    switch (isa) {
    case DD_ISA_PORTABLE: return &dd_cpu_probe_portable;
#ifdef DD_WITH_avx2
    case DD_ISA_AVX2: return &dd_cpu_probe_avx2;
#endif
#ifdef DD_WITH_avx512
    case DD_ISA_AVX512: return &dd_cpu_probe_avx512;
#endif
#ifdef DD_WITH_avx512bf16
    case DD_ISA_AVX512BF16: return &dd_cpu_probe_avx512bf16;
#endif
#ifdef DD_WITH_amx
    case DD_ISA_AMX: return &dd_cpu_probe_amx;
#endif
    default: return NULL;
    }
}

uint64_t dd_cpu_read_lines(const void *p, size_t n)
{
    const uint64_t *line = p;
    uint64_t s[8] = {0};
    for (size_t i = 0; i < n; i++, line += 8)
        for (int j = 0; j < 8; j++) s[j] += line[j];
    return s[0] ^ s[1] ^ s[2] ^ s[3] ^ s[4] ^ s[5] ^ s[6] ^ s[7];
}
