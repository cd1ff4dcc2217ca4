// SPDX-License-Identifier: MIT
// Formula: acc[i,n] = sum_k a[i,k] w[n,k] over the active chunks of N and K, then bias, GELU (tanh) or gated residual.
// Layout: a row-major, compact along K; w row-major [n,k] in the order of units, gathered by chunks along N and K, both bf16,
// f16 or tf32; c float32 or of that type, compact along N, c_unit columns from one unit to the next; the residual scatters
// rows by the list.
// Thread mapping: a block per ROWS x COLS of the result (x: columns, y: rows), a warp per WARP_ROWS x 32 of these. Three or
// four tiles of a and w, PIECES of 16 bytes deep, are on their way to shared memory or in use; a thread copies the same piece
// of the same rows of each. Neighbouring blocks share rows of a and stay in the cache with all of w. Blocks past the rows and
// columns in force leave before they read more.
// Budget: gemm_mma_kernel<*<128,128,*>: at most 128 registers, 65536 bytes of dynamic shared memory, at least 2 blocks (1 on
// 86, 89 and 120); gemm_mma_kernel<*<128,128,*>: at most 128 registers, 49152 bytes of dynamic shared memory, at least 2
// blocks; gemm_mma_kernel<*<128,64,*>: at most 160 registers, 36864 bytes of dynamic shared memory, at least 3 blocks (2 on
// 86, 89 and 120); gemm_mma_kernel<*<64,64,*>: at most 144 registers, 49152 bytes of dynamic shared memory, at least 3
// blocks (2 on 86, 89 and 120). That is 16 (ROWS + COLS) PIECES in each of four or three stages.
// Instructions: LDSM.16.M88.4, LDSM.16.M88.2, LDGSTS.E.BYPASS.128, STG.E.128; gemm_mma_kernel<bf16,*>: HMMA.16816.F32.BF16,
// HMMA.1688.F32.BF16; gemm_mma_kernel<f16,*>: HMMA.16816.F32, HMMA.1688.F32; gemm_mma_kernel<tf32,*>: HMMA.1688.F32.TF32,
// HMMA.1684.F32.TF32.
// Preconditions: gemm_ok, dd_cuda_gemm_mma_takes. Lists, counts and slots are on the device: trusted, the count clamped to m.
// Precision: products are exact; tensor cores add those of two pieces of K (16, in tf32 8), at last of one where their number
// is odd, to a float32 sum, k ascending from zero. That is the same for every tile, so a result depends on its own row of a and
// w alone. A result in f16 that exceeds it is infinite.
#include <atomic>

#include "kernels/cuda/gemm_mma.h"
#include "kernels/cuda/gemm_source.cuh"

// BLOCKS: on a multiprocessor at least, which limits the registers.
template <int ROWS_, int COLS_, int PIECES_, int WARP_ROWS_, int BLOCKS_> struct gemm_shape {
    enum {
        ROWS = ROWS_,
        COLS = COLS_,
        PIECES = PIECES_, // along the depth
        BLOCKS = BLOCKS_,
        WARP_ROWS = WARP_ROWS_,
        WARPS_N = COLS / DD_MMA_WIDTH,
        THREADS = ROWS / WARP_ROWS * WARPS_N * DD_WARP,
        FRAGMENTS = WARP_ROWS / DD_MMA_ROWS,
        STRIDE = THREADS / PIECES, // rows that the block copies at once
        A_LOADS = ROWS / STRIDE,
        W_LOADS = COLS / STRIDE
    };
    static_assert(ROWS % STRIDE == 0 && COLS % STRIDE == 0 && PIECES % 2 == 0, "threads copy whole tiles");
};

