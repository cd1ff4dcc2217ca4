/* SPDX-License-Identifier: MIT
 * The stand-in for libcudart, inside: streams, events, graphs, errors.
 *
 * Work is a graph of operations. Nothing runs when it is issued, only when somebody waits for it, and then only what it
 * depends on (EMU_STREAMS=late): whatever a program forgot to order, comes in the wrong order. */
#ifndef EMU_RUNTIME_H
#define EMU_RUNTIME_H

#include <cuda_runtime_api.h>
#include <stdint.h>

#include <functional>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "sched.h"
#include "thread.h"

namespace emu
{

// ---- entry points --------------------------------------------------------------------------------------------------

/* At the start of every entry point: one at a time, after all modules, not with a sticky error, not from a callback.
 * EMU_FAIL=NAME:N makes the N-th call of NAME fail. */
struct Entry {
    explicit Entry(const char *name, bool always = false);
    ~Entry();
    cudaError_t refused;
};
#define EMU_API(name)         \
    emu::Entry entry_(#name); \
    if (entry_.refused) return emu::result(entry_.refused)

cudaError_t result(cudaError_t e); /* remembers it for cudaGetLastError */
void set_sticky(cudaError_t e);
cudaError_t sticky();
void forget_errors();
extern bool in_host_callback;

// ---- modules -------------------------------------------------------------------------------------------------------

struct Attributes {
    int max_dynamic = -1; /* as set by cudaFuncSetAttribute */
    int carveout = -1;
};
struct Function {
    const Kernel *kernel;
    Attributes attributes;
};
Function *find_function(const void *host);
const Var *find_var(const void *host);
void place_variables();

// ---- operations ----------------------------------------------------------------------------------------------------

struct Op {
    std::function<void()> run;
    std::vector<std::shared_ptr<Op>> needs;
    uint64_t number;
    bool done = false;
};
typedef std::shared_ptr<Op> OpPtr;

struct KernelCall {
    const void *host;
    const Kernel *kernel;
    Shape shape;
    std::vector<uint8_t> params;
};

/* What a stream is given; what a node of a graph holds. */
struct Work {
    cudaGraphNodeType type;
    std::function<void()> run;
    std::shared_ptr<KernelCall> call; /* of a kernel: run is not used */
    void operator()() const;
};

struct Capture;
struct Graph;

struct Node {
    Work work;
    std::vector<Node *> needs;
    Graph *graph;
    size_t index;
};

struct Graph {
    std::vector<std::unique_ptr<Node>> nodes;
    Node *add(Work work, const std::vector<Node *> &needs);
};

struct Exec {
    struct Item {
        Work work;
        std::vector<size_t> needs;
        const Node *origin;
    };
    std::vector<Item> items;
    OpPtr last; /* launches of one graph follow each other */
};

struct Stream {
    unsigned flags = 0;
    int priority = 0;
    bool legacy = false;
    OpPtr last;
    Capture *capture = nullptr;
    std::vector<Node *> tail; /* while it captures */
};

struct Event {
    unsigned flags = 0;
    bool recorded = false;
    OpPtr op;
    double time = 0;
    Capture *capture = nullptr;
    std::vector<Node *> nodes;
};

struct Capture {
    std::unique_ptr<Graph> graph;
    cudaStreamCaptureMode mode;
    Stream *origin;
    std::set<Stream *> streams;
    std::thread::id thread;
    bool invalid = false;
    uint64_t id;
};

/* Handles; null: no such stream or event. */
Stream *find_stream(cudaStream_t s);
Event *find_event(cudaEvent_t e);
extern std::set<Graph *> graphs;
extern std::set<Exec *> execs;
extern std::set<Capture *> captures;
extern std::set<Stream *> streams;
extern std::set<Event *> events;

OpPtr enqueue(Stream *s, std::function<void()> run, const std::vector<OpPtr> &more = {});
/* To a stream: queued, or recorded if it captures. */
cudaError_t submit(Stream *s, const Work &work);
void finish(const OpPtr &op); /* runs it and what it needs */
void finish_all();
bool advance(const OpPtr &op); /* runs one operation towards it; true: it was done before */
size_t unfinished();
void forget_work(); /* all streams, events, graphs and what they have to do; not while a stream captures */

// ---- rules of capture ----------------------------------------------------------------------------------------------

cudaError_t invalidate(Capture *c, cudaError_t e);
/* Calls that wait or allocate, in streams that do not capture too: by the modes of captures and of this thread. */
cudaError_t unsafe_call();
/* Waiting for the whole device takes in all streams that capture, in whatever mode. */
cudaError_t device_call();
/* Work for the legacy stream would depend on streams that capture. */
cudaError_t legacy_call();
/* cudaMemcpy and the like: work for the legacy stream, and a wait. */
cudaError_t synchronous_call();

// ---- launches ------------------------------------------------------------------------------------------------------

cudaError_t launch(const void *host, dim3 g, dim3 b, void **args, size_t dynamic_bytes, Stream *s);
cudaError_t make_call(std::shared_ptr<KernelCall> &out, const void *host, dim3 g, dim3 b, void **args,
                      size_t dynamic_bytes);

} // namespace emu

#endif
