/* SPDX-License-Identifier: MIT
 * The time line of profilers: NVTX ranges of the domain `dydit`, and when to record. bench/PROFILING.md lists the names.
 *
 * Ranges are those of the host: they enclose the calls that give work to the device, which a profiler assigns to them.
 * Where a program is replayed from a graph, its blocks and ops have no ranges, since nothing is called for them.
 * Without a tool the domain is no domain, c->nvtx stays NULL, and each entry is one comparison. Built without the headers
 * of NVTX (DD_WITH_NVTX), it always is. */
#include "host/exec/plugin_cuda.h"

#include <cuda_profiler_api.h>

dd_status dd_cuda_profiler(dd_backend *be, bool on, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    DD_TRY(dd_cuda_enter(c, err));
    DD_TRY(dd_cuda_wait(c, err));
    /* Another tool may be in the way of the driver's, or none be there: nothing that would matter to the run. */
    (void)(on ? cudaProfilerStart() : cudaProfilerStop());
    (void)cudaGetLastError();
    return DD_OK;
}

#ifdef DD_WITH_NVTX

#include <nvtx3/nvToolsExt.h>
#include <nvtx3/nvToolsExtCudaRt.h>
#include <stdlib.h>
#include <string.h>

#define NAMES 1024 /* a power of two; DiT-XL has some 250 */
#define NAME_BYTES 64

typedef enum range_name { /* the first three as dd_range */
                          NAME_RUN = DD_RANGE_RUN,
                          NAME_BATCH = DD_RANGE_BATCH,
                          NAME_STEP = DD_RANGE_STEP,
                          NAME_PROGRAM,
                          NAME_BLOCK,
                          NAME_COUNT
} range_name;

struct dd_cuda_nvtx {
    nvtxDomainHandle_t domain;
    nvtxStringHandle_t name[NAME_COUNT];
    int block; /* whose range is open, -1: none */
    struct label {
        char text[NAME_BYTES];
        nvtxStringHandle_t string;
    } labels[NAMES]; /* of ops, by the hash of the text */
};

/* Categories: 1 for run to block, then one per kind of op. */
static uint32_t category_of(dd_op_id id) { return 2u + (uint32_t)id; }

static void push(dd_cuda_nvtx *x, nvtxStringHandle_t string, const char *text, uint32_t category, int64_t number)
{
    nvtxEventAttributes_t a = {.version = NVTX_VERSION,
                               .size = NVTX_EVENT_ATTRIB_STRUCT_SIZE,
                               .category = category,
                               .payloadType = NVTX_PAYLOAD_TYPE_INT64};
    a.payload.llValue = number;
    a.messageType = text ? NVTX_MESSAGE_TYPE_ASCII : NVTX_MESSAGE_TYPE_REGISTERED;
    if (text) a.message.ascii = text;
    else a.message.registered = string;
    (void)nvtxDomainRangePushEx(x->domain, &a);
}

static void pop(dd_cuda_nvtx *x) { (void)nvtxDomainRangePop(x->domain); }

static void range_begin(dd_backend *be, dd_range range, int64_t number)
{
    dd_cuda_nvtx *x = dd_cuda_of(be)->nvtx;
    push(x, x->name[range], NULL, 1, number);
}

static void range_end(dd_backend *be, dd_range range)
{
    (void)range;
    pop(dd_cuda_of(be)->nvtx);
}

void dd_cuda_nvtx_open(dd_cuda *c)
{
    static const char *const names[NAME_COUNT] = {"run", "batch", "step", "program", "block"};
    const nvtxDomainHandle_t domain = nvtxDomainCreateA("dydit");
    if (!domain) return;
    dd_cuda_nvtx *x = calloc(1, sizeof *x);
    if (!x) {
        nvtxDomainDestroy(domain);
        return;
    }
    x->domain = domain;
    x->block = -1;
    for (int i = 0; i < NAME_COUNT; i++) x->name[i] = nvtxDomainRegisterStringA(domain, names[i]);
    nvtxDomainNameCategoryA(domain, 1, "run");
#define DD_OP(name) nvtxDomainNameCategoryA(domain, category_of(DD_OP_##name), #name);
#include "kernels/ops.def"
#undef DD_OP
    nvtxNameCudaStreamA(c->stream, "dydit");
    c->nvtx = x;
    c->base.range_begin = range_begin;
    c->base.range_end = range_end;
}

void dd_cuda_nvtx_close(dd_cuda *c)
{
    if (!c->nvtx) return;
    nvtxDomainDestroy(c->nvtx->domain);
    free(c->nvtx);
    c->nvtx = NULL;
}

void dd_cuda_nvtx_program_begin(dd_cuda *c, const dd_program *program)
{
    if (c->nvtx) push(c->nvtx, c->nvtx->name[NAME_PROGRAM], NULL, 1, program->n_ops);
}

static void leave_block(dd_cuda_nvtx *x)
{
    if (x->block >= 0) pop(x);
    x->block = -1;
}

void dd_cuda_nvtx_program_end(dd_cuda *c)
{
    if (!c->nvtx) return;
    leave_block(c->nvtx);
    pop(c->nvtx);
}

/* "blocks.3.mlp.fc1" is of block 3; -1: of none. */
static int block_of(const char *label) { return strncmp(label, "blocks.", 7) == 0 ? atoi(label + 7) : -1; }

/* The entry of a text, made where there is none yet. NULL: it does not fit, or the table is full. */
static struct label *label_of(dd_cuda_nvtx *x, const char *text)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    const size_t n = strlen(text);
    if (n == 0 || n >= NAME_BYTES) return NULL;
    for (size_t i = 0; i < n; i++) hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    for (uint32_t probe = 0; probe < NAMES; probe++) {
        struct label *l = &x->labels[(hash + probe) % NAMES];
        if (l->text[0] && strcmp(l->text, text) != 0) continue;
        if (!l->text[0]) {
            memcpy(l->text, text, n + 1);
            l->string = nvtxDomainRegisterStringA(x->domain, text);
        }
        return l;
    }
    return NULL;
}

void dd_cuda_nvtx_op_begin(dd_cuda *c, const dd_op *op)
{
    dd_cuda_nvtx *x = c->nvtx;
    if (!x) return;
    const int block = block_of(op->label);
    if (block != x->block) {
        leave_block(x);
        if (block >= 0) push(x, x->name[NAME_BLOCK], NULL, 1, block);
        x->block = block;
    }
    const struct label *l = label_of(x, op->label);
    push(x, l ? l->string : NULL, l ? NULL : op->label, category_of(op->id), op->site);
}

void dd_cuda_nvtx_op_end(dd_cuda *c)
{
    if (c->nvtx) pop(c->nvtx);
}

#else

void dd_cuda_nvtx_open(dd_cuda *c) { (void)c; }
void dd_cuda_nvtx_close(dd_cuda *c) { (void)c; }
void dd_cuda_nvtx_program_begin(dd_cuda *c, const dd_program *program) { (void)c, (void)program; }
void dd_cuda_nvtx_program_end(dd_cuda *c) { (void)c; }
void dd_cuda_nvtx_op_begin(dd_cuda *c, const dd_op *op) { (void)c, (void)op; }
void dd_cuda_nvtx_op_end(dd_cuda *c) { (void)c; }

#endif
