/* SPDX-License-Identifier: MIT
 * The calls of cuDNN. A convolution is a graph of two or three operations in its terms, which it fuses:
 *
 *     sums = convolution(x, w)    virtual, float32
 *     dst = sums + bias           or, virtual: biased = sums + bias, dst = biased + residual
 *
 * Tensors have the dimensions batch, channels, height, width in that order, and strides that say that channels lie side by
 * side; of the weight, which is packed as [N, taps, C], too. A plan is made for a shape once, of the first way that the
 * library's heuristics propose and that is allowed here, and kept with the descriptors that it was made of. */
#include "host/exec/plugin_cuda_dnn.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cuda_runtime_api.h>

#include "host/base/status.h"
#include "kernels/cuda/packed.h"

#ifdef DD_HAS_CUDNN

#define ALIGNMENT 16 /* bytes: of every tensor */
#define MADE_MAX 20  /* descriptors of a plan */
#define WAYS_MAX 24  /* that are looked at, of each heuristic */
#define UIDS 5

typedef cudnnBackendDescriptor_t descriptor;

/* Names of the tensors between the library and its caller. */
enum { UID_X = 1, UID_W, UID_BIAS, UID_RESIDUAL, UID_DST, UID_SUMS, UID_BIASED };

/* What a plan is for. Equal ones share it. */
typedef struct shape {
    int32_t b, h, w, c, n, ksize;
    dd_format src, dst;
    bool residual;
} shape;

typedef struct plan {
    shape of;
    struct plan *next;
    descriptor made[MADE_MAX]; /* to be destroyed, the last one first */
    int n_made;
    descriptor how; /* NULL: the library knows no way that is allowed */
    int64_t engine, workspace;
} plan;

struct dd_dnn {
    dd_dnn_setup setup;
    cudnnHandle_t handle;  /* NULL where no plan can be run */
    descriptor properties; /* of the device */
    plan *plans;
    char error[160];
};

static bool done(dd_dnn *dnn, cudnnStatus_t st, const char *call, const char *what)
{
    if (st != CUDNN_STATUS_SUCCESS)
        snprintf(dnn->error, sizeof dnn->error, "cudnn%s (%s): %s", call, what, dnn->setup.api->GetErrorString(st));
    return st == CUDNN_STATUS_SUCCESS;
}

/* NOT_SUPPORTED and its kinds are answers, and so is code that does not compile for a way: there may be another way. */
static bool declined(cudnnStatus_t st)
{
    return (st >= CUDNN_STATUS_NOT_SUPPORTED && st < CUDNN_STATUS_INTERNAL_ERROR) ||
           st == CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED;
}

/* ---- making descriptors ---------------------------------------------------------------------------------------- */

/* One descriptor on its way; after a failure nothing is done. */
typedef struct maker {
    dd_dnn *dnn;
    const char *what; /* it is, for messages */
    descriptor d;
    bool good;
} maker;

static maker make(dd_dnn *dnn, cudnnBackendDescriptorType_t type, const char *what)
{
    maker m = {.dnn = dnn, .what = what};
    m.good = done(dnn, dnn->setup.api->BackendCreateDescriptor(type, &m.d), "BackendCreateDescriptor", what);
    return m;
}

static void put(maker *m, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t n,
                const void *values)
{
    if (!m->good) return;
    m->good = done(m->dnn, m->dnn->setup.api->BackendSetAttribute(m->d, name, type, n, values), "BackendSetAttribute",
                   m->what);
}

static void put_descriptor(maker *m, cudnnBackendAttributeName_t name, descriptor d)
{
    put(m, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &d);
}

static void drop(dd_dnn *dnn, descriptor d)
{
    if (d) (void)dnn->setup.api->BackendDestroyDescriptor(d);
}

/* NULL, and the descriptor is gone, where something failed. */
static descriptor finish(maker *m)
{
    if (m->good) m->good = done(m->dnn, m->dnn->setup.api->BackendFinalize(m->d), "BackendFinalize", m->what);
    if (m->good) return m->d;
    drop(m->dnn, m->d);
    return NULL;
}

