/* SPDX-License-Identifier: MIT
 * Ops for AMX-BF16; for now those of AVX512-BF16. Built with the flags of that instruction set. */
#if !defined(__AVX512BF16__) && !defined(DD_SOFT_ISA)
#error "cpu_amx.c needs the compiler flags of amx"
#endif
#define DD_VL 16
#define DD_TABLE dd_cpu_ops_amx
#include "kernels/cpu/adaln_bf16_tmpl.h"
#include "kernels/cpu/attention_bf16_tmpl.h"
#include "kernels/cpu/gemm_bf16_tmpl.h"

#include "kernels/cpu/table_bf16_tmpl.h"
