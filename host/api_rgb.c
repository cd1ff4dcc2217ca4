/* SPDX-License-Identifier: MIT
 * Public API: results as colours, 8 bits a channel, as evaluation sets have them. */
#include <string.h>

#include "host/api_internal.h"

dd_status dd_rgb_check(const dydit_model *model, const dydit_vae *vae, const char *what, dd_err *err)
{
    const dd_config *c = &model->m->cfg;
    dd_view view;
    const bool makes_pictures = c->in_channels == 1 || c->in_channels == 3;
    if (!vae) return dd_view_choose(&view, c, DYDIT_PREVIEW_NONE, what, err);
    if (makes_pictures)
        return DD_FAIL(err, DD_ERR_ARG, "%s: %s makes pictures of %d channels and needs no VAE", what, c->arch,
                       c->in_channels);
    return dd_api_vae_fits(vae, model, err);
}

int dd_rgb_side(const dydit_model *model, const dydit_vae *vae)
{
    return model->m->cfg.input_size * (vae ? dd_vae_factor(&vae->v->cfg) : 1);
}

static dd_status from_latents(const dydit_result *r, uint8_t *rgb, dd_err *err)
{
    const dd_config *c = &r->model->m->cfg;
    const size_t plane = (size_t)c->input_size * (size_t)c->input_size;
    dd_view view;
    DD_TRY(dd_view_choose(&view, c, DYDIT_PREVIEW_NONE, "a set of pictures", err));
    for (int64_t i = 0; i < r->n; i++) {
        const float *x = r->out.latents + i * c->latent_count;
        for (size_t at = 0; at < plane; at++, rgb += 3) {
            view.pixel(x + at, plane, rgb);
            if (view.channels == 1) rgb[1] = rgb[2] = rgb[0];
        }
    }
    return DD_OK;
}

dd_status dd_rgb_pictures(const dydit_result *r, const dydit_vae *vae, uint8_t *rgb, dd_err *err)
{
    const size_t side = (size_t)dd_rgb_side(r->model, vae);
    DD_TRY(dd_result_has_pictures(r, "a set of pictures", err));
    if (!vae) return from_latents(r, rgb, err);
    if (!r->decoded.pictures || r->decoded.side != (int)side)
        return DD_FAIL(err, DD_ERR_ARG, "a set of pictures: the result was not decoded by its VAE");
    memcpy(rgb, r->decoded.pictures, (size_t)r->n * side * side * 3);
    return DD_OK;
}
