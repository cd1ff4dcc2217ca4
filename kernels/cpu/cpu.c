/* SPDX-License-Identifier: MIT
 * Choice of the instruction set, and the size of the scratch. */
#include "kernels/cpu/cpu.h"

#include "kernels/cpu/work.h"

dd_cpu_isa dd_cpu_detect(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init(); /* asks CPUID and, for the wide registers, XGETBV */
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("avx512cd");
    if (avx2) return avx512 ? DD_ISA_AVX512 : DD_ISA_AVX2;
#endif
    return DD_ISA_PORTABLE;
}

const char *dd_cpu_isa_name(dd_cpu_isa isa)
{
    switch (isa) {
    case DD_ISA_PORTABLE: return "portable";
    case DD_ISA_AVX2: return "avx2";
    case DD_ISA_AVX512: return "avx512";
    case DD_ISA_COUNT: break;
    }
    return "?";
}

const dd_ops *dd_cpu_ops(dd_cpu_isa isa)
{
    switch (isa) {
    case DD_ISA_PORTABLE: return &dd_cpu_ops_portable;
#if defined(__x86_64__)
    case DD_ISA_AVX2: return &dd_cpu_ops_avx2;
    case DD_ISA_AVX512: return &dd_cpu_ops_avx512;
#endif
    default: return NULL;
    }
}

size_t dd_cpu_scratch_bytes(int32_t max_tokens, int32_t head_dim, int32_t router_hidden)
{
    (void)router_hidden; /* any number of hidden units fits: they are reduced panel by panel */
    const size_t attention = dd_cpu_attention_scratch(max_tokens, head_dim);
    return attention > DD_SCRATCH_MIN ? attention : DD_SCRATCH_MIN;
}
