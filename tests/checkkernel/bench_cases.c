/* SPDX-License-Identifier: MIT
 * What is timed: the shapes of DiT-XL/2 at batch 1 with guidance (two rows of 256 tokens), dense, at half width, with
 * half of the tokens; and those of the decoder of Stable Diffusion's VAE for a picture of 256 x 256. */
#define _GNU_SOURCE /* madvise */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/checkkernel/bench.h"

#define D 1152
#define HEADS 16
#define TOKENS 256
#define GEMM(label, rows_, n_, unit_, parts_, k_, k_unit_, epi, half_, list_)                          \
    {                                                                                                  \
        .name = label, .op = DD_OP_gemm, .m = rows_, .n = n_, .unit = unit_, .parts = parts_, .k = k_, \
        .k_unit = k_unit_, .epilogue = epi, .half = half_, .rows = list_                               \
    }
#define QKV(label, m, half) GEMM(label, m, 3 * D, 216, 3, D, 0, DD_EPI_BIAS, half, 0)
#define PROJ(label, m, half) GEMM(label, m, D, D, 1, D, 72, DD_EPI_RESIDUAL, half, 0)
#define FC1(label, m, half, rows) GEMM(label, m, 4 * D, 288, 1, D, 0, DD_EPI_GELU, half, rows)
#define FC2(label, m, half, rows) GEMM(label, m, D, D, 1, 4 * D, 288, DD_EPI_RESIDUAL, half, rows)
#define CONV(label, size_, c_, n_, ksize_, up)                                                              \
    {                                                                                                       \
        .name = label, .op = DD_OP_conv2d, .size = size_, .c = c_, .n = n_, .ksize = ksize_, .upsample = up \
    }

const ck_bench_case ck_bench_cases[] = {
    QKV("qkv, 512 rows", 512, false),
    QKV("qkv, 256 rows", 256, false),
    QKV("qkv, 512 rows, half width", 512, true),
    PROJ("proj, 512 rows", 512, false),
    PROJ("proj, 256 rows", 256, false),
    PROJ("proj, 512 rows, half width", 512, true),
    FC1("fc1, 512 rows", 512, false, 0),
    FC1("fc1, 256 rows", 256, false, 0),
    FC1("fc1, 512 rows, half width", 512, true, 0),
    FC1("fc1, 256 of 512 rows", 512, false, 256),
    FC1("fc1, 256 of 512 rows, half width", 512, true, 256),
    FC2("fc2, 512 rows", 512, false, 0),
    FC2("fc2, 256 rows", 256, false, 0),
    FC2("fc2, 512 rows, half width", 512, true, 0),
    FC2("fc2, 256 of 512 rows", 512, false, 256),
    FC2("fc2, 256 of 512 rows, half width", 512, true, 256),
    {.name = "attention, 2 x 256 tokens", .op = DD_OP_attention, .m = 2 * TOKENS},
    {.name = "attention, 2 x 256 tokens, half of the heads", .op = DD_OP_attention, .m = 2 * TOKENS, .half = true},
    {.name = "adaln, 512 rows", .op = DD_OP_adaln, .m = 512},
    {.name = "adaln, 256 of 512 rows", .op = DD_OP_adaln, .m = 512, .rows = 256},
    {.name = "gated_add, 16 branches, 512 rows", .op = DD_OP_gated_add, .m = 512},
    {.name = "gated_add, 16 branches, 256 of 512 rows", .op = DD_OP_gated_add, .m = 512, .rows = 256},
    {.name = "route, 512 rows", .op = DD_OP_route, .m = 512},
    CONV("512 to 512, 32 x 32", 32, 512, 512, 3, 0),
    CONV("512 to 512, 64 x 64", 64, 512, 512, 3, 0),
    CONV("256 to 256, 128 x 128", 128, 256, 256, 3, 0),
    CONV("128 to 128, 256 x 256", 256, 128, 128, 3, 0),
    CONV("512 to 256, 128 x 128", 128, 512, 256, 3, 0),
    CONV("256 to 128, 256 x 256", 256, 256, 128, 3, 0),
    CONV("512 to 512, 32 x 32 to 64 x 64", 64, 512, 512, 3, 1),
    CONV("512 to 512, 64 x 64 to 128 x 128", 128, 512, 512, 3, 1),
    CONV("256 to 256, 128 x 128 to 256 x 256", 256, 256, 256, 3, 1),
    CONV("512 to 256, 128 x 128, 1 x 1", 128, 512, 256, 1, 0),
    CONV("8 to 512, 32 x 32", 32, 8, 512, 3, 0),
    CONV("128 to 8, 256 x 256", 256, 128, 8, 3, 0),
    {.name = "512 channels, 64 x 64, SiLU", .op = DD_OP_group_norm, .size = 64, .c = 512},
    {.name = "128 channels, 256 x 256, SiLU", .op = DD_OP_group_norm, .size = 256, .c = 128},
    {.name = "512 channels, 32 x 32", .op = DD_OP_pixel_attention, .size = 32, .c = 512},
    {.name = "512 channels, 64 x 64", .op = DD_OP_pixel_attention, .size = 64, .c = 512},
};
const int ck_bench_n = CK_COUNT(ck_bench_cases);

