/* SPDX-License-Identifier: MIT
 * Faulty GEMMs: the reference on wrong arguments, or its result altered. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"
#include "kernels/ref/ref_pack.h"
#include "tests/checkkernel/check.h"
#include "tests/checkkernel/mutants.h"

typedef dd_status gemm_fn(const dd_exec *e, const dd_gemm_args *a);

typedef struct dims {
    int64_t m, n, k, width;
    const int32_t *n_list, *k_list;
} dims;

static dims dims_of(const dd_exec *e, const dd_gemm_args *a)
{
    dims d = {.n_list = dd_slices_at(a->n, *e->step), .k_list = dd_slices_at(a->k, *e->step)};
    d.m = dd_row_count(&a->rows, a->m);
    d.n = dd_slices_width(d.n_list, a->w->n);
    d.k = dd_slices_width(d.k_list, a->w->k);
    d.width = dd_result_width(d.n, a->w->n_unit, a->c_unit);
    return d;
}

static int64_t column(const dd_gemm_args *a, int64_t i)
{
    return i / a->w->n_unit * (a->c_unit ? a->c_unit : a->w->n_unit) + i % a->w->n_unit;
}

static int64_t out_row(const dd_gemm_args *a, int64_t i)
{
    return a->epilogue == DD_EPI_RESIDUAL ? dd_row_at(&a->rows, i) : i;
}

static float get(const dd_gemm_args *a, int64_t row, int64_t col)
{
    return dd_ref_load(a->c, a->c_format, a->ldc, row, col);
}

static void put(const dd_gemm_args *a, int64_t row, int64_t col, float x)
{
    dd_ref_store(a->c, a->c_format, a->ldc, row, col, (double)x);
}

static dd_status skips_last_row(const dd_exec *e, const dd_gemm_args *a)
{
    const dims d = dims_of(e, a);
    const int32_t count = (int32_t)(d.m > 0 ? d.m - 1 : 0);
    dd_gemm_args b = *a;
    b.rows.count = &count;
    return dd_ref_gemm(e, &b);
}

/* The inputs, each changed by f. */
static dd_status with_inputs(const dd_exec *e, const dd_gemm_args *a, float (*f)(const dims *d, int64_t k, float x))
{
    const dims d = dims_of(e, a);
    const int64_t rows = (d.m + 31) / 32 * 32;
    const size_t bytes = (size_t)(rows * a->lda) * (a->a_format == DD_FMT_F32 ? 4 : 2);
    void *copy = ck_alloc(bytes);
    dd_gemm_args b = *a;
    b.a = copy;
    for (int64_t i = 0; i < d.m; i++)
        for (int64_t k = 0; k < d.k; k++)
            dd_ref_store(copy, a->a_format, a->lda, i, k,
                         (double)f(&d, k, dd_ref_load(a->a, a->a_format, a->lda, i, k)));
    const dd_status st = dd_ref_gemm(e, &b);
    free(copy);
    return st;
}

static float without_last(const dims *d, int64_t k, float x) { return k == d->k - 1 ? 0 : x; }

static float tf32(const dims *d, int64_t k, float x)
{
    (void)d;
    (void)k;
    return dd_f32_from_bits((dd_f32_bits(x) + 0x1000u) & 0xffffe000u);
}

static dd_status drops_k_tail(const dd_exec *e, const dd_gemm_args *a) { return with_inputs(e, a, without_last); }
static dd_status rounds_inputs(const dd_exec *e, const dd_gemm_args *a) { return with_inputs(e, a, tf32); }

static dd_status drops_n_tail(const dd_exec *e, const dd_gemm_args *a)
{
    const dims d = dims_of(e, a);
    float *old = ck_alloc((size_t)(d.m + 1) * sizeof *old);
    if (d.n > 0)
        for (int64_t i = 0; i < d.m; i++) old[i] = get(a, out_row(a, i), column(a, d.n - 1));
    const dd_status st = dd_ref_gemm(e, a);
    if (d.n > 0)
        for (int64_t i = 0; i < d.m; i++) put(a, out_row(a, i), column(a, d.n - 1), old[i]);
    free(old);
    return st;
}

