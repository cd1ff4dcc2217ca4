/* SPDX-License-Identifier: MIT
 * What the CPU can do at best, for benchmarks to compare with: multiply-adds in registers alone, and reading memory.
 * Both work on the calling thread; the caller runs them on all threads and takes the time. */
#ifndef DD_KERNELS_CPU_PEAK_H
#define DD_KERNELS_CPU_PEAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/cpu/cpu.h"

/* One loop per instruction set, in kernels/cpu/peak_<isa>.c: as many independent accumulators as the multiply-add's
 * latency asks for, all in named registers, nothing stored inside the loop. */
typedef struct dd_cpu_probe {
    void (*run)(int64_t rounds);
    double macs_per_round;
} dd_cpu_probe;

/* What the GEMMs of an instruction set multiply with, operands in float32 or in bf16. NULL where the build lacks the
 * instruction set or that has no bf16. Whether the CPU has it is the caller's business. */
const dd_cpu_probe *dd_cpu_peak_probe(dd_cpu_isa isa, bool bf16);

/* Reads n 64-byte lines from p (64-byte aligned) in order; returns something that depends on all of them. */
uint64_t dd_cpu_read_lines(const void *p, size_t n);

extern const dd_cpu_probe dd_cpu_probe_portable, dd_cpu_probe_avx2, dd_cpu_probe_avx512, dd_cpu_probe_avx512bf16,
    dd_cpu_probe_amx;

#endif
