/* SPDX-License-Identifier: MIT
 * Public API: files of latents to files of pictures. */
#include <stdio.h>
#include <stdlib.h>

#include "host/api_internal.h"
#include "host/io/safetensors.h"

void dydit_decode_files_init(dydit_decode_files *f, size_t size)
{
    const dydit_decode_files defaults = {.size = size};
    dd_api_defaults(f, size, &defaults, sizeof defaults);
}

static dd_status find_latents(const dd_tensors *file, const char *prefix, int channels, const dd_tensor **out,
                              dd_err *err)
{
    char name[256];
    const int64_t shape[4] = {-1, channels, -1, -1};
    snprintf(name, sizeof name, "%slatents", prefix);
    DD_TRY(dd_tensors_require(file, prefix, dd_tensors_find(file, name) ? "latents" : "x", 4, shape, out, err));
    const dd_tensor *t = *out;
    for (int i = 0; i < 4; i++)
        if (t->shape[i] < 1 || t->shape[i] > (i ? DD_VAE_MAX_EDGE : 1 << 30))
            return DD_FAIL(err, DD_ERR_FORMAT, "%s: tensor %s: extent %lld of axis %d is out of range",
                           dd_tensors_path(file), t->name, (long long)t->shape[i], i);
    return DD_OK;
}

static dd_status write_files(const dydit_decode_files *f, const dd_pictures *p, dd_err *err)
{
    const dd_tensor_entry entry = {
        .name = "pictures", .dtype = DD_F32, .rank = 4, .shape = {p->n, 3, p->h, p->w}, .data = p->values};
    if (f->out) DD_TRY(dd_safetensors_write(f->out, &entry, 1, NULL, 0, err));
    return f->png ? dd_api_write_pictures(p, f->png, f->how, err) : DD_OK;
}

/* Before anything is decoded. */
static dd_status check_sheet(const dd_tensor *t, const dydit_vae *vae, const dydit_decode_files *f, dd_err *err)
{
    const int factor = dd_vae_factor(&vae->v->cfg);
    const dd_pictures p = {t->shape[0], (int)t->shape[2] * factor, (int)t->shape[3] * factor, NULL};
    return dd_api_check_pictures(&p, f->png, f->how, err);
}

static dd_status decode_tensor(dydit_vae *vae, const dd_tensors *file, const dd_tensor *t, const dydit_decode_files *f,
                               const dydit_decode_options *options, dd_err *err)
{
    const int factor = dd_vae_factor(&vae->v->cfg), h = (int)t->shape[2], w = (int)t->shape[3];
    const size_t n = (size_t)(t->count / vae->v->cfg.latent_channels) * 3 * (size_t)factor * (size_t)factor;
    float *latents = malloc((size_t)t->count * sizeof *latents), *pictures = malloc(n * sizeof *pictures);
    dd_status st = latents && pictures ? dd_tensors_read_f32(file, t, latents, err)
                                       : DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for its pictures", f->in);
    const uint64_t held = ((uint64_t)t->count + n) * sizeof(float);
    if (st == DD_OK) st = dd_api_decode(vae, &(dd_pictures){t->shape[0], h, w, latents}, options, held, pictures, err);
    if (st == DD_OK) st = write_files(f, &(dd_pictures){t->shape[0], h * factor, w * factor, pictures}, err);
    free(latents);
    free(pictures);
    return st;
}

dydit_status dydit_vae_decode_file(dydit_vae *vae, const dydit_decode_files *files, const dydit_decode_options *options)
{
    dydit_decode_files f;
    dd_tensors *file = NULL;
    const dd_tensor *t = NULL;
    if (!vae || !files) return DYDIT_ERR_ARG;
    dd_err *err = &vae->ctx->err;
    dd_api_begin(vae->ctx);
    atomic_store(&vae->ctx->cancel, 0);
    dydit_decode_files_init(&f, sizeof f);
    dd_status st = dd_api_options(&f, sizeof f, files, "dydit_decode_files", err);
    if (st == DD_OK && !f.in) st = DD_FAIL(err, DD_ERR_ARG, "no file of latents was given");
    if (st == DD_OK) st = dd_safetensors_open(&file, f.in, err);
    if (st == DD_OK) st = find_latents(file, f.in_prefix ? f.in_prefix : "", vae->v->cfg.latent_channels, &t, err);
    if (st == DD_OK && f.png) st = check_sheet(t, vae, &f, err);
    if (st == DD_OK) st = decode_tensor(vae, file, t, &f, options, err);
    dd_tensors_close(&file);
    return (dydit_status)st;
}
