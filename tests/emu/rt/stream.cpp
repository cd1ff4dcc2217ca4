// SPDX-License-Identifier: MIT
// Streams and events, and the order in which what was issued is run.
#include <time.h>

#include <algorithm>
#include <map>

#include "config.h"
#include "report.h"
#include "runtime.h"

namespace emu
{

std::set<Stream *> streams;
std::set<Event *> events;

namespace
{

std::map<uint64_t, OpPtr> pending;
uint64_t n_ops;

Stream &legacy_stream()
{
    static Stream s;
    s.legacy = true;
    return s;
}

Stream &thread_stream()
{
    static thread_local Stream s;
    return s;
}

double now_ms()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) * 1e-6;
}

// The next operation on the way to one that is not done: the first need that is not, of its first need, and so on.
OpPtr next_towards(OpPtr op)
{
    for (;;) {
        auto it = std::find_if(op->needs.rbegin(), op->needs.rend(), [](const OpPtr &n) { return !n->done; });
        if (it == op->needs.rend()) return op;
        op = *it;
    }
}

void perform(const OpPtr &op)
{
    pending.erase(op->number);
    if (!sticky() && op->run) op->run();
    op->done = true;
    op->run = nullptr;
    op->needs.clear();
}

const OpPtr &any_pending()
{
    switch (config().streams) {
    case ISSUE: return pending.begin()->second;
    case SHUFFLED: return std::next(pending.begin(), random_below(static_cast<uint32_t>(pending.size())))->second;
    default: return pending.rbegin()->second; // what was issued last goes first, unless it has to wait
    }
}

} // namespace

size_t unfinished() { return pending.size(); }

void forget_work()
{
    for (auto &p : pending) p.second->needs.clear();
    pending.clear();
    for (Stream *s : streams) delete s;
    for (Event *e : events) delete e;
    for (Exec *e : execs) delete e;
    for (Graph *g : graphs) delete g;
    streams.clear();
    events.clear();
    execs.clear();
    graphs.clear();
    legacy_stream().last = nullptr;
}

OpPtr enqueue(Stream *s, std::function<void()> run, const std::vector<OpPtr> &more)
{
    OpPtr op = std::make_shared<Op>();
    op->run = std::move(run);
    op->number = n_ops++;
    auto need = [&](const OpPtr &n) {
        if (n && !n->done) op->needs.push_back(n);
    };
    need(s->last);
    if (s->legacy) { // waits for all streams that did not opt out, and they for it
        for (const Stream *other : streams)
            if (!(other->flags & cudaStreamNonBlocking)) need(other->last);
    } else if (!(s->flags & cudaStreamNonBlocking)) {
        need(legacy_stream().last);
    }
    for (const OpPtr &n : more) need(n);
    s->last = op;
    pending[op->number] = op;
    return op;
}

bool advance(const OpPtr &op)
{
    if (!op || op->done) return true;
    perform(next_towards(op));
    return false;
}

void finish(const OpPtr &op)
{
    if (!op) return;
    if (config().streams == ISSUE) // as a device would that takes everything in order
        while (!op->done) perform(pending.begin()->second);
    while (!op->done) perform(next_towards(op));
}

void finish_all()
{
    while (!pending.empty()) perform(next_towards(any_pending()));
}

Stream *find_stream(cudaStream_t handle)
{
    if (handle == nullptr || handle == cudaStreamLegacy) return &legacy_stream();
    if (handle == cudaStreamPerThread) return &thread_stream();
    Stream *s = reinterpret_cast<Stream *>(handle);
    return streams.count(s) ? s : nullptr;
}

Event *find_event(cudaEvent_t handle)
{
    Event *e = reinterpret_cast<Event *>(handle);
    return events.count(e) ? e : nullptr;
}

} // namespace emu

using namespace emu;

extern "C" {

// ---- streams -------------------------------------------------------------------------------------------------------

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int priority)
{
    EMU_API(cudaStreamCreateWithPriority);
    if (!out || flags > cudaStreamNonBlocking) return result(cudaErrorInvalidValue);
    Stream *s = new Stream;
    s->flags = flags, s->priority = priority;
    streams.insert(s);
    *out = reinterpret_cast<cudaStream_t>(s);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    return cudaStreamCreateWithPriority(out, flags, 0);
}
cudaError_t cudaStreamCreate(cudaStream_t *out) { return cudaStreamCreateWithPriority(out, 0, 0); }

cudaError_t cudaStreamDestroy(cudaStream_t handle)
{
    EMU_API(cudaStreamDestroy);
    Stream *s = find_stream(handle);
    if (!s || !streams.count(s)) return result(cudaErrorInvalidResourceHandle);
    if (s->capture) {
        invalidate(s->capture, cudaErrorStreamCaptureUnsupported);
        s->capture->streams.erase(s);
    }
    streams.erase(s); // what it still has to do stays pending
    delete s;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle)
{
    EMU_API(cudaStreamSynchronize);
    Stream *s = find_stream(handle);
    if (!s) return result(cudaErrorInvalidResourceHandle);
    if (s->capture) return result(invalidate(s->capture, cudaErrorStreamCaptureUnsupported));
    if (s->legacy)
        if (cudaError_t e = legacy_call()) return result(e);
    if (cudaError_t e = unsafe_call()) return result(e);
    if (s->legacy) enqueue(s, nullptr);
    finish(s->last);
    return result(sticky());
}

