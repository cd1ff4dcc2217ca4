// SPDX-License-Identifier: MIT
// Formula: packed[dd_weight_packed_row(first + i), :] = raw[i, :], converted to what is stored; *bad = 1 where a stored
// value is not finite.
// Layout: raw [last - first, k] as in the file: f32, f16 or bf16; packed row-major [n,k], units together, of desc.as.
// Thread mapping: a thread per DD_CHUNK neighbours of raw, across the ends of rows where k is no multiple of that.
// Budget: at most 48 registers, no shared memory, at least 5 blocks.
// Preconditions: raw and data are multiples of 16 bytes, 0 <= first <= last <= n.
// Precision: exact to float32, else to nearest even. What overflows then is not finite.
#include "kernels/cuda/common.cuh"
#include "kernels/cuda/element.cuh"
#include "kernels/ref/check.h"

#define THREADS 256

static_assert(sizeof(dd_packed) <= DD_CUDA_HEADER, "header of a packed weight");

template <class From, class To>
static __global__ void __launch_bounds__(THREADS)
    pack_kernel(dd_weight_desc d, const From *raw, int64_t first, int64_t n, To *data, int32_t *bad)
{
    const int64_t at = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * DD_CHUNK;
    const int live = n - at < DD_CHUNK ? (int)(n - at) : DD_CHUNK;
    if (live <= 0) return;
    float v[DD_CHUNK] = {0};
    if (live == DD_CHUNK) {
        load_chunk(v, raw + at);
    } else {
#pragma unroll
        for (int i = 0; i < DD_CHUNK; i++) // not to `live`: what is indexed at run time lies in local memory
            if (i < live) v[i] = to_f32(raw[at + i]);
    }
    bool finite = true;
#pragma unroll
    for (int i = 0; i < DD_CHUNK; i++) finite = finite && dd_f32_finite(to_f32(rounded<To>(v[i])));
    if (!finite) atomicOr(bad, 1);
    if (d.k % DD_CHUNK == 0) {
        store_chunk(data + dd_weight_packed_row(&d, first + at / d.k) * d.k + at % d.k, v);
        return;
    }
#pragma unroll
    for (int i = 0; i < DD_CHUNK; i++)
        if (i < live) data[dd_weight_packed_row(&d, first + (at + i) / d.k) * d.k + (at + i) % d.k] = rounded<To>(v[i]);
}

static dd_status check(const dd_weight_desc *d)
{
    if (!dd_weight_desc_ok(d) || (uint64_t)d->n > SIZE_MAX / 8 / (uint64_t)d->k) return DD_ERR_ARG;
    return d->dtype == DD_F32 || d->dtype == DD_F16 || d->dtype == DD_BF16 ? DD_OK : DD_ERR_UNSUPPORTED;
}

size_t dd_cuda_packed_bytes(const dd_weight_desc *desc)
{
    return check(desc) == DD_OK ? (size_t)(desc->n * desc->k) * dd_dtype_bytes(desc->as) : 0;
}

template <class From>
static dd_status pack(cudaStream_t stream, const dd_weight_desc *desc, const void *raw, int64_t first, int64_t n,
                      void *data, int32_t *bad)
{
    const int64_t blocks = ceil_div(n, THREADS * DD_CHUNK);
    if (!grid_ok(blocks, 1)) return DD_ERR_ARG;
    const unsigned x = (unsigned)blocks;
    const From *from = (const From *)raw;
    switch (desc->as) {
    case DD_F32: pack_kernel<<<x, THREADS, 0, stream>>>(*desc, from, first, n, (float *)data, bad); break;
    case DD_TF32: pack_kernel<<<x, THREADS, 0, stream>>>(*desc, from, first, n, (tf32 *)data, bad); break;
    case DD_F16: pack_kernel<<<x, THREADS, 0, stream>>>(*desc, from, first, n, (f16 *)data, bad); break;
    default: pack_kernel<<<x, THREADS, 0, stream>>>(*desc, from, first, n, (bf16 *)data, bad); break;
    }
    return launched();
}

dd_status dd_cuda_pack(void *stream, const dd_weight_desc *desc, const void *raw, int64_t first, int64_t last,
                       void *data, int32_t *bad)
{
    const dd_status st = check(desc);
    if (st != DD_OK) return st;
    if (raw == NULL || data == NULL || bad == NULL || first < 0 || first > last || last > desc->n) return DD_ERR_ARG;
    if ((uintptr_t)raw % DD_VECTOR != 0 || (uintptr_t)data % DD_VECTOR != 0) return DD_ERR_ARG;
    if (first == last) return DD_OK;
    const cudaStream_t s = (cudaStream_t)stream;
    const int64_t n = (last - first) * desc->k;
    switch (desc->dtype) {
    case DD_F32: return pack<float>(s, desc, raw, first, n, data, bad);
    case DD_F16: return pack<f16>(s, desc, raw, first, n, data, bad);
    default: return pack<bf16>(s, desc, raw, first, n, data, bad);
    }
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
