/* SPDX-License-Identifier: MIT
 * Preconditions that the reference and the CPU ops share. */
#ifndef DD_KERNELS_REF_CHECK_H
#define DD_KERNELS_REF_CHECK_H

#include <stdbool.h>

#include "kernels/ops.h"

static inline bool dd_exec_ok(const dd_exec *exec) { return exec != NULL && exec->step != NULL && *exec->step >= 0; }

/* Ascending chunks inside an axis of `width`, in whole runs of `unit` elements (unit == width: all or nothing). */
static inline bool dd_slices_ok(const int32_t *list, int64_t width, int64_t unit)
{
    if (list == NULL) return true;
    if (width % DD_CHUNK != 0 || unit % DD_CHUNK != 0) return false;
    const int64_t n = width / DD_CHUNK, per = unit / DD_CHUNK;
    if (list[0] < 0 || list[0] > n || list[0] % per != 0) return false;
    for (int64_t i = 0; i < list[0]; i++) {
        const int64_t chunk = list[1 + i], before = i ? list[i] : -1;
        if (chunk <= before || chunk >= n) return false;
        if (i % per == 0 ? chunk % per != 0 : chunk != before + 1) return false;
    }
    return true;
}

/* Elements of an axis that are in force. */
static inline int64_t dd_slices_width(const int32_t *list, int64_t width)
{
    return list ? (int64_t)list[0] * DD_CHUNK : width;
}

/* Rows to work on: the count on the device where there is one, else max. -1 where the count is impossible. */
static inline int64_t dd_row_count(const dd_row_list *rows, int64_t max)
{
    if (rows->count == NULL) return rows->idx == NULL ? max : -1;
    return *rows->count < 0 || *rows->count > max ? -1 : *rows->count;
}

/* Each of the first n entries names a row below max, ascending: no row is written twice. */
static inline bool dd_row_list_ok(const dd_row_list *rows, int64_t n, int64_t max)
{
    if (rows->idx == NULL) return n <= max;
    for (int64_t i = 0; i < n; i++) {
        if (rows->idx[i] < 0 || rows->idx[i] >= max) return false;
        if (i > 0 && rows->idx[i] <= rows->idx[i - 1]) return false;
    }
    return true;
}

static inline int64_t dd_row_at(const dd_row_list *rows, int64_t i) { return rows->idx ? rows->idx[i] : i; }

/* Rows of float32 or bf16; what is written in place keeps its format. */
static inline bool dd_branch_formats_ok(const dd_branch *b)
{
    const bool f = b->f_format == DD_FMT_F32 || b->f_format == DD_FMT_BF16;
    const bool out = b->out_format == DD_FMT_F32 || b->out_format == DD_FMT_BF16;
    return b->f != NULL && f && out && b->keep != b->f && (b->change != b->f || b->f_format == b->out_format);
}

/* Branches of which each has its rows, and its gate where it wants one. */
static inline bool dd_gated_add_ok(const dd_gated_add_args *a)
{
    if (a == NULL || a->x == NULL || a->r <= 0 || a->s <= 0 || a->d <= 0) return false;
    if (a->n < 1 || a->n > DD_MAX_BRANCHES) return false;
    const int64_t all = (int64_t)a->r * a->s;
    for (int i = 0; i < a->n; i++) {
        const dd_branch *b = &a->branch[i];
        const int64_t n = dd_row_count(&b->rows, all);
        if (!dd_branch_formats_ok(b) || b->gate < -1 || n < 0 || !dd_row_list_ok(&b->rows, n, all)) return false;
        if (b->rows.idx == NULL && n != all) return false;
        if (b->gate >= 0 && (a->cond.table == NULL || a->cond.slot == NULL || a->cond.row_cond == NULL)) return false;
    }
    return true;
}

static inline bool dd_cond_table_ok(const dd_cond_table *t)
{
    return t->table != NULL && t->slot != NULL && t->row_cond != NULL;
}

/* Sources, and a LayerNorm that is of their sum. */
static inline bool dd_depth_average_ok(const dd_depth_average_args *a)
{
    if (a == NULL || a->y == NULL || a->r <= 0 || a->s <= 0 || a->d <= 0) return false;
    if (a->n < 1 || a->n > DD_MAX_SOURCES) return false;
    for (int i = 0; i < a->n; i++)
        if (a->x[i] == NULL) return false;
    const dd_adaln_args *g = &a->norm;
    if (g->y == NULL) return true;
    if (g->x != a->y || g->r != a->r || g->s != a->s || g->d != a->d || !dd_cond_table_ok(&g->cond)) return false;
    return g->rows.idx == NULL && g->rows.count == NULL && g->eps > 0;
}

/* Where a list of n ascending rows reaches `row`: the first entry that is not below it. */
static inline int64_t dd_row_lower(const int32_t *idx, int64_t n, int64_t row)
{
    int64_t lo = 0;
    while (lo < n) {
        const int64_t mid = lo + (n - lo) / 2;
        if (idx[mid] < row) lo = mid + 1;
        else n = mid;
    }
    return lo;
}

/* A matrix of `width` columns fits its leading dimension. */
static inline bool dd_format_ok(dd_format format, int64_t ld, int64_t width)
{
    return (unsigned)format < DD_FMT_COUNT && ld >= width && (format != DD_FMT_BF16_BLOCKS || ld % DD_BLOCK == 0);
}

/* Columns of the result of a GEMM: units of `unit` columns, `stride` (0: unit) from one to the next; -1: overlapping. */
static inline int64_t dd_result_width(int64_t active, int64_t unit, int64_t stride)
{
    if (stride == 0 || stride == unit) return active;
    return stride < unit ? -1 : active / unit * stride;
}

/* A matrix whose units and parts fit it. How large one may be is the backend's business. */
static inline bool dd_weight_desc_ok(const dd_weight_desc *d)
{
    if (d == NULL || d->data == NULL || d->n <= 0 || d->k <= 0 || d->n_unit <= 0 || d->n % d->n_unit != 0) return false;
    if (d->n_unit < d->n && d->n_unit % DD_CHUNK != 0) return false;
    if (d->parts < 0 || (d->parts > 1 && d->n_unit % d->parts != 0)) return false;
    if (d->as != DD_F32 && d->as != DD_BF16 && d->as != DD_F16 && d->as != DD_TF32) return false;
    return d->n <= INT32_MAX && d->k <= INT32_MAX;
}

/* Draws at whole blocks of four words, of elements that exist. */
static inline bool dd_noise_ok(const dd_noise_args *a)
{
    if (a == NULL || a->dst == NULL || a->stream == NULL || a->b <= 0 || a->count <= 0) return false;
    if (a->threads == 0 || a->stride % 4 != 0) return false;
    for (int32_t b = 0; b < a->b; b++) {
        const dd_noise_stream *s = &a->stream[b];
        if (s->offset % 4 != 0 || s->first < 0 || s->first > INT64_MAX - a->count) return false;
    }
    return true;
}

#endif
