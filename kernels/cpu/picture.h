/* SPDX-License-Identifier: MIT
 * Ops on pictures: what their fronts (arguments checked, work divided) hand to the tasks of an instruction set. */
#ifndef DD_KERNELS_CPU_PICTURE_H
#define DD_KERNELS_CPU_PICTURE_H

#include "kernels/cpu/work.h"
#include "kernels/ref/check_picture.h"

/* Pixels in float32, or in bf16 for tasks that have it. */
static inline bool dd_cpu_pixels_ok(dd_format format, bool bf16)
{
    return format == DD_FMT_F32 || (bf16 && format == DD_FMT_BF16);
}

dd_status dd_cpu_to_pixels(const dd_exec *exec, const dd_to_pixels_args *args);
dd_status dd_cpu_to_planes(const dd_exec *exec, const dd_to_planes_args *args);

/* ---- convolution ---- */

#define DD_CONV_CHANNELS 1024 /* most channels of a piece: those of one tap, or some of them */
#define DD_CONV_TAPS 9
#define DD_CONV_BLOCK 512 /* pixels; a panel comes from memory once for them */

extern const float dd_cpu_zeros[DD_CONV_CHANNELS]; /* what lies outside of a picture */

typedef struct dd_conv_job {
    const dd_conv2d_args *g;
    void **scratch;
    int64_t m, blocks;     /* pixels of dst; blocks of mc of them */
    int64_t picture, line; /* bytes of src from one to the next */
    int64_t pixel;         /* likewise */
    int panels, mc, threads;
    int pieces, per_tap; /* K is a row of pieces; those of a tap */
    int slab;            /* pieces whose weights stay in the cache while mc pixels pass */
    int shift;           /* 1: src is half as large */
} dd_conv_job;

/* Checks all but the formats and the weight's layout, and divides the work; slab_k: most of K in a slab. */
dd_status dd_cpu_conv2d_open(const dd_exec *exec, const dd_conv2d_args *args, int slab_k, dd_conv_job *job);

/* The panel of an item, and its block of pixels. Blocks of 512 pixels are outside of panels. */
static inline int dd_conv_panel(const dd_conv_job *j, int64_t item, int64_t *block)
{
    const int64_t per = DD_CONV_BLOCK / j->mc, outer = item / (per * j->panels), rem = item - outer * per * j->panels;
    const int64_t left = j->blocks - outer * per, n = left < per ? left : per;
    *block = outer * per + rem % n;
    return (int)(rem / n);
}

/* A pixel of dst as seen from src. */
typedef struct dd_conv_pixel {
    const char *picture;
    int32_t y, x; /* of dst */
} dd_conv_pixel;

static inline void dd_conv_pixels(const dd_conv_job *j, int64_t first, int n, dd_conv_pixel *p)
{
    const int64_t plane = (int64_t)j->g->h * j->g->w_out;
    int64_t b = first / plane;
    int32_t y = (int32_t)(first % plane / j->g->w_out), x = (int32_t)(first % j->g->w_out);
    for (int i = 0; i < n; i++) {
        p[i] = (dd_conv_pixel){(const char *)j->g->src + b * j->picture, y, x};
        if (++x < j->g->w_out) continue;
        x = 0;
        if (++y < j->g->h) continue;
        y = 0;
        b++;
    }
}

typedef struct dd_conv_piece {
    int dy, dx;      /* the tap */
    int64_t channel; /* the first one */
    int n;           /* channels */
} dd_conv_piece;

static inline dd_conv_piece dd_conv_piece_at(const dd_conv_job *j, int i)
{
    const int size = j->g->ksize, tap = i / j->per_tap;
    dd_conv_piece p = {.dy = tap / size - size / 2, .dx = tap % size - size / 2};
    p.channel = (int64_t)(i % j->per_tap) * DD_CONV_CHANNELS;
    p.n = j->g->c - p.channel < DD_CONV_CHANNELS ? (int)(j->g->c - p.channel) : DD_CONV_CHANNELS;
    return p;
}

/* Where the channels of a piece begin for each of n pixels. size: of an element. */
static inline void dd_conv_rows(const dd_conv_job *j, const dd_conv_piece *t, const dd_conv_pixel *p, int n,
                                int64_t size, const void **rows)
{
    const uint32_t h = (uint32_t)j->g->h, w = (uint32_t)j->g->w_out;
    for (int i = 0; i < n; i++) {
        const int32_t y = p[i].y + t->dy, x = p[i].x + t->dx;
        const int64_t at = (y >> j->shift) * j->line + (x >> j->shift) * j->pixel + t->channel * size;
        rows[i] = (uint32_t)y < h && (uint32_t)x < w ? p[i].picture + at : (const char *)dd_cpu_zeros;
    }
}

#endif
