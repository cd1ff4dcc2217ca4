/* SPDX-License-Identifier: MIT
 * Ops for AVX-512 (F, BW, DQ, VL): vectors of 16 floats. Built with the flags of that instruction set. */
#if !defined(__AVX512F__) || !defined(__AVX512VL__)
#error "cpu_avx512.c needs the compiler flags of avx512"
#endif
#define DD_VL 16
#define DD_TABLE dd_cpu_ops_avx512
#include "kernels/cpu/table_tmpl.h"
