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
    int64_t first, count;         /* pictures */
    int side_w, side_h, channels; /* of a picture */
    int nrow, pad, zoom;
    int w, h; /* of the sheet, in pixels after the zoom */
    uint8_t *pixels;
} sheet;

/* s holds the extents of a picture, of which there are n. */
static dd_status measure_sheet(sheet *s, int64_t n, const dydit_png_options *o, const char *path, dd_err *err)
{
    if (o->image >= n)
        return DD_FAIL(err, DD_ERR_ARG, "%s: there is no image %lld, only %lld", path, (long long)o->image,
                       (long long)n);
    if (o->nrow < 0 || o->padding < 0 || o->padding > 1000 || o->zoom < 1 || o->zoom > 64)
        return DD_FAIL(err, DD_ERR_ARG, "%s: nrow %d, padding %d or zoom %d is out of range", path, o->nrow, o->padding,
                       o->zoom);
    const int one = o->image >= 0 || n == 1;
    s->first = o->image >= 0 ? o->image : 0;
    s->count = o->image >= 0 ? 1 : n;
    s->pad = one ? 0 : o->padding;
    s->zoom = o->zoom;
    s->nrow = o->nrow ? o->nrow : n <= 8 ? 4 : 8;
    if (s->nrow > s->count) s->nrow = (int)s->count;
    const int64_t rows = (s->count + s->nrow - 1) / s->nrow;
    const int64_t w = ((int64_t)(s->side_w + s->pad) * s->nrow + s->pad) * s->zoom;
    const int64_t h = ((s->side_h + s->pad) * rows + s->pad) * s->zoom;
    if (w > MAX_SIDE || h > MAX_SIDE)
        return DD_FAIL(err, DD_ERR_ARG, "%s: a grid of %lld x %lld pixels is too large, write single pictures instead",
                       path, (long long)w, (long long)h);
    s->w = (int)w;
    s->h = (int)h;
    return DD_OK;
}

static dd_status plan_sheet(sheet *s, int64_t n, const dydit_png_options *o, const char *path, dd_err *err)
{
    DD_TRY(measure_sheet(s, n, o, path, err));
    s->pixels = calloc((size_t)s->w * (size_t)s->h, (size_t)s->channels);
    return s->pixels ? DD_OK : DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for %d x %d pixels", path, s->w, s->h);
}

/* Sets pixel (x,y) of picture i. */
static void put(sheet *s, int64_t i, int x, int y, const uint8_t *colour)
{
    const int64_t px = ((i % s->nrow) * (s->side_w + s->pad) + s->pad + x) * s->zoom;
    const int64_t py = ((i / s->nrow) * (s->side_h + s->pad) + s->pad + y) * s->zoom;
    for (int zy = 0; zy < s->zoom; zy++)
        for (int zx = 0; zx < s->zoom; zx++)
            memcpy(s->pixels + ((py + zy) * s->w + px + zx) * s->channels, colour, (size_t)s->channels);
}

/* pictures [n, each]: planes of side_h x side_w, about -1 to 1 */
static void draw_planes(sheet *s, const float *pictures, int64_t each, const dd_view *view)
{
    const size_t plane = (size_t)s->side_h * (size_t)s->side_w;
    uint8_t pixel[4] = {0};
    for (int64_t i = 0; i < s->count; i++) {
        const float *x = pictures + (s->first + i) * each;
        for (int py = 0; py < s->side_h; py++)
            for (int px = 0; px < s->side_w; px++) {
                view->pixel(x + (size_t)py * (size_t)s->side_w + (size_t)px, plane, pixel);
                put(s, i, px, py, pixel);
            }
    }
}

