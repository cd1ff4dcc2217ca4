/* SPDX-License-Identifier: MIT
 * Formula: acc[b,y,x,n] = sum over taps and channels of in * w, then + bias + residual; in is src, or src with every pixel
 * repeated 2 x 2. Layout: pixels [B,H,W,C], w row-major [n, taps, C]. Threads: the rows of pictures, over exec's pool.
 * Budget: none. Preconditions: c and n multiples of DD_CHUNK, ksize 1 or 3. Precision: double up to the store. */
#include "kernels/ref/check_picture.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"
#include "kernels/ref/ref_pack.h"

/* What lies at (y,x) of picture b times the weights of tap `tap` of output n. */
static double tap_product(const dd_conv2d_args *g, int64_t b, int64_t y, int64_t x, int64_t n, int64_t tap)
{
    if (y < 0 || y >= g->h || x < 0 || x >= g->w_out) return 0;
    const int64_t shrink = g->upsample ? 2 : 1;
    const int64_t pixel = (b * (g->h / shrink) + y / shrink) * (g->w_out / shrink) + x / shrink;
    const float *w = g->w->data + n * g->w->k + tap * g->c;
    double acc = 0;
    for (int64_t c = 0; c < g->c; c++) acc += (double)dd_ref_load(g->src, g->src_format, g->c, pixel, c) * w[c];
    return acc;
}

static void conv2d_row(void *arg, int item, int thread)
{
    (void)thread;
    const dd_conv2d_args *g = arg;
    const int64_t b = item / g->h, y = item % g->h, half = g->ksize / 2;
    for (int64_t x = 0; x < g->w_out; x++) {
        const int64_t pixel = (int64_t)item * g->w_out + x;
        for (int64_t n = 0; n < g->n; n++) {
            double acc = 0;
            for (int64_t i = 0; i < g->ksize; i++)
                for (int64_t j = 0; j < g->ksize; j++)
                    acc += tap_product(g, b, y + i - half, x + j - half, n, i * g->ksize + j);
            acc += (double)g->bias[n] + (g->residual ? (double)g->residual[pixel * g->n + n] : 0);
            dd_ref_store(g->dst, g->dst_format, g->n, pixel, n, acc);
        }
    }
}

dd_status dd_ref_conv2d(const dd_exec *exec, const dd_conv2d_args *args)
{
    const dd_conv2d_args *g = args;
    if (!dd_exec_ok(exec) || g == NULL || !dd_ref_packed_ok(g->w)) return DD_ERR_ARG;
    if (!dd_conv2d_ok(g) || g->w->n != g->n || g->w->k != (int64_t)g->ksize * g->ksize * g->c) return DD_ERR_ARG;
    if (dd_format_dtype(g->src_format) != g->w->as) return DD_ERR_ARG;
    dd_conv2d_args copy = *g; /* tasks take a pointer that is not const */
    if (exec->parallel_for != NULL) {
        exec->parallel_for(exec->pool, g->b * g->h, conv2d_row, &copy);
    } else {
        for (int i = 0; i < g->b * g->h; i++) conv2d_row(&copy, i, 0);
    }
    return DD_OK;
}
