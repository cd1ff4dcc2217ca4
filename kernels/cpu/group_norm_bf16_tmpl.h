/* SPDX-License-Identifier: MIT
 * Formula: y = (x - mean) / sqrt(variance + eps) * gamma + beta over the pixels and channels of a group, then perhaps
 * y / (1 + e^-y). Layout: pixels [B,P,C], float32 to bf16. Thread mapping, budget, precision: group_norm_vec.h; one
 * rounding to bf16. Preconditions: checked in group_norm.c. */
#include "kernels/cpu/bf16_insn.h"
#include "kernels/cpu/group_norm_vec.h"

DD_INLINE void norm_put_bf16(void *y, int64_t at, vf values, int64_t left)
{
    const __mmask32 live = left >= DD_VL ? 0xffff : (1u << left) - 1;
    _mm512_mask_storeu_epi16((uint16_t *)y + at, live, _mm512_castsi256_si512(vnarrow(values)));
}

static void norm_values_bf16_task(void *arg, int item, int thread)
{
    const dd_group_norm_job *j = arg;
    if (j->g->silu) norm_part(j, item, j->scratch[thread], true, norm_put_bf16);
    else norm_part(j, item, j->scratch[thread], false, norm_put_bf16);
}

static dd_status group_norm_bf16(const dd_exec *exec, const dd_group_norm_args *args)
{
    return dd_cpu_group_norm_run(exec, args, DD_FMT_BF16, norm_statistics, norm_values_bf16_task);
}
