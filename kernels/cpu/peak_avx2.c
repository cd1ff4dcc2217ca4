/* SPDX-License-Identifier: MIT
 * Formula: c += a b for 12 vectors of 8 floats. Layout: none. Threads: none. Budget: 12 accumulators (two units times
 * a latency of four to five) + a + b of 16 registers, named, the loop written out so that nothing is stored.
 * Preconditions: AVX2 and FMA. Precision: none; the sums only grow. */
#if !defined(__AVX2__) || !defined(__FMA__)
#error "peak_avx2.c needs the compiler flags of avx2"
#endif
#include "kernels/cpu/peak.h"

#define CLEAR(n) "vxorps %%ymm" #n ", %%ymm" #n ", %%ymm" #n "\n\t"
#define MAC(n) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #n "\n\t"

static void run(int64_t rounds)
{
    static const float a = 1.1e-3f, b = 0.7e-3f;
    if (rounds < 1) return;
    /* clang-format off */
    __asm__ volatile(
        "vbroadcastss %1, %%ymm14\n\t"
        "vbroadcastss %2, %%ymm15\n\t"
        CLEAR(0) CLEAR(1) CLEAR(2) CLEAR(3) CLEAR(4) CLEAR(5) CLEAR(6) CLEAR(7) CLEAR(8) CLEAR(9) CLEAR(10) CLEAR(11)
        ".p2align 5\n"
        "1:\n\t"
        MAC(0) MAC(1) MAC(2) MAC(3) MAC(4) MAC(5) MAC(6) MAC(7) MAC(8) MAC(9) MAC(10) MAC(11)
        "decq %0\n\t"
        "jnz 1b\n\t"
        "vzeroupper\n\t"
        : "+r"(rounds)
        : "m"(a), "m"(b)
        : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
          "xmm14", "xmm15");
    /* clang-format on */
}

const dd_cpu_probe dd_cpu_probe_avx2 = {run, 12 * 8};
