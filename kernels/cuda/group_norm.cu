// SPDX-License-Identifier: MIT
// Formula: y = (x - mean) / sqrt(var + eps) * gamma + beta, mean and var over the pixels and channels of a group; then
// y / (1 + exp(-y)) with `silu`.
// Layout: pixels [B,P,C], a group is C/groups neighbouring channels; y in any format of rows. args.work holds, for every
// picture, group and part of the pixels, count, mean and sum of squares about that mean, then for the group mean and
// 1 / sqrt(var + eps) in the place of its first part.
// Thread mapping: parts_kernel a block per group (x), part (y) and picture (z), threads stride over the elements of the part in
// vectors of WIDTH; groups of the same pixels run beside each other, so that lines are read from memory once. merge_kernel a
// warp per group, a lane has every DD_WARP-th part. apply_kernel a thread per chunk of channels.
// Budget: parts_kernel<*>: at most 40 registers, 32 bytes of shared memory, at least 6 blocks; merge_kernel: at most 40
// registers, no shared memory, at least 12 blocks; apply_kernel<*>: at most 40 registers, no shared memory, at least 6 blocks.
// Preconditions: C a multiple of DD_CHUNK, groups divides C.
// Precision: float32. A part takes its mean away before it squares, and corrects mean and squares by the sum of the
// differences (Chan's two-pass form); parts are merged about the mean of the first one. All sums have a fixed order, which
// depends on the pixels and channels of a picture alone.
#include "kernels/cuda/picture.cuh"

#define THREADS 256
#define WARPS (THREADS / DD_WARP)
#define PART_PIXELS 64 // at least, where there are that many
#define STATS 3        // numbers of a part

struct part_of_group {
    float count, mean, square;
};

// Over the block, in all threads; warps in their order. May be called again at once.
static __device__ __forceinline__ float block_sum(float x, float *shared)
{
    x = warp_sum(x);
    __syncthreads(); // the sums of the call before have been read
    if (threadIdx.x % DD_WARP == 0) shared[threadIdx.x / DD_WARP] = x;
    __syncthreads();
    float sum = 0;
#pragma unroll
    for (int i = 0; i < WARPS; i++) sum += shared[i];
    return sum;
}

// The elements of a part that a thread has: vectors of WIDTH, `vectors` of them in a pixel.
template <int WIDTH> struct walk {
    const float *x; // of the first pixel, at the group's first channel
    int64_t pixels;
    int c, vectors;

    // f gets each element, pixel by pixel.
    template <class F> __device__ __forceinline__ void each(F f) const
    {
        int64_t pixel = threadIdx.x / vectors;
        int at = threadIdx.x % vectors;
        const int pixel_step = THREADS / vectors, step = THREADS % vectors;
        while (pixel < pixels) {
            const float *p = x + pixel * c + at * WIDTH;
            if (WIDTH == 4) {
                const float4 v = *(const float4 *)p;
                f(v.x), f(v.y), f(v.z), f(v.w);
            } else {
                f(*p);
            }
            pixel += pixel_step;
            at += step;
            if (at >= vectors) at -= vectors, pixel++;
        }
    }
};

template <int WIDTH> static __global__ void __launch_bounds__(THREADS) parts_kernel(dd_group_norm_args a, int per_part)
{
    __shared__ float shared[WARPS];
    const int group = blockIdx.x, part = blockIdx.y, b = blockIdx.z, width = a.c / a.groups;
    const int64_t first = (int64_t)part * per_part, left = a.pixels - first;
    const walk<WIDTH> w = {a.x + (b * (int64_t)a.pixels + first) * a.c + group * width,
                           left < per_part ? left : per_part, a.c, width / WIDTH};
    const float count = (float)w.pixels * (float)width;
    float sum = 0, off = 0, square = 0;
    w.each([&](float x) { sum += x; });
    const float mean = block_sum(sum, shared) / count;
    w.each([&](float x) {
        const float t = x - mean;
        off += t;
        square = fmaf(t, t, square);
    });
    off = block_sum(off, shared);
    square = block_sum(square, shared);
    if (threadIdx.x != 0) return;
    float *to = a.work + (((int64_t)b * a.groups + group) * DD_GROUP_NORM_PARTS + part) * STATS;
    to[0] = count;
    to[1] = mean + off / count;
    to[2] = square - off / count * off;
}

