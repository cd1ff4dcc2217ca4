/* SPDX-License-Identifier: MIT
 * Formula: out = softmax(q kT / sqrt(E)) v for every row and active head.
 * Layout: qkv rows [a, 3, E], out rows [a, E]; K transposed and V are packed into scratch panels, q is used in place.
 * Thread mapping: items of (row, head), or of a run of queries of one where heads are few.
 * Budget: scratch K and V of one head (2 x S x E), 8 rows of scores, 8 of output; see attention.h.
 * Preconditions: checked in attention.c.
 * Precision: float32; maximum subtracted, unnormalised weights e^(s - max), one division per query at the end. */
#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_pack_tmpl.h"

typedef struct head {
    const float *q;
    const float *next; /* q of the head that this thread probably comes to next, or NULL */
    float *out, *scratch;
    dd_attention_areas area;
    int64_t s, e, ldq, ldo;
    float scale;
} head;

/* Scores of up to 8 queries to weights e^((s - max) scale), and the reciprocals of their sums. One loop for each part,
 * so that the reductions over the lanes of one row overlap with the next row. */
static void softmax_rows(const head *h, float *score, int rows, float *inv)
{
    const int64_t ld = h->area.ld_score;
    vf top[DD_QUERIES], sum[DD_QUERIES];
    for (int r = 0; r < rows; r++) {
        float *p = score + r * ld;
        for (int64_t i = h->s; i < ld; i++) p[i] = -INFINITY;
        vf m = vload(p);
        for (int64_t i = DD_VL; i < ld; i += DD_VL) m = vmax(m, vload(p + i));
        top[r] = vsplat(-(vmax_lane(m) * h->scale));
    }
    const vf factor = vsplat(h->scale);
    for (int r = 0; r < rows; r++) {
        float *p = score + r * ld;
        sum[r] = vsplat(0);
        for (int64_t i = 0; i < ld; i += DD_VL) {
            const vf w = vexp(vfma(vload(p + i), factor, top[r]));
            vstore(p + i, w);
            sum[r] += w;
        }
    }
    for (int r = 0; r < rows; r++) inv[r] = 1.0f / vsum(sum[r]);
}

/* q, k and v of some tokens of the next head: they lie far apart, which the hardware does not foresee. */
static void fetch_next(const head *h, int64_t token, int rows)
{
    for (int r = 0; r < rows; r++) {
        const char *p = (const char *)(h->next + (token + r) * h->ldq);
        for (int64_t at = 0; at < 3 * h->e * (int64_t)sizeof(float); at += 64) __builtin_prefetch(p + at, 0, 2);
    }
}

/* Up to 8 queries of a head whose K and V are packed. */
static void attend(const head *h, int64_t query, int rows)
{
    float *score = h->scratch + h->area.score, *out = h->scratch + h->area.out, inv[DD_QUERIES];
    const int64_t key_chunks = h->area.keys / DD_CHUNK, e_chunks = h->e / DD_CHUNK;
    int first, width;
    if (h->next) fetch_next(h, query, rows);
    tile t = {.a = h->q + query * h->ldq, .lda = h->ldq, .n_chunks = (int)e_chunks, .ld_acc = h->area.ld_score};
    for (int i = 0; i < dd_panel_count(key_chunks); i++) {
        dd_panel_split(key_chunks, i, &first, &width);
        t.w = h->scratch + h->area.k + first * DD_CHUNK * h->e;
        t.ldw = width * DD_CHUNK;
        t.acc = score + first * DD_CHUNK;
        micro_rows(&t, rows);
    }
    softmax_rows(h, score, rows, inv);
    t = (tile){.a = score, .lda = h->area.ld_score, .n_chunks = (int)key_chunks, .ld_acc = h->area.ld_out};
    for (int i = 0; i < dd_panel_count(e_chunks); i++) {
        dd_panel_split(e_chunks, i, &first, &width);
        t.w = h->scratch + h->area.v + first * DD_CHUNK * h->area.keys;
        t.ldw = width * DD_CHUNK;
        t.acc = out + first * DD_CHUNK;
        micro_rows(&t, rows);
    }
    for (int r = 0; r < rows; r++) {
        const float *src = out + r * h->area.ld_out;
        float *dst = h->out + (query + r) * h->ldo;
        int64_t i = 0;
        for (; i + DD_VL <= h->e; i += DD_VL) vstore(dst + i, vload(src + i) * vsplat(inv[r]));
        if (i < h->e) vstore_part(dst + i, vload(src + i) * vsplat(inv[r]), (int)(h->e - i));
    }
}

static void attention_task(void *arg, int item, int thread)
{
    const dd_attention_job *j = arg;
    const dd_attention_args *g = j->g;
    const int64_t s = g->s, e = g->e, pair = item / j->parts, n = pair % j->heads, row = pair / j->heads * s;
    const float *q = (const float *)g->qkv + row * g->ldq + n * g->ld_head, *k = q + e, *v = k + e;
    head h = {.q = q, .out = (float *)g->out + row * g->ldo + n * e, .scratch = j->scratch[thread], .s = s, .e = e};
    h.area = dd_attention_layout(s, e);
    const int64_t later = item + (int64_t)j->threads; /* items go to the threads in turn */
    if (j->parts == 1 && later < g->r * j->heads)
        h.next = (const float *)g->qkv + later / j->heads * s * g->ldq + later % j->heads * g->ld_head;
    h.ldq = g->ldq;
    h.ldo = g->ldo;
    h.scale = 1.0f / sqrtf((float)e);
    const int64_t begin = item % j->parts * j->query_rows, end = begin + j->query_rows < s ? begin + j->query_rows : s;
    if (begin >= end) return;
    int first, width;
    for (int i = 0; i < dd_panel_count(h.area.keys / DD_CHUNK); i++) {
        dd_panel_split(h.area.keys / DD_CHUNK, i, &first, &width);
        const int64_t at = first * DD_CHUNK;
        attention_pack_keys(k, g->ldq, s, e, at, width * DD_CHUNK, h.scratch + h.area.k + at * e);
    }
    for (int i = 0; i < dd_panel_count(e / DD_CHUNK); i++) {
        dd_panel_split(e / DD_CHUNK, i, &first, &width);
        const int64_t at = first * DD_CHUNK;
        attention_pack_values(v + at, g->ldq, s, h.area.keys, width * DD_CHUNK,
                              h.scratch + h.area.v + at * h.area.keys);
    }
    for (int64_t i = begin; i < end; i += DD_QUERIES) attend(&h, i, end - i < DD_QUERIES ? (int)(end - i) : DD_QUERIES);
}

static dd_status attention(const dd_exec *exec, const dd_attention_args *args)
{
    return dd_cpu_attention_run(exec, args, attention_task);
}
