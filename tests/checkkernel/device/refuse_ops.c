/* SPDX-License-Identifier: MIT
 * test_refuse: the ops without matrix products, and patch_embed. */
#include <cuda_runtime_api.h>

#include "tests/checkkernel/device/refuse.h"

static dd_cond_args good_cond(void) { return (dd_cond_args){F(in), F(in), I(in), out, DD_FMT_F32, 8, 1, 1, 1, 8}; }

static void test_cond(void)
{
    COMMON(cond);
    GOOD(cond, 1, );
    GOOD(cond, 1, a.c_format = DD_FMT_BF16);
    EMPTY(cond, a.slots = 0);
    EMPTY(cond, a.n_cond = 0);
    BAD(cond, a.temb = NULL);
    BAD(cond, a.emb = NULL);
    BAD(cond, a.labels = NULL);
    BAD(cond, a.c = NULL);
    BAD(cond, a.slots = -1);
    BAD(cond, a.n_cond = -1);
    BAD(cond, a.d = 0);
    BAD(cond, a.ldc = 7);
    LACKS(cond, a.c_format = DD_FMT_BF16_BLOCKS);
    LACKS(cond, a.c_format = (dd_format)9);
    section("cond");
}

static dd_patch_embed_args good_patch_embed(void)
{
    return (dd_patch_embed_args){.latents = F(in),
                                 .w = weight(8, 4, 8, DD_F32),
                                 .bias = F(in),
                                 .pos = F(in),
                                 .x = F(out),
                                 .b = 1,
                                 .r = 2,
                                 .c = 1,
                                 .size = 4,
                                 .p = 2,
                                 .d = 8};
}

static void test_patch_embed(void)
{
    COMMON(patch_embed);
    GOOD(patch_embed, 1, );
    BAD(patch_embed, a.latents = NULL);
    BAD(patch_embed, a.w = NULL);
    BAD(patch_embed, a.bias = NULL);
    BAD(patch_embed, a.pos = NULL);
    BAD(patch_embed, a.x = NULL);
    BAD(patch_embed, a.b = 0);
    BAD(patch_embed, a.r = 0);
    BAD(patch_embed, a.c = 0);
    BAD(patch_embed, a.p = 0);
    BAD(patch_embed, a.size = 0);
    BAD(patch_embed, a.size = 5);
    BAD(patch_embed, a.d = 7);
    BAD(patch_embed, a.w = weight(8, 5, 8, DD_F32));
    BAD(patch_embed, a.w = weight(16, 4, 8, DD_F32), a.d = 16);
    BAD(patch_embed, a.w = weight(8, 4, 8, DD_BF16));
    BAD(patch_embed, a.w = foreign(weight(8, 4, 8, DD_F32)));
    BAD(patch_embed, a.w = empty(weight(8, 4, 8, DD_F32)));
    BAD(patch_embed, a.size = 2 * 32768, a.b = a.r = 65536);
    LACKS(patch_embed, a.w = weight(8, 3076, 8, DD_F32), a.c = 769);
    section("patch_embed");
}

static dd_adaln_args good_adaln(void)
{
    return (dd_adaln_args){F(in), out, DD_FMT_F32, 8, {NULL, NULL}, table(), 0, 8, 1, 2, 8, DD_LN_EPS};
}

static void test_adaln(void)
{
    COMMON(adaln);
    GOOD(adaln, 1, );
    GOOD(adaln, 1, a.y_format = DD_FMT_BF16);
    GOOD(adaln, 1, a.rows = (dd_row_list){I(in), I(in)});
    BAD(adaln, a.x = NULL);
    BAD(adaln, a.y = NULL);
    BAD(adaln, a.r = 0);
    BAD(adaln, a.s = 0);
    BAD(adaln, a.d = 0);
    BAD(adaln, a.ldy = 7);
    BAD(adaln, a.eps = 0);
    BAD(adaln, a.rows.idx = I(in));
    BAD(adaln, a.cond.table = NULL);
    BAD(adaln, a.cond.slot = NULL);
    BAD(adaln, a.cond.row_cond = NULL);
    BAD(adaln, a.r = INT32_MAX, a.s = 8);
    LACKS(adaln, a.y_format = DD_FMT_BF16_BLOCKS);
    LACKS(adaln, a.y_format = (dd_format)9);
    section("adaln");
}

