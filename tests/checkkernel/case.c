/* SPDX-License-Identifier: MIT
 * Building blocks of cases: tensors, matrices in every format, slices, tables, row lists, weights, the reference. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ref/ref.h"
#include "tests/checkkernel/check.h"

static ck_exec reference_exec; /* all CPUs: the reference is slow */

void ck_case_open(ck_case *c, const ck_op *op, const ck_entry *e, uint64_t seed)
{
    *c = (ck_case){.op = op, .name = e->name, .params = e->params, .step = 2};
    c->rng = ck_rng_open(seed, e->name);
    op->build(c);
    size_t most = 0;
    for (int i = 0; i < c->n_tensors; i++) {
        ck_tensor_seal(&c->tensors[i]);
        if (c->tensors[i].n > most) most = c->tensors[i].n;
    }
    c->variant_map = ck_alloc(most * sizeof *c->variant_map);
}

void ck_case_close(ck_case *c)
{
    for (int i = 0; i < c->n_tensors; i++) ck_tensor_close(&c->tensors[i]);
    free(c->weight.data);
    free(c->weight.rows);
    free(c->variant_map);
}

uint64_t ck_case_work(const ck_case *c)
{
    uint64_t n = 0;
    for (int i = 0; i < c->n_tensors; i++) n += c->tensors[i].n;
    if (c->op->id == DD_OP_gemm) n += (uint64_t)c->args.gemm.m * (uint64_t)(c->weight.desc.n * c->weight.desc.k);
    if (c->op->id == DD_OP_attention) n *= (uint64_t)c->args.attention.s;
    if (c->op->id == DD_OP_route) n *= (uint64_t)c->args.route.j;
    if (c->op->id == DD_OP_conv2d) {
        const dd_conv2d_args *g = &c->args.conv2d;
        n += (uint64_t)(g->b * g->h * g->w_out) * (uint64_t)(c->weight.desc.n * c->weight.desc.k);
    }
    if (c->op->id == DD_OP_pixel_attention) n *= (uint64_t)c->args.pixel_attention.pixels;
    return n;
}

static ck_tensor *add(ck_case *c, ck_tensor t)
{
    if (c->n_tensors == CK_MAX_TENSORS) exit(2);
    c->tensors[c->n_tensors] = t;
    return &c->tensors[c->n_tensors++];
}

ck_tensor *ck_in(ck_case *c, const char *name, dd_dtype dtype, size_t n)
{
    return add(c, ck_tensor_open(name, dtype, n, false, false));
}

ck_tensor *ck_out(ck_case *c, const char *name, dd_dtype dtype, size_t n)
{
    return add(c, ck_tensor_open(name, dtype, n, true, false));
}

float *ck_in_f32(ck_case *c, const char *name, size_t n, ck_pattern how)
{
    float *p = ck_in(c, name, DD_F32, n)->p;
    ck_fill(&c->rng, p, n, how);
    return p;
}

int32_t *ck_in_i32(ck_case *c, const char *name, size_t n) { return ck_in(c, name, DD_I32, n)->p; }

void ck_expect_near(ck_tensor *t, int64_t i, double want, double bound, float naive)
{
    t->expect[i] = (ck_expect){.want = want, .bound = bound, .kind = CK_NEAR};
    if (t->naive == NULL) {
        t->naive = ck_alloc(t->n * sizeof *t->naive);
        for (size_t j = 0; j < t->n; j++) t->naive[j] = dd_f32_from_bits(CK_POISON_F32);
    }
    t->naive[i] = dd_rounded(naive, t->dtype);
}

void ck_expect_kind(ck_tensor *t, int64_t i, ck_kind kind) { t->expect[i].kind = kind; }

ck_matrix ck_matrix_open(ck_case *c, const char *name, dd_format format, int64_t rows, int64_t ld, bool output)
{
    const int64_t held = format == DD_FMT_BF16_BLOCKS ? (rows + DD_BLOCK - 1) / DD_BLOCK * DD_BLOCK : rows;
    ck_matrix m = {.format = format, .rows = rows, .ld = ld};
    m.t = add(c, ck_tensor_open(name, dd_format_dtype(format), (size_t)(held * ld), output, ld % DD_CHUNK == 0));
    return m;
}

