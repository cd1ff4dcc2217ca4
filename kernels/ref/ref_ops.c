/* SPDX-License-Identifier: MIT
 * The table of the reference backend: every op of ops.def. */
#include "kernels/ref/ref.h"

const dd_ops dd_ref_ops = {
#define DD_OP(name) .name = dd_ref_##name,
#include "kernels/ops.def"
#undef DD_OP
};
