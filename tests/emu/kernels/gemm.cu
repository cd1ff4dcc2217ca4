// SPDX-License-Identifier: MIT
// C = A B^T in bf16 with float accumulation: three stages of cp.async, swizzled ldmatrix, mma.sync, ragged edges, replayed
// from a graph, against double. The kind of kernel that the emulator is for.
//
//   gemm [BUG]     1: no wait for copies, 2: no barrier after it, 3: rows without swizzle (no bug: bank conflicts)
#include <cuda_bf16.h>
#include <math.h>

#include <vector>

#include "check.h"

enum { TILE_M = 64, TILE_N = 64, TILE_K = 32, STAGES = 3, THREADS = 128, CHUNK = 8 };
typedef __nv_bfloat16 bf16;

struct Shared {
    bf16 a[STAGES][TILE_M * TILE_K], b[STAGES][TILE_N * TILE_K];
};

// Rows of 64 bytes, four chunks of 16: two rows fill the banks, so chunks are exchanged every two rows.
__device__ int element(int row, int chunk, int bug) { return row * TILE_K + (bug == 3 ? chunk : chunk ^ (row / 2 & 3)) * CHUNK; }

__device__ unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }

__device__ void copy_chunk(void *to, const bf16 *from, int live)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(live) : "memory");
}

__device__ void load_x4(unsigned (&r)[4], const void *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p))
                 : "memory");
}

__device__ void multiply(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// One stage of one operand: rows `first` .. of x, n rows of k elements, zero beyond.
__device__ void fill(bf16 *tile, int tile_rows, const bf16 *x, int first, int n, int k0, int k, int bug)
{
    for (int i = threadIdx.x; i < tile_rows * 4; i += THREADS) {
        const int row = i / 4, chunk = i % 4, col = k0 + chunk * CHUNK;
        const int live = first + row < n && col < k ? min(k - col, (int)CHUNK) * 2 : 0;
        copy_chunk(&tile[element(row, chunk, bug)], live ? x + (size_t)(first + row) * k + col : x, live);
    }
}

// Four warps of 32 x 32. k is a multiple of 8.
__global__ void __launch_bounds__(THREADS) gemm(const bf16 *a, const bf16 *b, float *c, int m, int n, int k, int bug)
{
    extern __shared__ __align__(128) unsigned char memory[];
    Shared &s = *reinterpret_cast<Shared *>(memory);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, wm = warp / 2 * 32, wn = warp % 2 * 32;
    const int m0 = blockIdx.y * TILE_M, n0 = blockIdx.x * TILE_N, steps = (k + TILE_K - 1) / TILE_K;
    float acc[2][4][4] = {};
    for (int i = 0; i < STAGES - 1; i++) {
        if (i < steps) {
            fill(s.a[i], TILE_M, a, m0, m, i * TILE_K, k, bug);
            fill(s.b[i], TILE_N, b, n0, n, i * TILE_K, k, bug);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    for (int step = 0; step < steps; step++) {
        if (bug != 1) asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
        if (bug != 2) __syncthreads();
        const int next = step + STAGES - 1;
        if (next < steps) {
            fill(s.a[next % STAGES], TILE_M, a, m0, m, next * TILE_K, k, bug);
            fill(s.b[next % STAGES], TILE_N, b, n0, n, next * TILE_K, k, bug);
        }
        asm volatile("cp.async.commit_group;" ::: "memory");
        const bf16 *sa = s.a[step % STAGES], *sb = s.b[step % STAGES];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            unsigned fa[2][4], fb[2][4];
#pragma unroll
            for (int i = 0; i < 2; i++) {
                load_x4(fa[i], &sa[element(wm + i * 16 + lane % 16, half * 2 + lane / 16, bug)]);
                load_x4(fb[i], &sb[element(wn + i * 16 + lane % 8 + lane / 16 * 8, half * 2 + lane / 8 % 2, bug)]);
            }
#pragma unroll
            for (int i = 0; i < 2; i++)
#pragma unroll
                for (int j = 0; j < 4; j++) multiply(acc[i][j], fa[i], fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]);
        }
    }
    asm volatile("cp.async.wait_all;" ::: "memory");
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int row = m0 + wm + i * 16 + lane / 4 + e / 2 * 8, col = n0 + wn + j * 8 + lane % 4 * 2 + e % 2;
                if (row < m && col < n) c[(size_t)row * n + col] = acc[i][j][e];
            }
}

