/* SPDX-License-Identifier: MIT
 * What happens on the device before the first op: packing of weights, bit for bit and wherever a file is cut; values that
 * it must refuse, at every kind of place; the step counter. Linked with the emulator, which stops an access out of
 * bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cuda_runtime_api.h>
#include <cmocka.h>

#include "kernels/cuda/cuda.h"
#include "tests/checkkernel/data.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static const dd_dtype stored[] = {DD_F32, DD_F16, DD_BF16}, kept[] = {DD_F32, DD_BF16, DD_F16, DD_TF32};

static void must(cudaError_t e)
{
    if (e != cudaSuccess) fail_msg("%s", cudaGetErrorString(e));
}

/* Packs pieces of `rows` rows of the file, the last one first. out: of dd_cuda_packed_bytes. The flag afterwards. */
static int32_t pack(const dd_weight_desc *d, int64_t rows, int32_t flag, void *out)
{
    const size_t row = (size_t)d->k * dd_dtype_bytes(d->dtype), bytes = dd_cuda_packed_bytes(d);
    void *data;
    int32_t *bad;
    must(cudaMalloc(&data, bytes));
    must(cudaMalloc((void **)&bad, sizeof *bad));
    must(cudaMemcpy(bad, &flag, sizeof flag, cudaMemcpyHostToDevice));
    for (int64_t first = (d->n - 1) / rows * rows; first >= 0; first -= rows) {
        const int64_t last = first + rows < d->n ? first + rows : d->n;
        void *raw;
        must(cudaMalloc(&raw, row * (size_t)(last - first)));
        must(cudaMemcpy(raw, (const char *)d->data + row * (size_t)first, row * (size_t)(last - first),
                        cudaMemcpyHostToDevice));
        assert_int_equal(dd_cuda_pack(NULL, d, raw, first, last, data, bad), DD_OK);
        must(cudaDeviceSynchronize());
        must(cudaFree(raw));
    }
    must(cudaMemcpy(out, data, bytes, cudaMemcpyDeviceToHost));
    must(cudaMemcpy(&flag, bad, sizeof flag, cudaMemcpyDeviceToHost));
    must(cudaFree(data));
    must(cudaFree(bad));
    return flag;
}

/* Any bits of a finite value, first those that rounding could get wrong: ties, subnormals, negative zero, the largest. */
static void fill(ck_rng *r, void *data, size_t n, dd_dtype dtype, dd_dtype as)
{
    static const uint32_t f32[] = {0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff,
                                   0x80000000, 1,          0x007fffff, 0x7f7f7fff};
    static const uint16_t f16[] = {0x3c01, 1, 0x83ff, 0x7bff, 0xfbff, 0x0400, 0x8000, 0x3555};
    static const uint16_t bf16[] = {0x7f7f, 0xff7f, 1, 0x807f, 0x8000, 0x3f81, 0x0080, 0x4049};
    for (size_t i = 0; i < n; i++) {
        const uint32_t any = (uint32_t)ck_rng_bits(r);
        switch (dtype) {
        case DD_F32: ((uint32_t *)data)[i] = i < 8 ? f32[i] : any & 0xbfffffffu; break;
        case DD_F16: ((uint16_t *)data)[i] = i < 8 ? f16[i] : (uint16_t)(any & 0xbfffu); break;
        default: ((uint16_t *)data)[i] = i < 8 ? bf16[i] : (uint16_t)(any & 0xbfffu); break;
        }
        if (as == DD_F16 && dtype == DD_F32 && i == 7) ((uint32_t *)data)[i] = 0x477fefff; /* the largest there */
        if (as == DD_F16 && dtype == DD_BF16 && i < 2) ((uint16_t *)data)[i] = (uint16_t)(0x477f | i << 15);
    }
}

static void assert_packed(const dd_weight_desc *d, const void *packed, int64_t rows)
{
    for (int64_t i = 0; i < d->n * d->k; i++) {
        const int64_t from = dd_weight_row(d, i / d->k) * d->k + i % d->k;
        const float want = dd_load_f32((const char *)d->data + (size_t)from * dd_dtype_bytes(d->dtype), d->dtype);
        const uint16_t half = d->as == DD_F16 ? dd_f32_to_f16(want) : dd_f32_to_bf16(want);
        const int same = dd_dtype_bytes(d->as) == 4
                             ? ((const uint32_t *)packed)[i] == dd_f32_bits(dd_rounded(want, d->as))
                             : ((const uint16_t *)packed)[i] == half;
        if (!same)
            fail_msg("n %d, k %d, pieces of %d, dtype %d as %d: element %d is wrong", (int)d->n, (int)d->k, (int)rows,
                     (int)d->dtype, (int)d->as, (int)i);
    }
}

