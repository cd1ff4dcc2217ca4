/* SPDX-License-Identifier: MIT
 * The contract between the runtime and a backend: memory, weights, and running a program. All entries are required
 * but those that say otherwise.
 *
 * A backend belongs to one thread. Work given to it happens in the order of the calls; only download and sync wait
 * for it. Nothing is allocated by run. Pointers in a program are the backend's own (device) pointers. */
#ifndef DD_HOST_EXEC_BACKEND_H
#define DD_HOST_EXEC_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "host/base/status.h"
#include "host/exec/engine.h"
#include "host/exec/program.h"

/* Largest shapes that ops will see: sizes the private work areas of the threads. */
typedef struct dd_limits {
    int tokens, head_dim, router_hidden, width;
    bool pictures;    /* there are convolutions */
    dd_format pixels; /* of which most read this */
} dd_limits;

/* What a backend of devices sees of its machine. */
#define DD_MAX_DEVICES 16
typedef struct dd_device {
    int index;
    char name[128];
    int major, minor;        /* compute capability */
    int sms, threads_per_sm; /* multiprocessors, threads that one holds */
    uint64_t memory, memory_free;
    bool has_code; /* this build has code that runs on it */
} dd_device;

typedef struct dd_device_list {
    dd_device device[DD_MAX_DEVICES];
    int n;
    int opened;                   /* index into device, -1: none, the backend can only be asked for this list */
    char driver[32], runtime[32]; /* versions, "13.0" */
    char built[160];              /* "sm_90, compute_80 as PTX" */
} dd_device_list;

/* What a node of a recorded program takes on a device. CUDA neither says nor promises it: the developers of NVIDIA's
 * CCCL reckon with some 10 KB per kernel node (pull request 3768 of NVIDIA/cccl), rounded up here. An assumption. */
#define DD_GRAPH_NODE_BYTES 16384

/* Stretches of a run, for the time line of a profiler; each lies within one of the kind above it. */
typedef enum dd_range {
    DD_RANGE_RUN,   /* number: images of the run */
    DD_RANGE_BATCH, /* images of the batch */
    DD_RANGE_STEP   /* index of the step */
} dd_range;

struct dd_backend {
    const char *name;    /* "cpu" */
    const char *detail;  /* what was chosen at run time, e.g. "avx512, 2 threads" */
    const char *choices; /* and what there was to choose from, e.g. "portable, avx2, avx512"; NULL: nothing */
    int threads;
    dd_format bf16_input;          /* format of GEMM inputs in bf16; DD_FMT_F32: the backend has no bf16 here */
    bool fp16, tf32;               /* takes GEMM inputs in DD_FMT_F16, in DD_FMT_TF32 */
    bool bf16_pictures;            /* ops on pictures take DD_FMT_BF16 where a run is in bf16 */
    bool prefers_bf16;             /* faster than float32 here: what --precision auto takes */
    const dd_ops *ops;             /* NULL entries: op not available, an error at lowering time */
    const dd_device_list *devices; /* NULL: works in host memory */
    void *impl;

    /* 64-byte aligned, zeroed */
    dd_status (*alloc)(dd_backend *be, size_t bytes, void **out, dd_err *err);
    void (*release)(dd_backend *be, void *p);
    dd_status (*upload)(dd_backend *be, void *dst, const void *src, size_t bytes, dd_err *err); /* src free on return */
    dd_status (*download)(dd_backend *be, void *dst, const void *src, size_t bytes, dd_err *err);
    dd_status (*clear)(dd_backend *be, void *dst, size_t bytes, dd_err *err);

    size_t (*packed_bytes)(dd_backend *be, const dd_weight_desc *desc);
    /* storage: packed_bytes from alloc. A value that is not finite is ERR_FORMAT naming the tensor. */
    dd_status (*pack)(dd_backend *be, const dd_weight_desc *desc, void *storage, dd_packed **out, dd_err *err);

    size_t (*scratch_bytes)(dd_backend *be, const dd_limits *limits); /* of all threads together */
    dd_status (*reserve)(dd_backend *be, const dd_limits *limits,
                         dd_err *err); /* before the first run; may grow later */

    /* Runs every op with the step counter at `step`. On failure names the op. */
    dd_status (*run)(dd_backend *be, const dd_program *program, int32_t step, dd_err *err);
    /* Prepares a program for being run many times: run replays what is recorded here, without a look at ops. It is
     * what allocates; run does not. On failure names the op, and nothing is recorded. forget gives it back: before ops
     * go, and when no run of the program is unfinished. NULL, both: there is nothing to prepare. */
    dd_status (*record)(dd_backend *be, dd_program *program, dd_err *err);
    void (*forget)(dd_backend *be, dd_program *program);
    dd_status (*sync)(dd_backend *be, dd_err *err);
    /* Ends a step: returns when at most `in_flight` of the steps ended so far are unfinished, 1 <= in_flight. An error of
     * the device may be reported here that an earlier step caused. */
    dd_status (*pace)(dd_backend *be, int in_flight, dd_err *err);
    /* Bytes that alloc can still give. NULL: host memory, nobody knows. */
    dd_status (*memory_free)(dd_backend *be, uint64_t *bytes, dd_err *err);

    /* What the device reaches at best, measured now: multiply-adds per second in registers, bytes per second from
     * memory. NULL: cannot be measured. */
    dd_status (*peak_macs)(dd_backend *be, dd_format input, double *macs_per_s, dd_err *err);
    dd_status (*peak_read)(dd_backend *be, double *bytes_per_s, dd_err *err);

    /* For profilers. NULL: none looks. Work is in a range if it is given to the backend between begin and end. */
    void (*range_begin)(dd_backend *be, dd_range range, int64_t number);
    void (*range_end)(dd_backend *be, dd_range range);
    /* Tells a profiler that waits for it to start and stop recording; what was given to the backend before is finished
     * first. NULL: it has none. */
    dd_status (*profiler)(dd_backend *be, bool on, dd_err *err);
    void (*close)(dd_backend *be);
    /* A library's GEMMs. NULL: own kernels alone. There too where only the list of devices was asked for, to be read. */
    const dd_engine *engine;
};

static inline void dd_range_begin(dd_backend *be, dd_range range, int64_t number)
{
    if (be->range_begin) be->range_begin(be, range, number);
}

static inline void dd_range_end(dd_backend *be, dd_range range)
{
    if (be->range_end) be->range_end(be, range);
}

typedef struct dd_backend_choice {
    const char *name; /* "auto", "cuda", "cpu", "ref", "emu" */
    int threads;      /* 0: the CPUs this process may use */
    int device;       /* of backends that have several */
    bool no_graph;    /* record is NULL */
} dd_backend_choice;

/* why, or NULL: [DD_ERR_TEXT], where "auto" did not take the first choice, one sentence that says so; else empty. */
dd_status dd_backend_open(dd_backend **out, const dd_backend_choice *choice, char *why, dd_err *err);
void dd_backend_close(dd_backend **be);

/* Names of op kinds, for messages: "gemm". */
const char *dd_op_name(dd_op_id id);

#endif
