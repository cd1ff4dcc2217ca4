/* SPDX-License-Identifier: MIT
 * Previews: pictures of what a run is going to give. Of a latent model they are all there is to look at, so the last one is
 * written when the run is over. */
#include <stdio.h>
#include <string.h>

#include "cli/sample.h"

#define DEFAULT_PREVIEW "preview.png" /* of models that make no pictures */

static bool linear(const sample_args *a) { return a->preview_kind && strcmp(a->preview_kind, "linear") == 0; }

static int choose_of_latents(sample_job *job)
{
    const sample_args *a = &job->a;
    if (!linear(a)) {
        if (a->preview_interval == 0 || a->dry_run) return CLI_OK;
        return cli_fail(CLI_USAGE, "--preview-interval: %s is a latent model; give --preview linear", a->common.ckpt);
    }
    job->preview = a->preview_path ? a->preview_path : DEFAULT_PREVIEW;
    job->preview_last = true;
    return CLI_OK;
}

int sample_preview_choose(sample_job *job)
{
    const sample_args *a = &job->a;
    if (a->preview_interval > 0 && a->preview_kind && !linear(a)) {
        return cli_fail(CLI_USAGE, "--preview none and --preview-interval exclude each other");
    }
    if (job->info.is_latent) return choose_of_latents(job);
    if (linear(a) && a->preview_interval == 0) {
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
    sample_png_options(job, &png);
    png.preview = linear(&job->a) ? DYDIT_PREVIEW_LINEAR : DYDIT_PREVIEW_NONE;
    const dydit_status st = dydit_result_write_png(r, job->preview, &png);
    if (st == DYDIT_OK) {
        job->previews++;
        return CLI_OK;
    }
    snprintf(job->failure, sizeof job->failure, "%s", dydit_message(job->ctx));
    return cli_exit_code(st);
}
