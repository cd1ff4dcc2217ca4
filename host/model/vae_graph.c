/* SPDX-License-Identifier: MIT
 * The decoder as a list of ops: norm, SiLU and convolution fused as the ops of kernels/ops.h allow. A resnet adds its input,
 * the stream of pixels, to a value of its own: in place would save no memory, since at that time its first convolution's
 * result has come to its end, and libraries may write a result before they have read what is added to it. Where the number
 * of channels changes, what the 1 x 1 convolution makes is added. */
#include <stdlib.h>
#include <string.h>

#include "host/model/vae.h"

typedef struct builder {
    dd_vae *vae;
    dd_err *err;
    dd_status st; /* the first failure; nothing is done from there on */
    int used;     /* tensors of the decoder */
} builder;

static int padded(int channels) { return (channels + DD_CHUNK - 1) / DD_CHUNK * DD_CHUNK; }

static int add_value(builder *b, int c, int scale, bool operand)
{
    b->vae->values[b->vae->n_values] = (dd_vae_value){.c = c, .scale = scale, .operand = operand};
    return b->vae->n_values++;
}

static const dd_vae_value *value(const builder *b, int i) { return &b->vae->values[i]; }

static void add_op(builder *b, dd_vae_op op) { b->vae->ops[b->vae->n_ops++] = op; }

/* y = norm(x), with SiLU or without; what convolutions read. */
static int norm(builder *b, dd_vae_layer layer, int src, bool silu)
{
    dd_vae *v = b->vae;
    dd_vae_norm *n = &v->norms[v->n_norms];
    const dd_vae_value *x = value(b, src);
    *n = (dd_vae_norm){.c = x->c};
    if (b->st == DD_OK) b->st = dd_vae_norm_find(v, layer, n, b->err);
    b->used += 2;
    const int dst = add_value(b, x->c, x->scale, true);
    add_op(b, (dd_vae_op){
                  .kind = DD_VAE_NORM, .layer = v->n_norms++, .src = src, .dst = dst, .residual = -1, .silu = silu});
    return dst;
}

typedef struct conv_spec {
    dd_vae_layer layer[3];
    int parts, c, n, ksize; /* as in the file */
    bool upsample, operand; /* of what comes out */
} conv_spec;

static int add_conv(builder *b, const conv_spec *s)
{
    dd_vae *v = b->vae;
    dd_vae_conv *c = &v->convs[v->n_convs];
    *c = (dd_vae_conv){.parts = s->parts ? s->parts : 1, .c = s->c, .n = s->n, .ksize = s->ksize};
    if (b->st == DD_OK) b->st = dd_vae_conv_find(v, s->layer, c, b->err);
    b->used += 2 * c->parts;
    return v->n_convs++;
}

/* A value of its own for the result. */
static int conv(builder *b, conv_spec s, int src)
{
    const int dst = add_value(b, padded(s.n), value(b, src)->scale * (s.upsample ? 2 : 1), s.operand);
    add_op(b, (dd_vae_op){.kind = DD_VAE_CONV,
                          .layer = add_conv(b, &s),
                          .src = src,
                          .dst = dst,
                          .residual = -1,
                          .upsample = s.upsample});
    return dst;
}

/* stream + conv(src), the new stream */
static int conv_onto(builder *b, conv_spec s, int src, int stream)
{
    const int dst = conv(b, s, src);
    b->vae->ops[b->vae->n_ops - 1].residual = stream;
    return dst;
}

/* layer: without its part. Returns the new stream. */
static int resnet(builder *b, dd_vae_layer layer, int x, int n)
{
    const int c = value(b, x)->c;
    dd_vae_layer norm1 = layer, conv1 = layer, norm2 = layer, conv2 = layer, shortcut = layer;
    norm1.part = DD_VAE_NORM1, conv1.part = DD_VAE_CONV1;
    norm2.part = DD_VAE_NORM2, conv2.part = DD_VAE_CONV2;
    shortcut.part = DD_VAE_SHORTCUT;
    int h = norm(b, norm1, x, true);
    h = conv(b, (conv_spec){.layer = {conv1}, .c = c, .n = n, .ksize = 3}, h);
    h = norm(b, norm2, h, true);
    if (n != c) x = conv(b, (conv_spec){.layer = {shortcut}, .c = c, .n = n, .ksize = 1}, x);
    return conv_onto(b, (conv_spec){.layer = {conv2}, .c = n, .n = n, .ksize = 3}, h, x);
}

static int attention(builder *b, int x)
{
    const dd_vae_value stream = *value(b, x);
    const dd_vae_layer part = {.place = DD_VAE_ATTENTION};
    dd_vae_layer group_norm = part, q = part, k = part, v = part, out = part;
    group_norm.part = DD_VAE_GROUP_NORM, out.part = DD_VAE_ATTENTION_OUT;
    q.part = DD_VAE_Q, k.part = DD_VAE_K, v.part = DD_VAE_V;
    int h = norm(b, group_norm, x, false);
    h = conv(b,
             (conv_spec){.layer = {q, k, v}, .parts = 3, .c = stream.c, .n = 3 * stream.c, .ksize = 1, .operand = true},
             h);
    const int mixed = add_value(b, stream.c, stream.scale, true);
    add_op(b, (dd_vae_op){.kind = DD_VAE_ATTEND, .src = h, .dst = mixed, .residual = -1});
    return conv_onto(b, (conv_spec){.layer = {out}, .c = stream.c, .n = stream.c, .ksize = 1}, mixed, x);
}

