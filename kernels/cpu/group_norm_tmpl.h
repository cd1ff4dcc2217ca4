/* SPDX-License-Identifier: MIT
 * Formula: y = (x - mean) / sqrt(variance + eps) * gamma + beta over the pixels and channels of a group, then perhaps
 * y / (1 + e^-y). Layout: pixels [B,P,C]. Thread mapping, budget, precision: group_norm_vec.h. Preconditions: checked in
 * group_norm.c. */
#include "kernels/cpu/group_norm_vec.h"

DD_INLINE void norm_part(const dd_group_norm_job *j, int item, float *scratch, const bool silu)
{
    const dd_group_norm_args *g = j->g;
    const int64_t b = item / j->parts, part = item % j->parts, ld = g->c, at = (b * g->pixels + part * j->each) * ld;
    for (int64_t first = 0, n; first < ld; first += n) {
        n = norm_strip(g, first);
        const norm_affine a = norm_affine_of(g, b, first, n, scratch);
        const float *x = g->x + at + first;
        float *y = (float *)g->y + at + first;
        for (int64_t i = dd_group_norm_pixels(j, part); i > 0; i--, x += ld, y += ld)
            for (int64_t c = 0; c < n; c += DD_VL) norm_store(y + c, norm_values(&a, x, c, n - c, silu), n - c);
    }
}

static void norm_values_task(void *arg, int item, int thread)
{
    const dd_group_norm_job *j = arg;
    if (j->g->silu) norm_part(j, item, j->scratch[thread], true);
    else norm_part(j, item, j->scratch[thread], false);
}

static dd_status group_norm(const dd_exec *exec, const dd_group_norm_args *args)
{
    return dd_cpu_group_norm_run(exec, args, DD_FMT_F32, norm_statistics, norm_values_task);
}
