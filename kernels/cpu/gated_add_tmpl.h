/* SPDX-License-Identifier: MIT
 * Formula: x[row,:] += gate * f[row,:] for every branch in turn; keep = f; change = gate * f, 0 where the mask says no.
 * Layout: rows of D; x float32, the others float32 or bf16 and compact with a list. Thread mapping: items of rows of x that
 * stay in the first cache while the branches stream past; of the next branch the same place is fetched ahead, since it lies
 * where no hardware looks for it. Budget: registers. Preconditions: checked in gated_add.c.
 * Precision: float32; one fused multiply-add per branch, as the residual epilogue of the GEMM; change and what is kept in bf16
 * are rounded to nearest even. */
#include "kernels/cpu/cpu_vec.h"
#include "kernels/cpu/work.h"

DD_INLINE vf gated_f32(const float *p, int n) { return n >= DD_VL ? vload(p) : vload_part(p, n); }

DD_INLINE vf gated_bf16(const uint16_t *p, int n)
{
    uint16_t part[DD_VL] = {0};
    float out[DD_VL];
    if (n < DD_VL) {
        memcpy(part, p, (size_t)n * sizeof *p);
        p = part;
    }
#if DD_VL == 16
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p)), 16));
#elif DD_VL == 8
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p)), 16));
#endif
    for (int i = 0; i < DD_VL; i++) out[i] = dd_bf16_to_f32(p[i]);
    return vload(out);
}

/* Of a row that holds bf16 or float32, from column j on; n are left. */
DD_INLINE vf gated_load(const void *row, bool bf16, int64_t j, int n)
{
    return bf16 ? gated_bf16((const uint16_t *)row + j, n) : gated_f32((const float *)row + j, n);
}

DD_INLINE void gated_store(void *row, bool bf16, int64_t j, vf v, int n)
{
    float part[DD_VL];
    if (!bf16 && n >= DD_VL) vstore((float *)row + j, v);
    else if (!bf16) vstore_part((float *)row + j, v, n);
    if (!bf16) return;
    vstore(part, v);
    for (int i = 0; i < DD_VL && i < n; i++) ((uint16_t *)row)[j + i] = dd_f32_to_bf16(part[i]);
}

/* A row of f and where it goes. gate NULL: 1. keep, change NULL: not wanted. */
typedef struct gated_rows {
    float *x;
    const void *f;
    const char *ahead; /* in the next branch, or NULL */
    const float *gate;
    void *keep, *change;
    bool out_bf16;
    int d;
} gated_rows;

DD_INLINE void gated_sum(const gated_rows *r, bool f_bf16)
{
    const int bytes = f_bf16 ? (int)sizeof(uint16_t) : (int)sizeof(float);
    for (int j = 0; j < r->d; j += DD_VL) {
        const int left = r->d - j;
        if (r->ahead) __builtin_prefetch(r->ahead + (int64_t)j * bytes);
        const vf f = gated_load(r->f, f_bf16, j, left), g = r->gate ? gated_f32(r->gate + j, left) : vsplat(1);
        const vf sum = vfma(g, f, gated_f32(r->x + j, left));
        if (r->keep) gated_store(r->keep, r->out_bf16, j, f, left);
        if (r->change) gated_store(r->change, r->out_bf16, j, g * f, left);
        gated_store(r->x, false, j, sum, left);
    }
}

/* What is kept of a row that the mask leaves out. */
static void gated_left_out(const gated_rows *r, bool f_bf16)
{
    for (int j = 0; j < r->d; j += DD_VL) {
        const int left = r->d - j;
        if (r->keep) gated_store(r->keep, r->out_bf16, j, gated_load(r->f, f_bf16, j, left), left);
        if (r->change) gated_store(r->change, r->out_bf16, j, vsplat(0), left);
    }
}

static void *gated_at(const void *p, dd_format format, int64_t element)
{
    const int64_t bytes = format == DD_FMT_BF16 ? (int64_t)sizeof(uint16_t) : (int64_t)sizeof(float);
    return p ? (char *)(uintptr_t)p + element * bytes : NULL;
}

/* Rows [first, last) of x get one branch. next: NULL, or the one after it. */
static void gated_branch(const dd_gated_add_job *job, const dd_branch *b, const dd_branch *next, int64_t first,
                         int64_t last)
{
    const dd_gated_add_args *g = job->g;
    const bool ahead = next && !next->rows.idx && !b->rows.idx && next->f_format == b->f_format;
    const bool f_bf16 = b->f_format == DD_FMT_BF16;
    const int64_t d = g->d, held = b->rows.idx ? *b->rows.count : last;
    for (int64_t i = b->rows.idx ? dd_row_lower(b->rows.idx, held, first) : first; i < held; i++) {
        const int64_t row = dd_row_at(&b->rows, i);
        if (row >= last) break;
        const gated_rows r = {.x = g->x + row * d,
                              .f = gated_at(b->f, b->f_format, i * d),
                              .ahead = ahead ? gated_at(next->f, next->f_format, i * d) : NULL,
                              .gate = b->gate < 0 ? NULL : dd_cond_at(&g->cond, job->step, row / g->s) + b->gate,
                              .keep = gated_at(b->keep, b->out_format, i * d),
                              .change = gated_at(b->change, b->out_format, i * d),
                              .out_bf16 = b->out_format == DD_FMT_BF16,
                              .d = g->d};
        if (b->mask && !b->mask[row]) gated_left_out(&r, f_bf16);
        else if (f_bf16) gated_sum(&r, true);
        else gated_sum(&r, false);
    }
}

static void gated_add_task(void *arg, int item, int thread)
{
    (void)thread;
    const dd_gated_add_job *job = arg;
    const dd_gated_add_args *g = job->g;
    const int64_t all = (int64_t)g->r * g->s, first = (int64_t)item * job->rows;
    const int64_t last = first + job->rows < all ? first + job->rows : all;
    for (int i = 0; i < g->n; i++)
        gated_branch(job, &g->branch[i], i + 1 < g->n ? &g->branch[i + 1] : NULL, first, last);
}

static dd_status gated_add(const dd_exec *exec, const dd_gated_add_args *args)
{
    return dd_cpu_gated_add_run(exec, args, gated_add_task);
}
