/* SPDX-License-Identifier: MIT
 * test_refuse: the ops on pictures. */
#include "tests/checkkernel/device/refuse.h"

static dd_to_pixels_args good_to_pixels(void) { return (dd_to_pixels_args){F(in), out, DD_FMT_F32, 1, 1, 2, 2, 4, 8}; }

static void test_to_pixels(void)
{
    COMMON(to_pixels);
    GOOD(to_pixels, 1, );
    GOOD(to_pixels, 1, a.dst_format = DD_FMT_BF16);
    GOOD(to_pixels, 1, a.dst = out + 4);
    BAD(to_pixels, a.src = NULL);
    BAD(to_pixels, a.dst = NULL);
    BAD(to_pixels, a.b = 0);
    BAD(to_pixels, a.h = 0);
    BAD(to_pixels, a.w = -1);
    BAD(to_pixels, a.c = 4);
    BAD(to_pixels, a.c_src = 0);
    BAD(to_pixels, a.c_src = 9);
    BAD(to_pixels, a.b = 1 << 16, a.h = a.w = 1 << 8);
    BAD(to_pixels, a.c = 8 * 65536);
    LACKS(to_pixels, a.dst_format = DD_FMT_BF16_BLOCKS);
    LACKS(to_pixels, a.dst_format = (dd_format)9);
    section("to_pixels");
}

static dd_conv2d_args good_conv2d(void)
{
    return (dd_conv2d_args){.src = in,
                            .w = weight(8, 72, 8, DD_F32),
                            .bias = F(in),
                            .dst = out,
                            .b = 1,
                            .h = 2,
                            .w_out = 2,
                            .c = 8,
                            .n = 8,
                            .ksize = 3};
}

static void test_conv2d(void)
{
    COMMON(conv2d);
    GOOD(conv2d, 1, );
    GOOD(conv2d, 1, a.upsample = 1, a.residual = F(out));
    GOOD(conv2d, 1, a.w = weight(8, 72, 8, DD_BF16), a.src_format = DD_FMT_BF16);
    GOOD(conv2d, 1, a.w = weight(8, 8, 8, DD_F16), a.ksize = 1, a.src_format = a.dst_format = DD_FMT_F16);
    BAD(conv2d, a.src = NULL);
    BAD(conv2d, a.w = NULL);
    BAD(conv2d, a.bias = NULL);
    BAD(conv2d, a.dst = NULL);
    BAD(conv2d, a.ksize = 2);
    BAD(conv2d, a.ksize = 5, a.w = weight(8, 200, 8, DD_F32));
    BAD(conv2d, a.b = 0);
    BAD(conv2d, a.h = 0);
    BAD(conv2d, a.w_out = 0);
    BAD(conv2d, a.c = 12, a.w = weight(8, 108, 8, DD_F32));
    BAD(conv2d, a.n = 12, a.w = weight(12, 72, 12, DD_F32));
    BAD(conv2d, a.upsample = 1, a.h = 3);
    BAD(conv2d, a.upsample = 1, a.w_out = 1);
    BAD(conv2d, a.w = weight(16, 72, 16, DD_F32));
    BAD(conv2d, a.w = weight(8, 64, 8, DD_F32));
    BAD(conv2d, a.w = weight(8, 72, 8, DD_BF16));
    BAD(conv2d, a.w = foreign(weight(8, 72, 8, DD_F32)));
    BAD(conv2d, a.w = empty(weight(8, 72, 8, DD_F32)));
    BAD(conv2d, a.w = weight(8, 72, 8, DD_BF16), a.src_format = a.dst_format = DD_FMT_BF16, a.residual = F(in));
    LACKS(conv2d, a.src_format = DD_FMT_BF16_BLOCKS, a.w = weight(8, 72, 8, DD_BF16));
    LACKS(conv2d, a.dst_format = DD_FMT_BF16);
    LACKS(conv2d, a.dst_format = (dd_format)9);
    LACKS(conv2d, a.src = in + 4);
    section("conv2d");
}

