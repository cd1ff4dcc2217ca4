// SPDX-License-Identifier: MIT
// The table of the CUDA backend: every op of ops.def.
#include "kernels/cuda/common.cuh"

const dd_ops dd_cuda_ops = {
#define DD_OP(name) dd_cuda_##name,
#include "kernels/ops.def"
#undef DD_OP
};
