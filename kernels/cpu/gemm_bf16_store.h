/* SPDX-License-Identifier: MIT
 * The end of a GEMM with bf16 inputs, for AVX512-BF16 and AMX: sums of some rows of a panel, [rows][32] float32, become
 * bias, GELU or residual, and go to c in any format. Columns that do not exist are not written, but for the zeros
 * behind the last column in blocks, which are the business of the last active panel. */
#ifndef DD_KERNELS_CPU_GEMM_BF16_STORE_H
#define DD_KERNELS_CPU_GEMM_BF16_STORE_H

#include "kernels/cpu/bf16_blocks.h"
#include "kernels/cpu/panel_bf16.h"
#include "kernels/cpu/work.h"

typedef struct gemm_bf16_store {
    const dd_gemm_job *j;
    int64_t col;    /* of c, where the panel begins */
    int64_t from;   /* and the column of W */
    __mmask32 live; /* columns that exist */
    bool last;      /* of the active panels */
    vf bias[2];
} gemm_bf16_store;

DD_INLINE gemm_bf16_store gemm_bf16_store_open(const dd_gemm_job *j, const dd_panel_bf16 *p, bool last)
{
    gemm_bf16_store s = {.j = j, .col = p->slot * j->c_unit + p->in_unit, .from = p->col, .live = ~bf16_from(p->valid)};
    s.last = last;
    for (int v = 0; v < 2; v++)
        s.bias[v] = j->g->bias ? _mm512_maskz_loadu_ps((__mmask16)(s.live >> 16 * v), j->g->bias + p->col + 16 * v)
                               : vsplat(0);
    return s;
}

DD_INLINE void gemm_bf16_store_row(const gemm_bf16_store *s, int64_t row, const vf x[2])
{
    const dd_gemm_args *g = s->j->g;
    switch (g->c_format) {
    case DD_FMT_F32: {
        float *c = (float *)g->c + row * g->ldc + s->col;
        for (int v = 0; v < 2; v++) _mm512_mask_storeu_ps(c + 16 * v, (__mmask16)(s->live >> 16 * v), x[v]);
        return;
    }
    case DD_FMT_BF16:
        _mm512_mask_storeu_epi16((uint16_t *)g->c + row * g->ldc + s->col, s->live, vnarrow2(x[0], x[1]));
        return;
    case DD_FMT_BF16_BLOCKS:
        bf16_blocks_store(g->c, g->ldc, row, s->col, s->live, vnarrow2(x[0], x[1]));
        if (s->last) bf16_blocks_finish(g->c, g->ldc, row, s->j->width);
        return;
    default: return; /* refused */
    }
}

/* The row of c += gate x, where the row list says. */
DD_INLINE void gemm_bf16_store_residual(const gemm_bf16_store *s, int64_t item, const vf x[2])
{
    const dd_gemm_args *g = s->j->g;
    const int64_t row = dd_row_at(&g->rows, item);
    const float *gate = dd_cond_at(&g->gate, s->j->step, row / g->s) + g->gate_off + s->from;
    float *c = (float *)g->c + row * g->ldc + s->col;
    for (int v = 0; v < 2; v++) {
        const __mmask16 live = (__mmask16)(s->live >> 16 * v);
        const vf old = _mm512_maskz_loadu_ps(live, c + 16 * v), by = _mm512_maskz_loadu_ps(live, gate + 16 * v);
        _mm512_mask_storeu_ps(c + 16 * v, live, vfma(by, x[v], old));
    }
}

/* n rows of sums from row on. */
DD_INLINE void gemm_bf16_store_rows(const gemm_bf16_store *s, const float *acc, int64_t row, int n)
{
    const dd_epilogue epilogue = s->j->g->epilogue;
    for (int r = 0; r < n; r++, acc += DD_PANEL_BF16) {
        vf x[2] = {_mm512_load_ps(acc) + s->bias[0], _mm512_load_ps(acc + 16) + s->bias[1]};
        if (epilogue == DD_EPI_RESIDUAL) {
            gemm_bf16_store_residual(s, row + r, x);
            continue;
        }
        if (epilogue == DD_EPI_GELU) {
            x[0] = vgelu(x[0]);
            x[1] = vgelu(x[1]);
        }
        gemm_bf16_store_row(s, row + r, x);
    }
}

#endif
