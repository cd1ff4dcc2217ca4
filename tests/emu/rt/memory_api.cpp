// SPDX-License-Identifier: MIT
// Allocation, copies, fills, symbols.
//
// Copies from pageable memory read it at the call, copies to it are done when the call returns; pinned memory is
// read and written when the stream gets there.
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "device.h"
#include "memory.h"
#include "report.h"
#include "runtime.h"

namespace emu
{
namespace
{

uint64_t address(const void *p) { return reinterpret_cast<uint64_t>(p); }
void *pointer(uint64_t a) { return reinterpret_cast<void *>(a); }

// Pitched copies are rows; plain ones are one row.
struct Rect {
    size_t width, height, to_pitch, from_pitch;
};

bool direction_fits(const void *to, const void *from, cudaMemcpyKind kind)
{
    const bool to_device = is_device_address(to), from_device = is_device_address(from);
    switch (kind) {
    case cudaMemcpyHostToHost: return !to_device && !from_device;
    case cudaMemcpyHostToDevice: return !from_device && (to_device || host_find(address(to)));
    case cudaMemcpyDeviceToHost: return !to_device && (from_device || host_find(address(from)));
    case cudaMemcpyDeviceToDevice:
        return (to_device || host_find(address(to))) && (from_device || host_find(address(from)));
    case cudaMemcpyDefault: return true;
    }
    return false;
}

size_t extent(const Rect &r, size_t pitch) { return r.height && r.width ? (r.height - 1) * pitch + r.width : 0; }

void copy_rows(void *to, const void *from, const Rect &r)
{
    uint8_t *t = reach(to, extent(r, r.to_pitch), "copy to device memory");
    const uint8_t *f = reach(from, extent(r, r.from_pitch), "copy from device memory");
    for (size_t y = 0; y < r.height; y++) memmove(t + y * r.to_pitch, f + y * r.from_pitch, r.width);
}

bool pageable(const void *p) { return !is_device_address(p) && !host_find(address(p)); }

cudaError_t copy(void *to, const void *from, const Rect &r, cudaMemcpyKind kind, Stream *s, bool wait)
{
    if (r.to_pitch < r.width || r.from_pitch < r.width) return cudaErrorInvalidValue;
    if (r.width == 0 || r.height == 0) return cudaSuccess;
    if (!to || !from) return cudaErrorInvalidValue;
    if (!direction_fits(to, from, kind)) return cudaErrorInvalidMemcpyDirection;
    if (wait)
        if (cudaError_t e = synchronous_call()) return e;
    Work w = {cudaGraphNodeTypeMemcpy, [=] { copy_rows(to, from, r); }, {}};
    if (!s->capture && pageable(from) && !pageable(to)) {
        const uint8_t *first = static_cast<const uint8_t *>(from);
        auto kept = std::make_shared<std::vector<uint8_t>>(first, first + extent(r, r.from_pitch));
        w.run = [=] { copy_rows(to, kept->data(), r); };
    }
    const cudaError_t e = submit(s, w);
    if (e || s->capture) return e;
    if (wait || pageable(to)) finish(s->last);
    return sticky();
}

cudaError_t fill(void *p, int value, const Rect &r, Stream *s)
{
    if (r.width == 0 || r.height == 0) return cudaSuccess;
    if (!is_device_address(p) && !host_find(address(p))) return cudaErrorInvalidValue;
    return submit(s, Work{cudaGraphNodeTypeMemset,
                          [=] {
                              uint8_t *t = reach(p, extent(r, r.to_pitch), "fill of device memory");
                              for (size_t y = 0; y < r.height; y++) memset(t + y * r.to_pitch, value, r.width);
                          },
                          {}});
}

Rect row(size_t bytes) { return Rect{bytes, 1, bytes, bytes}; }

cudaError_t host_alloc(void **out, size_t bytes, Kind kind)
{
    if (cudaError_t e = unsafe_call()) return e;
    if (!out) return cudaErrorInvalidValue;
    *out = nullptr;
    if (bytes == 0 && kind == HOST) return cudaSuccess;
    if (bytes == 0 || bytes > config().memory_bytes) return bytes ? cudaErrorMemoryAllocation : cudaErrorInvalidValue;
    if (posix_memalign(out, 256, bytes)) return cudaErrorMemoryAllocation;
    memset(*out, 0xff, bytes);
    host_register(*out, bytes, kind);
    return cudaSuccess;
}

cudaError_t symbol_range(uint64_t &addr, const void *symbol, size_t bytes, size_t offset)
{
    const Var *v = find_var(symbol);
    if (!v) return cudaErrorInvalidSymbol;
    if (offset > v->size || bytes > v->size - offset) return cudaErrorInvalidValue;
    addr = v->addr + offset;
    return cudaSuccess;
}

} // namespace
} // namespace emu

