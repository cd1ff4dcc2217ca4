// SPDX-License-Identifier: MIT
// mma.sync of every type, ldmatrix, cp.async. Elements are placed in fragments by the formulas of the PTX manual, written out
// here once more, and the products compared with those of the matrices.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math.h>

#include "check.h"

enum Type { BF16, F16, TF32 };

// ---- fragments: row and column of element i of a thread -------------------------------------------------------------

struct At {
    int row, col;
};

__host__ __device__ inline At a_at(Type type, int k, int lane, int i)
{
    const int group = lane / 4, in_group = lane % 4;
    if (type == TF32) {
        // m16n8k8: a0, a2 in row group, a1, a3 in row group + 8; a0, a1 in column in_group, a2, a3 in in_group + 4
        return At{i == 0 || i == 2 ? group : group + 8, i < 2 ? in_group : in_group + 4};
    }
    if (k == 8) return At{i < 2 ? group : group + 8, in_group * 2 + (i & 1)};
    return At{(i >= 0 && i < 2) || (i >= 4 && i < 6) ? group : group + 8, i < 4 ? in_group * 2 + (i & 1) : in_group * 2 + (i & 1) + 8};
}

__host__ __device__ inline At b_at(Type type, int k, int lane, int i)
{
    const int group = lane / 4, in_group = lane % 4;
    if (type == TF32) return At{i == 0 ? in_group : in_group + 4, group};
    if (k == 8) return At{in_group * 2 + i, group};
    return At{i < 2 ? in_group * 2 + (i & 1) : in_group * 2 + (i & 1) + 8, group};
}

__host__ __device__ inline At c_at(int lane, int i) { return At{i < 2 ? lane / 4 : lane / 4 + 8, (lane % 4) * 2 + (i & 1)}; }

// ---- one product ----------------------------------------------------------------------------------------------------

struct Problem {
    float a[16][16], b[16][8], c[16][8], d[16][8];
};

template <Type T> __device__ unsigned bits_of(float x)
{
    if (T == BF16) return __bfloat16_as_ushort(__float2bfloat16(x));
    if (T == F16) return __half_as_ushort(__float2half(x));
    return __float_as_uint(x);
}

template <Type T, int K> __global__ void product(Problem *p)
{
    const int lane = threadIdx.x;
    unsigned a[4] = {}, b[2] = {};
    float c[4], d[4];
    const int per = T == TF32 ? 1 : 2; // elements of a register
    for (int i = 0; i < K / 2; i++) {
        const At at = a_at(T, K, lane, i);
        a[i / per] |= bits_of<T>(p->a[at.row][at.col]) << (per == 2 ? 16 * (i & 1) : 0);
    }
    for (int i = 0; i < K / 4; i++) {
        const At at = b_at(T, K, lane, i);
        b[i / per] |= bits_of<T>(p->b[at.row][at.col]) << (per == 2 ? 16 * (i & 1) : 0);
    }
    for (int i = 0; i < 4; i++) c[i] = p->c[c_at(lane, i).row][c_at(lane, i).col];
#define OUT "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
#define ACC "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3])
#define MMA42(shape, t)                                                                                                  \
    asm volatile("mma.sync.aligned." shape ".row.col.f32." t "." t ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "        \
                 "{%10,%11,%12,%13};" : OUT : R(a[0]), R(a[1]), R(a[2]), R(a[3]), R(b[0]), R(b[1]), ACC)
#define MMA21(shape, t)                                                                                                  \
    asm volatile("mma.sync.aligned." shape ".row.col.f32." t "." t ".f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%7,%8,%9,%10};"  \
                 : OUT : R(a[0]), R(a[1]), R(b[0]), ACC)
    if constexpr (T == BF16 && K == 16) MMA42("m16n8k16", "bf16");
    if constexpr (T == BF16 && K == 8) MMA21("m16n8k8", "bf16");
    if constexpr (T == F16 && K == 16) MMA42("m16n8k16", "f16");
    if constexpr (T == F16 && K == 8) MMA21("m16n8k8", "f16");
    if constexpr (T == TF32 && K == 8) MMA42("m16n8k8", "tf32");
    if constexpr (T == TF32 && K == 4) MMA21("m16n8k4", "tf32");
    for (int i = 0; i < 4; i++) p->d[c_at(lane, i).row][c_at(lane, i).col] = d[i];
}

static float random_value(unsigned &seed)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)((int)(seed >> 24) - 128) / 32; // exact in each type
}

