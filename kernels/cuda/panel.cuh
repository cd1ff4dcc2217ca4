// SPDX-License-Identifier: MIT
// Operand panels of the float32 kernels with a TILE x TILE result in shared memory, and their product. A thread has ROWS
// neighbouring rows of COLS columns that lie SIDE apart, so that reads of shared memory are wide or conflict-free; for a panel it
// loads one chunk along the depth of LOADS rows.
#ifndef DD_KERNELS_CUDA_PANEL_CUH
#define DD_KERNELS_CUDA_PANEL_CUH

#include "kernels/cuda/element.cuh"

#define TILE 64
#define DEPTH 32
#define ROWS 8
#define COLS 4
#define SIDE (TILE / COLS)
#define THREADS (TILE / ROWS * SIDE)
#define CHUNKS (DEPTH / DD_CHUNK)
#define STRIDE (THREADS / CHUNKS) // rows of a panel that the block loads at once
#define LOADS (TILE / STRIDE)

// TILE rows of a matrix, DEPTH values of each, transposed; zero outside of the matrix. Row r of chunk c is in column
// r ^ 8c, so that the transposing writes of a warp, 8 rows of 4 chunks, fall into different banks.
struct panel {
    float v[DEPTH][TILE];
};

static __device__ __forceinline__ int panel_column(int row, int chunk) { return row ^ chunk * DD_CHUNK; }

static __device__ __forceinline__ void multiply(float (&acc)[ROWS][COLS], const panel &a, const panel &b)
{
    const int tx = threadIdx.x % SIDE, ty = threadIdx.x / SIDE;
#pragma unroll 1
    for (int chunk = 0; chunk < CHUNKS; chunk++)
#pragma unroll
        for (int i = 0; i < DD_CHUNK; i++) {
            const float *row = a.v[chunk * DD_CHUNK + i], *column = b.v[chunk * DD_CHUNK + i];
            float x[ROWS], y[COLS];
            load_chunk(x, row + panel_column(ty * ROWS, chunk));
#pragma unroll
            for (int c = 0; c < COLS; c++) y[c] = column[panel_column(tx + c * SIDE, chunk)];
#pragma unroll
            for (int r = 0; r < ROWS; r++)
#pragma unroll
                for (int c = 0; c < COLS; c++) acc[r][c] = fmaf(x[r], y[c], acc[r][c]);
        }
}

#endif