static dd_depth_average_args good_depth_average(void)
{
    dd_depth_average_args a = {.x = {F(in), F(in)}, .y = F(out), .n = 2, .r = 1, .s = 2, .d = 8, .norm = good_adaln()};
    a.norm.x = a.y;
    a.norm.y = out + 4096;
    return a;
}

static void test_depth_average(void)
{
    COMMON(depth_average);
    GOOD(depth_average, 1, );
    GOOD(depth_average, 1, a.norm = (dd_adaln_args){0});
    GOOD(depth_average, 1, a.x[1] = a.y);
    GOOD(depth_average, 1, a.norm.y_format = DD_FMT_BF16);
    BAD(depth_average, a.y = NULL);
    BAD(depth_average, a.x[1] = NULL);
    BAD(depth_average, a.n = 0);
    BAD(depth_average, a.n = DD_MAX_SOURCES + 1);
    BAD(depth_average, a.r = 0);
    BAD(depth_average, a.s = 0);
    BAD(depth_average, a.d = 0);
    BAD(depth_average, a.norm.x = F(in));
    BAD(depth_average, a.norm.r = 2);
    BAD(depth_average, a.norm.s = 1);
    BAD(depth_average, a.norm.d = 4);
    BAD(depth_average, a.norm.ldy = 7);
    BAD(depth_average, a.norm.eps = 0);
    BAD(depth_average, a.norm.rows = (dd_row_list){I(in), I(in)});
    BAD(depth_average, a.norm.cond.table = NULL);
    BAD(depth_average, a.r = INT32_MAX, a.s = 8, a.norm = (dd_adaln_args){0});
    LACKS(depth_average, a.norm.y_format = DD_FMT_BF16_BLOCKS);
    LACKS(depth_average, a.norm.y_format = (dd_format)9);
    section("depth_average");
}

static dd_unpatchify_args good_unpatchify(void) { return (dd_unpatchify_args){F(in), F(out), 1, 1, 4, 2}; }

static void test_unpatchify(void)
{
    COMMON(unpatchify);
    GOOD(unpatchify, 1, );
    BAD(unpatchify, a.tokens = NULL);
    BAD(unpatchify, a.out = NULL);
    BAD(unpatchify, a.r = 0);
    BAD(unpatchify, a.co = 0);
    BAD(unpatchify, a.p = 0);
    BAD(unpatchify, a.size = 0);
    BAD(unpatchify, a.size = 5);
    BAD(unpatchify, a.size = 65536);
    BAD(unpatchify, a.size = 32768, a.r = 1024);
    section("unpatchify");
}

static dd_gated_add_args good_gated_add(void)
{
    return (dd_gated_add_args){.x = F(out),
                               .cond = table(),
                               .branch = {{.f = F(in)}, {.f = F(in), .gate = -1}},
                               .n = 2,
                               .r = 2,
                               .s = 2,
                               .d = 8};
}

static void test_gated_add(void)
{
    COMMON(gated_add);
    GOOD(gated_add, 1, );
    GOOD(gated_add, 1, a.branch[1].rows = (dd_row_list){I(in), I(in)});
    GOOD(gated_add, 1, a.branch[0].gate = -1, a.cond = (dd_cond_table){0});
    BAD(gated_add, a.x = NULL);
    BAD(gated_add, a.r = 0);
    BAD(gated_add, a.s = 0);
    BAD(gated_add, a.d = 0);
    BAD(gated_add, a.n = 0);
    BAD(gated_add, a.n = DD_MAX_BRANCHES + 1);
    BAD(gated_add, a.branch[1].f = NULL);
    BAD(gated_add, a.branch[0].gate = -2);
    BAD(gated_add, a.branch[0].f_format = DD_FMT_F16);
    BAD(gated_add, a.branch[1].out_format = DD_FMT_BF16_BLOCKS);
    BAD(gated_add, a.branch[0].keep = F(in));
    BAD(gated_add, a.branch[1].change = F(in), a.branch[1].out_format = DD_FMT_BF16);
    BAD(gated_add, a.branch[1].rows.idx = I(in));
    BAD(gated_add, a.branch[1].rows.count = I(in));
    BAD(gated_add, a.cond.table = NULL);
    BAD(gated_add, a.cond.slot = NULL);
    BAD(gated_add, a.cond.row_cond = NULL);
    BAD(gated_add, a.r = 65536, a.s = 65536);
    section("gated_add");
}

