/* SPDX-License-Identifier: MIT
 * Public API: how latents become pixels. Of one or three channels they are the picture; those of a VAE can be looked at
 * through a linear map. */
#include "host/api_internal.h"

uint8_t dd_api_to_byte(float v)
{
    const float p = 127.5f * v + 128.0f;
    return p >= 255.0f ? 255 : p > 0.0f ? (uint8_t)p : 0;
}

static void gray(const float *x, size_t plane, uint8_t *pixel)
{
    (void)plane;
    pixel[0] = dd_api_to_byte(x[0]);
}

static void colour(const float *x, size_t plane, uint8_t *pixel)
{
    for (size_t c = 0; c < 3; c++) pixel[c] = dd_api_to_byte(x[c * plane]);
}

const dd_view dd_view_rgb = {3, colour, NULL};

/* Red, green and blue that a unit of each latent channel adds, in pictures from -1 to 1: fitted by keturn to outputs
 * of the VAE of Stable Diffusion 1.4 (2022, discuss.huggingface.co/t/23204), which is what DiT's latents are made for: the
 * decoders sd-vae-ft-ema and -mse share its encoder. Latents are scaled by 0.18215 there as here. */
static void linear(const float *x, size_t plane, uint8_t *pixel)
{
    static const float map[4][3] = {
        {0.298f, 0.207f, 0.208f}, {0.187f, 0.286f, 0.173f}, {-0.158f, 0.189f, 0.264f}, {-0.184f, -0.271f, -0.473f}};
    for (size_t c = 0; c < 3; c++) {
        float v = 0;
        for (size_t k = 0; k < 4; k++) v += map[k][c] * x[k * plane];
        pixel[c] = dd_api_to_byte(v);
    }
}

dd_status dd_view_choose(dd_view *out, const dd_config *c, dydit_preview preview, const char *path, dd_err *err)
{
    if (preview != DYDIT_PREVIEW_NONE && preview != DYDIT_PREVIEW_LINEAR && preview != DYDIT_PREVIEW_VAE)
        return DD_FAIL(err, DD_ERR_ARG, "%s: preview %d is not known", path, (int)preview);
    if (c->in_channels == 1) *out = (dd_view){1, gray, NULL};
    else if (c->in_channels == 3) *out = dd_view_rgb;
    else if (preview == DYDIT_PREVIEW_VAE) *out = (dd_view){3, colour, "decoded preview"};
    else if (preview == DYDIT_PREVIEW_NONE)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED,
                       "%s: %s makes latents of %d channels, which need a VAE to become pictures", path, c->arch,
                       c->in_channels);
    else if (c->in_channels == 4) *out = (dd_view){3, linear, "linear preview"};
    else
        return DD_FAIL(err, DD_ERR_UNSUPPORTED, "%s: a linear preview is of 4 channels, but %s has %d", path, c->arch,
                       c->in_channels);
    return DD_OK;
}