static dd_group_norm_args good_group_norm(void)
{
    return (dd_group_norm_args){F(in), out, DD_FMT_F32, F(in), F(in), F(out + 4096), 1e-6f, 1, 4, 8, 2, 1};
}

/* The first of its three kernels, then the second one; what is launched behind them is well. */
static void parts_of_group_norm_fail(void)
{
    const dd_group_norm_args a = good_group_norm();
    expect("group_norm: the first kernel", after_failure(dd_cuda_ops.group_norm(&exec, &a)), DD_ERR_DEVICE, 0);
    expect("group_norm: the second kernel", after_failure(dd_cuda_ops.group_norm(&exec, &a)), DD_ERR_DEVICE, 1);
    expect("group_norm: the next launch", dd_cuda_set_step(exec.stream, I(out), 0), DD_OK, 1);
}

static void test_group_norm(void)
{
    COMMON(group_norm);
    if (failing) {
        parts_of_group_norm_fail();
    } else {
        GOOD(group_norm, 3, );
        GOOD(group_norm, 3, a.groups = 8, a.y_format = DD_FMT_F16);
    }
    BAD(group_norm, a.x = NULL);
    BAD(group_norm, a.y = NULL);
    BAD(group_norm, a.gamma = NULL);
    BAD(group_norm, a.beta = NULL);
    BAD(group_norm, a.work = NULL);
    BAD(group_norm, a.eps = -1);
    BAD(group_norm, a.eps = dd_f32_from_bits(0x7fc00000));
    BAD(group_norm, a.b = 0);
    BAD(group_norm, a.b = 65536);
    BAD(group_norm, a.pixels = 0);
    BAD(group_norm, a.c = 12);
    BAD(group_norm, a.groups = 0);
    BAD(group_norm, a.groups = 3);
    LACKS(group_norm, a.y_format = DD_FMT_BF16_BLOCKS);
    LACKS(group_norm, a.y_format = (dd_format)9);
    section("group_norm");
}

static dd_pixel_attention_args good_pixel_attention(void)
{
    return (dd_pixel_attention_args){in, out, DD_FMT_F32, DD_FMT_F32, 1, 4, 8};
}

static void test_pixel_attention(void)
{
    COMMON(pixel_attention);
    GOOD(pixel_attention, 1, );
    GOOD(pixel_attention, 1, a.qkv_format = a.out_format = DD_FMT_BF16);
    GOOD(pixel_attention, 1, a.qkv_format = a.out_format = DD_FMT_TF32);
    BAD(pixel_attention, a.qkv = NULL);
    BAD(pixel_attention, a.out = NULL);
    BAD(pixel_attention, a.b = 0);
    BAD(pixel_attention, a.pixels = 0);
    BAD(pixel_attention, a.c = 12);
    BAD(pixel_attention, a.c = DD_PIXEL_ATTENTION_MAX + 8);
    LACKS(pixel_attention, a.qkv_format = DD_FMT_BF16_BLOCKS);
    LACKS(pixel_attention, a.out_format = DD_FMT_BF16);
    LACKS(pixel_attention, a.qkv_format = DD_FMT_F16);
    LACKS(pixel_attention, a.qkv = in + 8);
    section("pixel_attention");
}

static dd_to_planes_args good_to_planes(void) { return (dd_to_planes_args){F(in), F(out), 1, 2, 2, 8, 3}; }

static void test_to_planes(void)
{
    COMMON(to_planes);
    GOOD(to_planes, 1, );
    BAD(to_planes, a.src = NULL);
    BAD(to_planes, a.dst = NULL);
    BAD(to_planes, a.b = 0);
    BAD(to_planes, a.h = 0);
    BAD(to_planes, a.w = 0);
    BAD(to_planes, a.c = 4);
    BAD(to_planes, a.c_dst = 0);
    BAD(to_planes, a.c_dst = 9);
    BAD(to_planes, a.c = 65536, a.c_dst = 65536);
    section("to_planes");
}

void test_pictures(void)
{
    test_to_pixels();
    test_conv2d();
    test_group_norm();
    test_pixel_attention();
    test_to_planes();
}
