/* SPDX-License-Identifier: MIT
 * GEMMs by cuBLASLt: the calls in use as a table, so that nothing links the library, and an engine that runs dd_gemm_args
 * by them. Whoever opens the engine has the table from a library that was opened at run time, or from a stand-in.
 *
 * What it takes: all rows (no row list), operands in float32 or bf16 whose rows begin at multiples of 16 bytes; all of w, or
 * slices whose lists the host knows too, for a step that it knows: these are copied side by side first, on a stream of the
 * engine, into one of two buffers, while the GEMM before runs from the other one. Sizes of a GEMM are the host's, so that
 * slices are not taken while a stream is captured, to be replayed at any step. Everything else is DD_ERR_UNSUPPORTED and
 * nothing was enqueued: the own kernel's.
 *
 * Precision: products and sums as in the own kernel (bf16 exact, float32 sums, float32 without TF32), but the library chooses
 * the order of K by the shape: a result depends on m, which that of the own kernel does not. The same shape on the same device
 * with the same library gives the same bits: parts of a sum are added in float32 in a step of their own, never in place. */
#ifndef DD_KERNELS_CUDA_LT_H
#define DD_KERNELS_CUDA_LT_H

#include <stdbool.h>

#include "kernels/ops.h"

#ifdef __has_include
#if __has_include(<cublasLt.h>)
#define DD_HAS_CUBLASLT 1
#include <cublasLt.h>
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dd_lt_api dd_lt_api;

#ifdef DD_HAS_CUBLASLT
/* Names without their "cublasLt". */
#define DD_LT_CALLS(CALL)              \
    CALL(Create)                       \
    CALL(Destroy)                      \
    CALL(GetVersion)                   \
    CALL(Matmul)                       \
    CALL(MatmulAlgoGetHeuristic)       \
    CALL(MatmulDescCreate)             \
    CALL(MatmulDescDestroy)            \
    CALL(MatmulDescSetAttribute)       \
    CALL(MatmulPreferenceCreate)       \
    CALL(MatmulPreferenceDestroy)      \
    CALL(MatmulPreferenceSetAttribute) \
    CALL(MatrixLayoutCreate)           \
    CALL(MatrixLayoutDestroy)

struct dd_lt_api {
#define DD_LT_CALL(name) __typeof__(cublasLt##name) *name;
    DD_LT_CALLS(DD_LT_CALL)
#undef DD_LT_CALL
};
#endif

/* Device memory of an engine, whatever it runs: what the library asks for on Hopper; float32 results on their way to an
 * epilogue that the library lacks; slices of a weight, twice, a larger weight is left to the own kernel. */
#define DD_LT_WORKSPACE ((size_t)32 << 20)
#define DD_LT_STAGING ((size_t)32 << 20)
#define DD_LT_PACKED ((size_t)24 << 20)

typedef struct dd_lt_memory {
    void *workspace, *staging, *packed[2];               /* aligned to 256 bytes */
    size_t workspace_bytes, staging_bytes, packed_bytes; /* each */
} dd_lt_memory;

typedef struct dd_lt dd_lt; /* of one device and one thread */

/* api and memory stay as long as the engine. DD_ERR_UNSUPPORTED: built without the library's header. After another failure
 * *out is what dd_cuda_lt_error explains, to be closed. */
dd_status dd_cuda_lt_open(dd_lt **out, const dd_lt_api *api, const dd_lt_memory *memory);
void dd_cuda_lt_close(dd_lt *lt); /* NULL is fine */

typedef struct dd_lt_size {
    int64_t m, n, k; /* n and k: what is active */
    bool sliced;
} dd_lt_size;

/* The size at a step of a GEMM of which the host knows it. False: it does not. */
bool dd_cuda_lt_size(const dd_gemm_args *args, int32_t step, dd_lt_size *size);

/* Would an engine take these arguments at a step, which the own kernel accepts? The library may still know no way. */
bool dd_cuda_lt_takes(const dd_gemm_args *args, int32_t step, dd_lt_size *size);

/* Slices may be copied ahead from here on the stream, where weights, lists and the GEMMs of the step before are complete. At
 * the start of every step; does nothing while the stream is captured. */
dd_status dd_cuda_lt_begin(dd_lt *lt, void *stream);

/* The op gemm, at exec->host_step. As ops do, but the first call for a shape looks up how and keeps that, in host memory. */
dd_status dd_cuda_lt_gemm(dd_lt *lt, const dd_exec *exec, const dd_gemm_args *args);

/* The call of the library that failed: "cublasLtMatmul: status 13"; empty: none did. */
const char *dd_cuda_lt_error(const dd_lt *lt);

#ifdef __cplusplus
}
#endif

#endif
