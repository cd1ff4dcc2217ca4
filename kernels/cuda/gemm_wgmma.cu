// SPDX-License-Identifier: MIT
// Formula: that of gemm_mma.cu.
// Layout: that of gemm_mma.cu, in bf16 or f16.
// Thread mapping: a block per ROWS x COLS of the result (x: columns, y: rows), a warpgroup per 64 rows of these. Three tiles of
// a and w, 64 deep, are on their way to shared memory or in use: while the tensor cores multiply one, its threads copy the one
// after the next into the place of the one before. Blocks past the rows and columns in force leave before they read more.
// Budget: gemm_wgmma_kernel<*<128>,*>: at most 128 registers, 98304 bytes of dynamic shared memory, at least 2 blocks;
// gemm_wgmma_kernel<*<64>,*>: at most 144 registers, 73728 bytes of dynamic shared memory, at least 3 blocks.
// Instructions: LDGSTS.E.BYPASS.128, STG.E.128; gemm_wgmma_kernel<bf16,*>: HGMMA.64x128x16.F32.BF16;
// gemm_wgmma_kernel<f16,*>: HGMMA.64x128x16.F32.
// Architectures: 90a.
// Preconditions: gemm_ok, takes. Lists, counts and slots are on the device: trusted, the count clamped to m.
// Precision: that of gemm_mma.cu, with 16 elements of K at a time and zeros behind the last ones, for every tile.
#include <atomic>

#include "kernels/cuda/gemm_source.cuh"
#include "kernels/cuda/gemm_wgmma.h"
#include "kernels/cuda/wgmma.cuh"

template <int ROWS_> struct wgmma_shape {
    enum {
        ROWS = ROWS_,
        COLS = DD_WGMMA_COLS,
        PIECES = 8, // a line along the depth
        STAGES = 3,
        THREADS = ROWS / DD_WGMMA_ROWS * 4 * DD_WARP,
        BLOCKS = ROWS == 128 ? 2 : 3, // on a multiprocessor
        GROUPS = COLS / DD_MMA_WIDTH,
        STRIDE = THREADS / PIECES, // rows that the block copies at once
        A_LOADS = ROWS / STRIDE,
        W_LOADS = COLS / STRIDE
    };
    static_assert(ROWS % STRIDE == 0 && COLS % STRIDE == 0, "threads copy whole tiles");
};

template <class T, class S>
static __device__ __forceinline__ void multiply(float (&acc)[S::GROUPS][1][DD_MMA_TILES][4], const stage<T, S> &t,
                                                int row)
{
    const uint64_t a = wgmma_operand(t.a.at(row, 0)), w = wgmma_operand(t.w.at(0, 0));
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < DD_LINE / DD_WGMMA_DEPTH; i++)
        wgmma_two(T(), acc, a + i * (DD_WGMMA_DEPTH / 16), w + i * (DD_WGMMA_DEPTH / 16));
    wgmma_commit();
}

template <class T, class S, class C>
static __device__ __forceinline__ void gemm_tile(const dd_gemm_args &g, const gemm_weight<T> &w, bool c_vector,
                                                 const int32_t *step_at, stage<T, S> *ring)
{
    const int64_t m = rows_live(g.rows, g.m), row0 = (int64_t)blockIdx.y * S::ROWS;
    if (row0 >= m) return;
    const int32_t step = *step_at;
    const gemm_slice s = gemm_slice_at(g, w, step);
    const int col0 = (int)blockIdx.x * S::COLS, warp = threadIdx.x / DD_WARP;
    if (col0 >= s.n) return;
    float acc[S::GROUPS][1][DD_MMA_TILES][4] = {};
    wgmma_pin(acc);
    source<T, S> from;
    source_open<T, S, C>(from, g, w, s, row0, m, col0);
    const int tiles = (from.pieces + S::PIECES - 1) / S::PIECES;
#pragma unroll
    for (int i = 0; i < S::STAGES - 1; i++) {
        if (i < tiles) copy_next<T, S>(ring[i], from);
        copy_commit();
    }
    int use = 0, fill = S::STAGES - 1;
    for (int tile = 0; tile < tiles; tile++) {
        copy_wait<S::STAGES - 2>();
        wgmma_publish();
        wgmma_wait<0>();
        __syncthreads(); // the tile is there for all, and all are done with the one that is filled next
        multiply<T, S>(acc, ring[use], warp / 4 * DD_WGMMA_ROWS);
        if (tile + S::STAGES - 1 < tiles) copy_next<T, S>(ring[fill], from);
        copy_commit();
        use = use + 1 < S::STAGES ? use + 1 : 0;
        fill = fill + 1 < S::STAGES ? fill + 1 : 0;
    }
    wgmma_wait<0>();
    wgmma_pin(acc);
#pragma unroll
    for (int i = 0; i < S::GROUPS; i++)
        store_fragments<C>(g, s, step, row0 + warp * DD_MMA_ROWS, m, col0 + i * DD_MMA_WIDTH, c_vector, acc[i]);
}

#define SWIZZLE 1024 // bytes after which the pattern of operand_tile comes again, and at a multiple of which it begins

