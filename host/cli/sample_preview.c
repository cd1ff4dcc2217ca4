/* SPDX-License-Identifier: MIT
 * Previews: pictures of what a run is going to give. Of a latent model they are all there is to look at, so the last one is
 * written when the run is over. */
#include <stdio.h>
#include <string.h>

#include "cli/sample.h"

#define DEFAULT_PREVIEW "preview.png" /* of models that make no pictures */

static bool asked(const sample_args *a, const char *kind)
{
    return a->preview_kind && strcmp(a->preview_kind, kind) == 0;
}

static int choose_of_latents(sample_job *job)
{
    const sample_args *a = &job->a;
    if (!asked(a, "linear") && !asked(a, "vae")) {
        if (a->preview_interval == 0 || a->dry_run) return CLI_OK;
        return cli_fail(CLI_USAGE, "--preview-interval: %s is a latent model; give --preview linear%s", a->common.ckpt,
                        job->vae ? " or vae" : "");
    }
    if (asked(a, "vae") && !job->vae) return cli_fail(CLI_USAGE, "--preview vae needs --vae FILE");
    if (job->vae && a->preview_interval == 0) {
        return cli_fail(CLI_USAGE, "--preview %s needs --preview-interval N: with --vae there are pictures in the end",
                        a->preview_kind);
    }
    job->preview = a->preview_path ? a->preview_path : DEFAULT_PREVIEW;
    job->preview_last = !job->vae;
    return CLI_OK;
}

int sample_preview_choose(sample_job *job)
{
    const sample_args *a = &job->a;
    if (a->preview_interval > 0 && asked(a, "none")) {
        return cli_fail(CLI_USAGE, "--preview none and --preview-interval exclude each other");
    }
    if (job->info.is_latent) return choose_of_latents(job);
    if (asked(a, "vae")) return cli_fail(CLI_USAGE, "--preview vae: %s makes pictures and needs none", a->common.ckpt);
    if (asked(a, "linear") && a->preview_interval == 0) {
        return cli_fail(CLI_USAGE, "--preview linear needs --preview-interval N: %s makes pictures in the end",
                        a->common.ckpt);
    }
    if (a->preview_interval == 0) return CLI_OK;
    job->preview = a->preview_path ? a->preview_path : job->picture;
    if (job->preview) return CLI_OK;
    return cli_fail(CLI_USAGE,
                    "--preview-interval needs a picture to write: give --preview-path FILE or --output FILE");
}

int sample_preview_write(sample_job *job, const dydit_result *r)
{
    dydit_png_options png;
    dydit_decode_options decode;
    sample_png_options(job, &png);
    cli_vae_options(&job->a.vae, 0, &decode);
    if (asked(&job->a, "linear")) png.preview = DYDIT_PREVIEW_LINEAR;
    if (asked(&job->a, "vae")) png.preview = DYDIT_PREVIEW_VAE;
    png.vae = job->vae;
    png.decode = &decode;
    const dydit_status st = dydit_result_write_png(r, job->preview, &png);
    if (st == DYDIT_OK) {
        job->previews++;
        return CLI_OK;
    }
    if (st != DYDIT_ERR_CANCELLED) snprintf(job->failure, sizeof job->failure, "%s", dydit_message(job->ctx));
    return cli_exit_code(st);
}
