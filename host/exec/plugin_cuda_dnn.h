/* SPDX-License-Identifier: MIT
 * Convolutions by cuDNN: the calls in use as a table, so that nothing links the library, and an engine that runs
 * dd_conv2d_args by them. Whoever opens the engine has the table from a library that was opened at run time, or from a
 * stand-in.
 *
 * What it takes: pixels in rows of channels and the weight as it is packed, float32, bf16 or fp16 with 16-byte alignment
 * throughout, without enlarging the input, and a residual that lies elsewhere than the result: nothing says that the library
 * reads one before it writes the other. Everything else is DD_ERR_UNSUPPORTED and nothing was enqueued: the own kernel's. So
 * is a shape for which the library knows no way, or only ways whose results are not to be had here: other bits from run to
 * run, sums in less than float32, transforms (Winograd, FFT), and TF32 in place of float32.
 *
 * Precision: products and sums as in the own kernels (bf16 and fp16 exact, float32 sums, float32 without TF32), bias and
 * residual in float32, one rounding to the result; but the library chooses the order of a sum by the shape, the batch
 * included. The same shape on the same device with the same library gives the same bits. */
#ifndef DD_HOST_EXEC_PLUGIN_CUDA_DNN_H
#define DD_HOST_EXEC_PLUGIN_CUDA_DNN_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/ops.h"

#define DD_DNN_LEAST 90800 /* 9.8, the first one with descriptors of devices */

#ifdef __has_include
#if __has_include(<cudnn_graph.h>) /* since 9.0 */
#include <cudnn_graph.h>
#endif
#endif
#if defined CUDNN_VERSION && CUDNN_VERSION >= DD_DNN_LEAST
#define DD_HAS_CUDNN 1
#endif

typedef struct dd_dnn_api dd_dnn_api;

#ifdef DD_HAS_CUDNN
/* Names without their "cudnn". */
#define DD_DNN_CALLS(CALL)         \
    CALL(Create)                   \
    CALL(Destroy)                  \
    CALL(GetErrorString)           \
    CALL(GetVersion)               \
    CALL(SetStream)                \
    CALL(BackendCreateDescriptor)  \
    CALL(BackendDestroyDescriptor) \
    CALL(BackendExecute)           \
    CALL(BackendFinalize)          \
    CALL(BackendGetAttribute)      \
    CALL(BackendSetAttribute)

struct dd_dnn_api {
#define DD_DNN_CALL(name) __typeof__(cudnn##name) *name;
    DD_DNN_CALLS(DD_DNN_CALL)
#undef DD_DNN_CALL
};
#endif

/* Device memory that plans may use while they run; what needs more is passed over. The engines that compute a convolution
 * without a transform need little of it. */
#define DD_DNN_WORKSPACE ((size_t)32 << 20)

typedef struct dd_dnn dd_dnn; /* of one device and one thread */

typedef struct dd_dnn_setup {
    const dd_dnn_api *api; /* stays as long as the engine */
    void *workspace;       /* on the device, aligned to 256 bytes; as long as the engine */
    size_t workspace_bytes;
    const char
        *properties; /* NULL; else plans are made for the device that this JSON describes, and none can be run: for
                               tests where there is no device */
} dd_dnn_setup;

/* DD_ERR_UNSUPPORTED: built without the library's header. After another failure *out is what dd_cuda_dnn_error explains, to be
 * closed. */
dd_status dd_cuda_dnn_open(dd_dnn **out, const dd_dnn_setup *setup);
void dd_cuda_dnn_close(dd_dnn *dnn); /* NULL is fine */

/* Makes the plan of a shape and keeps it, in host memory. Not while a stream of this thread is captured. DD_OK also for a shape
 * that is the own kernel's; DD_ERR_DEVICE: a call failed. */
dd_status dd_cuda_dnn_prepare(dd_dnn *dnn, const dd_conv2d_args *args);

/* The op conv2d, of arguments that the own kernel accepts. As ops do, but the first call for a shape makes its plan; while
 * exec's stream is captured only shapes that have one are taken. DD_ERR_DEVICE: a call failed; *begun: while it was
 * enqueued, so that nobody may do it instead. */
dd_status dd_cuda_dnn_conv2d(dd_dnn *dnn, const dd_exec *exec, const dd_conv2d_args *args, bool *begun);

/* How a shape is convolved: "engine 12, 0 bytes of workspace"; empty: by the own kernel, or it has no plan yet. */
void dd_cuda_dnn_describe(const dd_dnn *dnn, const dd_conv2d_args *args, char *text, size_t size);

/* The call of the library that failed: "cudnnBackendFinalize (convolution): CUDNN_STATUS_BAD_PARAM"; empty: none did. */
const char *dd_cuda_dnn_error(const dd_dnn *dnn);

#endif