/* pictures [n, side_h, side_w, channels] */
static void draw_bytes(sheet *s, const uint8_t *pictures)
{
    const size_t width = (size_t)s->side_w, channels = (size_t)s->channels;
    for (int64_t i = 0; i < s->count; i++) {
        const uint8_t *x = pictures + (size_t)(s->first + i) * (size_t)s->side_h * width * channels;
        for (int py = 0; py < s->side_h; py++)
            for (int px = 0; px < s->side_w; px++) put(s, i, px, py, x + ((size_t)py * width + (size_t)px) * channels);
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
    *cells = 0;
    for (int t = 0; t < r->plan->n_steps; t++) {
        const dd_plan *plan = dd_plan_at(r->plan, t);
        const dd_model *m = plan == r->plan ? r->model->m : r->set.later->m;
        for (int s = 0; s < m->n_sites; s++) {
            const dd_cell *c = dd_plan_cell(plan, t, s);
            if (m->sites[s].kind != DD_SITE_MLP) continue;
            *cells += 1;
            n += dd_cell_computes(c) && c->rows == DD_ROWS_ALL && dd_plan_live(plan, m, t, s);
        }
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
        for (int y = 0; y < s->side_h; y++)
            for (int x = 0; x < s->side_w; x++) {
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
    if (r->plan->other) {
        char where[DD_SWITCH_TEXT];
        add_text(t, "dydit:switch", "%s to %016" PRIx64, dd_switch_text(set, where), r->plan->other->model_id);
    }
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

/* Where the pixels of a sheet come from. */
typedef struct source {
    dd_view view;
    int side;
    const uint8_t *bytes; /* [n,side,side,3], or NULL: */
    const float *planes;  /* [n,each], seen through view */
    int64_t each;
    float *own; /* planes that were made for this sheet */
} source;

static dd_status decode_preview(source *src, const dydit_result *r, const dydit_png_options *o, const char *path,
                                dd_err *err)
{
    const int size = r->model->m->cfg.input_size;
    if (!o->vae) return DD_FAIL(err, DD_ERR_ARG, "%s: a preview by a VAE needs one", path);
    DD_TRY(dd_api_vae_fits(o->vae, r->model, err));
    src->side = size * dd_vae_factor(&o->vae->v->cfg);
    src->each = 3 * (int64_t)src->side * src->side;
    src->own = malloc((size_t)r->n * (size_t)src->each * sizeof *src->own);
    if (!src->own) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for %lld pictures", path, (long long)r->n);
    src->planes = src->own;
    return dd_api_decode(o->vae, &(dd_pictures){r->n, size, size, r->out.latents}, o->decode, 0, src->own, err);
}

static dd_status find_source(source *src, const dydit_result *r, const dydit_png_options *o, const char *path,
                             dd_err *err)
{
    const dd_config *c = &r->model->m->cfg;
    DD_TRY(dd_result_has_pictures(r, path, err));
    src->side = c->input_size;
    if (r->decoded.pictures) {
        src->view = dd_view_rgb;
        src->bytes = r->decoded.pictures;
        src->side = r->decoded.side;
        return DD_OK;
    }
    DD_TRY(dd_view_choose(&src->view, c, o->preview, path, err));
    src->planes = r->out.latents;
    src->each = c->latent_count;
    return o->preview == DYDIT_PREVIEW_VAE && src->view.name ? decode_preview(src, r, o, path, err) : DD_OK;
}

static dd_status draw(sheet *s, const source *src, const dydit_result *r, const dydit_png_options *o, const char *path,
                      dd_err *err)
{
    *s = (sheet){.side_w = src->side, .side_h = src->side, .channels = src->view.channels};
    DD_TRY(plan_sheet(s, r->n, o, path, err));
    if (src->bytes) draw_bytes(s, src->bytes);
    else draw_planes(s, src->planes, src->each, &src->view);
    return DD_OK;
}

static dd_status write_pictures(const dydit_result *r, const char *path, const dydit_png_options *options, dd_err *err)
{
    dydit_png_options o;
    texts t = {.n = 0};
    source src = {0};
    sheet s = {0};
    dydit_png_options_init(&o, sizeof o);
    DD_TRY(dd_api_options(&o, sizeof o, options, "dydit_png_options", err));
    dd_status st = find_source(&src, r, &o, path, err);
    if (st == DD_OK) st = draw(&s, &src, r, &o, path, err);
    if (st == DD_OK) st = describe(&t, r, &s, err);
    if (st == DD_OK && src.view.name) add_text(&t, "dydit:latents", "%s", src.view.name);
    if (st == DD_OK) st = dd_png_write(path, s.pixels, s.w, s.h, s.channels, t.at, t.n, err);
    free(t.labels);
    free(s.pixels);
    free(src.own);
    return st;
}

static dd_status write_token_map(const dydit_result *r, const char *path, const dydit_png_options *options, dd_err *err)
{
    const int side = r->model->m->cfg.input_size;
    dydit_png_options o;
    texts t = {.n = 0};
    sheet s = {.side_w = side, .side_h = side, .channels = 3};
    double lo = 0, hi = 0;
    dydit_png_options_init(&o, sizeof o);
    DD_TRY(dd_api_options(&o, sizeof o, options, "dydit_png_options", err));
    DD_TRY(dd_result_has_pictures(r, path, err));
    if (r->plan->other && r->set.later->m->cfg.tokens != r->model->m->cfg.tokens)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: a token map of two models, which have %d and %d tokens", path,
                       r->model->m->cfg.tokens, r->set.later->m->cfg.tokens);
    dd_status st = plan_sheet(&s, r->n, &o, path, err);
    if (st == DD_OK) {
        draw_token_map(&s, r, &lo, &hi);
        st = describe(&t, r, &s, err);
    }
    if (st == DD_OK) {
        add_text(&t, "dydit:tokens", "share computed, 0 dark to 1 bright; here %.3f to %.3f", lo, hi);
        st = dd_png_write(path, s.pixels, s.w, s.h, s.channels, t.at, t.n, err);
    }
    free(t.labels);
    free(s.pixels);
    return st;
}

dydit_status dydit_result_write_png(const dydit_result *r, const char *path, const dydit_png_options *options)
{
    if (!r || !path) return DYDIT_ERR_ARG;
    dd_api_begin(r->model->ctx);
    return (dydit_status)write_pictures(r, path, options, &r->model->ctx->err);
}

dydit_status dydit_result_write_token_map(const dydit_result *r, const char *path, const dydit_png_options *options)
{
    if (!r || !path) return DYDIT_ERR_ARG;
    dd_api_begin(r->model->ctx);
    return (dydit_status)write_token_map(r, path, options, &r->model->ctx->err);
}

dd_status dd_api_check_pictures(const dd_pictures *p, const char *path, const dydit_png_options *options, dd_err *err)
{
    dydit_png_options o;
    sheet s = {.side_w = p->w, .side_h = p->h, .channels = 3};
    dydit_png_options_init(&o, sizeof o);
    DD_TRY(dd_api_options(&o, sizeof o, options, "dydit_png_options", err));
    return measure_sheet(&s, p->n, &o, path, err);
}

dd_status dd_api_write_pictures(const dd_pictures *p, const char *path, const dydit_png_options *options, dd_err *err)
{
    dydit_png_options o;
    char software[MAX_VALUE];
    const dd_png_text text = {"Software", software};
    sheet s = {.side_w = p->w, .side_h = p->h, .channels = 3};
    snprintf(software, sizeof software, "dydit %s", dydit_version());
    dydit_png_options_init(&o, sizeof o);
    DD_TRY(dd_api_options(&o, sizeof o, options, "dydit_png_options", err));
    dd_status st = plan_sheet(&s, p->n, &o, path, err);
    if (st == DD_OK) {
        draw_planes(&s, p->values, 3 * (int64_t)p->h * p->w, &dd_view_rgb);
        st = dd_png_write(path, s.pixels, s.w, s.h, s.channels, &text, 1, err);
    }
    free(s.pixels);
    return st;
}