using namespace emu;

extern "C" {

// ---- allocation ----------------------------------------------------------------------------------------------------

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    EMU_API(cudaMalloc);
    if (cudaError_t e = unsafe_call()) return result(e);
    if (!out) return result(cudaErrorInvalidValue);
    *out = nullptr;
    if (bytes == 0) return cudaSuccess;
    *out = pointer(device_alloc(bytes, DEVICE));
    return result(*out ? cudaSuccess : cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void *p)
{
    EMU_API(cudaFree);
    if (cudaError_t e = unsafe_call()) return result(e);
    if (!p) return cudaSuccess;
    finish_all(); // the real one waits as well
    if (host_unregister(p, MANAGED)) {
        free(p);
        return cudaSuccess;
    }
    return result(device_free(address(p)) ? sticky() : cudaErrorInvalidValue);
}

cudaError_t cudaMallocPitch(void **out, size_t *pitch, size_t width, size_t height)
{
    *pitch = (width + 511) / 512 * 512;
    return cudaMalloc(out, *pitch * height);
}

cudaError_t cudaMallocAsync(void **out, size_t bytes, cudaStream_t stream)
{
    EMU_API(cudaMallocAsync);
    Stream *s = find_stream(stream);
    if (!s) return result(cudaErrorInvalidResourceHandle);
    if (s->capture) return result(invalidate(s->capture, cudaErrorStreamCaptureUnsupported));
    if (cudaError_t e = unsafe_call()) return result(e);
    if (!out) return result(cudaErrorInvalidValue);
    const uint64_t addr = bytes ? device_alloc(bytes, DEVICE, false) : 0;
    *out = pointer(addr);
    if (!bytes) return cudaSuccess;
    if (!addr) return result(cudaErrorMemoryAllocation);
    return result(submit(s, Work{cudaGraphNodeTypeMemAlloc, [addr] { device_set_live(addr, true); }, {}}));
}

cudaError_t cudaFreeAsync(void *p, cudaStream_t stream)
{
    EMU_API(cudaFreeAsync);
    Stream *s = find_stream(stream);
    if (!s) return result(cudaErrorInvalidResourceHandle);
    if (s->capture) return result(invalidate(s->capture, cudaErrorStreamCaptureUnsupported));
    if (cudaError_t e = unsafe_call()) return result(e);
    if (!p) return cudaSuccess;
    const Allocation *a = device_find(address(p));
    if (!a || a->addr != address(p)) return result(cudaErrorInvalidValue);
    return result(submit(s, Work{cudaGraphNodeTypeMemFree, [p] { device_free(address(p)); }, {}}));
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned)
{
    EMU_API(cudaHostAlloc);
    return result(host_alloc(out, bytes, HOST));
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    EMU_API(cudaMallocHost);
    return result(host_alloc(out, bytes, HOST));
}

cudaError_t cudaMallocManaged(void **out, size_t bytes, unsigned)
{
    EMU_API(cudaMallocManaged);
    return result(host_alloc(out, bytes, MANAGED));
}

cudaError_t cudaFreeHost(void *p)
{
    EMU_API(cudaFreeHost);
    if (cudaError_t e = unsafe_call()) return result(e);
    if (!p) return cudaSuccess;
    finish_all();
    if (!host_unregister(p, HOST)) return result(cudaErrorInvalidValue);
    free(p);
    return cudaSuccess;
}

cudaError_t cudaHostRegister(void *p, size_t bytes, unsigned)
{
    EMU_API(cudaHostRegister);
    if (cudaError_t e = unsafe_call()) return result(e);
    if (!p || !bytes) return result(cudaErrorInvalidValue);
    if (host_find(address(p))) return result(cudaErrorHostMemoryAlreadyRegistered);
    host_register(p, bytes, REGISTERED);
    return cudaSuccess;
}

cudaError_t cudaHostUnregister(void *p)
{
    EMU_API(cudaHostUnregister);
    if (cudaError_t e = unsafe_call()) return result(e);
    finish_all();
    return result(host_unregister(p, REGISTERED) ? cudaSuccess : cudaErrorHostMemoryNotRegistered);
}

cudaError_t cudaHostGetDevicePointer(void **out, void *p, unsigned)
{
    EMU_API(cudaHostGetDevicePointer);
    if (!host_find(address(p))) return result(cudaErrorInvalidValue);
    *out = p;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    EMU_API(cudaMemGetInfo);
    *total = config().memory_bytes;
    *available = *total - device_bytes_used();
    return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *out, const void *p)
{
    EMU_API(cudaPointerGetAttributes);
    memset(out, 0, sizeof *out);
    const Allocation *a = device_find(address(p)), *h = host_find(address(p));
    out->type = a                    ? cudaMemoryTypeDevice
                : !h                 ? cudaMemoryTypeUnregistered
                : h->kind == MANAGED ? cudaMemoryTypeManaged
                                     : cudaMemoryTypeHost;
    out->device = a || h ? 0 : -2;
    out->devicePointer = a || h ? const_cast<void *>(p) : nullptr;
    out->hostPointer = h ? const_cast<void *>(p) : nullptr;
    return cudaSuccess;
}

// ---- copies and fills ----------------------------------------------------------------------------------------------

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    EMU_API(cudaMemcpyAsync);
    Stream *s = find_stream(stream);
    return result(s ? copy(to, from, row(bytes), kind, s, false) : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    EMU_API(cudaMemcpy);
    return result(copy(to, from, row(bytes), kind, find_stream(nullptr), true));
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream)
{
    EMU_API(cudaMemcpy2DAsync);
    Stream *s = find_stream(stream);
    return result(s ? copy(to, from, Rect{width, height, to_pitch, from_pitch}, kind, s, false)
                    : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height,
                         cudaMemcpyKind kind)
{
    EMU_API(cudaMemcpy2D);
    return result(copy(to, from, Rect{width, height, to_pitch, from_pitch}, kind, find_stream(nullptr), true));
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream)
{
    EMU_API(cudaMemsetAsync);
    Stream *s = find_stream(stream);
    return result(s ? fill(p, value, row(bytes), s) : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaMemset(void *p, int value, size_t bytes)
{
    EMU_API(cudaMemset);
    if (cudaError_t e = synchronous_call()) return result(e);
    return result(fill(p, value, row(bytes), find_stream(nullptr)));
}

cudaError_t cudaMemset2DAsync(void *p, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream)
{
    EMU_API(cudaMemset2DAsync);
    Stream *s = find_stream(stream);
    return result(s ? fill(p, value, Rect{width, height, pitch, pitch}, s) : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaMemset2D(void *p, size_t pitch, int value, size_t width, size_t height)
{
    EMU_API(cudaMemset2D);
    if (cudaError_t e = synchronous_call()) return result(e);
    return result(fill(p, value, Rect{width, height, pitch, pitch}, find_stream(nullptr)));
}

// ---- symbols -------------------------------------------------------------------------------------------------------

cudaError_t cudaGetSymbolAddress(void **out, const void *symbol)
{
    EMU_API(cudaGetSymbolAddress);
    uint64_t addr = 0;
    const cudaError_t e = symbol_range(addr, symbol, 0, 0);
    *out = pointer(addr);
    return result(e);
}

cudaError_t cudaGetSymbolSize(size_t *bytes, const void *symbol)
{
    EMU_API(cudaGetSymbolSize);
    const Var *v = find_var(symbol);
    if (v) *bytes = v->size;
    return result(v ? cudaSuccess : cudaErrorInvalidSymbol);
}

cudaError_t cudaMemcpyToSymbolAsync(const void *symbol, const void *from, size_t bytes, size_t offset,
                                    cudaMemcpyKind kind, cudaStream_t stream)
{
    EMU_API(cudaMemcpyToSymbolAsync);
    Stream *s = find_stream(stream);
    uint64_t addr;
    if (!s) return result(cudaErrorInvalidResourceHandle);
    if (cudaError_t e = symbol_range(addr, symbol, bytes, offset)) return result(e);
    return result(copy(pointer(addr), from, row(bytes), kind, s, false));
}

cudaError_t cudaMemcpyToSymbol(const void *symbol, const void *from, size_t bytes, size_t offset, cudaMemcpyKind kind)
{
    EMU_API(cudaMemcpyToSymbol);
    uint64_t addr;
    if (cudaError_t e = symbol_range(addr, symbol, bytes, offset)) return result(e);
    return result(copy(pointer(addr), from, row(bytes), kind, find_stream(nullptr), true));
}

cudaError_t cudaMemcpyFromSymbolAsync(void *to, const void *symbol, size_t bytes, size_t offset, cudaMemcpyKind kind,
                                      cudaStream_t stream)
{
    EMU_API(cudaMemcpyFromSymbolAsync);
    Stream *s = find_stream(stream);
    uint64_t addr;
    if (!s) return result(cudaErrorInvalidResourceHandle);
    if (cudaError_t e = symbol_range(addr, symbol, bytes, offset)) return result(e);
    return result(copy(to, pointer(addr), row(bytes), kind, s, false));
}

cudaError_t cudaMemcpyFromSymbol(void *to, const void *symbol, size_t bytes, size_t offset, cudaMemcpyKind kind)
{
    EMU_API(cudaMemcpyFromSymbol);
    uint64_t addr;
    if (cudaError_t e = symbol_range(addr, symbol, bytes, offset)) return result(e);
    return result(copy(to, pointer(addr), row(bytes), kind, find_stream(nullptr), true));
}
}