/* Large blocks lie in large pages, as those of the backend do. */
void *ck_bench_own(ck_bench_work *w, size_t bytes)
{
    const size_t page = (size_t)1 << 21, whole = (bytes + page - 1) / page * page;
    void *p = bytes < page ? ck_alloc(bytes) : aligned_alloc(page, whole);
    if (!p) exit(2);
    if (bytes >= page) {
#ifdef MADV_HUGEPAGE
        (void)madvise(p, whole, MADV_HUGEPAGE);
#endif
        memset(p, 0, whole);
    }
    return w->owned[w->n_owned++] = p;
}

float *ck_bench_numbers(ck_bench_work *w, size_t n)
{
    ck_rng r = ck_rng_open(1, "bench");
    float *p = ck_bench_own(w, n * sizeof *p);
    ck_fill(&r, p, n, CK_NORMAL);
    return p;
}

float *ck_bench_weight_numbers(ck_bench_work *w, int64_t n, int64_t k)
{
    float *p = ck_bench_numbers(w, (size_t)(n * k));
    for (int64_t i = 0; i < n * k; i++) p[i] *= (float)(1 / sqrt((double)k));
    return p;
}

void *ck_bench_matrix(ck_bench_work *w, dd_format format, int64_t rows, int64_t ld)
{
    const size_t n = (size_t)((rows + DD_BLOCK - 1) / DD_BLOCK * DD_BLOCK * ld);
    ck_rng r = ck_rng_open(2, "bench");
    if (format == DD_FMT_F32) return ck_bench_numbers(w, n);
    uint16_t *p = ck_bench_own(w, n * sizeof *p);
    for (size_t i = 0; i < n; i++) p[i] = dd_f32_to_bf16((float)ck_rng_normal(&r));
    return p;
}

static dd_slices every_other(ck_bench_work *w, int64_t width, int64_t unit)
{
    int32_t *pool = ck_bench_own(w, (size_t)(width / DD_CHUNK + 1) * sizeof *pool),
            *offset = ck_bench_own(w, sizeof *offset);
    for (int64_t i = 0; i < width / DD_CHUNK; i++)
        if (i * DD_CHUNK / unit % 2 == 0) pool[++pool[0]] = (int32_t)i;
    return (dd_slices){pool, offset};
}

static dd_row_list every_other_row(ck_bench_work *w, int rows)
{
    int32_t *idx = ck_bench_own(w, (size_t)rows * sizeof *idx), *count = ck_bench_own(w, sizeof *count);
    for (int i = 0; i < rows; i++) idx[i] = 2 * i;
    *count = rows;
    return (dd_row_list){idx, count};
}

static dd_cond_table conditions(ck_bench_work *w, int64_t width)
{
    int32_t *zero = ck_bench_own(w, 64);
    return (dd_cond_table){ck_bench_numbers(w, (size_t)width), 0, 0, zero, zero};
}

dd_status ck_bench_weights(ck_bench_work *w, const ck_impl *impl, const dd_weight_desc *desc, size_t total)
{
    const size_t bytes = impl->packed_bytes(impl, desc);
    dd_status st = bytes ? DD_OK : DD_ERR_ARG;
    while (st == DD_OK && w->n_weights < CK_MAX_WEIGHTS &&
           (w->n_weights == 0 || bytes * (size_t)w->n_weights < total)) {
        st = impl->pack(impl, desc, ck_bench_own(w, bytes), &w->weights[w->n_weights]);
        w->n_weights++;
    }
    return st;
}

