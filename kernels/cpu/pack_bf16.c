/* SPDX-License-Identifier: MIT
 * Packing of weights into panels of bf16 (panel_bf16.h): rounded to nearest even, and every rounded value is finite. */
#include <string.h>

#include "kernels/cpu/pack.h"

size_t dd_cpu_bf16_bytes(const dd_weight_desc *desc)
{
    const int64_t panels = desc->n / desc->n_unit * ((desc->n_unit + DD_PANEL_BF16 - 1) / DD_PANEL_BF16);
    return (size_t)(panels * dd_panel_bf16_size(desc->k)) * sizeof(uint16_t);
}

void dd_cpu_bf16_begin(const dd_weight_desc *desc, struct dd_packed *w)
{
    w->tag = DD_CPU_TAG_BF16;
    w->unit_panels = (int32_t)((desc->n_unit + DD_PANEL_BF16 - 1) / DD_PANEL_BF16);
    w->unit_pad = (int64_t)w->unit_panels * DD_PANEL_BF16;
    w->bits = (uint16_t *)(void *)((unsigned char *)w + DD_PACK_HEADER);
}

/* dd_f32_to_bf16 of a finite value, without its branch. A value at the end of the range becomes infinity. */
static uint32_t rounded(uint32_t u) { return (u + 0x7fffu + ((u >> 16) & 1u)) >> 16; }

static uint32_t not_finite(uint32_t bits, uint32_t exponent) { return (uint32_t)((bits & exponent) == exponent); }

bool dd_cpu_bf16_panel(const struct dd_packed *w, const dd_weight_desc *desc, int i)
{
    const dd_panel_bf16 p = dd_panel_bf16_active(w, NULL, i);
    uint16_t *dst = w->bits + (p.w - w->bits), block[DD_PANEL_BF16][DD_BLOCK] = {{0}}; /* columns past `valid`: zero */
    float row[DD_BLOCK] = {0};
    uint32_t bad = 0, bits[DD_BLOCK];
    for (int64_t k = 0; k < desc->k; k += DD_BLOCK) {
        const int n = desc->k - k < DD_BLOCK ? (int)(desc->k - k) : DD_BLOCK;
        for (int j = 0; j < p.valid; j++) {
            if (n < DD_BLOCK) memset(row, 0, sizeof row);
            dd_pack_load(row, desc, p.col + j, k, n);
            memcpy(bits, row, sizeof bits);
            for (int x = 0; x < DD_BLOCK; x++) {
                const uint32_t r = rounded(bits[x]);
                bad |= not_finite(bits[x], 0x7f800000u) | not_finite(r, 0x7f80u);
                block[j][x] = (uint16_t)r;
            }
        }
        for (int x = 0; x < DD_BLOCK; x += 2)
            for (int j = 0; j < DD_PANEL_BF16; j++, dst += 2) memcpy(dst, &block[j][x], 2 * sizeof *dst);
    }
    return !bad;
}
