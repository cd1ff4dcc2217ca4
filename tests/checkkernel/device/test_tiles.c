/* SPDX-License-Identifier: MIT
 * The tiles of the tensor-core GEMM on the emulator: all give the same bits, whatever is sliced and wherever the result lies;
 * ldmatrix meets no bank conflicts; larger problems get larger tiles. That the bits are right is for checkkernel to say,
 * which takes the tile that dd_cuda_gemm chooses. Prints `ok - NAME` or `not ok - NAME`.
 *
 *   test_tiles [TYPE...]     of operands: bf16, f16, tf32; all three unless said otherwise */
#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu_stats.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/gemm_mma.h"

#define M 150 /* rows; the device counts LIVE of them */
#define LIVE 133
#define N 192
#define UNIT 48
#define K 200 /* 25 chunks: the last step of every tile is half as deep for 16 bits */
#define TOKENS 25
#define SIDE 256 /* room for a row of anything */

static const int32_t n_list[] = {12, 0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17}; /* units 0 and 2 */
static const int32_t k_list[] = {11, 0, 2, 3, 7, 9, 10, 11, 15, 20, 23, 24};
static const int32_t zero, live = LIVE;

static int failed;

static void verdict(bool ok, const char *what, const char *name)
{
    printf("%s - %s, %s\n", ok ? "ok" : "not ok", what, name);
    failed += !ok;
}

static void must(cudaError_t e)
{
    if (e == cudaSuccess) return;
    fprintf(stderr, "test_tiles: %s\n", cudaGetErrorString(e));
    exit(2);
}

static void *upload(const void *p, size_t bytes)
{
    void *to;
    must(cudaMalloc(&to, bytes));
    must(cudaMemcpy(to, p, bytes, cudaMemcpyHostToDevice));
    return to;
}

/* Values in [-1, 1). */
static void *draw(size_t n, dd_dtype type, uint32_t seed)
{
    float *f = malloc(n * sizeof *f);
    uint16_t *h = malloc(n * sizeof *h);
    if (!f || !h) exit(2);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        f[i] = dd_rounded((float)(int32_t)seed * 0x1p-31f, type);
        h[i] = type == DD_F16 ? dd_f32_to_f16(f[i]) : dd_f32_to_bf16(f[i]);
    }
    void *to = dd_dtype_bytes(type) == 2 ? upload(h, n * sizeof *h) : upload(f, n * sizeof *f);
    free(f);
    free(h);
    return to;
}

typedef struct problem {
    const char *name;
    dd_epilogue epilogue;
    bool narrow;       /* the result is of the operands' type, else float32 */
    bool slices, list; /* of N and K; of rows */
    int shift;         /* elements by which the result is not aligned */
} problem;

static const problem problems[] = {
    {"float32", DD_EPI_BIAS, false, false, false, 0},
    {"narrow", DD_EPI_BIAS, true, true, false, 0},
    {"narrow, not aligned", DD_EPI_BIAS, true, true, false, 1},
    {"GELU of counted rows", DD_EPI_GELU, true, true, true, 0},
    {"residual of counted rows", DD_EPI_RESIDUAL, false, true, true, 0},
    {"residual of counted rows, not aligned", DD_EPI_RESIDUAL, false, true, true, 1},
};

static const struct {
    const char *name;
    dd_format format;
} types[] = {{"bf16", DD_FMT_BF16}, {"f16", DD_FMT_F16}, {"tf32", DD_FMT_TF32}};

/* Everything on the device but the result; allocated once, freed at the end of the program. */
typedef struct inputs {
    dd_format format; /* of a and w */
    void *a, *w, *bias, *table, *n_list, *k_list, *zero, *live, *idx, *row_cond;
    dd_packed *packed;
    _Alignas(64) unsigned char header[DD_CUDA_HEADER];
} inputs;

static void inputs_open(inputs *in, dd_format format)
{
    const dd_dtype type = dd_format_dtype(format);
    int32_t idx[M], cond[M / TOKENS];
    for (int i = 0; i < M; i++) idx[i] = i < LIVE ? i + i / 8 : 0; /* ascending, with gaps: below M */
    for (int i = 0; i < M / TOKENS; i++) cond[i] = i % 2;
    in->format = format;
    in->a = draw(M * SIDE, type, 1);
    in->w = draw(N * K, type, 2);
    in->bias = draw(N, DD_F32, 3);
    in->table = draw(2 * N, DD_F32, 4);
    in->n_list = upload(n_list, sizeof n_list);
    in->k_list = upload(k_list, sizeof k_list);
    in->zero = upload(&zero, sizeof zero);
    in->live = upload(&live, sizeof live);
    in->idx = upload(idx, sizeof idx);
    in->row_cond = upload(cond, sizeof cond);
    const dd_weight_desc desc = {
        .name = "w", .data = in->w, .dtype = DD_F32, .n = N, .k = K, .n_unit = UNIT, .as = type};
    if (dd_cuda_pack_bind(&desc, in->w, in->header, &in->packed) != DD_OK) exit(2);
}

