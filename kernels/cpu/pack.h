/* SPDX-License-Identifier: MIT
 * What packing as float32 (pack.c) and as bf16 (pack_bf16.c) share: the header and reading the source. */
#ifndef DD_KERNELS_CPU_PACK_H
#define DD_KERNELS_CPU_PACK_H

#include "kernels/cpu/panel_bf16.h"

#define DD_PACK_HEADER 64

_Static_assert(sizeof(struct dd_packed) <= DD_PACK_HEADER, "header of a packed weight");

/* n values of row `row` of the packed order, from k on, of any alignment, as float32. n <= 32. */
static inline void dd_pack_load(float *dst, const dd_weight_desc *d, int64_t row, int64_t k, int n)
{
    uint16_t h[32];
    const size_t at = (size_t)(dd_weight_row(d, row) * d->k + k);
    const unsigned char *p = (const unsigned char *)d->data + at * dd_dtype_bytes(d->dtype);
    if (d->dtype == DD_F32) {
        memcpy(dst, p, (size_t)n * sizeof *dst);
        return;
    }
    memcpy(h, p, (size_t)n * sizeof *h);
    if (d->dtype == DD_BF16) {
        for (int i = 0; i < n; i++) dst[i] = dd_bf16_to_f32(h[i]);
    } else {
        for (int i = 0; i < n; i++) dst[i] = dd_f16_to_f32(h[i]);
    }
}

/* Bytes behind the header, header to be filled, one panel; descriptions are checked. */
size_t dd_cpu_bf16_bytes(const dd_weight_desc *desc);
void dd_cpu_bf16_begin(const dd_weight_desc *desc, struct dd_packed *w);
bool dd_cpu_bf16_panel(const struct dd_packed *w, const dd_weight_desc *desc, int i); /* false: not finite */

#endif
