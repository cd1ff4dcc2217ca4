/* SPDX-License-Identifier: MIT
 * Faults that any op can have, planted in all of them from ops.def. */
#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_pack.h"
#include "tests/checkkernel/check.h"
#include "tests/checkkernel/mutants.h"

typedef enum fault {
    NOTHING_WRITTEN,
    NOT_FINITE,     /* one NaN among the results */
    OVERRUN,        /* one element behind the output */
    UNDERRUN,       /* and before it */
    THREE_THREADS,  /* one bit differs when three threads run */
    SECOND_RUN,     /* and in every other run */
    INPUT_WRITTEN,  /* one bit of an input */
    SCRATCH_OVERRUN /* one byte behind the scratch of a thread */
} fault;

/* The first result that is written, NULL if there is none; the bounds of the output; an input. */
typedef struct target {
    char *result, *begin, *end;
    int size; /* of an element */
    char *input;
} target;

static target matrix(void *p, dd_format format, int64_t ld, int64_t rows, int64_t row, int64_t width)
{
    target t = {.begin = p, .size = (int)dd_dtype_bytes(dd_format_dtype(format))};
    const int64_t held = format == DD_FMT_BF16_BLOCKS ? (rows + DD_BLOCK - 1) / DD_BLOCK * DD_BLOCK : rows;
    t.end = t.begin + held * ld * t.size;
    if (row >= 0 && row < rows && width > 0)
        t.result = t.begin + (format == DD_FMT_BF16_BLOCKS ? dd_block_at(ld, row, 0) : row * ld) * t.size;
    return t;
}

static target plain(float *p, int64_t n) { return matrix(p, DD_FMT_F32, n, 1, 0, n); }

static target target_cond(const dd_exec *e, const dd_cond_args *a)
{
    const int64_t rows = (int64_t)a->slots * a->n_cond;
    target t = matrix(a->c, a->c_format, a->ldc, rows, *e->step < a->steps ? 0 : -1, a->d);
    t.input = (char *)(uintptr_t)a->temb;
    return t;
}

static target target_patch_embed(const dd_exec *e, const dd_patch_embed_args *a)
{
    const int64_t grid = a->size / a->p;
    target t = plain(a->x, a->r * grid * grid * a->d);
    (void)e;
    t.input = (char *)(uintptr_t)a->pos;
    return t;
}

static target target_adaln(const dd_exec *e, const dd_adaln_args *a)
{
    const int64_t all = (int64_t)a->r * a->s;
    target t = matrix(a->y, a->y_format, a->ldy, all, dd_row_count(&a->rows, all) > 0 ? 0 : -1, a->d);
    (void)e;
    t.input = (char *)(uintptr_t)a->x;
    return t;
}

static target target_depth_average(const dd_exec *e, const dd_depth_average_args *a)
{
    target t = plain(a->y, (int64_t)a->r * a->s * a->d);
    (void)e;
    if (a->x[0] != a->y) t.input = (char *)(uintptr_t)a->x[0];
    return t;
}

static target target_gated_add(const dd_exec *e, const dd_gated_add_args *a)
{
    const dd_branch *b = &a->branch[0];
    target t = plain(a->x, (int64_t)a->r * a->s * a->d);
    (void)e;
    if (b->rows.idx || b->mask) t.result = NULL; /* the first row may be left alone */
    if (b->change != b->f) t.input = (char *)(uintptr_t)b->f;
    return t;
}

static target target_gemm(const dd_exec *e, const dd_gemm_args *a)
{
    const int64_t n = dd_slices_width(dd_slices_at(a->n, *e->step), a->w->n), live = dd_row_count(&a->rows, a->m);
    const int64_t first = live > 0 ? (a->epilogue == DD_EPI_RESIDUAL ? dd_row_at(&a->rows, 0) : 0) : -1;
    target t = matrix(a->c, a->c_format, a->ldc, a->m, first, n);
    t.input = (char *)(uintptr_t)a->a;
    return t;
}

static target target_attention(const dd_exec *e, const dd_attention_args *a)
{
    const int64_t width = dd_slices_width(dd_slices_at(a->heads, *e->step), 3 * (int64_t)a->h * a->e);
    target t = matrix(a->out, a->out_format, a->ldo, (int64_t)a->r * a->s, 0, width);
    t.input = (char *)(uintptr_t)a->qkv;
    return t;
}

static target target_route(const dd_exec *e, const dd_route_args *a)
{
    (void)e;
    char *mask = (char *)a->mask;
    return (target){mask, mask, mask + (int64_t)a->r * a->s, 1, (char *)(uintptr_t)a->x};
}

static target target_unpatchify(const dd_exec *e, const dd_unpatchify_args *a)
{
    target t = plain(a->out, (int64_t)a->r * a->co * a->size * a->size);
    (void)e;
    t.input = (char *)(uintptr_t)a->tokens;
    return t;
}

static target target_guide(const dd_exec *e, const dd_guide_args *a)
{
    (void)e;
    target t = plain(a->out, 2 * (int64_t)a->b * a->co * a->size * a->size);
    if (a->channels == 0) t.result = NULL;
    if (a->channels < a->co) t.input = t.begin + (int64_t)a->channels * a->size * a->size * t.size; /* not guided */
    return t;
}

