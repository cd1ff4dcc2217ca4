/* SPDX-License-Identifier: MIT
 * Front of the attention with bf16 inputs, shared by AVX512-BF16 and AMX: checks, scratch, the division into items. */
#include "kernels/cpu/attention_bf16.h"

#define MAX_HEAD_DIM 128

size_t dd_cpu_attention_bf16_scratch(int64_t tokens, int64_t head_dim)
{
    if (tokens <= 0 || head_dim <= 0) return 0;
    return (size_t)dd_attention_bf16_layout(tokens, head_dim).bytes;
}

dd_status dd_cpu_attention_bf16_run(const dd_exec *exec, const dd_attention_args *args, dd_task *task)
{
    if (args == NULL || args->qkv == NULL || args->out == NULL) return DD_ERR_ARG;
    if (args->r <= 0 || args->s <= 0 || args->h <= 0 || args->h > DD_MAX_UNITS) return DD_ERR_ARG;
    if (args->e <= 0 || args->e > MAX_HEAD_DIM || args->e % DD_CHUNK != 0) return DD_ERR_ARG;
    if (!dd_cpu_exec_ok(exec, dd_cpu_attention_bf16_scratch(args->s, args->e))) return DD_ERR_ARG;
    const int64_t width = 3 * (int64_t)args->h * args->e;
    const int32_t *list = dd_slices_at(args->heads, *exec->step);
    if (!dd_slices_ok(list, width, 3 * (int64_t)args->e)) return DD_ERR_ARG;
    if (args->qkv_format != DD_FMT_BF16 || args->out_format != DD_FMT_BF16_BLOCKS) return DD_ERR_ARG;
    const int64_t active = dd_slices_width(list, width);
    dd_attention_job j = {.g = args, .scratch = exec->scratch, .heads = active / (3 * args->e), .parts = 1};
    if (args->ld_head < 3 * args->e || args->ldq < j.heads * args->ld_head) return DD_ERR_ARG;
    if (!dd_format_ok(args->out_format, args->ldo, active / 3)) return DD_ERR_ARG;
    const int64_t pairs = args->r * j.heads, want = 4 * (int64_t)dd_cpu_threads(exec);
    if (pairs == 0) return DD_OK;
    /* Few heads: share the queries of one too. Each part packs K and V anew, so parts stay long. */
    while (pairs * j.parts < want && args->s / j.parts >= 64) j.parts *= 2;
    j.query_rows = dd_round_up((args->s + j.parts - 1) / j.parts, DD_BLOCK);
    return dd_cpu_for(exec, pairs * j.parts, task, &j);
}
