/* SPDX-License-Identifier: MIT
 * Packing of weights for the reference backend: conversion to float32, rounded as they are to be stored, in the order
 * of dd_weight_row. */
#include "kernels/ref/ref_pack.h"

#include <string.h>

#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"

#define HEADER 64

_Static_assert(sizeof(struct dd_packed) <= HEADER, "header of a packed weight");

static bool desc_ok(const dd_weight_desc *d)
{
    return dd_weight_desc_ok(d) && (uint64_t)d->n <= (SIZE_MAX / 8 - HEADER) / (uint64_t)d->k;
}

size_t dd_ref_packed_bytes(const dd_weight_desc *desc)
{
    return desc_ok(desc) ? HEADER + (size_t)(desc->n * desc->k) * sizeof(float) : 0;
}

dd_status dd_ref_pack(const dd_weight_desc *desc, void *storage, dd_packed **out)
{
    if (!desc_ok(desc) || storage == NULL || out == NULL) return DD_ERR_ARG;
    if (desc->dtype != DD_F32 && desc->dtype != DD_F16 && desc->dtype != DD_BF16) return DD_ERR_UNSUPPORTED;
    float *data = (float *)(void *)((unsigned char *)storage + HEADER);
    const size_t step = dd_dtype_bytes(desc->dtype);
    for (int64_t row = 0; row < desc->n; row++) {
        const int64_t from = dd_weight_row(desc, row) * desc->k;
        float *to = data + row * desc->k;
        for (int64_t i = 0; i < desc->k; i++) {
            const void *at = (const unsigned char *)desc->data + (size_t)(from + i) * step;
            to[i] = dd_rounded(dd_load_f32(at, desc->dtype), desc->as);
            if (!dd_f32_finite(to[i])) return DD_ERR_FORMAT;
        }
    }
    struct dd_packed *w = storage;
    *w = (struct dd_packed){
        .tag = DD_REF_TAG, .n = desc->n, .k = desc->k, .n_unit = desc->n_unit, .as = desc->as, .data = data};
    *out = w;
    return DD_OK;
}
