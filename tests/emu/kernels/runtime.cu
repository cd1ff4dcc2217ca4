// SPDX-License-Identifier: MIT
// The stand-in for libcudart: errors, limits, streams, events, graphs, capture, occupancy.
//   runtime [ARCH]      EMU_ARCH is that
//   runtime sticky      EMU_FATAL=error
//   runtime inject      EMU_FAIL=cudaMalloc:2
#include <threads.h> /* of C: <thread> would find the sched.h of this emulator */

#include <functional>
#include <string>

#include "check.h"

__global__ void add(int *x, int v) { x[threadIdx.x] += v; }
__global__ void scale(int *x, int v) { x[threadIdx.x] *= v; }
__global__ void __launch_bounds__(64) bounded(int *x) { x[threadIdx.x] = threadIdx.x; }
__global__ void dynamic(int *x)
{
    extern __shared__ int s[];
    __shared__ int fixed[256];
    fixed[threadIdx.x] = s[threadIdx.x] = threadIdx.x;
    x[threadIdx.x] = s[threadIdx.x] + fixed[threadIdx.x];
}
__global__ void overrun(int *x) { x[1 << 20] = 1; }

#define IS(call, code) verdict((call) == (code), #call " gives " #code)

static int *values(int n)
{
    int *x;
    CU(cudaMalloc(&x, n * sizeof *x));
    CU(cudaMemset(x, 0, n * sizeof *x));
    return x;
}

static int first(const int *x)
{
    int v = -1;
    CU(cudaMemcpy(&v, x, sizeof v, cudaMemcpyDeviceToHost));
    return v;
}

// ---- errors and limits ----------------------------------------------------------------------------------------------

static void test_errors()
{
    int *x = values(64);
    void *p;
    add<<<1, 1025>>>(x, 1);
    IS(cudaPeekAtLastError(), cudaErrorInvalidConfiguration);
    IS(cudaGetLastError(), cudaErrorInvalidConfiguration);
    IS(cudaGetLastError(), cudaSuccess);
    add<<<dim3(1, 70000), 32>>>(x, 1);
    IS(cudaGetLastError(), cudaErrorInvalidConfiguration);
    add<<<0, 32>>>(x, 1);
    IS(cudaGetLastError(), cudaErrorInvalidConfiguration);
    bounded<<<1, 65>>>(x);
    verdict(cudaGetLastError() != cudaSuccess, "more threads than __launch_bounds__ are refused");
    IS(cudaFree(x + 1), cudaErrorInvalidValue);
    IS(cudaMalloc(&p, 1ull << 50), cudaErrorMemoryAllocation);
    IS(cudaMemcpy(x, x, 4, cudaMemcpyHostToDevice), cudaErrorInvalidMemcpyDirection);
    IS(cudaStreamSynchronize((cudaStream_t)x), cudaErrorInvalidResourceHandle);
    IS(cudaFree(x), cudaSuccess);
    IS(cudaFree(x), cudaErrorInvalidValue);
    IS(cudaFree(nullptr), cudaSuccess);
    cudaGetLastError();
}

static void test_limits(int arch)
{
    const int kib = arch == 80 ? 163 : arch == 90 || arch == 100 ? 227 : 99;
    int *x = values(256), value, blocks;
    cudaDeviceProp prop;
    cudaFuncAttributes attributes;
    CU(cudaGetDeviceProperties(&prop, 0));
    CU(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
    verdict(prop.major * 10 + prop.minor == arch && value == kib << 10 && (int)prop.sharedMemPerBlockOptin == value, "properties of the architecture");
    dynamic<<<1, 256, 48 << 10>>>(x); // with 1 KiB of its own
    IS(cudaGetLastError(), cudaErrorInvalidValue);
    IS(cudaFuncSetAttribute(dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, kib << 10), cudaErrorInvalidValue);
    IS(cudaFuncSetAttribute(dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, (kib - 1) << 10), cudaSuccess);
    cudaGetLastError();
    dynamic<<<1, 256, (kib - 1) << 10>>>(x);
    IS(cudaGetLastError(), cudaSuccess);
    int last;
    CU(cudaMemcpy(&last, x + 255, sizeof last, cudaMemcpyDeviceToHost));
    verdict(last == 510, "a kernel with all of the shared memory");
    CU(cudaFuncGetAttributes(&attributes, dynamic));
    verdict(attributes.sharedSizeBytes == 1024 && attributes.maxThreadsPerBlock == 1024 &&
                attributes.maxDynamicSharedSizeBytes == (kib - 1) << 10,
            "attributes of a kernel");
    CU(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, dynamic, 256, (kib - 1) << 10));
    verdict(blocks == 1, "one block of that size fits");
    CU(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add, 1024, 0));
    verdict(blocks == 1, "so does one of 1024 threads with 64 registers");
    CU(cudaFree(x));
}

