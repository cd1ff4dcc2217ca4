// SPDX-License-Identifier: MIT
// Operand tiles of tensor-core GEMMs in shared memory: rows of DEPTH bf16, swizzled in lines of 128 bytes, which are all
// banks once. Eight neighbouring rows have the same chunk in eight different groups of four banks, so that ldmatrix reads a
// matrix in one pass; eight neighbouring chunks that a quarter of a warp writes fill one line.
#ifndef DD_KERNELS_CUDA_TILE_CUH
#define DD_KERNELS_CUDA_TILE_CUH

#include "kernels/cuda/mma.cuh"

#define DD_LINE 128 // bytes

template <int ROWS, int DEPTH> struct operand_tile {
    enum { CHUNKS = DEPTH / DD_CHUNK, ROWS_OF_LINE = DD_LINE / DD_VECTOR / CHUNKS };
    static_assert(ROWS % (ROWS_OF_LINE * CHUNKS) == 0 && ROWS_OF_LINE * CHUNKS * DD_VECTOR == DD_LINE, "whole lines");

    bf16 v[ROWS * DEPTH];

    __device__ __forceinline__ bf16 *at(int row, int chunk)
    {
        return v + row * DEPTH + (chunk ^ row / ROWS_OF_LINE % CHUNKS) * DD_CHUNK;
    }
    __device__ __forceinline__ const bf16 *at(int row, int chunk) const
    {
        return const_cast<operand_tile *>(this)->at(row, chunk);
    }
};

// Fragments of this lane's warp. a: 16 rows from `row` on. b: the columns of c are rows of the tile, 16 for depth 16 (a pair
// for each 8), 32 for depth 8. chunk: the first one along the depth.
template <class T>
static __device__ __forceinline__ void load_a_k16(uint32_t (&a)[4], const T &tile, int row, int chunk)
{
    const int lane = threadIdx.x % 32;
    load_matrices(a, tile.at(row + lane % 16, chunk + lane / 16));
}

template <class T>
static __device__ __forceinline__ void load_b_k16(uint32_t (&b)[4], const T &tile, int row, int chunk)
{
    const int lane = threadIdx.x % 32;
    load_matrices(b, tile.at(row + lane / 16 * 8 + lane % 8, chunk + lane / 8 % 2));
}

template <class T> static __device__ __forceinline__ void load_a_k8(uint32_t (&a)[2], const T &tile, int row, int chunk)
{
    load_matrices(a, tile.at(row + threadIdx.x % 16, chunk));
}

template <class T> static __device__ __forceinline__ void load_b_k8(uint32_t (&b)[4], const T &tile, int row, int chunk)
{
    load_matrices(b, tile.at(row + threadIdx.x % 32, chunk));
}

#endif
