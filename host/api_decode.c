/* SPDX-License-Identifier: MIT
 * Public API: pictures from latents. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/base/sizes.h"
#include "host/exec/decode.h"

#define DEFAULT_BATCH 4
#define DEFAULT_OVERLAP 0.25
#define MAX_OVERLAP 0.9

void dydit_decode_options_init(dydit_decode_options *o, size_t size)
{
    const dydit_decode_options defaults = {.size = size, .tile_overlap = DEFAULT_OVERLAP};
    dd_api_defaults(o, size, &defaults, sizeof defaults);
}

/* One call: what is to be decoded, and how. */
typedef struct decoding {
    dydit_vae *vae;
    dydit_decode_options o;
    dd_format input;
    dd_decode_plan whole, tiles;
    uint64_t others; /* bytes that stay allocated meanwhile: the model's weights, latents, results */
} decoding;

static dd_status check_options(const dydit_decode_options *o, dd_err *err)
{
    if (o->batch_size < 0 || o->batch_size > 65536)
        return DD_FAIL(err, DD_ERR_ARG, "a batch of %d pictures is out of range: 1 to 65536", o->batch_size);
    if (o->tiling != DYDIT_TILING_AUTO && o->tiling != DYDIT_TILING_OFF && o->tiling != DYDIT_TILING_ON)
        return DD_FAIL(err, DD_ERR_ARG, "tiling %d is not known", (int)o->tiling);
    if (o->tile_size < 0 || o->tile_size > DD_VAE_MAX_EDGE)
        return DD_FAIL(err, DD_ERR_ARG, "tiles of %d latents are out of range: 1 to %d", o->tile_size, DD_VAE_MAX_EDGE);
    if (!(o->tile_overlap >= 0 && o->tile_overlap <= MAX_OVERLAP))
        return DD_FAIL(err, DD_ERR_ARG, "a tile overlap of %g is out of range: 0 to %g", o->tile_overlap, MAX_OVERLAP);
    return DD_OK;
}