int64_t ck_matrix_at(const ck_matrix *m, int64_t row, int64_t col)
{
    return m->format == DD_FMT_BF16_BLOCKS ? dd_block_at(m->ld, row, col) : row * m->ld + col;
}

void ck_matrix_set(const ck_matrix *m, int64_t row, int64_t col, float v)
{
    const int64_t i = ck_matrix_at(m, row, col);
    switch (m->t->dtype) {
    case DD_BF16: ((uint16_t *)m->t->p)[i] = dd_f32_to_bf16(v); break;
    case DD_F16: ((uint16_t *)m->t->p)[i] = dd_f32_to_f16(v); break;
    default: ((float *)m->t->p)[i] = dd_rounded(v, m->t->dtype);
    }
}

float ck_matrix_get(const ck_matrix *m, int64_t row, int64_t col)
{
    return (float)ck_value_at(m->t, m->t->p, (size_t)ck_matrix_at(m, row, col));
}

int64_t ck_ld(dd_format format, int64_t width, int64_t more)
{
    const int64_t ld = width + more;
    return format == DD_FMT_BF16_BLOCKS ? (ld + DD_BLOCK - 1) / DD_BLOCK * DD_BLOCK : ld;
}

void ck_matrix_finish(const ck_matrix *m, int64_t rows, int64_t width)
{
    if (m->format != DD_FMT_BF16_BLOCKS) return;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t col = width; col % DD_BLOCK != 0; col++) {
            if (m->t->output) ck_expect_kind(m->t, ck_matrix_at(m, row, col), CK_ZERO);
            else ck_matrix_set(m, row, col, 0);
        }
    if (!m->t->output) return;
    const int64_t whole = (width + DD_BLOCK - 1) / DD_BLOCK * DD_BLOCK;
    for (int64_t row = rows; row % DD_BLOCK != 0; row++)
        for (int64_t col = 0; col < whole; col++) ck_expect_kind(m->t, ck_matrix_at(m, row, col), CK_FREE);
}

dd_slices ck_slices(ck_case *c, const char *name, int64_t width, int64_t unit, ck_mask how, const int32_t **list)
{
    *list = NULL;
    if (how == CK_NULL) return (dd_slices){0};
    const int units = (int)(width / unit), per = (int)(unit / DD_CHUNK), all = units * per;
    bool *on = ck_alloc((size_t)units);
    ck_mask_fill(&c->rng, on, units, how);
    int32_t *pool = ck_in_i32(c, name, (size_t)(2 * all + 2)), *offset = ck_in_i32(c, "offset", 4);
    pool[0] = all; /* of the other steps: the whole axis */
    for (int i = 0; i < all; i++) pool[1 + i] = i;
    int32_t *mine = pool + 1 + all;
    mine[0] = 0;
    for (int i = 0; i < all; i++)
        if (on[i / per]) mine[++mine[0]] = i;
    for (int i = 0; i < 4; i++) offset[i] = i == c->step ? 1 + all : 0;
    free(on);
    *list = mine;
    return (dd_slices){.pool = pool, .offset = offset};
}

dd_cond_table ck_cond_table(ck_case *c, const char *name, int32_t r, int64_t width, ck_pattern how)
{
    enum { SLOTS = 2, CONDS = 3, STEPS = 4 };
    dd_cond_table t = {.cond_stride = width + 3};
    t.slot_stride = CONDS * t.cond_stride;
    t.table = ck_in_f32(c, name, (size_t)(SLOTS * t.slot_stride), how);
    int32_t *slot = ck_in_i32(c, "slot", STEPS), *row_cond = ck_in_i32(c, "row_cond", (size_t)r);
    for (int i = 0; i < STEPS; i++) slot[i] = i == c->step;
    for (int32_t i = 0; i < r; i++) row_cond[i] = (2 * i + 1) % CONDS;
    t.slot = slot;
    t.row_cond = row_cond;
    return t;
}

