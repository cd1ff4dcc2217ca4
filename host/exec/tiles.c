/* SPDX-License-Identifier: MIT
 * Blending follows diffusers to the rounding of one multiply-add, also at the edges: a last tile that is narrower than the
 * overlap fades from the last rows of the one above it, wherever these lie. */
#include "host/exec/tiles.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/sizes.h"

dd_tiling dd_tiling_plan(int h, int w, int factor, int tile, double overlap)
{
    dd_tiling t = {.h = h, .w = w, .factor = factor, .tile = tile, .step = (int)(tile * (1 - overlap))};
    if (t.step < 1) t.step = 1;
    t.rows = (h + t.step - 1) / t.step;
    t.cols = (w + t.step - 1) / t.step;
    return t;
}

static size_t tile_floats(const dd_tiling *t, int planes)
{
    const size_t h = (size_t)(t->tile < t->h ? t->tile : t->h), w = (size_t)(t->tile < t->w ? t->tile : t->w);
    return (size_t)planes * h * w * (size_t)t->factor * (size_t)t->factor;
}

size_t dd_tile_rows_bytes(const dd_tiling *t, int planes)
{
    return 2 * (size_t)t->cols * (tile_floats(t, planes) * sizeof(float) + sizeof(float *));
}

dd_status dd_tile_rows_init(dd_tile_rows *r, const dd_tiling *t, int planes, dd_err *err)
{
    const size_t each = tile_floats(t, planes), cols = (size_t)t->cols;
    size_t n;
    *r = (dd_tile_rows){.tiling = *t, .planes = planes};
    if (dd_mul_size(2 * cols, each, &n) && dd_mul_size(n, sizeof *r->memory, &n)) r->memory = malloc(n);
    r->pointers = calloc(2 * cols, sizeof *r->pointers);
    if (!r->memory || !r->pointers) {
        dd_tile_rows_fini(r);
        return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for two rows of %d tiles", t->cols);
    }
    r->above = r->pointers;
    r->row = r->pointers + cols;
    for (size_t i = 0; i < 2 * cols; i++) r->pointers[i] = r->memory + i * each;
    return DD_OK;
}

void dd_tile_rows_fini(dd_tile_rows *r)
{
    free(r->memory);
    free(r->pointers);
    *r = (dd_tile_rows){0};
}

float *dd_tile_at(dd_tile_rows *r, int i, int j)
{
    if (j == 0 && i > 0) {
        float **done = r->above;
        r->above = r->row;
        r->row = done;
    }
    return r->row[j];
}

static int smaller(int a, int b) { return a < b ? a : b; }

/* dst[y] becomes the blend of src[y] and itself over n lines; lines of `count` values lie `stride` apart, values `step`. */
typedef struct lines {
    const float *src;
    float *dst;
    size_t src_line, dst_line, src_step, dst_step, count;
    int n;
} lines;

static void fade(const lines *l)
{
    for (int y = 0; y < l->n; y++) {
        const float mine = (float)((double)y / l->n), other = (float)(1 - (double)y / l->n);
        const float *src = l->src + (size_t)y * l->src_line;
        float *dst = l->dst + (size_t)y * l->dst_line;
        for (size_t x = 0; x < l->count; x++)
            dst[x * l->dst_step] = src[x * l->src_step] * other + dst[x * l->dst_step] * mine;
    }
}

/* The last rows of the tile above onto the first of this one. */
static void fade_down(const float *above, int above_h, float *tile, int h, int w, int extent)
{
    const int n = smaller(smaller(above_h, h), extent);
    const size_t line = (size_t)w;
    fade(&(lines){.src = above + (size_t)(above_h - n) * line,
                  .dst = tile,
                  .src_line = line,
                  .dst_line = line,
                  .src_step = 1,
                  .dst_step = 1,
                  .count = line,
                  .n = n});
}

/* The last columns of the tile to the left onto the first of this one. */
static void fade_right(const float *left, int left_w, float *tile, int h, int w, int extent)
{
    const int n = smaller(smaller(left_w, w), extent);
    fade(&(lines){.src = left + (left_w - n),
                  .dst = tile,
                  .src_line = 1,
                  .dst_line = 1,
                  .src_step = (size_t)left_w,
                  .dst_step = (size_t)w,
                  .count = (size_t)h,
                  .n = n});
}

void dd_tile_blend(dd_tile_rows *r, int i, int j, float *picture)
{
    const dd_tiling *t = &r->tiling;
    const int f = t->factor, extent = (t->tile - t->step) * f, limit = t->step * f;
    const int h = dd_tile_extent(i, t->h, t) * f, w = dd_tile_extent(j, t->w, t) * f;
    const int above_h = i > 0 ? dd_tile_extent(i - 1, t->h, t) * f : 0;
    const int left_w = j > 0 ? dd_tile_extent(j - 1, t->w, t) * f : 0;
    const size_t width = (size_t)t->w * (size_t)f, plane = width * (size_t)t->h * (size_t)f;
    for (int p = 0; p < r->planes; p++) {
        float *tile = r->row[j] + (size_t)p * (size_t)h * (size_t)w;
        if (i > 0) fade_down(r->above[j] + (size_t)p * (size_t)above_h * (size_t)w, above_h, tile, h, w, extent);
        if (j > 0) fade_right(r->row[j - 1] + (size_t)p * (size_t)h * (size_t)left_w, left_w, tile, h, w, extent);
        float *dst = picture + (size_t)p * plane + (size_t)i * (size_t)limit * width + (size_t)j * (size_t)limit;
        for (int y = 0; y < smaller(h, limit); y++)
            memcpy(dst + (size_t)y * width, tile + (size_t)y * (size_t)w, (size_t)smaller(w, limit) * sizeof *tile);
    }
}
