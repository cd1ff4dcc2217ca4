// SPDX-License-Identifier: MIT
// Ops of picture decoders, which this backend has not got yet.
#include "kernels/cuda/common.cuh"

dd_status dd_cuda_to_pixels(const dd_exec *, const dd_to_pixels_args *) { return DD_ERR_UNSUPPORTED; }
dd_status dd_cuda_conv2d(const dd_exec *, const dd_conv2d_args *) { return DD_ERR_UNSUPPORTED; }
dd_status dd_cuda_group_norm(const dd_exec *, const dd_group_norm_args *) { return DD_ERR_UNSUPPORTED; }
dd_status dd_cuda_pixel_attention(const dd_exec *, const dd_pixel_attention_args *) { return DD_ERR_UNSUPPORTED; }
dd_status dd_cuda_to_planes(const dd_exec *, const dd_to_planes_args *) { return DD_ERR_UNSUPPORTED; }