/* One active unit is taken for its neighbour. */
static dd_status wrong_slice(const dd_exec *e, const dd_gemm_args *a, bool along_k)
{
    const dims d = dims_of(e, a);
    const int32_t *list = along_k ? d.k_list : d.n_list, zero[8] = {0};
    const int64_t unit = along_k ? DD_CHUNK : a->w->n_unit, all = along_k ? a->w->k : a->w->n, per = unit / DD_CHUNK;
    if (list == NULL || list[0] == 0 || list[0] == all / DD_CHUNK) return dd_ref_gemm(e, a);
    bool on[1024] = {0}, moved = false;
    int32_t *pool = ck_alloc((size_t)(list[0] + 1) * sizeof *pool);
    for (int32_t i = 0; i < list[0]; i++) on[list[1 + i] / per] = true;
    for (int64_t u = 0; !moved && u + 1 < all / unit; u++)
        if (on[u] != on[u + 1]) {
            on[u] = !on[u];
            on[u + 1] = !on[u + 1];
            moved = true;
        }
    for (int64_t u = 0; u < all / unit; u++)
        for (int64_t i = 0; on[u] && i < per; i++) pool[++pool[0]] = (int32_t)(u * per + i);
    dd_gemm_args b = *a;
    *(along_k ? &b.k : &b.n) = (dd_slices){.pool = pool, .offset = zero};
    const dd_status st = dd_ref_gemm(e, &b);
    free(pool);
    return st;
}

static dd_status wrong_n_slice(const dd_exec *e, const dd_gemm_args *a) { return wrong_slice(e, a, false); }
static dd_status wrong_k_slice(const dd_exec *e, const dd_gemm_args *a) { return wrong_slice(e, a, true); }

static dd_status wrong_row(const dd_exec *e, const dd_gemm_args *a)
{
    const dims d = dims_of(e, a);
    if (a->rows.idx == NULL || a->epilogue != DD_EPI_RESIDUAL || d.m <= 0) return dd_ref_gemm(e, a);
    int32_t *idx = ck_alloc((size_t)d.m * sizeof *idx);
    memcpy(idx, a->rows.idx, (size_t)d.m * sizeof *idx);
    for (int64_t i = d.m - 1; i >= 0; i--)
        if (idx[i] + 1 < (i == d.m - 1 ? a->m : idx[i + 1])) {
            idx[i]++;
            break;
        }
    dd_gemm_args b = *a;
    b.rows.idx = idx;
    const dd_status st = dd_ref_gemm(e, &b);
    free(idx);
    return st;
}

static dd_status adds_to_old(const dd_exec *e, const dd_gemm_args *a)
{
    const dims d = dims_of(e, a);
    const bool residual = a->epilogue == DD_EPI_RESIDUAL;
    float *old = ck_alloc((size_t)(d.m * d.n + 1) * sizeof *old);
    for (int64_t i = 0; i < d.m; i++)
        for (int64_t j = 0; j < d.n; j++) old[i * d.n + j] = get(a, out_row(a, i), column(a, j));
    const dd_status st = dd_ref_gemm(e, a);
    for (int64_t i = 0; i < d.m && !residual; i++)
        for (int64_t j = 0; j < d.n; j++) put(a, i, column(a, j), old[i * d.n + j] + get(a, i, column(a, j)));
    free(old);
    return st;
}

static dd_status forgets_old(const dd_exec *e, const dd_gemm_args *a)
{
    const dims d = dims_of(e, a);
    if (a->epilogue == DD_EPI_RESIDUAL)
        for (int64_t i = 0; i < d.m; i++)
            for (int64_t j = 0; j < d.n; j++) put(a, out_row(a, i), column(a, j), 0);
    return dd_ref_gemm(e, a);
}

static dd_status wrong_gate_row(const dd_exec *e, const dd_gemm_args *a)
{
    dd_gemm_args b = *a;
    b.s++;
    return dd_ref_gemm(e, &b);
}

static dd_status wrong_gate_offset(const dd_exec *e, const dd_gemm_args *a)
{
    dd_gemm_args b = *a;
    b.gate_off--;
    return dd_ref_gemm(e, &b);
}

static dd_status wrong_step(const dd_exec *e, const dd_gemm_args *a)
{
    const dims d = dims_of(e, a);
    const int32_t step = 0;
    dd_exec other = *e;
    other.step = &step;
    if (d.n_list || d.k_list) return dd_ref_gemm(e, a); /* the lists of another step do not fit the buffers */
    return dd_ref_gemm(&other, a);
}

static float doubled(const float *bias, const dims *d, int64_t n)
{
    (void)d;
    return 2 * bias[n];
}

/* As if the bias were compact. */
static float unlisted(const float *bias, const dims *d, int64_t n)
{
    for (int64_t i = 0; d->n_list && i < d->n; i++)
        if (d->n_list[1 + i / DD_CHUNK] * DD_CHUNK + i % DD_CHUNK == n) return bias[i];
    return bias[n];
}