static void bits_and_places(void **state)
{
    (void)state;
    static const int dims[][4] = {{1, 1, 1, 1},   {7, 5, 7, 1},    {24, 8, 8, 1},  {48, 9, 24, 3}, {48, 16, 24, 3},
                                  {16, 12, 8, 2}, {64, 72, 64, 1}, {9, 1151, 9, 0}}; /* n, k, unit, parts */
    ck_rng r = ck_rng_open(1, "pack");
    for (int i = 0; i < COUNT(dims); i++)
        for (int t = 0; t < COUNT(stored); t++)
            for (int as = 0; as < COUNT(kept); as++) {
                const int64_t n = dims[i][0], k = dims[i][1];
                void *data = malloc((size_t)(n * k) * 4), *packed = malloc((size_t)(n * k) * 4);
                fill(&r, data, (size_t)(n * k), stored[t], kept[as]);
                const dd_weight_desc d = {.name = "w",
                                          .data = data,
                                          .dtype = stored[t],
                                          .n = n,
                                          .k = k,
                                          .n_unit = dims[i][2],
                                          .parts = dims[i][3],
                                          .as = kept[as]};
                for (int64_t rows = n; rows > 0; rows = rows > 5 ? 5 : rows - 4) {
                    assert_int_equal(pack(&d, rows, 0, packed), 0);
                    assert_packed(&d, packed, rows);
                }
                free(data);
                free(packed);
            }
}

static void put(void *data, int64_t i, dd_dtype dtype, uint32_t f32)
{
    if (dtype == DD_F32) ((uint32_t *)data)[i] = f32;
    else if (dtype == DD_BF16) ((uint16_t *)data)[i] = (uint16_t)(f32 >> 16);
    else ((uint16_t *)data)[i] = (uint16_t)((f32 >> 16 & 0xfc00) | (f32 >> 13 & 0x3ff));
}

/* Pieces of 5 of 12 rows: the first and the last row of each, the first and last element of a row and of its chunks. */
static void refused_values(void **state)
{
    (void)state;
    static const uint32_t values[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffa00000};
    static const int rows[] = {0, 4, 5, 9, 10, 11}, depths[] = {16, 19};
    uint32_t data[12 * 19], packed[12 * 19];
    for (int at = 0; at < COUNT(depths) * COUNT(rows) * COUNT(stored) * COUNT(kept) * COUNT(values); at++) {
        const int k = depths[at % 2], row = rows[at / 2 % COUNT(rows)], v = at / (36 * COUNT(kept));
        const dd_weight_desc d = {.name = "w",
                                  .data = data,
                                  .dtype = stored[at / 12 % 3],
                                  .n = 12,
                                  .k = k,
                                  .n_unit = 12,
                                  .parts = 3,
                                  .as = kept[at / 36 % COUNT(kept)]};
        const int columns[] = {0, 7, 8, 15, k - 1};
        for (int c = 0; c < COUNT(columns); c++) {
            for (int i = 0; i < 12 * k; i++) put(data, i, d.dtype, 0x3f800000);
            assert_int_equal(pack(&d, 5, 0, packed), 0);
            put(data, (int64_t)row * k + columns[c], d.dtype, values[v]);
            if (pack(&d, 5, 0, packed) != 1)
                fail_msg("dtype %d as %d: %08x passed at [%d,%d] of k %d", (int)d.dtype, (int)d.as, values[v], row,
                         columns[c], k);
        }
    }
}

/* What rounds to infinity is refused where it is rounded; a flag that was set stays so. */
static void overflow_and_flag(void **state)
{
    (void)state;
    uint32_t data[9] = {0x3f800000, 0, 0, 0, 0, 0, 0, 0, 0x7f7f8000}, packed[9];
    dd_weight_desc d = {.name = "w", .data = data, .dtype = DD_F32, .n = 1, .k = 9, .n_unit = 1, .as = DD_BF16};
    assert_int_equal(pack(&d, 1, 0, packed), 1);
    data[8] = 0x7f7f7fff;
    assert_int_equal(pack(&d, 1, 0, packed), 0);
    assert_int_equal(pack(&d, 1, 1, packed), 1);
    d.as = DD_F32;
    data[8] = 0x7f7fffff;
    assert_int_equal(pack(&d, 1, 0, packed), 0);
    d.as = DD_TF32;
    assert_int_equal(pack(&d, 1, 0, packed), 1);
    data[8] = 0x7f7fefff;
    assert_int_equal(pack(&d, 1, 0, packed), 0);
    d.as = DD_F16;
    data[8] = 0x477ff000;
    assert_int_equal(pack(&d, 1, 0, packed), 1);
    data[8] = 0x477fefff;
    assert_int_equal(pack(&d, 1, 0, packed), 0);
}

