/* SPDX-License-Identifier: MIT
 * What launchers refuse: every precondition that the host can check, one bad argument at a time beside others that are good.
 * The status is the documented one, nothing was launched and no error of CUDA is left behind; the good arguments do launch.
 * `test_refuse device`: launches fail; the status says so, cudaGetLastError says why, and the next launch is well.
 * Prints `ok - OP: N` or what was wrong, then `not ok - OP`. */
#define _XOPEN_SOURCE 700
#include <cuda_runtime_api.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu_stats.h"
#include "tests/checkkernel/device/refuse.h"

char *in, *out;
dd_exec exec;
bool failing;
static int n_cases, n_bad, n_failed;

static void must(cudaError_t e)
{
    if (e == cudaSuccess) return;
    fprintf(stderr, "test_refuse: %s\n", cudaGetErrorString(e));
    exit(2);
}

/* Kernels that ran since this was asked last. */
static int launches(void)
{
    static uint64_t before;
    emu_stats now;
    must(cudaDeviceSynchronize());
    emu_stats_get(&now);
    const int n = (int)(now.kernels - before);
    before = now.kernels;
    return n;
}

void wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("# ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    n_bad++;
}

void expect(const char *what, dd_status got, dd_status want, int kernels)
{
    const cudaError_t left = cudaPeekAtLastError();
    (void)cudaGetLastError();
    const int ran = launches();
    n_cases++;
    if (got == want && ran == kernels && left == cudaSuccess) return;
    wrong("%s: status %d and not %d, %d launches and not %d, %s", what, (int)got, (int)want, ran, kernels,
          cudaGetErrorString(left));
}

void expect_good(const char *what, dd_status first, dd_status second, int kernels)
{
    expect(what, second, DD_OK, failing ? kernels : 2 * kernels);
    if (first != (failing ? DD_ERR_DEVICE : DD_OK)) wrong("%s: status %d", what, (int)first);
}

dd_status after_failure(dd_status st)
{
    if (!failing) return st;
    const cudaError_t why = cudaGetLastError();
    if (why == cudaErrorLaunchFailure && cudaGetLastError() == cudaSuccess) return st;
    wrong("the error is %s", cudaGetErrorString(why));
    return DD_ERR_INTERNAL;
}

void section(const char *name)
{
    printf("%s - %s: %d\n", n_bad || n_cases == 0 ? "not ok" : "ok", name, n_cases);
    n_failed += n_bad || n_cases == 0;
    n_cases = n_bad = 0;
}

dd_packed *weight(int64_t n, int64_t k, int64_t unit, dd_dtype as)
{
    static dd_packed w[8];
    static int turn;
    dd_packed *p = &w[turn++ % 8];
    *p = (dd_packed){.tag = DD_CUDA_TAG, .as = as, .n = n, .k = k, .unit = unit, .data = in};
    return p;
}

dd_packed *foreign(dd_packed *w)
{
    w->tag ^= 1;
    return w;
}

dd_packed *empty(dd_packed *w)
{
    w->data = NULL;
    return w;
}

dd_cond_table table(void) { return (dd_cond_table){F(in), 64, 64, I(in), I(in)}; }

/* ---- beside the ops ------------------------------------------------------------------------------------------- */

static dd_weight_desc desc(void)
{
    return (dd_weight_desc){.name = "w", .data = in, .dtype = DD_F32, .n = 16, .k = 3, .n_unit = 8, .as = DD_F32};
}

/* Of what a description may be, for everything that takes one. */
static void bad_desc(dd_status want, dd_weight_desc d, const char *what)
{
    _Alignas(64) char header[DD_CUDA_HEADER];
    dd_packed *w;
    expect(what, dd_cuda_pack(exec.stream, &d, in, 0, 16, out, I(out + 4096)), want, 0);
    expect(what, dd_cuda_pack_bind(&d, out, header, &w), want, 0);
    expect(what, dd_cuda_packed_bytes(&d) == 0 ? DD_OK : DD_ERR_INTERNAL, DD_OK, 0);
}

