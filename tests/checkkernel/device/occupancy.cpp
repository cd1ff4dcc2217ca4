// SPDX-License-Identifier: MIT
// Blocks that a multiprocessor holds at once by CUDA's own cuda_occupancy.h, which runs on the host: lines of architecture,
// threads, registers, bytes of shared memory, blocks. Every architecture with its limits from the programming guide.
#include <cuda_runtime.h>

#include <cuda_occupancy.h>

#include <cstdio>

struct limits {
    int arch, threads, kib;
};

static int blocks_on(const limits &l, int threads, int registers, size_t shared)
{
    cudaOccDeviceProp p;
    p.computeMajor = l.arch / 10, p.computeMinor = l.arch % 10;
    p.maxThreadsPerBlock = 1024, p.maxThreadsPerMultiprocessor = l.threads, p.warpSize = 32, p.numSms = 1;
    p.regsPerBlock = 65536, p.regsPerMultiprocessor = 65536;
    p.sharedMemPerBlock = 48 * 1024, p.reservedSharedMemPerBlock = 1024;
    p.sharedMemPerMultiprocessor = (size_t)l.kib * 1024, p.sharedMemPerBlockOptin = ((size_t)l.kib - 1) * 1024;
    cudaOccFuncAttributes f;
    f.maxThreadsPerBlock = 1024, f.numRegs = registers, f.numBlockBarriers = 1;
    f.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN, f.maxDynamicSharedSizeBytes = shared;
    cudaOccDeviceState s;
    s.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
    cudaOccResult r;
    return cudaOccMaxActiveBlocksPerMultiprocessor(&r, &p, &f, &s, threads, shared) == CUDA_OCC_SUCCESS
               ? r.activeBlocksPerMultiprocessor
               : -1;
}

int main()
{
    const limits all[] = {{80, 2048, 164}, {86, 1536, 100},  {89, 1536, 100},
                          {90, 2048, 228}, {100, 2048, 228}, {120, 1536, 100}};
    for (const limits &l : all)
        for (int threads : {1, 32, 96, 128, 160, 256, 384, 512, 640, 1024})
            for (int registers = 1; registers <= 255; registers += 3)
                for (size_t shared : {0, 256, 1000, 16384, 34816, 49152, 65536, 101376, 101377, 233472})
                    printf("%d %d %d %zu %d\n", l.arch, threads, registers, shared,
                           blocks_on(l, threads, registers, shared));
}