// exact: products of few bits, so any order gives the sum to the last bit. truncating: c is 2^20, whose last bit is 2^-3; each
// product, almost 2^-3, is cut to what the emulated tensor core keeps below that bit: one bit (sm_80), or two (sm_90).
static void test_product(const char *name, void (*kernel)(Problem *), int k, bool truncating)
{
    Problem *p;
    unsigned seed = 1;
    int bad = 0;
    const int arch = getenv("EMU_ARCH") ? atoi(getenv("EMU_ARCH")) : 80;
    CU(cudaMallocHost((void **)&p, sizeof *p));
    for (auto &row : p->a)
        for (float &x : row) x = truncating ? 2 - 0x1p-7f : random_value(seed);
    for (auto &row : p->b)
        for (float &x : row) x = truncating ? 0x1p-4f : random_value(seed);
    for (auto &row : p->c)
        for (float &x : row) x = truncating ? 0x1p20f : random_value(seed);
    kernel<<<1, 32>>>(p);
    CU(cudaDeviceSynchronize());
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++) {
            double want = p->c[i][j];
            for (int l = 0; l < k; l++) want += (double)p->a[i][l] * p->b[l][j];
            if (truncating) want = (double)p->c[i][j] + k * (arch == 90 ? 3 * 0x1p-5 : 0x1p-4);
            if (!(p->d[i][j] == (float)want)) bad++;
        }
    verdict(bad == 0, name);
    CU(cudaFreeHost(p));
}

// ---- ldmatrix -------------------------------------------------------------------------------------------------------

__device__ unsigned half_word(unsigned row, unsigned col) { return row * 100 + col; } // element of four matrices: row 0..31

template <bool TRANS, int N> __global__ void load_matrices(Log *log)
{
    __shared__ __align__(16) unsigned short m[32][8];
    const unsigned lane = threadIdx.x;
    for (int c = 0; c < 8; c++) m[lane][c] = half_word(lane, c);
    __syncthreads();
    unsigned r[4] = {}, at = (unsigned)__cvta_generic_to_shared(m[lane % (8 * N)]);
    if (N == 4 && !TRANS) asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : R(at));
    if (N == 4 && TRANS) asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : R(at));
    if (N == 2) asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : R(at));
    if (N == 1) asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(r[0]) : R(at));
    for (unsigned i = 0; i < N; i++) {
        const unsigned row = lane / 4, col = lane % 4 * 2;
        const bool t = TRANS || N == 1;
        const unsigned lo = t ? half_word(8 * i + col, row) : half_word(8 * i + row, col);
        const unsigned hi = t ? half_word(8 * i + col + 1, row) : half_word(8 * i + row, col + 1);
        log_case(log, __LINE__, r[i], lo | hi << 16);
    }
}

// ---- cp.async -------------------------------------------------------------------------------------------------------

__device__ __align__(16) unsigned source[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

__global__ void copies(Log *log)
{
    __shared__ __align__(16) unsigned s[12];
    volatile unsigned *v = s;
    const unsigned at = (unsigned)__cvta_generic_to_shared(s);
    for (int i = 0; i < 12; i++) v[i] = 77;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::R(at), L(source) : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::R(at + 16), L(source + 4), R(4) : "memory");
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::R(at + 24), L(source + 6) : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::R(at + 32), L(source + 8), R(0) : "memory");
    log_case(log, __LINE__, v[0], ~0u); // nothing has landed
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    log_case(log, __LINE__, v[0], 1u);
    log_case(log, __LINE__, v[3], 4u);
    log_case(log, __LINE__, v[4], ~0u);
    asm volatile("cp.async.wait_group 0;" ::: "memory");
    log_case(log, __LINE__, v[4], 5u);
    log_case(log, __LINE__, v[5], 0u); // of 8 bytes 4 were live
    log_case(log, __LINE__, v[6], 7u);
    log_case(log, __LINE__, v[7], 77u);
    log_case(log, __LINE__, v[8], ~0u); // of no group yet
    asm volatile("cp.async.wait_all;" ::: "memory");
    log_case(log, __LINE__, v[8], 0u);
    log_case(log, __LINE__, v[11], 0u);
}

int main(int argc, char **)
{
    const bool t = argc > 1; // with an argument: EMU_MMA=truncate is expected
    test_product("mma m16n8k16 bf16", product<BF16, 16>, 16, t);
    test_product("mma m16n8k8 bf16", product<BF16, 8>, 8, t);
    test_product("mma m16n8k16 f16", product<F16, 16>, 16, t);
    test_product("mma m16n8k8 f16", product<F16, 8>, 8, t);
    test_product("mma m16n8k8 tf32", product<TF32, 8>, 8, t);
    test_product("mma m16n8k4 tf32", product<TF32, 4>, 4, t);
    if (t) return n_failed != 0;
    compare("ldmatrix x4", load_matrices<false, 4>, 32);
    compare("ldmatrix x4 trans", load_matrices<true, 4>, 32);
    compare("ldmatrix x2", load_matrices<false, 2>, 32);
    compare("ldmatrix x1 trans", load_matrices<false, 1>, 32);
    compare("cp.async", copies);
    return n_failed != 0;
}
