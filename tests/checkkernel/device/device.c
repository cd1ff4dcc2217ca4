/* SPDX-License-Identifier: MIT
 * The CUDA kernels as an implementation of checkkernel: CK_DEVICE is "emu" where the emulator is linked, "cuda" where CUDA's
 * runtime is and a GPU runs them. Every run gets copies of the
 * case's tensors in device memory, each an allocation of its own that ends with the data, so that the emulator stops an
 * access outside of one; pointers in the arguments are replaced by those of the copies; everything is copied back, the guard
 * in front included, and checked on the host as usual. The op is launched on a stream of its own. */
#include "tests/checkkernel/device/device.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/exec/plugin_cuda.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/gemm_wgmma.h"
#include "kernels/cuda/lt.h"

#define FRONT 256 /* bytes in front of the data that travel too: tensor.c's guard; a multiple of any alignment */

typedef struct region {
    unsigned char *host, *device; /* FRONT bytes before the data, and where these lie */
    void *base;
    size_t bytes; /* with FRONT */
} region;

static region regions[CK_MAX_TENSORS + 1];
static int n_regions;
static void *weight; /* of the case */
static dd_lt *lt;    /* of the case, with its memory */
static void *lt_memory;
static dd_dnn *dnn; /* the same */
static void *dnn_memory;
static int turn; /* runs of a case: the first is launched, the second replayed from a graph, and so on */

static void must(cudaError_t e)
{
    if (e == cudaSuccess) return;
    fprintf(stderr, "checkkernel: %s\n", cudaGetErrorString(e));
    exit(2);
}

/* The copy is misaligned as the original is, within 16 bytes. */
static void region_open(void *data, size_t bytes, size_t front)
{
    region *r = &regions[n_regions++];
    const size_t at = (size_t)((uintptr_t)data % 16);
    *r = (region){.host = (unsigned char *)data - front, .bytes = bytes + front};
    must(cudaMalloc(&r->base, r->bytes + at));
    r->device = (unsigned char *)r->base + at;
    must(cudaMemcpy(r->device, r->host, r->bytes, cudaMemcpyHostToDevice));
}

/* By the op's stream: what the op has left on another one is not waited for, and is missing. */
static void regions_close(cudaStream_t stream)
{
    for (const region *r = regions; r < regions + n_regions; r++)
        must(cudaMemcpyAsync(r->host, r->device, r->bytes, cudaMemcpyDeviceToHost, stream));
    must(cudaStreamSynchronize(stream));
    while (n_regions > 0) must(cudaFree(regions[--n_regions].base));
}

/* NULL stays NULL; a pointer into no region is a bug of this file. */
static void *moved(const void *p)
{
    const unsigned char *q = p;
    if (p == NULL) return NULL;
    for (int i = 0; i < n_regions; i++)
        if (q >= regions[i].host && q <= regions[i].host + regions[i].bytes)
            return regions[i].device + (q - regions[i].host);
    fprintf(stderr, "checkkernel: %s: an argument points into no tensor\n", ck_now_case);
    exit(2);
}

#define MOVE(p) ((p) = moved(p))

static void move_slices(dd_slices *s)
{
    MOVE(s->pool);
    MOVE(s->offset);
}

static void move_rows(dd_row_list *r)
{
    MOVE(r->idx);
    MOVE(r->count);
}

static void move_table(dd_cond_table *t)
{
    MOVE(t->table);
    MOVE(t->slot);
    MOVE(t->row_cond);
}

static void move_gemm(dd_gemm_args *g)
{
    MOVE(g->a);
    MOVE(g->bias);
    MOVE(g->c);
    move_rows(&g->rows);
    move_slices(&g->n);
    move_slices(&g->k);
    move_table(&g->gate);
}

static void move_gated_add(dd_gated_add_args *g)
{
    MOVE(g->x);
    move_table(&g->cond);
    for (int i = 0; i < g->n; i++) {
        MOVE(g->branch[i].f);
        MOVE(g->branch[i].keep);
        MOVE(g->branch[i].change);
        MOVE(g->branch[i].mask);
        move_rows(&g->branch[i].rows);
    }
}

