/* SPDX-License-Identifier: MIT
 * Public API: decoders of latents as objects. */
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"

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
