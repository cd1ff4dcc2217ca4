// SPDX-License-Identifier: MIT
// The calls of cuDNN that dydit makes, for the emulator: descriptors, their attributes and what must be true of them. What is
// not in use is refused; convolve.cpp computes. Plans are not made while a stream is captured, since that may load code.
#include <cudnn_graph.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <memory>
#include <set>

#include "tests/emu/cudnn/stand_in.h"
#include "tests/emu/rt/config.h"
#include "tests/emu/rt/device.h"
#include "tests/emu/rt/runtime.h"

struct cudnnContext {
    cudaStream_t stream;
};

namespace
{

struct Value {
    int64_t n = 0;
    std::vector<uint8_t> bytes;
};

struct Descriptor {
    cudnnBackendDescriptorType_t type;
    bool finalized = false;
    std::map<int, Value> values;
    dnn::Graph graph;           // of a graph and of what is made from it
    dnn::Engine engine = dnn::FMA; // of a way, an engine and a plan
};

std::set<Descriptor *> live;
std::set<cudnnHandle_t> handles;

void at_end()
{
    const size_t left = live.size() + handles.size();
    if (!emu::config().leaks || emu::sticky() || left == 0) return;
    fprintf(stderr, "emu: leak: %zu objects of cuDNN\n", left);
    fflush(stdout);
    fflush(stderr);
    _exit(emu::EXIT_STATUS);
}

void watch()
{
    static const bool once = atexit(at_end) == 0;
    (void)once;
}

#define DNN_API(name)         \
    emu::Entry entry_(#name); \
    if (entry_.refused) return CUDNN_STATUS_EXECUTION_FAILED

// ---- attributes ----------------------------------------------------------------------------------------------------

enum { OPTIONAL, REQUIRED };

// What may be set: with which type, and least to most elements; `of`: what a descriptor among them must be.
struct Rule {
    cudnnBackendDescriptorType_t on;
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t least, most;
    int presence;
    int of;
};

#define D(x) CUDNN_BACKEND_##x##_DESCRIPTOR
#define A(x) CUDNN_ATTR_##x
#define T(x) CUDNN_TYPE_##x
const Rule rules[] = {
    {D(TENSOR), A(TENSOR_UNIQUE_ID), T(INT64), 1, 1, REQUIRED, -1},
    {D(TENSOR), A(TENSOR_DATA_TYPE), T(DATA_TYPE), 1, 1, REQUIRED, -1},
    {D(TENSOR), A(TENSOR_BYTE_ALIGNMENT), T(INT64), 1, 1, REQUIRED, -1},
    {D(TENSOR), A(TENSOR_DIMENSIONS), T(INT64), 4, 4, REQUIRED, -1},
    {D(TENSOR), A(TENSOR_STRIDES), T(INT64), 4, 4, REQUIRED, -1},
    {D(TENSOR), A(TENSOR_IS_VIRTUAL), T(BOOLEAN), 1, 1, OPTIONAL, -1},
    {D(CONVOLUTION), A(CONVOLUTION_COMP_TYPE), T(DATA_TYPE), 1, 1, REQUIRED, -1},
    {D(CONVOLUTION), A(CONVOLUTION_CONV_MODE), T(CONVOLUTION_MODE), 1, 1, REQUIRED, -1},
    {D(CONVOLUTION), A(CONVOLUTION_SPATIAL_DIMS), T(INT64), 1, 1, REQUIRED, -1},
    {D(CONVOLUTION), A(CONVOLUTION_DILATIONS), T(INT64), 2, 2, REQUIRED, -1},
    {D(CONVOLUTION), A(CONVOLUTION_FILTER_STRIDES), T(INT64), 2, 2, REQUIRED, -1},
    {D(CONVOLUTION), A(CONVOLUTION_PRE_PADDINGS), T(INT64), 2, 2, REQUIRED, -1},
    {D(CONVOLUTION), A(CONVOLUTION_POST_PADDINGS), T(INT64), 2, 2, REQUIRED, -1},
    {D(POINTWISE), A(POINTWISE_MODE), T(POINTWISE_MODE), 1, 1, REQUIRED, -1},
    {D(POINTWISE), A(POINTWISE_MATH_PREC), T(DATA_TYPE), 1, 1, REQUIRED, -1},
    {D(OPERATION_CONVOLUTION_FORWARD), A(OPERATION_CONVOLUTION_FORWARD_CONV_DESC), T(BACKEND_DESCRIPTOR), 1, 1, REQUIRED, D(CONVOLUTION)},
    {D(OPERATION_CONVOLUTION_FORWARD), A(OPERATION_CONVOLUTION_FORWARD_X), T(BACKEND_DESCRIPTOR), 1, 1, REQUIRED, D(TENSOR)},
    {D(OPERATION_CONVOLUTION_FORWARD), A(OPERATION_CONVOLUTION_FORWARD_W), T(BACKEND_DESCRIPTOR), 1, 1, REQUIRED, D(TENSOR)},
    {D(OPERATION_CONVOLUTION_FORWARD), A(OPERATION_CONVOLUTION_FORWARD_Y), T(BACKEND_DESCRIPTOR), 1, 1, REQUIRED, D(TENSOR)},
    {D(OPERATION_CONVOLUTION_FORWARD), A(OPERATION_CONVOLUTION_FORWARD_ALPHA), T(FLOAT), 1, 1, REQUIRED, -1},
    {D(OPERATION_CONVOLUTION_FORWARD), A(OPERATION_CONVOLUTION_FORWARD_BETA), T(FLOAT), 1, 1, REQUIRED, -1},
    {D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_PW_DESCRIPTOR), T(BACKEND_DESCRIPTOR), 1, 1, REQUIRED, D(POINTWISE)},
    {D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_XDESC), T(BACKEND_DESCRIPTOR), 1, 1, REQUIRED, D(TENSOR)},
    {D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_BDESC), T(BACKEND_DESCRIPTOR), 1, 1, REQUIRED, D(TENSOR)},
    {D(OPERATION_POINTWISE), A(OPERATION_POINTWISE_YDESC), T(BACKEND_DESCRIPTOR), 1, 1, REQUIRED, D(TENSOR)},
    {D(OPERATIONGRAPH), A(OPERATIONGRAPH_OPS), T(BACKEND_DESCRIPTOR), 1, 3, REQUIRED, -1},
    {D(ENGINEHEUR), A(ENGINEHEUR_OPERATION_GRAPH), T(BACKEND_DESCRIPTOR), 1, 1, REQUIRED, D(OPERATIONGRAPH)},
    {D(ENGINEHEUR), A(ENGINEHEUR_MODE), T(HEUR_MODE), 1, 1, REQUIRED, -1},
    {D(ENGINEHEUR), A(ENGINEHEUR_DEVICEPROP), T(BACKEND_DESCRIPTOR), 1, 1, REQUIRED, D(DEVICEPROP)},
    {D(EXECUTION_PLAN), A(EXECUTION_PLAN_ENGINE_CONFIG), T(BACKEND_DESCRIPTOR), 1, 1, REQUIRED, D(ENGINECFG)},
    {D(EXECUTION_PLAN), A(EXECUTION_PLAN_DEVICEPROP), T(BACKEND_DESCRIPTOR), 1, 1, REQUIRED, D(DEVICEPROP)},
    {D(DEVICEPROP), A(DEVICEPROP_HANDLE), T(HANDLE), 1, 1, REQUIRED, -1},
    {D(VARIANT_PACK), A(VARIANT_PACK_UNIQUE_IDS), T(INT64), 1, 5, REQUIRED, -1},
    {D(VARIANT_PACK), A(VARIANT_PACK_DATA_POINTERS), T(VOID_PTR), 1, 5, REQUIRED, -1},
    {D(VARIANT_PACK), A(VARIANT_PACK_WORKSPACE), T(VOID_PTR), 1, 1, REQUIRED, -1},
};

