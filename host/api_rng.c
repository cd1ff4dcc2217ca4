/* SPDX-License-Identifier: MIT
 * Sampling options: whose random numbers. Those of PyTorch on a CUDA device depend on the device. */
#include <stdio.h>
#include <string.h>

#include "host/api_internal.h"

#define DEFAULT_CARD "A100" /* on backends that are no card: the published samples were drawn on one */

/* The card that samples. */
static dd_status own_card(dd_card *out, const dd_backend *be, dd_err *err)
{
    const dd_device_list *l = be->devices;
    if (!l || l->opened < 0) return dd_card_find(out, DEFAULT_CARD, err);
    const dd_device *d = &l->device[l->opened];
    *out = (dd_card){d->name, d->sms, d->threads_per_sm};
    return DD_OK;
}

static dd_status find_card(dd_card *out, const dd_backend *be, const dydit_sample_options *o, dd_err *err)
{
    if (o->rng_device && (o->rng_sms || o->rng_threads_per_sm))
        return DD_FAIL(err, DD_ERR_ARG, "rng-device %.40s and rng-sms exclude each other: both name a card",
                       o->rng_device);
    if (o->rng_device) return dd_card_find(out, o->rng_device, err);
    if (!o->rng_sms && !o->rng_threads_per_sm) return own_card(out, be, err);
    if (!o->rng_sms || !o->rng_threads_per_sm)
        return DD_FAIL(err, DD_ERR_ARG, "rng-sms and rng-threads-per-sm name a card together: one of them is missing");
    *out = (dd_card){NULL, o->rng_sms, o->rng_threads_per_sm};
    return DD_OK;
}

dd_noise_spec dd_settings_noise(const dd_settings *set, const dd_model *m, int batch)
{
    return (dd_noise_spec){.seed = set->seed,
                           .batch_mode = set->batch_mode,
                           .latent_count = m->cfg.latent_count,
                           .rows = set->guided ? 2 : 1,
                           .max_images = batch};
}

dd_status dd_settings_rng(dd_settings *set, const dydit_model *model, const dydit_sample_options *o, dd_err *err)
{
    const char *rng = o->rng ? o->rng : "torch-cpu";
    if (strcmp(rng, "torch-cpu") == 0) {
        if (o->rng_device || o->rng_sms || o->rng_threads_per_sm)
            return DD_FAIL(err, DD_ERR_ARG, "%s has no meaning for the random stream torch-cpu",
                           o->rng_device ? "rng-device" : "rng-sms");
        snprintf(set->rng, sizeof set->rng, "%s", rng);
        return DD_OK;
    }
    if (strcmp(rng, "torch-cuda") != 0)
        return DD_FAIL(err, DD_ERR_ARG, "random stream '%.40s' is not known: torch-cpu or torch-cuda", rng);
    DD_TRY(find_card(&set->card, model->ctx->be, o, err));
    DD_TRY(dd_card_check(&set->card, err));
    const dd_draws draws = {.images = dd_settings_noise(set, model->m, set->batch_size), .card = set->card};
    const int64_t most = dd_draws_count(&draws, set->draws ? DD_DRAW_STEP : DD_DRAW_LATENTS, set->batch_size);
    if (most > DD_DRAW_MAX)
        return DD_FAIL(err, DD_ERR_UNSUPPORTED,
                       "batches of %d images draw %lld numbers at a time, and PyTorch splits draws of more than %lld: "
                       "take smaller batches",
                       set->batch_size, (long long)most, (long long)DD_DRAW_MAX);
    const dd_card *c = &set->card;
    if (c->name)
        snprintf(set->rng, sizeof set->rng, "torch-cuda as on %s (%d x %d)", c->name, c->sms, c->threads_per_sm);
    else snprintf(set->rng, sizeof set->rng, "torch-cuda as on %d x %d", c->sms, c->threads_per_sm);
    set->card.name = NULL; /* borrowed */
    return DD_OK;
}
