/* SPDX-License-Identifier: MIT
 * Who does a backend's GEMMs: its own kernels that run everywhere, a library (cuBLASLt on CUDA), or kernels for one kind of
 * device (wgmma on Hopper); which of these are there, and how long each takes. What one of the others does not take (odd
 * strides, for the library routed rows) is always the own kernel's. The same for convolutions, with another library (cuDNN). */
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

typedef enum dd_gemm_by { DD_BY_OWN, DD_BY_LIBRARY, DD_BY_WGMMA } dd_gemm_by;
#define DD_BY_COUNT 3

typedef struct dd_gemm_times {
    double us[DD_BY_COUNT]; /* medians of one GEMM; negative: it cannot do this one. The own kernel does each. */
} dd_gemm_times;

typedef struct dd_gemm_choice {
    dd_gemm_shape shape;
    dd_gemm_by by;
} dd_gemm_choice;

/* Convolutions. AUTO: by the library those on tensor cores, where it can be used. */
typedef enum dd_conv_by { DD_CONV_OWN, DD_CONV_LIBRARY, DD_CONV_AUTO } dd_conv_by;

typedef struct dd_library {
    char name[16];           /* "cuDNN" */
    char version[16];        /* "9.19.0"; empty: it cannot be used. Both are there after it was looked for */
    char where[DD_ERR_TEXT]; /* its file, or why it cannot be used: fits behind "because" */
} dd_library;

typedef struct dd_backend dd_backend;

typedef struct dd_engine {
    char name[16];           /* "cuBLASLt" */
    char version[16];        /* "13.1.0"; empty: it cannot be used. Both are there after find */
    char where[DD_ERR_TEXT]; /* its file, or why it cannot be used: fits behind "because" */
    bool wgmma;              /* the device and this build have it. There after find */

    /* Opens the library, if that has not happened yet: it is large. */
    void (*find)(dd_backend *be);
    /* From now on `rest` does all that it takes, but for the n shapes with a choice of their own, which are copied. Not while
     * a session is open. ERR_UNSUPPORTED: one of these cannot be used. */
    dd_status (*use)(dd_backend *be, dd_gemm_by rest, const dd_gemm_choice *choices, int n, dd_err *err);
    /* The shape at a step of a GEMM whose size the host knows. False: it does not, there is no choice. */
    bool (*shape_of)(const dd_gemm_args *args, int32_t step, dd_gemm_shape *shape);
    /* Runs the GEMM as at a step some hundred times by each one and waits for it. c is left with the results of all; the
     * library counts as unable where it is not in use with room reserved. ERR_UNSUPPORTED: the own kernel alone can. */
    dd_status (*time)(dd_backend *be, const dd_gemm_args *args, int32_t step, dd_gemm_times *times, dd_err *err);

    dd_library convolutions;
    /* The same as find and use, for the library of convolutions. */
    void (*find_convolutions)(dd_backend *be);
    dd_status (*use_convolutions)(dd_backend *be, dd_conv_by by, dd_err *err);
} dd_engine;

#endif
