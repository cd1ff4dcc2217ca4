// SPDX-License-Identifier: MIT
// Checks of a launch, and what functions say about themselves.
#include <string.h>

#include <algorithm>

#include "config.h"
#include "report.h"
#include "runtime.h"

namespace emu
{
namespace
{

enum { DEFAULT_SHARED = 48 << 10, REGISTERS = 64, REGISTERS_PER_SM = 65536, BLOCK_RESERVE = 1024 };

uint32_t dynamic_limit(const Function &f)
{
    if (f.attributes.max_dynamic >= 0) return static_cast<uint32_t>(f.attributes.max_dynamic);
    return DEFAULT_SHARED - std::min<uint32_t>(f.kernel->static_bytes, DEFAULT_SHARED);
}

uint32_t max_threads(const Kernel *k) { return k->max_threads ? std::min(k->max_threads, 1024u) : 1024u; }

cudaError_t check_shape(const Function &f, dim3 g, dim3 b, size_t dynamic_bytes)
{
    const uint64_t n = static_cast<uint64_t>(b.x) * b.y * b.z;
    if (n == 0 || n > 1024 || b.x > 1024 || b.y > 1024 || b.z > 64) return cudaErrorInvalidConfiguration;
    if (g.x == 0 || g.y == 0 || g.z == 0 || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535)
        return cudaErrorInvalidConfiguration;
    if (n > max_threads(f.kernel)) return cudaErrorLaunchOutOfResources;
    if (dynamic_bytes > dynamic_limit(f) || f.kernel->static_bytes > DEFAULT_SHARED) return cudaErrorInvalidValue;
    return cudaSuccess;
}

} // namespace

void Work::operator()() const
{
    if (!call) {
        run();
        return;
    }
    if (run_grid(call->kernel, call->shape, call->params.data())) return;
    const Failure why = last_failure_kind();
    set_sticky(why == FAILED_ACCESS   ? cudaErrorIllegalAddress
               : why == FAILED_ASSERT ? cudaErrorAssert
                                      : cudaErrorLaunchFailure);
}

cudaError_t make_call(std::shared_ptr<KernelCall> &out, const void *host, dim3 g, dim3 b, void **args,
                      size_t dynamic_bytes)
{
    const Function *f = find_function(host);
    if (!f) return cudaErrorInvalidDeviceFunction;
    const cudaError_t e = check_shape(*f, g, b, dynamic_bytes);
    if (e) return e;
    const Kernel *k = f->kernel;
    out = std::make_shared<KernelCall>();
    out->host = host, out->kernel = k;
    out->shape = Shape{{g.x, g.y, g.z}, {b.x, b.y, b.z}, static_cast<uint32_t>(dynamic_bytes)};
    out->params.assign(k->param_bytes + 16, 0xff);
    for (uint32_t i = 0; i < k->n_params; i++) memcpy(out->params.data() + k->params[i].at, args[i], k->params[i].size);
    return cudaSuccess;
}

cudaError_t launch(const void *host, dim3 g, dim3 b, void **args, size_t dynamic_bytes, Stream *s)
{
    Work w = {cudaGraphNodeTypeKernel, {}, {}};
    const cudaError_t e = make_call(w.call, host, g, b, args, dynamic_bytes);
    return e ? e : submit(s, w);
}

} // namespace emu

using namespace emu;

extern "C" {

cudaError_t cudaFuncSetAttribute(const void *host, cudaFuncAttribute attribute, int value)
{
    EMU_API(cudaFuncSetAttribute);
    Function *f = find_function(host);
    if (!f) return result(cudaErrorInvalidDeviceFunction);
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) {
        if (value < -1 || value > 100) return result(cudaErrorInvalidValue);
        f->attributes.carveout = value;
        return cudaSuccess;
    }
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0) return result(cudaErrorInvalidValue);
    if (static_cast<uint32_t>(value) + f->kernel->static_bytes > config().device.shared_per_block)
        return result(cudaErrorInvalidValue);
    f->attributes.max_dynamic = value;
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *out, const void *host)
{
    EMU_API(cudaFuncGetAttributes);
    const Function *f = find_function(host);
    if (!f) return result(cudaErrorInvalidDeviceFunction);
    memset(out, 0, sizeof *out);
    out->sharedSizeBytes = f->kernel->static_bytes;
    out->localSizeBytes = f->kernel->local_bytes;
    out->maxThreadsPerBlock = static_cast<int>(max_threads(f->kernel));
    out->numRegs = REGISTERS; // PTX has no registers yet
    out->ptxVersion = 80;
    out->binaryVersion = config().device.arch;
    out->maxDynamicSharedSizeBytes = static_cast<int>(dynamic_limit(*f));
    out->preferredShmemCarveout = f->attributes.carveout;
    return cudaSuccess;
}

cudaError_t cudaFuncGetName(const char **name, const void *host)
{
    EMU_API(cudaFuncGetName);
    const Function *f = find_function(host);
    if (!f || !name) return result(cudaErrorInvalidDeviceFunction);
    *name = f->kernel->name;
    return cudaSuccess;
}

cudaError_t cudaFuncSetCacheConfig(const void *host, cudaFuncCache)
{
    EMU_API(cudaFuncSetCacheConfig);
    return result(find_function(host) ? cudaSuccess : cudaErrorInvalidDeviceFunction);
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *n, const void *host, int threads,
                                                                   size_t dynamic_bytes, unsigned)
{
    EMU_API(cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags);
    const Function *f = find_function(host);
    if (!f) return result(cudaErrorInvalidDeviceFunction);
    if (threads <= 0 || !n) return result(cudaErrorInvalidValue);
    const Device &d = config().device;
    const uint32_t t = (static_cast<uint32_t>(threads) + 31) / 32 * 32;
    uint32_t blocks = std::min(d.blocks_per_sm, std::min(d.threads_per_sm / t, REGISTERS_PER_SM / (REGISTERS * t)));
    blocks = std::min<uint32_t>(
        blocks, d.shared_per_sm / (f->kernel->static_bytes + static_cast<uint32_t>(dynamic_bytes) + BLOCK_RESERVE));
    const bool fits = t <= max_threads(f->kernel) && dynamic_bytes <= dynamic_limit(*f);
    *n = fits ? static_cast<int>(blocks) : 0;
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *n, const void *host, int threads, size_t dynamic_bytes)
{
    return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(n, host, threads, dynamic_bytes, 0);
}

cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(size_t *bytes, const void *host, int blocks, int)
{
    EMU_API(cudaOccupancyAvailableDynamicSMemPerBlock);
    const Function *f = find_function(host);
    if (!f) return result(cudaErrorInvalidDeviceFunction);
    if (blocks <= 0 || !bytes) return result(cudaErrorInvalidValue);
    const uint32_t each = config().device.shared_per_sm / static_cast<uint32_t>(blocks),
                   need = f->kernel->static_bytes + BLOCK_RESERVE;
    *bytes = each > need ? std::min(each - need, config().device.shared_per_block - f->kernel->static_bytes) : 0;
    return cudaSuccess;
}
}
