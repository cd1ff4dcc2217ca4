// SPDX-License-Identifier: MIT
// Operand tiles of tensor-core kernels in shared memory: rows of PIECES of 16 bytes, swizzled in lines of 128 bytes, which
// are all banks once. Eight neighbouring rows have the same piece in eight different groups of four banks, so that ldmatrix
// reads a matrix in one pass; eight neighbouring pieces that a quarter of a warp writes fill one line.
#ifndef DD_KERNELS_CUDA_TILE_CUH
#define DD_KERNELS_CUDA_TILE_CUH

#include "kernels/cuda/mma.cuh"

#define DD_LINE 128 // bytes

template <class T, int ROWS, int PIECES> struct operand_tile {
    enum { SIZE = piece_of<T>::SIZE, ROWS_OF_LINE = DD_LINE / DD_VECTOR / PIECES };
    static_assert(ROWS % (ROWS_OF_LINE * PIECES) == 0 && ROWS_OF_LINE * PIECES * DD_VECTOR == DD_LINE, "whole lines");

    T v[ROWS * PIECES * SIZE];

    __device__ __forceinline__ T *at(int row, int piece)
    {
        return v + (row * PIECES + (piece ^ row / ROWS_OF_LINE % PIECES)) * SIZE;
    }
    __device__ __forceinline__ const T *at(int row, int piece) const
    {
        return const_cast<operand_tile *>(this)->at(row, piece);
    }
};

// Fragments of this lane's warp. a: 16 rows from `row` on. b: the columns of c are rows of the tile, 16 for two pieces (a
// pair for each 8), 32 for one. piece: the first one along the depth.
template <class T>
static __device__ __forceinline__ void load_a_two(uint32_t (&a)[4], const T &tile, int row, int piece)
{
    const int lane = threadIdx.x % 32;
    load_matrices(a, tile.at(row + lane % 16, piece + lane / 16));
}

template <class T>
static __device__ __forceinline__ void load_b_two(uint32_t (&b)[4], const T &tile, int row, int piece)
{
    const int lane = threadIdx.x % 32;
    load_matrices(b, tile.at(row + lane / 16 * 8 + lane % 8, piece + lane / 8 % 2));
}

template <class T>
static __device__ __forceinline__ void load_a_one(uint32_t (&a)[2], const T &tile, int row, int piece)
{
    load_matrices(a, tile.at(row + threadIdx.x % 16, piece));
}

template <class T>
static __device__ __forceinline__ void load_b_one(uint32_t (&b)[4], const T &tile, int row, int piece)
{
    load_matrices(b, tile.at(row + threadIdx.x % 32, piece));
}

#endif
