// SPDX-License-Identifier: MIT
// Entry points as such: the lock, errors that stay and errors that pass, injected failures, leaks at the end.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <string>

#include "config.h"
#include "device.h"
#include "report.h"
#include "runtime.h"

namespace emu
{

bool in_host_callback;

namespace
{

std::recursive_mutex lock;
thread_local cudaError_t last_error = cudaSuccess;
cudaError_t sticky_error = cudaSuccess;

// EMU_FAIL=NAME:N[,NAME:N]
bool injected(const char *name)
{
    static std::map<std::string, unsigned> calls;
    if (!config().inject) return false;
    const unsigned n = ++calls[name];
    const std::string want = std::string(",") + name + ":" + std::to_string(n) + ",";
    return ("," + std::string(config().inject) + ",").find(want) != std::string::npos;
}

cudaError_t injected_error(const char *name)
{
    for (const char *allocates :
         {"cudaMalloc", "cudaHostAlloc", "cudaStreamCreate", "cudaEventCreate", "cudaGraphInstantiate"})
        if (strncmp(name, allocates, strlen(allocates)) == 0) return cudaErrorMemoryAllocation;
    return cudaErrorLaunchFailure;
}

void say_leaked(const Allocation &a)
{
    fprintf(stderr, "emu: leak: allocation %llu, %llu bytes of %s memory\n", static_cast<unsigned long long>(a.number),
            static_cast<unsigned long long>(a.bytes),
            a.kind == HOST      ? "pinned host"
            : a.kind == MANAGED ? "managed"
                                : "device");
}

size_t n_leaks;

void at_end()
{
    if (config().stats) {
        fprintf(
            stderr,
            "emu: %llu kernels, %llu blocks, %llu barriers, %llu collectives, %llu mma, %llu cp.async, %llu of %llu "
            "ldmatrix phases conflict\n",
            (unsigned long long)counts.kernels, (unsigned long long)counts.blocks, (unsigned long long)counts.barriers,
            (unsigned long long)counts.collectives, (unsigned long long)counts.mma, (unsigned long long)counts.copies,
            (unsigned long long)counts.ldmatrix_conflicts, (unsigned long long)counts.ldmatrix_phases);
        fprintf(stderr, "emu: %llu graphs of %llu nodes instantiated, %llu launched\n",
                (unsigned long long)counts.graphs, (unsigned long long)counts.graph_nodes,
                (unsigned long long)counts.graph_launches);
    }
    write_executed();
    if (!config().leaks || sticky_error) return;
    for_each_live([](const Allocation &a) { n_leaks++, say_leaked(a); });
    const struct {
        const char *what;
        size_t n;
    } objects[] = {{"streams", streams.size()},
                   {"events", events.size()},
                   {"graphs", graphs.size()},
                   {"executable graphs", execs.size()}};
    for (const auto &o : objects)
        if (o.n) n_leaks++, fprintf(stderr, "emu: leak: %zu %s\n", o.n, o.what);
    if (unfinished())
        n_leaks++, fprintf(stderr, "emu: leak: %zu operations were issued and never waited for\n", unfinished());
    if (!n_leaks) return;
    fflush(stdout);
    fflush(stderr);
    _exit(EXIT_STATUS);
}

void say_injected(const char *name) { fprintf(stderr, "emu: %s fails as asked by EMU_FAIL\n", name); }

} // namespace

Entry::Entry(const char *name, bool always)
{
    lock.lock();
    static const bool once = atexit(at_end) == 0;
    (void)once;
    device_init();
    place_variables();
    refused = always ? cudaSuccess : in_host_callback ? cudaErrorNotPermitted : sticky_error;
    if (!refused && injected(name)) {
        say_injected(name);
        refused = injected_error(name);
    }
}

Entry::~Entry() { lock.unlock(); }

cudaError_t result(cudaError_t e)
{
    if (e != cudaSuccess) last_error = e;
    return e;
}

void set_sticky(cudaError_t e)
{
    if (!sticky_error) sticky_error = e;
}
cudaError_t sticky() { return sticky_error; }
void forget_errors() { sticky_error = last_error = cudaSuccess; }

} // namespace emu

using namespace emu;

extern "C" {

cudaError_t cudaGetLastError(void)
{
    Entry entry("cudaGetLastError", true);
    const cudaError_t e = sticky_error ? sticky_error : last_error;
    last_error = cudaSuccess;
    return e;
}

cudaError_t cudaPeekAtLastError(void)
{
    Entry entry("cudaPeekAtLastError", true);
    return sticky_error ? sticky_error : last_error;
}

#define EMU_ERRORS(X)                                                                                                 \
    X(cudaSuccess, "no error")                                                                                        \
    X(cudaErrorInvalidValue, "invalid argument")                                                                      \
    X(cudaErrorMemoryAllocation, "out of memory")                                                                     \
    X(cudaErrorInitializationError, "initialization error")                                                           \
    X(cudaErrorInvalidConfiguration, "invalid configuration argument")                                                \
    X(cudaErrorInvalidSymbol, "invalid device symbol")                                                                \
    X(cudaErrorInvalidDevicePointer, "invalid device pointer")                                                        \
    X(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy")                                           \
    X(cudaErrorInvalidDeviceFunction, "invalid device function")                                                      \
    X(cudaErrorInvalidDevice, "invalid device ordinal")                                                               \
    X(cudaErrorInvalidResourceHandle, "invalid resource handle")                                                      \
    X(cudaErrorIllegalState, "the operation cannot be performed in the present state")                                \
    X(cudaErrorNotReady, "device not ready")                                                                          \
    X(cudaErrorIllegalAddress, "an illegal memory access was encountered")                                            \
    X(cudaErrorLaunchOutOfResources, "too many resources requested for launch")                                       \
    X(cudaErrorAssert, "device-side assert triggered")                                                                \
    X(cudaErrorHostMemoryAlreadyRegistered, "part or all of the requested memory range is already mapped")            \
    X(cudaErrorHostMemoryNotRegistered, "pointer does not correspond to a registered memory region")                  \
    X(cudaErrorLaunchFailure, "unspecified launch failure")                                                           \
    X(cudaErrorNotPermitted, "operation not permitted")                                                               \
    X(cudaErrorNotSupported, "operation not supported")                                                               \
    X(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing")                          \
    X(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture")                   \
    X(cudaErrorStreamCaptureMerge, "operation would result in a merge of separate capture sequences")                 \
    X(cudaErrorStreamCaptureUnmatched, "capture was not ended in the same stream as it began")                        \
    X(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work")                                           \
    X(cudaErrorStreamCaptureIsolation, "dependency created on uncaptured work in another stream")                     \
    X(cudaErrorStreamCaptureImplicit, "operation would make the legacy stream depend on a capturing blocking stream") \
    X(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream")              \
    X(cudaErrorStreamCaptureWrongThread, "attempt to terminate a thread-local capture sequence from another thread")  \
    X(cudaErrorGraphExecUpdateFailure,                                                                                \
      "the graph update was not performed because it included changes which violated "                                \
      "constraints specific to instantiated graph update")

const char *cudaGetErrorString(cudaError_t e)
{
#define X(code, text) \
    if (e == code) return text;
    EMU_ERRORS(X)
#undef X
    return "unrecognized error code";
}

const char *cudaGetErrorName(cudaError_t e)
{
#define X(code, text) \
    if (e == code) return #code;
    EMU_ERRORS(X)
#undef X
    return "unrecognized error code";
}
}