static void move_adaln(dd_adaln_args *g)
{
    MOVE(g->x);
    MOVE(g->y);
    move_rows(&g->rows);
    move_table(&g->cond);
}

static void move_depth_average(dd_depth_average_args *g)
{
    for (int i = 0; i < g->n; i++) MOVE(g->x[i]);
    MOVE(g->y);
    move_adaln(&g->norm);
}

static void move_route(dd_route_args *g)
{
    MOVE(g->x);
    MOVE(g->b1);
    MOVE(g->w2);
    MOVE(g->b2);
    MOVE(g->forced);
    MOVE(g->idx);
    MOVE(g->count);
    MOVE(g->mask);
    MOVE(g->kept);
    MOVE(g->hits);
}

static void move_small(dd_op_id op, dd_op_args *a)
{
    switch (op) {
    case DD_OP_cond: MOVE(a->cond.temb), MOVE(a->cond.emb), MOVE(a->cond.labels), MOVE(a->cond.c); break;
    case DD_OP_unpatchify: MOVE(a->unpatchify.tokens), MOVE(a->unpatchify.out); break;
    case DD_OP_guide: MOVE(a->guide.out); break;
    case DD_OP_copy: MOVE(a->copy.dst), MOVE(a->copy.src); break;
    case DD_OP_noise: MOVE(a->noise.dst), MOVE(a->noise.stream); break;
    case DD_OP_solve:
        MOVE(a->solve.coef), MOVE(a->solve.x), MOVE(a->solve.out), MOVE(a->solve.noise), MOVE(a->solve.x0);
        MOVE(a->solve.x0_1), MOVE(a->solve.x0_2), MOVE(a->solve.y_1);
        break;
    default: exit(2);
    }
}

static void move_picture(dd_op_id op, dd_op_args *a)
{
    switch (op) {
    case DD_OP_to_pixels: MOVE(a->to_pixels.src), MOVE(a->to_pixels.dst); break;
    case DD_OP_conv2d: MOVE(a->conv2d.src), MOVE(a->conv2d.bias), MOVE(a->conv2d.residual), MOVE(a->conv2d.dst); break;
    case DD_OP_group_norm:
        MOVE(a->group_norm.x), MOVE(a->group_norm.y), MOVE(a->group_norm.gamma), MOVE(a->group_norm.beta);
        MOVE(a->group_norm.work);
        break;
    case DD_OP_pixel_attention: MOVE(a->pixel_attention.qkv), MOVE(a->pixel_attention.out); break;
    case DD_OP_to_planes: MOVE(a->to_planes.src), MOVE(a->to_planes.dst); break;
    default: exit(2);
    }
}

static void move_args(dd_op_id op, dd_op_args *a)
{
    switch (op) {
    case DD_OP_gemm: move_gemm(&a->gemm); break;
    case DD_OP_route: move_route(&a->route); break;
    case DD_OP_gated_add: move_gated_add(&a->gated_add); break;
    case DD_OP_depth_average: move_depth_average(&a->depth_average); break;
    case DD_OP_adaln: move_adaln(&a->adaln); break;
    case DD_OP_attention:
        MOVE(a->attention.qkv), MOVE(a->attention.out);
        move_slices(&a->attention.heads);
        break;
    case DD_OP_patch_embed:
        MOVE(a->patch_embed.latents), MOVE(a->patch_embed.bias), MOVE(a->patch_embed.pos), MOVE(a->patch_embed.x);
        break;
    case DD_OP_to_pixels:
    case DD_OP_conv2d:
    case DD_OP_group_norm:
    case DD_OP_pixel_attention:
    case DD_OP_to_planes: move_picture(op, a); break;
    default: move_small(op, a);
    }
}

