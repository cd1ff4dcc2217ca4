/* SPDX-License-Identifier: MIT
 * Formula: out = softmax(q kT / sqrt(E)) v for every row and active head.
 * Layout: qkv rows [a, 3, E], row-major bf16; out in blocks, [a, E] compact. K and V are packed into scratch
 * (amx_attention.h). q is loaded in place: where E is no multiple of 32 its last step reads on into k, and those columns
 * meet zeros. It is copied where that would leave the head, and where fewer than 32 queries are left.
 * Thread mapping: items of (row, head), or of a run of queries of one where heads are few.
 * Budget: 2 x 2 accumulator tiles, 2 of each operand; scratch (XL/2: 96 KiB of K and V, 96 KiB more) in L2.
 * Preconditions: checked in attention_bf16.c.
 * Precision: sums of products as in amx_gemm_tmpl.h; scores, maximum, sum and division in float32; weights 2^(s - max) by
 * vexp2_bf16, rounded to bf16 without being divided by their sum, which adds them unrounded. */
#include "kernels/cpu/amx_attention.h"
#include "kernels/cpu/amx_math.h"
#include "kernels/cpu/amx_tile.h"
#include "kernels/cpu/bf16_blocks.h"
#include "kernels/cpu/bf16_transpose.h"

typedef struct attention_head {
    const uint16_t *q, *k, *v; /* rows of ldq */
    unsigned char *scratch;
    dd_amx_attention_areas area;
    int64_t s, e, ldq;
} attention_head;

static inline __mmask16 lanes(int64_t n) { return (__mmask16)(n >= 16 ? 0xffffu : n <= 0 ? 0u : (1u << n) - 1); }

static void pack_keys(const attention_head *h)
{
    const int64_t blocks = 2 * h->area.key_steps;
    for (int64_t b = 0; b < blocks; b++)
        for (int64_t d = 0; d < h->area.e_steps; d++) {
            unsigned char *to = h->scratch + h->area.k + (d * blocks + b) * DD_TILE;
            const __mmask16 pairs = lanes((h->e - d * 32) / 2);
            __m512i r[16];
            DD_UNROLL(16)
            for (int i = 0; i < 16; i++) {
                const bool there = b * 16 + i < h->s;
                r[i] = _mm512_maskz_loadu_epi32(there ? pairs : 0, h->k + (there ? (b * 16 + i) * h->ldq + d * 32 : 0));
            }
            bf16_transpose(r);
            DD_UNROLL(16)
            for (int i = 0; i < 16; i++) _mm512_store_si512(to + i * 64, r[i]);
        }
}

static void pack_values(const attention_head *h)
{
    for (int64_t key = 0; key < h->area.key_steps * 32; key += 2)
        for (int64_t c = 0; c < h->area.e_tiles; c++) {
            unsigned char *to = h->scratch + h->area.v + (key / 32 * h->area.e_tiles + c) * DD_TILE + key % 32 * 32;
            const __mmask16 cols = lanes(h->e - c * 16);
            const uint16_t *v = h->v + key * h->ldq + c * 16;
            const bool first = key < h->s, second = key + 1 < h->s;
            const __m256i a = _mm256_maskz_loadu_epi16(first ? cols : 0, first ? v : h->v);
            const __m256i b = _mm256_maskz_loadu_epi16(second ? cols : 0, second ? v + h->ldq : h->v);
            _mm512_store_si512(
                to, _mm512_or_si512(_mm512_cvtepu16_epi32(a), _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16)));
        }
}

/* Copies of `rows` queries, the others zero: [E steps][32][32]. */
static void copy_queries(const attention_head *h, int64_t query, int rows)
{
    unsigned char *to = h->scratch + h->area.q;
    memset(to, 0, (size_t)(h->area.e_steps * 2 * DD_TILE));
    for (int r = 0; r < rows; r++)
        for (int64_t i = 0; i < h->e; i += DD_CHUNK)
            memcpy(to + i / 32 * (2 * DD_TILE) + r * 64 + i % 32 * 2, h->q + (query + r) * h->ldq + i, DD_CHUNK * 2);
}

