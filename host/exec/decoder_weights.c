/* SPDX-License-Identifier: MIT
 * Weights of a decoder as its ops want them: taps before channels, channels filled up with zeros to whole chunks, layers
 * that share their input one below the other. */
#include <stdlib.h>
#include <string.h>

#include "host/exec/decoder.h"

/* The value that a convolution reads decides what its weight is stored as. */
static dd_format input_format(const dd_vae *vae, int conv, dd_format input)
{
    for (int i = 0; i < vae->n_ops; i++)
        if (vae->ops[i].kind == DD_VAE_CONV && vae->ops[i].layer == conv)
            return dd_vae_value_format(vae, vae->ops[i].src, input);
    return DD_FMT_F32;
}

/* data: NULL where only the size is asked for; backends want to see some. */
static dd_weight_desc describe(const dd_vae *vae, int conv, dd_format input, const float *data)
{
    const dd_vae_conv *c = &vae->convs[conv];
    const int64_t n = dd_vae_padded(c->n), k = (int64_t)c->ksize * c->ksize * dd_vae_padded(c->c);
    return (dd_weight_desc){.name = c->weight[0]->name,
                            .data = data ? data : c->weight[0]->data,
                            .dtype = DD_F32,
                            .n = n,
                            .k = k,
                            .n_unit = n,
                            .as = dd_format_dtype(input_format(vae, conv, input))};
}

/* [rows, c, taps] of the file to [rows, taps, padded c]; dst is zero. */
static void permute(const dd_vae_conv *c, const float *src, float *dst)
{
    const size_t taps = (size_t)c->ksize * (size_t)c->ksize, width = (size_t)dd_vae_padded(c->c), in = (size_t)c->c;
    for (size_t r = 0; r < (size_t)(c->n / c->parts); r++)
        for (size_t ch = 0; ch < in; ch++)
            for (size_t t = 0; t < taps; t++) dst[(r * taps + t) * width + ch] = src[(r * in + ch) * taps + t];
}

static dd_status upload(dd_backend *be, const float *data, int n, float **out, dd_err *err)
{
    void *p = NULL;
    DD_TRY(be->alloc(be, (size_t)n * sizeof *data, &p, err));
    *out = p;
    return be->upload(be, p, data, (size_t)n * sizeof *data, err);
}

typedef struct staging {
    float *file, *weight, *vector;
} staging;

static dd_status load_conv(dd_decoder_weights *w, const dd_vae *vae, int i, const staging *s, dd_err *err)
{
    const dd_vae_conv *c = &vae->convs[i];
    const dd_weight_desc desc = describe(vae, i, w->input, s->weight);
    const size_t rows = (size_t)(c->n / c->parts);
    memset(s->weight, 0, (size_t)(desc.n * desc.k) * sizeof *s->weight);
    memset(s->vector, 0, (size_t)desc.n * sizeof *s->vector);
    for (int p = 0; p < c->parts; p++) {
        DD_TRY(dd_tensors_read_f32(vae->file, c->weight[p], s->file, err));
        permute(c, s->file, s->weight + (size_t)p * rows * (size_t)desc.k);
        DD_TRY(dd_tensors_read_f32(vae->file, c->bias[p], s->vector + (size_t)p * rows, err));
    }
    DD_TRY(w->be->alloc(w->be, w->be->packed_bytes(w->be, &desc), &w->storage[i], err));
    dd_err why = {0};
    const dd_status st = w->be->pack(w->be, &desc, w->storage[i], &w->packed[i], &why);
    if (st != DD_OK) return DD_FAIL(err, st, "%s: %s", vae->path, why.text);
    return upload(w->be, s->vector, (int)desc.n, &w->bias[i], err);
}

static dd_status load_norm(dd_decoder_weights *w, const dd_vae *vae, int i, const staging *s, dd_err *err)
{
    const dd_vae_norm *n = &vae->norms[i];
    DD_TRY(dd_tensors_read_f32(vae->file, n->gamma, s->vector, err));
    DD_TRY(upload(w->be, s->vector, n->c, &w->gamma[i], err));
    DD_TRY(dd_tensors_read_f32(vae->file, n->beta, s->vector, err));
    return upload(w->be, s->vector, n->c, &w->beta[i], err);
}

