/* SPDX-License-Identifier: MIT
 * Public API: pictures and token maps as PNG. Grid geometry is torchvision's make_grid: padding round every picture,
 * zero pad colour, one picture alone without padding. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/base/sizes.h"
#include "host/base/str.h"
#include "host/io/png.h"

#define MAX_SIDE 100000

void dydit_png_options_init(dydit_png_options *o, size_t size)
{
    const dydit_png_options defaults = {.size = size, .image = -1, .padding = 2, .zoom = 1};
    dd_api_defaults(o, size, &defaults, sizeof defaults);
}

/* A sheet of equal pictures, 8 bits a channel. */
typedef struct sheet {
    int64_t first, count; /* pictures */
    int side, channels;   /* of a picture */
    int nrow, pad, zoom;
    int w, h; /* of the sheet, in pixels after the zoom */
    uint8_t *pixels;
} sheet;

static dd_status plan_sheet(sheet *s, const dydit_result *r, const dydit_png_options *o, int channels, const char *path,
                            dd_err *err)
{
    if (o->image >= r->n)
        return DD_FAIL(err, DD_ERR_ARG, "%s: there is no image %lld, only %lld", path, (long long)o->image,
                       (long long)r->n);
    if (o->nrow < 0 || o->padding < 0 || o->padding > 1000 || o->zoom < 1 || o->zoom > 64)
        return DD_FAIL(err, DD_ERR_ARG, "%s: nrow %d, padding %d or zoom %d is out of range", path, o->nrow, o->padding,
                       o->zoom);
    const int one = o->image >= 0 || r->n == 1;
    s->first = o->image >= 0 ? o->image : 0;
    s->count = o->image >= 0 ? 1 : r->n;
    s->side = r->model->m->cfg.input_size;
    s->channels = channels;
    s->pad = one ? 0 : o->padding;
    s->zoom = o->zoom;
    s->nrow = o->nrow ? o->nrow : r->n <= 8 ? 4 : 8;
    if (s->nrow > s->count) s->nrow = (int)s->count;
    const int64_t cell = s->side + s->pad, rows = (s->count + s->nrow - 1) / s->nrow;
    const int64_t w = (cell * s->nrow + s->pad) * s->zoom, h = (cell * rows + s->pad) * s->zoom;
    if (w > MAX_SIDE || h > MAX_SIDE)
        return DD_FAIL(err, DD_ERR_ARG, "%s: a grid of %lld x %lld pixels is too large, write single pictures instead",
                       path, (long long)w, (long long)h);
    s->w = (int)w;
    s->h = (int)h;
    s->pixels = calloc((size_t)w * (size_t)h, (size_t)channels);
    return s->pixels ? DD_OK : DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for %d x %d pixels", path, s->w, s->h);
}

/* Sets pixel (x,y) of picture i. */
static void put(sheet *s, int64_t i, int x, int y, const uint8_t *colour)
{
    const int64_t px = ((i % s->nrow) * (s->side + s->pad) + s->pad + x) * s->zoom;
    const int64_t py = ((i / s->nrow) * (s->side + s->pad) + s->pad + y) * s->zoom;
    for (int zy = 0; zy < s->zoom; zy++)
        for (int zx = 0; zx < s->zoom; zx++)
            memcpy(s->pixels + ((py + zy) * s->w + px + zx) * s->channels, colour, (size_t)s->channels);
}

uint8_t dd_picture_byte(float v)
{
    const float p = 127.5f * v + 128.0f;
    return p >= 255.0f ? 255 : p > 0.0f ? (uint8_t)p : 0;
}

static void draw_pictures(sheet *s, const dydit_result *r)
{
    const size_t plane = (size_t)s->side * (size_t)s->side;
    uint8_t colour[4] = {0};
    for (int64_t i = 0; i < s->count; i++) {
        const float *x = r->out.latents + (size_t)(s->first + i) * plane * (size_t)s->channels;
        for (int py = 0; py < s->side; py++)
            for (int px = 0; px < s->side; px++) {
                const size_t at = (size_t)py * (size_t)s->side + (size_t)px;
                for (int c = 0; c < s->channels; c++) colour[c] = dd_picture_byte(x[(size_t)c * plane + at]);
                put(s, i, px, py, colour);
            }
    }
}

/* Dark blue over red to pale yellow, brightness rising steadily. */
static void ramp(double v, uint8_t *rgb)
{
    static const double stop[6][3] = {{8, 8, 40},    {66, 20, 104},  {148, 38, 103},
                                      {221, 81, 58}, {252, 165, 10}, {252, 255, 190}};
    const double p = v <= 0 ? 0 : v >= 1 ? 5 : v * 5;
    const int k = p >= 5 ? 4 : (int)p;
    for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)(stop[k][c] + (stop[k + 1][c] - stop[k][c]) * (p - k) + 0.5);
}

/* Cells that compute all tokens count as hits of every token; *cells: MLP cells of the plan. */
static int unrouted_cells(const dydit_result *r, int *cells)
{
    int n = 0;
    const dd_model *m = r->model->m;
    *cells = 0;
    for (int t = 0; t < r->plan->n_steps; t++)
        for (int s = 0; s < m->n_sites; s++) {
            const dd_cell *c = dd_plan_cell(r->plan, t, s);
            if (m->sites[s].kind != DD_SITE_MLP) continue;
            *cells += 1;
            n += c->op == DD_CELL_COMPUTE && c->rows == DD_ROWS_ALL;
        }
    return n;
}