typedef dd_status launcher(dd_op_id op, const dd_exec *e, const dd_op_args *a);
static launcher launch_lt;

static dd_status launch_own(dd_op_id op, const dd_exec *e, const dd_op_args *a)
{
    return ck_call(&dd_cuda_ops, op, e, a);
}

/* Slices of the library have their sizes from the host: they cannot be replayed at another step. */
static bool sized_by_host(launcher *launch, dd_op_id op, const dd_op_args *a)
{
    return launch == launch_lt && op == DD_OP_gemm && (a->gemm.n.pool || a->gemm.k.pool);
}

/* Such an op must be refused while it is recorded. */
static dd_status refused_if_recorded(launcher *launch, dd_op_id op, const dd_exec *e, const dd_op_args *a)
{
    cudaGraph_t graph;
    must(cudaStreamBeginCapture(e->stream, cudaStreamCaptureModeThreadLocal));
    const dd_status st = launch(op, e, a);
    must(cudaStreamEndCapture(e->stream, &graph));
    must(cudaGraphDestroy(graph));
    return st == DD_ERR_UNSUPPORTED ? launch(op, e, a) : DD_ERR_INTERNAL;
}

/* Records the op while the step is another one, then sets the step and replays what was recorded. */
static dd_status replay(launcher *launch, dd_op_id op, const dd_exec *e, const dd_op_args *a, int32_t *step,
                        const int32_t *want)
{
    cudaStream_t stream = e->stream;
    cudaGraph_t graph;
    cudaGraphExec_t made;
    const int32_t other = 0;
    must(cudaMemcpy(step, &other, sizeof other, cudaMemcpyHostToDevice));
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    const dd_status st = launch(op, e, a);
    must(cudaStreamEndCapture(stream, &graph));
    must(cudaGraphInstantiate(&made, graph, 0));
    must(cudaMemcpy(step, want, sizeof *want, cudaMemcpyHostToDevice));
    must(cudaGraphLaunch(made, stream));
    must(cudaStreamSynchronize(stream));
    must(cudaGraphExecDestroy(made));
    must(cudaGraphDestroy(graph));
    return st;
}

static dd_status run(launcher *launch, ck_case *c, const dd_exec *exec, const dd_op_args *args)
{
    cudaStream_t stream;
    dd_op_args a = *args;
    dd_exec e = {0};
    int32_t *step;
    for (int i = 0; i < c->n_tensors; i++) region_open(c->tensors[i].p, c->tensors[i].bytes, FRONT);
    region_open(c->variant_lists, sizeof c->variant_lists, 0);
    must(cudaMalloc((void **)&step, sizeof *step));
    must(cudaMemcpy(step, exec->step, sizeof *step, cudaMemcpyHostToDevice));
    must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    e.step = step;
    e.stream = stream;
    e.host_step = *exec->step;
    if (c->op->id == DD_OP_gemm) {
        a.gemm.host_n = a.gemm.n;
        a.gemm.host_k = a.gemm.k;
    }
    move_args(c->op->id, &a);
    dd_status st;
    if (turn++ % 2 == 0) st = launch(c->op->id, &e, &a);
    else if (sized_by_host(launch, c->op->id, &a)) st = refused_if_recorded(launch, c->op->id, &e, &a);
    else st = replay(launch, c->op->id, &e, &a, step, exec->step);
    regions_close(stream);
    must(cudaStreamDestroy(stream));
    must(cudaFree(step));
    return st;
}

static dd_status call(ck_case *c, const dd_exec *exec, const dd_op_args *args)
{
    return run(launch_own, c, exec, args);
}

/* What is launched and what is replayed have different tiles, and must have the same bits. */
static dd_status launch_wgmma(dd_op_id op, const dd_exec *e, const dd_op_args *a)
{
    return op == DD_OP_gemm ? dd_cuda_gemm_wgmma(e, &a->gemm, turn % DD_CUDA_WGMMA_TILES) : DD_ERR_UNSUPPORTED;
}

