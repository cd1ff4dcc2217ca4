/* SPDX-License-Identifier: MIT
 * Ops for AVX512-BF16: vectors of 16 floats and of 16 pairs of bf16. Built with the flags of that instruction set. */
#if !defined(__AVX512BF16__) && !defined(DD_SOFT_ISA)
#error "cpu_avx512bf16.c needs the compiler flags of avx512bf16"
#endif
#define DD_VL 16
#define DD_TABLE dd_cpu_ops_avx512bf16
#include "kernels/cpu/adaln_bf16_tmpl.h"

static dd_status gemm_bf16(const dd_exec *exec, const dd_gemm_args *args)
{
    (void)exec, (void)args;
    return DD_ERR_UNSUPPORTED;
}

static dd_status attention_bf16(const dd_exec *exec, const dd_attention_args *args)
{
    (void)exec, (void)args;
    return DD_ERR_UNSUPPORTED;
}

#include "kernels/cpu/table_bf16_tmpl.h"
