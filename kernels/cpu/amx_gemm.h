/* SPDX-License-Identifier: MIT
 * The GEMM on tiles: its job, and the sizes that its loops were measured with (XL/2 shapes, two cores, L1 48 KiB and L2
 * 2 MiB each). What a thread needs between two loads of the weights must stay in its caches: weights of a chunk of K in
 * L1, activations of a pass in L2. */
#ifndef DD_KERNELS_CPU_AMX_GEMM_H
#define DD_KERNELS_CPU_AMX_GEMM_H

#include "kernels/cpu/panel_bf16.h"
#include "kernels/cpu/work.h"

#define DD_STEP 32 /* K of one tile product; in blocks of activations and panels of weights 2 KiB each */
#define DD_STEP_BYTES 2048
#define DD_STEP_CHUNKS (DD_STEP / DD_CHUNK)
#define DD_CHUNK_BYTES (DD_STEP_BYTES / DD_STEP_CHUNKS)
#define DD_K_STEPS 18     /* most steps of a chunk of K: 36 KiB of weights */
#define DD_GROUP 8        /* row blocks whose partial sums (4 KiB each) wait for the next chunk of K */
#define DD_PASS_BLOCKS 16 /* most row blocks of a pass over the panels, */
#define DD_PASS_STEPS 600 /* most blocks of its activations, unless 4 row blocks have more */
#define DD_CUT_STEPS 72   /* longer sums of DD_EPI_RESIDUAL are added to c in parts: DD_GROUP row blocks in L2 */
#define DD_FEW_ROWS 256   /* up to here the threads share the panels, whatever the epilogue */

typedef struct dd_amx_gemm_scratch {
    float part[DD_GROUP][DD_BLOCK * DD_BLOCK];         /* partial sums */
    float sum[DD_BLOCK * DD_BLOCK];                    /* of a finished block */
    unsigned char gathered[DD_K_STEPS][DD_STEP_BYTES]; /* weights of steps whose chunks are no neighbours */
} dd_amx_gemm_scratch;

typedef struct dd_amx_gemm_job {
    dd_gemm_job base;           /* blocks: of 32 rows */
    int panel_parts, row_parts; /* items are shares: panels times rows */
} dd_amx_gemm_job;

dd_status dd_cpu_amx_gemm_run(const dd_exec *exec, const dd_gemm_args *args, dd_task *task);

#endif
