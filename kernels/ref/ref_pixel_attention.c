/* SPDX-License-Identifier: MIT
 * Formula: out_i = softmax over j of (q_i k_j / sqrt(C)) v_j, one head over the pixels of a picture. Layout: qkv [B,P,3,C],
 * out [B,P,C]. Threads: the pixels, over exec's pool. Budget: none; one pass with a running maximum. Preconditions: c a
 * multiple of DD_CHUNK, at most DD_PIXEL_ATTENTION_MAX. Precision: double; out is rounded once. */
#include <math.h>

#include "kernels/ref/check_picture.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"

static double element(const dd_pixel_attention_args *g, int64_t pixel, int64_t at)
{
    return (double)dd_ref_load(g->qkv, g->qkv_format, 3 * (int64_t)g->c, pixel, at);
}

static void query(void *arg, int item, int thread)
{
    (void)thread;
    const dd_pixel_attention_args *g = arg;
    const int64_t c = g->c, first = (int64_t)(item / g->pixels) * g->pixels;
    double acc[DD_PIXEL_ATTENTION_MAX] = {0}, max = -HUGE_VAL, sum = 0;
    for (int64_t j = first; j < first + g->pixels; j++) {
        double score = 0;
        for (int64_t x = 0; x < c; x++) score += element(g, item, x) * element(g, j, c + x);
        score /= sqrt((double)c);
        const double m = score > max ? score : max, old = max == m ? 1 : exp(max - m), p = exp(score - m);
        max = m;
        sum = sum * old + p;
        for (int64_t x = 0; x < c; x++) acc[x] = acc[x] * old + p * element(g, j, 2 * c + x);
    }
    for (int64_t x = 0; x < c; x++) dd_ref_store(g->out, g->out_format, c, item, x, acc[x] / sum);
}

dd_status dd_ref_pixel_attention(const dd_exec *exec, const dd_pixel_attention_args *args)
{
    const dd_pixel_attention_args *g = args;
    if (!dd_exec_ok(exec) || g == NULL || g->qkv == NULL || g->out == NULL) return DD_ERR_ARG;
    if (!dd_picture_ok(g->b, g->pixels, 1, g->c) || g->c > DD_PIXEL_ATTENTION_MAX) return DD_ERR_ARG;
    if (!dd_pixel_format_ok(g->qkv_format) || !dd_pixel_format_ok(g->out_format)) return DD_ERR_ARG;
    dd_pixel_attention_args copy = *g;
    if (exec->parallel_for != NULL) {
        exec->parallel_for(exec->pool, g->b * g->pixels, query, &copy);
    } else {
        for (int i = 0; i < g->b * g->pixels; i++) query(&copy, i, 0);
    }
    return DD_OK;
}
