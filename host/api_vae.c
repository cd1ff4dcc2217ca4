/* SPDX-License-Identifier: MIT
 * Public API: decoders of latents as objects. */
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"

dd_status dd_api_vae_engine_open(dydit_ctx *ctx, const char *name, dd_err *err)
{
    static const char *const names[] = {"own", "cudnn", "auto"}; /* in the order of dd_conv_by */
    const dd_engine *e = ctx->be->engine;
    int by = 0;
    while (name && by < 3 && strcmp(name, names[by]) != 0) by++;
    if (by == 3) return DD_FAIL(err, DD_ERR_ARG, "vae-engine '%.40s' is not known: own, cudnn or auto", name);
    ctx->conv_by = (dd_conv_by)by;
    if (!e && by == DD_CONV_LIBRARY)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "vae-engine cudnn: backend %s has no cuDNN", ctx->be->name);
    if (!e) return DD_OK;
    dd_err why = {0};
    const dd_status st = e->use_convolutions(ctx->be, ctx->conv_by, &why);
    return st == DD_OK ? DD_OK : DD_FAIL(err, st, "vae-engine %s: %.900s", names[by], why.text);
}

bool dd_api_vae_engine_text(const dydit_ctx *ctx, char *text, size_t size)
{
    const dd_engine *e = ctx->be->engine;
    bool library = e && ctx->conv_by != DD_CONV_OWN;
    if (library) e->find_convolutions(ctx->be);
    if (library && ctx->conv_by == DD_CONV_AUTO)
        library = e->convolutions.version[0] && dd_decoder_input(ctx->be, ctx->input) != DD_FMT_F32;
    if (library) snprintf(text, size, "%s %s where it can", e->convolutions.name, e->convolutions.version);
    else snprintf(text, size, "own kernels");
    return library;
}

dydit_status dydit_vae_open(dydit_ctx *ctx, dydit_vae **out, const char *path)
{
    if (!ctx || !out || !path) return DYDIT_ERR_ARG;
    dd_api_begin(ctx);
    *out = NULL;
    if (!ctx->be) return (dydit_status)DD_FAIL(&ctx->err, DD_ERR_ARG, "this context has no backend");
    dydit_vae *vae = calloc(1, sizeof *vae);
    if (!vae) return (dydit_status)DD_FAIL(&ctx->err, DD_ERR_NOMEM, "%s: out of memory", path);
    vae->ctx = ctx;
    const dd_status st = dd_vae_open(&vae->v, path, &ctx->err);
    if (st != DD_OK) {
        free(vae);
        return (dydit_status)st;
    }
    dd_log_write(&ctx->log, DD_LOG_INFO, "%s: decoder of an AutoencoderKL (%s), %lld parameters", vae->v->path,
                 dd_vae_layout_name(vae->v->layout), (long long)vae->v->parameters);
    *out = vae;
    return DYDIT_OK;
}

void dydit_vae_close(dydit_vae **vae)
{
    if (!vae || !*vae) return;
    dd_decoder_weights_free(&(*vae)->weights);
    dd_vae_close(&(*vae)->v);
    free(*vae);
    *vae = NULL;
}

dydit_status dydit_vae_get_info(const dydit_vae *vae, dydit_vae_info *info)
{
    dydit_vae_info full;
    if (!vae || !info) return DYDIT_ERR_ARG;
    dd_api_begin(vae->ctx);
    const dd_status st = dd_api_options(&full, sizeof full, info, "dydit_vae_info", &vae->ctx->err);
    if (st != DD_OK) return (dydit_status)st;
    const dd_vae_config *c = &vae->v->cfg;
    full = (dydit_vae_info){.size = info->size,
                            .path = vae->v->path,
                            .layout = dd_vae_layout_name(vae->v->layout),
                            .latent_channels = c->latent_channels,
                            .factor = dd_vae_factor(c),
                            .tile_size = dd_vae_tile(c),
                            .scaling = (double)c->scaling,
                            .parameters = vae->v->parameters};
    memcpy(info, &full, info->size);
    return DYDIT_OK;
}