size_t size_of(cudnnBackendAttributeType_t t)
{
    switch (t) {
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR: return 1;
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR: return 8;
    default: return 4;
    }
}

const Rule *rule_of(const Descriptor *d, cudnnBackendAttributeName_t name)
{
    for (const Rule &r : rules)
        if (r.on == d->type && r.name == name) return &r;
    return nullptr;
}

Descriptor *opened(const void *p)
{
    Descriptor *d = static_cast<Descriptor *>(const_cast<void *>(p));
    return live.count(d) ? d : nullptr;
}

template <class X> X at(const Descriptor *d, int name, size_t i = 0)
{
    X x = {};
    const auto found = d->values.find(name);
    if (found != d->values.end()) memcpy(&x, found->second.bytes.data() + i * sizeof x, sizeof x);
    return x;
}

Descriptor *child(const Descriptor *d, int name, size_t i = 0) { return opened(at<void *>(d, name, i)); }

// ---- finalizing ----------------------------------------------------------------------------------------------------

dnn::Tensor tensor_of(const Descriptor *d)
{
    dnn::Tensor t = {};
    t.uid = at<int64_t>(d, CUDNN_ATTR_TENSOR_UNIQUE_ID), t.alignment = at<int64_t>(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
    t.type = at<cudnnDataType_t>(d, CUDNN_ATTR_TENSOR_DATA_TYPE);
    t.is_virtual = at<uint8_t>(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL) != 0;
    for (size_t i = 0; i < 4; i++) {
        t.dims[i] = at<int64_t>(d, CUDNN_ATTR_TENSOR_DIMENSIONS, i);
        t.strides[i] = at<int64_t>(d, CUDNN_ATTR_TENSOR_STRIDES, i);
    }
    return t;
}

cudnnStatus_t check_tensor(const Descriptor *d)
{
    const dnn::Tensor t = tensor_of(d);
    if (t.type != CUDNN_DATA_FLOAT && t.type != CUDNN_DATA_HALF && t.type != CUDNN_DATA_BFLOAT16)
        return CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE;
    for (size_t i = 0; i < 4; i++)
        if (t.dims[i] < 1 || t.strides[i] < 1) return CUDNN_STATUS_BAD_PARAM;
    return t.alignment == 16 ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED; // what vectors of channels need
}

cudnnStatus_t check_convolution(const Descriptor *d)
{
    if (at<cudnnDataType_t>(d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE) != CUDNN_DATA_FLOAT) return CUDNN_STATUS_NOT_SUPPORTED;
    if (at<int>(d, CUDNN_ATTR_CONVOLUTION_CONV_MODE) != CUDNN_CROSS_CORRELATION) return CUDNN_STATUS_NOT_SUPPORTED;
    if (at<int64_t>(d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) != 2) return CUDNN_STATUS_BAD_PARAM;
    for (size_t i = 0; i < 2; i++)
        if (at<int64_t>(d, CUDNN_ATTR_CONVOLUTION_DILATIONS, i) != 1 ||
            at<int64_t>(d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, i) != 1)
            return CUDNN_STATUS_NOT_SUPPORTED;
    return CUDNN_STATUS_SUCCESS;
}

bool step_of(const Descriptor *op, dnn::Step *s)
{
    s->convolution = op->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
    const Descriptor *x, *b, *y;
    if (s->convolution) {
        x = child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X), b = child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W);
        y = child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y);
        const Descriptor *c = child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC);
        if (!c) return false;
        for (size_t i = 0; i < 2; i++) s->padding[i] = at<int64_t>(c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i);
    } else {
        x = child(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC), b = child(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
        y = child(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
    }
    if (!x || !b || !y) return false;
    s->x = tensor_of(x), s->b = tensor_of(b), s->y = tensor_of(y);
    return true;
}

cudnnStatus_t check_convolved(const Descriptor *op)
{
    dnn::Step s;
    if (!step_of(op, &s)) return CUDNN_STATUS_BAD_PARAM;
    if (at<float>(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA) != 1 ||
        at<float>(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA) != 0)
        return CUDNN_STATUS_NOT_SUPPORTED;
    const Descriptor *c = child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC);
    bool good = s.x.dims[0] == s.y.dims[0] && s.x.dims[1] == s.b.dims[1] && s.b.dims[0] == s.y.dims[1];
    for (size_t i = 0; i < 2; i++) {
        const int64_t padding = s.padding[i] + at<int64_t>(c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, i);
        good = good && s.y.dims[2 + i] == s.x.dims[2 + i] + padding - s.b.dims[2 + i] + 1;
    }
    return good ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
}

