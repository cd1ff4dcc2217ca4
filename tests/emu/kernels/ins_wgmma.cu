// SPDX-License-Identifier: MIT
// wgmma and its fences, with EMU_ARCH=90. Elements are placed in shared memory and looked for in fragments by the formulas of the
// PTX manual, written out here once more. With an argument: one bug, which the emulator must name.
// Architectures: 90a.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "check.h"

enum { M = 64, DEPTH = 64, MAX_N = 128 };
enum Layout { PLAIN, SWIZZLED }; // none, 128 bytes

struct Problem {
    float a[M][DEPTH], b[MAX_N][DEPTH], c[M][MAX_N], d[M][MAX_N];
};

enum Bug { NO_BUG, NO_FENCE, NO_PROXY_FENCE, OVERWRITTEN, NO_WAIT, NO_COPY_WAIT, TWO_WAYS, NO_COMMIT, MISPLACED };
static const char *const bug_names[] = {"",        "no-fence",     "no-proxy-fence", "overwritten", "no-wait",
                                        "no-copy-wait", "two-ways", "no-commit", "misplaced"};

template <class T> __device__ T from_float(float x);
template <> __device__ __nv_bfloat16 from_float(float x) { return __float2bfloat16(x); }
template <> __device__ __half from_float(float x) { return __float2half(x); }

// Byte of element (row, k) in a matrix of `rows` rows, K-major. PLAIN: "core matrices" of 8 rows of 16 bytes, those of equal
// depth behind each other. SWIZZLED: rows of 128 bytes, in which the groups of 16 bytes change places with the row.
__device__ inline int place(Layout layout, int rows, int row, int k)
{
    if (layout == PLAIN) return k / 8 * (rows * 16) + row / 8 * 128 + row % 8 * 16 + k % 8 * 2;
    return row * 128 + ((k / 8) ^ (row % 8)) * 16 + k % 8 * 2;
}

__device__ inline unsigned long long descriptor(Layout layout, unsigned at, int rows)
{
    const unsigned long long leading = layout == PLAIN ? rows * 16 : 16, stride = layout == PLAIN ? 128 : 1024;
    return (at & 0x3ffff) >> 4 | leading >> 4 << 16 | stride >> 4 << 32 | (unsigned long long)(layout == PLAIN ? 0 : 1) << 62;
}

__device__ inline void fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int LEFT> __device__ inline void wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory"); }

// d += a b, 64 x 8 and 64 x 128; add 0: d = a b.
#define FOUR(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define SIXTEEN(i) FOUR(i), FOUR(i + 4), FOUR(i + 8), FOUR(i + 12)
#define WGMMA8(t)                                                                                                     \
    asm volatile("{ .reg .pred add; setp.ne.b32 add, %6, 0; wgmma.mma_async.sync.aligned.m64n8k16.f32." t "." t       \
                 " {%0,%1,%2,%3}, %4, %5, add, 1, 1, 0, 0; }" : FOUR(0) : L(a), L(b), R(add) : "memory")
#define WGMMA128(t)                                                                                                    \
    asm volatile("{ .reg .pred add; setp.ne.b32 add, %66, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32." t "." t     \
                 " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,"    \
                 "%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,"    \
                 "%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, %64, %65, add, 1, 1, 0, 0; }"              \
                 : SIXTEEN(0), SIXTEEN(16), SIXTEEN(32), SIXTEEN(48) : L(a), L(b), R(add) : "memory")
#define PRODUCT(T, t)                                                                                                            \
    __device__ inline void product(T, float(&d)[4], unsigned long long a, unsigned long long b, int add) { WGMMA8(t); }          \
    __device__ inline void product(T, float(&d)[64], unsigned long long a, unsigned long long b, int add) { WGMMA128(t); }
PRODUCT(__nv_bfloat16, "bf16")
PRODUCT(__half, "f16")

template <class T, int N> __device__ void fill(const Problem *p, unsigned char *a, unsigned char *b, Layout layout)
{
    for (int i = threadIdx.x; i < M * DEPTH; i += blockDim.x)
        *(T *)(a + place(layout, M, i / DEPTH, i % DEPTH)) = from_float<T>(p->a[i / DEPTH][i % DEPTH]);
    for (int i = threadIdx.x; i < N * DEPTH; i += blockDim.x)
        *(T *)(b + place(layout, N, i / DEPTH, i % DEPTH)) = from_float<T>(p->b[i / DEPTH][i % DEPTH]);
}

// Row and column of register i of a thread.
__device__ inline int d_row(int i) { return threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4 + i / 2 % 2 * 8; }
__device__ inline int d_col(int i) { return i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2; }

