/* SPDX-License-Identifier: MIT
 * Formula: out_i = softmax over j of (q_i k_j / sqrt(C)) v_j, one head over the pixels of a picture.
 * Layout: qkv [B,P,3,C], out [B,P,C]. Thread mapping, budget, precision: pixel_attention_vec.h. Preconditions: checked in
 * pixel_attention.c. */
#include "kernels/cpu/pixel_attention_vec.h"

static void pixel_attention_task(void *arg, int item, int thread)
{
    const dd_pixel_job *j = arg;
    const dd_pixel_attention_args *g = j->g;
    const int64_t b = item / j->parts, first = (int64_t)(item % j->parts) * DD_PIXEL_QUERIES, ld = 3 * (int64_t)g->c;
    const float *qkv = (const float *)g->qkv + b * g->pixels * ld;
    const int64_t left = g->pixels - first;
    pixel_block p = {.q = qkv + first * ld, .ldq = ld};
    pixel_open(&p, j->scratch[thread], g, left < DD_PIXEL_QUERIES ? (int)left : DD_PIXEL_QUERIES);
    for (int64_t key = 0; key < g->pixels; key += DD_PIXEL_KEYS) {
        const float *k = qkv + key * ld + g->c;
        pixel_keys(&p, k, k + g->c, ld, g->pixels - key < DD_PIXEL_KEYS ? g->pixels - key : DD_PIXEL_KEYS);
    }
    for (int r = 0; r < p.rows; r++) {
        const float *src = p.scratch + p.area.out + r * p.area.ld_out;
        float *dst = (float *)g->out + (b * g->pixels + first + r) * p.c;
        const vf inv = vsplat(1.0f / p.sum[r]);
        int64_t i = 0;
        for (; i + DD_VL <= p.c; i += DD_VL) vstore(dst + i, vload(src + i) * inv);
        if (i < p.c) vstore_part(dst + i, vload(src + i) * inv, (int)(p.c - i));
    }
}

static dd_status pixel_attention(const dd_exec *exec, const dd_pixel_attention_args *args)
{
    return dd_cpu_pixel_attention_run(exec, args, DD_FMT_F32, pixel_attention_task);
}
