// SPDX-License-Identifier: MIT
// Small kernels with planted bugs, one for each argument; run.sh says what must come of it. "none": the same without.
#include "check.h"

#define BUG(name) (strcmp(bug, name) == 0)

enum { N = 256 };

// Sum of a block, by a tree in shared memory and shuffles. Each bug is one line of it.
enum { NONE, NO_BARRIER, SHARED_OVERRUN, DIVERGENT_BARRIER, WRONG_MASK, OFF_BY_ONE, DIVERGENT_WARP, NO_SYNCWARP };

template <int B> __global__ void reduce(const float *x, float *out, int n)
{
    __shared__ float s[N];
    const int t = threadIdx.x;
    float v = 0;
    for (int i = t; B == OFF_BY_ONE ? i <= n : i < n; i += N) v += x[i];
    s[B == SHARED_OVERRUN ? t + 1 : t] = v;
    if (B != NO_BARRIER) __syncthreads();
    for (int o = N / 2; o >= 32; o /= 2) {
        if (B == DIVERGENT_BARRIER) {
            if (t < o) {
                s[t] += s[t + o];
                __syncthreads();
            }
        } else {
            if (t < o) s[t] += s[t + o];
            __syncthreads();
        }
    }
    if (B == DIVERGENT_WARP && t == 40) { // one lane of a warp takes another way
        __syncthreads();
        s[40] = 1;
    } else if (B == DIVERGENT_WARP) {
        __syncthreads();
    }
    if (t < 32) {
        v = s[t];
        if (B == WRONG_MASK) {
            if (t < 16) v += __shfl_xor_sync(0xffffffffu, v, 8);
        } else if (B == NO_SYNCWARP) { // in step, as on old hardware
            for (int o = 16; o; o /= 2)
                if (t < o) s[t] += s[t + o];
            v = s[0];
        } else {
            for (int o = 16; o; o /= 2) v += __shfl_xor_sync(0xffffffffu, v, o);
        }
        if (t == 0) *out = v;
    }
}

template <int B> static void run_reduce(int n)
{
    float *x, *out, host[1000], got, want = 0;
    for (int i = 0; i < 1000; i++) host[i] = (float)(i % 13);
    for (int i = 0; i < n; i++) want += host[i];
    CU(cudaMalloc(&x, n * sizeof *x));
    CU(cudaMalloc(&out, sizeof *out));
    CU(cudaMemcpy(x, host, n * sizeof *x, cudaMemcpyHostToDevice));
    reduce<B><<<1, N>>>(x, out, n);
    CU(cudaMemcpy(&got, out, sizeof got, cudaMemcpyDeviceToHost));
    verdict(got == want, "sum of a block");
    CU(cudaFree(x));
    CU(cudaFree(out));
}

// ---- copies ---------------------------------------------------------------------------------------------------------

template <bool WAIT> __global__ void staged(const int *x, int *out)
{
    __shared__ __align__(16) int s[128];
    const int t = threadIdx.x;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"((unsigned)__cvta_generic_to_shared(&s[t])), "l"(x + t) : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
    if (WAIT) asm volatile("cp.async.wait_group 0;" ::: "memory");
    __syncthreads();
    out[t] = s[127 - t];
}

template <bool WAIT> static void run_staged()
{
    int *x, *out, host[128];
    bool good = true;
    for (int i = 0; i < 128; i++) host[i] = i;
    CU(cudaMalloc(&x, sizeof host));
    CU(cudaMalloc(&out, sizeof host));
    CU(cudaMemcpy(x, host, sizeof host, cudaMemcpyHostToDevice));
    staged<WAIT><<<1, 128>>>(x, out);
    CU(cudaMemcpy(host, out, sizeof host, cudaMemcpyDeviceToHost));
    for (int i = 0; i < 128; i++) good &= host[i] == 127 - i;
    verdict(good, "staged copy");
    CU(cudaFree(x));
    CU(cudaFree(out));
}

// ---- memory ---------------------------------------------------------------------------------------------------------

__global__ void copy4(const float4 *x, float4 *y) { y[threadIdx.x] = x[threadIdx.x]; }
__global__ void copy1(const float *x, float *y) { y[threadIdx.x] = x[threadIdx.x] + 1; }
__global__ void shared_vector(float *y)
{
    __shared__ float s[64];
    s[threadIdx.x] = threadIdx.x;
    __syncthreads();
    if (threadIdx.x < 16) reinterpret_cast<float4 *>(y)[threadIdx.x] = *reinterpret_cast<float4 *>(&s[threadIdx.x * 4]);
}
__global__ void local_overrun(int *y, int n)
{
    int a[8];
    for (int i = 0; i < n; i++) a[i] = i * n;
    for (int i = 0; i < n; i++) y[i] = a[(i * 3) % n];
}

