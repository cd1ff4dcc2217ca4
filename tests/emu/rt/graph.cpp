// SPDX-License-Identifier: MIT
// Capture of streams into graphs, and graphs. Calls that capture forbids are refused with the codes of the real
// library, and spoil the capture as there.
#include <string.h>

#include <algorithm>
#include <map>

#include "report.h"
#include "runtime.h"

namespace emu
{

std::set<Graph *> graphs;
std::set<Exec *> execs;
std::set<Capture *> captures;

Node *Graph::add(Work work, const std::vector<Node *> &needs)
{
    nodes.push_back(std::make_unique<Node>(Node{std::move(work), needs, this, nodes.size()}));
    return nodes.back().get();
}

cudaError_t invalidate(Capture *c, cudaError_t e)
{
    c->invalid = true;
    return e;
}

static thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

// Text of cudaThreadExchangeStreamCaptureMode in the manual.
static bool forbids_unsafe(const Capture *c)
{
    if (c->thread == std::this_thread::get_id())
        return c->mode != cudaStreamCaptureModeRelaxed && thread_mode != cudaStreamCaptureModeRelaxed;
    return c->mode == cudaStreamCaptureModeGlobal && thread_mode == cudaStreamCaptureModeGlobal;
}

cudaError_t unsafe_call()
{
    cudaError_t e = cudaSuccess;
    for (Capture *c : captures)
        if (forbids_unsafe(c)) e = invalidate(c, cudaErrorStreamCaptureUnsupported);
    return e;
}

cudaError_t device_call()
{
    cudaError_t e = cudaSuccess;
    for (Capture *c : captures) e = invalidate(c, cudaErrorStreamCaptureUnsupported);
    return e;
}

cudaError_t synchronous_call()
{
    const cudaError_t e = legacy_call();
    return e ? e : unsafe_call();
}

cudaError_t legacy_call()
{
    for (Capture *c : captures)
        for (const Stream *s : c->streams)
            if (!(s->flags & cudaStreamNonBlocking)) return invalidate(c, cudaErrorStreamCaptureImplicit);
    return cudaSuccess;
}

cudaError_t submit(Stream *s, const Work &work)
{
    if (s->capture) {
        if (s->capture->invalid) return cudaErrorStreamCaptureInvalidated;
        s->tail = {s->capture->graph->add(work, s->tail)};
        return cudaSuccess;
    }
    if (s->legacy)
        if (cudaError_t e = legacy_call()) return e;
    enqueue(s, work);
    return cudaSuccess;
}

namespace
{

std::vector<Exec::Item> flatten(const Graph &g)
{
    std::vector<Exec::Item> items;
    for (const auto &n : g.nodes) {
        Exec::Item item = {n->work, {}, n.get()};
        for (const Node *need : n->needs) item.needs.push_back(need->index);
        items.push_back(std::move(item));
    }
    return items;
}

// Work of all streams that took part must have come back to the first.
bool joined(const Capture &c)
{
    std::set<const Node *> seen;
    std::vector<const Node *> todo(c.origin->tail.begin(), c.origin->tail.end());
    while (!todo.empty()) {
        const Node *n = todo.back();
        todo.pop_back();
        if (!seen.insert(n).second) continue;
        todo.insert(todo.end(), n->needs.begin(), n->needs.end());
    }
    return seen.size() == c.graph->nodes.size();
}

cudaError_t end_capture(Stream *s, std::unique_ptr<Graph> &out)
{
    Capture *c = s->capture;
    if (!c) return cudaErrorIllegalState;
    if (c->origin != s) return invalidate(c, cudaErrorStreamCaptureUnmatched);
    if (c->mode != cudaStreamCaptureModeRelaxed && c->thread != std::this_thread::get_id())
        return cudaErrorStreamCaptureWrongThread;
    const cudaError_t e = c->invalid   ? cudaErrorStreamCaptureInvalidated
                          : joined(*c) ? cudaSuccess
                                       : cudaErrorStreamCaptureUnjoined;
    for (Stream *t : c->streams) t->capture = nullptr, t->tail.clear();
    if (!e) out = std::move(c->graph);
    captures.erase(c);
    delete c;
    return e;
}

} // namespace
} // namespace emu

