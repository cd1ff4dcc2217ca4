/* SPDX-License-Identifier: MIT
 * Attention over pixels in float32, for the loads and stores of pixel_attention_tmpl.h and pixel_attention_bf16_tmpl.h.
 * Layout: see pixel_attention.h. Thread mapping: items of 64 queries.
 * Budget: scratch K and V of 96 keys (each 192 KiB at 512 channels), sums of the queries (128 KiB): the L2 cache.
 * Precision: float32; a running maximum is subtracted, sums are brought to a new one by a factor; one division per query
 * at the end. Blocks of keys begin at multiples of 96 whatever the queries. */
#ifndef DD_KERNELS_CPU_PIXEL_ATTENTION_VEC_H
#define DD_KERNELS_CPU_PIXEL_ATTENTION_VEC_H

#include "kernels/cpu/attention_pack_tmpl.h"
#include "kernels/cpu/micro_tmpl.h"
#include "kernels/cpu/pixel_attention.h"

typedef struct pixel_block {
    dd_pixel_areas area;
    float *scratch;
    const float *q; /* queries, ldq floats from one to the next */
    int64_t ldq, c;
    int rows;
    float scale, top[DD_PIXEL_QUERIES], sum[DD_PIXEL_QUERIES]; /* of scores times scale; of the weights */
} pixel_block;

static void pixel_open(pixel_block *p, float *scratch, const dd_pixel_attention_args *g, int rows)
{
    p->area = dd_pixel_layout(g->pixels, g->c);
    p->scratch = scratch;
    p->c = g->c;
    p->rows = rows;
    p->scale = 1.0f / sqrtf((float)g->c);
    for (int r = 0; r < rows; r++) {
        p->top[r] = -INFINITY;
        p->sum[r] = 0;
    }
    memset(scratch + p->area.out, 0, (size_t)(rows * p->area.ld_out) * sizeof *scratch);
}

/* acc (+)= a w for all rows of the block, w in panels of a matrix with n columns and k rows. */
static void pixel_product(const pixel_block *p, const float *a, int64_t lda, const float *w, int64_t n, int64_t k,
                          float *acc, int64_t ld_acc, int add)
{
    int first, width;
    for (int i = 0; i < dd_panel_count(n / DD_CHUNK); i++) {
        dd_panel_split(n / DD_CHUNK, i, &first, &width);
        tile t = {.lda = lda, .w = w + first * DD_CHUNK * k, .ldw = width * DD_CHUNK, .ld_acc = ld_acc, .add = add};
        t.n_chunks = (int)(k / DD_CHUNK);
        for (int r = 0; r < p->rows; r += 8) {
            t.a = a + r * lda;
            t.acc = acc + r * ld_acc + first * DD_CHUNK;
            micro_rows(&t, p->rows - r < 8 ? p->rows - r : 8);
        }
    }
}

/* Scores of a row against n keys to weights e^(score - maximum); what was summed before is brought to the new maximum. */
static void pixel_weights(pixel_block *p, int r, int64_t n)
{
    float *s = p->scratch + p->area.score + r * p->area.ld_score, *out = p->scratch + p->area.out + r * p->area.ld_out;
    const int64_t whole = dd_round_up(n, DD_VL);
    for (int64_t i = n; i < whole; i++) s[i] = -INFINITY;
    vf m = vload(s);
    for (int64_t i = DD_VL; i < whole; i += DD_VL) m = vmax(m, vload(s + i));
    const float here = vmax_lane(m) * p->scale, top = here > p->top[r] ? here : p->top[r];
    float factor[DD_VL];
    vstore(factor, vexp(vsplat(p->top[r] - top)));
    vf sum = vsplat(0);
    for (int64_t i = 0; i < whole; i += DD_VL) {
        const vf w = vexp(vfma(vload(s + i), vsplat(p->scale), vsplat(-top)));
        vstore(s + i, w);
        sum += w;
    }
    for (int64_t i = whole; i < dd_round_up(n, DD_CHUNK); i++) s[i] = 0;
    p->sum[r] = p->sum[r] * factor[0] + vsum(sum);
    p->top[r] = top;
    if (factor[0] == 1.0f) return;
    for (int64_t i = 0; i < p->area.ld_out; i += DD_VL) vstore(out + i, vload(out + i) * vsplat(factor[0]));
}

/* One block of n keys and their values, ld floats from one to the next. */
static void pixel_keys(pixel_block *p, const float *k, const float *v, int64_t ld, int64_t n)
{
    const int64_t keys = dd_round_up(n, DD_CHUNK);
    float *const packed_k = p->scratch + p->area.k, *const packed_v = p->scratch + p->area.v;
    float *const score = p->scratch + p->area.score;
    int first, width;
    for (int i = 0; i < dd_panel_count(keys / DD_CHUNK); i++) {
        dd_panel_split(keys / DD_CHUNK, i, &first, &width);
        const int64_t at = first * DD_CHUNK;
        attention_pack_keys(k, ld, n, p->c, at, width * DD_CHUNK, packed_k + at * p->c);
    }
    pixel_product(p, p->q, p->ldq, packed_k, keys, p->c, score, p->area.ld_score, 0);
    for (int r = 0; r < p->rows; r++) pixel_weights(p, r, n);
    for (int i = 0; i < dd_panel_count(p->c / DD_CHUNK); i++) {
        dd_panel_split(p->c / DD_CHUNK, i, &first, &width);
        const int64_t at = first * DD_CHUNK;
        attention_pack_values(v + at, ld, n, keys, width * DD_CHUNK, packed_v + at * keys);
    }
    pixel_product(p, score, p->area.ld_score, packed_v, p->c, keys, p->scratch + p->area.out, p->area.ld_out, 1);
}

#endif
