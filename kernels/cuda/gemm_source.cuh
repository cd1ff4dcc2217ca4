// SPDX-License-Identifier: MIT
// From global memory to the operand tiles of a GEMM: rows of a, and rows and pieces of W by the lists of active chunks. S, the
// shape: ROWS x COLS of the result, PIECES of 16 bytes along the depth, STRIDE rows that a block copies at once, so that a
// thread copies the same piece of A_LOADS rows of a and W_LOADS of W. Rows of W come in the order of fragment_column.
#ifndef DD_KERNELS_CUDA_GEMM_SOURCE_CUH
#define DD_KERNELS_CUDA_GEMM_SOURCE_CUH

#include "kernels/cuda/gemm_mma_store.cuh"
#include "kernels/cuda/tile.cuh"

template <class T, class S> struct stage {
    operand_tile<T, S::ROWS, S::PIECES> a;
    operand_tile<T, S::COLS, S::PIECES> w;
};

// What a thread copies: rows, NULL outside of the matrix, and its piece of the next tile.
template <class T, class S> struct source {
    const T *a[S::A_LOADS], *w[S::W_LOADS];
    const int32_t *k_list;
    int piece, pieces; // the one along the active K, and their number
    int w_at;          // its first column in w, looked up one tile ahead
};

template <class T> static __device__ __forceinline__ int piece_column(const int32_t *list, int piece, int pieces)
{
    return piece < pieces ? list_column(list, piece * piece_of<T>::SIZE) : 0;
}

template <class T, class S, class C>
static __device__ __forceinline__ void source_open(source<T, S> &f, const dd_gemm_args &g, const gemm_weight<T> &w,
                                                   const gemm_slice &s, int64_t row0, int64_t m, int col0)
{
    const int first = (int)threadIdx.x / S::PIECES;
#pragma unroll
    for (int i = 0; i < S::A_LOADS; i++) {
        const int64_t row = row0 + first + i * S::STRIDE;
        f.a[i] = row < m ? (const T *)g.a + row * g.lda : NULL;
    }
#pragma unroll
    for (int i = 0; i < S::W_LOADS; i++) {
        const int p = first + i * S::STRIDE, in_warp = p % DD_MMA_WIDTH;
        const int column = col0 + p - in_warp + fragment_column<C>(in_warp);
        f.w[i] = column < s.n ? w.w + (int64_t)list_column(s.n_list, column) * w.k : NULL;
    }
    f.k_list = s.k_list;
    f.piece = threadIdx.x % S::PIECES;
    f.pieces = s.k / piece_of<T>::SIZE;
    f.w_at = piece_column<T>(f.k_list, f.piece, f.pieces);
}

template <class T, class S> static __device__ __forceinline__ void copy_next(stage<T, S> &to, source<T, S> &f)
{
    const int first = (int)threadIdx.x / S::PIECES, piece = threadIdx.x % S::PIECES;
    const bool live = f.piece < f.pieces;
#pragma unroll
    for (int i = 0; i < S::A_LOADS; i++)
        copy_async(to.a.at(first + i * S::STRIDE, piece), f.a[i] + f.piece * piece_of<T>::SIZE, live && f.a[i]);
#pragma unroll
    for (int i = 0; i < S::W_LOADS; i++)
        copy_async(to.w.at(first + i * S::STRIDE, piece), f.w[i] + f.w_at, live && f.w[i]);
    f.piece += S::PIECES;
    f.w_at = piece_column<T>(f.k_list, f.piece, f.pieces);
}

#endif
