/* SPDX-License-Identifier: MIT
 * Formula: c += a b for 24 vectors of 16 floats. Layout: none. Threads: none. Budget: 24 accumulators + a + b of 32
 * registers, named, the loop written out so that nothing is stored. Preconditions: AVX-512 F. Precision: none; the sums
 * only grow. */
#if !defined(__AVX512F__)
#error "peak_avx512.c needs the compiler flags of avx512"
#endif
#include "kernels/cpu/peak.h"

#define CLEAR(n) "vpxord %%zmm" #n ", %%zmm" #n ", %%zmm" #n "\n\t"
#define MAC(n) "vfmadd231ps %%zmm30, %%zmm31, %%zmm" #n "\n\t"
#define EACH(x)                                                                                                   \
    x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10) x(11) x(12) x(13) x(14) x(15) x(16) x(17) x(18) x(19) \
        x(20) x(21) x(22) x(23)

static void run(int64_t rounds)
{
    static const float a = 1.1e-3f, b = 0.7e-3f;
    if (rounds < 1) return;
    /* clang-format off */
    __asm__ volatile(
        "vbroadcastss %1, %%zmm30\n\t"
        "vbroadcastss %2, %%zmm31\n\t"
        EACH(CLEAR)
        ".p2align 6\n"
        "1:\n\t"
        EACH(MAC)
        "decq %0\n\t"
        "jnz 1b\n\t"
        "vzeroupper\n\t"
        : "+r"(rounds)
        : "m"(a), "m"(b)
        : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
          "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23",
          "xmm30", "xmm31");
    /* clang-format on */
}

const dd_cpu_probe dd_cpu_probe_avx512 = {run, 24 * 16};