static std::vector<bf16> operand(size_t n, unsigned seed)
{
    std::vector<bf16> v(n);
    for (bf16 &x : v) {
        seed = seed * 1664525u + 1013904223u;
        x = __float2bfloat16((float)(int)(seed >> 8) * 0x1p-23f - 1);
    }
    return v;
}

// A sum of k products in float, each step rounded or cut: |error| <= (k / 16 + 2) 2^-23 sum |a b|.
static void check_product(const char *name, int bug, int m, int n, int k)
{
    const std::vector<bf16> a = operand((size_t)m * k, 1), b = operand((size_t)n * k, 2);
    std::vector<float> c((size_t)m * n);
    bf16 *da, *db;
    float *dc;
    char text[120];
    CU(cudaMalloc(&da, a.size() * 2));
    CU(cudaMalloc(&db, b.size() * 2));
    CU(cudaMalloc(&dc, c.size() * 4));
    CU(cudaMemcpy(da, a.data(), a.size() * 2, cudaMemcpyHostToDevice));
    CU(cudaMemcpy(db, b.data(), b.size() * 2, cudaMemcpyHostToDevice));
    CU(cudaFuncSetAttribute(gemm, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Shared)));
    cudaStream_t s;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CU(cudaStreamCreate(&s));
    CU(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
    CU(cudaMemsetAsync(dc, 0xff, c.size() * 4, s));
    gemm<<<dim3((n + TILE_N - 1) / TILE_N, (m + TILE_M - 1) / TILE_M), THREADS, sizeof(Shared), s>>>(da, db, dc, m, n, k, bug);
    CU(cudaStreamEndCapture(s, &graph));
    CU(cudaGraphInstantiate(&exec, graph, 0));
    for (int i = 0; i < 2; i++) CU(cudaGraphLaunch(exec, s));
    CU(cudaMemcpyAsync(c.data(), dc, c.size() * 4, cudaMemcpyDeviceToHost, s));
    CU(cudaStreamSynchronize(s));
    int bad = 0;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0, size = 0;
            for (int l = 0; l < k; l++) {
                const double p = (double)__bfloat162float(a[(size_t)i * k + l]) * __bfloat162float(b[(size_t)j * k + l]);
                sum += p, size += fabs(p);
            }
            if (!(fabs(c[(size_t)i * n + j] - sum) <= (k / 16 + 2) * 0x1p-23 * size)) bad++;
        }
    snprintf(text, sizeof text, "%s %d x %d x %d", name, m, n, k);
    verdict(bad == 0, text);
    CU(cudaGraphExecDestroy(exec));
    CU(cudaGraphDestroy(graph));
    CU(cudaStreamDestroy(s));
    for (void *p : {(void *)da, (void *)db, (void *)dc}) CU(cudaFree(p));
}

int main(int argc, char **argv)
{
    const int bug = argc > 1 ? atoi(argv[1]) : 0;
    emu_stats stats;
    switch (bug) {
    case 0:
        check_product("gemm", 0, 97, 70, 72);
        check_product("gemm", 0, 1, 1, 8);
        check_product("gemm", 0, 65, 64, 200);
        emu_stats_get(&stats);
        verdict(stats.ldmatrix_phases > 0 && stats.ldmatrix_conflicts == 0, "the swizzle has no bank conflicts");
        break;
    case 1: check_product("gemm without a wait", 1, 97, 70, 72); break;
    case 2: check_product("gemm without a barrier", 2, 97, 70, 136); break;
    case 3:
        check_product("gemm without a swizzle", 3, 97, 70, 72);
        emu_stats_get(&stats);
        verdict(stats.ldmatrix_conflicts == 3 * stats.ldmatrix_phases, "without it each phase takes four passes");
        break;
    }
    return n_failed != 0;
}