cudaError_t cudaStreamQuery(cudaStream_t handle)
{
    EMU_API(cudaStreamQuery);
    Stream *s = find_stream(handle);
    if (!s) return result(cudaErrorInvalidResourceHandle);
    if (s->capture) return result(invalidate(s->capture, cudaErrorStreamCaptureUnsupported));
    if (s->legacy)
        if (cudaError_t e = legacy_call()) return result(e);
    if (cudaError_t e = unsafe_call()) return result(e);
    const bool done = advance(s->last);
    return result(sticky() ? sticky() : done ? cudaSuccess : cudaErrorNotReady);
}

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned *flags)
{
    EMU_API(cudaStreamGetFlags);
    const Stream *s = find_stream(handle);
    if (!s) return result(cudaErrorInvalidResourceHandle);
    *flags = s->flags;
    return cudaSuccess;
}

cudaError_t cudaStreamGetPriority(cudaStream_t handle, int *priority)
{
    EMU_API(cudaStreamGetPriority);
    const Stream *s = find_stream(handle);
    if (!s) return result(cudaErrorInvalidResourceHandle);
    *priority = s->priority;
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned)
{
    EMU_API(cudaStreamWaitEvent);
    Stream *s = find_stream(handle);
    const Event *e = find_event(event);
    if (!s || !e) return result(cudaErrorInvalidResourceHandle);
    if (e->capture) { // forks or joins a capture
        if (!captures.count(e->capture)) return result(cudaErrorCapturedEvent);
        if (s->legacy) return result(invalidate(e->capture, cudaErrorStreamCaptureImplicit));
        if (s->capture && s->capture != e->capture) return result(invalidate(s->capture, cudaErrorStreamCaptureMerge));
        s->capture = e->capture;
        s->capture->streams.insert(s);
        for (Node *n : e->nodes)
            if (std::find(s->tail.begin(), s->tail.end(), n) == s->tail.end()) s->tail.push_back(n);
        return cudaSuccess;
    }
    if (s->capture) return result(e->recorded ? invalidate(s->capture, cudaErrorStreamCaptureIsolation) : cudaSuccess);
    if (e->recorded) enqueue(s, nullptr, {e->op});
    return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t fn, void *data)
{
    EMU_API(cudaLaunchHostFunc);
    Stream *s = find_stream(handle);
    if (!s) return result(cudaErrorInvalidResourceHandle);
    return result(submit(s, Work{cudaGraphNodeTypeHost,
                                 [fn, data] {
                                     in_host_callback = true;
                                     fn(data);
                                     in_host_callback = false;
                                 },
                                 {}}));
}

cudaError_t cudaDeviceSynchronize(void)
{
    EMU_API(cudaDeviceSynchronize);
    if (cudaError_t e = device_call()) return result(e);
    finish_all();
    return result(sticky());
}

// ---- events --------------------------------------------------------------------------------------------------------

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    EMU_API(cudaEventCreateWithFlags);
    if (!out) return result(cudaErrorInvalidValue);
    Event *e = new Event;
    e->flags = flags;
    events.insert(e);
    *out = reinterpret_cast<cudaEvent_t>(e);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *out) { return cudaEventCreateWithFlags(out, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t handle)
{
    EMU_API(cudaEventDestroy);
    Event *e = find_event(handle);
    if (!e) return result(cudaErrorInvalidResourceHandle);
    events.erase(e);
    delete e;
    return cudaSuccess;
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t handle, unsigned)
{
    EMU_API(cudaEventRecord);
    Stream *s = find_stream(handle);
    Event *e = find_event(event);
    if (!s || !e) return result(cudaErrorInvalidResourceHandle);
    if (s->capture) {
        if (s->capture->invalid) return result(cudaErrorStreamCaptureInvalidated);
        e->capture = s->capture;
        e->nodes = s->tail;
        return cudaSuccess;
    }
    if (s->legacy)
        if (cudaError_t error = legacy_call()) return result(error);
    e->capture = nullptr;
    e->recorded = true;
    e->op = enqueue(s, [e] {
        if (events.count(e)) e->time = now_ms();
    });
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle)
{
    return cudaEventRecordWithFlags(event, handle, 0);
}

static cudaError_t captured_event(const Event *e)
{
    if (!e->capture) return cudaSuccess;
    return captures.count(e->capture) ? invalidate(e->capture, cudaErrorCapturedEvent) : cudaErrorCapturedEvent;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    EMU_API(cudaEventSynchronize);
    const Event *e = find_event(event);
    if (!e) return result(cudaErrorInvalidResourceHandle);
    if (cudaError_t error = captured_event(e)) return result(error);
    if (cudaError_t error = unsafe_call()) return result(error);
    if (e->recorded) finish(e->op);
    return result(sticky());
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    EMU_API(cudaEventQuery);
    const Event *e = find_event(event);
    if (!e) return result(cudaErrorInvalidResourceHandle);
    if (cudaError_t error = captured_event(e)) return result(error);
    if (cudaError_t error = unsafe_call()) return result(error);
    const bool done = advance(e->op);
    return result(sticky() ? sticky() : done ? cudaSuccess : cudaErrorNotReady);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    EMU_API(cudaEventElapsedTime);
    const Event *a = find_event(start), *b = find_event(end);
    if (!ms || !a || !b || !a->recorded || !b->recorded || (a->flags | b->flags) & cudaEventDisableTiming)
        return result(cudaErrorInvalidResourceHandle);
    if (!a->op->done || !b->op->done) return result(cudaErrorNotReady);
    *ms = static_cast<float>(b->time - a->time); // of the emulator: says nothing about a device
    return cudaSuccess;
}
}