template <class T, class S, class C>
static __global__ void __launch_bounds__(S::THREADS, S::BLOCKS)
    gemm_wgmma_kernel(dd_gemm_args g, gemm_weight<T> w, bool c_vector, const int32_t *step_at)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    extern __shared__ __align__(SWIZZLE) unsigned char memory[];
    gemm_tile<T, S, C>(g, w, c_vector, step_at, (stage<T, S> *)memory);
#else
    __trap(); // the launcher has refused
#endif
}

// ---- launching ----

template <class T, class S, class C> static dd_status launch(const dd_exec *exec, const dd_gemm_args *args)
{
    static_assert(sizeof(stage<T, S>) % SWIZZLE == 0 && sizeof(operand_tile<T, S::ROWS, S::PIECES>) % SWIZZLE == 0,
                  "operands begin where the swizzle does");
    const dd_packed *p = args->w;
    const gemm_weight<T> w = {(const T *)p->data, (int)p->n, (int)p->k, (int)p->unit};
    const int64_t x = ceil_div(p->n, S::COLS), y = ceil_div(args->m, S::ROWS);
    const bool vector = vector_ok<C>(args->c, args->ldc) && vector_ok<C>(NULL, args->c_unit);
    if (!grid_ok(x, y)) return DD_ERR_ARG;
    if (y == 0) return DD_OK;
    gemm_wgmma_kernel<T, S, C>
        <<<dim3((unsigned)x, (unsigned)y), S::THREADS, S::STAGES * sizeof(stage<T, S>), stream_of(exec)>>>(
            *args, w, vector, exec->step);
    return launched();
}

struct variant {
    dd_status (*launch)(const dd_exec *exec, const dd_gemm_args *args);
    const void *kernel;
};

template <class T, class S, class C> static variant variant_of(void)
{
    return {launch<T, S, C>, (const void *)gemm_wgmma_kernel<T, S, C>};
}

struct tile {
    int rows, bytes;        // bytes of shared memory
    variant variants[2][2]; // of bf16 and f16, with results in float32 or in that type
};

template <class S> static tile tile_of(void)
{
    return {S::ROWS,
            S::STAGES * (int)sizeof(stage<bf16, S>),
            {{variant_of<bf16, S, float>(), variant_of<bf16, S, bf16>()},
             {variant_of<f16, S, float>(), variant_of<f16, S, f16>()}}};
}

// The larger first.
static const tile tiles[DD_CUDA_WGMMA_TILES] = {tile_of<wgmma_shape<128>>(), tile_of<wgmma_shape<64>>()};
const char *const dd_cuda_gemm_wgmma_names[DD_CUDA_WGMMA_TILES] = {"128x128x64x3", "64x128x64x3"};

#ifdef DD_SM90A // defined where this file is built for sm_90a
enum { HAS_CODE = 1 };
#else
enum { HAS_CODE = 0 };
#endif

// Multiprocessors of a device with these instructions, -1 of another one, 0 where CUDA cannot tell now. Kernels are told how
// much shared memory they may ask for.
static int open_device(int id)
{
    int major, minor, n;
    if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, id) != cudaSuccess ||
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, id) != cudaSuccess ||
        cudaDeviceGetAttribute(&n, cudaDevAttrMultiProcessorCount, id) != cudaSuccess)
        return 0;
    if (major != 9 || minor != 0) return -1;
    for (const tile &t : tiles)
        for (const auto &of_type : t.variants)
            for (const variant &v : of_type)
                if (cudaFuncSetAttribute(v.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, t.bytes) != cudaSuccess)
                    return 0;
    return n;
}

#define MAX_DEVICES 64

// At most 0: none that can be used. A device is asked until it has told. Threads that come at the same time do it twice, to the
// same effect. What fails here is an answer: it is no error of the next launch.
static int multiprocessors(void)
{
    static std::atomic<int> known[MAX_DEVICES];
    int id, n = 0;
    if (!HAS_CODE) return -1;
    if (cudaGetDevice(&id) == cudaSuccess) {
        if (id < MAX_DEVICES && (n = known[id].load()) != 0) return n;
        n = open_device(id);
        if (id < MAX_DEVICES) known[id].store(n);
    }
    if (n == 0) (void)cudaGetLastError();
    return n;
}

static bool takes(const dd_gemm_args *args)
{
    if (args->a_format != DD_FMT_BF16 && args->a_format != DD_FMT_F16) return false;
    return vector_ok<bf16>(args->a, args->lda) && vector_ok<bf16>(args->w->data, args->w->k);
}

bool dd_cuda_wgmma_here(void) { return multiprocessors() > 0; }

int dd_cuda_gemm_wgmma_tile(const dd_gemm_args *args)
{
    const int n = multiprocessors();
    if (n <= 0) return -1;
    const int64_t blocks = ceil_div(args->m, tiles[0].rows) * ceil_div(args->w->n, DD_WGMMA_COLS);
    return blocks >= n ? 0 : 1;
}

dd_status dd_cuda_gemm_wgmma(const dd_exec *exec, const dd_gemm_args *args, int tile)
{
    const dd_status st = gemm_ok(exec, args);
    if (st != DD_OK) return st;
    if (tile < 0 || tile >= DD_CUDA_WGMMA_TILES || multiprocessors() <= 0 || !takes(args)) return DD_ERR_UNSUPPORTED;
    return tiles[tile].variants[args->a_format == DD_FMT_F16][args->c_format != DD_FMT_F32].launch(exec, args);
}