using namespace emu;

extern "C" {

// ---- capture -------------------------------------------------------------------------------------------------------

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode)
{
    EMU_API(cudaStreamBeginCapture);
    static uint64_t n_captures;
    Stream *s = find_stream(handle);
    if (!s) return result(cudaErrorInvalidResourceHandle);
    if (s->legacy) return result(cudaErrorStreamCaptureUnsupported);
    if (s->capture) return result(cudaErrorIllegalState);
    Capture *c = new Capture{std::make_unique<Graph>(), mode, s, {s}, std::this_thread::get_id(), false, ++n_captures};
    captures.insert(c);
    s->capture = c;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *out)
{
    EMU_API(cudaStreamEndCapture);
    Stream *s = find_stream(handle);
    if (!s) return result(cudaErrorInvalidResourceHandle);
    std::unique_ptr<Graph> g;
    const cudaError_t e = end_capture(s, g);
    *out = reinterpret_cast<cudaGraph_t>(g.get());
    if (g) graphs.insert(g.release());
    return result(e);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus *status)
{
    EMU_API(cudaStreamIsCapturing);
    const Stream *s = find_stream(handle);
    if (!s) return result(cudaErrorInvalidResourceHandle);
    *status = !s->capture           ? cudaStreamCaptureStatusNone
              : s->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                    : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, cudaStreamCaptureStatus *status, unsigned long long *id,
                                     cudaGraph_t *graph, const cudaGraphNode_t **needs, const cudaGraphEdgeData **edges,
                                     size_t *n_needs)
{
    const cudaError_t e = cudaStreamIsCapturing(handle, status);
    const Stream *s = find_stream(handle);
    if (e || !s->capture) return e;
    if (id) *id = s->capture->id;
    if (graph) *graph = reinterpret_cast<cudaGraph_t>(s->capture->graph.get());
    if (needs) *needs = reinterpret_cast<const cudaGraphNode_t *>(s->tail.data());
    if (edges) *edges = nullptr;
    if (n_needs) *n_needs = s->tail.size();
    return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode *mode)
{
    EMU_API(cudaThreadExchangeStreamCaptureMode);
    std::swap(thread_mode, *mode);
    return cudaSuccess;
}

// ---- graphs --------------------------------------------------------------------------------------------------------

static Graph *find_graph(cudaGraph_t g)
{
    Graph *p = reinterpret_cast<Graph *>(g);
    return graphs.count(p) ? p : nullptr;
}

static Exec *find_exec(cudaGraphExec_t e)
{
    Exec *p = reinterpret_cast<Exec *>(e);
    return execs.count(p) ? p : nullptr;
}