/* Scores of 32 queries whose steps lie `step` bytes apart, rows `stride`. */
DD_INLINE void attention_scores(const attention_head *h, const unsigned char *q, int64_t stride, int64_t step)
{
    const int64_t blocks = 2 * h->area.key_steps;
    for (int64_t b = 0; b < blocks; b += 2) {
        const unsigned char *k = h->scratch + h->area.k + b * DD_TILE;
        tile_zero(0);
        tile_zero(1);
        tile_zero(2);
        tile_zero(3);
        for (int64_t d = 0; d < h->area.e_steps; d++, k += blocks * DD_TILE) {
            tile_load(4, q + d * step, stride);
            tile_load(6, k, 64);
            tile_dot(0, 4, 6);
            tile_load(7, k + DD_TILE, 64);
            tile_dot(1, 4, 7);
            tile_load(5, q + 16 * stride + d * step, stride);
            tile_dot(2, 5, 6);
            tile_dot(3, 5, 7);
        }
        unsigned char *to = h->scratch + h->area.score + b * DD_TILE, *lower = to + blocks * DD_TILE;
        tile_store(0, to, 64);
        tile_store(1, to + DD_TILE, 64);
        tile_store(2, lower, 64);
        tile_store(3, lower + DD_TILE, 64);
    }
}

/* Scores of query r to its weights 2^(scale (s - max)); returns the reciprocal of their sum. */
DD_INLINE float attention_weights(const attention_head *h, int r, float scale, const int64_t steps)
{
    const float *score = (const float *)(void *)(h->scratch + h->area.score) + (r >> 4) * (steps * 512) + (r & 15) * 16;
    unsigned char *p = h->scratch + h->area.p + r * 64;
    const int64_t left = h->s - (steps - 1) * 32; /* keys of the last step */
    const __mmask16 low = lanes(left), high = lanes(left - 16);
    const float *last = score + (steps - 1) * 512;
    vf a = _mm512_mask_loadu_ps(vsplat(-INFINITY), low, last);
    vf b = _mm512_mask_loadu_ps(vsplat(-INFINITY), high, last + 256);
    for (int64_t t = 0; t < steps - 1; t++) {
        a = vmax(a, _mm512_load_ps(score + t * 512));
        b = vmax(b, _mm512_load_ps(score + t * 512 + 256));
    }
    const vf factor = vsplat(scale), top = vsplat(vmax_lane(vmax(a, b)) * scale);
    vf x, y, even = vsplat(0), odd = vsplat(0);
    for (int64_t t = 0; t < steps - 1; t++) {
        x = vexp2_bf16(_mm512_fmsub_ps(_mm512_load_ps(score + t * 512), factor, top));
        y = vexp2_bf16(_mm512_fmsub_ps(_mm512_load_ps(score + t * 512 + 256), factor, top));
        even += x;
        odd += y;
        _mm512_store_si512(p + t * (2 * DD_TILE), vnarrow2(x, y));
    }
    x = _mm512_maskz_mov_ps(low, vexp2_bf16(_mm512_fmsub_ps(_mm512_load_ps(last), factor, top)));
    y = _mm512_maskz_mov_ps(high, vexp2_bf16(_mm512_fmsub_ps(_mm512_load_ps(last + 256), factor, top)));
    even += x;
    odd += y;
    _mm512_store_si512(p + (steps - 1) * (2 * DD_TILE), vnarrow2(x, y));
    return 1.0f / vsum(even + odd);
}