/* The plan's own from now on. */
static descriptor keep(plan *p, descriptor d)
{
    if (d) p->made[p->n_made++] = d;
    return d;
}

static void plan_free(dd_dnn *dnn, plan *p)
{
    while (p->n_made > 0) drop(dnn, p->made[--p->n_made]);
    free(p);
}

/* ---- the graph ------------------------------------------------------------------------------------------------- */

static cudnnDataType_t type_of(dd_format f)
{
    return f == DD_FMT_BF16 ? CUDNN_DATA_BFLOAT16 : f == DD_FMT_F16 ? CUDNN_DATA_HALF : CUDNN_DATA_FLOAT;
}

/* Of these dimensions: batch or rows of the weight, channels, height, width. */
typedef struct tensor {
    int64_t uid;
    cudnnDataType_t type;
    int64_t dims[4];
    bool is_virtual;
    const char *what;
} tensor;

static descriptor make_tensor(dd_dnn *dnn, plan *p, const tensor *t)
{
    const int64_t *d = t->dims, strides[4] = {d[1] * d[2] * d[3], 1, d[3] * d[1], d[1]}, alignment = ALIGNMENT;
    maker m = make(dnn, CUDNN_BACKEND_TENSOR_DESCRIPTOR, t->what);
    put(&m, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &t->uid);
    put(&m, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &t->type);
    put(&m, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    put(&m, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, d);
    put(&m, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    put(&m, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &t->is_virtual);
    return keep(p, finish(&m));
}

static descriptor make_convolution(dd_dnn *dnn, plan *p, const descriptor xwy[3])
{
    const int64_t dims = 2, one[2] = {1, 1}, padding[2] = {p->of.ksize / 2, p->of.ksize / 2};
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION; /* taps are not mirrored */
    const float alpha = 1, beta = 0;
    maker m = make(dnn, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, "convolution");
    put(&m, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums);
    put(&m, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    put(&m, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dims);
    put(&m, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, one);
    put(&m, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, one);
    put(&m, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, padding);
    put(&m, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, padding);
    const descriptor convolution = keep(p, finish(&m));
    if (!convolution) return NULL;
    m = make(dnn, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, "convolution");
    put_descriptor(&m, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, convolution);
    put_descriptor(&m, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, xwy[0]);
    put_descriptor(&m, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, xwy[1]);
    put_descriptor(&m, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, xwy[2]);
    put(&m, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &alpha);
    put(&m, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &beta);
    return keep(p, finish(&m));
}

/* y = x + b */
static descriptor make_sum(dd_dnn *dnn, plan *p, const descriptor xby[3], const char *what)
{
    const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
    const cudnnDataType_t precision = CUDNN_DATA_FLOAT;
    maker m = make(dnn, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, what);
    put(&m, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    put(&m, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &precision);
    const descriptor sum = keep(p, finish(&m));
    if (!sum) return NULL;
    m = make(dnn, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, what);
    put_descriptor(&m, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, sum);
    put_descriptor(&m, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, xby[0]);
    put_descriptor(&m, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, xby[1]);
    put_descriptor(&m, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, xby[2]);
    return keep(p, finish(&m));
}

static descriptor make_graph(dd_dnn *dnn, plan *p)
{
    const shape *s = &p->of;
    const int64_t b = s->b, h = s->h, w = s->w, c = s->c, n = s->n, k = s->ksize;
    const cudnnDataType_t in = type_of(s->src), out = type_of(s->dst), f32 = CUDNN_DATA_FLOAT;
    const descriptor x = make_tensor(dnn, p, &(tensor){UID_X, in, {b, c, h, w}, false, "pixels"});
    const descriptor weight = make_tensor(dnn, p, &(tensor){UID_W, in, {n, c, k, k}, false, "weight"});
    const descriptor sums = make_tensor(dnn, p, &(tensor){UID_SUMS, f32, {b, n, h, w}, true, "sums"});
    const descriptor bias = make_tensor(dnn, p, &(tensor){UID_BIAS, f32, {1, n, 1, 1}, false, "bias"});
    const descriptor dst = make_tensor(dnn, p, &(tensor){UID_DST, out, {b, n, h, w}, false, "result"});
    descriptor residual = NULL, biased = dst, ops[3] = {NULL};
    int64_t n_ops = 2;
    if (s->residual) {
        residual = make_tensor(dnn, p, &(tensor){UID_RESIDUAL, f32, {b, n, h, w}, false, "residual"});
        biased = make_tensor(dnn, p, &(tensor){UID_BIASED, f32, {b, n, h, w}, true, "biased sums"});
    }
    if (!x || !weight || !sums || !bias || !dst || !biased || (s->residual && !residual)) return NULL;
    ops[0] = make_convolution(dnn, p, (descriptor[]){x, weight, sums});
    if (ops[0]) ops[1] = make_sum(dnn, p, (descriptor[]){sums, bias, biased}, "bias");
    if (ops[1] && s->residual) ops[n_ops++] = make_sum(dnn, p, (descriptor[]){biased, residual, dst}, "residual");
    if (!ops[n_ops - 1]) return NULL;
    maker m = make(dnn, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "graph");
    put(&m, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n_ops, ops);
    return keep(p, finish(&m));
}

/* ---- the plan -------------------------------------------------------------------------------------------------- */

static bool get(dd_dnn *dnn, descriptor d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                int64_t room, int64_t *n, void *values)
{
    return done(dnn, dnn->setup.api->BackendGetAttribute(d, name, type, room, n, values), "BackendGetAttribute", "way");
}

/* What results may not come from. */
static bool note_allowed(cudnnBackendNumericalNote_t note, dd_format src)
{
    switch (note) {
    case CUDNN_NUMERICAL_NOTE_TENSOR_CORE: return src != DD_FMT_F32;
    case CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP: return true;
    default: return false; /* fewer bits, FFT, NONDETERMINISTIC, WINOGRAD, and what comes after these */
    }
}

/* *allowed: may this way be taken? False: a call failed. */
static bool look_at(dd_dnn *dnn, plan *p, descriptor way, bool *allowed)
{
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t n = 0, one;
    maker m = make(dnn, CUDNN_BACKEND_ENGINE_DESCRIPTOR, "engine"); /* to be filled */
    bool good = m.good && get(dnn, way, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &one, &m.d) &&
                get(dnn, m.d, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &one, &p->engine) &&
                get(dnn, m.d, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                    CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n, notes);
    *allowed = good;
    for (int64_t i = 0; good && i < n; i++)
        if (!note_allowed(notes[i], p->of.src)) *allowed = false;
    drop(dnn, m.d);
    return good;
}

/* p->how, if the way comes to a plan that fits. False: a call failed. */
static bool try_way(dd_dnn *dnn, plan *p, descriptor way)
{
    bool allowed;
    int64_t one;
    if (!look_at(dnn, p, way, &allowed)) return false;
    if (!allowed) return true;
    char what[40];
    snprintf(what, sizeof what, "plan of engine %lld", (long long)p->engine);
    maker m = make(dnn, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, what);
    put_descriptor(&m, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, way);
    put_descriptor(&m, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, dnn->properties);
    const cudnnStatus_t st = m.good ? dnn->setup.api->BackendFinalize(m.d) : CUDNN_STATUS_SUCCESS;
    bool good = m.good && (declined(st) || done(dnn, st, "BackendFinalize", m.what));
    if (good && st == CUDNN_STATUS_SUCCESS) {
        good = get(dnn, m.d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &one, &p->workspace);
        if (good && p->workspace >= 0 && (uint64_t)p->workspace <= dnn->setup.workspace_bytes) p->how = m.d;
    }
    if (!p->how) drop(dnn, m.d);
    return good;
}

/* The ways that a heuristic proposes, the best one first; *n of them were filled. */
static bool ask(dd_dnn *dnn, descriptor graph, cudnnBackendHeurMode_t mode, descriptor *ways, int64_t *n)
{
    maker m = make(dnn, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "heuristic");
    put_descriptor(&m, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    put(&m, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    put_descriptor(&m, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, dnn->properties);
    const cudnnStatus_t st = m.good ? dnn->setup.api->BackendFinalize(m.d) : CUDNN_STATUS_SUCCESS;
    bool good = m.good && (declined(st) || done(dnn, st, "BackendFinalize", m.what));
    if (good && st == CUDNN_STATUS_SUCCESS)
        good = get(dnn, m.d, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, WAYS_MAX, n, ways);
    drop(dnn, m.d);
    return good;
}

static bool choose(dd_dnn *dnn, plan *p, descriptor graph, cudnnBackendHeurMode_t mode)
{
    descriptor ways[WAYS_MAX] = {NULL};
    int64_t n = 0;
    bool good = true;
    for (int i = 0; good && i < WAYS_MAX; i++) {
        const maker m = make(dnn, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "way");
        ways[i] = m.d;
        good = m.good;
    }
    good = good && ask(dnn, graph, mode, ways, &n);
    for (int64_t i = 0; good && !p->how && i < n && i < WAYS_MAX; i++) {
        good = try_way(dnn, p, ways[i]);
        if (!p->how) continue;
        (void)keep(p, ways[i]);
        (void)keep(p, p->how);
        ways[i] = NULL;
    }
    for (int i = 0; i < WAYS_MAX; i++) drop(dnn, ways[i]);
    return good;
}

static bool same(const shape *x, const shape *y)
{
    return x->b == y->b && x->h == y->h && x->w == y->w && x->c == y->c && x->n == y->n && x->ksize == y->ksize &&
           x->src == y->src && x->dst == y->dst && x->residual == y->residual;
}

static shape shape_of(const dd_conv2d_args *a)
{
    return (shape){a->b, a->h, a->w_out, a->c, a->n, a->ksize, a->src_format, a->dst_format, a->residual != NULL};
}

static plan *known(const dd_dnn *dnn, const shape *s)
{
    plan *p = dnn->plans;
    while (p && !same(&p->of, s)) p = p->next;
    return p;
}

/* NULL: a call failed. */
static plan *plan_for(dd_dnn *dnn, const shape *s)
{
    plan *p = known(dnn, s);
    if (p) return p;
    p = calloc(1, sizeof *p);
    if (!p) {
        (void)done(dnn, CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED, "BackendCreateDescriptor", "plan");
        return NULL;
    }
    p->of = *s;
    const descriptor graph = make_graph(dnn, p);
    bool good = graph && choose(dnn, p, graph, CUDNN_HEUR_MODE_A);
    if (good && !p->how) good = choose(dnn, p, graph, CUDNN_HEUR_MODE_FALLBACK);
    if (!good) {
        plan_free(dnn, p);
        return NULL;
    }
    p->next = dnn->plans;
    dnn->plans = p;
    return p;
}

/* ---- running --------------------------------------------------------------------------------------------------- */

static bool aligned(const void *p) { return (uintptr_t)p % ALIGNMENT == 0; }

static bool takes(const dd_conv2d_args *a)
{
    if (a->upsample || a->src_format == DD_FMT_TF32 || a->dst_format == DD_FMT_TF32) return false;
    return a->residual != a->dst && aligned(a->src) && aligned(a->bias) && aligned(a->residual) && aligned(a->dst);
}

static bool is_captured(cudaStream_t stream)
{
    enum cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    return cudaStreamIsCapturing(stream, &status) != cudaSuccess || status != cudaStreamCaptureStatusNone;
}

static bool execute(dd_dnn *dnn, const plan *p, const dd_conv2d_args *a, bool *begun)
{
    const int64_t ids[UIDS] = {UID_X, UID_W, UID_BIAS, UID_DST, UID_RESIDUAL};
    const void *const at[UIDS] = {a->src, a->w->data, a->bias, a->dst, a->residual};
    const int64_t n = a->residual ? UIDS : UIDS - 1;
    maker m = make(dnn, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "addresses");
    put(&m, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, ids);
    put(&m, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, at);
    put(&m, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &dnn->setup.workspace);
    const descriptor addresses = finish(&m);
    if (!addresses) return false;
    *begun = true;
    const bool good = done(dnn, dnn->setup.api->BackendExecute(dnn->handle, p->how, addresses), "BackendExecute",
                           "convolution");
    drop(dnn, addresses);
    return good;
}

dd_status dd_cuda_dnn_prepare(dd_dnn *dnn, const dd_conv2d_args *args)
{
    const shape s = shape_of(args);
    return !takes(args) || plan_for(dnn, &s) ? DD_OK : DD_ERR_DEVICE;
}

dd_status dd_cuda_dnn_conv2d(dd_dnn *dnn, const dd_exec *exec, const dd_conv2d_args *args, bool *begun)
{
    const shape s = shape_of(args);
    const cudaStream_t stream = exec->stream;
    *begun = false;
    if (!dnn->handle || !takes(args) || !aligned(args->w->data)) return DD_ERR_UNSUPPORTED;
    const plan *p = is_captured(stream) ? known(dnn, &s) : plan_for(dnn, &s);
    if (!p && !is_captured(stream)) return DD_ERR_DEVICE;
    if (!p || !p->how) return DD_ERR_UNSUPPORTED;
    return done(dnn, dnn->setup.api->SetStream(dnn->handle, stream), "SetStream", "convolution") &&
                   execute(dnn, p, args, begun)
               ? DD_OK
               : DD_ERR_DEVICE;
}

void dd_cuda_dnn_describe(const dd_dnn *dnn, const dd_conv2d_args *args, char *text, size_t size)
{
    const shape s = shape_of(args);
    const plan *p = known(dnn, &s);
    text[0] = 0;
    if (p && p->how)
        snprintf(text, size, "engine %lld, %lld bytes of workspace", (long long)p->engine, (long long)p->workspace);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static descriptor make_properties(dd_dnn *dnn)
{
    const char *json = dnn->setup.properties;
    maker m = make(dnn, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "device");
    if (json) put(&m, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json), json);
    else put(&m, CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, 1, &dnn->handle);
    return finish(&m);
}

dd_status dd_cuda_dnn_open(dd_dnn **out, const dd_dnn_setup *setup)
{
    dd_dnn *dnn = *out = calloc(1, sizeof *dnn);
    if (!dnn) return DD_ERR_NOMEM;
    dnn->setup = *setup;
    if (!setup->properties && !done(dnn, setup->api->Create(&dnn->handle), "Create", "handle")) return DD_ERR_DEVICE;
    dnn->properties = make_properties(dnn);
    return dnn->properties ? DD_OK : DD_ERR_DEVICE;
}

void dd_cuda_dnn_close(dd_dnn *dnn)
{
    if (!dnn) return;
    while (dnn->plans) {
        plan *p = dnn->plans;
        dnn->plans = p->next;
        plan_free(dnn, p);
    }
    drop(dnn, dnn->properties);
    if (dnn->handle) (void)dnn->setup.api->Destroy(dnn->handle);
    free(dnn);
}

const char *dd_cuda_dnn_error(const dd_dnn *dnn) { return dnn->error; }

#else

dd_status dd_cuda_dnn_open(dd_dnn **out, const dd_dnn_setup *setup)
{
    (void)setup;
    *out = NULL;
    return DD_ERR_UNSUPPORTED;
}

void dd_cuda_dnn_close(dd_dnn *dnn) { (void)dnn; }

dd_status dd_cuda_dnn_prepare(dd_dnn *dnn, const dd_conv2d_args *args)
{
    (void)dnn;
    (void)args;
    return DD_ERR_UNSUPPORTED;
}

dd_status dd_cuda_dnn_conv2d(dd_dnn *dnn, const dd_exec *exec, const dd_conv2d_args *args, bool *begun)
{
    (void)exec;
    *begun = false;
    return dd_cuda_dnn_prepare(dnn, args);
}

void dd_cuda_dnn_describe(const dd_dnn *dnn, const dd_conv2d_args *args, char *text, size_t size)
{
    (void)dnn;
    (void)args;
    if (size > 0) text[0] = 0;
}

const char *dd_cuda_dnn_error(const dd_dnn *dnn)
{
    (void)dnn;
    return "";
}

#endif
