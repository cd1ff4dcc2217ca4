/* SPDX-License-Identifier: MIT
 * Host side of the CUDA backend: what its files share. They are compiled twice: with CUDA's runtime into
 * libdydit-cuda.so, with the emulator's into libdydit-emu.so (DD_PLUGIN_NAME, DD_CUDA_ARCHS come from the Makefile).
 *
 * All work goes to one stream, so that it happens in the order of the calls. */
#ifndef DD_HOST_EXEC_PLUGIN_CUDA_H
#define DD_HOST_EXEC_PLUGIN_CUDA_H

#include <cuda_runtime_api.h>

#include "host/exec/backend.h"
#include "host/exec/plugin_cuda_dnn.h"
#include "kernels/cuda/lt.h"

#define DD_CUDA_SLOTS 2
#define DD_CUDA_SLOT_BYTES ((size_t)8 << 20)
#define DD_CUDA_STEPS 8 /* events of steps; pace keeps fewer in flight */

/* A piece of pinned memory through which transfers go. */
typedef struct dd_cuda_slot {
    unsigned char *base;
    cudaEvent_t left; /* recorded when the next slot is begun */
    bool in_flight;   /* since when it was not waited for */
} dd_cuda_slot;

typedef struct dd_cuda_header dd_cuda_header;
typedef struct dd_cuda_nvtx dd_cuda_nvtx;

/* GEMMs by cuBLASLt or wgmma, and which of them. */
typedef struct dd_cuda_engine {
    dd_engine base;
    const dd_lt_api *api; /* NULL: the library cannot be used, or was not looked for yet */
    dd_ops ops;           /* dd_cuda_ops with a gemm that chooses */
    dd_lt *lt;            /* once the library is in use and there is room */
    void *memory;         /* of lt, on the device */
    dd_gemm_by rest;      /* as in dd_engine.use */
    dd_gemm_choice *choices;
    int n_choices;
} dd_cuda_engine;

/* Convolutions by cuDNN, and which of them. */
typedef struct dd_cuda_conv {
    const dd_dnn_api *api; /* NULL: the library cannot be used, or was not looked for yet */
    dd_conv_by by;
    dd_dnn *dnn;  /* once a decoder has opened that uses it */
    void *memory; /* of dnn, on the device */
} dd_cuda_conv;

typedef struct dd_cuda {
    dd_backend base;
    dd_device_list devices;
    char detail[192];
    dd_err lost; /* status not DD_OK: the error after which the device does nothing any more */
    cudaStream_t stream;
    dd_exec exec;

    dd_cuda_slot slots[DD_CUDA_SLOTS];
    int slot;    /* the one in use */
    size_t used; /* bytes of it */

    cudaEvent_t step_end[DD_CUDA_STEPS];
    uint64_t steps; /* ended so far */

    int32_t *step, *bad; /* on the device: step counter, mark of a weight that is not finite */
    dd_cuda_engine engine;
    dd_cuda_conv conv;
    void *raw; /* on the device: rows of a file on their way into a weight, while weights are loaded */
    size_t raw_bytes;
    dd_cuda_header *headers;
    dd_cuda_nvtx *nvtx; /* NULL: no tool listens */
} dd_cuda;

static inline dd_cuda *dd_cuda_of(dd_backend *be) { return (dd_cuda *)be; }

/* ---- plugin_cuda_error.c ---- */

/* At the start of every entry: the device is the current one of this thread, and not lost. */
dd_status dd_cuda_enter(dd_cuda *c, dd_err *err);

/* DD_OK for cudaSuccess. Else clears the error, sees whether the device is lost, and says what failed: "cudaMalloc". */
dd_status dd_cuda_check(dd_cuda *c, cudaError_t e, const char *what, dd_err *err);

#define DD_CUDA_TRY(c, err, call, ...) DD_TRY(dd_cuda_check((c), call(__VA_ARGS__), #call, (err)))

/* ---- plugin_cuda_devices.c ---- */

/* Fills c->devices. ERR_DEVICE: no driver, no device. */
dd_status dd_cuda_list_devices(dd_cuda *c, dd_err *err);
/* Makes one of them the current one and c->detail its name. */
dd_status dd_cuda_select_device(dd_cuda *c, int index, dd_err *err);

/* ---- plugin_cuda_memory.c, plugin_cuda_staging.c, plugin_cuda_weights.c, plugin_cuda_run.c ---- */

dd_status dd_cuda_alloc(dd_backend *be, size_t bytes, void **out, dd_err *err);
void dd_cuda_release(dd_backend *be, void *p);
dd_status dd_cuda_clear(dd_backend *be, void *dst, size_t bytes, dd_err *err);
dd_status dd_cuda_memory_free(dd_backend *be, uint64_t *bytes, dd_err *err);

dd_status dd_cuda_staging_open(dd_cuda *c, dd_err *err);
void dd_cuda_staging_close(dd_cuda *c);
dd_status dd_cuda_upload(dd_backend *be, void *dst, const void *src, size_t bytes, dd_err *err);
dd_status dd_cuda_download(dd_backend *be, void *dst, const void *src, size_t bytes, dd_err *err);
/* Waits for everything; all slots are free again. */
dd_status dd_cuda_wait(dd_cuda *c, dd_err *err);