// ---- streams and events ---------------------------------------------------------------------------------------------

static void count_up(void *p) { ++*(int *)p; }

static void test_streams()
{
    int *x = values(32), called = 0;
    cudaStream_t a, b;
    cudaEvent_t start, end, untimed;
    float ms;
    CU(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
    CU(cudaStreamCreate(&b));
    CU(cudaEventCreate(&start));
    CU(cudaEventCreate(&end));
    CU(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming));
    CU(cudaDeviceSynchronize()); // x is zero
    CU(cudaEventRecord(start, a));
    add<<<1, 32, 0, a>>>(x, 3);
    CU(cudaEventRecord(end, a));
    IS(cudaEventQuery(end), cudaErrorNotReady);
    IS(cudaEventElapsedTime(&ms, start, end), cudaErrorNotReady);
    IS(cudaEventElapsedTime(&ms, start, untimed), cudaErrorInvalidResourceHandle);
    cudaGetLastError();
    CU(cudaStreamWaitEvent(b, end, 0));
    scale<<<1, 32, 0, b>>>(x, 5);
    CU(cudaLaunchHostFunc(b, count_up, &called));
    verdict(called == 0, "nothing runs before somebody waits");
    CU(cudaStreamSynchronize(b));
    verdict(called == 1 && first(x) == 15, "an event orders two streams");
    IS(cudaEventElapsedTime(&ms, start, end), cudaSuccess);
    add<<<1, 32, 0, b>>>(x, 1); // b is a blocking stream: the default stream waits for it
    verdict(first(x) == 16, "the default stream waits for blocking streams");
    add<<<1, 32, 0, a>>>(x, 100); // a is not
    verdict(first(x) == 16, "and not for others");
    while (cudaStreamQuery(a) == cudaErrorNotReady) continue;
    cudaGetLastError();
    verdict(first(x) == 116, "asking often enough gets work done");
    int *y;
    CU(cudaMallocAsync((void **)&y, 128, a));
    CU(cudaMemsetAsync(y, 0, 128, a));
    add<<<1, 32, 0, a>>>(y, 2);
    CU(cudaMemcpyAsync(x, y, 128, cudaMemcpyDeviceToDevice, a));
    CU(cudaFreeAsync(y, a));
    CU(cudaStreamSynchronize(a));
    verdict(first(x) == 2, "allocation in the order of a stream");
    CU(cudaStreamDestroy(a));
    CU(cudaStreamDestroy(b));
    for (cudaEvent_t e : {start, end, untimed}) CU(cudaEventDestroy(e));
    CU(cudaFree(x));
}

// ---- graphs ---------------------------------------------------------------------------------------------------------