// Two pieces of depth.
template <class T, class S>
static __device__ __forceinline__ void multiply_two(float (&acc)[S::FRAGMENTS][DD_MMA_TILES][4], const stage<T, S> &t,
                                                    int row, int column, int piece)
{
    uint32_t a[S::FRAGMENTS][4], b[DD_MMA_TILES / 2][4];
#pragma unroll
    for (int j = 0; j < DD_MMA_TILES / 2; j++) load_b_two(b[j], t.w, column + j * 16, piece);
#pragma unroll
    for (int i = 0; i < S::FRAGMENTS; i++) load_a_two(a[i], t.a, row + i * DD_MMA_ROWS, piece);
#pragma unroll
    for (int i = 0; i < S::FRAGMENTS; i++)
#pragma unroll
        for (int j = 0; j < DD_MMA_TILES; j++)
            mma_two(T(), acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
}

template <class T, class S>
static __device__ __forceinline__ void multiply_one(float (&acc)[S::FRAGMENTS][DD_MMA_TILES][4], const stage<T, S> &t,
                                                    int row, int column, int piece)
{
    uint32_t a[2], b[4];
    load_b_one(b, t.w, column, piece);
#pragma unroll
    for (int i = 0; i < S::FRAGMENTS; i++) {
        load_a_one(a, t.a, row + i * DD_MMA_ROWS, piece);
#pragma unroll
        for (int j = 0; j < DD_MMA_TILES; j++) mma_one(T(), acc[i][j], a, b[j]);
    }
}

// One tile of depth, of which `pieces` are there.
template <class T, class S>
static __device__ __forceinline__ void multiply(float (&acc)[S::FRAGMENTS][DD_MMA_TILES][4], const stage<T, S> &t,
                                                int row, int column, int pieces)
{
#pragma unroll
    for (int p = 0; p < S::PIECES; p += 2) {
        if (p + 1 < pieces) multiply_two<T, S>(acc, t, row, column, p);
        else if (p < pieces) multiply_one<T, S>(acc, t, row, column, p);
    }
}

template <class T, class S, class C>
static __global__ void __launch_bounds__(S::THREADS, S::BLOCKS)
    gemm_mma_kernel(dd_gemm_args g, gemm_weight<T> w, bool c_vector, int stages, const int32_t *step_at)
{
    extern __shared__ __align__(DD_LINE) unsigned char memory[];
    stage<T, S> *ring = (stage<T, S> *)memory;
    const int64_t m = rows_live(g.rows, g.m), row0 = (int64_t)blockIdx.y * S::ROWS;
    if (row0 >= m) return;
    const int32_t step = *step_at;
    const gemm_slice s = gemm_slice_at(g, w, step);
    const int col0 = (int)blockIdx.x * S::COLS, warp = threadIdx.x / DD_WARP;
    if (col0 >= s.n) return;
    const int row = warp / S::WARPS_N * S::WARP_ROWS, column = warp % S::WARPS_N * DD_MMA_WIDTH;
    float acc[S::FRAGMENTS][DD_MMA_TILES][4] = {};
    source<T, S> from;
    source_open<T, S, C>(from, g, w, s, row0, m, col0);
    const int tiles = (from.pieces + S::PIECES - 1) / S::PIECES;
#pragma unroll 1
    for (int i = 0; i < stages - 1; i++) {
        if (i < tiles) copy_next<T, S>(ring[i], from);
        copy_commit();
    }
    int use = 0, fill = stages - 1;
    for (int tile = 0; tile < tiles; tile++) {
        if (stages == 3) copy_wait<1>();
        else copy_wait<2>();
        __syncthreads(); // the tile is there for all, and all are done with the one that is filled next
        if (tile + stages - 1 < tiles) copy_next<T, S>(ring[fill], from);
        copy_commit();
        const int pieces = from.pieces - tile * S::PIECES;
        if (pieces >= S::PIECES) multiply<T, S>(acc, ring[use], row, column, S::PIECES);
        else multiply<T, S>(acc, ring[use], row, column, pieces);
        use = use + 1 < stages ? use + 1 : 0;
        fill = fill + 1 < stages ? fill + 1 : 0;
    }
    store_fragments<C>(g, s, step, row0 + row, m, col0 + column, c_vector, acc);
}

// ---- launching ----

template <class T, class S, class C> static dd_status launch(const dd_exec *exec, const dd_gemm_args *args, int stages)
{
    const dd_packed *p = args->w;
    const gemm_weight<T> w = {(const T *)p->data, (int)p->n, (int)p->k, (int)p->unit};
    const int64_t x = ceil_div(p->n, S::COLS), y = ceil_div(args->m, S::ROWS);
    const bool vector = vector_ok<C>(args->c, args->ldc) && vector_ok<C>(NULL, args->c_unit);
    const size_t bytes = stages * sizeof(stage<T, S>);
    if (!grid_ok(x, y)) return DD_ERR_ARG;
    if (y == 0) return DD_OK;
    gemm_mma_kernel<T, S, C>
        <<<dim3((unsigned)x, (unsigned)y), S::THREADS, bytes, stream_of(exec)>>>(*args, w, vector, stages, exec->step);
    return launched();
}

// A kernel for inputs of a type, with results in float32 or in that type.
struct variant {
    dd_status (*launch[2])(const dd_exec *exec, const dd_gemm_args *args, int stages);
    const void *kernel[2];
};

template <class T, class S> static variant variant_of(void)
{
    return {{launch<T, S, float>, launch<T, S, T>},
            {(const void *)gemm_mma_kernel<T, S, float>, (const void *)gemm_mma_kernel<T, S, T>}};
}

enum { TYPES = 3 };

// -1: not a type of these.
static int type_of(dd_format f) { return f == DD_FMT_BF16 ? 0 : f == DD_FMT_F16 ? 1 : f == DD_FMT_TF32 ? 2 : -1; }

struct tile {
    int rows, cols, stages, bytes; // bytes of shared memory
    variant types[TYPES];          // in the order of type_of
};

template <class S> static tile tile_of(int stages)
{
    return {S::ROWS,
            S::COLS,
            stages,
            stages * (int)sizeof(stage<bf16, S>),
            {variant_of<bf16, S>(), variant_of<f16, S>(), variant_of<tf32, S>()}};
}

// The largest first. All published widths (384, 768, 1024, 1152) are multiples of 128, so columns are not wasted by any.
typedef gemm_shape<128, 128, 4, 64, 2> large;
typedef gemm_shape<128, 64, 4, 64, 3> medium;
typedef gemm_shape<64, 64, 8, 32, 3> small;
static const tile tiles[DD_CUDA_MMA_TILES] = {tile_of<large>(4), tile_of<large>(3), tile_of<medium>(3),
                                              tile_of<small>(3)};
const char *const dd_cuda_gemm_mma_names[DD_CUDA_MMA_TILES] = {"128x128x32x4", "128x128x32x3", "128x64x32x3",
                                                               "64x64x64x3"};

#define MAX_DEVICES 64
#define DEFAULT_SHARED (48 * 1024) // bytes that a block may have without asking
#define RESERVED 1024              // bytes of shared memory that the system takes from a multiprocessor for each block

struct device {
    int32_t multiprocessors, shared; // bytes for one block
};

// Kernels are told once for each device how much shared memory they may ask for. Threads that come at the same time do it
// twice, to the same effect.
static bool device_open(int id, device *d)
{
    if (cudaDeviceGetAttribute(&d->multiprocessors, cudaDevAttrMultiProcessorCount, id) != cudaSuccess ||
        cudaDeviceGetAttribute(&d->shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, id) != cudaSuccess)
        return false;
    for (const tile &t : tiles)
        for (const variant &v : t.types)
            for (const void *kernel : v.kernel)
                if (t.bytes > DEFAULT_SHARED && t.bytes <= d->shared &&
                    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, t.bytes) != cudaSuccess)
                    return false;
    return true;
}

