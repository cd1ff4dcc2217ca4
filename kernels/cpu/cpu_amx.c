/* SPDX-License-Identifier: MIT
 * Ops for AMX-BF16; for now those of AVX512-BF16. Built with the flags of that instruction set. */
#if !defined(__AVX512BF16__) && !defined(DD_SOFT_ISA)
#error "cpu_amx.c needs the compiler flags of amx"
#endif
#define DD_VL 16
#define DD_TABLE dd_cpu_ops_amx
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