// d = c + a b (add), or a b, over DEPTH in steps of 16, the last of them a group of its own.
template <class T, int N, Layout LAYOUT> __global__ void __launch_bounds__(128) products(Problem *p, int add, Log *log, int bug)
{
    extern __shared__ __align__(1024) unsigned char memory[];
    unsigned char *const sa = memory, *const sb = memory + M * DEPTH * 2;
    const unsigned step = LAYOUT == PLAIN ? 0 : 32, a_step = M * 32, b_step = N * 32; // bytes to the next 16 of the depth
    float d[N / 2];
    for (int i = 0; i < N / 2; i++) d[i] = p->c[d_row(i)][d_col(i)];
    fill<T, N>(p, sa, sb, LAYOUT);
    if (bug == NO_COPY_WAIT)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::R(__cvta_generic_to_shared(sa + threadIdx.x * 16)), L(p->a));
    if (bug != NO_PROXY_FENCE) asm volatile("fence.proxy.async;" ::: "memory");
    __syncthreads();
    const unsigned a_at = (unsigned)__cvta_generic_to_shared(sa) + (bug == MISPLACED ? 128 : 0), b_at = (unsigned)__cvta_generic_to_shared(sb);
    if (bug != NO_FENCE) fence();
    for (int k = 0; k < DEPTH / 16; k++) {
        const int way = bug == TWO_WAYS ? (k + threadIdx.x / 32) % 2 : k;
        product(T(), d, descriptor(LAYOUT, a_at + way * (step ? step : a_step), M),
                descriptor(LAYOUT, b_at + way * (step ? step : b_step), N), add || k > 0);
        if (k == DEPTH / 16 - 2) commit();
    }
    if (bug != NO_COMMIT) commit();
    if (bug == OVERWRITTEN) sb[threadIdx.x] = 1;
    if (bug == NO_COPY_WAIT) asm volatile("cp.async.wait_all;" ::: "memory");
    wait<1>();
    if (bug == NO_BUG && N == 8) {
        // Not yet; asm, so that the compiler does not look further down.
        unsigned bits;
        asm volatile("mov.b32 %0, %1;" : "=r"(bits) : "f"(d[0]));
        log_case(log, __LINE__, (bits & 0x7fffffff) > 0x7f800000 ? 1u : 0u, 1u);
    }
    if (bug != NO_WAIT) wait<0>();
    for (int i = 0; i < N / 2; i++) asm volatile("" : "+f"(d[i])::"memory");
    for (int i = 0; i < N / 2; i++) p->d[d_row(i)][d_col(i)] = d[i];
}

static float random_value(unsigned &seed)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)((int)(seed >> 24) - 128) / 32; // exact in each type, as are sums of products
}

static void test(const char *name, void (*kernel)(Problem *, int, Log *, int), int n, int add, int bug)
{
    Problem *p;
    Log *log;
    unsigned seed = 1;
    int bad = 0;
    CU(cudaMallocHost((void **)&p, sizeof *p));
    CU(cudaMallocHost((void **)&log, sizeof *log));
    memset(log, 0, sizeof *log);
    for (auto &row : p->a)
        for (float &x : row) x = random_value(seed);
    for (auto &row : p->b)
        for (float &x : row) x = random_value(seed);
    for (auto &row : p->c)
        for (float &x : row) x = random_value(seed);
    kernel<<<1, 128, (M + MAX_N) * DEPTH * 2>>>(p, add, log, bug);
    CU(cudaDeviceSynchronize());
    for (int i = 0; i < M; i++)
        for (int j = 0; j < n; j++) {
            double want = add ? p->c[i][j] : 0;
            for (int k = 0; k < DEPTH; k++) want += (double)p->a[i][k] * p->b[j][k];
            if (!(p->d[i][j] == (float)want)) bad++;
        }
    for (int i = 0; i < log->n; i++)
        if (log->cases[i].got != log->cases[i].want) bad++;
    verdict(bad == 0 && log->n == (n == 8 ? 128 : 0), name);
    CU(cudaFreeHost(log));
    CU(cudaFreeHost(p));
}

int main(int argc, char **argv)
{
    int bug = NO_BUG;
    for (int i = 1; argc > 1 && i <= MISPLACED; i++)
        if (strcmp(argv[1], bug_names[i]) == 0) bug = i;
    if (argc > 1) {
        test("a bug", products<__nv_bfloat16, 8, SWIZZLED>, 8, 1, bug);
        return 1;
    }
    test("m64n8k16 bf16, no swizzle", products<__nv_bfloat16, 8, PLAIN>, 8, 1, bug);
    test("m64n8k16 bf16, 128 bytes", products<__nv_bfloat16, 8, SWIZZLED>, 8, 1, bug);
    test("m64n8k16 f16, 128 bytes, sums begin at 0", products<__half, 8, SWIZZLED>, 8, 0, bug);
    test("m64n128k16 f16, no swizzle", products<__half, 128, PLAIN>, 128, 1, bug);
    test("m64n128k16 bf16, 128 bytes", products<__nv_bfloat16, 128, SWIZZLED>, 128, 1, bug);
    test("m64n128k16 f16, 128 bytes", products<__half, 128, SWIZZLED>, 128, 0, bug);
    return n_failed != 0;
}
