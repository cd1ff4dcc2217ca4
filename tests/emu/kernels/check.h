/* SPDX-License-Identifier: MIT
 * For the tests of the emulator. A function of the device runs instructions and logs what came out beside what the PTX
 * manual says; the host compares. */
#ifndef EMU_CHECK_H
#define EMU_CHECK_H

#include <cuda_runtime.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu_stats.h"

struct Case {
    int line, is_float;
    unsigned long long got, want;
};

struct Log {
    int n;
    Case cases[1000];
};

static int n_failed;

static inline void verdict(bool ok, const char *name)
{
    printf("%s - %s\n", ok ? "ok" : "not ok", name);
    if (!ok) n_failed++;
}

#define CU(call)                                                                            \
    do {                                                                                    \
        const cudaError_t e_ = (call);                                                      \
        if (e_ != cudaSuccess) {                                                            \
            printf("#   %s:%d: %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorName(e_)); \
            n_failed++;                                                                     \
        }                                                                                   \
    } while (0)

/* ---- device: one case -------------------------------------------------------------------------------------------- */

__device__ inline void log_bits(Log *log, int line, int is_float, unsigned long long got, unsigned long long want)
{
    Case *c = &log->cases[atomicAdd(&log->n, 1) % 1000];
    c->line = line, c->is_float = is_float, c->got = got, c->want = want;
}
__device__ inline void log_case(Log *l, int line, unsigned g, unsigned w) { log_bits(l, line, 0, g, w); }
__device__ inline void log_case(Log *l, int line, int g, int w) { log_bits(l, line, 0, (unsigned)g, (unsigned)w); }
__device__ inline void log_case(Log *l, int line, unsigned short g, unsigned short w) { log_bits(l, line, 0, g, w); }
__device__ inline void log_case(Log *l, int line, unsigned long long g, unsigned long long w)
{
    log_bits(l, line, 0, g, w);
}
__device__ inline void log_case(Log *l, int line, float g, float w)
{
    log_bits(l, line, 1, __float_as_uint(g), __float_as_uint(w));
}
__device__ inline void log_case(Log *l, int line, double g, double w)
{
    log_bits(l, line, 2, (unsigned long long)__double_as_longlong(g), (unsigned long long)__double_as_longlong(w));
}

/* EXPECT(type, constraint of the result, what it must be, asm text, inputs...) */
#define EXPECT(T, C, want, text, ...)             \
    do {                                          \
        T d_;                                     \
        asm volatile(text : C(d_) : __VA_ARGS__); \
        log_case(log, __LINE__, d_, (T)(want));   \
    } while (0)
#define R(x) "r"((unsigned)(x))
#define L(x) "l"((unsigned long long)(x))
#define H(x) "h"((unsigned short)(x))
#define F(x) "f"((float)(x))
#define D(x) "d"((double)(x))
#define I1(op, want, a) EXPECT(unsigned, "=r", want, op " %0, %1;", R(a))
#define I2(op, want, a, b) EXPECT(unsigned, "=r", want, op " %0, %1, %2;", R(a), R(b))
#define I3(op, want, a, b, c) EXPECT(unsigned, "=r", want, op " %0, %1, %2, %3;", R(a), R(b), R(c))
#define L1(op, want, a) EXPECT(unsigned long long, "=l", want, op " %0, %1;", L(a))
#define L2(op, want, a, b) EXPECT(unsigned long long, "=l", want, op " %0, %1, %2;", L(a), L(b))
#define H2(op, want, a, b) EXPECT(unsigned short, "=h", want, op " %0, %1, %2;", H(a), H(b))
#define F1(op, want, a) EXPECT(float, "=f", want, op " %0, %1;", F(a))
#define F2(op, want, a, b) EXPECT(float, "=f", want, op " %0, %1, %2;", F(a), F(b))
#define F3(op, want, a, b, c) EXPECT(float, "=f", want, op " %0, %1, %2, %3;", F(a), F(b), F(c))
#define D1(op, want, a) EXPECT(double, "=d", want, op " %0, %1;", D(a))
#define D2(op, want, a, b) EXPECT(double, "=d", want, op " %0, %1, %2;", D(a), D(b))
/* A predicate, as 0 or 1. */
#define P2(op, want, C, a, b) \
    EXPECT(unsigned, "=r", want, "{ .reg .pred p; " op " p, %1, %2; selp.u32 %0, 1, 0, p; }", C(a), C(b))

#define NANF __int_as_float(0x7fffffff)
#define INFF __int_as_float(0x7f800000)

/* ---- host -------------------------------------------------------------------------------------------------------- */

static inline bool is_nan_bits(const Case &c, unsigned long long v)
{
    return c.is_float == 1 ? (v & 0x7fffffff) > 0x7f800000
                           : c.is_float == 2 && (v & ~(1ull << 63)) > 0x7ff0000000000000ull;
}

/* A NaN is expected as a NaN; everything else bit for bit. */
static inline void compare(const char *name, void (*kernel)(Log *), int threads = 1, size_t shared = 0)
{
    Log *log;
    char text[200];
    int bad = 0;
    CU(cudaMallocHost((void **)&log, sizeof *log));
    memset(log, 0, sizeof *log);
    kernel<<<1, threads, shared>>>(log);
    CU(cudaGetLastError());
    CU(cudaDeviceSynchronize());
    for (int i = 0; i < log->n; i++) {
        const Case &c = log->cases[i];
        if (c.got == c.want || (is_nan_bits(c, c.want) && is_nan_bits(c, c.got))) continue;
        printf("#   line %d: %llx instead of %llx\n", c.line, c.got, c.want);
        bad++;
    }
    snprintf(text, sizeof text, "%s: %d cases", name, log->n);
    verdict(bad == 0 && log->n > 0 && log->n <= 1000, text);
    CU(cudaFreeHost(log));
}

#endif
