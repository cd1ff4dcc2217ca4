// SPDX-License-Identifier: MIT
// Formula: acc[i,n] = sum_k a[i,k] w[n,k] over the active chunks of N and K, then bias, GELU (tanh) or gated residual.
// Layout: a bf16 row-major, compact along K; w bf16 row-major [n,k] in the order of units, gathered by chunks along N and K;
// c float32 or bf16, compact along N, c_unit columns from one unit to the next; the residual scatters rows by the list.
// Thread mapping: a block per ROWS x COLS of the result (x: columns, y: rows), a warp per WARP_ROWS x 32 of these. Three or
// four tiles of depth DEPTH of a and w are on their way to shared memory or in use; a thread copies the same chunk of the same
// rows of each. Neighbouring blocks share rows of a and stay in the cache with all of w. Blocks past the rows and columns in
// force leave before they read more.
// Budget: gemm_mma_kernel<*<128,128,*>: at most 128 registers, 65536 bytes of dynamic shared memory, at least 2 blocks (1 on
// 86, 89 and 120); gemm_mma_kernel<*<128,128,*>: at most 128 registers, 49152 bytes of dynamic shared memory, at least 2
// blocks; gemm_mma_kernel<*<128,64,*>: at most 160 registers, 36864 bytes of dynamic shared memory, at least 3 blocks (2 on
// 86, 89 and 120); gemm_mma_kernel<*<64,64,*>: at most 136 registers, 49152 bytes of dynamic shared memory, at least 3
// blocks (2 on 86, 89 and 120). That is (ROWS + COLS) DEPTH bf16 in each of four or three stages.
// Instructions: HMMA.16816.F32.BF16, HMMA.1688.F32.BF16, LDSM.16.M88.4, LDSM.16.M88.2, LDGSTS.E.BYPASS.128, STG.E.128.
// Preconditions: gemm_ok, dd_cuda_gemm_mma_takes. Lists, counts and slots are on the device: trusted, the count clamped to m.
// Precision: products of bf16 are exact; tensor cores add 16 of them, the last time 8 where K is an odd number of chunks, to
// a float32 sum, k ascending from zero. That is the same for every tile, so a result depends on its own row of a and w alone.
#include <atomic>

#include "kernels/cuda/gemm_mma.h"
#include "kernels/cuda/gemm_mma_store.cuh"
#include "kernels/cuda/tile.cuh"

// BLOCKS: on a multiprocessor at least, which limits the registers.
template <int ROWS_, int COLS_, int DEPTH_, int WARP_ROWS_, int BLOCKS_> struct gemm_shape {
    enum {
        ROWS = ROWS_,
        COLS = COLS_,
        DEPTH = DEPTH_,
        BLOCKS = BLOCKS_,
        WARP_ROWS = WARP_ROWS_,
        WARPS_N = COLS / DD_MMA_WIDTH,
        THREADS = ROWS / WARP_ROWS * WARPS_N * DD_WARP,
        FRAGMENTS = WARP_ROWS / DD_MMA_ROWS,
        CHUNKS = DEPTH / DD_CHUNK,
        STRIDE = THREADS / CHUNKS, // rows that the block copies at once
        A_LOADS = ROWS / STRIDE,
        W_LOADS = COLS / STRIDE
    };
    static_assert(ROWS % STRIDE == 0 && COLS % STRIDE == 0 && DEPTH % 16 == 0, "threads copy whole tiles");

    struct stage {
        operand_tile<ROWS, DEPTH> a;
        operand_tile<COLS, DEPTH> w;
    };
};

// What a thread copies: rows, NULL outside of the matrix, and its chunk of the next tile.
template <class S> struct source {
    const bf16 *a[S::A_LOADS], *w[S::W_LOADS];
    const int32_t *k_list;
    int chunk, chunks; // the one along the active K, and their number
    int w_at;          // its first column in w, looked up one tile ahead
};

static __device__ __forceinline__ int chunk_column(const int32_t *list, int chunk, int chunks)
{
    return chunk < chunks ? list_column(list, chunk * DD_CHUNK) : 0;
}

