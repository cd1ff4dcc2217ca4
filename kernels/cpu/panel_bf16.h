/* SPDX-License-Identifier: MIT
 * Layout of a weight packed as bf16, for AVX512-BF16 and AMX alike. Columns (rows of W) are cut into panels of 32 that
 * never straddle a unit: a unit is padded with zero columns, K with zeros to a multiple of 32. Element (k, col) of a panel
 * lies at (k/2 * 32 + col) * 2 + k%2: pairs along K side by side. So a chunk of K is 512 contiguous bytes, and a step of
 * 32 is 2 KiB: two operand tiles of AMX (16 pairs x 16 columns) with rows of 128 bytes. Panels follow each other. */
#ifndef DD_KERNELS_CPU_PANEL_BF16_H
#define DD_KERNELS_CPU_PANEL_BF16_H

#include "kernels/cpu/panel.h"

#define DD_PANEL_BF16 DD_BLOCK
#define DD_PANEL_BF16_CHUNK (DD_CHUNK * DD_PANEL_BF16) /* elements of a chunk of K */
#define DD_CPU_TAG_BF16 0x42555043u                    /* "CPUB" */

typedef struct dd_panel_bf16 {
    const uint16_t *w; /* k = 0 */
    int64_t col;       /* column of W */
    int64_t slot;      /* its unit is the slot-th active one, */
    int64_t in_unit;   /* in which it begins at this column */
    int valid;         /* columns that exist, 1 .. 32 */
} dd_panel_bf16;

static inline bool dd_cpu_packed_bf16_ok(const struct dd_packed *w) { return w != NULL && w->tag == DD_CPU_TAG_BF16; }

/* Elements of a panel. */
static inline int64_t dd_panel_bf16_size(int64_t k)
{
    return (k + DD_BLOCK - 1) / DD_BLOCK * (DD_BLOCK * DD_PANEL_BF16);
}

/* The i-th of the dd_panels_active panels that a slice list (checked: whole units) selects. */
static inline dd_panel_bf16 dd_panel_bf16_active(const struct dd_packed *w, const int32_t *list, int i)
{
    const int64_t slot = i / w->unit_panels, at = i % w->unit_panels;
    const int64_t unit = list ? list[1 + slot * (w->unit / DD_CHUNK)] * (int64_t)DD_CHUNK / w->unit : slot;
    dd_panel_bf16 p = {.slot = slot, .in_unit = at * DD_PANEL_BF16};
    p.col = unit * w->unit + p.in_unit;
    p.valid = w->unit - p.in_unit < DD_PANEL_BF16 ? (int)(w->unit - p.in_unit) : DD_PANEL_BF16;
    p.w = w->bits + (unit * w->unit_panels + at) * dd_panel_bf16_size(w->k);
    return p;
}

#endif
