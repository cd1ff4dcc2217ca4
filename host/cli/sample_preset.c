/* SPDX-License-Identifier: MIT
 * `--fid-preset`: the protocol by which FIDs of DiT are published (docs/fid.md). It stands for flags; one that says
 * otherwise is an error, so that the name of the preset in a set's protocol is true. */
#include <stdio.h>
#include <string.h>

#include "cli/sample.h"

#define FID_IMAGES 50000
#define FID_STEPS "250"
#define FID_SAMPLER "ddpm"
#define FID_CFG_SCALE 1.5
#define FID_CFG_CHANNELS 3
#define LAST_TIMESTEP 999

static int contradicts(const sample_job *job, const char *flag, const char *says)
{
    return cli_fail(CLI_USAGE, "--%s contradicts --fid-preset %s, which says %s", flag, job->a.fid_preset, says);
}

/* The first flag that says otherwise, or NULL; *says: what the preset has. */
static const char *other_flag(const sample_job *job, const char **says)
{
    const sample_args *a = &job->a;
    const cli_args *given = &job->args;
    const struct {
        const char *flag, *says;
        bool agrees;
    } rows[] = {
        {"steps", FID_STEPS " steps", strcmp(a->steps, FID_STEPS) == 0},
        {"sampler", FID_SAMPLER, strcmp(a->sampler, FID_SAMPLER) == 0},
        {"cfg-scale", "guidance of 1.5", a->cfg_scale == FID_CFG_SCALE},
        {"cfg-channels", "guidance on 3 channels", a->cfg_channels == FID_CFG_CHANNELS},
        {"cfg-interval", "guidance at every step", a->cfg_interval[0] == 0 && a->cfg_interval[1] == LAST_TIMESTEP},
        {"vae-tiling", "pictures decoded whole", false},
        {"class-labels", "uniformly random labels", false},
        {"image-size", job->preset_size == 256 ? "256 x 256 pixels" : "512 x 512 pixels",
         a->image_size == job->preset_size},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!cli_given(given, rows[i].flag) || rows[i].agrees) continue;
        *says = rows[i].says;
        return rows[i].flag;
    }
    return NULL;
}

int sample_preset_apply(sample_job *job)
{
    sample_args *a = &job->a;
    const char *says = NULL;
    if (!a->fid_preset) return CLI_OK;
    job->preset_size = strcmp(a->fid_preset, "dit-256") == 0 ? 256 : 512;
    const char *flag = other_flag(job, &says);
    if (flag) return contradicts(job, flag, says);
    a->steps = FID_STEPS;
    a->sampler = FID_SAMPLER;
    a->cfg_scale = FID_CFG_SCALE;
    a->cfg_channels = FID_CFG_CHANNELS;
    if (a->n_samples == 0) a->n_samples = FID_IMAGES;
    if (a->n_samples != FID_IMAGES) {
        snprintf(job->deviates, sizeof job->deviates, "%lld pictures instead of %d", (long long)a->n_samples,
                 FID_IMAGES);
    }
    return CLI_OK;
}