template <class S, class C>
static __device__ __forceinline__ void source_open(source<S> &f, const dd_gemm_args &g, const gemm_weight<bf16> &w,
                                                   const gemm_slice &s, int64_t row0, int64_t m, int col0)
{
    const int first = (int)threadIdx.x / S::CHUNKS;
#pragma unroll
    for (int i = 0; i < S::A_LOADS; i++) {
        const int64_t row = row0 + first + i * S::STRIDE;
        f.a[i] = row < m ? (const bf16 *)g.a + row * g.lda : NULL;
    }
#pragma unroll
    for (int i = 0; i < S::W_LOADS; i++) {
        const int p = first + i * S::STRIDE, in_warp = p % DD_MMA_WIDTH;
        const int column = col0 + p - in_warp + fragment_column<C>(in_warp);
        f.w[i] = column < s.n ? w.w + (int64_t)list_column(s.n_list, column) * w.k : NULL;
    }
    f.k_list = s.k_list;
    f.chunk = threadIdx.x % S::CHUNKS;
    f.chunks = s.k / DD_CHUNK;
    f.w_at = chunk_column(f.k_list, f.chunk, f.chunks);
}

template <class S> static __device__ __forceinline__ void copy_next(typename S::stage &to, source<S> &f)
{
    const int first = (int)threadIdx.x / S::CHUNKS, chunk = threadIdx.x % S::CHUNKS;
    const bool live = f.chunk < f.chunks;
#pragma unroll
    for (int i = 0; i < S::A_LOADS; i++)
        copy_async(to.a.at(first + i * S::STRIDE, chunk), f.a[i] + f.chunk * DD_CHUNK, live && f.a[i]);
#pragma unroll
    for (int i = 0; i < S::W_LOADS; i++)
        copy_async(to.w.at(first + i * S::STRIDE, chunk), f.w[i] + f.w_at, live && f.w[i]);
    f.chunk += S::CHUNKS;
    f.w_at = chunk_column(f.k_list, f.chunk, f.chunks);
}

