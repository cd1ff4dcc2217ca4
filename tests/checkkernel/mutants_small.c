/* SPDX-License-Identifier: MIT
 * Faults of the smaller ops: the reference on wrong arguments, or its result altered. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"
#include "tests/checkkernel/check.h"
#include "tests/checkkernel/mutants.h"

/* ---- cond ---- */

typedef enum cond_fault {
    STEP_ZERO,
    FIRST_LABEL,
    PAST_THE_END,
    NO_SIGMOID,
    COND_CUTS,
    COND_TAIL,
    COND_LAST_COLUMN
} cond_fault;

static dd_status cond(const dd_exec *e, const dd_cond_args *a)
{
    const int64_t left = a->steps - *e->step, d = a->d - (ck_fault == COND_LAST_COLUMN);
    const int64_t n = ck_fault == PAST_THE_END || left > a->slots ? a->slots : left;
    for (int64_t row = 0; row < n * a->n_cond; row++) {
        int64_t step = (ck_fault == STEP_ZERO ? 0 : *e->step) + row / a->n_cond;
        if (step >= a->steps) step = a->steps - 1;
        const float *t = a->temb + step * a->d,
                    *m = a->emb + a->labels[ck_fault == FIRST_LABEL ? 0 : row % a->n_cond] * a->d;
        for (int64_t i = 0; i < d; i++) {
            const double z = (double)t[i] + m[i], y = (ck_fault == NO_SIGMOID ? 1 : z) / (1 + exp(-z));
            if (ck_fault == COND_CUTS) ck_store_cut(a->c, a->c_format, a->ldc, row, i, (float)y);
            else dd_ref_store(a->c, a->c_format, a->ldc, row, i, y);
        }
        if (ck_fault != COND_TAIL) dd_ref_finish_row(a->c, a->c_format, a->ldc, row, a->d);
    }
    return DD_OK;
}

/* ---- patch embedding ---- */

typedef enum patch_fault {
    NO_POSITION,
    FIRST_POSITION,
    ROWS_NOT_MODULO,
    PATCH_BIAS_TWICE,
    LAST_TOKEN_MISSING,
    TRANSPOSED
} patch_fault;

static dd_status patch_embed(const dd_exec *e, const dd_patch_embed_args *a)
{
    const int64_t s = (int64_t)(a->size / a->p) * (a->size / a->p), d = a->d, image = (int64_t)a->c * a->size * a->size;
    const size_t last = (size_t)(a->r * s - 1) * (size_t)d;
    float *latents = ck_alloc((size_t)(a->b * image) * sizeof *latents), *bias = ck_alloc((size_t)d * sizeof *bias);
    float *pos = ck_alloc((size_t)(s * d) * sizeof *pos), *old = ck_alloc((size_t)d * sizeof *old);
    memcpy(latents, a->latents, (size_t)(a->b * image) * sizeof *latents);
    memcpy(old, a->x + last, (size_t)d * sizeof *old);
    for (int64_t i = 0; i < a->b * image && ck_fault == TRANSPOSED; i++) {
        const int64_t plane = (int64_t)a->size * a->size, y = i % plane / a->size, x = i % a->size;
        latents[i] = a->latents[i / plane * plane + x * a->size + y];
    }
    for (int64_t i = 0; i < d; i++) bias[i] = a->bias[i] * (ck_fault == PATCH_BIAS_TWICE ? 2 : 1);
    for (int64_t i = 0; i < s * d; i++)
        pos[i] = ck_fault == NO_POSITION ? 0 : a->pos[ck_fault == FIRST_POSITION ? i % d : i];
    dd_patch_embed_args b = *a;
    b.latents = latents;
    b.bias = bias;
    b.pos = pos;
    if (ck_fault == ROWS_NOT_MODULO) b.b = 1;
    const dd_status st = dd_ref_patch_embed(e, &b);
    if (ck_fault == LAST_TOKEN_MISSING) memcpy(a->x + last, old, (size_t)d * sizeof *old);
    free(latents);
    free(bias);
    free(pos);
    free(old);
    return st;
}

/* ---- router ---- */

typedef enum route_fault {
    ABOVE_ZERO,
    AT_LEAST,
    DESCENDING,
    COUNT_SHORT,
    KEPT_AT_ZERO,
    HITS_SET,
    NO_RELU,
    MASK_255,
    FORCED_IS_ONE
} route_fault;

static dd_status route(const dd_exec *e, const dd_route_args *a)
{
    const int n = a->r * a->s;
    int32_t *old = ck_alloc((size_t)n * sizeof *old);
    float *b2 = ck_alloc(sizeof *b2);
    dd_route_args b = *a;
    if (a->hits) memcpy(old, a->hits, (size_t)n * sizeof *old);
    b2[0] = a->b2[0];
    if (ck_fault == ABOVE_ZERO && b2[0] > 0 && b2[0] < 1e-6f) b2[0] = 1;
    if (ck_fault == AT_LEAST) b2[0] = dd_f32_from_bits(dd_f32_bits(b2[0]) + 1);
    if (ck_fault == NO_RELU) b2[0] = b2[0] + a->w2[0] * a->b1[0];
    b.b2 = b2;
    uint8_t *forced = ck_alloc((size_t)n);
    for (int i = 0; a->forced && i < n; i++) forced[i] = ck_fault == FORCED_IS_ONE ? a->forced[i] == 1 : a->forced[i];
    if (a->forced) b.forced = forced;
    const dd_status st = dd_ref_route(e, &b);
    for (int i = 0; i < *a->count / 2 && ck_fault == DESCENDING; i++) {
        const int32_t t = a->idx[i];
        a->idx[i] = a->idx[*a->count - 1 - i];
        a->idx[*a->count - 1 - i] = t;
    }
    for (int i = 0; i < n; i++) {
        if (ck_fault == MASK_255 && a->mask[i]) a->mask[i] = 255;
        if (ck_fault == HITS_SET && a->hits) a->hits[i] -= old[i];
    }
    if (ck_fault == COUNT_SHORT && *a->count > 0) --*a->count;
    if (ck_fault == KEPT_AT_ZERO && a->kept) a->kept[0] = *a->count;
    free(old);
    free(b2);
    free(forced);
    return st;
}

