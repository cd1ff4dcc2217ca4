/* SPDX-License-Identifier: MIT
 * The plugin's one exported function, and the table of the backend. */
#include "host/exec/plugin_cuda.h"

#include <stdlib.h>
#include <string.h>

#include "host/exec/plugin.h"
#include "kernels/cuda/cuda.h"

/* The step counter and what is pinned were allocated when the backend was opened, and the own ops need no work areas. */
static size_t scratch_bytes(dd_backend *be, const dd_limits *limits)
{
    return dd_cuda_engine_bytes(dd_cuda_of(be)) + dd_cuda_conv_bytes(dd_cuda_of(be), limits);
}

/* A session opens: weights are packed. */
static dd_status reserve(dd_backend *be, const dd_limits *limits, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    DD_TRY(dd_cuda_enter(c, err));
    dd_cuda_raw_close(c);
    DD_TRY(dd_cuda_engine_reserve(c, err));
    return dd_cuda_conv_reserve(c, limits, err);
}

static void close_list(dd_backend *be) { free(be); }

/* Of a half-opened one too. Destroying the context of a lost device lets this process use the device again. */
static void close_device(dd_backend *be)
{
    dd_cuda *c = dd_cuda_of(be);
    if (c->devices.opened >= 0) (void)cudaSetDevice(c->devices.opened);
    if (c->stream) (void)dd_cuda_check(c, cudaStreamSynchronize(c->stream), "cudaStreamSynchronize", NULL);
    dd_cuda_raw_close(c);
    dd_cuda_engine_close(c);
    dd_cuda_conv_close(c);
    dd_cuda_run_close(c);
    dd_cuda_staging_close(c);
    dd_cuda_nvtx_close(c);
    if (c->stream) (void)cudaStreamDestroy(c->stream);
    if (c->lost.status != DD_OK) (void)cudaDeviceReset();
    (void)cudaGetLastError();
    free(c);
}

static dd_status open_device(dd_cuda *c, int index, dd_err *err)
{
    DD_TRY(dd_cuda_select_device(c, index, err));
    DD_CUDA_TRY(c, err, cudaStreamCreateWithFlags, &c->stream, cudaStreamNonBlocking);
    dd_cuda_nvtx_open(c);
    DD_TRY(dd_cuda_staging_open(c, err));
    return dd_cuda_run_open(c, err);
}

static void fill(dd_cuda *c)
{
    c->base.detail = c->detail;
    c->base.threads = 1;
    c->base.bf16_input = DD_FMT_BF16;
    c->base.bf16_pictures = true;
    c->base.prefers_bf16 = strcmp(DD_PLUGIN_NAME, "cuda") == 0; /* tensor cores; the emulator has nothing to gain */
    c->base.fp16 = c->base.tf32 = true;
    c->base.ops = &c->engine.ops;
    c->base.alloc = dd_cuda_alloc;
    c->base.release = dd_cuda_release;
    c->base.upload = dd_cuda_upload;
    c->base.download = dd_cuda_download;
    c->base.clear = dd_cuda_clear;
    c->base.packed_bytes = dd_cuda_weight_bytes;
    c->base.pack = dd_cuda_weight_pack;
    c->base.scratch_bytes = scratch_bytes;
    c->base.reserve = reserve;
    c->base.run = dd_cuda_run;
    c->base.record = dd_cuda_record;
    c->base.forget = dd_cuda_forget;
    c->base.sync = dd_cuda_sync;
    c->base.pace = dd_cuda_pace;
    c->base.memory_free = dd_cuda_memory_free;
    c->base.profiler = dd_cuda_profiler;
    c->base.close = close_device;
}

static dd_status open_backend(dd_backend **out, int device, dd_err *err)
{
    dd_cuda *c = calloc(1, sizeof *c);
    if (!c) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the backend");
    c->base = (dd_backend){
        .name = DD_PLUGIN_NAME, .devices = &c->devices, .engine = &c->engine.base, .close = close_list};
    dd_cuda_engine_init(c);
    dd_cuda_conv_init(c);
    dd_status st = dd_cuda_list_devices(c, err);
    if (st == DD_OK && device != DD_DEVICE_LIST) {
        fill(c);
        st = open_device(c, device, err);
    }
    if (st == DD_OK) *out = &c->base;
    else c->base.close(&c->base);
    return st;
}

__attribute__((visibility("default"))) dd_backend_open_fn dd_backend_open_v1;

dd_status dd_backend_open_v1(const dd_host_api *host, dd_backend **out)
{
    *out = NULL;
    /* Where these differ, err may lie elsewhere: nothing can be said. */
    if (host->abi != DD_PLUGIN_ABI || host->api_size != sizeof *host) return DD_ERR_UNSUPPORTED;
    if (host->backend_size != sizeof(dd_backend) || host->op_size != sizeof(dd_op))
        return DD_FAIL(host->err, DD_ERR_UNSUPPORTED, "the plugin is of another build than the program");
    return open_backend(out, host->device, host->err);
}
