/* SPDX-License-Identifier: MIT
 * Formula: c += a1 b1 + a0 b0 for 24 vectors of 16 floats, a and b pairs of bf16. Layout: none. Threads: none. Budget: 24
 * accumulators, in registers (the compiler's choice: the loop keeps no address of them), and one operand. Preconditions:
 * AVX512-BF16. Precision: none; the operands are zeros. */
#if !defined(__AVX512F__)
#error "peak_avx512bf16.c needs the compiler flags of avx512bf16"
#endif
#define DD_VL 16
#include "kernels/cpu/bf16_insn.h"
#include "kernels/cpu/peak.h"

#define N 24

static void run(int64_t rounds)
{
    vf c[N];
    vbf a = _mm512_setzero_si512();
    DD_UNROLL(24)
    for (int v = 0; v < N; v++) {
        c[v] = vsplat(0);
        __asm__ volatile("" : "+v"(c[v])); /* or equal sums would become one */
    }
    for (int64_t i = 0; i < rounds; i++) {
        __asm__ volatile("" : "+v"(a)); /* or the compiler might compute the loop away */
        DD_UNROLL(24)
        for (int v = 0; v < N; v++) vdot_into(&c[v], a, a);
    }
    DD_UNROLL(24)
    for (int v = 0; v < N; v++) __asm__ volatile("" : : "v"(c[v]));
}

const dd_cpu_probe dd_cpu_probe_avx512bf16 = {run, N * 32};
