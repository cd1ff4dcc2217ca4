/* SPDX-License-Identifier: MIT
 * Formula: y = (x - mean) / sqrt(variance + eps) * gamma + beta over the pixels and channels of a group, then perhaps
 * y / (1 + e^-y). Layout: pixels [B,P,C], float32 to bf16. Thread mapping, budget, precision: group_norm_vec.h; one
 * rounding to bf16. Preconditions: checked in group_norm.c. */
#include "kernels/cpu/bf16_insn.h"
#include "kernels/cpu/group_norm_vec.h"

DD_INLINE void norm_part_bf16(const dd_group_norm_job *j, int item, float *scratch, const bool silu)
{
    const dd_group_norm_args *g = j->g;
    const int64_t b = item / j->parts, part = item % j->parts, ld = g->c, at = (b * g->pixels + part * j->each) * ld;
    for (int64_t first = 0, n; first < ld; first += n) {
        n = norm_strip(g, first);
        const norm_affine a = norm_affine_of(g, b, first, n, scratch);
        const float *x = g->x + at + first;
        uint16_t *y = (uint16_t *)g->y + at + first;
        for (int64_t i = dd_group_norm_pixels(j, part); i > 0; i--, x += ld, y += ld)
            for (int64_t c = 0; c < n; c += DD_VL) {
                const __m256i bits = vnarrow(norm_values(&a, x, c, n - c, silu));
                if (n - c >= DD_VL) _mm256_storeu_si256((__m256i *)(void *)(y + c), bits);
                else _mm_storeu_si128((__m128i *)(void *)(y + c), _mm256_castsi256_si128(bits)); /* a chunk of 8 */
            }
    }
}

static void norm_values_bf16_task(void *arg, int item, int thread)
{
    const dd_group_norm_job *j = arg;
    if (j->g->silu) norm_part_bf16(j, item, j->scratch[thread], true);
    else norm_part_bf16(j, item, j->scratch[thread], false);
}

static dd_status group_norm_bf16(const dd_exec *exec, const dd_group_norm_args *args)
{
    return dd_cpu_group_norm_run(exec, args, DD_FMT_BF16, norm_statistics, norm_values_bf16_task);
}
