/* SPDX-License-Identifier: MIT
 * The instruction sets of the build, and the size of the scratch. */
#include "kernels/cpu/cpu.h"

#include "kernels/cpu/amx_attention.h"
#include "kernels/cpu/amx_gemm.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/pixel_attention.h"

const char *dd_cpu_isa_name(dd_cpu_isa isa)
{
    switch (isa) {
    case DD_ISA_PORTABLE: return "portable";
    case DD_ISA_AVX2: return "avx2";
    case DD_ISA_AVX512: return "avx512";
    case DD_ISA_AVX512BF16: return "avx512bf16";
    case DD_ISA_AMX: return "amx";
    case DD_ISA_COUNT: break;
    }
    return "?";
}

/* DD_WITH_isa: the Makefile compiles that instruction set. */
const dd_ops *dd_cpu_ops(dd_cpu_isa isa)
{
    switch (isa) {
    case DD_ISA_PORTABLE: return &dd_cpu_ops_portable;
#ifdef DD_WITH_avx2
    case DD_ISA_AVX2: return &dd_cpu_ops_avx2;
#endif
#ifdef DD_WITH_avx512
    case DD_ISA_AVX512: return &dd_cpu_ops_avx512;
#endif
#ifdef DD_WITH_avx512bf16
    case DD_ISA_AVX512BF16: return &dd_cpu_ops_avx512bf16;
#endif
#ifdef DD_WITH_amx
    case DD_ISA_AMX: return &dd_cpu_ops_amx;
#endif
    default: return NULL;
    }
}

bool dd_cpu_has_bf16(dd_cpu_isa isa) { return isa == DD_ISA_AVX512BF16 || isa == DD_ISA_AMX; }

size_t dd_cpu_scratch_bytes(int32_t max_tokens, int32_t head_dim, int32_t router_hidden)
{
    (void)router_hidden; /* any number of hidden units fits: they are reduced panel by panel */
    const int32_t e = head_dim <= DD_MAX_HEAD_DIM ? head_dim : 0; /* a head that is wider is pixel_attention's */
    const size_t needs[] = {DD_SCRATCH_MIN,
                            sizeof(dd_amx_gemm_scratch),
                            dd_cpu_attention_scratch(max_tokens, e),
                            dd_cpu_attention_bf16_scratch(max_tokens, e),
                            dd_amx_attention_scratch(max_tokens, e),
                            dd_cpu_pixel_attention_scratch(max_tokens, head_dim)};
    size_t most = 0;
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) most = needs[i] > most ? needs[i] : most;
    return most;
}
