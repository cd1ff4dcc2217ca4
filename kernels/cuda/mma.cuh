// SPDX-License-Identifier: MIT
// The instructions behind tensor-core kernels, one function each: asynchronous copies to shared memory, ldmatrix and
// mma.sync with float32 sums (sm_80 and later). Fragments are those of the PTX manual, "Matrix multiply-accumulate operation
// using mma instruction": of a 16 x 8 result lane l holds (row l/4, columns 2(l%4) and + 1) in c[0], c[1], and row l/4 + 8 in
// c[2], c[3]. Along the depth operands come in pieces of 16 bytes, 8 elements of 16 bits or 4 of TF32: fragments and the
// matrices of ldmatrix are the same registers for both.
#ifndef DD_KERNELS_CUDA_MMA_CUH
#define DD_KERNELS_CUDA_MMA_CUH

#include "kernels/cuda/element.cuh"

#define DD_MMA_ROWS 16 // of a result
#define DD_MMA_COLS 8

template <class T> struct piece_of {
    enum { SIZE = DD_VECTOR / sizeof(T) };
};

static __device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

// 16 bytes from global to shared memory, both multiples of 16; zeros, and nothing is read, where it is not live.
static __device__ __forceinline__ void copy_async(void *to, const void *from, bool live)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(live ? DD_VECTOR : 0)
                 : "memory");
}

// Ends a group of copies, which may be empty.
static __device__ __forceinline__ void copy_commit(void) { asm volatile("cp.async.commit_group;" ::: "memory"); }

// This thread's copies have landed, except those of the newest N groups.
template <int N> static __device__ __forceinline__ void copy_wait(void)
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Matrices of 8 rows of 16 bytes: lanes 8i .. 8i + 7 name the rows of the i-th, which comes in r[i]: lane l gets the pair of
// elements 2(l%4), + 1 of row l/4, of 32 bits the element l%4; transposed, the pair of column l/4.
static __device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

static __device__ __forceinline__ void load_matrices(uint32_t (&r)[2], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(shared_address(row))
                 : "memory");
}

static __device__ __forceinline__ void load_transposed(uint32_t (&r)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

static __device__ __forceinline__ void load_transposed(uint32_t (&r)[2], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(shared_address(row))
                 : "memory");
}

// Two values to nearest even, as one register: the first in its low half. NaN becomes 0x7fff.
static __device__ __forceinline__ uint32_t packed(bf16, float low, float high)
{
    uint32_t r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}

static __device__ __forceinline__ uint32_t packed(f16, float low, float high)
{
    uint32_t r;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}

// mma_two: c += a b over two pieces of depth. a: 16 rows in four matrices, rows first; b0, b1: the pieces of 8 columns.
// mma_one: over one piece.
#define DD_MMA(type, two, one, name)                                                                                  \
    static __device__ __forceinline__ void mma_two(type, float(&c)[4], const uint32_t(&a)[4], uint32_t b0,            \
                                                   uint32_t b1)                                                       \
    {                                                                                                                 \
        asm("mma.sync.aligned." two ".row.col.f32." name "." name                                                     \
            ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"                                              \
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                                          \
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));                                          \
    }                                                                                                                 \
    static __device__ __forceinline__ void mma_one(type, float(&c)[4], const uint32_t(&a)[2], uint32_t b)             \
    {                                                                                                                 \
        asm("mma.sync.aligned." one ".row.col.f32." name "." name ".f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};" \
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                                          \
            : "r"(a[0]), "r"(a[1]), "r"(b));                                                                          \
    }
DD_MMA(bf16, "m16n8k16", "m16n8k8", "bf16")
DD_MMA(f16, "m16n8k16", "m16n8k8", "f16")
DD_MMA(tf32, "m16n8k8", "m16n8k4", "tf32")
#undef DD_MMA

#endif