static __global__ void __launch_bounds__(THREADS / 2) merge_kernel(dd_group_norm_args a, int parts)
{
    const int lane = threadIdx.x % DD_WARP;
    const int64_t i = (int64_t)blockIdx.x * (THREADS / 2 / DD_WARP) + threadIdx.x / DD_WARP;
    if (i >= (int64_t)a.b * a.groups) return;
    float *const all = a.work + i * DD_GROUP_NORM_PARTS * STATS, base = all[1];
    float count = 0, off = 0, square = 0;
    for (int p = lane; p < parts; p += DD_WARP) {
        count += all[p * STATS];
        off = fmaf(all[p * STATS], all[p * STATS + 1] - base, off);
    }
    count = warp_sum(count);
    off = warp_sum(off) / count;
    for (int p = lane; p < parts; p += DD_WARP) {
        const float t = (all[p * STATS + 1] - base) - off;
        square += fmaf(all[p * STATS] * t, t, all[p * STATS + 2]);
    }
    square = warp_sum(square);
    __syncwarp(); // all have read before this one writes
    if (lane != 0) return;
    all[0] = base + off;
    all[1] = 1.0f / sqrtf(square / count + a.eps);
}

template <class Y>
static __global__ void __launch_bounds__(THREADS)
    apply_kernel(dd_group_norm_args a, int64_t chunks, bool x_vector, bool y_vector)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= chunks) return;
    const int in_pixel = a.c / DD_CHUNK, first = (int)(i % in_pixel) * DD_CHUNK, width = a.c / a.groups;
    const int64_t b = i / in_pixel / a.pixels;
    const float *stats = a.work + b * a.groups * DD_GROUP_NORM_PARTS * STATS;
    float v[DD_CHUNK];
    load_part(v, a.x + i * DD_CHUNK, DD_CHUNK, x_vector);
#pragma unroll
    for (int k = 0; k < DD_CHUNK; k++) {
        const float *s = stats + (first + k) / width * (DD_GROUP_NORM_PARTS * STATS);
        v[k] = fmaf((v[k] - s[0]) * s[1], a.gamma[first + k], a.beta[first + k]);
        if (a.silu) v[k] /= 1.0f + expf(-v[k]);
    }
    store_part((Y *)a.y + i * DD_CHUNK, v, y_vector);
}

static dd_status statistics(const dd_exec *exec, const dd_group_norm_args *args)
{
    const int per_part = (int)ceil_div(args->pixels, DD_GROUP_NORM_PARTS), width = args->c / args->groups;
    const int pixels = per_part > PART_PIXELS ? per_part : PART_PIXELS, parts = (int)ceil_div(args->pixels, pixels);
    const dim3 grid((unsigned)args->groups, (unsigned)parts, (unsigned)args->b);
    if (width % 4 == 0 && chunks_ok(args->x)) parts_kernel<4><<<grid, THREADS, 0, stream_of(exec)>>>(*args, pixels);
    else parts_kernel<1><<<grid, THREADS, 0, stream_of(exec)>>>(*args, pixels);
    const dd_status st = launched();
    if (st != DD_OK) return st;
    const int64_t blocks = ceil_div((int64_t)args->b * args->groups, THREADS / 2 / DD_WARP);
    merge_kernel<<<(unsigned)blocks, THREADS / 2, 0, stream_of(exec)>>>(*args, parts);
    return launched();
}

dd_status dd_cuda_group_norm(const dd_exec *exec, const dd_group_norm_args *args)
{
    if (!exec_ok(exec) || args == NULL || args->x == NULL || args->y == NULL || args->work == NULL) return DD_ERR_ARG;
    if (args->gamma == NULL || args->beta == NULL || !(args->eps >= 0)) return DD_ERR_ARG;
    if (!dd_picture_ok(args->b, args->pixels, 1, args->c) || args->groups <= 0 || args->c % args->groups != 0)
        return DD_ERR_ARG;
    const int64_t chunks = (int64_t)args->b * args->pixels * (args->c / DD_CHUNK), blocks = ceil_div(chunks, THREADS);
    if (!grid_ok(blocks, args->b)) return DD_ERR_ARG;
    if (!dd_pixel_format_ok(args->y_format)) return DD_ERR_UNSUPPORTED;
    const dd_status st = statistics(exec, args);
    if (st != DD_OK) return st;
    const bool x = chunks_ok(args->x), y = chunks_ok(args->y);
    const cudaStream_t stream = stream_of(exec);
    const unsigned n = (unsigned)blocks;
    switch (args->y_format) {
    case DD_FMT_TF32: apply_kernel<tf32><<<n, THREADS, 0, stream>>>(*args, chunks, x, y); break;
    case DD_FMT_BF16: apply_kernel<bf16><<<n, THREADS, 0, stream>>>(*args, chunks, x, y); break;
    case DD_FMT_F16: apply_kernel<f16><<<n, THREADS, 0, stream>>>(*args, chunks, x, y); break;
    default: apply_kernel<float><<<n, THREADS, 0, stream>>>(*args, chunks, x, y);
    }
    return launched();
}