static bool device_now(device *d)
{
    static std::atomic<device> known[MAX_DEVICES];
    int id;
    if (cudaGetDevice(&id) != cudaSuccess) return false;
    if (id >= MAX_DEVICES) return device_open(id, d);
    *d = known[id].load();
    if (d->multiprocessors != 0) return true;
    if (!device_open(id, d)) return false;
    known[id].store(*d);
    return true;
}

bool dd_cuda_gemm_mma_takes(const dd_gemm_args *args)
{
    if (type_of(args->a_format) < 0) return false;
    if (args->a_format == DD_FMT_TF32)
        return vector_ok<tf32>(args->a, args->lda) && vector_ok<tf32>(args->w->data, args->w->k);
    return vector_ok<bf16>(args->a, args->lda) && vector_ok<bf16>(args->w->data, args->w->k);
}

int dd_cuda_gemm_mma_tile(const dd_gemm_args *args)
{
    device d;
    if (!device_now(&d)) return -1;
    for (int i = 0; i < DD_CUDA_MMA_TILES; i++) {
        const tile &t = tiles[i];
        const int64_t blocks = ceil_div(args->m, t.rows) * ceil_div(args->w->n, t.cols);
        const bool two_fit = 2 * (t.bytes + RESERVED) <= d.shared + RESERVED;
        if (two_fit && blocks >= d.multiprocessors) return i;
    }
    return DD_CUDA_MMA_TILES - 1;
}

dd_status dd_cuda_gemm_mma(const dd_exec *exec, const dd_gemm_args *args, int tile)
{
    device d;
    if (tile < 0 || tile >= DD_CUDA_MMA_TILES || !device_now(&d)) {
        cudaGetLastError();
        return DD_ERR_DEVICE;
    }
    const struct tile &t = tiles[tile];
    return t.types[type_of(args->a_format)].launch[args->c_format != DD_FMT_F32](exec, args, t.stages);
}
