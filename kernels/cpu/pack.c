/* SPDX-License-Identifier: MIT
 * Packing of weights: entry points, and panels of float32 (panel.h); pack_bf16.c makes those of bf16. Every value is
 * checked to be finite: the exactness of skipping rests on 0 * w == 0. */
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/pack.h"
#include "kernels/ref/check.h"

#define BLOCK 16 /* k at a time: 48 x 16 floats stay in the L1 cache between reading by row and writing by column */

static int64_t pad(int64_t n) { return (n + DD_CHUNK - 1) / DD_CHUNK * DD_CHUNK; }

static bool desc_ok(const dd_weight_desc *d)
{
    if (!dd_weight_desc_ok(d) || (d->as != DD_F32 && d->as != DD_BF16)) return false;
    if (d->n > INT32_MAX - DD_BLOCK || d->k > INT32_MAX - DD_BLOCK) return false;
    /* With all padding bf16 may take 4 times n, and 32 for k. */
    return (uint64_t)d->n + DD_BLOCK <= (SIZE_MAX / 64 - DD_PACK_HEADER) / ((uint64_t)d->k + DD_BLOCK);
}

size_t dd_cpu_packed_bytes(const dd_weight_desc *desc)
{
    if (!desc_ok(desc)) return 0;
    if (desc->as == DD_BF16) return DD_PACK_HEADER + dd_cpu_bf16_bytes(desc);
    return DD_PACK_HEADER + (size_t)(pad(desc->n) * desc->k) * sizeof(float);
}

dd_status dd_cpu_pack_begin(const dd_weight_desc *desc, void *storage, dd_packed **out)
{
    if (!desc_ok(desc) || storage == NULL || out == NULL) return DD_ERR_ARG;
    if (desc->dtype != DD_F32 && desc->dtype != DD_F16 && desc->dtype != DD_BF16) return DD_ERR_UNSUPPORTED;
    struct dd_packed *w = storage;
    *w = (struct dd_packed){.tag = DD_CPU_TAG, .n = desc->n, .k = desc->k, .unit = desc->n_unit};
    *out = w;
    if (desc->as == DD_BF16) {
        dd_cpu_bf16_begin(desc, w);
        return DD_OK;
    }
    w->unit_pad = pad(w->unit);
    w->unit_panels = dd_panel_count(w->unit_pad / DD_CHUNK);
    w->data = (float *)(void *)((unsigned char *)storage + DD_PACK_HEADER);
    return DD_OK;
}

int dd_cpu_panels(const dd_packed *packed) { return dd_panels_active(packed, NULL); }

/* Packs one panel; false where a value is not finite. */
static bool pack_panel(float *dst, const dd_panel *p, const dd_weight_desc *d)
{
    float block[DD_PANEL][BLOCK] = {{0}}; /* columns past `valid` stay zero */
    uint32_t bad = 0;
    for (int64_t k = 0; k < d->k; k += BLOCK) {
        const int n = d->k - k < BLOCK ? (int)(d->k - k) : BLOCK;
        for (int j = 0; j < p->valid; j++) {
            dd_pack_load(block[j], d, p->col + j, k, n);
            for (int i = 0; i < n; i++) bad |= (uint32_t)!dd_f32_finite(block[j][i]);
        }
        for (int i = 0; i < n; i++)
            for (int j = 0; j < p->width; j++) *dst++ = block[j][i];
    }
    return !bad;
}

dd_status dd_cpu_pack_panels(dd_packed *packed, const dd_weight_desc *desc, int first, int last)
{
    if (!desc_ok(desc) || packed == NULL || packed->n != desc->n || packed->k != desc->k) return DD_ERR_ARG;
    const bool bf16 = desc->as == DD_BF16;
    if (bf16 ? !dd_cpu_packed_bf16_ok(packed) : !dd_cpu_packed_ok(packed)) return DD_ERR_ARG;
    if (packed->unit != desc->n_unit || first < 0 || first > last || last > dd_cpu_panels(packed)) return DD_ERR_ARG;
    for (int i = first; i < last; i++) {
        if (bf16) {
            if (!dd_cpu_bf16_panel(packed, desc, i)) return DD_ERR_FORMAT;
            continue;
        }
        const dd_panel p = dd_panel_active(packed, NULL, i);
        if (!pack_panel(packed->data + (p.w - packed->data), &p, desc)) return DD_ERR_FORMAT;
    }
    return DD_OK;
}

dd_status dd_cpu_pack(const dd_weight_desc *desc, void *storage, dd_packed **out)
{
    dd_packed *w;
    dd_status st = dd_cpu_pack_begin(desc, storage, &w);
    if (st == DD_OK) st = dd_cpu_pack_panels(w, desc, 0, dd_cpu_panels(w));
    if (st == DD_OK) *out = w;
    return st;
}
