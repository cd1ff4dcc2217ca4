/* SPDX-License-Identifier: MIT
 * Weights: rows of the file go to the device as they are and are converted and permuted there. */
#include <stdlib.h>

#include "host/exec/backend_common.h"
#include "host/exec/plugin_cuda.h"
#include "kernels/cuda/cuda.h"

#define RAW_BYTES ((size_t)8 << 20) /* of rows on the device at a time; one row where that is longer */

/* What ops see of a weight, in host memory. */
struct dd_cuda_header {
    _Alignas(DD_CUDA_HEADER) unsigned char packed[DD_CUDA_HEADER];
    dd_cuda_header *next;
    const void *storage; /* of the weight, on the device */
};

size_t dd_cuda_weight_bytes(dd_backend *be, const dd_weight_desc *desc)
{
    (void)be;
    return dd_cuda_packed_bytes(desc);
}

static dd_status raw_open(dd_cuda *c, size_t bytes, dd_err *err)
{
    if (bytes < RAW_BYTES) bytes = RAW_BYTES;
    if (bytes <= c->raw_bytes) return DD_OK;
    dd_cuda_raw_close(c);
    DD_TRY(dd_cuda_alloc(&c->base, bytes, &c->raw, err));
    c->raw_bytes = bytes;
    return DD_OK;
}

void dd_cuda_raw_close(dd_cuda *c)
{
    if (c->raw) (void)dd_cuda_check(c, cudaFree(c->raw), "cudaFree", NULL);
    c->raw = NULL;
    c->raw_bytes = 0;
}

/* The stream keeps rows from being overwritten before they are packed. */
static dd_status pack_rows(dd_cuda *c, const dd_weight_desc *desc, void *storage, dd_err *err)
{
    const size_t row_bytes = (size_t)desc->k * dd_dtype_bytes(desc->dtype);
    const int64_t rows = row_bytes < RAW_BYTES ? (int64_t)(RAW_BYTES / row_bytes) : 1;
    DD_TRY(raw_open(c, row_bytes, err));
    DD_TRY(dd_cuda_clear(&c->base, c->bad, sizeof *c->bad, err));
    for (int64_t first = 0, last; first < desc->n; first = last) {
        last = desc->n - first < rows ? desc->n : first + rows;
        const unsigned char *src = (const unsigned char *)desc->data + (size_t)first * row_bytes;
        DD_TRY(dd_cuda_upload(&c->base, c->raw, src, (size_t)(last - first) * row_bytes, err));
        const dd_status st = dd_cuda_pack(c->stream, desc, c->raw, first, last, storage, c->bad);
        if (st == DD_ERR_DEVICE) return dd_cuda_check(c, cudaGetLastError(), "packing of a weight", err);
        if (st != DD_OK) return dd_pack_status(st, desc, err);
    }
    int32_t bad = 0;
    DD_TRY(dd_cuda_download(&c->base, &bad, c->bad, sizeof bad, err));
    return bad ? dd_pack_status(DD_ERR_FORMAT, desc, err) : DD_OK;
}

dd_status dd_cuda_weight_pack(dd_backend *be, const dd_weight_desc *desc, void *storage, dd_packed **out, dd_err *err)
{
    dd_cuda *c = dd_cuda_of(be);
    DD_TRY(dd_cuda_enter(c, err));
    dd_cuda_header *h = aligned_alloc(DD_CUDA_HEADER, sizeof *h);
    if (!h) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for tensor %s", desc->name);
    dd_status st = dd_pack_status(dd_cuda_pack_bind(desc, storage, h->packed, out), desc, err);
    if (st == DD_OK) st = pack_rows(c, desc, storage, err);
    if (st != DD_OK) {
        free(h);
        return st;
    }
    h->storage = storage;
    h->next = c->headers;
    c->headers = h;
    return DD_OK;
}

void dd_cuda_weight_forget(dd_cuda *c, const void *storage)
{
    for (dd_cuda_header **at = &c->headers; *at; at = &(*at)->next) {
        dd_cuda_header *h = *at;
        if (h->storage != storage) continue;
        *at = h->next;
        free(h);
        return;
    }
}
