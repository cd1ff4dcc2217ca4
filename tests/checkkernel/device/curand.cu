// SPDX-License-Identifier: MIT
// The op `noise` against cuRAND's device functions, called as PyTorch's kernel calls them: a grid-stride loop that takes
// four normals at a time. Compiled with fused multiply-adds, as PyTorch is. Every bit must be the same. Needs the headers
// of cuRAND; run by run.sh.
#include <cuda_runtime.h>
#include <curand_kernel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ops.h"

extern "C" dd_status dd_cuda_noise(const dd_exec *exec, const dd_noise_args *args);

static __global__ void randn_kernel(float *out, int n, unsigned long long seed, unsigned long long offset)
{
    const int threads = (int)(blockDim.x * gridDim.x), id = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    const int rounded = ((n - 1) / (threads * 4) + 1) * threads * 4;
    curandStatePhilox4_32_10_t state;
    curand_init(seed, (unsigned long long)id, offset, &state);
    for (int at = id; at < rounded; at += threads * 4) {
        const float4 four = curand_normal4(&state);
        const float x[4] = {four.x, four.y, four.z, four.w};
        for (int k = 0; k < 4; k++)
            if (at + k * threads < n) out[at + k * threads] = x[k];
    }
}

static void must(cudaError_t e)
{
    if (e == cudaSuccess) return;
    fprintf(stderr, "%s\n", cudaGetErrorString(e));
    exit(2);
}

static void *device(size_t bytes, const void *from)
{
    void *p;
    must(cudaMalloc(&p, bytes));
    if (from) must(cudaMemcpy(p, from, bytes, cudaMemcpyHostToDevice));
    return p;
}

// Numbers that differ.
static int compare(int n, unsigned blocks, dd_noise_stream s)
{
    const int32_t zero = 0;
    const size_t bytes = (size_t)n * sizeof(float);
    float *theirs = (float *)device(bytes, NULL), *ours = (float *)device(bytes, NULL);
    float *x = (float *)malloc(bytes), *y = (float *)malloc(bytes);
    void *step = device(sizeof zero, &zero), *stream = device(sizeof s, &s);
    cudaStream_t queue;
    dd_exec exec = {};
    dd_noise_args args = {};
    int differ = 0;
    must(cudaStreamCreate(&queue));
    exec.step = (const int32_t *)step;
    exec.stream = queue;
    args.dst = ours;
    args.stream = (const dd_noise_stream *)stream;
    args.count = n;
    args.threads = blocks * 256;
    args.b = 1;
    randn_kernel<<<blocks, 256, 0, queue>>>(theirs, n, s.seed, s.offset);
    must(cudaGetLastError());
    if (x == NULL || y == NULL || dd_cuda_noise(&exec, &args) != DD_OK) exit(2);
    must(cudaStreamSynchronize(queue));
    must(cudaMemcpy(x, theirs, bytes, cudaMemcpyDeviceToHost));
    must(cudaMemcpy(y, ours, bytes, cudaMemcpyDeviceToHost));
    for (int i = 0; i < n; i++) differ += memcmp(x + i, y + i, sizeof *x) != 0;
    void *const blocks_of_memory[] = {theirs, ours, step, stream};
    for (int i = 0; i < 4; i++) must(cudaFree(blocks_of_memory[i]));
    must(cudaStreamDestroy(queue));
    free(x);
    free(y);
    return differ;
}

int main(void)
{
    static const int sizes[] = {1, 300, 5000, 20000};
    static const dd_noise_stream streams[] = {
        {0, 0, 0}, {42, 8, 0}, {0x123456789abcdef0u, 0x3fffffff8u, 0}, {483601999, 0, 0}, {16390493, 0, 0}};
    int differ = 0, total = 0;
    for (int i = 0; i < 4; i++)
        for (int most = 1; most <= 5; most += 2) // blocks that the card holds
            for (int k = 0; k < 5; k++) {
                const int blocks = (sizes[i] + 255) / 256;
                differ += compare(sizes[i], (unsigned)(blocks < most ? blocks : most), streams[k]);
                total += sizes[i];
            }
    printf("%d of %d numbers differ\n", differ, total);
    return differ != 0;
}
