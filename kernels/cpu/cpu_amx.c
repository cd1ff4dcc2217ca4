/* SPDX-License-Identifier: MIT
 * Ops for AMX-BF16: tiles of 16 x 32 bf16, and vectors of 16 floats. Built with the flags of that instruction set. */
#if !defined(__AVX512BF16__) && !defined(DD_SOFT_ISA) /* the macros of AMX have different names in gcc and clang */
#error "cpu_amx.c needs the compiler flags of amx"
#endif
#define DD_VL 16
#define DD_TABLE dd_cpu_ops_amx
#include "kernels/cpu/amx_attention_tmpl.h"
#include "kernels/cpu/amx_conv2d_tmpl.h"
#include "kernels/cpu/amx_gemm_tmpl.h"
#include "kernels/cpu/depth_average_bf16_tmpl.h" /* and adaln */
#include "kernels/cpu/group_norm_bf16_tmpl.h"
#include "kernels/cpu/pixel_attention_bf16_tmpl.h"

#include "kernels/cpu/table_bf16_tmpl.h"
