// SPDX-License-Identifier: MIT
// The asynchronous matrix instructions of sm_90a, one function each; PTX manual, "Asynchronous Warpgroup Level Matrix
// Instructions". The 128 threads of a warpgroup issue products of 64 rows, which run on until they are waited for; operands
// are read from shared memory, by another way (the async proxy) than loads and stores go. Of the 64 x N result warp i has
// rows 16 i and on, as fragments of mma.cuh side by side.
#ifndef DD_KERNELS_CUDA_WGMMA_CUH
#define DD_KERNELS_CUDA_WGMMA_CUH

#include "kernels/cuda/mma.cuh"

#define DD_WGMMA_ROWS 64
#define DD_WGMMA_COLS 128
#define DD_WGMMA_DEPTH 32 // bytes: two pieces

// What this thread has written to shared memory (its copies that have landed, too) is there for products that it, or who
// meets it at a barrier behind this, issues.
static __device__ __forceinline__ void wgmma_publish(void)
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// Sums were written by other instructions, or read, since the last product.
static __device__ __forceinline__ void wgmma_fence(void) { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

// Ends a group of products.
static __device__ __forceinline__ void wgmma_commit(void)
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// All groups but the newest N are done: their sums are there, their operands may be overwritten.
template <int N> static __device__ __forceinline__ void wgmma_wait(void)
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

// Ties sums to their place among the instructions above: the compiler does not know which registers these are about.
static __device__ __forceinline__ void wgmma_pin(float (&c)[4][1][4][4])
{
#pragma unroll
    for (int i = 0; i < DD_WGMMA_COLS / 2; i++) asm volatile("" : "+f"(c[i / 16][0][i / 4 % 4][i % 4])::"memory");
}

// Descriptor of an operand whose rows are lines of 128 bytes, swizzled as in operand_tile, at a multiple of 1024 bytes: address,
// distance of eight rows from the next eight (bits 32 to 45), both in units of 16 bytes, and the kind of swizzle (bits 62, 63).
// The distance along the depth (bits 16 to 29) is not looked at where a line is as deep as the swizzle. Two pieces further
// along the depth it is larger by DD_WGMMA_DEPTH / 16.
static __device__ __forceinline__ uint64_t wgmma_operand(const void *first_line)
{
    const uint64_t eight_lines = 8 * 128, swizzle_128 = 1;
    return (shared_address(first_line) & 0x3ffff) >> 4 | 1ull << 16 | eight_lines / 16 << 32 | swizzle_128 << 62;
}

#define DD_FOUR(g, t) "+f"(c[g][0][t][0]), "+f"(c[g][0][t][1]), "+f"(c[g][0][t][2]), "+f"(c[g][0][t][3])
#define DD_SIXTEEN(g) DD_FOUR(g, 0), DD_FOUR(g, 1), DD_FOUR(g, 2), DD_FOUR(g, 3)

// c += a b over two pieces of depth: 64 x 128 in groups of 32 columns. The last operands: c is added to, neither operand is
// negated or transposed.
#define DD_WGMMA(type, name)                                                                                           \
    static __device__ __forceinline__ void wgmma_two(type, float(&c)[4][1][4][4], uint64_t a, uint64_t b)              \
    {                                                                                                                  \
        asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, 1, 0;\n"                                                    \
                     "wgmma.mma_async.sync.aligned.m64n128k16.f32." name "." name                                      \
                     " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"                                        \
                     "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"                                \
                     "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"                                \
                     "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, %64, %65, add, 1, 1, 0, 0;\n}" \
                     : DD_SIXTEEN(0), DD_SIXTEEN(1), DD_SIXTEEN(2), DD_SIXTEEN(3)                                      \
                     : "l"(a), "l"(b));                                                                                \
    }
DD_WGMMA(bf16, "bf16")
DD_WGMMA(f16, "f16")
#undef DD_WGMMA
#undef DD_SIXTEEN
#undef DD_FOUR

#endif