static void test_graphs()
{
    int *x = values(32), *y = values(32), host = 0;
    cudaStream_t a, b;
    cudaEvent_t fork, join;
    cudaGraph_t graph, other;
    cudaGraphExec_t exec;
    cudaGraphExecUpdateResultInfo info;
    size_t n = 0;
    CU(cudaStreamCreate(&a));
    CU(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
    CU(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
    CU(cudaEventCreateWithFlags(&join, cudaEventDisableTiming));
    auto record = [&](int v) {
        cudaGraph_t g;
        CU(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal));
        add<<<1, 32, 0, a>>>(x, v);
        CU(cudaEventRecord(fork, a));
        CU(cudaStreamWaitEvent(b, fork, 0));
        scale<<<1, 32, 0, b>>>(x, 2);
        CU(cudaEventRecord(join, b));
        add<<<1, 32, 0, a>>>(y, 1);
        CU(cudaStreamWaitEvent(a, join, 0));
        add<<<1, 32, 0, a>>>(x, 1);
        CU(cudaStreamEndCapture(a, &g));
        return g;
    };
    graph = record(3);
    CU(cudaGraphGetNodes(graph, nullptr, &n));
    verdict(n == 4 && first(x) == 0, "capture records and does not run");
    CU(cudaGraphInstantiate(&exec, graph, 0));
    CU(cudaGraphLaunch(exec, a));
    CU(cudaGraphLaunch(exec, a));
    CU(cudaStreamSynchronize(a));
    verdict(first(x) == 21 && first(y) == 2, "a graph with a fork, twice"); // (0 + 3) 2 + 1 = 7, (7 + 3) 2 + 1
    other = record(0);
    IS(cudaGraphExecUpdate(exec, other, &info), cudaSuccess);
    CU(cudaGraphLaunch(exec, a));
    CU(cudaStreamSynchronize(a));
    verdict(first(x) == 43, "an updated graph");
    CU(cudaGraphDestroy(other));
    CU(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal));
    add<<<1, 32, 0, a>>>(x, 1);
    CU(cudaStreamEndCapture(a, &other));
    IS(cudaGraphExecUpdate(exec, other, &info), cudaErrorGraphExecUpdateFailure);
    verdict(info.result == cudaGraphExecUpdateErrorTopologyChanged, "and says why");
    cudaGetLastError();
    CU(cudaMemcpyAsync(&host, x, sizeof host, cudaMemcpyDeviceToHost, a));
    verdict(host == 43, "a graph that could not be updated is as before");
    CU(cudaGraphDestroy(graph));
    CU(cudaGraphDestroy(other));
    CU(cudaGraphExecDestroy(exec));
    for (cudaStream_t s : {a, b}) CU(cudaStreamDestroy(s));
    for (cudaEvent_t e : {fork, join}) CU(cudaEventDestroy(e));
    CU(cudaFree(x));
    CU(cudaFree(y));
}