static void memory_bug(const char *bug)
{
    float *x, *y, host[64] = {};
    CU(cudaMalloc(&x, sizeof host));
    CU(cudaMalloc(&y, sizeof host));
    CU(cudaMemset(x, 0, sizeof host));
    if (BUG("leak")) copy1<<<1, 64>>>(x, y);
    if (BUG("global-overrun")) copy1<<<1, 65>>>(x, y);
    if (BUG("global-underrun")) copy1<<<1, 32>>>(x - 1, y);
    if (BUG("misaligned")) copy4<<<1, 8>>>((float4 *)(x + 1), (float4 *)y);
    if (BUG("misaligned-shared")) shared_vector<<<1, 64>>>(y);
    if (BUG("host-pointer")) copy1<<<1, 32>>>(host, y);
    if (BUG("uninitialized")) copy1<<<1, 64>>>(y, x);
    if (BUG("local-overrun")) local_overrun<<<1, 1>>>((int *)y, 4000);
    if (BUG("use-after-free")) {
        CU(cudaFree(x));
        copy1<<<1, 64>>>(x, y);
    }
    if (BUG("host-access")) host[0] = *(volatile float *)x;
    if (BUG("copy-overrun")) CU(cudaMemcpy(x, host, sizeof host + 4, cudaMemcpyHostToDevice));
    CU(cudaMemcpy(host, BUG("uninitialized") ? x : y, sizeof host, cudaMemcpyDeviceToHost));
    verdict(host[5] == 1, "memory");
    CU(cudaFree(y));
    if (!BUG("leak")) CU(cudaFree(x));
}

// ---- streams --------------------------------------------------------------------------------------------------------

template <bool WAIT> static void run_streams()
{
    float *x, *y, host[64] = {};
    cudaStream_t a, b;
    cudaEvent_t e;
    CU(cudaMalloc(&x, sizeof host));
    CU(cudaMalloc(&y, sizeof host));
    CU(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
    CU(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
    CU(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
    CU(cudaMemsetAsync(x, 0, sizeof host, a));
    CU(cudaEventRecord(e, a));
    if (WAIT) CU(cudaStreamWaitEvent(b, e, 0));
    copy1<<<1, 64, 0, b>>>(x, y);
    CU(cudaMemcpyAsync(host, y, sizeof host, cudaMemcpyDeviceToHost, b));
    CU(cudaStreamSynchronize(b));
    verdict(host[0] == 1, "streams in order");
    CU(cudaStreamSynchronize(a));
    CU(cudaEventDestroy(e));
    CU(cudaStreamDestroy(a));
    CU(cudaStreamDestroy(b));
    CU(cudaFree(x));
    CU(cudaFree(y));
}

// Pinned memory is read when the stream gets there, not when the copy is issued.
static void run_pinned(bool wait)
{
    float *x, *pinned, host = 0;
    cudaStream_t s;
    CU(cudaMalloc(&x, 4));
    CU(cudaMallocHost(&pinned, 4));
    CU(cudaStreamCreate(&s));
    *pinned = 1;
    CU(cudaMemcpyAsync(x, pinned, 4, cudaMemcpyHostToDevice, s));
    if (wait) CU(cudaStreamSynchronize(s));
    *pinned = 2;
    CU(cudaMemcpyAsync(&host, x, 4, cudaMemcpyDeviceToHost, s));
    verdict(host == 1, "pinned memory");
    CU(cudaStreamDestroy(s));
    CU(cudaFree(x));
    CU(cudaFreeHost(pinned));
}

// Two warps wait for each other at different barriers.
__global__ void crossed()
{
    if (threadIdx.x < 32)
        asm volatile("bar.sync 1, 64;" ::: "memory");
    else
        asm volatile("bar.sync 2, 64;" ::: "memory");
}

int main(int argc, char **argv)
{
    const char *bug = argc > 1 ? argv[1] : "none";
    if (BUG("none")) {
        run_reduce<NONE>(1000);
        run_staged<true>();
        run_streams<true>();
        run_pinned(true);
    } else if (BUG("no-barrier")) {
        run_reduce<NO_BARRIER>(1000);
    } else if (BUG("shared-overrun")) {
        run_reduce<SHARED_OVERRUN>(1000);
    } else if (BUG("divergent-barrier")) {
        run_reduce<DIVERGENT_BARRIER>(1000);
    } else if (BUG("divergent-warp")) {
        run_reduce<DIVERGENT_WARP>(1000);
    } else if (BUG("wrong-mask")) {
        run_reduce<WRONG_MASK>(1000);
    } else if (BUG("off-by-one")) {
        run_reduce<OFF_BY_ONE>(999);
    } else if (BUG("no-syncwarp")) {
        run_reduce<NO_SYNCWARP>(1000);
    } else if (BUG("no-wait")) {
        run_staged<false>();
    } else if (BUG("no-event")) {
        run_streams<false>();
    } else if (BUG("deadlock")) {
        crossed<<<1, 64>>>();
        CU(cudaDeviceSynchronize());
    } else if (BUG("pinned-reuse")) {
        run_pinned(false);
    } else {
        memory_bug(bug);
    }
    return n_failed != 0;
}
