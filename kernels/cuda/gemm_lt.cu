// SPDX-License-Identifier: MIT
// Formula: that of gemm.cu, the sums by cuBLASLt.
// Layout: row-major c[m,n] = a[m,k] w[n,k]^T is, in the library's column-major terms, D[n,m] = op(A) B with A = w as [k,n],
// transposed, and B = a as [k,m]. A float32 result with a bias goes straight to c. Bias vectors have the type of D, so that
// bf16 results would get a rounded bias, and nothing bounds the library's GELU (in the tanh form): these, the gated residual
// and slices of N go through float32 staging, some rows at a time, and epilogue_kernel, which rounds as the own kernel does.
// Thread mapping: epilogue_kernel a block per row (x) and COLS columns (y), neighbouring threads have neighbouring columns;
// slice_kernel a block per active row of w (x) and THREADS of its vectors of 16 bytes (y).
// Budget: at most 32 registers, no shared memory, at least 8 blocks (6 on 86, 89 and 120).
// Preconditions: gemm_ok and dd_cuda_lt_takes.
// Precision: see lt.h.
#include "kernels/cuda/lt.h"

#include <stdio.h>
#include <string.h>

#include <new>

#include "kernels/cuda/gemm.cuh"

#define THREADS 256
#define EACH 4
#define COLS (THREADS * EACH)
#define SLAB_ROWS 256 // staging holds a multiple of them where there is room: whole tiles of the library's kernels

#ifdef DD_HAS_CUBLASLT

template <class C>
static __global__ void __launch_bounds__(THREADS)
    epilogue_kernel(dd_gemm_args g, gemm_slice s, const float *sums, int64_t first, const int32_t *step)
{
    const gemm_out<C> out = gemm_out_at<C>(g, first + blockIdx.x, *step);
    const float *row = sums + (int64_t)blockIdx.x * s.n;
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        const int column = (int)blockIdx.y * COLS + i * THREADS + (int)threadIdx.x;
        if (column < s.n) gemm_store(g, out, gemm_column_at(g, s, column), row[column]);
    }
}

// The active rows and columns of w, side by side. live: vectors of a row of `to`, chunk: of a chunk.
static __global__ void __launch_bounds__(THREADS)
    slice_kernel(uint4 *to, const uint4 *w, int64_t row_vectors, const int32_t *n_list, const int32_t *k_list, int live,
                 int chunk)
{
    const int row = (int)blockIdx.x, v = (int)(blockIdx.y * THREADS + threadIdx.x);
    if (v >= live) return;
    const int from = k_list ? k_list[1 + v / chunk] * chunk + v % chunk : v;
    to[(int64_t)row * live + v] = w[list_column(n_list, row) * row_vectors + from];
}

// What the library was asked for. Equal ones share the answer.
struct question {
    int64_t m, n, k, lda, ldd;
    uint32_t bias; // alignment of the vector; 0: no bias
    bool bf16;
};

struct answer {
    question q;
    answer *next;
    cublasLtMatmulDesc_t op;
    cublasLtMatrixLayout_t w, a, d;
    cublasLtMatmulAlgo_t algo;
    bool found; // the library knows a way
};

struct dd_lt {
    const dd_lt_api *api;
    cublasLtHandle_t handle;
    dd_lt_memory memory;
    answer *answers;
    cudaStream_t side;                     // slices are copied there
    cudaEvent_t begun, copied[2], used[2]; // a step; a buffer is full, and free again
    int turn;                              // which buffer is next
    char error[64];
};

static bool same(const question &x, const question &y)
{
    return x.m == y.m && x.n == y.n && x.k == y.k && x.lda == y.lda && x.ldd == y.ldd && x.bias == y.bias &&
           x.bf16 == y.bf16;
}

static bool done(dd_lt *lt, cublasStatus_t st, const char *call)
{
    if (st != CUBLAS_STATUS_SUCCESS) snprintf(lt->error, sizeof lt->error, "cublasLt%s: status %d", call, (int)st);
    return st == CUBLAS_STATUS_SUCCESS;
}
#define LT(lt, name, ...) done((lt), (lt)->api->name(__VA_ARGS__), #name)

