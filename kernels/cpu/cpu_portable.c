/* SPDX-License-Identifier: MIT
 * Ops for any CPU: vectors of 4 floats, no fused multiply-add. */
#define DD_VL 4
#define DD_TABLE dd_cpu_ops_portable
#include "kernels/cpu/table_tmpl.h"