static dd_status call_wgmma(ck_case *c, const dd_exec *exec, const dd_op_args *args)
{
    return run(launch_wgmma, c, exec, args);
}

/* Little room, so that rows come in several parts. */
#define LT_WORKSPACE ((size_t)1 << 20)
#define LT_STAGING ((size_t)16 << 10)
#define LT_PACKED ((size_t)4 << 20)

static const dd_lt_api *lt_api;
static char lt_version[16], lt_where[DD_ERR_TEXT];

static dd_status launch_lt(dd_op_id op, const dd_exec *e, const dd_op_args *a)
{
    if (op != DD_OP_gemm) return DD_ERR_UNSUPPORTED;
    const dd_status st = dd_cuda_lt_begin(lt, e->stream);
    return st == DD_OK ? dd_cuda_lt_gemm(lt, e, &a->gemm) : st;
}

static dd_status call_lt(ck_case *c, const dd_exec *exec, const dd_op_args *args)
{
    if (!lt) {
        must(cudaMalloc(&lt_memory, LT_WORKSPACE + LT_STAGING + 2 * LT_PACKED));
        char *const staging = (char *)lt_memory + LT_WORKSPACE, *const packed = staging + LT_STAGING;
        const dd_lt_memory memory = {.workspace = lt_memory,
                                     .staging = staging,
                                     .packed = {packed, packed + LT_PACKED},
                                     .workspace_bytes = LT_WORKSPACE,
                                     .staging_bytes = LT_STAGING,
                                     .packed_bytes = LT_PACKED};
        const dd_status st = dd_cuda_lt_open(&lt, lt_api, &memory);
        if (st != DD_OK) return st;
    }
    return run(launch_lt, c, exec, args);
}

#define DNN_WORKSPACE ((size_t)1 << 20)

static const dd_dnn_api *dnn_api;
static dd_library dnn_library;

static dd_status launch_dnn(dd_op_id op, const dd_exec *e, const dd_op_args *a)
{
    bool begun;
    if (op != DD_OP_conv2d) return DD_ERR_UNSUPPORTED;
    const dd_status st = dd_cuda_conv2d_ok(e, &a->conv2d);
    return st == DD_OK ? dd_cuda_dnn_conv2d(dnn, e, &a->conv2d, &begun) : st;
}

/* Plans are not made while an op is recorded. */
static dd_status call_dnn(ck_case *c, const dd_exec *exec, const dd_op_args *args)
{
    if (c->op->id != DD_OP_conv2d) return DD_ERR_UNSUPPORTED;
    if (!dnn) {
        must(cudaMalloc(&dnn_memory, DNN_WORKSPACE));
        const dd_dnn_setup setup = {.api = dnn_api, .workspace = dnn_memory, .workspace_bytes = DNN_WORKSPACE};
        const dd_status st = dd_cuda_dnn_open(&dnn, &setup);
        if (st != DD_OK) return st;
    }
    const dd_status st = dd_cuda_dnn_prepare(dnn, &args->conv2d);
    if (st == DD_ERR_DEVICE) fprintf(stderr, "checkkernel: %s\n", dd_cuda_dnn_error(dnn));
    return st == DD_OK ? run(launch_dnn, c, exec, args) : st;
}

static size_t packed_bytes(const ck_impl *impl, const dd_weight_desc *desc)
{
    (void)impl;
    return dd_cuda_packed_bytes(desc) ? DD_CUDA_HEADER : 0;
}

static void release(void)
{
    must(cudaFree(weight));
    weight = NULL;
    dd_cuda_lt_close(lt);
    lt = NULL;
    must(cudaFree(lt_memory));
    lt_memory = NULL;
    dd_cuda_dnn_close(dnn);
    dnn = NULL;
    must(cudaFree(dnn_memory));
    dnn_memory = NULL;
    turn = 0;
}

