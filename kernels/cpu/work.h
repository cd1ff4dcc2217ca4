/* SPDX-License-Identifier: MIT
 * How CPU ops hand out work: items over exec's pool, and the layout of the scratch that each thread owns. */
#ifndef DD_KERNELS_CPU_WORK_H
#define DD_KERNELS_CPU_WORK_H

#include "kernels/cpu/panel.h"
#include "kernels/ref/check.h"

#define DD_ROWS 64           /* rows of a GEMM work item */
#define DD_LD_ACC DD_PANEL   /* row stride of the accumulators */
#define DD_PATCH_FLOATS 4096 /* gathered patches of one item */

/* Every op's fixed part: accumulators of 64 x 48, then the lane sums of 64 logits or the gathered patches. */
#define DD_SCRATCH_MIN ((size_t)(DD_ROWS * DD_LD_ACC + DD_PATCH_FLOATS) * sizeof(float))

static inline int64_t dd_round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

static inline int dd_cpu_threads(const dd_exec *e) { return e->parallel_for && e->n_threads > 0 ? e->n_threads : 1; }

/* Of the formats with fewer bits this backend has bf16. */
static inline bool dd_cpu_format_ok(dd_format format, int64_t ld, int64_t width)
{
    return format <= DD_FMT_BF16_BLOCKS && dd_format_ok(format, ld, width);
}

static inline bool dd_cpu_exec_ok(const dd_exec *e, size_t scratch)
{
    return dd_exec_ok(e) && (scratch == 0 || (e->scratch != NULL && e->scratch_bytes >= scratch));
}

static inline dd_status dd_cpu_for(const dd_exec *e, int64_t n, dd_task *task, void *arg)
{
    if (n > INT32_MAX) return DD_ERR_ARG;
    if (e->parallel_for != NULL) {
        if (n > 0) e->parallel_for(e->pool, (int)n, task, arg);
    } else {
        for (int i = 0; i < (int)n; i++) task(arg, i, 0);
    }
    return DD_OK;
}

/* Rows per item such that all threads have some; the result never depends on it. */
static inline int dd_cpu_item_rows(int64_t rows, int64_t per_row_block, int threads)
{
    int mc = DD_ROWS;
    while (mc > 8 && (rows + mc - 1) / mc * per_row_block < 4 * (int64_t)threads) mc /= 2;
    return mc;
}

/* What the front of an op (arguments checked, work counted) hands to the task of an instruction set. */
typedef struct dd_gemm_job {
    const dd_gemm_args *g;
    void **scratch;
    const int32_t *n_list, *k_list;
    int64_t m, blocks; /* rows; blocks of mc rows */
    int64_t c_unit;    /* columns of the result from one active unit to the next */
    int64_t width;     /* bf16: columns of the result */
    int32_t step;
    int k_chunks, k_tail, panels, mc, threads;
} dd_gemm_job;

typedef struct dd_attention_job {
    const dd_attention_args *g;
    void **scratch;
    int64_t heads, query_rows; /* active heads; queries of one item */
    int parts, threads;        /* items of one head */
} dd_attention_job;

typedef struct dd_adaln_job {
    const dd_adaln_args *g;
    int64_t n;
    int32_t step;
    int rows; /* of an item */
} dd_adaln_job;

typedef struct dd_depth_average_job {
    const dd_depth_average_args *g;
    int64_t n; /* rows */
    int32_t step;
    int rows; /* of an item */
} dd_depth_average_job;

typedef struct dd_gated_add_job {
    const dd_gated_add_args *g;
    int32_t step;
    int rows; /* of an item */
} dd_gated_add_job;

typedef struct dd_route_job {
    const dd_route_args *g;
    void **scratch;
    int64_t n;
    int rows;
} dd_route_job;

typedef struct dd_patch_job {
    const dd_patch_embed_args *g;
    void **scratch;
    int64_t n, grid;
    int rows;
} dd_patch_job;

/* Fronts: each checks, then runs the task. */
dd_status dd_cpu_gemm_run(const dd_exec *exec, const dd_gemm_args *args, dd_task *task);
dd_status dd_cpu_attention_run(const dd_exec *exec, const dd_attention_args *args, dd_task *task);
dd_status dd_cpu_adaln_run(const dd_exec *exec, const dd_adaln_args *args, dd_format format, dd_task *task);
dd_status dd_cpu_depth_average_run(const dd_exec *exec, const dd_depth_average_args *args, dd_format format,
                                   dd_task *task);
dd_status dd_cpu_gated_add_run(const dd_exec *exec, const dd_gated_add_args *args, dd_task *task);
dd_status dd_cpu_route_run(const dd_exec *exec, const dd_route_args *args, dd_task *task);
dd_status dd_cpu_patch_embed_run(const dd_exec *exec, const dd_patch_embed_args *args, dd_task *task);
size_t dd_cpu_attention_scratch(int64_t tokens, int64_t head_dim);

/* Checks the arguments of a GEMM in bf16 and fills the job except mc and blocks. Nothing to do: m or panels is 0. */
dd_status dd_cpu_gemm_bf16_open(const dd_exec *exec, const dd_gemm_args *args, dd_gemm_job *job);
dd_status dd_cpu_attention_bf16_run(const dd_exec *exec, const dd_attention_args *args, dd_task *task);
size_t dd_cpu_attention_bf16_scratch(int64_t tokens, int64_t head_dim);

/* Ops that need no instruction set of their own. */
dd_status dd_cpu_cond(const dd_exec *exec, const dd_cond_args *args);
dd_status dd_cpu_unpatchify(const dd_exec *exec, const dd_unpatchify_args *args);
dd_status dd_cpu_guide(const dd_exec *exec, const dd_guide_args *args);
dd_status dd_cpu_noise(const dd_exec *exec, const dd_noise_args *args);
dd_status dd_cpu_solve(const dd_exec *exec, const dd_solve_args *args);
dd_status dd_cpu_copy(const dd_exec *exec, const dd_copy_args *args);

extern const dd_ops dd_cpu_ops_portable, dd_cpu_ops_avx2, dd_cpu_ops_avx512, dd_cpu_ops_avx512bf16, dd_cpu_ops_amx;

#endif