static int up_block(builder *b, int level, int x)
{
    const dd_vae_config *c = &b->vae->cfg;
    const int n = c->channels[level];
    for (int i = 0; i < c->layers; i++)
        x = resnet(b, (dd_vae_layer){.place = DD_VAE_UP_RESNET, .level = level, .index = i}, x, n);
    if (level + 1 == c->levels) return x;
    const dd_vae_layer up = {.place = DD_VAE_UPSAMPLER, .level = level};
    return conv(b, (conv_spec){.layer = {up}, .c = n, .n = n, .ksize = 3, .upsample = true}, x);
}

static void network(builder *b)
{
    const dd_vae_config *c = &b->vae->cfg;
    const int z = c->latent_channels, planes = add_value(b, z, 1, false);
    int x = add_value(b, padded(z), 1, false);
    add_op(b, (dd_vae_op){.kind = DD_VAE_TO_PIXELS, .src = planes, .dst = x, .residual = -1});
    x = conv(b, (conv_spec){.layer = {{.place = DD_VAE_POST_QUANT}}, .c = z, .n = z, .ksize = 1}, x);
    x = conv(b, (conv_spec){.layer = {{.place = DD_VAE_CONV_IN}}, .c = z, .n = c->deepest, .ksize = 3}, x);
    x = resnet(b, (dd_vae_layer){.place = DD_VAE_MID_RESNET, .index = 0}, x, c->deepest);
    x = attention(b, x);
    x = resnet(b, (dd_vae_layer){.place = DD_VAE_MID_RESNET, .index = 1}, x, c->deepest);
    for (int i = 0; i < c->levels; i++) x = up_block(b, i, x);
    const int last = c->channels[c->levels - 1], rgb = c->picture_channels;
    x = norm(b, (dd_vae_layer){.place = DD_VAE_NORM_OUT}, x, true);
    x = conv(b, (conv_spec){.layer = {{.place = DD_VAE_CONV_OUT}}, .c = last, .n = rgb, .ksize = 3}, x);
    const int pictures = add_value(b, rgb, value(b, x)->scale, false);
    add_op(b, (dd_vae_op){.kind = DD_VAE_TO_PLANES, .src = x, .dst = pictures, .residual = -1});
}

/* Tensors of the decoder that no layer has asked for make it another network than the one that was stated. */
static dd_status check_unused(const builder *b)
{
    const dd_vae *v = b->vae;
    const dd_tensor **used = malloc((size_t)b->used * sizeof *used);
    if (!used) return DD_FAIL(b->err, DD_ERR_NOMEM, "%s: out of memory", v->path);
    int n = 0;
    for (int i = 0; i < v->n_convs; i++)
        for (int k = 0; k < v->convs[i].parts; k++) used[n++] = v->convs[i].weight[k], used[n++] = v->convs[i].bias[k];
    for (int i = 0; i < v->n_norms; i++) used[n++] = v->norms[i].gamma, used[n++] = v->norms[i].beta;
    const size_t skip = strlen(v->prefix);
    dd_status st = DD_OK;
    for (int i = 0; st == DD_OK && i < dd_tensors_count(v->file); i++) {
        const dd_tensor *t = dd_tensors_at(v->file, i);
        bool found = strncmp(t->name, v->prefix, skip) != 0 || strncmp(t->name + skip, "decoder.", 8) != 0;
        for (int k = 0; !found && k < n; k++) found = used[k] == t;
        if (!found) st = DD_FAIL(b->err, DD_ERR_FORMAT, "%s: tensor %s is no part of this decoder", v->path, t->name);
    }
    free(used);
    return st;
}

dd_status dd_vae_build(dd_vae *v, dd_err *err)
{
    builder b = {.vae = v, .err = err, .st = DD_OK};
    /* A resnet is at most 5 ops; the attention 4, an upsampler 1, all else 6. Each op makes one value at most. */
    const size_t resnets = (size_t)(v->cfg.levels * v->cfg.layers + 2), n = 5 * resnets + 4 + (size_t)v->cfg.levels + 8;
    v->convs = calloc(n, sizeof *v->convs);
    v->norms = calloc(n, sizeof *v->norms);
    v->values = calloc(n, sizeof *v->values);
    v->ops = calloc(n, sizeof *v->ops);
    if (!v->convs || !v->norms || !v->values || !v->ops)
        return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for the decoder", v->path);
    network(&b);
    DD_TRY(b.st);
    DD_TRY(check_unused(&b));
    for (int i = 0; i < v->n_convs; i++)
        for (int k = 0; k < v->convs[i].parts; k++)
            v->parameters += v->convs[i].weight[k]->count + v->convs[i].bias[k]->count;
    for (int i = 0; i < v->n_norms; i++) v->parameters += v->norms[i].gamma->count + v->norms[i].beta->count;
    return DD_OK;
}