size_t dd_cuda_weight_bytes(dd_backend *be, const dd_weight_desc *desc);
dd_status dd_cuda_weight_pack(dd_backend *be, const dd_weight_desc *desc, void *storage, dd_packed **out, dd_err *err);
/* Frees the header of the weight in storage, if there is one. */
void dd_cuda_weight_forget(dd_cuda *c, const void *storage);
/* Gives the buffer of raw rows back. */
void dd_cuda_raw_close(dd_cuda *c);

/* ---- plugin_cuda_library.c ---- */

typedef struct dd_cuda_call {
    const char *name;
    size_t at; /* of its pointer in the table of calls */
} dd_cuda_call;

typedef struct dd_cuda_library {
    const char *file;
    const dd_cuda_call *calls;
    size_t n_calls;
} dd_cuda_library;

/* Fills a table of calls, api, from a library that stays open for the life of the process; where becomes its file. False:
 * where says why not. */
bool dd_cuda_library_open(const dd_cuda_library *library, void *api, char *where, size_t size);

/* ---- plugin_cuda_engine.c, plugin_cuda_lt_load.c, plugin_cuda_engine_time.c ---- */

/* The calls of cuBLASLt, opened at run time for the life of the process; version and where become its version and file. NULL:
 * where says why not. */
const dd_lt_api *dd_cuda_lt_load(char *version, size_t version_size, char *where, size_t where_size);

void dd_cuda_engine_init(dd_cuda *c);
/* The op gemm by this one. ERR_UNSUPPORTED: it cannot do it, and has not begun. */
dd_status dd_cuda_engine_gemm(const dd_cuda *c, dd_gemm_by by, const dd_gemm_args *args);
/* What is in use gets its memory; counted by dd_cuda_engine_bytes. */
dd_status dd_cuda_engine_reserve(dd_cuda *c, dd_err *err);
size_t dd_cuda_engine_bytes(const dd_cuda *c);
void dd_cuda_engine_close(dd_cuda *c);
/* The start of a step, before its ops. */
dd_status dd_cuda_engine_begin(dd_cuda *c, int32_t step, dd_err *err);
/* An op failed: was it a call of the library? Then says which. */
bool dd_cuda_engine_failed(dd_cuda *c, const char *op, dd_err *err);
dd_status dd_cuda_engine_time(dd_backend *be, const dd_gemm_args *args, int32_t step, dd_gemm_times *times,
                              dd_err *err);

/* ---- plugin_cuda_conv.c, plugin_cuda_dnn_load.c ---- */

/* As dd_cuda_lt_load, for cuDNN. */
const dd_dnn_api *dd_cuda_dnn_load(dd_library *library);

/* After dd_cuda_engine_init: the rest of its table. */
void dd_cuda_conv_init(dd_cuda *c);
/* Where the library is in use, a decoder's memory; counted by dd_cuda_conv_bytes. */
dd_status dd_cuda_conv_reserve(dd_cuda *c, const dd_limits *limits, dd_err *err);
size_t dd_cuda_conv_bytes(dd_cuda *c, const dd_limits *limits);
/* Plans for all convolutions of a program, before it is captured. */
dd_status dd_cuda_conv_prepare(dd_cuda *c, const dd_program *program, dd_err *err);
/* As dd_cuda_engine_failed. */
bool dd_cuda_conv_failed(dd_cuda *c, const char *what, dd_err *err);
void dd_cuda_conv_close(dd_cuda *c);

dd_status dd_cuda_run_open(dd_cuda *c, dd_err *err);
void dd_cuda_run_close(dd_cuda *c);
/* The ops one by one, to run or to be captured. */
dd_status dd_cuda_launch_ops(dd_cuda *c, const dd_program *program, dd_err *err);
dd_status dd_cuda_run(dd_backend *be, const dd_program *program, int32_t step, dd_err *err);
dd_status dd_cuda_sync(dd_backend *be, dd_err *err);
dd_status dd_cuda_pace(dd_backend *be, int in_flight, dd_err *err);

/* ---- plugin_cuda_graph.c ---- */

dd_status dd_cuda_record(dd_backend *be, dd_program *program, dd_err *err);
void dd_cuda_forget(dd_backend *be, dd_program *program);

/* ---- plugin_cuda_nvtx.c: names on the time line of a profiler. All but open do nothing where c->nvtx is NULL. ---- */

void dd_cuda_nvtx_open(dd_cuda *c);
void dd_cuda_nvtx_close(dd_cuda *c);
/* A program that runs or is recorded. Its ops in order, each between op_begin and op_end. */
void dd_cuda_nvtx_program_begin(dd_cuda *c, const dd_program *program);
void dd_cuda_nvtx_program_end(dd_cuda *c);
void dd_cuda_nvtx_op_begin(dd_cuda *c, const dd_op *op);
void dd_cuda_nvtx_op_end(dd_cuda *c);
dd_status dd_cuda_profiler(dd_backend *be, bool on, dd_err *err);

#endif
