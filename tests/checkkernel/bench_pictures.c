/* SPDX-License-Identifier: MIT
 * What is timed of the ops on pictures: one picture, weights used again and again as by tiles of a large one. */
#include "tests/checkkernel/bench.h"

dd_status ck_bench_conv2d(ck_bench_work *w, const ck_bench_case *c, const ck_impl *impl, dd_format format)
{
    dd_conv2d_args *g = &w->args.conv2d;
    const int64_t pixels = (int64_t)c->size * c->size, k = (int64_t)c->ksize * c->ksize * c->c;
    const int64_t from = c->upsample ? pixels / 4 : pixels;
    *g = (dd_conv2d_args){.src_format = format,
                          .dst_format = DD_FMT_F32,
                          .b = 1,
                          .h = c->size,
                          .w_out = c->size,
                          .c = c->c,
                          .n = c->n,
                          .ksize = c->ksize,
                          .upsample = c->upsample};
    g->src = ck_bench_matrix(w, format, from, c->c);
    g->dst = ck_bench_matrix(w, DD_FMT_F32, pixels, c->n);
    g->bias = ck_bench_numbers(w, (size_t)c->n);
    const dd_weight_desc desc = {.name = "w",
                                 .data = ck_bench_weight_numbers(w, c->n, k),
                                 .dtype = DD_F32,
                                 .n = c->n,
                                 .k = k,
                                 .n_unit = c->n,
                                 .as = dd_format_dtype(format)};
    const double size = format == DD_FMT_F32 ? 4 : 2;
    w->flops = 2 * (double)pixels * (double)c->n * (double)k;
    w->bytes = size * (double)(c->n * k + from * c->c) + 4 * (double)(pixels * c->n);
    return ck_bench_weights(w, impl, &desc, 0);
}

dd_status ck_bench_group_norm(ck_bench_work *w, const ck_bench_case *c, dd_format format)
{
    dd_group_norm_args *g = &w->args.group_norm;
    const int64_t pixels = (int64_t)c->size * c->size;
    *g = (dd_group_norm_args){
        .y_format = format, .eps = 1e-6f, .b = 1, .pixels = (int32_t)pixels, .c = c->c, .groups = 32, .silu = 1};
    g->x = ck_bench_numbers(w, (size_t)(pixels * c->c));
    g->y = ck_bench_matrix(w, format, pixels, c->c);
    g->gamma = g->beta = ck_bench_numbers(w, (size_t)c->c);
    g->work = ck_bench_numbers(w, (size_t)dd_group_norm_work(1, 32));
    w->bytes = (double)(pixels * c->c) * (format == DD_FMT_F32 ? 12 : 10);
    return DD_OK;
}

dd_status ck_bench_pixel_attention(ck_bench_work *w, const ck_bench_case *c, const ck_impl *impl, dd_format format)
{
    dd_pixel_attention_args *g = &w->args.pixel_attention;
    const int64_t pixels = (int64_t)c->size * c->size;
    *g = (dd_pixel_attention_args){
        .qkv_format = format, .out_format = format, .b = 1, .pixels = (int32_t)pixels, .c = c->c};
    g->qkv = ck_bench_matrix(w, format, pixels, 3 * (int64_t)c->c);
    g->out = ck_bench_matrix(w, format, pixels, c->c);
    w->scratch = impl->scratch_bytes(impl, g->pixels, g->c, 0);
    w->flops = 4 * (double)pixels * (double)pixels * (double)c->c;
    w->bytes = (double)(pixels * c->c) * (format == DD_FMT_F32 ? 16 : 8);
    return DD_OK;
}