// Depth 16 from a chunk on.
template <class S>
static __device__ __forceinline__ void multiply_k16(float (&acc)[S::FRAGMENTS][DD_MMA_TILES][4],
                                                    const typename S::stage &t, int row, int column, int chunk)
{
    uint32_t a[S::FRAGMENTS][4], b[DD_MMA_TILES / 2][4];
#pragma unroll
    for (int j = 0; j < DD_MMA_TILES / 2; j++) load_b_k16(b[j], t.w, column + j * 16, chunk);
#pragma unroll
    for (int i = 0; i < S::FRAGMENTS; i++) load_a_k16(a[i], t.a, row + i * DD_MMA_ROWS, chunk);
#pragma unroll
    for (int i = 0; i < S::FRAGMENTS; i++)
#pragma unroll
        for (int j = 0; j < DD_MMA_TILES; j++) mma_k16(acc[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
}

template <class S>
static __device__ __forceinline__ void multiply_k8(float (&acc)[S::FRAGMENTS][DD_MMA_TILES][4],
                                                   const typename S::stage &t, int row, int column, int chunk)
{
    uint32_t a[2], b[4];
    load_b_k8(b, t.w, column, chunk);
#pragma unroll
    for (int i = 0; i < S::FRAGMENTS; i++) {
        load_a_k8(a, t.a, row + i * DD_MMA_ROWS, chunk);
#pragma unroll
        for (int j = 0; j < DD_MMA_TILES; j++) mma_k8(acc[i][j], a, b[j]);
    }
}

// One tile of depth, of which `chunks` are there.
template <class S>
static __device__ __forceinline__ void multiply(float (&acc)[S::FRAGMENTS][DD_MMA_TILES][4], const typename S::stage &t,
                                                int row, int column, int chunks)
{
#pragma unroll
    for (int c = 0; c < S::CHUNKS; c += 2) {
        if (c + 1 < chunks) multiply_k16<S>(acc, t, row, column, c);
        else if (c < chunks) multiply_k8<S>(acc, t, row, column, c);
    }
}

template <class S, class C>
static __global__ void __launch_bounds__(S::THREADS, S::BLOCKS)
    gemm_mma_kernel(dd_gemm_args g, gemm_weight<bf16> w, bool c_vector, int stages, const int32_t *step_at)
{
    extern __shared__ __align__(DD_LINE) unsigned char memory[];
    typename S::stage *ring = (typename S::stage *)memory;
    const int64_t m = rows_live(g.rows, g.m), row0 = (int64_t)blockIdx.y * S::ROWS;
    if (row0 >= m) return;
    const int32_t step = *step_at;
    const gemm_slice s = gemm_slice_at(g, w, step);
    const int col0 = (int)blockIdx.x * S::COLS, warp = threadIdx.x / DD_WARP;
    if (col0 >= s.n) return;
    const int row = warp / S::WARPS_N * S::WARP_ROWS, column = warp % S::WARPS_N * DD_MMA_WIDTH;
    float acc[S::FRAGMENTS][DD_MMA_TILES][4] = {};
    source<S> from;
    source_open<S, C>(from, g, w, s, row0, m, col0);
    const int tiles = (from.chunks + S::CHUNKS - 1) / S::CHUNKS;
#pragma unroll 1
    for (int i = 0; i < stages - 1; i++) {
        if (i < tiles) copy_next<S>(ring[i], from);
        copy_commit();
    }
    int use = 0, fill = stages - 1;
    for (int tile = 0; tile < tiles; tile++) {
        if (stages == 3) copy_wait<1>();
        else copy_wait<2>();
        __syncthreads(); // the tile is there for all, and all are done with the one that is filled next
        if (tile + stages - 1 < tiles) copy_next<S>(ring[fill], from);
        copy_commit();
        const int chunks = from.chunks - tile * S::CHUNKS;
        if (chunks >= S::CHUNKS) multiply<S>(acc, ring[use], row, column, S::CHUNKS);
        else multiply<S>(acc, ring[use], row, column, chunks);
        use = use + 1 < stages ? use + 1 : 0;
        fill = fill + 1 < stages ? fill + 1 : 0;
    }
    store_fragments<C>(g, s, step, row0 + row, m, col0 + column, c_vector, acc);
}

// ---- launching ----

template <class S, class C> static dd_status launch(const dd_exec *exec, const dd_gemm_args *args, int stages)
{
    const dd_packed *p = args->w;
    const gemm_weight<bf16> w = {(const bf16 *)p->data, (int)p->n, (int)p->k, (int)p->unit};
    const int64_t x = ceil_div(p->n, S::COLS), y = ceil_div(args->m, S::ROWS);
    const bool vector = vector_ok<C>(args->c, args->ldc) && vector_ok<C>(NULL, args->c_unit);
    const size_t bytes = stages * sizeof(typename S::stage);
    if (!grid_ok(x, y)) return DD_ERR_ARG;
    if (y == 0) return DD_OK;
    gemm_mma_kernel<S, C>
        <<<dim3((unsigned)x, (unsigned)y), S::THREADS, bytes, stream_of(exec)>>>(*args, w, vector, stages, exec->step);
    return launched();
}

struct tile {
    int rows, cols, stages, bytes; // bytes of shared memory
    dd_status (*f32)(const dd_exec *exec, const dd_gemm_args *args, int stages);
    dd_status (*b16)(const dd_exec *exec, const dd_gemm_args *args, int stages);
    const void *kernels[2];
};

template <class S> static tile tile_of(int stages)
{
    return {S::ROWS,
            S::COLS,
            stages,
            stages * (int)sizeof(typename S::stage),
            launch<S, float>,
            launch<S, bf16>,
            {(const void *)gemm_mma_kernel<S, float>, (const void *)gemm_mma_kernel<S, bf16>}};
}

// The largest first. All published widths (384, 768, 1024, 1152) are multiples of 128, so columns are not wasted by any.
typedef gemm_shape<128, 128, 32, 64, 2> large;
typedef gemm_shape<128, 64, 32, 64, 3> medium;
typedef gemm_shape<64, 64, 64, 32, 3> small;
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
        for (const void *kernel : t.kernels)
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
    return args->a_format == DD_FMT_BF16 && vector_ok<bf16>(args->a, args->lda) &&
           vector_ok<bf16>(args->w->data, args->w->k);
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
    return args->c_format == DD_FMT_F32 ? t.f32(exec, args, t.stages) : t.b16(exec, args, t.stages);
}
