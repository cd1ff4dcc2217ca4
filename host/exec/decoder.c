/* SPDX-License-Identifier: MIT
 * Values placed by lifetime, and the ops of a decoder lowered onto them. */
#include "host/exec/decoder.h"

#include <stdlib.h>

#include "host/base/sizes.h"
#include "host/exec/memory.h"
#include "host/exec/place.h"

struct dd_decoder {
    const dd_vae *vae;
    const dd_decoder_weights *weights;
    dd_decoder_shape largest, now; /* now: what the program is lowered for; batch 0: nothing */
    char *arena;                   /* on the backend: values, then the norms' work */
    int64_t *offset;               /* [n_values] */
    size_t arena_bytes, work_at;
    dd_program program;
};

dd_format dd_decoder_input(const dd_backend *be, dd_format precision)
{
    return dd_format_dtype(precision) == DD_BF16 && be->bf16_pictures ? DD_FMT_BF16 : DD_FMT_F32;
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static dd_status check_shape(const dd_vae *vae, dd_decoder_shape s, dd_err *err)
{
    const int64_t factor = dd_vae_factor(&vae->cfg), h = s.h * factor, w = s.w * factor;
    if (s.batch < 1 || s.h < 1 || s.w < 1 || h > DD_VAE_MAX_EDGE || w > DD_VAE_MAX_EDGE)
        return DD_FAIL(err, DD_ERR_ARG, "%s: %d x %d latents are out of range: pictures of at most %d pixels a side",
                       vae->path, s.w, s.h, DD_VAE_MAX_EDGE);
    if (s.batch * (h * w) > INT32_MAX) /* pixels are counted in 32 bits, see ops.h */
        return DD_FAIL(err, DD_ERR_ARG, "%s: %d pictures of %lld x %lld pixels at a time are too many", vae->path,
                       s.batch, (long long)w, (long long)h);
    return DD_OK;
}

static dd_status value_bytes(const dd_vae *vae, int i, dd_format input, dd_decoder_shape s, size_t *bytes, dd_err *err)
{
    const dd_vae_value *v = &vae->values[i];
    const size_t pixels = (size_t)s.batch * (size_t)(s.h * v->scale) * (size_t)(s.w * v->scale);
    size_t n;
    if (dd_mul_size(pixels, (size_t)v->c, &n) &&
        dd_mul_size(n, dd_dtype_bytes(dd_format_dtype(dd_vae_value_format(vae, i, input))), &n) &&
        dd_align_size(n, DD_ALIGN, bytes))
        return DD_OK;
    return DD_FAIL(err, DD_ERR_ARG, "%s: the memory for a batch of %d pictures overflows", vae->path, s.batch);
}

static void touch(dd_life *lives, int value, int op)
{
    dd_life *l = &lives[value];
    if (l->first < 0) l->first = op;
    l->last = op;
}

/* offset [n_values]; *work_at: where the norms' work begins. */
static dd_status place(const dd_vae *vae, dd_format input, dd_decoder_shape s, int64_t *offset, size_t *work_at,
                       size_t *bytes, dd_err *err)
{
    dd_life *lives = calloc((size_t)vae->n_values, sizeof *lives);
    dd_status st = lives ? DD_OK : DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory", vae->path);
    for (int i = 0; st == DD_OK && i < vae->n_values; i++) {
        lives[i] = (dd_life){.buffer = i, .first = -1};
        st = value_bytes(vae, i, input, s, &lives[i].bytes, err);
    }
    if (st == DD_OK) {
        for (int i = 0; i < vae->n_ops; i++) {
            touch(lives, vae->ops[i].src, i);
            touch(lives, vae->ops[i].dst, i);
            if (vae->ops[i].residual >= 0) touch(lives, vae->ops[i].residual, i);
        }
        dd_lives_place(lives, vae->n_values, work_at);
        for (int i = 0; offset && i < vae->n_values; i++) offset[lives[i].buffer] = lives[i].offset;
        *bytes = *work_at + (size_t)dd_group_norm_work(s.batch, vae->cfg.groups) * sizeof(float);
    }
    free(lives);
    return st;
}

/* The pixels of the latents are the tokens of one wide head. */
static dd_limits limits_of(const dd_vae *vae, dd_format input, dd_decoder_shape s)
{
    return (dd_limits){.tokens = s.h * s.w, .head_dim = vae->cfg.deepest, .pictures = true, .pixels = input};
}

dd_status dd_decoder_bytes(const dd_vae *vae, dd_backend *be, dd_format input, dd_decoder_shape shape, size_t *bytes,
                           size_t *scratch, dd_err *err)
{
    size_t work_at;
    DD_TRY(check_shape(vae, shape, err));
    const dd_limits limits = limits_of(vae, input, shape);
    *scratch = be->scratch_bytes(be, &limits);
    return place(vae, input, shape, NULL, &work_at, bytes, err);
}

/* ---- lowering -------------------------------------------------------------------------------------------------- */

static void *at(const dd_decoder *d, int value) { return d->arena + d->offset[value]; }

static dd_format format_of(const dd_decoder *d, int value)
{
    return dd_vae_value_format(d->vae, value, d->weights->input);
}

static dd_op lower_conv(const dd_decoder *d, const dd_vae_op *o)
{
    const dd_vae_conv *c = &d->vae->convs[o->layer];
    const dd_vae_value *dst = &d->vae->values[o->dst];
    return (dd_op){.id = DD_OP_conv2d,
                   .label = c->name,
                   .args.conv2d = {.src = at(d, o->src),
                                   .w = d->weights->packed[o->layer],
                                   .bias = d->weights->bias[o->layer],
                                   .residual = o->residual >= 0 ? at(d, o->residual) : NULL,
                                   .dst = at(d, o->dst),
                                   .src_format = format_of(d, o->src),
                                   .dst_format = format_of(d, o->dst),
                                   .b = d->now.batch,
                                   .h = d->now.h * dst->scale,
                                   .w_out = d->now.w * dst->scale,
                                   .c = d->vae->values[o->src].c,
                                   .n = dst->c,
                                   .ksize = c->ksize,
                                   .upsample = o->upsample}};
}

static dd_op lower_norm(const dd_decoder *d, const dd_vae_op *o)
{
    const dd_vae_norm *n = &d->vae->norms[o->layer];
    const int scale = d->vae->values[o->src].scale;
    return (dd_op){.id = DD_OP_group_norm,
                   .label = n->name,
                   .args.group_norm = {.x = at(d, o->src),
                                       .y = at(d, o->dst),
                                       .y_format = format_of(d, o->dst),
                                       .gamma = d->weights->gamma[o->layer],
                                       .beta = d->weights->beta[o->layer],
                                       .work = (float *)(void *)(d->arena + d->work_at),
                                       .eps = DD_VAE_EPS,
                                       .b = d->now.batch,
                                       .pixels = d->now.h * scale * d->now.w * scale,
                                       .c = n->c,
                                       .groups = d->vae->cfg.groups,
                                       .silu = o->silu}};
}

static dd_op lower_attention(const dd_decoder *d, const dd_vae_op *o)
{
    return (dd_op){.id = DD_OP_pixel_attention,
                   .label = "attention",
                   .args.pixel_attention = {.qkv = at(d, o->src),
                                            .out = at(d, o->dst),
                                            .qkv_format = format_of(d, o->src),
                                            .out_format = format_of(d, o->dst),
                                            .b = d->now.batch,
                                            .pixels = d->now.h * d->now.w,
                                            .c = d->vae->values[o->dst].c}};
}

static dd_op lower_op(const dd_decoder *d, const dd_vae_op *o)
{
    const dd_vae_value *src = &d->vae->values[o->src], *dst = &d->vae->values[o->dst];
    const int b = d->now.batch, h = d->now.h * dst->scale, w = d->now.w * dst->scale;
    switch (o->kind) {
    case DD_VAE_CONV: return lower_conv(d, o);
    case DD_VAE_NORM: return lower_norm(d, o);
    case DD_VAE_ATTEND: return lower_attention(d, o);
    case DD_VAE_TO_PIXELS:
        return (dd_op){.id = DD_OP_to_pixels,
                       .label = "latents",
                       .args.to_pixels = {.src = at(d, o->src),
                                          .dst = at(d, o->dst),
                                          .dst_format = format_of(d, o->dst),
                                          .scale = 1 / d->vae->cfg.scaling,
                                          .b = b,
                                          .h = h,
                                          .w = w,
                                          .c_src = src->c,
                                          .c = dst->c}};
    case DD_VAE_TO_PLANES: break;
    }
    return (dd_op){
        .id = DD_OP_to_planes,
        .label = "pictures",
        .args.to_planes = {
            .src = at(d, o->src), .dst = at(d, o->dst), .b = b, .h = h, .w = w, .c = src->c, .c_dst = dst->c}};
}

static void lower(dd_decoder *d, dd_decoder_shape shape)
{
    if (shape.batch == d->now.batch && shape.h == d->now.h && shape.w == d->now.w) return;
    d->now = shape;
    for (int i = 0; i < d->vae->n_ops; i++) {
        d->program.ops[i] = lower_op(d, &d->vae->ops[i]);
        d->program.ops[i].site = d->program.ops[i].weight = -1;
    }
}

static dd_status check_ops(const dd_vae *vae, const dd_backend *be, dd_err *err)
{
    const dd_ops *ops = be->ops;
    const char *missing = !ops->to_pixels         ? "to_pixels"
                          : !ops->conv2d          ? "conv2d"
                          : !ops->group_norm      ? "group_norm"
                          : !ops->pixel_attention ? "pixel_attention"
                          : !ops->to_planes       ? "to_planes"
                                                  : NULL;
    if (!missing) return DD_OK;
    return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: backend %s has no op %s", vae->path, be->name, missing);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

dd_status dd_decoder_open(dd_decoder **out, const dd_vae *vae, const dd_decoder_weights *weights,
                          dd_decoder_shape largest, dd_err *err)
{
    dd_backend *be = weights->be;
    const dd_limits limits = limits_of(vae, weights->input, largest);
    void *arena = NULL;
    dd_status st;
    *out = NULL;
    DD_TRY(check_ops(vae, be, err));
    DD_TRY(check_shape(vae, largest, err));
    dd_decoder *d = calloc(1, sizeof *d);
    if (!d) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for the decoder", vae->path);
    *d = (dd_decoder){.vae = vae, .weights = weights, .largest = largest};
    d->offset = calloc((size_t)vae->n_values, sizeof *d->offset);
    d->program = (dd_program){.ops = calloc((size_t)vae->n_ops, sizeof *d->program.ops), .n_ops = vae->n_ops};
    if (!d->offset || !d->program.ops)
        DD_TRY_GOTO(st, DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for the decoder", vae->path), fail);
    DD_TRY_GOTO(st, place(vae, weights->input, largest, d->offset, &d->work_at, &d->arena_bytes, err), fail);
    DD_TRY_GOTO(st, be->alloc(be, d->arena_bytes, &arena, err), fail);
    d->arena = arena;
    DD_TRY_GOTO(st, be->reserve(be, &limits, err), fail);
    *out = d;
    return DD_OK;
fail:
    dd_decoder_close(&d);
    return st;
}

void dd_decoder_close(dd_decoder **decoder)
{
    dd_decoder *d = *decoder;
    if (!d) return;
    d->weights->be->release(d->weights->be, d->arena);
    free(d->offset);
    free(d->program.ops);
    free(d);
    *decoder = NULL;
}

dd_status dd_decoder_run(dd_decoder *d, dd_decoder_shape s, const float *latents, float *pictures, dd_err *err)
{
    dd_backend *be = d->weights->be;
    const dd_vae *vae = d->vae;
    const int last = vae->n_values - 1;
    size_t in, out;
    if (s.batch < 1 || s.h < 1 || s.w < 1 || s.batch > d->largest.batch || s.h > d->largest.h || s.w > d->largest.w)
        return DD_FAIL(err, DD_ERR_INTERNAL, "%s: %d x %d x %d latents in a decoder of %d x %d x %d", vae->path,
                       s.batch, s.h, s.w, d->largest.batch, d->largest.h, d->largest.w);
    lower(d, s);
    in = (size_t)s.batch * (size_t)s.h * (size_t)s.w * (size_t)vae->values[0].c * sizeof *latents;
    const size_t scale = (size_t)vae->values[last].scale;
    out = (size_t)s.batch * (size_t)s.h * scale * (size_t)s.w * scale * (size_t)vae->values[last].c * sizeof *pictures;
    DD_TRY(be->upload(be, at(d, 0), latents, in, err));
    DD_TRY(be->run(be, &d->program, 0, err));
    return be->download(be, pictures, at(d, last), out, err);
}