static dd_status open_gemm(ck_bench_work *w, const ck_bench_case *c, const ck_impl *impl, dd_format format)
{
    dd_gemm_args *g = &w->args.gemm;
    const dd_format qkv = format == DD_FMT_F32 ? DD_FMT_F32 : DD_FMT_BF16;
    const int64_t share = c->half ? 2 : 1, n = c->k_unit ? c->n : c->n / share, k = c->k_unit ? c->k / share : c->k;
    const int64_t live = c->rows ? c->rows : c->m;
    *g = (dd_gemm_args){.a_format = format, .m = c->m, .epilogue = c->epilogue, .s = TOKENS, .lda = k};
    g->lda = ck_ld(format, k, 0);
    g->c_format = c->epilogue == DD_EPI_RESIDUAL ? DD_FMT_F32 : c->epilogue == DD_EPI_GELU ? format : qkv;
    if (c->parts > 1 && format != DD_FMT_F32) g->c_unit = (c->unit + DD_BLOCK - 1) / DD_BLOCK * DD_BLOCK;
    g->ldc = g->c_unit ? n / c->unit * g->c_unit : n;
    g->a = ck_bench_matrix(w, format, c->m, g->lda);
    g->c = ck_bench_matrix(w, g->c_format, c->m, g->ldc);
    g->bias = ck_bench_numbers(w, (size_t)c->n);
    if (c->epilogue == DD_EPI_RESIDUAL) g->gate = conditions(w, c->n);
    if (c->rows) g->rows = every_other_row(w, c->rows);
    if (c->half && c->k_unit) g->k = every_other(w, c->k, c->k_unit);
    else if (c->half) g->n = every_other(w, c->n, c->unit);
    const dd_weight_desc desc = {.name = "w",
                                 .data = ck_bench_weight_numbers(w, c->n, c->k),
                                 .dtype = DD_F32,
                                 .n = c->n,
                                 .k = c->k,
                                 .n_unit = c->unit,
                                 .parts = c->parts,
                                 .as = format == DD_FMT_F32 ? DD_F32 : DD_BF16};
    const double size = format == DD_FMT_F32 ? 4 : 2, c_size = g->c_format == DD_FMT_F32 ? 4 : 2;
    w->flops = 2 * (double)live * (double)n * (double)k;
    w->bytes = size * (double)(n * k + live * k) +
               c_size * (double)(live * n) * (c->epilogue == DD_EPI_RESIDUAL ? 2 : 1);
    return ck_bench_weights(w, impl, &desc, (size_t)(CK_ROTATE_BYTES * share));
}

static dd_status open_attention(ck_bench_work *w, const ck_bench_case *c, dd_format format)
{
    dd_attention_args *g = &w->args.attention;
    const int64_t e = D / HEADS, heads = c->half ? HEADS / 2 : HEADS, rows = c->m;
    const dd_format qkv = format == DD_FMT_F32 ? DD_FMT_F32 : DD_FMT_BF16;
    *g = (dd_attention_args){
        .qkv_format = qkv, .out_format = format, .r = c->m / TOKENS, .s = TOKENS, .h = HEADS, .e = (int32_t)e};
    g->ld_head = format == DD_FMT_F32 ? 3 * e : (3 * e + DD_BLOCK - 1) / DD_BLOCK * DD_BLOCK;
    g->ldq = heads * g->ld_head;
    g->ldo = ck_ld(format, heads * e, 0);
    g->qkv = ck_bench_matrix(w, qkv, rows, g->ldq);
    g->out = ck_bench_matrix(w, format, rows, g->ldo);
    if (c->half) g->heads = every_other(w, 3 * D, 3 * e);
    w->flops = 4 * (double)rows * TOKENS * (double)(e * heads);
    w->bytes = (double)(rows * heads * e) * (qkv == DD_FMT_F32 ? 16 : 8);
    return DD_OK;
}

