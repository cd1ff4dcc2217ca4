/* SPDX-License-Identifier: MIT
 * test_refuse: GEMM, attention, router. */
#include "kernels/cuda/gemm_mma.h"
#include "kernels/cuda/gemm_wgmma.h"
#include "tests/checkkernel/device/refuse.h"

static dd_gemm_args good_gemm(void)
{
    return (dd_gemm_args){.a = in,
                          .w = weight(16, 16, 8, DD_F32),
                          .bias = F(in),
                          .c = out,
                          .lda = 16,
                          .ldc = 16,
                          .m = 2,
                          .gate = table(),
                          .s = 2};
}

static dd_gemm_args bf16_gemm(void)
{
    dd_gemm_args g = good_gemm();
    g.w = weight(16, 16, 8, DD_BF16);
    g.a_format = DD_FMT_BF16;
    return g;
}

static void test_tiles(void)
{
    const dd_gemm_args a = bf16_gemm();
    for (int t = 0; t < DD_CUDA_MMA_TILES; t++) CALL(dd_cuda_gemm_mma(&exec, &a, t), 1);
    if (!failing) {
        expect("tile -1", dd_cuda_gemm_mma(&exec, &a, -1), DD_ERR_DEVICE, 0);
        expect("a tile too many", dd_cuda_gemm_mma(&exec, &a, DD_CUDA_MMA_TILES), DD_ERR_DEVICE, 0);
    }
    section("tiles of gemm");
}