static void inputs_close(inputs *in)
{
    void *const all[] = {in->a,      in->w,    in->bias, in->table, in->n_list,
                         in->k_list, in->zero, in->live, in->idx,   in->row_cond};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) must(cudaFree(all[i]));
}

static dd_gemm_args args_of(const inputs *in, const problem *p, void *c)
{
    const dd_format c_format = p->narrow ? in->format : DD_FMT_F32;
    dd_gemm_args g = {.a = in->a,
                      .w = in->packed,
                      .bias = in->bias,
                      .c = (char *)c + (size_t)p->shift * dd_dtype_bytes(dd_format_dtype(c_format)),
                      .a_format = in->format,
                      .c_format = c_format,
                      .lda = SIDE,
                      .ldc = SIDE,
                      .m = M,
                      .epilogue = p->epilogue,
                      .s = TOKENS};
    if (p->slices) {
        g.n = (dd_slices){in->n_list, in->zero};
        g.k = (dd_slices){in->k_list, in->zero};
    }
    if (p->list) g.rows = (dd_row_list){in->idx, in->live};
    g.gate = (dd_cond_table){in->table, 2 * N, N, in->zero, in->row_cond};
    return g;
}

#define RESULT ((M + 1) * SIDE * sizeof(float))

/* The result starts from the same values for each tile; they stay where nothing is written. */
static bool run(const inputs *in, const problem *p, int tile, unsigned char *result)
{
    void *c = draw(RESULT / sizeof(float), DD_F32, 5);
    const dd_gemm_args g = args_of(in, p, c);
    const dd_exec exec = {.step = in->zero};
    const dd_status st = dd_cuda_gemm_mma_takes(&g) ? dd_cuda_gemm_mma(&exec, &g, tile) : DD_ERR_UNSUPPORTED;
    must(cudaMemcpy(result, c, RESULT, cudaMemcpyDeviceToHost));
    must(cudaFree(c));
    return st == DD_OK;
}

static bool same(const inputs *in, const problem *p, int tile)
{
    static unsigned char first[RESULT], before[RESULT], result[RESULT];
    if (tile == 0) {
        void *c = draw(RESULT / sizeof(float), DD_F32, 5);
        must(cudaMemcpy(before, c, RESULT, cudaMemcpyDeviceToHost));
        must(cudaFree(c));
    }
    if (!run(in, p, tile, result)) return false;
    if (tile == 0) memcpy(first, result, RESULT);
    return memcmp(first, result, RESULT) == 0 && memcmp(before, result, RESULT) != 0;
}

static void check_choice(const inputs *in)
{
    dd_gemm_args g = args_of(in, &problems[0], NULL);
    int last = DD_CUDA_MMA_TILES - 1;
    bool falls = true;
    for (g.m = 1; g.m < 1 << 16; g.m *= 2) {
        const int tile = dd_cuda_gemm_mma_tile(&g);
        falls = falls && tile >= 0 && tile <= last && (g.m > 1 || tile == last);
        last = tile;
    }
    verdict(falls && last <= 1, "more rows, larger tiles", dd_cuda_gemm_mma_names[last]);
}

static void check_type(const char *name, dd_format format)
{
    inputs in;
    inputs_open(&in, format);
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
        for (int t = 0; t < DD_CUDA_MMA_TILES; t++) {
            char what[96];
            snprintf(what, sizeof what, "%s, %s", name, problems[i].name);
            verdict(same(&in, &problems[i], t), what, dd_cuda_gemm_mma_names[t]);
        }
    check_choice(&in);
    inputs_close(&in);
}

static bool named(const char *name, int n, char **names)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return true;
    return n == 0;
}

int main(int argc, char **argv)
{
    emu_stats stats;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (named(types[i].name, argc - 1, argv + 1)) check_type(types[i].name, types[i].format);
    emu_stats_get(&stats);
    verdict(stats.mma > 0 && stats.ldmatrix_phases > 0, "tensor cores", "in use");
    verdict(stats.ldmatrix_conflicts == 0, "ldmatrix", "no bank conflicts");
    return failed != 0;
}
