// SPDX-License-Identifier: MIT
// Barriers and warp collectives. Every lane states what it must get.
#include "check.h"

#define SHFL(mode, want, want_p, b, c)                                                                                   \
    do {                                                                                                                 \
        unsigned d_, p_;                                                                                                 \
        asm volatile("{ .reg .pred p; shfl.sync." mode ".b32 %0|p, %2, %3, %4, %5; selp.u32 %1, 1, 0, p; }"              \
                     : "=r"(d_), "=r"(p_)                                                                                \
                     : R(value), R(b), R(c), R(~0u));                                                                    \
        log_case(log, __LINE__, d_, (unsigned)(want));                                                                   \
        log_case(log, __LINE__, p_, (unsigned)(want_p));                                                                 \
    } while (0)

__global__ void shuffles(Log *log)
{
    const unsigned l = threadIdx.x, value = 100 + l;
    SHFL("bfly", 100 + (l ^ 5), 1, 5, 0x1f);
    SHFL("up", l >= 3 ? 97 + l : value, l >= 3, 3, 0);
    SHFL("down", l + 3 < 32 ? 103 + l : value, l + 3 < 32, 3, 0x1f);
    SHFL("idx", 107, 1, 7, 0x1f);
    SHFL("idx", 107, 1, 39, 0x1f); // five bits of it
    // Segments of 8 lanes: mask 0x18.
    SHFL("up", (l & 7) >= 2 ? 98 + l : value, (l & 7) >= 2, 2, 0x1800);
    SHFL("down", (l & 7) + 2 < 8 ? 102 + l : value, (l & 7) + 2 < 8, 2, 0x181f);
    SHFL("bfly", l & 8 ? 100 + (l ^ 8) : value, (l & 8) != 0, 8, 0x181f);
    SHFL("idx", 100 + (l & 24) + 3, 1, 3 + 8, 0x181f);
    // Half of a warp by itself.
    if (l < 16) log_case(log, __LINE__, __shfl_xor_sync(0xffff, value, 1), 100 + (l ^ 1));
}

__global__ void votes(Log *log)
{
    const unsigned l = threadIdx.x & 31;
    log_case(log, __LINE__, __ballot_sync(~0u, l % 3 == 0), 0x49249249u);
    log_case(log, __LINE__, __any_sync(~0u, l == 31), 1);
    log_case(log, __LINE__, __any_sync(~0u, 0), 0);
    log_case(log, __LINE__, __all_sync(~0u, 1), 1);
    log_case(log, __LINE__, __all_sync(~0u, l < 31), 0);
    EXPECT(unsigned, "=r", 1, "{ .reg .pred p, q; setp.eq.u32 p, %1, 77; vote.sync.uni.pred q, p, -1; selp.u32 %0, 1, 0, q; }", R(l));
    EXPECT(unsigned, "=r", 0, "{ .reg .pred p, q; setp.eq.u32 p, %1, 7; vote.sync.uni.pred q, p, -1; selp.u32 %0, 1, 0, q; }", R(l));
    EXPECT(unsigned, "=r", 0x11111111u << (l & 3), "match.any.sync.b32 %0, %1, -1;", R(l & 3));
    EXPECT(unsigned, "=r", 0, "{ .reg .pred p; match.all.sync.b32 %0|p, %1, -1; }", R(l & 3));
    EXPECT(unsigned, "=r", 1, "{ .reg .pred p; .reg .b32 t; match.all.sync.b64 t|p, %1, -1; selp.u32 %0, 1, 0, p; }", L(5));
    I1("{ redux.sync.add.u32 %0, %1, -1; }//", 496, l);
    EXPECT(int, "=r", -31, "redux.sync.min.s32 %0, %1, -1;", R(-(int)l));
    EXPECT(unsigned, "=r", 31, "redux.sync.max.u32 %0, %1, -1;", R(l));
    EXPECT(unsigned, "=r", 31, "redux.sync.or.b32 %0, %1, -1;", R(l));
    EXPECT(unsigned, "=r", 0, "redux.sync.xor.b32 %0, %1, -1;", R(l));
    EXPECT(unsigned, "=r", 0, "redux.sync.and.b32 %0, %1, -1;", R(l));
    // A mask may name whoever takes part; nobody else counts.
    if (l >= 8) log_case(log, __LINE__, __ballot_sync(0xffffff00u, 1), 0xffffff00u);
    log_case(log, __LINE__, (__activemask() >> l) & 1, 1u);
    EXPECT(unsigned, "=r", (1u << l) - 1, "mov.u32 %0, %lanemask_lt;", R(0));
    EXPECT(unsigned, "=r", l, "mov.u32 %0, %laneid;", R(0));
}

__global__ void barriers(Log *log)
{
    __shared__ int s[96];
    const int t = threadIdx.x;
    s[t] = t;
    __syncthreads();
    log_case(log, __LINE__, s[95 - t], 95 - t);
    log_case(log, __LINE__, __syncthreads_count(t % 2), 48);
    log_case(log, __LINE__, __syncthreads_and(t < 95), 0);
    log_case(log, __LINE__, __syncthreads_or(t == 95), 1);
    // A producer warp and two that consume: barrier 1 of 96 threads, of which 32 do not wait.
    if (t < 32) {
        s[t] = 1000 + t;
        __threadfence_block();
        asm volatile("bar.arrive 1, 96;" ::: "memory");
    } else {
        asm volatile("bar.sync 1, 96;" ::: "memory");
        log_case(log, __LINE__, s[t & 31], 1000 + (t & 31));
    }
    __syncthreads();
    if (t < 64) { // a barrier of two warps
        s[t] = -t;
        asm volatile("barrier.sync 2, 64;" ::: "memory");
        log_case(log, __LINE__, s[63 - t], t - 63);
    }
    __syncthreads();
    s[t] = t * 2;
    __syncwarp();
    log_case(log, __LINE__, s[t ^ 1], (t ^ 1) * 2);
}

// Threads of a block of 48 leave one warp half empty.
__global__ void partial(Log *log)
{
    __shared__ int s[48];
    s[threadIdx.x] = threadIdx.x;
    asm volatile("bar.sync 3, 64;" ::: "memory");
    log_case(log, __LINE__, s[47 - threadIdx.x], 47 - (int)threadIdx.x);
    int sum = threadIdx.x;
    for (int o = 8; o; o >>= 1) sum += __shfl_xor_sync(threadIdx.x < 32 ? ~0u : 0xffffu, sum, o);
    log_case(log, __LINE__, sum, 120 + (int)(threadIdx.x & ~15u) * 16);
}

int main()
{
    compare("shfl", shuffles, 32);
    compare("vote, match, redux", votes, 32);
    compare("barriers", barriers, 96);
    compare("a partial warp", partial, 48);
    return n_failed != 0;
}