/* ---- unpatchify, guidance, copy ---- */

typedef enum image_fault { XY_SWAPPED, CHANNEL_SLOWEST, LAST_PIXEL } image_fault;

static dd_status unpatchify(const dd_exec *e, const dd_unpatchify_args *a)
{
    const int64_t p = a->p, co = a->co, size = a->size, grid = size / p, n = a->r * co * size * size;
    (void)e;
    for (int64_t i = 0; i < n - (ck_fault == LAST_PIXEL); i++) {
        const int64_t x = i % size, y = i / size % size, c = i / size / size % co, r = i / size / size / co;
        const float *t = a->tokens + ((r * grid + y / p) * grid + x / p) * p * p * co;
        const int64_t at = ck_fault == XY_SWAPPED ? x % p * p + y % p : y % p * p + x % p;
        a->out[i] = t[ck_fault == CHANNEL_SLOWEST ? c * p * p + at : at * co + c];
    }
    return DD_OK;
}

typedef enum guide_fault { ONE_HALF, ALL_CHANNELS, FROM_CONDITIONAL, FIRST_IMAGE } guide_fault;

static dd_status guide(const dd_exec *e, const dd_guide_args *a)
{
    const int64_t plane = (int64_t)a->size * a->size, half = a->b * a->co * plane;
    (void)e;
    for (int64_t i = 0; i < half; i++) {
        if (ck_fault != ALL_CHANNELS && i / plane % a->co >= a->channels) continue;
        if (ck_fault == FIRST_IMAGE && i >= a->co * plane) continue;
        float *c = a->out + i, *u = c + half;
        const float g = ck_fault == FROM_CONDITIONAL ? *c + a->scale * (*c - *u) : *u + a->scale * (*c - *u);
        *c = g;
        if (ck_fault != ONE_HALF) *u = g;
    }
    return DD_OK;
}

typedef enum copy_fault { ONE_SHORT, ONE_LONG, SHIFTED } copy_fault;

static dd_status copy(const dd_exec *e, const dd_copy_args *a)
{
    dd_copy_args b = *a;
    if (a->bytes == 0) return DD_OK;
    if (ck_fault == ONE_SHORT) b.bytes--;
    if (ck_fault == ONE_LONG) b.bytes++;
    if (ck_fault == SHIFTED) b.src = (const char *)a->src + 1;
    return dd_ref_copy(e, &b);
}

static const ck_mutant list[] = {
    CK_MUTANT(cond, "embeddings of the first step", STEP_ZERO),
    CK_MUTANT(cond, "first label for all", FIRST_LABEL),
    CK_MUTANT(cond, "writes slots past the last step", PAST_THE_END),
    CK_MUTANT(cond, "sigmoid instead of SiLU", NO_SIGMOID),
    CK_MUTANT(cond, "bf16 by truncation", COND_CUTS),
    CK_MUTANT(cond, "tail of blocks is not zeroed", COND_TAIL),
    CK_MUTANT(cond, "drops the last column", COND_LAST_COLUMN),
    CK_MUTANT(patch_embed, "no position", NO_POSITION),
    CK_MUTANT(patch_embed, "position of the first token", FIRST_POSITION),
    CK_MUTANT(patch_embed, "first image for all rows", ROWS_NOT_MODULO),
    CK_MUTANT(patch_embed, "bias added twice", PATCH_BIAS_TWICE),
    CK_MUTANT(patch_embed, "last token missing", LAST_TOKEN_MISSING),
    CK_MUTANT(patch_embed, "rows and columns of pixels swapped", TRANSPOSED),
    CK_MUTANT(route, "threshold at zero", ABOVE_ZERO),
    CK_MUTANT(route, "kept at the threshold", AT_LEAST),
    CK_MUTANT(route, "list descending", DESCENDING),
    CK_MUTANT(route, "count one short", COUNT_SHORT),
    CK_MUTANT(route, "statistics of the first step", KEPT_AT_ZERO),
    CK_MUTANT(route, "statistics overwritten", HITS_SET),
    CK_MUTANT(route, "ReLU missing in one unit", NO_RELU),
    CK_MUTANT(route, "mask of 255", MASK_255),
    CK_MUTANT(route, "forced only by 1", FORCED_IS_ONE),
    CK_MUTANT(unpatchify, "rows and columns of a patch swapped", XY_SWAPPED),
    CK_MUTANT(unpatchify, "channel slowest", CHANNEL_SLOWEST),
    CK_MUTANT(unpatchify, "last pixel missing", LAST_PIXEL),
    CK_MUTANT(guide, "null half left alone", ONE_HALF),
    CK_MUTANT(guide, "all channels guided", ALL_CHANNELS),
    CK_MUTANT(guide, "starts from the conditional", FROM_CONDITIONAL),
    CK_MUTANT(guide, "first image only", FIRST_IMAGE),
    CK_MUTANT(copy, "one byte short", ONE_SHORT),
    CK_MUTANT(copy, "one byte too many", ONE_LONG),
    CK_MUTANT(copy, "from one byte further", SHIFTED),
};

ck_mutants ck_mutants_small(void) { return (ck_mutants){list, CK_COUNT(list)}; }
