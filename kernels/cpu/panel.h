/* SPDX-License-Identifier: MIT
 * Layout of a weight packed as float32; panel_bf16.h has the other. Columns (rows of W) are cut into panels of at most 48 that never straddle a unit; a panel
 * is K-major: element (k, col) of a panel of width w lies at k*w + col. Widths are multiples of 8; a matrix whose n is
 * no such multiple is padded with zero columns at its end. Panels follow each other, so a panel starts at (columns
 * before) * K. */
#ifndef DD_KERNELS_CPU_PANEL_H
#define DD_KERNELS_CPU_PANEL_H

#include <stdbool.h>

#include "kernels/ops.h"

#define DD_PANEL 48
#define DD_CPU_TAG 0x31555043u /* "CPU1": a weight packed by another backend, or as bf16, is refused */

struct dd_packed {
    uint32_t tag;
    int32_t unit_panels; /* panels of one unit */
    int64_t n, k;
    int64_t unit;     /* columns of one unit */
    int64_t unit_pad; /* rounded up to DD_CHUNK (differs only where unit == n), or to a panel of bf16 */
    union {           /* behind this header */
        float *data;
        uint16_t *bits; /* panel_bf16.h */
    };
};

typedef struct dd_panel {
    const float *w;  /* k = 0 */
    int64_t col;     /* column of W */
    int64_t slot;    /* its unit is the slot-th active one, */
    int64_t in_unit; /* in which it begins at this column */
    int width;       /* as stored */
    int valid;       /* columns that exist */
} dd_panel;

/* Panels that `chunks` chunks of columns are cut into, and where panel i of them begins and how wide it is, in chunks.
 * A narrow last panel takes columns from its neighbour: 48+8 becomes 32+24, 48+16 becomes 32+32. */
static inline int dd_panel_count(int64_t chunks) { return (int)((chunks + 5) / 6); }

static inline void dd_panel_split(int64_t chunks, int i, int *first, int *width)
{
    const int n = dd_panel_count(chunks), tail = (int)(chunks - 6 * ((int64_t)n - 1)); /* 1..6 */
    const bool share = tail <= 2 && n > 1;
    *first = i == n - 1 && share ? 6 * i - 2 : 6 * i;
    *width = i < n - 2 ? 6 : i == n - 2 ? (share ? 4 : 6) : (share ? tail + 2 : tail);
}

static inline bool dd_cpu_packed_ok(const struct dd_packed *w) { return w != NULL && w->tag == DD_CPU_TAG; }

/* Number of panels that a slice list (checked: whole units) selects, and the i-th of them. */
static inline int dd_panels_active(const struct dd_packed *w, const int32_t *list)
{
    const int64_t units = list ? list[0] * (int64_t)DD_CHUNK / w->unit : w->n / w->unit;
    return (int)(units * w->unit_panels);
}

static inline dd_panel dd_panel_active(const struct dd_packed *w, const int32_t *list, int i)
{
    const int64_t slot = i / w->unit_panels;
    const int64_t unit = list ? list[1 + slot * (w->unit / DD_CHUNK)] * (int64_t)DD_CHUNK / w->unit : slot;
    int first, width;
    dd_panel_split(w->unit_pad / DD_CHUNK, i % w->unit_panels, &first, &width);
    const int64_t in_unit = (int64_t)first * DD_CHUNK;
    dd_panel p = {.col = unit * w->unit + in_unit, .slot = slot, .in_unit = in_unit, .width = width * DD_CHUNK};
    p.valid = w->unit - in_unit < p.width ? (int)(w->unit - in_unit) : p.width;
    p.w = w->data + p.col * w->k;
    return p;
}

#endif
