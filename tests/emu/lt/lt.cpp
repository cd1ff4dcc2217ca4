// SPDX-License-Identifier: MIT
// The calls of cuBLASLt that dydit makes, for the emulator. A product runs when its stream gets there, from device memory, with
// float32 sums. As the real one the stand-in orders a sum by the shape: K is cut into parts whose number depends on the
// columns of D, so that nobody may rely on equal bits for another number of rows. It knows no way for a single column of
// D: what is declined has to be done otherwise. What is not in use (other types, orders, beta) is refused.
#include <cublasLt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <set>
#include <vector>

#include "tests/emu/rt/config.h"
#include "tests/emu/rt/device.h"
#include "tests/emu/rt/runtime.h"

struct cublasLtContext {
    int unused;
};

namespace
{

struct Layout {
    cudaDataType type;
    uint64_t rows, cols;
    int64_t ld;
};

struct Operation {
    int32_t transa;
    uint32_t epilogue;
    const void *bias;
};

struct Preference {
    uint64_t workspace;
    uint32_t reduction, alignment[4];
};

// What an algorithm is for; it fits into cublasLtMatmulAlgo_t.
struct Algo {
    uint64_t rows, cols, depth;
    int64_t a_ld, b_ld, d_ld;
    uint16_t type, parts;
    uint8_t has_bias, bias_alignment, alignment, zero;
    uint64_t workspace;
};
static_assert(sizeof(Algo) <= sizeof(cublasLtMatmulAlgo_t), "an algorithm is opaque");

std::set<void *> live; // handles, descriptors, layouts, preferences

void at_end()
{
    if (!emu::config().leaks || emu::sticky() || live.empty()) return;
    fprintf(stderr, "emu: leak: %zu objects of cuBLASLt\n", live.size());
    fflush(stdout);
    fflush(stderr);
    _exit(emu::EXIT_STATUS);
}

#define LT_API(name)          \
    emu::Entry entry_(#name); \
    if (entry_.refused) return CUBLAS_STATUS_EXECUTION_FAILED

template <class Opaque, class T> cublasStatus_t make(Opaque **out, const T &value)
{
    static const bool once = atexit(at_end) == 0;
    (void)once;
    static_assert(sizeof(T) <= sizeof(Opaque), "opaque");
    if (!out) return CUBLAS_STATUS_INVALID_VALUE;
    *out = new Opaque();
    memcpy(static_cast<void *>(*out), &value, sizeof value);
    live.insert(*out);
    return CUBLAS_STATUS_SUCCESS;
}

template <class Opaque> cublasStatus_t destroy(Opaque *p)
{
    if (live.erase(p) == 0) return CUBLAS_STATUS_INVALID_VALUE;
    delete p;
    return CUBLAS_STATUS_SUCCESS;
}

// What lies behind a handle; *good becomes false where it is none.
template <class T, class Opaque> T opened(const Opaque *p, bool *good)
{
    T value = {};
    if (!live.count(const_cast<Opaque *>(p))) *good = false;
    else memcpy(&value, p, sizeof value);
    return value;
}

bool put(void *field, size_t field_bytes, const void *value, size_t bytes)
{
    if (!value || bytes != field_bytes) return false;
    memcpy(field, value, bytes);
    return true;
}

uint64_t size_of(cudaDataType t) { return t == CUDA_R_16BF ? 2 : 4; }

uint32_t alignment_of(const void *p)
{
    uint32_t a = 1;
    while (a < 16 && reinterpret_cast<uint64_t>(p) % (2 * a) == 0) a *= 2;
    return a;
}

struct Problem {
    Operation op;
    Layout a, b, c, d;
};

// Malformed: INVALID_VALUE; well formed, but not in use here: NOT_SUPPORTED.
cublasStatus_t check(const Problem &p)
{
    for (const Layout *l : {&p.a, &p.b, &p.c, &p.d})
        if (l->rows == 0 || l->cols == 0 || l->ld < 0 || static_cast<uint64_t>(l->ld) < l->rows)
            return CUBLAS_STATUS_INVALID_VALUE;
    if (p.op.transa != CUBLAS_OP_T || p.a.type != p.b.type || p.d.type != CUDA_R_32F || p.c.type != p.d.type)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (p.a.rows != p.b.rows || p.a.cols != p.d.rows || p.b.cols != p.d.cols || p.c.rows != p.d.rows ||
        p.c.cols != p.d.cols || p.c.ld != p.d.ld)
        return CUBLAS_STATUS_INVALID_VALUE;
    return p.d.cols == 1 ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
}

Algo algo_for(const Problem &p, uint64_t workspace, uint32_t alignment)
{
    Algo a = {};
    a.rows = p.d.rows, a.cols = p.d.cols, a.depth = p.a.rows;
    a.a_ld = p.a.ld, a.b_ld = p.b.ld, a.d_ld = p.d.ld;
    a.type = static_cast<uint16_t>(p.a.type);
    a.has_bias = p.op.epilogue == CUBLASLT_EPILOGUE_BIAS;
    a.bias_alignment = a.has_bias ? static_cast<uint8_t>(alignment_of(p.op.bias)) : 0;
    a.alignment = static_cast<uint8_t>(alignment);
    a.parts = static_cast<uint16_t>(1 + p.d.cols % 3);
    a.workspace = a.parts > 1 ? a.parts * a.rows * a.cols * sizeof(float) : 0;
    if (a.workspace > workspace) a.parts = 1, a.workspace = 0;
    return a;
}

float value_at(const uint8_t *p, uint16_t type, uint64_t i)
{
    uint32_t bits = 0;
    float v;
    if (type == CUDA_R_16BF) {
        uint16_t half;
        memcpy(&half, p + 2 * i, sizeof half);
        bits = static_cast<uint32_t>(half) << 16;
    } else {
        memcpy(&bits, p + 4 * i, sizeof bits);
    }
    memcpy(&v, &bits, sizeof v);
    return v;
}

struct Pointers {
    const void *a, *b, *bias;
    void *d, *workspace;
};

float part_of(const Algo &g, const uint8_t *a, const uint8_t *b, uint64_t row, uint64_t col, uint64_t part)
{
    const uint64_t from = g.depth * part / g.parts, to = g.depth * (part + 1) / g.parts;
    const uint64_t a0 = row * static_cast<uint64_t>(g.a_ld), b0 = col * static_cast<uint64_t>(g.b_ld);
    float sum = 0;
    for (uint64_t k = from; k < to; k++) sum += value_at(a, g.type, a0 + k) * value_at(b, g.type, b0 + k);
    return sum;
}

// Columns of a matrix, the last one to its last row.
uint64_t extent(uint64_t rows, uint64_t cols, int64_t ld, uint64_t size)
{
    return ((cols - 1) * static_cast<uint64_t>(ld) + rows) * size;
}

void run(const Algo &g, const Pointers &at)
{
    using emu::reach;
    const uint64_t size = size_of(static_cast<cudaDataType>(g.type));
    const uint8_t *a = reach(at.a, extent(g.depth, g.rows, g.a_ld, size), "cublasLtMatmul, A");
    const uint8_t *b = reach(at.b, extent(g.depth, g.cols, g.b_ld, size), "cublasLtMatmul, B");
    const uint8_t *bias = g.has_bias ? reach(at.bias, g.rows * sizeof(float), "cublasLtMatmul, bias") : nullptr;
    uint8_t *d = reach(at.d, extent(g.rows, g.cols, g.d_ld, sizeof(float)), "cublasLtMatmul, D");
    if (g.workspace) memset(reach(at.workspace, g.workspace, "cublasLtMatmul, workspace"), 0xff, g.workspace);
    for (uint64_t col = 0; col < g.cols; col++)
        for (uint64_t row = 0; row < g.rows; row++) {
            float sum = 0;
            for (uint64_t part = 0; part < g.parts; part++) sum += part_of(g, a, b, row, col, part);
            if (bias) sum += value_at(bias, CUDA_R_32F, row);
            memcpy(d + (col * static_cast<uint64_t>(g.d_ld) + row) * sizeof sum, &sum, sizeof sum);
        }
}

bool aligned(const void *p, uint32_t to) { return reinterpret_cast<uint64_t>(p) % to == 0; }

} // namespace

extern "C" {

size_t cublasLtGetVersion(void) { return 130100; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    LT_API(cublasLtCreate);
    return make(handle, 0);
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    LT_API(cublasLtDestroy);
    return destroy(handle);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *op, cublasComputeType_t compute, cudaDataType_t scale)
{
    LT_API(cublasLtMatmulDescCreate);
    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    return make(op, Operation{CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr});
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t op)
{
    LT_API(cublasLtMatmulDescDestroy);
    return destroy(op);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t op, cublasLtMatmulDescAttributes_t name,
                                              const void *value, size_t bytes)
{
    LT_API(cublasLtMatmulDescSetAttribute);
    bool good = true;
    Operation o = opened<Operation>(op, &good);
    if (!good) return CUBLAS_STATUS_INVALID_VALUE;
    switch (name) {
    case CUBLASLT_MATMUL_DESC_TRANSA: good = put(&o.transa, sizeof o.transa, value, bytes); break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE: good = put(&o.epilogue, sizeof o.epilogue, value, bytes); break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: good = put(&o.bias, sizeof o.bias, value, bytes); break;
    default: good = false;
    }
    if (!good) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(op, &o, sizeof o);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows,
                                          uint64_t cols, int64_t ld)
{
    LT_API(cublasLtMatrixLayoutCreate);
    if (type != CUDA_R_16BF && type != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    return make(layout, Layout{type, rows, cols, ld});
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    LT_API(cublasLtMatrixLayoutDestroy);
    return destroy(layout);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    LT_API(cublasLtMatmulPreferenceCreate);
    return make(preference, Preference{0, 7, {256, 256, 256, 256}}); // the defaults of the real one
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    LT_API(cublasLtMatmulPreferenceDestroy);
    return destroy(preference);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t name, const void *value,
                                                    size_t bytes)
{
    LT_API(cublasLtMatmulPreferenceSetAttribute);
    bool good = true;
    Preference p = opened<Preference>(preference, &good);
    if (!good) return CUBLAS_STATUS_INVALID_VALUE;
    const int which = name - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
    if (name == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) good = put(&p.workspace, sizeof p.workspace, value, bytes);
    else if (name == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK) good = put(&p.reduction, sizeof p.reduction, value, bytes);
    else if (which >= 0 && which < 4) good = put(&p.alignment[which], sizeof p.alignment[0], value, bytes);
    else good = false;
    if (!good) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(preference, &p, sizeof p);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t op,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *found)
{
    LT_API(cublasLtMatmulAlgoGetHeuristic);
    bool good = live.count(handle) != 0 && wanted > 0 && results && found;
    const Problem p = {opened<Operation>(op, &good), opened<Layout>(a, &good), opened<Layout>(b, &good),
                       opened<Layout>(c, &good), opened<Layout>(d, &good)};
    const Preference q = opened<Preference>(preference, &good);
    if (!good) return CUBLAS_STATUS_INVALID_VALUE;
    *found = 0;
    const cublasStatus_t st = check(p);
    if (st != CUBLAS_STATUS_SUCCESS) return st;
    // Rows are as aligned as was promised: kernels that need 16 bytes are all there are here.
    const Layout *const layouts[] = {&p.a, &p.b, &p.c, &p.d};
    for (int i = 0; i < 4; i++)
        if (q.alignment[i] > 16 || q.alignment[i] < 16 ||
            static_cast<uint64_t>(layouts[i]->ld) * size_of(layouts[i]->type) % 16 != 0)
            return CUBLAS_STATUS_NOT_SUPPORTED;
    const Algo algo = algo_for(p, q.reduction & CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE ? q.workspace : 0, 16);
    results[0] = {};
    memcpy(&results[0].algo, &algo, sizeof algo);
    results[0].workspaceSize = algo.workspace;
    results[0].state = CUBLAS_STATUS_SUCCESS;
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t op, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,
                              const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    LT_API(cublasLtMatmul);
    bool good = live.count(handle) != 0 && alpha && beta && algo && c == d;
    const Problem p = {opened<Operation>(op, &good), opened<Layout>(a_layout, &good), opened<Layout>(b_layout, &good),
                       opened<Layout>(c_layout, &good), opened<Layout>(d_layout, &good)};
    emu::Stream *s = emu::find_stream(stream);
    if (!good || !s) return CUBLAS_STATUS_INVALID_VALUE;
    float factors[2];
    memcpy(&factors[0], alpha, sizeof factors[0]);
    memcpy(&factors[1], beta, sizeof factors[1]);
    if (factors[0] != 1 || factors[1] != 0) return CUBLAS_STATUS_NOT_SUPPORTED;
    Algo g;
    memcpy(&g, algo, sizeof g);
    // An algorithm is for one problem; memory is as aligned as was promised when it was chosen.
    Algo same = algo_for(p, g.workspace, g.alignment);
    same.bias_alignment = g.bias_alignment;
    if (check(p) != CUBLAS_STATUS_SUCCESS || memcmp(&same, &g, sizeof g) != 0) return CUBLAS_STATUS_INVALID_VALUE;
    if (g.workspace > workspace_bytes || (g.workspace && !aligned(workspace, 16))) return CUBLAS_STATUS_INVALID_VALUE;
    for (const void *q : {a, b, static_cast<const void *>(d)})
        if (!emu::is_device_address(q) || !aligned(q, g.alignment)) return CUBLAS_STATUS_INVALID_VALUE;
    if (g.has_bias && (!emu::is_device_address(p.op.bias) || !aligned(p.op.bias, g.bias_alignment)))
        return CUBLAS_STATUS_INVALID_VALUE;
    const Pointers at = {a, b, p.op.bias, d, workspace};
    const cudaError_t e = emu::submit(s, emu::Work{cudaGraphNodeTypeKernel, [g, at] { run(g, at); }, {}});
    return e ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}
}
