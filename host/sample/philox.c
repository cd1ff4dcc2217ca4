/* SPDX-License-Identifier: MIT
 * Launches of cards, offsets of draws. */
#include "host/sample/philox.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BLOCK 256     /* threads of a block of the launch */
#define BLOCK_WORDS 4 /* numbers of one block of the generator; also what the offset counts in */

/* Multiprocessors that are in use on the product, and threads that each holds (compute capability 7.5: 1024, 8.0 and
 * 9.0: 2048, 8.6 and 8.9: 1536). */
static const dd_card cards[] = {
    {"H100", 132, 2048},    {"H100-PCIe", 114, 2048}, {"A100", 108, 2048}, {"L40S", 142, 1536},
    {"RTX4090", 128, 1536}, {"A10G", 80, 1536},       {"L4", 58, 1536},    {"T4", 40, 1024},
};
#define N_CARDS ((int)(sizeof cards / sizeof cards[0]))

dd_status dd_card_find(dd_card *out, const char *name, dd_err *err)
{
    char names[128] = "";
    for (int i = 0; i < N_CARDS; i++) {
        if (strcasecmp(cards[i].name, name) == 0) {
            *out = cards[i];
            return DD_OK;
        }
        const size_t at = strlen(names);
        snprintf(names + at, sizeof names - at, "%s%s", i == 0 ? "" : i == N_CARDS - 1 ? " or " : ", ", cards[i].name);
    }
    return DD_FAIL(err, DD_ERR_ARG,
                   "rng-device '%.40s' is not known: %s; for another give rng-sms and rng-threads-per-sm", name, names);
}

dd_status dd_card_check(const dd_card *card, dd_err *err)
{
    if (card->sms < 1 || card->sms > 65535)
        return DD_FAIL(err, DD_ERR_ARG, "rng-sms %d is out of range: 1 to 65535", card->sms);
    if (card->threads_per_sm < BLOCK || card->threads_per_sm > 65535)
        return DD_FAIL(err, DD_ERR_ARG, "rng-threads-per-sm %d is out of range: %d to 65535", card->threads_per_sm,
                       BLOCK);
    return DD_OK;
}

uint32_t dd_card_threads(const dd_card *card, int64_t n)
{
    const int64_t most = (int64_t)card->sms * (card->threads_per_sm / BLOCK), wanted = (n - 1) / BLOCK + 1;
    return (uint32_t)((wanted < most ? wanted : most) * BLOCK);
}

uint64_t dd_card_growth(const dd_card *card, int64_t n)
{
    const uint64_t per_loop = (uint64_t)dd_card_threads(card, n) * BLOCK_WORDS;
    return ((uint64_t)(n - 1) / per_loop + 1) * BLOCK_WORDS;
}

int64_t dd_draws_count(const dd_draws *p, dd_draw draw, int images)
{
    const dd_noise_spec *s = &p->images;
    return s->latent_count * (s->batch_mode ? images : 1) * (draw == DD_DRAW_STEP ? s->rows : 1);
}

static uint64_t growth(const dd_draws *p, dd_draw draw, int images)
{
    return dd_card_growth(&p->card, dd_draws_count(p, draw, images));
}

void dd_draws_streams(const dd_draws *p, int64_t first, int images, dd_noise_stream *latents, dd_noise_stream *steps)
{
    const dd_noise_spec *s = &p->images;
    uint64_t offset = 0; /* of the generator when the batch begins */
    if (s->batch_mode) {
        const uint64_t batches = (uint64_t)(first / s->max_images);
        offset = batches * (growth(p, DD_DRAW_LATENTS, s->max_images) +
                            (uint64_t)p->steps * growth(p, DD_DRAW_STEP, s->max_images));
    }
    for (int i = 0; i < images; i++) {
        latents[i].seed = s->batch_mode ? s->seed : s->seed + (uint64_t)(first + i);
        latents[i].offset = offset;
        latents[i].first = s->batch_mode ? i * s->latent_count : 0;
        steps[i] = latents[i];
        steps[i].offset += growth(p, DD_DRAW_LATENTS, images);
    }
}