static dd_status begin(decoding *d, dydit_vae *vae, int64_t n, int h, int w, const dydit_decode_options *options,
                       dd_err *err)
{
    const dd_vae_config *c = &vae->v->cfg;
    *d = (decoding){.vae = vae, .input = dd_decoder_input(vae->ctx->be, vae->ctx->input)};
    dydit_decode_options_init(&d->o, sizeof d->o);
    DD_TRY(dd_api_options(&d->o, sizeof d->o, options, "dydit_decode_options", err));
    DD_TRY(check_options(&d->o, err));
    if (n < 1) return DD_FAIL(err, DD_ERR_ARG, "number of latents is %lld: at least 1", (long long)n);
    const int factor = dd_vae_factor(c);
    if (h < 1 || w < 1 || h > DD_VAE_MAX_EDGE / factor || w > DD_VAE_MAX_EDGE / factor)
        return DD_FAIL(err, DD_ERR_ARG, "%s: %d x %d latents are out of range: pictures of at most %d pixels a side",
                       vae->v->path, w, h, DD_VAE_MAX_EDGE);
    d->whole = (dd_decode_plan){.n = n,
                                .h = h,
                                .w = w,
                                .batch = d->o.batch_size ? d->o.batch_size : DEFAULT_BATCH,
                                .overlap = d->o.tile_overlap};
    if (n < d->whole.batch) d->whole.batch = (int)n;
    d->tiles = d->whole;
    d->tiles.tile = d->o.tile_size ? d->o.tile_size : dd_vae_tile(c);
    return DD_OK;
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static dd_status measure(const decoding *d, const dd_decode_plan *plan, dd_decode_bytes *bytes, uint64_t *all,
                         dd_err *err)
{
    dd_backend *be = d->vae->ctx->be;
    DD_TRY(dd_decode_footprint(bytes, d->vae->v, be, d->input, plan, err));
    *all = d->others + dd_decoder_weights_bytes(d->vae->v, be, d->input) + bytes->backend + bytes->scratch +
           bytes->host;
    return DD_OK;
}

/* Against the limit, and against what a device has free. */
static dd_status check_memory(const decoding *d, const dd_decode_plan *plan, dd_err *err)
{
    dd_backend *be = d->vae->ctx->be;
    dd_decode_bytes bytes;
    uint64_t all, free_bytes;
    DD_TRY(measure(d, plan, &bytes, &all, err));
    const char *how = dd_decode_tiled(plan) ? " in tiles" : "";
    if (d->o.max_mem && all > d->o.max_mem)
        return DD_FAIL(err, DD_ERR_NOMEM,
                       "decoding %d pictures at a time%s needs %.3g GB, more than the limit of %.3g GB", plan->batch,
                       how, (double)all / 1e9, (double)d->o.max_mem / 1e9);
    if (!be->memory_free) return DD_OK;
    DD_TRY(be->memory_free(be, &free_bytes, err));
    const uint64_t device = bytes.backend + bytes.scratch +
                            (d->vae->weights ? 0 : dd_decoder_weights_bytes(d->vae->v, be, d->input));
    if (device <= free_bytes) return DD_OK;
    return DD_FAIL(err, DD_ERR_NOMEM, "decoding %d pictures at a time%s needs %.3g GB on the device, %.3g GB are free",
                   plan->batch, how, (double)device / 1e9, (double)free_bytes / 1e9);
}

static bool can_tile(const decoding *d) { return d->o.tiling == DYDIT_TILING_AUTO && dd_decode_tiled(&d->tiles); }

dydit_status dydit_estimate_decode(dydit_vae *vae, int64_t n, int h, int w, const dydit_decode_options *options,
                                   dydit_estimate *estimate)
{
    dydit_estimate full = {0};
    decoding d;
    dd_decode_bytes bytes;
    if (!vae || !estimate) return DYDIT_ERR_ARG;
    dd_err *err = &vae->ctx->err;
    dd_api_begin(vae->ctx);
    dd_status st = dd_api_options(&full, sizeof full, estimate, "dydit_estimate", err);
    if (st == DD_OK) st = begin(&d, vae, n, h, w, options, err);
    if (st != DD_OK) return (dydit_status)st;
    const dd_vae_config *c = &vae->v->cfg;
    const uint64_t factor = (uint64_t)dd_vae_factor(c), plane = (uint64_t)h * (uint64_t)w;
    const uint64_t latents = (uint64_t)n * (uint64_t)c->latent_channels * plane * sizeof(float);
    const uint64_t results = (uint64_t)n * 3 * plane * factor * factor;
    d.others = full.weights_bytes + latents + results;
    const dd_decode_plan *plan = d.o.tiling == DYDIT_TILING_ON ? &d.tiles : &d.whole;
    if (can_tile(&d) && check_memory(&d, plan, NULL) == DD_ERR_NOMEM) plan = &d.tiles;
    st = measure(&d, plan, &bytes, &full.vae_peak_bytes, err);
    if (st != DD_OK) return (dydit_status)st;
    full.size = estimate->size;
    full.vae_weights_bytes = dd_decoder_weights_bytes(vae->v, vae->ctx->be, d.input);
    full.vae_activation_bytes = bytes.backend;
    full.vae_picture_bytes = bytes.host + results;
    full.vae_batch_size = plan->batch;
    full.vae_tiled = dd_decode_tiled(plan);
    if (full.vae_peak_bytes > full.peak_bytes) full.peak_bytes = full.vae_peak_bytes;
    const uint64_t weights = full.weights_bytes + (vae->weights ? 0 : full.vae_weights_bytes);
    const uint64_t device = weights + bytes.backend + bytes.scratch;
    if (vae->ctx->be->memory_free && device > full.device_bytes) full.device_bytes = device;
    memcpy(estimate, &full, estimate->size);
    return DYDIT_OK;
}

/* ---- running --------------------------------------------------------------------------------------------------- */

typedef struct sink {
    const decoding *d;
    int64_t n;
    size_t each;    /* values of a picture */
    float *floats;  /* [n,3,h,w], or NULL */
    uint8_t *bytes; /* [n,h,w,3], or NULL */
} sink;

static void take(void *user, int64_t first, int count, const float *pictures)
{
    sink *s = user;
    const size_t at = (size_t)first * s->each, plane = s->each / 3;
    if (s->floats) memcpy(s->floats + at, pictures, (size_t)count * s->each * sizeof *pictures);
    for (size_t i = 0; s->bytes && i < (size_t)count; i++)
        for (size_t c = 0; c < 3; c++)
            for (size_t p = 0; p < plane; p++)
                s->bytes[at + i * s->each + p * 3 + c] = dd_api_to_byte(pictures[i * s->each + c * plane + p]);
}

static int on_tile(void *user, const dd_decode_state *st)
{
    const sink *s = user;
    const dydit_decode_options *o = &s->d->o;
    dydit_progress p = {
        .images_done = st->done, .images = s->n, .step = st->tile, .steps = st->tiles, .seconds = st->seconds};
    if (st->done > 0 && st->seconds > 0) {
        p.images_per_s = (double)st->done / st->seconds;
        p.seconds_left = (double)(s->n - st->done) / p.images_per_s;
    }
    return o->progress ? o->progress(o->user, &p) : 0;
}

static dd_status run_plan(const decoding *d, const dd_decode_plan *plan, const float *latents, sink *s, double *seconds,
                          dd_err *err)
{
    dydit_vae *vae = d->vae;
    DD_TRY(check_memory(d, plan, err));
    if (!vae->weights) DD_TRY(dd_decoder_weights_load(&vae->weights, vae->v, vae->ctx->be, d->input, err));
    const dd_decode_job job = {.plan = *plan,
                               .vae = vae->v,
                               .weights = vae->weights,
                               .latents = latents,
                               .take = take,
                               .on_tile = on_tile,
                               .user = s,
                               .cancel = &vae->ctx->cancel};
    return dd_decode_run(&job, seconds, err);
}

/* Memory that does not suffice for whole pictures may do for tiles: one more try. *used: the plan that was carried out. */
static dd_status run(const decoding *d, const float *latents, sink *s, const dd_decode_plan **used, double *seconds,
                     dd_err *err)
{
    dydit_ctx *ctx = d->vae->ctx;
    *used = d->o.tiling == DYDIT_TILING_ON ? &d->tiles : &d->whole;
    dd_status st = run_plan(d, *used, latents, s, seconds, err);
    if (st != DD_ERR_NOMEM || !can_tile(d)) return st;
    dd_log_write(&ctx->log, DD_LOG_WARN, "%s; trying again in tiles of %d latents", err->text, d->tiles.tile);
    dd_err_clear(err);
    *used = &d->tiles;
    return run_plan(d, *used, latents, s, seconds, err);
}

dd_status dd_api_decode(dydit_vae *vae, const dd_pictures *latents, const dydit_decode_options *options,
                        uint64_t others, float *out, dd_err *err)
{
    decoding d;
    const dd_decode_plan *used;
    double seconds;
    DD_TRY(begin(&d, vae, latents->n, latents->h, latents->w, options, err));
    d.others = others;
    const size_t factor = (size_t)dd_vae_factor(&vae->v->cfg);
    sink s = {.d = &d, .n = latents->n, .floats = out};
    s.each = 3 * (size_t)latents->h * factor * (size_t)latents->w * factor;
    return run(&d, latents->values, &s, &used, &seconds, err);
}

dydit_status dydit_vae_decode(dydit_vae *vae, int64_t n, int h, int w, const float *latents,
                              const dydit_decode_options *options, float *out)
{
    if (!vae || !latents || !out) return DYDIT_ERR_ARG;
    dd_api_begin(vae->ctx);
    atomic_store(&vae->ctx->cancel, 0);
    return (dydit_status)dd_api_decode(vae, &(dd_pictures){n, h, w, latents}, options, 0, out, &vae->ctx->err);
}

dd_status dd_api_vae_fits(const dydit_vae *vae, const dydit_model *model, dd_err *err)
{
    const dd_config *c = &model->m->cfg;
    if (vae->ctx != model->ctx)
        return DD_FAIL(err, DD_ERR_ARG, "%s: the VAE belongs to another context than the model", vae->v->path);
    if (vae->v->cfg.latent_channels != c->in_channels)
        return DD_FAIL(err, DD_ERR_ARG, "%s: a VAE for latents of %d channels, but %s makes %d", vae->v->path,
                       vae->v->cfg.latent_channels, c->arch, c->in_channels);
    return DD_OK;
}

static dd_status decode_result(dydit_result *r, dydit_vae *vae, const dydit_decode_options *options, dd_err *err)
{
    const dd_config *c = &r->model->m->cfg;
    const dd_decode_plan *used;
    dd_decoded done = {.side = c->input_size * dd_vae_factor(&vae->v->cfg)};
    decoding d;
    dd_decode_bytes bytes;
    DD_TRY(dd_result_has_pictures(r, vae->v->path, err));
    DD_TRY(dd_api_vae_fits(vae, r->model, err));
    DD_TRY(begin(&d, vae, r->n, c->input_size, c->input_size, options, err));
    const size_t each = 3 * (size_t)done.side * (size_t)done.side, latents = (size_t)c->latent_count * sizeof(float);
    size_t n;
    d.others = r->weight_bytes + (uint64_t)r->n * (latents + each);
    if (dd_mul_size((size_t)r->n, each, &n)) done.pictures = malloc(n);
    if (!done.pictures) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for %lld pictures", (long long)r->n);
    sink s = {.d = &d, .n = r->n, .each = each, .bytes = done.pictures};
    dd_status st = run(&d, r->out.latents, &s, &used, &done.seconds, err);
    if (st == DD_OK) st = measure(&d, used, &bytes, &done.peak_bytes, err);
    if (st != DD_OK) {
        free(done.pictures);
        return st;
    }
    done.tiled = dd_decode_tiled(used);
    free(r->decoded.pictures);
    r->decoded = done;
    return DD_OK;
}

dydit_status dydit_result_decode(dydit_result *r, dydit_vae *vae, const dydit_decode_options *options)
{
    if (!r || !vae) return DYDIT_ERR_ARG;
    dydit_ctx *ctx = r->model->ctx;
    dd_api_begin(ctx);
    if (!r->is_batch) atomic_store(&ctx->cancel, 0); /* else one of the run would be lost */
    return (dydit_status)decode_result(r, vae, options, &ctx->err);
}

const uint8_t *dydit_result_pictures(const dydit_result *r, int64_t *n_images, int *side)
{
    if (!r || !r->decoded.pictures) return NULL;
    if (n_images) *n_images = r->n;
    if (side) *side = r->decoded.side;
    return r->decoded.pictures;
}
