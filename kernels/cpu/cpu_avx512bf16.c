/* SPDX-License-Identifier: MIT
 * Ops for AVX512-BF16: vectors of 16 floats and of 16 pairs of bf16. Built with the flags of that instruction set. */
#if !defined(__AVX512BF16__) && !defined(DD_SOFT_ISA)
#error "cpu_avx512bf16.c needs the compiler flags of avx512bf16"
#endif
#define DD_VL 16
#define DD_TABLE dd_cpu_ops_avx512bf16
#include "kernels/cpu/attention_bf16_tmpl.h"
#include "kernels/cpu/conv2d_bf16_tmpl.h"
#include "kernels/cpu/depth_average_bf16_tmpl.h" /* and adaln */
#include "kernels/cpu/gemm_bf16_tmpl.h"
#include "kernels/cpu/group_norm_bf16_tmpl.h"
#include "kernels/cpu/pixel_attention_bf16_tmpl.h"

#include "kernels/cpu/table_bf16_tmpl.h"
