/* SPDX-License-Identifier: MIT
 * The table of one instruction set. The including file sets DD_VL and DD_TABLE and nothing else. */
#include "kernels/cpu/micro_tmpl.h"

#include "kernels/cpu/attention_tmpl.h"
#include "kernels/cpu/conv2d_tmpl.h"
#include "kernels/cpu/depth_average_tmpl.h" /* and adaln */
#include "kernels/cpu/gated_add_tmpl.h"
#include "kernels/cpu/gemm_tmpl.h"
#include "kernels/cpu/group_norm_tmpl.h"
#include "kernels/cpu/patch_embed_tmpl.h"
#include "kernels/cpu/pixel_attention_tmpl.h"
#include "kernels/cpu/route_tmpl.h"

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