static dd_guide_args good_guide(void) { return (dd_guide_args){F(out), 2, 1, 2, 1, 4}; }

static void test_guide(void)
{
    COMMON(guide);
    GOOD(guide, 1, );
    EMPTY(guide, a.channels = 0);
    BAD(guide, a.out = NULL);
    BAD(guide, a.b = 0);
    BAD(guide, a.size = 0);
    BAD(guide, a.channels = -1);
    BAD(guide, a.channels = 3);
    BAD(guide, a.size = 1 << 20);
    section("guide");
}

static dd_noise_args good_noise(void)
{
    return (dd_noise_args){F(out), (const dd_noise_stream *)(void *)in, 4, 64, 256, 1};
}

static void test_noise(void)
{
    COMMON(noise);
    GOOD(noise, 1, );
    BAD(noise, a.dst = NULL);
    BAD(noise, a.stream = NULL);
    BAD(noise, a.b = 0);
    BAD(noise, a.count = 0);
    BAD(noise, a.threads = 0);
    BAD(noise, a.stride = 2);
    BAD(noise, a.count = (int64_t)1 << 40);
    section("noise");
}

static dd_solve_args good_solve(void)
{
    return (dd_solve_args){.coef = F(in), .x = F(out), .out = F(in), .b = 1, .c = 1, .co = 2, .size = 4};
}

static void test_solve(void)
{
    COMMON(solve);
    GOOD(solve, 1, );
    GOOD(solve, 1, a.solver = DD_SOLVER_DDIM, a.co = 1);
    GOOD(solve, 1, a.solver = DD_SOLVER_DPMPP2M, a.x0_1 = F(out));
    GOOD(solve, 1, a.solver = DD_SOLVER_UNIPC, a.x0_1 = F(out), a.x0_2 = F(out), a.y_1 = F(out));
    BAD(solve, a.solver = DD_SOLVER_DPMPP2M);
    BAD(solve, a.solver = DD_SOLVER_UNIPC, a.x0_1 = F(out), a.x0_2 = F(out));
    BAD(solve, a.solver = DD_SOLVER_UNIPC, a.x0_1 = F(out), a.y_1 = F(out));
    BAD(solve, a.solver = DD_SOLVER_UNIPC, a.x0_2 = F(out), a.y_1 = F(out));
    BAD(solve, a.coef = NULL);
    BAD(solve, a.x = NULL);
    BAD(solve, a.out = NULL);
    BAD(solve, a.solver = DD_SOLVER_COUNT);
    BAD(solve, a.solver = (dd_solver)-1);
    BAD(solve, a.b = 0);
    BAD(solve, a.c = 0);
    BAD(solve, a.size = 0);
    BAD(solve, a.co = 3);
    BAD(solve, a.size = 1 << 20);
    section("solve");
}

static dd_copy_args good_copy(void) { return (dd_copy_args){out, in, 16}; }

/* No kernel: of a good copy the bytes tell. */
static void test_copy(void)
{
    char byte = 1, copied = 1;
    (void)cudaMemset(out, 7, 16);
    EMPTY(copy, a.bytes = 0);
    COMMON(copy);
    BAD(copy, a.dst = NULL);
    BAD(copy, a.src = NULL);
    (void)cudaMemcpy(&byte, out, 1, cudaMemcpyDeviceToHost);
    const dd_copy_args a = good_copy();
    const dd_status first = after_failure(dd_cuda_ops.copy(&exec, &a));
    expect_good("copy", first, dd_cuda_ops.copy(&exec, &a), 0);
    (void)cudaMemcpy(&copied, out, 1, cudaMemcpyDeviceToHost);
    if (byte != 7 || copied != 0) wrong("copy: a byte is %d, then %d", byte, copied);
    section("copy");
}

void test_small_ops(void)
{
    test_cond();
    test_patch_embed();
    test_adaln();
    test_depth_average();
    test_gated_add();
    test_unpatchify();
    test_guide();
    test_noise();
    test_solve();
    test_copy();
}