static void refused_arguments(void **state)
{
    (void)state;
    _Alignas(64) unsigned char storage[DD_CUDA_HEADER];
    const float w[24] = {0};
    const dd_weight_desc good = {.name = "w", .data = w, .dtype = DD_F32, .n = 8, .k = 3, .n_unit = 8};
    dd_weight_desc d = good;
    dd_packed *out;
    char *p;
    must(cudaMalloc((void **)&p, 256));
    int32_t *bad = (int32_t *)(void *)(p + 128);
    assert_int_equal(dd_cuda_pack(NULL, &d, p, 4, 4, p, bad), DD_OK);
    assert_int_equal(dd_cuda_pack(NULL, NULL, p, 0, 8, p, bad), DD_ERR_ARG);
    assert_int_equal(dd_cuda_pack(NULL, &d, NULL, 0, 8, p, bad), DD_ERR_ARG);
    assert_int_equal(dd_cuda_pack(NULL, &d, p, 0, 8, NULL, bad), DD_ERR_ARG);
    assert_int_equal(dd_cuda_pack(NULL, &d, p, 0, 8, p, NULL), DD_ERR_ARG);
    assert_int_equal(dd_cuda_pack(NULL, &d, p + 8, 0, 8, p, bad), DD_ERR_ARG);
    assert_int_equal(dd_cuda_pack(NULL, &d, p, 0, 8, p + 4, bad), DD_ERR_ARG);
    assert_int_equal(dd_cuda_pack(NULL, &d, p, -1, 8, p, bad), DD_ERR_ARG);
    assert_int_equal(dd_cuda_pack(NULL, &d, p, 5, 4, p, bad), DD_ERR_ARG);
    assert_int_equal(dd_cuda_pack(NULL, &d, p, 0, 9, p, bad), DD_ERR_ARG);
    assert_int_equal(dd_cuda_pack_bind(&d, NULL, storage, &out), DD_ERR_ARG);
    assert_int_equal(dd_cuda_pack_bind(&d, p, NULL, &out), DD_ERR_ARG);
    d.dtype = DD_I64;
    assert_int_equal(dd_cuda_pack(NULL, &d, p, 0, 8, p, bad), DD_ERR_UNSUPPORTED);
    assert_int_equal(dd_cuda_pack_bind(&d, p, storage, &out), DD_ERR_UNSUPPORTED);
    assert_int_equal(dd_cuda_packed_bytes(&d), 0);
    d = good;
    d.as = DD_F64;
    assert_int_equal(dd_cuda_pack(NULL, &d, p, 0, 8, p, bad), DD_ERR_ARG);
    d = good;
    d.n_unit = 3;
    assert_int_equal(dd_cuda_packed_bytes(&d), 0);
    must(cudaFree(p));
}

static int32_t step_of(const int32_t *step)
{
    int32_t v;
    must(cudaMemcpy(&v, step, sizeof v, cudaMemcpyDeviceToHost));
    return v;
}

/* In the order of the stream, and again from a graph. */
static void step_counter(void **state)
{
    (void)state;
    int32_t *step;
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t made;
    must(cudaMalloc((void **)&step, sizeof *step));
    must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    assert_int_equal(dd_cuda_set_step(stream, NULL, 0), DD_ERR_ARG);
    assert_int_equal(dd_cuda_set_step(stream, step, -1), DD_ERR_ARG);
    assert_int_equal(dd_cuda_set_step(stream, step, 7), DD_OK);
    assert_int_equal(dd_cuda_set_step(stream, step, 249), DD_OK);
    must(cudaStreamSynchronize(stream));
    assert_int_equal(step_of(step), 249);
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    assert_int_equal(dd_cuda_set_step(stream, step, 3), DD_OK);
    must(cudaStreamEndCapture(stream, &graph));
    must(cudaGraphInstantiate(&made, graph, 0));
    assert_int_equal(step_of(step), 249);
    must(cudaGraphLaunch(made, stream));
    must(cudaStreamSynchronize(stream));
    assert_int_equal(step_of(step), 3);
    must(cudaGraphExecDestroy(made));
    must(cudaGraphDestroy(graph));
    must(cudaStreamDestroy(stream));
    must(cudaFree(step));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_and_places),   cmocka_unit_test(refused_values), cmocka_unit_test(overflow_and_flag),
        cmocka_unit_test(refused_arguments), cmocka_unit_test(step_counter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
