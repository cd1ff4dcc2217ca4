/* SPDX-License-Identifier: MIT
 * Formula: out_i = softmax over j of (q_i k_j / sqrt(C)) v_j, one head over the pixels of a picture.
 * Layout: qkv [B,P,3,C], out [B,P,C], both bf16. Thread mapping, budget, precision: pixel_attention_vec.h, since it is a
 * hundredth of a decoder: bf16 is made float32 before it is multiplied, and one rounding follows. Preconditions: checked in
 * pixel_attention.c. */
#include "kernels/cpu/bf16_insn.h"
#include "kernels/cpu/pixel_attention_vec.h"

/* n rows of c values, ld apart, become float32 side by side. */
static void pixel_widen(const uint16_t *src, int64_t ld, int64_t n, int64_t c, float *dst)
{
    for (int64_t i = 0; i < n; i++, src += ld)
        for (int64_t x = 0; x < c; x += DD_CHUNK, dst += DD_CHUNK) {
            const __m128i bits = _mm_loadu_si128((const __m128i *)(const void *)(src + x));
            _mm256_storeu_ps(dst, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16)));
        }
}

static void pixel_attention_bf16_task(void *arg, int item, int thread)
{
    const dd_pixel_job *j = arg;
    const dd_pixel_attention_args *g = j->g;
    const int64_t b = item / j->parts, first = (int64_t)(item % j->parts) * DD_PIXEL_QUERIES, ld = 3 * (int64_t)g->c;
    const uint16_t *qkv = (const uint16_t *)g->qkv + b * g->pixels * ld;
    const int64_t left = g->pixels - first;
    pixel_block p = {.ldq = g->c};
    pixel_open(&p, j->scratch[thread], g, left < DD_PIXEL_QUERIES ? (int)left : DD_PIXEL_QUERIES);
    float *const rows = p.scratch + p.area.rows, *const k = rows + p.rows * p.c;
    pixel_widen(qkv + first * ld, ld, p.rows, p.c, rows);
    p.q = rows;
    for (int64_t key = 0; key < g->pixels; key += DD_PIXEL_KEYS) {
        const int64_t n = g->pixels - key < DD_PIXEL_KEYS ? g->pixels - key : DD_PIXEL_KEYS;
        const uint16_t *from = qkv + key * ld + g->c;
        pixel_widen(from, ld, n, 2 * p.c, k);
        pixel_keys(&p, k, k + p.c, 2 * p.c, n);
    }
    for (int r = 0; r < p.rows; r++) {
        const float *src = p.scratch + p.area.out + r * p.area.ld_out;
        uint16_t *dst = (uint16_t *)g->out + (b * g->pixels + first + r) * p.c;
        const vf inv = vsplat(1.0f / p.sum[r]);
        for (int64_t i = 0; i < p.c; i += DD_VL) {
            const __m256i bits = vnarrow(vload(src + i) * inv);
            if (p.c - i >= DD_VL) _mm256_storeu_si256((__m256i *)(void *)(dst + i), bits);
            else _mm_storeu_si128((__m128i *)(void *)(dst + i), _mm256_castsi256_si128(bits)); /* a chunk of 8 */
        }
    }
}

static dd_status pixel_attention_bf16(const dd_exec *exec, const dd_pixel_attention_args *args)
{
    return dd_cpu_pixel_attention_run(exec, args, DD_FMT_BF16, pixel_attention_bf16_task);
}