// Calls that spoil a capture, each in one of its own.
static void test_capture()
{
    int *x = values(32), v;
    void *p;
    cudaStream_t s, t;
    cudaEvent_t e;
    cudaGraph_t g;
    CU(cudaStreamCreate(&s));
    CU(cudaStreamCreate(&t));
    CU(cudaEventCreate(&e));
    CU(cudaDeviceSynchronize());
    IS(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
    IS(cudaStreamEndCapture(s, &g), cudaErrorIllegalState);
#define SPOILS(call, code)                                                                                               \
    CU(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));                                                          \
    add<<<1, 32, 0, s>>>(x, 1);                                                                                          \
    IS(call, code);                                                                                                      \
    verdict(cudaStreamEndCapture(s, &g) == cudaErrorStreamCaptureInvalidated && g == nullptr, "and the capture is lost");  \
    cudaGetLastError()
    SPOILS(cudaStreamSynchronize(s), cudaErrorStreamCaptureUnsupported);
    SPOILS(cudaStreamQuery(s), cudaErrorStreamCaptureUnsupported);
    SPOILS(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported);
    SPOILS(cudaMalloc(&p, 16), cudaErrorStreamCaptureUnsupported);
    SPOILS(cudaFree(x), cudaErrorStreamCaptureUnsupported);
    SPOILS(cudaMemcpy(&v, x, 4, cudaMemcpyDeviceToHost), cudaErrorStreamCaptureImplicit);
    SPOILS(cudaMemsetAsync(x, 0, 4, nullptr), cudaErrorStreamCaptureImplicit);
    SPOILS((cudaEventRecord(e, s), cudaEventSynchronize(e)), cudaErrorCapturedEvent);
    CU(cudaEventRecord(e, t));
    SPOILS(cudaStreamWaitEvent(s, e, 0), cudaErrorStreamCaptureIsolation);
    CU(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
    add<<<1, 32, 0, s>>>(x, 1);
    CU(cudaEventRecord(e, s));
    CU(cudaStreamWaitEvent(t, e, 0));
    add<<<1, 32, 0, t>>>(x, 1);
    IS(cudaStreamEndCapture(s, &g), cudaErrorStreamCaptureUnjoined);
    CU(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    IS(cudaMalloc(&p, 16), cudaSuccess);
    IS(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal), cudaErrorIllegalState);
    IS(cudaStreamEndCapture(s, &g), cudaSuccess);
    CU(cudaGraphDestroy(g));
    CU(cudaFree(p));
    cudaGetLastError();
    for (cudaStream_t each : {s, t}) CU(cudaStreamDestroy(each));
    CU(cudaEventDestroy(e));
    CU(cudaFree(x));
}

// A capture of a stream that the legacy stream does not wait for, and a call by its own thread or by another one, which
// has a mode too.
struct capture_case {
    cudaStreamCaptureMode capture, thread;
    bool other;
};

static int call_body(void *body)
{
    (*static_cast<std::function<void()> *>(body))();
    return 0;
}

static void in_thread(std::function<void()> body)
{
    thrd_t t;
    if (thrd_create(&t, call_body, &body) != thrd_success || thrd_join(t, nullptr) != thrd_success) verdict(false, "another thread");
}

// What the call returns, and whether the capture was lost.
static cudaError_t during_capture(const capture_case &c, const std::function<cudaError_t()> &call, bool *lost)
{
    cudaStream_t s;
    cudaError_t e = cudaErrorUnknown;
    cudaGraph_t g;
    CU(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
    CU(cudaStreamBeginCapture(s, c.capture));
    auto body = [&] {
        cudaStreamCaptureMode mode = c.thread;
        CU(cudaThreadExchangeStreamCaptureMode(&mode));
        e = call();
        CU(cudaThreadExchangeStreamCaptureMode(&mode));
    };
    if (c.other) in_thread(body);
    else body();
    *lost = cudaStreamEndCapture(s, &g) == cudaErrorStreamCaptureInvalidated;
    if (!*lost) CU(cudaGraphDestroy(g));
    CU(cudaStreamDestroy(s));
    cudaGetLastError();
    return e;
}

// Forbidden: by a capture of this thread unless one of them is relaxed, by one of another thread if both are global.
static bool forbids(const capture_case &c)
{
    if (!c.other) return c.capture != cudaStreamCaptureModeRelaxed && c.thread != cudaStreamCaptureModeRelaxed;
    return c.capture == cudaStreamCaptureModeGlobal && c.thread == cudaStreamCaptureModeGlobal;
}

static void test_capture_modes()
{
    static const cudaStreamCaptureMode modes[] = {cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal,
                                                  cudaStreamCaptureModeRelaxed};
    int *x = values(32), v, registered[64];
    void *p;
    cudaStream_t t;
    cudaEvent_t e;
    bool lost;
    CU(cudaStreamCreateWithFlags(&t, cudaStreamNonBlocking));
    CU(cudaEventCreate(&e));
    CU(cudaEventRecord(e, t));
    CU(cudaDeviceSynchronize());
    const struct {
        const char *name;
        std::function<cudaError_t()> call;
    } unsafe[] = {
        {"cudaMalloc", [&] { const cudaError_t r = cudaMalloc(&p, 16); return r ? r : cudaFree(p); }},
        {"cudaFree", [&] { return cudaFree(nullptr); }},
        {"cudaHostAlloc", [&] { const cudaError_t r = cudaHostAlloc(&p, 16, 0); return r ? r : cudaFreeHost(p); }},
        {"cudaHostRegister",
         [&] {
             const cudaError_t r = cudaHostRegister(registered, sizeof registered, 0);
             return r ? r : cudaHostUnregister(registered);
         }},
        {"cudaMallocAsync",
         [&] {
             const cudaError_t r = cudaMallocAsync(&p, 16, t);
             return r ? r : cudaFreeAsync(p, t);
         }},
        {"cudaMemcpy", [&] { return cudaMemcpy(&v, x, sizeof v, cudaMemcpyDeviceToHost); }},
        {"cudaMemset", [&] { return cudaMemset(x, 0, sizeof v); }},
        {"cudaMemset2D", [&] { return cudaMemset2D(x, sizeof v, 0, sizeof v, 2); }},
        {"cudaStreamSynchronize", [&] { return cudaStreamSynchronize(t); }},
        {"cudaStreamQuery", [&] { const cudaError_t r = cudaStreamQuery(t); return r == cudaErrorNotReady ? cudaSuccess : r; }},
        {"cudaEventSynchronize", [&] { return cudaEventSynchronize(e); }},
        {"cudaEventQuery", [&] { return cudaEventQuery(e); }},
    };
    for (const auto &u : unsafe) {
        bool ok = true;
        for (int i = 0; i < 18; i++) {
            const capture_case c = {modes[i % 3], modes[i / 3 % 3], i >= 9};
            const cudaError_t r = during_capture(c, u.call, &lost);
            ok = ok && lost == forbids(c) && r == (lost ? cudaErrorStreamCaptureUnsupported : cudaSuccess);
        }
        verdict(ok, (std::string("modes of capture: ") + u.name).c_str());
    }
    const capture_case relaxed = {cudaStreamCaptureModeRelaxed, cudaStreamCaptureModeRelaxed, true}, strict = {};
    IS(during_capture(relaxed, cudaDeviceSynchronize, &lost), cudaErrorStreamCaptureUnsupported);
    verdict(lost, "nobody may wait for the whole device");
    IS(during_capture(strict, [&] { return cudaMemsetAsync(x, 0, sizeof v, nullptr); }, &lost), cudaSuccess);
    verdict(!lost, "the legacy stream does not wait for this one");
    CU(cudaDeviceSynchronize());
    CU(cudaStreamDestroy(t));
    CU(cudaEventDestroy(e));
    CU(cudaFree(x));
}

static void test_sticky()
{
    int *x = values(32);
    void *p;
    overrun<<<1, 32>>>(x);
    IS(cudaGetLastError(), cudaSuccess);
    IS(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    IS(cudaGetLastError(), cudaErrorIllegalAddress);
    IS(cudaGetLastError(), cudaErrorIllegalAddress);
    IS(cudaMalloc(&p, 4), cudaErrorIllegalAddress);
    IS(cudaFree(x), cudaErrorIllegalAddress);
    IS(cudaDeviceReset(), cudaSuccess); // everything went with the context; a new one works
    IS(cudaGetLastError(), cudaSuccess);
    IS(cudaFree(x), cudaErrorInvalidValue);
    x = values(32);
    add<<<1, 32>>>(x, 5);
    verdict(first(x) == 5, "the device computes again");
    CU(cudaFree(x));
}

static void test_inject()
{
    void *p, *q;
    IS(cudaMalloc(&p, 16), cudaSuccess);
    IS(cudaMalloc(&q, 16), cudaErrorMemoryAllocation);
    IS(cudaMalloc(&q, 16), cudaSuccess);
    cudaGetLastError();
    CU(cudaFree(p));
    CU(cudaFree(q));
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "sticky") == 0) {
        test_sticky();
    } else if (strcmp(what, "inject") == 0) {
        test_inject();
    } else if (*what) {
        test_limits(atoi(what));
    } else {
        test_errors();
        test_streams();
        test_graphs();
        test_capture();
        test_capture_modes();
    }
    return n_failed != 0;
}
