/* SPDX-License-Identifier: MIT
 * Results as colours, 8 bits a channel: the one place that knows how what a model samples becomes pictures. */
#include "host/api_internal.h"

dd_status dd_rgb_check(const dydit_model *model, const char *what, dd_err *err)
{
    const dd_config *c = &model->m->cfg;
    if (c->in_channels == 1 || c->in_channels == 3) return DD_OK;
    return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: %s makes latents of %d channels, which need a VAE to become pictures",
                   what, c->arch, c->in_channels);
}

int dd_rgb_side(const dydit_model *model) { return model->m->cfg.input_size; }

dd_status dd_rgb_pictures(const dydit_result *r, uint8_t *rgb, dd_err *err)
{
    const int channels = r->model->m->cfg.in_channels;
    const size_t side = (size_t)dd_rgb_side(r->model), plane = side * side;
    DD_TRY(dd_result_has_pictures(r, "colours", err));
    for (int64_t i = 0; i < r->n; i++) {
        const float *x = r->out.latents + (size_t)i * plane * (size_t)channels;
        for (size_t at = 0; at < plane; at++)
            for (size_t c = 0; c < 3; c++) *rgb++ = dd_picture_byte(x[channels == 3 ? c * plane + at : at]);
    }
    return DD_OK;
}