cudaError_t cudaGraphCreate(cudaGraph_t *out, unsigned)
{
    EMU_API(cudaGraphCreate);
    Graph *g = new Graph;
    graphs.insert(g);
    *out = reinterpret_cast<cudaGraph_t>(g);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t handle)
{
    EMU_API(cudaGraphDestroy);
    Graph *g = find_graph(handle);
    if (!g) return result(cudaErrorInvalidValue);
    graphs.erase(g);
    delete g;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t handle, unsigned long long)
{
    EMU_API(cudaGraphInstantiate);
    const Graph *g = find_graph(handle);
    if (!g || !out) return result(cudaErrorInvalidValue);
    Exec *e = new Exec{flatten(*g), nullptr};
    execs.insert(e);
    counts.graphs++, counts.graph_nodes += e->items.size();
    *out = reinterpret_cast<cudaGraphExec_t>(e);
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *out, cudaGraph_t g, unsigned long long flags)
{
    return cudaGraphInstantiate(out, g, flags);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t handle)
{
    EMU_API(cudaGraphExecDestroy);
    Exec *e = find_exec(handle);
    if (!e) return result(cudaErrorInvalidValue);
    execs.erase(e);
    delete e; // launches under way hold what they need
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t handle, cudaStream_t)
{
    EMU_API(cudaGraphUpload);
    return result(find_exec(handle) ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t handle, cudaStream_t stream)
{
    EMU_API(cudaGraphLaunch);
    Exec *e = find_exec(handle);
    Stream *s = find_stream(stream);
    if (!e) return result(cudaErrorInvalidValue);
    if (!s) return result(cudaErrorInvalidResourceHandle);
    if (s->capture)
        return result(invalidate(s->capture, cudaErrorStreamCaptureUnsupported)); // child graphs are not supported
    if (s->legacy)
        if (cudaError_t error = legacy_call()) return result(error);
    counts.graph_launches++;
    const OpPtr start = enqueue(s, nullptr, {e->last});
    std::vector<OpPtr> ops;
    for (const Exec::Item &item : e->items) {
        std::vector<OpPtr> needs = {start};
        for (size_t i : item.needs) needs.push_back(ops[i]);
        Stream detached; // a node depends on its needs only
        detached.flags = cudaStreamNonBlocking;
        ops.push_back(enqueue(&detached, item.work, needs));
    }
    e->last = enqueue(s, nullptr, ops);
    return cudaSuccess;
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t handle, cudaGraph_t graph, cudaGraphExecUpdateResultInfo *info)
{
    EMU_API(cudaGraphExecUpdate);
    Exec *e = find_exec(handle);
    const Graph *g = find_graph(graph);
    if (!e || !g) return result(cudaErrorInvalidValue);
    std::vector<Exec::Item> items = flatten(*g);
    cudaGraphExecUpdateResult r = cudaGraphExecUpdateSuccess;
    if (items.size() != e->items.size()) r = cudaGraphExecUpdateErrorTopologyChanged;
    for (size_t i = 0; i < items.size() && r == cudaGraphExecUpdateSuccess; i++) {
        if (items[i].needs != e->items[i].needs) r = cudaGraphExecUpdateErrorTopologyChanged;
        else if (items[i].work.type != e->items[i].work.type) r = cudaGraphExecUpdateErrorNodeTypeChanged;
    }
    if (info) {
        memset(info, 0, sizeof *info);
        info->result = r;
    }
    if (r != cudaGraphExecUpdateSuccess) return result(cudaErrorGraphExecUpdateFailure);
    e->items = std::move(items);
    return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *n)
{
    EMU_API(cudaGraphGetNodes);
    const Graph *g = find_graph(graph);
    if (!g || !n) return result(cudaErrorInvalidValue);
    if (nodes)
        for (size_t i = 0; i < std::min(*n, g->nodes.size()); i++)
            nodes[i] = reinterpret_cast<cudaGraphNode_t>(g->nodes[i].get());
    if (!nodes || *n > g->nodes.size()) *n = g->nodes.size();
    return cudaSuccess;
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType *type)
{
    EMU_API(cudaGraphNodeGetType);
    *type = reinterpret_cast<const Node *>(node)->work.type;
    return cudaSuccess;
}

cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t handle, cudaGraphNode_t node,
                                             const cudaKernelNodeParams *p)
{
    EMU_API(cudaGraphExecKernelNodeSetParams);
    Exec *e = find_exec(handle);
    if (!e || !p) return result(cudaErrorInvalidValue);
    for (Exec::Item &item : e->items) {
        if (item.origin != reinterpret_cast<const Node *>(node) || !item.work.call) continue;
        return result(make_call(item.work.call, p->func, p->gridDim, p->blockDim, p->kernelParams, p->sharedMemBytes));
    }
    return result(cudaErrorInvalidValue);
}
}
