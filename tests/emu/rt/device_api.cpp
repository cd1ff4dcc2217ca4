// SPDX-License-Identifier: MIT
// One device, with the limits of EMU_ARCH.
#include <cuda_profiler_api.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "device.h"
#include "runtime.h"

using namespace emu;

extern "C" {

cudaError_t cudaGetDeviceCount(int *n)
{
    EMU_API(cudaGetDeviceCount);
    *n = 1;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device)
{
    EMU_API(cudaGetDevice);
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    EMU_API(cudaSetDevice);
    return result(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaInitDevice(int device, unsigned, unsigned) { return cudaSetDevice(device); }
cudaError_t cudaSetDeviceFlags(unsigned) { return cudaSuccess; }

// Without an error nothing is freed: leaks stay visible. After one that stays, everything goes and the device can be used
// again; variables keep their values.
cudaError_t cudaDeviceReset(void)
{
    if (!sticky()) return cudaDeviceSynchronize();
    Entry entry("cudaDeviceReset", true);
    forget_work();
    device_forget();
    forget_errors();
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) { return cudaDriverGetVersion(version); }

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device)
{
    EMU_API(cudaGetDeviceProperties);
    if (device != 0) return result(cudaErrorInvalidDevice);
    const Device &d = config().device;
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "%s", d.name);
    p->major = d.arch / 10, p->minor = d.arch % 10;
    p->totalGlobalMem = config().memory_bytes;
    p->sharedMemPerBlock = 48 << 10;
    p->sharedMemPerBlockOptin = d.shared_per_block;
    p->sharedMemPerMultiprocessor = d.shared_per_sm;
    p->reservedSharedMemPerBlock = 1024;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->warpSize = 32;
    p->maxThreadsPerBlock = 1024;
    p->maxThreadsPerMultiProcessor = static_cast<int>(d.threads_per_sm);
    p->maxBlocksPerMultiProcessor = static_cast<int>(d.blocks_per_sm);
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024, p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = 0x7fffffff, p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->totalConstMem = 64 << 10;
    p->multiProcessorCount = static_cast<int>(d.n_sm);
    p->l2CacheSize = 4 << 20;
    p->memoryBusWidth = 64;
    p->unifiedAddressing = p->canMapHostMemory = p->concurrentKernels = p->memoryPoolsSupported =
        p->streamPrioritiesSupported = 1;
    p->asyncEngineCount = 2;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
    EMU_API(cudaDeviceGetAttribute);
    if (device != 0) return result(cudaErrorInvalidDevice);
    const Device &d = config().device;
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY: *value = 1024; break;
    case cudaDevAttrMaxBlockDimZ: *value = 64; break;
    case cudaDevAttrMaxGridDimX: *value = 0x7fffffff; break;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ: *value = 65535; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = 48 << 10; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(d.shared_per_block); break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = static_cast<int>(d.shared_per_sm); break;
    case cudaDevAttrReservedSharedMemoryPerBlock: *value = 1024; break;
    case cudaDevAttrTotalConstantMemory: *value = 64 << 10; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrMaxRegistersPerBlock:
    case cudaDevAttrMaxRegistersPerMultiprocessor: *value = 65536; break;
    case cudaDevAttrMultiProcessorCount: *value = static_cast<int>(d.n_sm); break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = static_cast<int>(d.threads_per_sm); break;
    case cudaDevAttrMaxBlocksPerMultiprocessor: *value = static_cast<int>(d.blocks_per_sm); break;
    case cudaDevAttrComputeCapabilityMajor: *value = d.arch / 10; break;
    case cudaDevAttrComputeCapabilityMinor: *value = d.arch % 10; break;
    case cudaDevAttrL2CacheSize: *value = 4 << 20; break;
    case cudaDevAttrClockRate: *value = 1000000; break;
    case cudaDevAttrMemoryClockRate: *value = 1000000; break;
    case cudaDevAttrGlobalMemoryBusWidth: *value = 64; break;
    case cudaDevAttrAsyncEngineCount: *value = 2; break;
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrCanMapHostMemory:
    case cudaDevAttrMemoryPoolsSupported:
    case cudaDevAttrHostRegisterSupported:
    case cudaDevAttrStreamPrioritiesSupported: *value = 1; break;
    default: *value = 0; /* no cooperative launch, no clusters, no managed access from both sides at once */
    }
    return cudaSuccess;
}

cudaError_t cudaDeviceGetLimit(size_t *value, cudaLimit)
{
    EMU_API(cudaDeviceGetLimit);
    *value = config().stack_bytes;
    return cudaSuccess;
}

cudaError_t cudaDeviceSetLimit(cudaLimit, size_t) { return cudaSuccess; }
cudaError_t cudaDeviceSetCacheConfig(cudaFuncCache) { return cudaSuccess; }
cudaError_t cudaCtxResetPersistingL2Cache(void) { return cudaSuccess; }

cudaError_t cudaProfilerStart(void)
{
    EMU_API(cudaProfilerStart);
    return cudaSuccess;
}

cudaError_t cudaProfilerStop(void)
{
    EMU_API(cudaProfilerStop);
    return cudaSuccess;
}
}