static dd_status with_bias(const dd_exec *e, const dd_gemm_args *a, float (*f)(const float *, const dims *, int64_t))
{
    const dims d = dims_of(e, a);
    if (a->bias == NULL) return dd_ref_gemm(e, a);
    float *bias = ck_alloc((size_t)a->w->n * sizeof *bias);
    for (int64_t n = 0; n < a->w->n; n++) bias[n] = f(a->bias, &d, n);
    dd_gemm_args b = *a;
    b.bias = bias;
    const dd_status st = dd_ref_gemm(e, &b);
    free(bias);
    return st;
}

static dd_status bias_twice(const dd_exec *e, const dd_gemm_args *a) { return with_bias(e, a, doubled); }
static dd_status bias_compact(const dd_exec *e, const dd_gemm_args *a) { return with_bias(e, a, unlisted); }

/* The result in float32, then another function of it and another way to store. */
static dd_status stored_by(const dd_exec *e, const dd_gemm_args *a, bool erf_gelu, bool cut)
{
    const dims d = dims_of(e, a);
    if (a->epilogue == DD_EPI_RESIDUAL) return dd_ref_gemm(e, a);
    dd_status st = dd_ref_gemm(e, a); /* the tail of blocks */
    float *t = ck_alloc((size_t)(d.m * d.width + 1) * sizeof *t);
    dd_gemm_args b = *a;
    b.c = t;
    b.c_format = DD_FMT_F32;
    b.ldc = d.width;
    if (erf_gelu) b.epilogue = DD_EPI_BIAS;
    if (st == DD_OK) st = dd_ref_gemm(e, &b);
    for (int64_t i = 0; i < d.m; i++)
        for (int64_t j = 0; j < d.n; j++) {
            const float x = t[i * d.width + column(a, j)];
            const float y = erf_gelu && a->epilogue == DD_EPI_GELU ? 0.5f * x * (1 + erff(x * 0.70710678f)) : x;
            if (cut) ck_store_cut(a->c, a->c_format, a->ldc, i, column(a, j), y);
            else put(a, i, column(a, j), y);
        }
    free(t);
    return st;
}

static dd_status gelu_by_erf(const dd_exec *e, const dd_gemm_args *a) { return stored_by(e, a, true, false); }
static dd_status cuts_bits(const dd_exec *e, const dd_gemm_args *a) { return stored_by(e, a, false, true); }

static dd_status leaves_tail(const dd_exec *e, const dd_gemm_args *a)
{
    const dims d = dims_of(e, a);
    uint16_t *tail = ck_tail_save(a->c, a->c_format, a->ldc, d.m, d.width);
    const dd_status st = dd_ref_gemm(e, a);
    ck_tail_restore(a->c, a->c_format, a->ldc, d.m, d.width, tail);
    return st;
}

static void nudge(const dd_gemm_args *a)
{
    if (a->c_format == DD_FMT_F32) *(uint32_t *)a->c ^= 1;
    else *(uint16_t *)a->c ^= 1;
}

static dd_status depends_on_m(const dd_exec *e, const dd_gemm_args *a)
{
    const dd_status st = dd_ref_gemm(e, a);
    if (a->m == 1 && a->epilogue != DD_EPI_RESIDUAL && dims_of(e, a).n > 0) nudge(a);
    return st;
}

static dd_status depends_on_slices(const dd_exec *e, const dd_gemm_args *a)
{
    const dd_status st = dd_ref_gemm(e, a);
    const dims d = dims_of(e, a);
    if (d.n_list && d.n > 0 && d.m > 0 && a->epilogue != DD_EPI_RESIDUAL) nudge(a);
    return st;
}

/* Multiplies what lies behind K, or below the last row, by zero. */
static dd_status reads_too_far(const dd_exec *e, const dd_gemm_args *a, bool rows)
{
    const dd_status st = dd_ref_gemm(e, a);
    const dims d = dims_of(e, a);
    const int64_t k = a->a_format == DD_FMT_BF16_BLOCKS ? (d.k + 31) / 32 * 32 : d.k;
    const int64_t held = a->a_format == DD_FMT_BF16_BLOCKS ? (d.m + 31) / 32 * 32 : a->m;
    if (st != DD_OK || d.m == 0 || d.n == 0 || (rows ? d.m >= held || d.k == 0 : k >= a->lda)) return st;
    const float x = dd_ref_load(a->a, a->a_format, a->lda, rows ? d.m : 0, rows ? 0 : k);
    put(a, out_row(a, 0), 0, get(a, out_row(a, 0), 0) + 0 * x);
    return st;
}

