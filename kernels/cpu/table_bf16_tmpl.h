/* SPDX-License-Identifier: MIT
 * The table of an instruction set with bf16. The including file sets DD_TABLE and defines gemm_bf16, conv2d_bf16 and so
 * on; everything that is float32 goes to the kernels of AVX-512, so that a float32 run is the same there. */
#include "kernels/cpu/picture.h"

#define DD_AVX512(op) \
    static dd_status op(const dd_exec *exec, const dd_##op##_args *args) { return dd_cpu_ops_avx512.op(exec, args); }
#define DD_BY_FORMAT(op, format)                                               \
    static dd_status op(const dd_exec *exec, const dd_##op##_args *args)       \
    {                                                                          \
        const bool f32 = args == NULL || args->format == DD_FMT_F32;           \
        return f32 ? dd_cpu_ops_avx512.op(exec, args) : op##_bf16(exec, args); \
    }

DD_AVX512(patch_embed)
DD_AVX512(gated_add)
DD_AVX512(route)
DD_BY_FORMAT(adaln, y_format)
DD_BY_FORMAT(depth_average, norm.y_format)
DD_BY_FORMAT(gemm, a_format)
DD_BY_FORMAT(conv2d, src_format)
DD_BY_FORMAT(group_norm, y_format)
DD_BY_FORMAT(pixel_attention, qkv_format)
DD_BY_FORMAT(attention, qkv_format)

const dd_ops DD_TABLE = {
    .cond = dd_cpu_cond,
    .patch_embed = patch_embed,
    .adaln = adaln,
    .depth_average = depth_average,
    .gemm = gemm,
    .gated_add = gated_add,
    .attention = attention,
    .route = route,
    .unpatchify = dd_cpu_unpatchify,
    .guide = dd_cpu_guide,
    .noise = dd_cpu_noise,
    .solve = dd_cpu_solve,
    .copy = dd_cpu_copy,
    .to_pixels = dd_cpu_to_pixels,
    .conv2d = conv2d,
    .group_norm = group_norm,
    .pixel_attention = pixel_attention,
    .to_planes = dd_cpu_to_planes,
};