#define BAD_DESC(want, ...)                         \
    do {                                            \
        dd_weight_desc x = desc();                  \
        __VA_ARGS__;                                \
        bad_desc((want), x, "pack: " #__VA_ARGS__); \
    } while (0)
#define BAD_CALL(call) expect(#call, call, DD_ERR_ARG, 0)

static void pack_refuses(const dd_weight_desc *d)
{
    _Alignas(64) char header[DD_CUDA_HEADER];
    void *const s = exec.stream;
    int32_t *bad = I(out + 4096);
    dd_packed *w;
    expect("no rows", dd_cuda_pack(s, d, in, 4, 4, out, bad), DD_OK, 0);
    BAD_CALL(dd_cuda_pack(s, NULL, in, 0, 16, out, bad));
    BAD_CALL(dd_cuda_pack(s, d, NULL, 0, 16, out, bad));
    BAD_CALL(dd_cuda_pack(s, d, in, 0, 16, NULL, bad));
    BAD_CALL(dd_cuda_pack(s, d, in, 0, 16, out, NULL));
    BAD_CALL(dd_cuda_pack(s, d, in + 8, 0, 16, out, bad));
    BAD_CALL(dd_cuda_pack(s, d, in, 0, 16, out + 8, bad));
    BAD_CALL(dd_cuda_pack(s, d, in, -1, 16, out, bad));
    BAD_CALL(dd_cuda_pack(s, d, in, 5, 4, out, bad));
    BAD_CALL(dd_cuda_pack(s, d, in, 0, 17, out, bad));
    expect("bind", dd_cuda_pack_bind(d, out, header, &w), DD_OK, 0);
    BAD_CALL(dd_cuda_pack_bind(NULL, out, header, &w));
    BAD_CALL(dd_cuda_pack_bind(d, NULL, header, &w));
    BAD_CALL(dd_cuda_pack_bind(d, out, NULL, &w));
    BAD_CALL(dd_cuda_pack_bind(d, out, header, NULL));
    BAD_DESC(DD_ERR_ARG, x.data = NULL);
    BAD_DESC(DD_ERR_ARG, x.n = 0);
    BAD_DESC(DD_ERR_ARG, x.k = 0);
    BAD_DESC(DD_ERR_ARG, x.n_unit = 0);
    BAD_DESC(DD_ERR_ARG, x.n_unit = 5);
    BAD_DESC(DD_ERR_ARG, x.n_unit = 4);
    BAD_DESC(DD_ERR_ARG, x.parts = 3);
    BAD_DESC(DD_ERR_ARG, x.parts = -1);
    BAD_DESC(DD_ERR_ARG, x.as = DD_F64);
    BAD_DESC(DD_ERR_ARG, x.k = (int64_t)INT32_MAX + 1);
    BAD_DESC(DD_ERR_UNSUPPORTED, x.dtype = DD_I64);
}

static void test_pack(void)
{
    static const dd_dtype types[] = {DD_F32, DD_F16, DD_BF16}, as[] = {DD_F32, DD_TF32, DD_BF16, DD_F16};
    const dd_weight_desc d = desc();
    for (int i = 0; i < 12; i++) {
        dd_weight_desc each = d;
        each.dtype = types[i / 4], each.as = as[i % 4];
        CALL(dd_cuda_pack(exec.stream, &each, in, 0, 16, out, I(out + 4096)), 1);
    }
    if (!failing) pack_refuses(&d);
    section("pack");
}

static void test_step(void)
{
    CALL(dd_cuda_set_step(exec.stream, I(out), 3), 1);
    if (!failing) {
        BAD_CALL(dd_cuda_set_step(exec.stream, NULL, 0));
        BAD_CALL(dd_cuda_set_step(exec.stream, I(out), -1));
        expect("code for the device", dd_cuda_has_code(), DD_OK, 0);
    }
    section("set_step");
}

int main(int argc, char **argv)
{
    cudaStream_t stream;
    failing = argc > 1 && strcmp(argv[1], "device") == 0;
    if (failing) { /* before the first call, which reads it */
        char text[4096] = "cudaMemcpyAsync:1";
        for (int i = 1; i < 160; i += 2) sprintf(text + strlen(text), ",cudaLaunchKernel:%d", i);
        setenv("EMU_FAIL", text, 1);
    }
    must(cudaMalloc((void **)&in, BYTES));
    must(cudaMalloc((void **)&out, BYTES));
    must(cudaMemset(in, 0, BYTES));
    must(cudaMemset(out, 0, BYTES));
    must(cudaDeviceSynchronize());
    must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    exec = (dd_exec){.step = I(in), .stream = stream};
    test_small_ops();
    test_gemm();
    test_attention();
    test_route();
    test_pictures();
    test_pack();
    test_step();
    must(cudaStreamDestroy(stream));
    must(cudaFree(in));
    must(cudaFree(out));
    return n_failed != 0;
}