cudnnStatus_t check_sum(const Descriptor *op)
{
    dnn::Step s;
    const Descriptor *p = child(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    if (!step_of(op, &s) || !p) return CUDNN_STATUS_BAD_PARAM;
    if (at<int>(p, CUDNN_ATTR_POINTWISE_MODE) != CUDNN_POINTWISE_ADD ||
        at<int>(p, CUDNN_ATTR_POINTWISE_MATH_PREC) != CUDNN_DATA_FLOAT)
        return CUDNN_STATUS_NOT_SUPPORTED;
    for (size_t i = 0; i < 4; i++)
        if (s.x.dims[i] != s.y.dims[i] || (s.b.dims[i] != 1 && s.b.dims[i] != s.x.dims[i]))
            return CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH;
    return CUDNN_STATUS_SUCCESS;
}

// Tensors of a graph have identifiers of their own.
cudnnStatus_t make_graph(Descriptor *d)
{
    const int64_t n = d->values[CUDNN_ATTR_OPERATIONGRAPH_OPS].n;
    std::map<int64_t, const void *> owners;
    for (int64_t i = 0; i < n; i++) {
        const Descriptor *op = child(d, CUDNN_ATTR_OPERATIONGRAPH_OPS, static_cast<size_t>(i));
        dnn::Step s;
        if (!op || !op->finalized || !step_of(op, &s)) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
        for (const auto &v : op->values) {
            const Descriptor *t = rule_of(op, static_cast<cudnnBackendAttributeName_t>(v.first))->of == D(TENSOR)
                                      ? child(op, v.first)
                                      : nullptr;
            if (t && owners.emplace(tensor_of(t).uid, t).first->second != t) return CUDNN_STATUS_BAD_PARAM;
        }
        d->graph.push_back(s);
    }
    return dnn::check(d->graph) == CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN ? CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN
                                                                           : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t make_plan(Descriptor *d)
{
    const Descriptor *way = child(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    if (!emu::captures.empty()) return CUDNN_STATUS_EXECUTION_FAILED;
    d->graph = way->graph, d->engine = way->engine;
    return d->engine == dnn::UNABLE ? CUDNN_STATUS_NOT_SUPPORTED : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t make_heuristic(Descriptor *d)
{
    if (!emu::captures.empty()) return CUDNN_STATUS_EXECUTION_FAILED;
    d->graph = child(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)->graph;
    return dnn::check(d->graph);
}

cudnnStatus_t check(Descriptor *d)
{
    for (const Rule &r : rules) {
        if (r.on != d->type) continue;
        if (r.presence == REQUIRED && !d->values.count(r.name)) return CUDNN_STATUS_BAD_PARAM;
        if (r.of >= 0 && !child(d, r.name)) return CUDNN_STATUS_BAD_PARAM; // it is gone
    }
    switch (d->type) {
    case D(TENSOR): return check_tensor(d);
    case D(CONVOLUTION): return check_convolution(d);
    case D(OPERATION_CONVOLUTION_FORWARD): return check_convolved(d);
    case D(OPERATION_POINTWISE): return check_sum(d);
    case D(OPERATIONGRAPH): return make_graph(d);
    case D(ENGINEHEUR): return make_heuristic(d);
    case D(EXECUTION_PLAN): return make_plan(d);
    case D(DEVICEPROP): return handles.count(at<cudnnHandle_t>(d, CUDNN_ATTR_DEVICEPROP_HANDLE)) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
    case D(ENGINE):
    case D(ENGINECFG): return CUDNN_STATUS_NOT_SUPPORTED; // the library fills them
    default: return CUDNN_STATUS_SUCCESS;
    }
}

// ---- asking --------------------------------------------------------------------------------------------------------

template <class X> cudnnStatus_t give(const std::vector<X> &all, int64_t wanted, int64_t *n, void *values)
{
    if (wanted < static_cast<int64_t>(all.size())) return CUDNN_STATUS_BAD_PARAM;
    *n = static_cast<int64_t>(all.size());
    memcpy(values, all.data(), all.size() * sizeof(X));
    return CUDNN_STATUS_SUCCESS;
}

// Fills descriptors that the caller has made.
cudnnStatus_t fill(const Descriptor *from, const std::vector<dnn::Engine> &engines, cudnnBackendDescriptorType_t type,
                   int64_t wanted, int64_t *n, void *values)
{
    *n = 0;
    for (const dnn::Engine engine : engines) {
        void *p;
        if (*n == wanted) break;
        memcpy(&p, static_cast<uint8_t *>(values) + *n * 8, sizeof p);
        Descriptor *d = opened(p);
        if (!d || d->type != type || d->finalized) return CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE;
        d->graph = from->graph, d->engine = engine, d->finalized = true;
        ++*n;
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t answer(const Descriptor *d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t wanted,
                     int64_t *n, void *values)
{
    if (d->type == D(ENGINEHEUR) && name == A(ENGINEHEUR_RESULTS) && type == T(BACKEND_DESCRIPTOR))
        return fill(d, dnn::ways(d->graph, at<cudnnBackendHeurMode_t>(d, CUDNN_ATTR_ENGINEHEUR_MODE)), D(ENGINECFG), wanted, n, values);
    if (d->type == D(ENGINECFG) && name == A(ENGINECFG_ENGINE) && type == T(BACKEND_DESCRIPTOR))
        return fill(d, {d->engine}, D(ENGINE), wanted, n, values);
    if (d->type == D(ENGINE) && name == A(ENGINE_GLOBAL_INDEX) && type == T(INT64))
        return give(std::vector<int64_t>{d->engine}, wanted, n, values);
    if (d->type == D(ENGINE) && name == A(ENGINE_NUMERICAL_NOTE) && type == T(NUMERICAL_NOTE))
        return give(dnn::notes(d->engine), wanted, n, values);
    if (d->type == D(EXECUTION_PLAN) && name == A(EXECUTION_PLAN_WORKSPACE_SIZE) && type == T(INT64))
        return give(std::vector<uint64_t>{dnn::workspace(d->graph, d->engine)}, wanted, n, values);
    return CUDNN_STATUS_BAD_PARAM;
}

// ---- running -------------------------------------------------------------------------------------------------------

// Every tensor that is not virtual, and nothing else, has an address that is as aligned as was said.
cudnnStatus_t gather(const Descriptor *plan, const Descriptor *pack, std::map<int64_t, void *> *to)
{
    const int64_t n = pack->values.at(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS).n;
    if (n != pack->values.at(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS).n) return CUDNN_STATUS_BAD_PARAM;
    std::map<int64_t, int64_t> alignments;
    for (const dnn::Step &s : plan->graph)
        for (const dnn::Tensor *t : {&s.x, &s.b, &s.y})
            if (!t->is_virtual) alignments[t->uid] = t->alignment;
    for (size_t i = 0; i < static_cast<size_t>(n); i++) {
        const int64_t uid = at<int64_t>(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, i);
        void *p = at<void *>(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, i);
        if (!alignments.count(uid) || !emu::is_device_address(p)) return CUDNN_STATUS_BAD_PARAM;
        if (reinterpret_cast<uint64_t>(p) % static_cast<uint64_t>(alignments[uid]) != 0)
            return CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER;
        (*to)[uid] = p;
    }
    return to->size() == alignments.size() ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

} // namespace

extern "C" {

size_t cudnnGetVersion(void) { return CUDNN_VERSION; }

const char *cudnnGetErrorString(cudnnStatus_t st)
{
    switch (st) {
    case CUDNN_STATUS_SUCCESS: return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_EXECUTION_FAILED: return "CUDNN_STATUS_EXECUTION_FAILED";
    case CUDNN_STATUS_NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED: return "CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED";
    case CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER: return "CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER";
    case CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH: return "CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH";
    default: return "CUDNN_STATUS_BAD_PARAM";
    }
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    DNN_API(cudnnCreate);
    watch();
    if (!handle) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    *handle = new cudnnContext();
    handles.insert(*handle);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    DNN_API(cudnnDestroy);
    if (handles.erase(handle) == 0) return CUDNN_STATUS_BAD_PARAM;
    delete handle;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    DNN_API(cudnnSetStream);
    if (!handles.count(handle) || !emu::find_stream(stream)) return CUDNN_STATUS_BAD_PARAM;
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *descriptor)
{
    DNN_API(cudnnBackendCreateDescriptor);
    watch();
    if (!descriptor) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    Descriptor *d = new Descriptor();
    d->type = type;
    live.insert(d);
    *descriptor = d;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor)
{
    DNN_API(cudnnBackendDestroyDescriptor);
    Descriptor *d = opened(descriptor);
    if (!d) return CUDNN_STATUS_BAD_PARAM;
    live.erase(d);
    delete d;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    DNN_API(cudnnBackendSetAttribute);
    Descriptor *d = opened(descriptor);
    if (!d || d->finalized || !values) return CUDNN_STATUS_BAD_PARAM;
    const Rule *r = rule_of(d, name);
    if (!r || count < r->least || count > r->most) return CUDNN_STATUS_BAD_PARAM;
    if (type != r->type) return CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE;
    Value v;
    v.n = count;
    v.bytes.assign(static_cast<const uint8_t *>(values), static_cast<const uint8_t *>(values) + size_of(type) * static_cast<size_t>(count));
    d->values[name] = v;
    for (size_t i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < static_cast<size_t>(count); i++) {
        const Descriptor *c = child(d, name, i);
        if (!c || (r->of >= 0 && c->type != r->of)) return CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE;
        if (!c->finalized) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor)
{
    DNN_API(cudnnBackendFinalize);
    Descriptor *d = opened(descriptor);
    if (!d || d->finalized) return CUDNN_STATUS_BAD_PARAM;
    const cudnnStatus_t st = check(d);
    d->finalized = st == CUDNN_STATUS_SUCCESS;
    return st;
}

cudnnStatus_t cudnnBackendGetAttribute(const cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t wanted, int64_t *count, void *values)
{
    DNN_API(cudnnBackendGetAttribute);
    const Descriptor *d = opened(descriptor);
    if (!d || !count || !values || wanted < 1) return CUDNN_STATUS_BAD_PARAM;
    if (!d->finalized) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
    return answer(d, name, type, wanted, count, values);
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_descriptor,
                                  cudnnBackendDescriptor_t variant_pack)
{
    DNN_API(cudnnBackendExecute);
    const Descriptor *plan = opened(plan_descriptor), *pack = opened(variant_pack);
    if (!handles.count(handle) || !plan || !pack || plan->type != D(EXECUTION_PLAN) || pack->type != D(VARIANT_PACK))
        return CUDNN_STATUS_BAD_PARAM;
    if (!plan->finalized || !pack->finalized) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
    std::map<int64_t, void *> addresses;
    const cudnnStatus_t st = gather(plan, pack, &addresses);
    if (st != CUDNN_STATUS_SUCCESS) return st;
    void *space = at<void *>(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    if (dnn::workspace(plan->graph, plan->engine) && (!emu::is_device_address(space) || reinterpret_cast<uint64_t>(space) % 128))
        return CUDNN_STATUS_BAD_PARAM;
    const dnn::Graph graph = plan->graph;
    const dnn::Engine engine = plan->engine;
    const cudaError_t e = emu::submit(emu::find_stream(handle->stream), emu::Work{cudaGraphNodeTypeKernel, [=] { dnn::run(graph, engine, addresses, space); }, {}});
    return e ? CUDNN_STATUS_EXECUTION_FAILED : CUDNN_STATUS_SUCCESS;
}
}
