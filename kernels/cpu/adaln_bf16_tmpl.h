/* SPDX-License-Identifier: MIT
 * Formula: y = (x - mean) / sqrt(var + eps) * (1 + scale) + shift, mean and var over the row, var biased.
 * Layout: rows of D floats in, blocks of bf16 out, a block row of 64 bytes at a time, zeros behind D; with a list x is
 * gathered and y compact. Thread mapping: items of 16 rows. Budget: registers. Preconditions: checked in adaln.c.
 * Precision: float32, see adaln_vec.h; one rounding to bf16. */
#include "kernels/cpu/adaln_vec.h"
#include "kernels/cpu/bf16_insn.h"

/* y: the row in its first block. */
static void adaln_bf16_row(const dd_adaln_args *g, const float *x, uint16_t *y, const float *cond)
{
    const int d = g->d;
    const float *shift = cond + g->shift, *scale = cond + g->scale;
    const adaln_norm norm = adaln_statistics(x, d, g->eps);
    for (int i = 0; i < d; i += DD_BLOCK, y += DD_BLOCK * DD_BLOCK) {
        const int left = d - i;
        vf low = adaln_values(norm, x + i, shift + i, scale + i, left), high = vsplat(0);
        if (left < DD_VL) low = _mm512_maskz_mov_ps((__mmask16)~bf16_from(left), low);
        if (left > DD_VL) {
            const int j = i + DD_VL;
            high = adaln_values(norm, x + j, shift + j, scale + j, left - DD_VL);
            if (left < 2 * DD_VL) high = _mm512_maskz_mov_ps((__mmask16)~bf16_from(left - DD_VL), high);
        }
        _mm512_storeu_si512(y, vnarrow2(low, high));
    }
}

static void adaln_bf16_task(void *arg, int item, int thread)
{
    (void)thread;
    const dd_adaln_job *j = arg;
    const dd_adaln_args *g = j->g;
    const int64_t first = (int64_t)item * j->rows, last = first + j->rows < j->n ? first + j->rows : j->n;
    for (int64_t i = first; i < last; i++) {
        const int64_t row = dd_row_at(&g->rows, i);
        const float *cond = dd_cond_at(&g->cond, j->step, row / g->s);
        adaln_bf16_row(g, g->x + row * g->d, (uint16_t *)g->y + dd_block_at(g->ldy, i, 0), cond);
    }
}

static dd_status adaln_bf16(const dd_exec *exec, const dd_adaln_args *args)
{
    return dd_cpu_adaln_run(exec, args, DD_FMT_BF16_BLOCKS, adaln_bf16_task);
}