DD_INLINE void attention_products(const attention_head *h)
{
    const int64_t tiles = h->area.e_tiles;
    for (int64_t c = 0; c < tiles; c += 2) {
        const bool second = (c + 1) * 16 < h->e;
        const unsigned char *v = h->scratch + h->area.v + c * DD_TILE, *p = h->scratch + h->area.p;
        tile_zero(0);
        tile_zero(1);
        tile_zero(2);
        tile_zero(3);
        for (int64_t t = 0; t < h->area.key_steps; t++, v += tiles * DD_TILE, p += 2 * DD_TILE) {
            tile_load(4, p, 64);
            tile_load(6, v, 64);
            tile_dot(0, 4, 6);
            tile_load(5, p + DD_TILE, 64);
            tile_dot(2, 5, 6);
            if (second) {
                tile_load(7, v + DD_TILE, 64);
                tile_dot(1, 4, 7);
                tile_dot(3, 5, 7);
            }
        }
        unsigned char *to = h->scratch + h->area.out + c * DD_TILE, *lower = to + tiles * DD_TILE;
        tile_store(0, to, 64);
        tile_store(1, to + DD_TILE, 64);
        tile_store(2, lower, 64);
        tile_store(3, lower + DD_TILE, 64);
    }
}

/* Row r of the results times inv to columns col .. col+E of `row` of the output. */
DD_INLINE void attention_store(const attention_head *h, int r, float inv, const dd_attention_args *g, int64_t row,
                               int64_t col)
{
    const float *o = (const float *)(void *)(h->scratch + h->area.out) + (r >> 4) * (h->area.e_tiles * 256) +
                     (r & 15) * 16;
    for (int64_t x = 0; x < h->e; x += DD_BLOCK, o += 512) {
        const vbf both = vnarrow2(_mm512_load_ps(o) * vsplat(inv), _mm512_load_ps(o + 256) * vsplat(inv));
        bf16_blocks_store(g->out, g->ldo, row, col + x, ~bf16_from(h->e - x < DD_BLOCK ? (int)(h->e - x) : DD_BLOCK),
                          both);
    }
}

static void attention_task(void *arg, int item, int thread)
{
    const dd_attention_job *j = arg;
    const dd_attention_args *g = j->g;
    const int64_t s = g->s, e = g->e, pair = item / j->parts, n = pair % j->heads, row = pair / j->heads * s;
    const int64_t begin = item % j->parts * j->query_rows, end = begin + j->query_rows < s ? begin + j->query_rows : s;
    if (begin >= end) return;
    attention_head h = {.scratch = j->scratch[thread], .s = s, .e = e, .ldq = g->ldq};
    h.area = dd_amx_attention_layout(s, e);
    h.q = (const uint16_t *)g->qkv + row * g->ldq + n * g->ld_head;
    h.k = h.q + e;
    h.v = h.k + e;
    const float scale = 1.44269504f / sqrtf((float)e); /* log2(e) */
    tile_begin();
    pack_keys(&h);
    pack_values(&h);
    for (int64_t query = begin; query < end; query += DD_AMX_QUERIES) {
        const int rows = end - query < DD_AMX_QUERIES ? (int)(end - query) : DD_AMX_QUERIES;
        const bool in_place = rows == DD_AMX_QUERIES && h.area.e_steps * 32 <= 3 * e;
        float inv[DD_AMX_QUERIES];
        if (!in_place) copy_queries(&h, query, rows);
        tile_fence();
        if (in_place) attention_scores(&h, (const unsigned char *)(h.q + query * h.ldq), h.ldq * 2, 64);
        else attention_scores(&h, h.scratch + h.area.q, 64, 2 * DD_TILE);
        for (int r = 0; r < rows; r++) inv[r] = attention_weights(&h, r, scale, h.area.key_steps);
        tile_fence();
        attention_products(&h);
        for (int r = 0; r < rows; r++) {
            attention_store(&h, r, inv[r], g, row + query + r, n * e);
            if (n == j->heads - 1) bf16_blocks_finish(g->out, g->ldo, row + query + r, j->heads * e);
        }
    }
    tile_end();
}

static dd_status attention_bf16(const dd_exec *exec, const dd_attention_args *args)
{
    if (args != NULL && !dd_cpu_exec_ok(exec, dd_amx_attention_scratch(args->s, args->e))) return DD_ERR_ARG;
    return dd_cpu_attention_bf16_run(exec, args, attention_task);
}
