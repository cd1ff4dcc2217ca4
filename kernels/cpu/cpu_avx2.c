/* SPDX-License-Identifier: MIT
 * Ops for AVX2 with fused multiply-add: vectors of 8 floats. Built with the flags of that instruction set. */
#if !defined(__AVX2__) || !defined(__FMA__)
#error "cpu_avx2.c needs the compiler flags of avx2"
#endif
#define DD_VL 8
#define DD_TABLE dd_cpu_ops_avx2
#include "kernels/cpu/table_tmpl.h"