static void draw_token_map(sheet *s, const dydit_result *r, double *lo, double *hi)
{
    const dd_config *c = &r->model->m->cfg;
    const int grid = c->input_size / c->patch_size;
    int cells;
    const int always = unrouted_cells(r, &cells);
    uint8_t rgb[3];
    *lo = 1, *hi = 0;
    for (int64_t i = 0; i < s->count; i++)
        for (int y = 0; y < s->side; y++)
            for (int x = 0; x < s->side; x++) {
                const int token = y / c->patch_size * grid + x / c->patch_size;
                const double v = (double)(always + r->out.hits[(s->first + i) * c->tokens + token]) / cells;
                if (v < *lo) *lo = v;
                if (v > *hi) *hi = v;
                ramp(v, rgb);
                put(s, i, x, y, rgb);
            }
}

/* ---- text chunks ---------------------------------------------------------------------------------------------- */

enum { MAX_TEXT = 16, MAX_VALUE = 64 };

typedef struct texts {
    dd_png_text at[MAX_TEXT];
    char value[MAX_TEXT][MAX_VALUE];
    char *labels;
    int n;
} texts;

static void add_text(texts *t, const char *key, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

static void add_text(texts *t, const char *key, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->value[t->n], MAX_VALUE, fmt, ap);
    va_end(ap);
    t->at[t->n] = (dd_png_text){key, t->value[t->n]};
    t->n++;
}

/* Everything that the picture depends on; nothing of the machine it was made on. */
static dd_status describe(texts *t, const dydit_result *r, const sheet *s, dd_err *err)
{
    const dd_settings *set = &r->set;
    dd_str labels = {0};
    add_text(t, "Software", "dydit %s", dydit_version());
    add_text(t, "dydit:model", "%s", r->model->m->cfg.arch);
    add_text(t, "dydit:plan", "%016" PRIx64, r->plan->model_id);
    add_text(t, "dydit:plan-table", "%016" PRIx64, dd_plan_hash(r->plan));
    add_text(t, "dydit:sampler", "%s, %s steps, eta %g", set->sampler, set->steps, set->eta);
    add_text(t, "dydit:guidance", "%g on %d channels at timesteps %d-%d", set->guided ? set->cfg_scale : 1.0,
             set->cfg_channels, set->cfg_lo, set->cfg_hi);
    add_text(t, "dydit:seed", "%" PRIu64 " (%s, image %lld)", set->seed, set->batch_mode ? "batch" : "per-image",
             (long long)(r->first + s->first));
    add_text(t, "dydit:rng", "%s", set->rng);
    add_text(t, "dydit:precision", "%s", set->precision);
    if (r->steps_done < r->plan->n_steps)
        add_text(t, "dydit:preview", "step %d of %d", r->steps_done, r->plan->n_steps);
    for (int64_t i = 0; i < s->count; i++) dd_str_addf(&labels, "%s%d", i ? "," : "", r->labels[s->first + i]);
    DD_TRY(dd_str_take(&labels, &t->labels, err));
    t->at[t->n++] = (dd_png_text){"dydit:labels", t->labels};
    return DD_OK;
}

static dd_status write_sheet(const dydit_result *r, const char *path, const dydit_png_options *options, int token_map,
                             dd_err *err)
{
    dydit_png_options o;
    sheet s = {0};
    texts t = {.n = 0};
    double lo = 0, hi = 0;
    const int c = r->model->m->cfg.in_channels;
    dydit_png_options_init(&o, sizeof o);
    DD_TRY(dd_api_options(&o, sizeof o, options, "dydit_png_options", err));
    DD_TRY(dd_result_has_pictures(r, path, err));
    if (!token_map && c != 1 && c != 3)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED,
                       "%s: %s makes latents of %d channels, which need a VAE to become pictures", path,
                       r->model->m->cfg.arch, c);
    dd_status st = plan_sheet(&s, r, &o, token_map ? 3 : c, path, err);
    if (st == DD_OK) {
        if (token_map) draw_token_map(&s, r, &lo, &hi);
        else draw_pictures(&s, r);
        st = describe(&t, r, &s, err);
    }
    if (st == DD_OK && token_map)
        add_text(&t, "dydit:tokens", "share computed, 0 dark to 1 bright; here %.3f to %.3f", lo, hi);
    if (st == DD_OK) st = dd_png_write(path, s.pixels, s.w, s.h, s.channels, t.at, t.n, err);
    free(t.labels);
    free(s.pixels);
    return st;
}

dydit_status dydit_result_write_png(const dydit_result *r, const char *path, const dydit_png_options *options)
{
    if (!r || !path) return DYDIT_ERR_ARG;
    dd_api_begin(r->model->ctx);
    return (dydit_status)write_sheet(r, path, options, 0, &r->model->ctx->err);
}

dydit_status dydit_result_write_token_map(const dydit_result *r, const char *path, const dydit_png_options *options)
{
    if (!r || !path) return DYDIT_ERR_ARG;
    dd_api_begin(r->model->ctx);
    return (dydit_status)write_sheet(r, path, options, 1, &r->model->ctx->err);
}
