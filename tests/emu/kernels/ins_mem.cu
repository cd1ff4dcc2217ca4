// SPDX-License-Identifier: MIT
// Memory of all spaces, atomics, functions, tables of branches, device printf; and ordinary C++ that host and device run alike.
#include "check.h"

struct Big {
    int a[9];
    double d;
};

__device__ int counter = 5;
__device__ float table[3] = {1, 2, 3};
__constant__ float factors[4] = {0.5f, 1.5f};
__device__ int *pointer = &counter;
__device__ __align__(16) unsigned vector[4] = {1, 2, 3, 4};

__global__ void spaces(Log *log)
{
    __shared__ __align__(16) unsigned s[8];
    const unsigned at = (unsigned)__cvta_generic_to_shared(s);
    for (int i = 0; i < 8; i++) s[i] = 0x11111111u * (i + 1);
    EXPECT(unsigned, "=r", 0x22222222, "ld.shared.u32 %0, [%1+4];", R(at));
    EXPECT(unsigned, "=r", 0x22, "ld.shared.u8 %0, [%1];", R(at + 5));
    EXPECT(unsigned, "=r", 0xffffff88u, "ld.shared.s8 %0, [%1];", R(at + 28));
    EXPECT(unsigned, "=r", 0xffff8888u, "ld.shared.s16 %0, [%1];", R(at + 30));
    EXPECT(unsigned, "=r", 0x11111111u * 10, "{ .reg .b32 a, b, c, d; ld.shared.v4.u32 {a, b, c, d}, [%1]; add.u32 a, a, b; add.u32 a, a, c; add.u32 %0, a, d; }", R(at));
    EXPECT(unsigned long long, "=l", 0x4444444433333333ull, "ld.volatile.shared.u64 %0, [%1+8];", R(at));
    EXPECT(unsigned, "=r", 9, "{ .reg .b32 a; st.shared.v2.u32 [%1], {%2, %3}; ld.shared.u32 %0, [%1+4]; }", R(at + 8), R(8), R(9));
    EXPECT(unsigned, "=r", 0x555555ab, "{ st.shared.u8 [%1], %2; ld.shared.u32 %0, [%1]; }", R(at + 16), R(0xcab));
    s[4] = 0x55555555;
    EXPECT(unsigned, "=r", 0x55555555, "ld.u32 %0, [%1];", L(&s[4]));
    EXPECT(unsigned, "=r", 3, "ld.global.nc.L1::no_allocate.L2::128B.u32 %0, [%1+8];", L(vector));
    EXPECT(unsigned, "=r", 2, "ld.acquire.gpu.global.u32 %0, [%1+4];", L(vector));
    EXPECT(unsigned, "=r", 6, "{ st.release.gpu.global.u32 [%1], %2; ld.relaxed.sys.global.u32 %0, [%1]; }", L(vector), R(6));
    EXPECT(unsigned, "=r", 1, "{ .reg .pred p; isspacep.shared p, %1; selp.u32 %0, 1, 0, p; }", L(s));
    EXPECT(unsigned, "=r", 1, "{ .reg .pred p; isspacep.global p, %1; selp.u32 %0, 1, 0, p; }", L(vector));
    EXPECT(unsigned, "=r", 0, "{ .reg .pred p; isspacep.local p, %1; selp.u32 %0, 1, 0, p; }", L(vector));
    log_case(log, __LINE__, table[1] * factors[1], 3.0f);
    log_case(log, __LINE__, *pointer, 5);
}

__global__ void atomics(Log *log)
{
    __shared__ unsigned s;
    __shared__ unsigned long long w;
    __shared__ float f;
    s = 10, w = 10, f = 1.5f;
    const unsigned at = (unsigned)__cvta_generic_to_shared(&s), at64 = (unsigned)__cvta_generic_to_shared(&w);
#define ATOM(op, want, after, v)                                                                                         \
    EXPECT(unsigned, "=r", want, "atom.shared." op " %0, [%1], %2;", R(at), R(v));                                       \
    log_case(log, __LINE__, *(volatile unsigned *)&s, (unsigned)(after))
    ATOM("add.u32", 10, 15, 5);
    ATOM("min.u32", 15, 3, 3);
    ATOM("max.s32", 3, 3, -1);
    ATOM("max.u32", 3, ~0u, -1);
    ATOM("min.s32", ~0u, ~0u, 1);
    ATOM("exch.b32", ~0u, 6, 6);
    ATOM("and.b32", 6, 2, 3);
    ATOM("or.b32", 2, 10, 8);
    ATOM("xor.b32", 10, 0, 10);
    ATOM("inc.u32", 0, 1, 1);
    ATOM("inc.u32", 1, 0, 1);
    ATOM("dec.u32", 0, 7, 7);
    ATOM("dec.u32", 7, 6, 7);
    ATOM("dec.u32", 6, 2, 2);
    EXPECT(unsigned, "=r", 2, "atom.shared.cas.b32 %0, [%1], %2, %3;", R(at), R(2), R(4));
    EXPECT(unsigned, "=r", 4, "atom.shared.cas.b32 %0, [%1], %2, %3;", R(at), R(2), R(9));
    log_case(log, __LINE__, *(volatile unsigned *)&s, 4u);
    EXPECT(unsigned long long, "=l", 10, "atom.shared.add.u64 %0, [%1], %2;", R(at64), L(~0ull));
    EXPECT(unsigned long long, "=l", 9, "atom.shared.cas.b64 %0, [%1], %2, %3;", R(at64), L(9), L(1));
    EXPECT(unsigned long long, "=l", 1, "atom.shared.max.u64 %0, [%1], %2;", R(at64), L(3));
    log_case(log, __LINE__, atomicAdd(&f, 2.0f), 1.5f);
    log_case(log, __LINE__, *(volatile float *)&f, 3.5f);
    log_case(log, __LINE__, atomicAdd(&counter, 2), 5);
    asm volatile("red.global.add.u32 [%0], %1;" ::L(&counter), R(3));
    log_case(log, __LINE__, atomicExch(&counter, 5), 10);
    EXPECT(unsigned, "=r", 4, "atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;", L(vector + 3), R(1));
    EXPECT(unsigned, "=r", 5, "atom.relaxed.sys.global.exch.b32 %0, [%1], %2;", L(vector + 3), R(4));
}

