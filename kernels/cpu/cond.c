/* SPDX-License-Identifier: MIT
 * Formula: c[s,l,:] = SiLU(temb[step + s,:] + emb[labels[l],:]).
 * Layout: [slots, n_cond, D] float32, bf16 rows or bf16 blocks. Threads: the (step, label) pairs. Budget: none.
 * Preconditions: labels index emb. Precision: float32, each operation rounded; expf of the C library. Rounded
 * once more for bf16. */
#include <math.h>

#include "kernels/cpu/work.h"

typedef struct job {
    const dd_cond_args *a;
    int32_t step;
} job;

static void cond_row(void *arg, int item, int thread)
{
    (void)thread;
    const job *j = arg;
    const dd_cond_args *a = j->a;
    const int64_t d = a->d;
    const float *t = a->temb + (j->step + item / a->n_cond) * d, *e = a->emb + a->labels[item % a->n_cond] * d;
    for (int64_t i = 0; i < d; i++) {
        const float z = t[i] + e[i], silu = z / (1.0f + expf(-z));
        switch (a->c_format) {
        case DD_FMT_F32: ((float *)a->c)[item * a->ldc + i] = silu; break;
        case DD_FMT_BF16: ((uint16_t *)a->c)[item * a->ldc + i] = dd_f32_to_bf16(silu); break;
        case DD_FMT_BF16_BLOCKS: ((uint16_t *)a->c)[dd_block_at(a->ldc, item, i)] = dd_f32_to_bf16(silu); break;
        default: break; /* refused */
        }
    }
    if (a->c_format != DD_FMT_BF16_BLOCKS) return;
    for (int64_t i = d; i % DD_BLOCK != 0; i++) ((uint16_t *)a->c)[dd_block_at(a->ldc, item, i)] = 0;
}

dd_status dd_cpu_cond(const dd_exec *exec, const dd_cond_args *args)
{
    if (!dd_cpu_exec_ok(exec, 0) || args == NULL || args->temb == NULL || args->emb == NULL) return DD_ERR_ARG;
    if (args->labels == NULL || args->c == NULL || args->slots < 0 || args->n_cond < 0 || args->d <= 0)
        return DD_ERR_ARG;
    if (*exec->step > args->steps) return DD_ERR_ARG;
    if (!dd_cpu_format_ok(args->c_format, args->ldc, args->d)) return DD_ERR_ARG;
    for (int64_t l = 0; l < args->n_cond; l++)
        if (args->labels[l] < 0) return DD_ERR_ARG;
    const int64_t left = args->steps - *exec->step;
    job j = {.a = args, .step = *exec->step};
    return dd_cpu_for(exec, (left < args->slots ? left : args->slots) * args->n_cond, cond_row, &j);
}