dd_row_list ck_row_list(ck_case *c, int64_t all, int64_t keep)
{
    int32_t *idx = ck_in_i32(c, "idx", (size_t)all), *count = ck_in_i32(c, "count", 1);
    int64_t left = keep;
    for (int64_t row = 0; row < all && left > 0; row++) /* each remaining row with the probability that fits */
        if (ck_rng_below(&c->rng, (int)(all - row)) < left) idx[keep - left--] = (int32_t)row;
    *count = (int32_t)keep;
    return (dd_row_list){.idx = idx, .count = count};
}

/* One value of the weight as stored, and what it means. */
static float draw(ck_case *c, unsigned char *dst, dd_dtype stored, float v)
{
    uint16_t h = dd_f32_to_bf16(v);
    if (stored == DD_F32) {
        memcpy(dst, &v, sizeof v);
        return v;
    }
    if (stored == DD_F16)
        h = (uint16_t)((ck_rng_bits(&c->rng) & 0x83ff) | (uint64_t)(8 + ck_rng_below(&c->rng, 7)) << 10);
    memcpy(dst, &h, sizeof h);
    return stored == DD_F16 ? dd_f16_to_f32(h) : dd_bf16_to_f32(h);
}

void ck_weight_open(ck_case *c, int64_t n, int64_t k, int64_t unit, int64_t parts, dd_dtype stored, dd_dtype as,
                    ck_pattern how)
{
    const size_t size = dd_dtype_bytes(stored), total = (size_t)(n * k);
    float *plain = ck_alloc(total * sizeof *plain), scale = (float)(2 / sqrt((double)k));
    c->weight.data = ck_alloc(total * size + 1);
    unsigned char *data = (unsigned char *)c->weight.data + (size == 2);
    ck_fill(&c->rng, plain, total, how);
    for (size_t i = 0; i < total; i++) plain[i] = draw(c, data + i * size, stored, plain[i] * scale);
    c->weight.desc = (dd_weight_desc){
        .name = "w", .data = data, .dtype = stored, .n = n, .k = k, .n_unit = unit, .parts = parts, .as = as};
    c->weight.rows = ck_alloc(total * sizeof(float));
    for (int64_t i = 0; i < n; i++) {
        const float *src = plain + dd_weight_row(&c->weight.desc, i) * k;
        float *dst = c->weight.rows + i * k;
        for (int64_t j = 0; j < k; j++) dst[j] = dd_rounded(src[j], as);
    }
    free(plain);
}

void ck_reference(ck_case *c, const dd_op_args *args)
{
    dd_op_args a = *args;
    void *storage = NULL;
    if (reference_exec.exec.step == NULL) ck_exec_open(&reference_exec, 2);
    reference_exec.step = c->step;
    dd_status st = DD_OK;
    if (c->weight.desc.n) {
        dd_packed *w = NULL;
        storage = ck_alloc(dd_ref_packed_bytes(&c->weight.desc));
        st = dd_ref_pack(&c->weight.desc, storage, &w);
        c->op->bind(&a, w);
    }
    if (st == DD_OK) st = ck_call(&dd_ref_ops, c->op->id, &reference_exec.exec, &a);
    free(storage);
    if (st == DD_OK) return;
    fprintf(stderr, "checkkernel: the reference refuses %s %s: %s\n", ck_op_name(c->op->id), c->name,
            ck_status_name(st));
    exit(2);
}

double ck_abs_dot(const float *a, const float *b, int64_t n)
{
    float lane[8] = {0};
    double sum = 0;
    int64_t i = 0;
    while (i + 8 <= n) {
        const int64_t end = i + 512 < n ? i + 512 : n; /* lanes stay short, so that 64 roundings are all they suffer */
        for (; i + 8 <= end; i += 8)
            for (int j = 0; j < 8; j++) lane[j] += fabsf(a[i + j] * b[i + j]);
        for (int j = 0; j < 8; j++) {
            sum += (double)lane[j];
            lane[j] = 0;
        }
    }
    for (; i < n; i++) sum += fabs((double)a[i] * b[i]);
    return sum * (1 + 65 * CK_EPS);
}
