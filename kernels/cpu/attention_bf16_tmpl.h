/* SPDX-License-Identifier: MIT
 * Formula: out = softmax(q kT / sqrt(E)) v for every row and active head.
 * Layout: qkv row-major bf16 [a, 3, E], out blocks of bf16 [a, E]; K transposed and V are packed into scratch panels once
 * for a head, q 8 rows at a time into blocks, so that both products are the micro kernel of the GEMM.
 * Thread mapping: items of (row, head), or of a run of queries of one where heads are few.
 * Budget: scratch, see attention_bf16.h; at S = 256, E = 72 K and V take 84 KiB, 8 rows of scores and weights 16 KiB.
 * Preconditions: checked in attention_bf16.c.
 * Precision: scores and softmax float32, maximum subtracted; unnormalised weights e^(s - max) rounded to bf16 for the
 * second product while their sum is of the unrounded ones; one multiplication by its reciprocal per result. */
#include "kernels/cpu/attention_bf16.h"
#include "kernels/cpu/attention_bf16_pack.h"
#include "kernels/cpu/bf16_blocks.h"
#include "kernels/cpu/micro_bf16.h"

typedef struct bf16_head {
    const uint16_t *q;
    unsigned char *scratch;
    dd_attention_bf16_areas area;
    const dd_attention_args *g;
    int64_t row, col; /* of out, where the head begins */
    bool last;        /* of the active heads */
    float scale;
} bf16_head;

/* Scores of one query, [keys/32][8][32], to weights e^((score - max) scale) in bf16, [keys/32][32][32]; returns the
 * reciprocal of their sum. */
static float bf16_softmax(float *score, uint16_t *p, int64_t s, int64_t keys, float scale)
{
    enum { STEP = DD_QUERIES_BF16 * DD_PANEL_BF16 };
    float *tail = score + (keys / DD_PANEL_BF16 - 1) * STEP;
    for (int64_t i = s - (keys - DD_PANEL_BF16); i < DD_PANEL_BF16; i++) tail[i] = -INFINITY;
    vf m = vload(score);
    for (int64_t i = 0; i < keys / DD_PANEL_BF16; i++)
        m = vmax(vmax(m, vload(score + i * STEP)), vload(score + i * STEP + DD_VL));
    const vf factor = vsplat(scale), top = vsplat(-(vmax_lane(m) * scale));
    vf sum[2] = {vsplat(0), vsplat(0)};
    for (int64_t i = 0; i < keys / DD_PANEL_BF16; i++) {
        const vf low = vexp(vfma(vload(score + i * STEP), factor, top));
        const vf high = vexp(vfma(vload(score + i * STEP + DD_VL), factor, top));
        _mm512_store_si512(p + i * (DD_BLOCK * DD_BLOCK), vnarrow2(low, high));
        sum[0] += low;
        sum[1] += high;
    }
    return 1.0f / vsum(sum[0] + sum[1]);
}

static void bf16_pack_queries(const uint16_t *q, int64_t ld, int64_t e, int rows, uint16_t *dst)
{
    for (int r = 0; r < rows; r++)
        for (int64_t x = 0; x < e; x += DD_BLOCK) {
            const __mmask32 live = ~bf16_from(e - x < DD_BLOCK ? (int)(e - x) : DD_BLOCK);
            _mm512_store_si512(dst + x * DD_BLOCK + r * DD_BLOCK, _mm512_maskz_loadu_epi16(live, q + r * ld + x));
        }
}

/* Up to 8 queries of a head whose K and V are packed. */
static void bf16_attend(const bf16_head *h, int64_t query, int rows)
{
    const int64_t s = h->g->s, e = h->g->e, e_chunks = e / DD_CHUNK;
    uint16_t *q = (uint16_t *)(void *)(h->scratch + h->area.q), *p = (uint16_t *)(void *)(h->scratch + h->area.p);
    float *score = (float *)(void *)(h->scratch + h->area.score), *out = (float *)(void *)(h->scratch + h->area.out);
    float inv[DD_QUERIES_BF16];
    bf16_pack_queries(h->q + query * h->g->ldq, h->g->ldq, e, rows, q);
    tile_bf16 t = {.a = q, .w = (uint16_t *)(void *)(h->scratch + h->area.k), .n_chunks = (int)e_chunks, .acc = score};
    for (int64_t key = 0; key < s; key += DD_PANEL_BF16) {
        micro_bf16_rows(&t, rows, s - key < DD_PANEL_BF16 ? (int)(s - key) : DD_PANEL_BF16);
        t.w += DD_PANEL_BF16 * e;
        t.acc += DD_QUERIES_BF16 * DD_PANEL_BF16;
    }
    for (int r = 0; r < rows; r++)
        inv[r] = bf16_softmax(score + r * DD_PANEL_BF16, p + r * DD_BLOCK, s, h->area.keys, h->scale);
    t = (tile_bf16){.a = p, .w = (uint16_t *)(void *)(h->scratch + h->area.v), .acc = out};
    t.n_chunks = (int)h->area.key_chunks;
    for (int64_t x = 0; x < e; x += DD_PANEL_BF16) {
        const int valid = e - x < DD_PANEL_BF16 ? (int)(e - x) : DD_PANEL_BF16;
        micro_bf16_rows(&t, rows, valid);
        for (int r = 0; r < rows; r++) {
            const float *src = out + r * DD_PANEL_BF16;
            const vf low = vload(src) * vsplat(inv[r]), high = vload(src + DD_VL) * vsplat(inv[r]);
            bf16_blocks_store(h->g->out, h->g->ldo, h->row + query + r, h->col + x, ~bf16_from(valid),
                              vnarrow2(low, high));
        }
        t.w += h->area.key_chunks * DD_PANEL_BF16_CHUNK;
    }
    if (!h->last) return;
    for (int r = 0; r < rows; r++) bf16_blocks_finish(h->g->out, h->g->ldo, h->row + query + r, h->col + e);
}

static void attention_bf16_task(void *arg, int item, int thread)
{
    const dd_attention_job *j = arg;
    const dd_attention_args *g = j->g;
    const int64_t s = g->s, e = g->e, pair = item / j->parts, n = pair % j->heads, row = pair / j->heads * s;
    const int64_t begin = item % j->parts * j->query_rows, end = begin + j->query_rows < s ? begin + j->query_rows : s;
    if (begin >= end) return;
    bf16_head h = {
        .q = (const uint16_t *)g->qkv + row * g->ldq + n * g->ld_head, .scratch = j->scratch[thread], .g = g};
    h.area = dd_attention_bf16_layout(s, e);
    h.row = row;
    h.col = n * e;
    h.last = n == j->heads - 1;
    h.scale = 1.0f / sqrtf((float)e);
    bf16_pack_keys(h.q + e, g->ldq, s, e, (uint16_t *)(void *)(h.scratch + h.area.k));
    bf16_pack_values(h.q + 2 * e, g->ldq, s, e, (uint16_t *)(void *)(h.scratch + h.area.v));
    for (int64_t i = begin; i < end; i += DD_QUERIES_BF16)
        bf16_attend(&h, i, end - i < DD_QUERIES_BF16 ? (int)(end - i) : DD_QUERIES_BF16);
}

static dd_status attention_bf16(const dd_exec *exec, const dd_attention_args *args)
{
    return dd_cpu_attention_bf16_run(exec, args, attention_bf16_task);
}