/* Rows of the file go to the device as they are, in two uneven parts, as large weights do. */
static dd_status pack(const ck_impl *impl, const dd_weight_desc *desc, void *storage, dd_packed **out)
{
    (void)impl;
    const size_t row = (size_t)desc->k * dd_dtype_bytes(desc->dtype), bytes = dd_cuda_packed_bytes(desc);
    const int64_t ends[] = {0, (desc->n + 2) / 3, desc->n};
    int32_t *bad, found = 0;
    dd_status st = bytes ? DD_OK : DD_ERR_ARG;
    must(cudaMalloc(&weight, bytes));
    must(cudaMalloc((void **)&bad, sizeof *bad));
    must(cudaMemset(bad, 0, sizeof *bad));
    for (int i = 0; i < 2 && st == DD_OK; i++) {
        const size_t n = row * (size_t)(ends[i + 1] - ends[i]);
        void *raw;
        if (n == 0) continue;
        must(cudaMalloc(&raw, n));
        must(cudaMemcpy(raw, (const unsigned char *)desc->data + row * (size_t)ends[i], n, cudaMemcpyHostToDevice));
        st = dd_cuda_pack(NULL, desc, raw, ends[i], ends[i + 1], weight, bad);
        must(cudaDeviceSynchronize());
        must(cudaFree(raw));
    }
    must(cudaMemcpy(&found, bad, sizeof found, cudaMemcpyDeviceToHost));
    must(cudaFree(bad));
    if (st == DD_OK && found) st = DD_ERR_FORMAT;
    return st == DD_OK ? dd_cuda_pack_bind(desc, weight, storage, out) : st;
}

static size_t scratch_bytes(const ck_impl *impl, int32_t tokens, int32_t head_dim, int32_t router_hidden)
{
    (void)impl;
    (void)tokens;
    (void)head_dim;
    (void)router_hidden;
    return 0;
}

/* Why no op can be run here, or NULL. */
static const char *missing_device(void)
{
    int n = 0;
    const cudaError_t e = cudaGetDeviceCount(&n);
    (void)cudaGetLastError();
    if (e != cudaSuccess) return cudaGetErrorString(e);
    return n > 0 ? NULL : "no device";
}

ck_impl ck_device_impl(void)
{
    return (ck_impl){.name = CK_DEVICE,
                     .ops = &dd_cuda_ops,
                     .missing = missing_device(),
                     .emulated = strcmp(CK_DEVICE, "emu") == 0,
                     .bf16 = DD_FMT_BF16,
                     .f16 = true,
                     .tf32 = true,
                     .isa = -1,
                     .packed_bytes = packed_bytes,
                     .pack = pack,
                     .scratch_bytes = scratch_bytes,
                     .call = call,
                     .release = release};
}

ck_impl ck_device_wgmma_impl(void)
{
    ck_impl impl = ck_device_impl();
    snprintf(impl.name, sizeof impl.name, CK_DEVICE "_wgmma");
    if (!impl.missing && !dd_cuda_wgmma_here()) impl.missing = "the device, or this build, is not for sm_90";
    impl.call = call_wgmma;
    impl.partial = true;
    return impl;
}

ck_impl ck_device_lt_impl(void)
{
    ck_impl impl = ck_device_impl();
    snprintf(impl.name, sizeof impl.name, CK_DEVICE "_lt");
    lt_api = dd_cuda_lt_load(lt_version, sizeof lt_version, lt_where, sizeof lt_where);
    if (!impl.missing && !lt_api) impl.missing = lt_where;
    impl.call = call_lt;
    impl.partial = true;
    impl.order_by_shape = true;
    return impl;
}

ck_impl ck_device_dnn_impl(void)
{
    ck_impl impl = ck_device_impl();
    snprintf(impl.name, sizeof impl.name, CK_DEVICE "_dnn");
    dnn_api = dd_cuda_dnn_load(&dnn_library);
    if (!impl.missing && !dnn_api) impl.missing = dnn_library.where;
    impl.call = call_dnn;
    impl.partial = true;
    impl.order_by_shape = true;
    return impl;
}