// ---- functions and tables ------------------------------------------------------------------------------------------

__noinline__ __device__ int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
__noinline__ __device__ Big changed(Big b, int i)
{
    b.a[i] = 7;
    b.d += i;
    return b;
}

__global__ void functions(Log *log)
{
    log_case(log, __LINE__, fibonacci(15), 610);
    Big b = {};
    b.d = 0.5;
    b = changed(b, 4);
    log_case(log, __LINE__, b.a[4], 7);
    log_case(log, __LINE__, b.a[3], 0);
    log_case(log, __LINE__, b.d, 4.5);
    int local[16];
    for (int i = 0; i < 16; i++) local[i] = i * i;
    log_case(log, __LINE__, local[(counter * 3) & 15], 225);
    EXPECT(unsigned, "=r", 30, "{ .reg .b32 i; mov.u32 i, %1; ts: .branchtargets A, B, C; brx.idx i, ts; A: mov.u32 %0, 10; bra Z; B: mov.u32 %0, 20; bra Z; C: mov.u32 %0, 30; Z: }", R(2));
    if (log->n < 0) printf("never\n");
    printf("# printf of the device: %d %s %.2f %llx %%\n", -5, "text", 1.25, 1ull << 40);
}

// ---- the same C++ for both sides -----------------------------------------------------------------------------------

__host__ __device__ inline unsigned long long mixed(unsigned long long seed)
{
    unsigned long long x = seed * 6364136223846793005ull + 1442695040888963407ull;
    unsigned long long h = 0;
    const int n = 3 + (int)(x >> 60);
    for (int i = 0; i < n; i++) {
        const int a = (int)x, b = (int)(x >> 32) | 1;
        const unsigned u = (unsigned)(x >> 7);
        const long long p = (long long)a * b;
        switch (i % 7) {
        case 0: h += (unsigned)(a / b) ^ u % 1000; break;
        case 1: h ^= (unsigned long long)(p >> (u & 31)); break;
        case 2: h = h * 31 + (unsigned short)a - (signed char)b; break;
        case 3: h += (unsigned long long)(x / (u | 3)) + x % (u | 5); break;
        case 4: h ^= (unsigned long long)(long long)((float)a * 0.25f + (float)(b & 1023)); break;
        case 5: h += (unsigned long long)(long long)((double)p / 1024.0); break;
        case 6: h = (h << (u & 63)) | (h >> ((64 - (u & 63)) & 63)); break;
        }
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    }
    return h;
}

__global__ void ordinary(unsigned long long *out, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = mixed(i);
}

static void compare_ordinary()
{
    enum { N = 3001 };
    unsigned long long *out;
    int bad = 0;
    CU(cudaMallocHost((void **)&out, N * sizeof *out));
    ordinary<<<(N + 127) / 128, 128>>>(out, N);
    CU(cudaDeviceSynchronize());
    for (int i = 0; i < N; i++) bad += out[i] != mixed(i);
    verdict(bad == 0, "ordinary code gives the same on host and device");
    CU(cudaFreeHost(out));
}

static void symbols()
{
    float f[4] = {}, more[2] = {8, 9};
    int c = 77, back = 0;
    void *p;
    size_t bytes;
    CU(cudaMemcpyToSymbol(factors, more, sizeof more, 2 * sizeof(float)));
    CU(cudaMemcpyFromSymbol(f, factors, sizeof f));
    CU(cudaMemcpyToSymbol(counter, &c, sizeof c));
    CU(cudaGetSymbolAddress(&p, counter));
    CU(cudaGetSymbolSize(&bytes, factors));
    CU(cudaMemcpy(&back, p, sizeof back, cudaMemcpyDeviceToHost));
    verdict(f[0] == 0.5f && f[1] == 1.5f && f[2] == 8 && f[3] == 9 && back == 77 && bytes == 16, "symbols are copied");
    verdict(cudaMemcpyToSymbol(factors, more, sizeof more, 12) == cudaErrorInvalidValue, "a copy past a symbol is refused");
    cudaGetLastError();
}

int main()
{
    compare("memory spaces", spaces);
    compare("atomics", atomics);
    compare("functions, tables, local arrays", functions);
    compare_ordinary();
    symbols();
    return n_failed != 0;
}