static bool set_operation(dd_lt *lt, answer *r)
{
    const int32_t transposed = CUBLAS_OP_T;
    const uint32_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const void *aligned = (const void *)(uintptr_t)r->q.bias; // stands for the vector: its alignment matters
    if (!LT(lt, MatmulDescCreate, &r->op, CUBLAS_COMPUTE_32F, CUDA_R_32F) ||
        !LT(lt, MatmulDescSetAttribute, r->op, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed))
        return false;
    return r->q.bias == 0 ||
           (LT(lt, MatmulDescSetAttribute, r->op, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue) &&
            LT(lt, MatmulDescSetAttribute, r->op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &aligned, sizeof aligned));
}

static bool set_layouts(dd_lt *lt, answer *r)
{
    const question &q = r->q;
    const cudaDataType type = q.bf16 ? CUDA_R_16BF : CUDA_R_32F;
    return LT(lt, MatrixLayoutCreate, &r->w, type, (uint64_t)q.k, (uint64_t)q.n, q.k) &&
           LT(lt, MatrixLayoutCreate, &r->a, type, (uint64_t)q.k, (uint64_t)q.m, q.lda) &&
           LT(lt, MatrixLayoutCreate, &r->d, CUDA_R_32F, (uint64_t)q.n, (uint64_t)q.m, q.ldd);
}