#define WGMMA(want, ...)                                                                \
    do {                                                                                \
        dd_gemm_args a = good;                                                          \
        int tile = 0;                                                                   \
        __VA_ARGS__;                                                                    \
        expect("wgmma: " #__VA_ARGS__, dd_cuda_gemm_wgmma(&exec, &a, tile), (want), 0); \
    } while (0)

/* On a device that has the instructions, and on another one. */
static void test_wgmma(void)
{
    const dd_gemm_args good = bf16_gemm();
    const bool here = dd_cuda_wgmma_here();
    if (here)
        for (int t = 0; t < DD_CUDA_WGMMA_TILES; t++) CALL(dd_cuda_gemm_wgmma(&exec, &good, t), 1);
    if (!failing) {
        const int tile_here = dd_cuda_gemm_wgmma_tile(&good);
        if (here ? tile_here != DD_CUDA_WGMMA_TILES - 1 : tile_here != -1) wrong("tile %d for two rows", tile_here);
        WGMMA(DD_ERR_UNSUPPORTED, tile = -1);
        WGMMA(DD_ERR_UNSUPPORTED, tile = DD_CUDA_WGMMA_TILES);
        WGMMA(DD_ERR_UNSUPPORTED, a = good_gemm());
        WGMMA(DD_ERR_UNSUPPORTED, a.lda = 17);
        WGMMA(DD_ERR_UNSUPPORTED, a.a = in + 2);
        WGMMA(DD_ERR_ARG, a.a = NULL);
        WGMMA(here ? DD_OK : DD_ERR_UNSUPPORTED, a.m = 0);
        WGMMA(here ? DD_ERR_ARG : DD_ERR_UNSUPPORTED, a.m = INT32_MAX);
        if (!here) WGMMA(DD_ERR_UNSUPPORTED, );
    }
    if (!failing || here) section("wgmma");
}

void test_gemm(void)
{
    COMMON(gemm);
    GOOD(gemm, 1, );
    GOOD(gemm, 1, a = bf16_gemm());
    GOOD(gemm, 1, a = bf16_gemm(), a.lda = 17); /* not for tensor cores */
    GOOD(gemm, 1, a = bf16_gemm(), a.c_format = DD_FMT_BF16);
    GOOD(gemm, 1, a.epilogue = DD_EPI_RESIDUAL);
    GOOD(gemm, 1, a.n = a.k = (dd_slices){I(in), I(in)});
    GOOD(gemm, 1, a.rows = (dd_row_list){I(in), I(in)}, a.bias = NULL);
    EMPTY(gemm, a.m = 0);
    BAD(gemm, a.a = NULL);
    BAD(gemm, a.w = NULL);
    BAD(gemm, a.c = NULL);
    BAD(gemm, a.w = foreign(weight(16, 16, 8, DD_F32)));
    BAD(gemm, a.w = empty(weight(16, 16, 8, DD_F32)));
    BAD(gemm, a.m = -1);
    BAD(gemm, a.epilogue = (dd_epilogue)3);
    BAD(gemm, a.epilogue = (dd_epilogue)-1);
    BAD(gemm, a.n.pool = I(in));
    BAD(gemm, a.k.pool = I(in));
    BAD(gemm, a.w = weight(12, 16, 12, DD_F32), a.n = (dd_slices){I(in), I(in)});
    BAD(gemm, a.w = weight(16, 12, 16, DD_F32), a.k = (dd_slices){I(in), I(in)});
    BAD(gemm, a.w = weight(24, 16, 12, DD_F32), a.n = (dd_slices){I(in), I(in)});
    BAD(gemm, a.c_unit = 7);
    BAD(gemm, a.c_unit = 9, a.ldc = 17);
    BAD(gemm, a.rows.idx = I(in));
    BAD(gemm, a.lda = 15);
    BAD(gemm, a.ldc = 15);
    BAD(gemm, a.epilogue = DD_EPI_RESIDUAL, a.gate.table = NULL);
    BAD(gemm, a.epilogue = DD_EPI_RESIDUAL, a.gate.slot = NULL);
    BAD(gemm, a.epilogue = DD_EPI_RESIDUAL, a.gate.row_cond = NULL);
    BAD(gemm, a.epilogue = DD_EPI_RESIDUAL, a.s = 0);
    BAD(gemm, a = bf16_gemm(), a.epilogue = DD_EPI_RESIDUAL, a.c_format = DD_FMT_BF16);
    BAD(gemm, a.w = weight(16, 16, 8, DD_BF16));
    BAD(gemm, a.a_format = DD_FMT_BF16);
    BAD(gemm, a = bf16_gemm(), a.m = INT32_MAX);
    BAD(gemm, a.w = weight((int64_t)1 << 23, 16, (int64_t)1 << 23, DD_F32), a.ldc = (int64_t)1 << 23);
    LACKS(gemm, a.c_format = DD_FMT_BF16);
    LACKS(gemm, a.c_format = DD_FMT_BF16_BLOCKS);
    LACKS(gemm, a = bf16_gemm(), a.c_format = DD_FMT_BF16_BLOCKS);
    LACKS(gemm, a = bf16_gemm(), a.a_format = DD_FMT_BF16_BLOCKS);
    LACKS(gemm, a = bf16_gemm(), a.c_format = (dd_format)9);
    section("gemm");
    test_tiles();
    test_wgmma();
}

static dd_attention_args good_attention(void)
{
    return (dd_attention_args){
        .qkv = in, .out = out, .ldq = 48, .ldo = 16, .ld_head = 24, .r = 1, .s = 2, .h = 2, .e = 8};
}

void test_attention(void)
{
    COMMON(attention);
    GOOD(attention, 1, );
    GOOD(attention, 1, a.qkv_format = a.out_format = DD_FMT_BF16);
    GOOD(attention, 1, a.qkv_format = a.out_format = DD_FMT_BF16, a.ldq = 49); /* not for tensor cores */
    GOOD(attention, 1, a.e = 128, a.h = 1, a.ld_head = a.ldq = 384, a.ldo = 128);
    GOOD(attention, 1, a.heads = (dd_slices){I(in), I(in)}, a.ldq = a.ldo = 0);
    BAD(attention, a.qkv = NULL);
    BAD(attention, a.out = NULL);
    BAD(attention, a.r = 0);
    BAD(attention, a.s = 0);
    BAD(attention, a.h = 0);
    BAD(attention, a.h = 65, a.ldq = 65 * 24, a.ldo = 65 * 8);
    BAD(attention, a.e = 0);
    BAD(attention, a.e = 4);
    BAD(attention, a.e = 136, a.h = 1, a.ld_head = a.ldq = 408, a.ldo = 136);
    BAD(attention, a.ld_head = 23);
    BAD(attention, a.ldq = 47);
    BAD(attention, a.ldo = 15);
    BAD(attention, a.heads.pool = I(in));
    BAD(attention, a.r = INT32_MAX, a.s = 64);
    BAD(attention, a.r = INT32_MAX, a.s = 128, a.qkv_format = a.out_format = DD_FMT_BF16);
    LACKS(attention, a.out_format = DD_FMT_BF16);
    LACKS(attention, a.qkv_format = DD_FMT_BF16);
    LACKS(attention, a.qkv_format = a.out_format = DD_FMT_BF16_BLOCKS);
    LACKS(attention, a.qkv_format = a.out_format = (dd_format)9);
    section("attention");
}

static dd_route_args good_route(void)
{
    return (dd_route_args){.x = F(in),
                           .w1 = weight(4, 8, 4, DD_F32),
                           .b1 = F(in),
                           .w2 = F(in),
                           .b2 = F(in),
                           .idx = I(out),
                           .count = I(out + 1024),
                           .mask = (uint8_t *)out + 2048,
                           .r = 1,
                           .s = 2,
                           .d = 8,
                           .j = 4};
}

/* Launches 1 and 3 fail: the first one of a call, then the second one. */
static void one_of_two_fails(void)
{
    dd_route_args a = good_route();
    const dd_status first = after_failure(dd_cuda_ops.route(&exec, &a));
    const dd_status second = after_failure(dd_cuda_ops.route(&exec, &a));
    a.forced = (uint8_t *)in;
    expect("route: after two failures", dd_cuda_ops.route(&exec, &a), DD_OK, 2);
    if (first != DD_ERR_DEVICE || second != DD_ERR_DEVICE) wrong("route: status %d, then %d", (int)first, (int)second);
}

void test_route(void)
{
    COMMON(route);
    if (failing) one_of_two_fails();
    else GOOD(route, 2, );
    GOOD(route, 1, a.forced = (uint8_t *)in, a.x = NULL, a.w1 = NULL, a.b1 = a.w2 = a.b2 = NULL);
    BAD(route, a.idx = NULL);
    BAD(route, a.count = NULL);
    BAD(route, a.mask = NULL);
    BAD(route, a.r = 0);
    BAD(route, a.s = 0);
    BAD(route, a.r = 65536, a.s = 32768);
    BAD(route, a.x = NULL);
    BAD(route, a.w1 = NULL);
    BAD(route, a.b1 = NULL);
    BAD(route, a.w2 = NULL);
    BAD(route, a.b2 = NULL);
    BAD(route, a.j = 5);
    BAD(route, a.d = 9);
    BAD(route, a.w1 = weight(16, 8, 8, DD_F32), a.j = 16);
    BAD(route, a.w1 = weight(4, 8, 4, DD_BF16));
    BAD(route, a.w1 = foreign(weight(4, 8, 4, DD_F32)));
    BAD(route, a.w1 = empty(weight(4, 8, 4, DD_F32)));
    section("route");
}
