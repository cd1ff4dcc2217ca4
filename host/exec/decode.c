/* SPDX-License-Identifier: MIT
 * The loop over batches and tiles. */
#define _POSIX_C_SOURCE 200809L
#include "host/exec/decode.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/base/sizes.h"

typedef struct loop {
    const dd_decode_job *job;
    dd_decoder *decoder;
    float *pictures; /* [batch, 3, ...] */
    float *cut;      /* latents of a tile [batch, channels, tile, tile], or NULL */
    dd_tile_rows rows;
    dd_decode_state state;
    double began;
} loop;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int smaller(int a, int b) { return a < b ? a : b; }

static dd_decoder_shape largest(const dd_decode_plan *p)
{
    const int h = dd_decode_tiled(p) ? smaller(p->tile, p->h) : p->h,
              w = dd_decode_tiled(p) ? smaller(p->tile, p->w) : p->w;
    return (dd_decoder_shape){p->batch, h, w};
}

static dd_tiling tiling_of(const dd_vae *vae, const dd_decode_plan *p)
{
    return dd_tiling_plan(p->h, p->w, dd_vae_factor(&vae->cfg), p->tile, p->overlap);
}

/* Values of a batch of pictures. */
static bool picture_floats(const dd_vae *vae, const dd_decode_plan *p, size_t *n)
{
    const size_t f = (size_t)dd_vae_factor(&vae->cfg);
    return dd_mul_size((size_t)p->batch * (size_t)vae->cfg.picture_channels, (size_t)p->h * f, n) &&
           dd_mul_size(*n, (size_t)p->w * f, n) && *n <= SIZE_MAX / sizeof(float);
}

static size_t cut_floats(const dd_vae *vae, const dd_decode_plan *p)
{
    const dd_decoder_shape s = largest(p);
    return (size_t)s.batch * (size_t)vae->cfg.latent_channels * (size_t)s.h * (size_t)s.w;
}

dd_status dd_decode_footprint(dd_decode_bytes *out, const dd_vae *vae, dd_backend *be, dd_format input,
                              const dd_decode_plan *p, dd_err *err)
{
    size_t pictures = 0;
    *out = (dd_decode_bytes){0};
    DD_TRY(dd_decoder_bytes(vae, be, input, largest(p), &out->backend, &out->scratch, err));
    if (!picture_floats(vae, p, &pictures))
        return DD_FAIL(err, DD_ERR_ARG, "%s: the memory for %d pictures overflows", vae->path, p->batch);
    out->host = pictures * sizeof(float);
    if (!dd_decode_tiled(p)) return DD_OK;
    const dd_tiling t = tiling_of(vae, p);
    out->host += cut_floats(vae, p) * sizeof(float) + dd_tile_rows_bytes(&t, p->batch * vae->cfg.picture_channels);
    return DD_OK;
}

/* Says how far it is; ends the run where that is asked for. */
static dd_status report(loop *l, int64_t done, int tile, dd_err *err)
{
    const dd_decode_job *job = l->job;
    l->state.done = done;
    l->state.tile = tile;
    l->state.seconds = now() - l->began;
    const int stop = job->on_tile ? job->on_tile(job->user, &l->state) : 0;
    if (done == job->plan.n || (!stop && !(job->cancel && atomic_load(job->cancel)))) return DD_OK;
    return DD_FAIL(err, DD_ERR_CANCELLED, "cancelled while decoding, with %lld of %lld pictures done", (long long)done,
                   (long long)job->plan.n);
}

/* Latents of tile (i,j) of all pictures of a batch, side by side. */
static void cut(loop *l, const float *latents, int planes, int i, int j, dd_decoder_shape s)
{
    const dd_tiling *t = &l->rows.tiling;
    const size_t h = (size_t)s.h, w = (size_t)s.w, width = (size_t)t->w;
    for (size_t p = 0; p < (size_t)planes; p++)
        for (size_t y = 0; y < h; y++)
            memcpy(l->cut + (p * h + y) * w,
                   latents + (p * (size_t)t->h + (size_t)(i * t->step) + y) * width + (size_t)(j * t->step),
                   w * sizeof *l->cut);
}

static dd_status decode_tiles(loop *l, int64_t first, int count, const float *latents, dd_err *err)
{
    const dd_tiling t = l->rows.tiling;
    const int planes = count * l->job->vae->cfg.latent_channels;
    l->rows.planes = count * l->job->vae->cfg.picture_channels;
    for (int i = 0; i < t.rows; i++)
        for (int j = 0; j < t.cols; j++) {
            const dd_decoder_shape s = {count, dd_tile_extent(i, t.h, &t), dd_tile_extent(j, t.w, &t)};
            cut(l, latents, planes, i, j, s);
            DD_TRY(dd_decoder_run(l->decoder, s, l->cut, dd_tile_at(&l->rows, i, j), err));
            dd_tile_blend(&l->rows, i, j, l->pictures);
            const int done = i * t.cols + j + 1;
            if (done < l->state.tiles) DD_TRY(report(l, first, done, err));
        }
    return DD_OK;
}

static dd_status decode_all(loop *l, dd_err *err)
{
    const dd_decode_job *job = l->job;
    const dd_decode_plan *p = &job->plan;
    const size_t each = (size_t)job->vae->cfg.latent_channels * (size_t)p->h * (size_t)p->w;
    for (int64_t first = 0; first < p->n; first += p->batch) {
        const int count = p->n - first < p->batch ? (int)(p->n - first) : p->batch;
        const float *latents = job->latents + (size_t)first * each;
        if (l->cut) DD_TRY(decode_tiles(l, first, count, latents, err));
        else DD_TRY(dd_decoder_run(l->decoder, (dd_decoder_shape){count, p->h, p->w}, latents, l->pictures, err));
        job->take(job->user, first, count, l->pictures);
        DD_TRY(report(l, first + count, l->state.tiles, err));
    }
    return DD_OK;
}

static dd_status allocate(loop *l, dd_err *err)
{
    const dd_decode_plan *p = &l->job->plan;
    const dd_vae *vae = l->job->vae;
    size_t n;
    l->pictures = picture_floats(vae, p, &n) ? malloc(n * sizeof *l->pictures) : NULL;
    if (dd_decode_tiled(p)) {
        const dd_tiling t = tiling_of(vae, p);
        l->state.tiles = t.rows * t.cols;
        DD_TRY(dd_tile_rows_init(&l->rows, &t, p->batch * vae->cfg.picture_channels, err));
        l->cut = malloc(cut_floats(vae, p) * sizeof *l->cut);
    }
    if (!l->pictures || (dd_decode_tiled(p) && !l->cut))
        return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for %d pictures", vae->path, p->batch);
    return dd_decoder_open(&l->decoder, vae, l->job->weights, largest(p), err);
}

dd_status dd_decode_run(const dd_decode_job *job, double *seconds, dd_err *err)
{
    loop l = {.job = job, .state = {.tiles = 1}, .began = now()};
    dd_status st = allocate(&l, err);
    if (st == DD_OK) st = decode_all(&l, err);
    *seconds = now() - l.began;
    dd_decoder_close(&l.decoder);
    if (l.rows.memory) dd_tile_rows_fini(&l.rows);
    free(l.cut);
    free(l.pictures);
    return st;
}
