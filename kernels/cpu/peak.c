/* SPDX-License-Identifier: MIT
 * Table of the probes, and the reading loop. */
#include "kernels/cpu/peak.h"

const dd_cpu_probe *dd_cpu_peak_probe(dd_cpu_isa isa)
{
    switch (isa) {
    case DD_ISA_PORTABLE: return &dd_cpu_probe_portable;
#if defined(__x86_64__)
    case DD_ISA_AVX2: return &dd_cpu_probe_avx2;
    case DD_ISA_AVX512: return &dd_cpu_probe_avx512;
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
