// SPDX-License-Identifier: MIT
// Packing of weights: conversion to float32 in the order of dd_weight_row, on the host. Every value is checked to be
// finite: the exactness of skipping rests on 0 * w == 0.
#include <string.h>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/packed.h"
#include "kernels/ref/check.h"

static_assert(sizeof(dd_packed) <= DD_CUDA_HEADER, "header of a packed weight");

static bool desc_ok(const dd_weight_desc *d)
{
    return dd_weight_desc_ok(d) && (uint64_t)d->n <= SIZE_MAX / 8 / (uint64_t)d->k;
}

static dd_status check(const dd_weight_desc *d)
{
    if (!desc_ok(d)) return DD_ERR_ARG;
    if (d->as != DD_F32) return DD_ERR_UNSUPPORTED;
    return d->dtype == DD_F32 || d->dtype == DD_F16 || d->dtype == DD_BF16 ? DD_OK : DD_ERR_UNSUPPORTED;
}

size_t dd_cuda_packed_bytes(const dd_weight_desc *desc)
{
    return check(desc) == DD_OK ? (size_t)(desc->n * desc->k) * sizeof(float) : 0;
}

dd_status dd_cuda_pack_rows(const dd_weight_desc *desc, int64_t first, int64_t last, void *staging)
{
    const dd_status st = check(desc);
    if (st != DD_OK) return st;
    if (staging == NULL || first < 0 || first > last || last > desc->n) return DD_ERR_ARG;
    const size_t size = dd_dtype_bytes(desc->dtype);
    float *to = (float *)staging;
    for (int64_t row = first; row < last; row++) {
        const unsigned char *from = (const unsigned char *)desc->data +
                                    (size_t)(dd_weight_row(desc, row) * desc->k) * size;
        for (int64_t i = 0; i < desc->k; i++, to++) {
            *to = dd_load_f32(from + (size_t)i * size, desc->dtype);
            if (!dd_f32_finite(*to)) return DD_ERR_FORMAT;
        }
    }
    return DD_OK;
}

dd_status dd_cuda_pack_bind(const dd_weight_desc *desc, const void *data, void *storage, dd_packed **out)
{
    const dd_status st = check(desc);
    if (st != DD_OK) return st;
    if (data == NULL || storage == NULL || out == NULL) return DD_ERR_ARG;
    dd_packed *w = (dd_packed *)storage;
    w->tag = DD_CUDA_TAG;
    w->as = desc->as;
    w->n = desc->n;
    w->k = desc->k;
    w->unit = desc->n_unit;
    w->data = data;
    *out = w;
    return DD_OK;
}
