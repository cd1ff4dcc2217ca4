/* SPDX-License-Identifier: MIT
 * What kernels/cuda/gemm_lt.cu uses of cuBLASLt: compiled against the stand-in's header and, where it is, against NVIDIA's.
 * Nothing is run: a value or prototype that differs in either does not compile. */
#include <cublasLt.h>

#define VALUE(name, value) _Static_assert((int)name == value, #name);
VALUE(CUBLAS_STATUS_SUCCESS, 0)
VALUE(CUBLAS_STATUS_NOT_INITIALIZED, 1)
VALUE(CUBLAS_STATUS_ALLOC_FAILED, 3)
VALUE(CUBLAS_STATUS_INVALID_VALUE, 7)
VALUE(CUBLAS_STATUS_EXECUTION_FAILED, 13)
VALUE(CUBLAS_STATUS_NOT_SUPPORTED, 15)
VALUE(CUBLAS_OP_N, 0)
VALUE(CUBLAS_OP_T, 1)
VALUE(CUBLAS_COMPUTE_32F, 68)
VALUE(CUBLASLT_EPILOGUE_DEFAULT, 1)
VALUE(CUBLASLT_EPILOGUE_BIAS, 4)
VALUE(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 2)
VALUE(CUBLASLT_MATMUL_DESC_TRANSA, 3)
VALUE(CUBLASLT_MATMUL_DESC_EPILOGUE, 7)
VALUE(CUBLASLT_MATMUL_DESC_BIAS_POINTER, 8)
VALUE(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 1)
VALUE(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, 3)
VALUE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 5)
VALUE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, 6)
VALUE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, 7)
VALUE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, 8)

#define SIZE(type, bytes) _Static_assert(sizeof(type) == bytes, #type);
SIZE(cublasLtMatmulAlgo_t, 64)
SIZE(cublasLtMatmulHeuristicResult_t, 96)
_Static_assert(offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize) == 64, "workspaceSize");
_Static_assert(offsetof(cublasLtMatmulHeuristicResult_t, state) == 72, "state");

#define CALL(name, ...)                                                                                   \
    _Static_assert(__builtin_types_compatible_p(__typeof__(cublasLt##name), cublasStatus_t(__VA_ARGS__)), \
                   "cublasLt" #name);
CALL(Create, cublasLtHandle_t *)
CALL(Destroy, cublasLtHandle_t)
CALL(Matmul, cublasLtHandle_t, cublasLtMatmulDesc_t, const void *, const void *, cublasLtMatrixLayout_t, const void *,
     cublasLtMatrixLayout_t, const void *, const void *, cublasLtMatrixLayout_t, void *, cublasLtMatrixLayout_t,
     const cublasLtMatmulAlgo_t *, void *, size_t, cudaStream_t)
CALL(MatmulAlgoGetHeuristic, cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
     cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, int, cublasLtMatmulHeuristicResult_t *,
     int *)
CALL(MatmulDescCreate, cublasLtMatmulDesc_t *, cublasComputeType_t, cudaDataType_t)
CALL(MatmulDescDestroy, cublasLtMatmulDesc_t)
CALL(MatmulDescSetAttribute, cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, const void *, size_t)
CALL(MatmulPreferenceCreate, cublasLtMatmulPreference_t *)
CALL(MatmulPreferenceDestroy, cublasLtMatmulPreference_t)
CALL(MatmulPreferenceSetAttribute, cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t, const void *,
     size_t)
CALL(MatrixLayoutCreate, cublasLtMatrixLayout_t *, cudaDataType, uint64_t, uint64_t, int64_t)
CALL(MatrixLayoutDestroy, cublasLtMatrixLayout_t)
_Static_assert(__builtin_types_compatible_p(__typeof__(cublasLtGetVersion), size_t(void)), "cublasLtGetVersion");