/* Room for the largest layer; widths are bounded when the geometry is read. */
static dd_status stage(staging *s, const dd_vae *vae, dd_err *err)
{
    size_t file = 1, weight = 1, vector = 1;
    for (int i = 0; i < vae->n_convs; i++) {
        const dd_weight_desc d = describe(vae, i, DD_FMT_F32, NULL);
        const size_t in_file = (size_t)vae->convs[i].weight[0]->count;
        if (in_file > file) file = in_file;
        if ((size_t)(d.n * d.k) > weight) weight = (size_t)(d.n * d.k);
        if ((size_t)d.n > vector) vector = (size_t)d.n;
    }
    for (int i = 0; i < vae->n_norms; i++)
        if ((size_t)vae->norms[i].c > vector) vector = (size_t)vae->norms[i].c;
    s->file = malloc(file * sizeof *s->file);
    s->weight = malloc(weight * sizeof *s->weight);
    s->vector = malloc(vector * sizeof *s->vector);
    if (s->file && s->weight && s->vector) return DD_OK;
    return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for its weights", vae->path);
}

size_t dd_decoder_weights_bytes(const dd_vae *vae, dd_backend *be, dd_format input)
{
    size_t n = 0;
    for (int i = 0; i < vae->n_convs; i++) {
        const dd_weight_desc d = describe(vae, i, input, NULL);
        n += be->packed_bytes(be, &d) + (size_t)d.n * sizeof(float);
    }
    for (int i = 0; i < vae->n_norms; i++) n += 2 * (size_t)vae->norms[i].c * sizeof(float);
    return n;
}

static dd_status load_all(dd_decoder_weights *w, const dd_vae *vae, dd_err *err)
{
    staging s = {0};
    dd_status st = stage(&s, vae, err);
    for (int i = 0; st == DD_OK && i < vae->n_convs; i++) st = load_conv(w, vae, i, &s, err);
    for (int i = 0; st == DD_OK && i < vae->n_norms; i++) st = load_norm(w, vae, i, &s, err);
    free(s.file);
    free(s.weight);
    free(s.vector);
    return st;
}

dd_status dd_decoder_weights_load(dd_decoder_weights **out, const dd_vae *vae, dd_backend *be, dd_format input,
                                  dd_err *err)
{
    const size_t convs = (size_t)vae->n_convs, norms = (size_t)vae->n_norms;
    dd_decoder_weights *w = calloc(1, sizeof *w);
    dd_status st;
    *out = NULL;
    if (!w) return DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for its weights", vae->path);
    *w = (dd_decoder_weights){.be = be, .input = input, .n_convs = vae->n_convs, .n_norms = vae->n_norms};
    w->storage = calloc(convs, sizeof *w->storage);
    w->packed = calloc(convs, sizeof *w->packed);
    w->bias = calloc(convs, sizeof *w->bias);
    w->gamma = calloc(norms, sizeof *w->gamma);
    w->beta = calloc(norms, sizeof *w->beta);
    if (!w->storage || !w->packed || !w->bias || !w->gamma || !w->beta)
        DD_TRY_GOTO(st, DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for its weights", vae->path), fail);
    DD_TRY_GOTO(st, load_all(w, vae, err), fail);
    w->bytes = dd_decoder_weights_bytes(vae, be, input);
    *out = w;
    return DD_OK;
fail:
    dd_decoder_weights_free(&w);
    return st;
}

static void release_all(dd_backend *be, void *list, int n)
{
    void **p = list;
    for (int i = 0; p && i < n; i++) be->release(be, p[i]);
    free(p);
}

void dd_decoder_weights_free(dd_decoder_weights **weights)
{
    dd_decoder_weights *w = *weights;
    if (!w) return;
    release_all(w->be, w->storage, w->n_convs);
    release_all(w->be, w->bias, w->n_convs);
    release_all(w->be, w->gamma, w->n_norms);
    release_all(w->be, w->beta, w->n_norms);
    free(w->packed);
    free(w);
    *weights = NULL;
}
