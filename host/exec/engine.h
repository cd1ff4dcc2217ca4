/* SPDX-License-Identifier: MIT
 * A library's GEMMs beside a backend's own kernels (cuBLASLt on CUDA): what there is, which GEMMs go to it, and how long both
 * take. What the library does not take (routed rows, odd strides) is always the own kernel's. */
#ifndef DD_HOST_EXEC_ENGINE_H
#define DD_HOST_EXEC_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/base/status.h"
#include "kernels/ops.h"

/* What the time of a GEMM depends on. */
typedef struct dd_gemm_shape {
    int64_t m, n, k;
    dd_format input, output;
    dd_epilogue epilogue;
    bool sliced; /* n and k are what is active of a larger weight, which the library needs packed first */
} dd_gemm_shape;

static inline bool dd_gemm_shape_equal(const dd_gemm_shape *a, const dd_gemm_shape *b)
{
    return a->m == b->m && a->n == b->n && a->k == b->k && a->input == b->input && a->output == b->output &&
           a->epilogue == b->epilogue && a->sliced == b->sliced;
}

typedef struct dd_gemm_times {
    double own_us, library_us; /* medians of one GEMM */
} dd_gemm_times;

typedef struct dd_backend dd_backend;

typedef struct dd_engine {
    char name[16];           /* "cuBLASLt" */
    char version[16];        /* "13.1.0"; empty: it cannot be used. Both are there after find */
    char where[DD_ERR_TEXT]; /* its file, or why it cannot be used: fits behind "because" */

    /* Opens the library, if that has not happened yet: it is large. */
    void (*find)(dd_backend *be);
    /* From now on the library does the GEMMs of these shapes; n < 0: all that it takes, 0: none. Copies the shapes. Not
     * while a session is open. ERR_UNSUPPORTED: it cannot be used. */
    dd_status (*use)(dd_backend *be, const dd_gemm_shape *shapes, int n, dd_err *err);
    /* The shape at a step of a GEMM that the library takes. False: it does not. */
    bool (*shape_of)(const dd_gemm_args *args, int32_t step, dd_gemm_shape *shape);
    /* Runs the GEMM as at a step some hundred times by either one and waits for it. c is left with the results of all; the library must be
     * in use, with room reserved. ERR_UNSUPPORTED: it knows no way for this shape. */
    dd_status (*time)(dd_backend *be, const dd_gemm_args *args, int32_t step, dd_gemm_times *times, dd_err *err);
} dd_engine;

#endif