static target target_noise(const dd_exec *e, const dd_noise_args *a)
{
    (void)e;
    target t = plain(a->dst, a->b * a->count);
    t.input = (char *)(uintptr_t)a->stream;
    return t;
}

static target target_solve(const dd_exec *e, const dd_solve_args *a)
{
    (void)e;
    target t = plain(a->x, (int64_t)a->b * a->c * a->size * a->size);
    t.input = (char *)(uintptr_t)a->out;
    return t;
}

static target target_copy(const dd_exec *e, const dd_copy_args *a)
{
    (void)e;
    return (target){a->bytes ? a->dst : NULL, a->dst, (char *)a->dst + a->bytes, 1, (char *)(uintptr_t)a->src};
}

static int64_t pixels_of(int64_t b, int64_t h, int64_t w) { return b * h * w; }

static target target_to_pixels(const dd_exec *e, const dd_to_pixels_args *a)
{
    (void)e;
    target t = matrix(a->dst, a->dst_format, a->c, pixels_of(a->b, a->h, a->w), 0, a->c);
    t.input = (char *)(uintptr_t)a->src;
    return t;
}

static target target_conv2d(const dd_exec *e, const dd_conv2d_args *a)
{
    (void)e;
    target t = matrix(a->dst, a->dst_format, a->n, pixels_of(a->b, a->h, a->w_out), 0, a->n);
    t.input = (char *)(uintptr_t)a->src;
    return t;
}

static target target_group_norm(const dd_exec *e, const dd_group_norm_args *a)
{
    (void)e;
    target t = matrix(a->y, a->y_format, a->c, pixels_of(a->b, a->pixels, 1), 0, a->c);
    t.input = (char *)(uintptr_t)a->x;
    return t;
}

static target target_pixel_attention(const dd_exec *e, const dd_pixel_attention_args *a)
{
    (void)e;
    target t = matrix(a->out, a->out_format, a->c, pixels_of(a->b, a->pixels, 1), 0, a->c);
    t.input = (char *)(uintptr_t)a->qkv;
    return t;
}

static target target_to_planes(const dd_exec *e, const dd_to_planes_args *a)
{
    (void)e;
    target t = plain(a->dst, pixels_of(a->b, a->h, a->w) * a->c_dst);
    t.input = (char *)(uintptr_t)a->src;
    return t;
}

static void spoil(const dd_exec *e, const target *t)
{
    static int runs;
    const bool odd = runs++ % 2 != 0;
    switch (ck_fault) {
    case NOT_FINITE:
        if (t->result) memset(t->result, 0x7f, (size_t)t->size); /* 0x7f7f.. is finite: */
        if (t->result && t->size > 1) t->result[t->size - 2] = (char)0xc0;
        break;
    case OVERRUN: *t->end ^= 1; break;
    case UNDERRUN: t->begin[-1] ^= 1; break;
    case THREE_THREADS:
        if (t->result && e->n_threads == 3) *t->result ^= 1;
        break;
    case SECOND_RUN:
        if (t->result && odd) *t->result ^= 1;
        break;
    case INPUT_WRITTEN:
        if (t->input) *t->input ^= 1;
        break;
    case SCRATCH_OVERRUN: ((char *)e->scratch[e->n_threads - 1])[e->scratch_bytes] = 0; break;
    }
}

#define DD_OP(name)                                                                     \
    static dd_status name##_spoilt(const dd_exec *e, const dd_##name##_args *a)         \
    {                                                                                   \
        const dd_status st = ck_fault == NOTHING_WRITTEN ? DD_OK : dd_ref_##name(e, a); \
        const target t = target_##name(e, a);                                           \
        spoil(e, &t);                                                                   \
        return st;                                                                      \
    }
#include "kernels/ops.def"
#undef DD_OP

static const ck_mutant list[] = {
#define DD_OP(op)                                                                                   \
    {"writes nothing", DD_OP_##op, {.op = op##_spoilt}, NOTHING_WRITTEN, NULL},                     \
        {"one element too far", DD_OP_##op, {.op = op##_spoilt}, OVERRUN, NULL},                    \
        {"one element before its output", DD_OP_##op, {.op = op##_spoilt}, UNDERRUN, NULL},         \
        {"depends on the number of threads", DD_OP_##op, {.op = op##_spoilt}, THREE_THREADS, NULL}, \
        {"depends on the run", DD_OP_##op, {.op = op##_spoilt}, SECOND_RUN, NULL},                  \
        {"writes into an input", DD_OP_##op, {.op = op##_spoilt}, INPUT_WRITTEN, NULL},             \
        {"writes behind its scratch", DD_OP_##op, {.op = op##_spoilt}, SCRATCH_OVERRUN, NULL},      \
        {"one result is NaN", DD_OP_##op, {.op = op##_spoilt}, NOT_FINITE, NULL},
#include "kernels/ops.def"
#undef DD_OP
};

ck_mutants ck_mutants_common(void) { return (ck_mutants){list, CK_COUNT(list)}; }
