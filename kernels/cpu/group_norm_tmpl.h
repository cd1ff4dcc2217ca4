/* SPDX-License-Identifier: MIT
 * Formula: y = (x - mean) / sqrt(variance + eps) * gamma + beta over the pixels and channels of a group, then perhaps
 * y / (1 + e^-y). Layout: pixels [B,P,C]. Thread mapping, budget, precision: group_norm_vec.h. Preconditions: checked in
 * group_norm.c. */
#include "kernels/cpu/group_norm_vec.h"

DD_INLINE void norm_put_f32(void *y, int64_t at, vf values, int64_t left) { norm_store((float *)y + at, values, left); }

static void norm_values_task(void *arg, int item, int thread)
{
    const dd_group_norm_job *j = arg;
    if (j->g->silu) norm_part(j, item, j->scratch[thread], true, norm_put_f32);
    else norm_part(j, item, j->scratch[thread], false, norm_put_f32);
}

static dd_status group_norm(const dd_exec *exec, const dd_group_norm_args *args)
{
    return dd_cpu_group_norm_run(exec, args, DD_FMT_F32, norm_statistics, norm_values_task);
}