static bool set_preference(dd_lt *lt, cublasLtMatmulPreference_t p)
{
    const uint64_t workspace = lt->memory.workspace_bytes;
    const uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, alignment = DD_VECTOR;
    const cublasLtMatmulPreferenceAttributes_t operands[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    for (const auto &operand : operands)
        if (!LT(lt, MatmulPreferenceSetAttribute, p, operand, &alignment, sizeof alignment)) return false;
    return LT(lt, MatmulPreferenceSetAttribute, p, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
              sizeof workspace) &&
           LT(lt, MatmulPreferenceSetAttribute, p, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction,
              sizeof reduction);
}

// That there is no way is an answer too.
static bool look_up(dd_lt *lt, answer *r)
{
    cublasLtMatmulPreference_t p;
    cublasLtMatmulHeuristicResult_t result;
    int n = 0;
    if (!LT(lt, MatmulPreferenceCreate, &p)) return false;
    bool good = set_preference(lt, p);
    if (good) {
        const cublasStatus_t st = lt->api->MatmulAlgoGetHeuristic(lt->handle, r->op, r->w, r->a, r->d, r->d, p, 1,
                                                                  &result, &n);
        good = st == CUBLAS_STATUS_NOT_SUPPORTED || done(lt, st, "MatmulAlgoGetHeuristic");
        r->found = st == CUBLAS_STATUS_SUCCESS && n > 0 && result.state == CUBLAS_STATUS_SUCCESS &&
                   result.workspaceSize <= lt->memory.workspace_bytes;
        if (r->found) r->algo = result.algo;
    }
    return LT(lt, MatmulPreferenceDestroy, p) && good;
}

static void answer_free(dd_lt *lt, answer *r)
{
    if (r->op) lt->api->MatmulDescDestroy(r->op);
    for (const cublasLtMatrixLayout_t layout : {r->w, r->a, r->d})
        if (layout) lt->api->MatrixLayoutDestroy(layout);
    delete r;
}

// NULL: a call failed.
static answer *answer_to(dd_lt *lt, const question &q)
{
    for (answer *r = lt->answers; r; r = r->next)
        if (same(r->q, q)) return r;
    answer *r = new (std::nothrow) answer();
    if (r == NULL) {
        done(lt, CUBLAS_STATUS_ALLOC_FAILED, "");
        return NULL;
    }
    r->q = q;
    if (!set_operation(lt, r) || !set_layouts(lt, r) || !look_up(lt, r)) {
        answer_free(lt, r);
        return NULL;
    }
    r->next = lt->answers;
    lt->answers = r;
    return r;
}

static bool multiply(dd_lt *lt, const answer *r, const void *w, const void *a, const void *bias, float *d,
                     cudaStream_t stream)
{
    const float one = 1.0f, zero = 0.0f;
    if (r->q.bias != 0 && !LT(lt, MatmulDescSetAttribute, r->op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias))
        return false;
    return LT(lt, Matmul, lt->handle, r->op, &one, w, r->w, a, r->a, &zero, d, r->d, d, r->d, &r->algo,
              lt->memory.workspace, lt->memory.workspace_bytes, stream);
}

static uint32_t alignment_of(const void *p)
{
    const uint32_t at = (uint32_t)((uintptr_t)p % DD_VECTOR);
    return at ? at & (0u - at) : DD_VECTOR;
}

// Straight to c, or through staging.
static bool is_direct(const dd_gemm_args *g)
{
    return g->c_format == DD_FMT_F32 && g->epilogue == DD_EPI_BIAS && g->n.pool == NULL &&
           (g->c_unit == 0 || g->c_unit == g->w->unit) && vector_ok<float>(g->c, g->ldc);
}

static const int32_t *list_of(dd_slices device, dd_slices host, int32_t step)
{
    return device.pool ? device.pool + host.offset[step] : NULL;
}

// One GEMM on its way.
struct job {
    dd_lt *lt;
    const dd_exec *exec;
    const dd_gemm_args *g;
    dd_lt_size size;
    int64_t slab;          // rows at a time through staging; 0: all of them, straight to c
    const int32_t *n_list; // in force, on the device
    const void *w;         // [n,k], what is active
};

static dd_status epilogue(const job &j, int64_t first, int64_t rows)
{
    const dd_gemm_args *g = j.g;
    gemm_slice s = {};
    s.n_list = j.n_list;
    s.n = (int)j.size.n, s.k = (int)j.size.k, s.unit = (int)g->w->unit;
    s.c_unit = g->c_unit ? g->c_unit : g->w->unit;
    const dim3 grid((unsigned)rows, (unsigned)ceil_div(j.size.n, COLS));
    const cudaStream_t stream = stream_of(j.exec);
    const float *sums = (const float *)j.lt->memory.staging;
    if (g->c_format == DD_FMT_F32)
        epilogue_kernel<float><<<grid, THREADS, 0, stream>>>(*g, s, sums, first, j.exec->step);
    else epilogue_kernel<bf16><<<grid, THREADS, 0, stream>>>(*g, s, sums, first, j.exec->step);
    return launched();
}

// whole, rest: how a slab is multiplied, and the rows that are left.
static dd_status multiply_all(const job &j, const answer *whole, const answer *rest)
{
    const dd_gemm_args *g = j.g;
    const int64_t bytes = g->a_format == DD_FMT_BF16 ? 2 : 4;
    const cudaStream_t stream = stream_of(j.exec);
    if (j.slab == 0) return multiply(j.lt, whole, j.w, g->a, g->bias, (float *)g->c, stream) ? DD_OK : DD_ERR_DEVICE;
    for (int64_t first = 0; first < g->m; first += j.slab) {
        const int64_t rows = g->m - first < j.slab ? g->m - first : j.slab;
        const char *a = (const char *)g->a + first * g->lda * bytes;
        const answer *how = rows == j.slab ? whole : rest;
        if (!multiply(j.lt, how, j.w, a, NULL, (float *)j.lt->memory.staging, stream)) return DD_ERR_DEVICE;
        const dd_status st = epilogue(j, first, rows);
        if (st != DD_OK) return st;
    }
    return DD_OK;
}

// Into buffer b, as soon as that is free.
static dd_status copy_slices(job *j, int b)
{
    dd_lt *lt = j->lt;
    const dd_packed *w = j->g->w;
    const int bytes = w->as == DD_F32 ? 4 : 2, live = (int)(j->size.k * bytes / DD_VECTOR);
    const int32_t *k_list = list_of(j->g->k, j->g->host_k, j->exec->host_step);
    uint4 *to = (uint4 *)lt->memory.packed[b];
    j->w = to;
    if (cudaStreamWaitEvent(lt->side, lt->used[b], 0) != cudaSuccess) return DD_ERR_DEVICE;
    const dim3 grid((unsigned)j->size.n, (unsigned)ceil_div(live, THREADS));
    slice_kernel<<<grid, THREADS, 0, lt->side>>>(to, (const uint4 *)w->data, w->k * bytes / DD_VECTOR, j->n_list,
                                                 k_list, live, DD_CHUNK * bytes / DD_VECTOR);
    const dd_status st = launched();
    if (st != DD_OK) return st;
    const bool joined = cudaEventRecord(lt->copied[b], lt->side) == cudaSuccess &&
                        cudaStreamWaitEvent(stream_of(j->exec), lt->copied[b], 0) == cudaSuccess;
    return joined ? DD_OK : DD_ERR_DEVICE;
}

static dd_status run(job *j, const answer *whole, const answer *rest)
{
    const int b = j->lt->turn;
    if (!j->size.sliced) return multiply_all(*j, whole, rest);
    j->lt->turn = 1 - b;
    dd_status st = copy_slices(j, b);
    if (st == DD_OK) st = multiply_all(*j, whole, rest);
    if (st == DD_OK && cudaEventRecord(j->lt->used[b], stream_of(j->exec)) != cudaSuccess) st = DD_ERR_DEVICE;
    return st;
}

static bool is_captured(cudaStream_t stream)
{
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    return cudaStreamIsCapturing(stream, &status) != cudaSuccess || status != cudaStreamCaptureStatusNone;
}

dd_status dd_cuda_lt_begin(dd_lt *lt, void *stream)
{
    const cudaStream_t s = (cudaStream_t)stream;
    if (is_captured(s)) return DD_OK;
    const bool begun = cudaEventRecord(lt->begun, s) == cudaSuccess &&
                       cudaStreamWaitEvent(lt->side, lt->begun, 0) == cudaSuccess;
    return begun ? DD_OK : DD_ERR_DEVICE;
}

// Is there room for it, in the buffers and in time?
static bool fits(job *j)
{
    const int64_t bytes = j->g->w->as == DD_F32 ? 4 : 2;
    const dd_lt_memory *memory = &j->lt->memory;
    if (j->size.sliced && (uint64_t)(j->size.n * j->size.k * bytes) > memory->packed_bytes) return false;
    if (j->size.sliced && is_captured(stream_of(j->exec))) return false;
    if (is_direct(j->g)) return true;
    j->slab = (int64_t)(memory->staging_bytes / sizeof(float)) / j->size.n;
    if (j->slab > SLAB_ROWS) j->slab -= j->slab % SLAB_ROWS;
    return j->slab > 0;
}

dd_status dd_cuda_lt_gemm(dd_lt *lt, const dd_exec *exec, const dd_gemm_args *g)
{
    const dd_status st = gemm_ok(exec, g);
    job j = {lt, exec, g, {}, 0, NULL, NULL};
    if (st != DD_OK) return st;
    if (!dd_cuda_lt_takes(g, exec->host_step, &j.size) || !fits(&j)) return DD_ERR_UNSUPPORTED;
    if (j.size.m == 0) return DD_OK;
    j.n_list = list_of(g->n, g->host_n, exec->host_step);
    j.w = g->w->data;
    question q = {j.size.m, j.size.n, j.size.k, g->lda, g->ldc, 0, g->a_format == DD_FMT_BF16};
    if (j.slab) q.ldd = j.size.n;
    else if (g->bias) q.bias = alignment_of(g->bias);
    // Both numbers of rows before anything is enqueued: what the library declines, the own kernel does from the start.
    const int64_t rows[2] = {j.slab ? j.slab : j.size.m, j.slab ? j.size.m % j.slab : 0};
    const answer *parts[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        if (rows[i] == 0 || rows[i] > j.size.m) continue;
        q.m = rows[i];
        parts[i] = answer_to(lt, q);
        if (parts[i] == NULL) return DD_ERR_DEVICE;
        if (!parts[i]->found) return DD_ERR_UNSUPPORTED;
    }
    return run(&j, parts[0], parts[1]);
}

static bool open_stream(dd_lt *lt)
{
    cudaEvent_t *const events[] = {&lt->begun, &lt->copied[0], &lt->copied[1], &lt->used[0], &lt->used[1]};
    if (cudaStreamCreateWithFlags(&lt->side, cudaStreamNonBlocking) != cudaSuccess) return false;
    for (cudaEvent_t *e : events)
        if (cudaEventCreateWithFlags(e, cudaEventDisableTiming) != cudaSuccess) return false;
    return true;
}

dd_status dd_cuda_lt_open(dd_lt **out, const dd_lt_api *api, const dd_lt_memory *memory)
{
    dd_lt *lt = *out = new (std::nothrow) dd_lt();
    if (lt == NULL) return DD_ERR_NOMEM;
    lt->api = api;
    lt->memory = *memory;
    return open_stream(lt) && LT(lt, Create, &lt->handle) ? DD_OK : DD_ERR_DEVICE;
}

void dd_cuda_lt_close(dd_lt *lt)
{
    if (lt == NULL) return;
    while (lt->answers) {
        answer *r = lt->answers;
        lt->answers = r->next;
        answer_free(lt, r);
    }
    if (lt->handle) lt->api->Destroy(lt->handle);
    for (const cudaEvent_t e : {lt->begun, lt->copied[0], lt->copied[1], lt->used[0], lt->used[1]})
        if (e) cudaEventDestroy(e);
    if (lt->side) cudaStreamDestroy(lt->side);
    delete lt;
}

const char *dd_cuda_lt_error(const dd_lt *lt) { return lt->error; }

#else

dd_status dd_cuda_lt_open(dd_lt **out, const dd_lt_api *, const dd_lt_memory *)
{
    *out = NULL;
    return DD_ERR_UNSUPPORTED;
}

void dd_cuda_lt_close(dd_lt *) {}
dd_status dd_cuda_lt_begin(dd_lt *, void *) { return DD_ERR_UNSUPPORTED; }
dd_status dd_cuda_lt_gemm(dd_lt *, const dd_exec *, const dd_gemm_args *) { return DD_ERR_UNSUPPORTED; }
const char *dd_cuda_lt_error(const dd_lt *) { return ""; }

#endif

// Active elements of an axis; negative: the host does not know.
static int64_t active(dd_slices device, dd_slices host, int32_t step, int64_t width)
{
    if (device.pool == NULL) return width;
    return host.pool ? (int64_t)host.pool[host.offset[step]] * DD_CHUNK : -1;
}

bool dd_cuda_lt_size(const dd_gemm_args *g, int32_t step, dd_lt_size *size)
{
    const dd_packed *w = g->w;
    if (g->rows.idx || g->rows.count) return false;
    *size = dd_lt_size{g->m, active(g->n, g->host_n, step, w->n), active(g->k, g->host_k, step, w->k),
                       g->n.pool != NULL || g->k.pool != NULL};
    return size->n > 0 && size->k > 0;
}

bool dd_cuda_lt_takes(const dd_gemm_args *g, int32_t step, dd_lt_size *size)
{
    const dd_packed *w = g->w;
    if (!dd_cuda_lt_size(g, step, size) || !grid_ok(g->m, ceil_div(size->n, COLS))) return false;
    if (w->as == DD_F32) return vector_ok<float>(g->a, g->lda) && vector_ok<float>(w->data, w->k);
    return g->a_format == DD_FMT_BF16 && vector_ok<bf16>(g->a, g->lda) && vector_ok<bf16>(w->data, w->k);
}