static dd_status open_adaln(ck_bench_work *w, const ck_bench_case *c, dd_format format)
{
    dd_adaln_args *g = &w->args.adaln;
    const double live = c->rows ? c->rows : c->m;
    *g = (dd_adaln_args){
        .y_format = format, .ldy = D, .scale = D, .r = c->m / TOKENS, .s = TOKENS, .d = D, .eps = DD_LN_EPS};
    g->x = ck_bench_numbers(w, (size_t)c->m * D);
    g->y = ck_bench_matrix(w, format, c->m, D);
    g->cond = conditions(w, 2 * D);
    if (c->rows) g->rows = every_other_row(w, c->rows);
    w->bytes = live * D * (format == DD_FMT_F32 ? 8 : 6);
    return DD_OK;
}

/* Bytes of the branches alone: those of x stay in the cache from one op to the next. */
static dd_status open_gated_add(ck_bench_work *w, const ck_bench_case *c)
{
    dd_gated_add_args *g = &w->args.gated_add;
    const size_t branch = (size_t)(c->rows ? c->rows : c->m) * D;
    *g = (dd_gated_add_args){.n = DD_MAX_BRANCHES, .r = c->m / TOKENS, .s = TOKENS, .d = D};
    g->x = ck_bench_numbers(w, (size_t)c->m * D);
    g->cond = conditions(w, DD_MAX_BRANCHES * D);
    w->branches = ck_bench_own(w, CK_BENCH_STEP * DD_MAX_BRANCHES * branch * sizeof(float));
    const dd_row_list rows = c->rows ? every_other_row(w, c->rows) : (dd_row_list){NULL, NULL};
    for (int i = 0; i < g->n; i++) g->branch[i] = (dd_branch){.f = w->branches, .rows = rows, .gate = i * D};
    w->bytes = 4.0 * DD_MAX_BRANCHES * (double)branch;
    return DD_OK;
}

static dd_status open_route(ck_bench_work *w, const ck_bench_case *c, const ck_impl *impl)
{
    dd_route_args *g = &w->args.route;
    const int64_t n = c->m, j = D / 16;
    *g = (dd_route_args){.r = c->m / TOKENS, .s = TOKENS, .d = D, .j = (int32_t)j};
    g->x = ck_bench_numbers(w, (size_t)(n * D));
    g->b1 = g->w2 = g->b2 = ck_bench_numbers(w, (size_t)j);
    g->idx = ck_bench_own(w, (size_t)n * sizeof *g->idx);
    g->count = ck_bench_own(w, sizeof *g->count);
    g->mask = ck_bench_own(w, (size_t)n);
    const dd_weight_desc desc = {
        .name = "w1", .data = ck_bench_weight_numbers(w, j, D), .dtype = DD_F32, .n = j, .k = D, .n_unit = j};
    w->flops = 2 * (double)n * D * (double)j;
    w->bytes = 4.0 * (double)(n * D + j * D);
    return ck_bench_weights(w, impl, &desc, 0);
}

dd_status ck_bench_open(ck_bench_work *w, const ck_bench_case *c, const ck_impl *impl, dd_format format)
{
    memset(w, 0, sizeof *w);
    w->scratch = impl->scratch_bytes(impl, TOKENS, D / HEADS, D / 16);
    const dd_format pixels = format == DD_FMT_F32 ? DD_FMT_F32 : DD_FMT_BF16;
    switch (c->op) {
    case DD_OP_gemm: return open_gemm(w, c, impl, format);
    case DD_OP_attention: return open_attention(w, c, format);
    case DD_OP_adaln: return open_adaln(w, c, format);
    case DD_OP_gated_add: return open_gated_add(w, c);
    case DD_OP_route: return open_route(w, c, impl);
    case DD_OP_conv2d: return ck_bench_conv2d(w, c, impl, pixels);
    case DD_OP_group_norm: return ck_bench_group_norm(w, c, pixels);
    case DD_OP_pixel_attention: return ck_bench_pixel_attention(w, c, impl, pixels);
    default: return DD_ERR_UNSUPPORTED;
    }
}

void ck_bench_close(ck_bench_work *w)
{
    for (int i = 0; i < w->n_owned; i++) free(w->owned[i]);
    w->n_owned = 0;
}