static dd_status reads_padding(const dd_exec *e, const dd_gemm_args *a) { return reads_too_far(e, a, false); }
static dd_status reads_unused_rows(const dd_exec *e, const dd_gemm_args *a) { return reads_too_far(e, a, true); }

static dd_status fills_result_padding(const dd_exec *e, const dd_gemm_args *a)
{
    const dd_status st = dd_ref_gemm(e, a);
    const dims d = dims_of(e, a);
    const int64_t col = a->c_format == DD_FMT_BF16_BLOCKS ? (d.width + 31) / 32 * 32 : d.width;
    if (d.m > 0 && col < a->ldc) put(a, out_row(a, 0), col, 0);
    return st;
}

/* ---- packing ---- */

typedef enum pack_fault {
    CUTS_WEIGHTS,
    KEEPS_PARTS,
    LAST_WEIGHT_MISSING,
    WEIGHTS_NOT_ROUNDED,
    PACKS_TOO_FAR
} pack_fault;

static dd_status pack(const ck_impl *impl, const dd_weight_desc *desc, void *storage, dd_packed **out)
{
    dd_weight_desc d = *desc;
    const size_t n = (size_t)(d.n * d.k);
    float *data = ck_alloc(n * sizeof *data);
    (void)impl;
    if (d.dtype == DD_F32) {
        memcpy(data, d.data, n * sizeof *data);
        d.data = data;
        for (size_t i = 0; i < n && ck_fault == CUTS_WEIGHTS && d.as == DD_BF16; i++)
            data[i] = dd_f32_from_bits(dd_f32_bits(data[i]) & 0xffff0000u);
        if (ck_fault == LAST_WEIGHT_MISSING) data[n - 1] = 0;
    }
    if (ck_fault == KEEPS_PARTS) d.parts = 1;
    if (ck_fault == WEIGHTS_NOT_ROUNDED) d.as = DD_F32;
    const dd_status st = dd_ref_pack(&d, storage, out);
    if (st == DD_OK) (*out)->as = desc->as;
    if (ck_fault == PACKS_TOO_FAR) ((char *)storage)[dd_ref_packed_bytes(desc)] = 0;
    free(data);
    return st;
}

#define GEMM(name, fn)                          \
    {                                           \
        name, DD_OP_gemm, {.gemm = fn}, 0, NULL \
    }
#define PACK(name, fault)                  \
    {                                      \
        name, DD_OP_gemm, {0}, fault, pack \
    }
static const ck_mutant list[] = {
    GEMM("skips the last row", skips_last_row),
    GEMM("drops the last of K", drops_k_tail),
    GEMM("drops the last column", drops_n_tail),
    GEMM("inputs rounded to 11 bits", rounds_inputs),
    GEMM("takes a neighbouring unit of N", wrong_n_slice),
    GEMM("takes a neighbouring chunk of K", wrong_k_slice),
    GEMM("row list off by one", wrong_row),
    GEMM("adds to what was there", adds_to_old),
    GEMM("residual forgets what was there", forgets_old),
    GEMM("gate of the wrong row", wrong_gate_row),
    GEMM("gate off by one", wrong_gate_offset),
    GEMM("tables of another step", wrong_step),
    GEMM("bias added twice", bias_twice),
    GEMM("bias indexed by the compact column", bias_compact),
    GEMM("GELU by erf instead of tanh", gelu_by_erf),
    GEMM("bf16 by truncation", cuts_bits),
    GEMM("tail of blocks is not zeroed", leaves_tail),
    GEMM("depends on m", depends_on_m),
    GEMM("depends on the slices", depends_on_slices),
    GEMM("reads the padding of its input", reads_padding),
    GEMM("reads rows that are not valid", reads_unused_rows),
    GEMM("writes into the padding of its result", fills_result_padding),
    PACK("weights cut to bf16", CUTS_WEIGHTS),
    PACK("weights not rounded to bf16", WEIGHTS_NOT_ROUNDED),
    PACK("q, k and v not put together", KEEPS_PARTS),
    PACK("last weight missing", LAST_WEIGHT_MISSING),
    PACK("packs too far", PACKS_TOO_FAR),
};

ck_mutants ck_mutants_gemm(void) { return (ck_mutants){list, CK_COUNT(list)}; }
