/* SPDX-License-Identifier: MIT
 * Latents of `dydit sample` to pictures. */
#include <string.h>

#include "cli/sample.h"
#include "cli/stop.h"

int sample_open_vae(sample_job *job)
{
    const char *path = job->a.vae.path, *ckpt = job->a.common.ckpt;
    dydit_vae_info info = {.size = sizeof info};
    job->side = job->info.input_size;
    if (!path) return CLI_OK;
    if (!job->info.is_latent) {
        return cli_fail(CLI_USAGE, "--vae: %s makes pictures of %d channels and needs none", ckpt,
                        job->info.in_channels);
    }
    dydit_status st = dydit_vae_open(job->ctx, &job->vae, path);
    if (st == DYDIT_OK) st = dydit_vae_get_info(job->vae, &info);
    if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
    if (info.latent_channels != job->info.in_channels) {
        return cli_fail(CLI_INPUT, "%s: a VAE for latents of %d channels, but those of %s have %d", path,
                        info.latent_channels, ckpt, job->info.in_channels);
    }
    job->side *= info.factor;
    return CLI_OK;
}

/* The library refuses it, too, but only after the last step. */
int sample_check_decode(sample_job *job)
{
    const uint64_t limit = job->a.max_mem;
    dydit_sample_options o;
    dydit_estimate e = {.size = sizeof e};
    char need[32], most[32];
    if (!job->vae || limit == 0) return CLI_OK;
    sample_options(job, &o);
    const dydit_status st = dydit_estimate_sample(job->model, &o, &e);
    const int rc = st == DYDIT_OK ? sample_estimate_decode(job, &e) : cli_fail_status(job->ctx, st);
    if (rc != CLI_OK || e.vae_peak_bytes <= limit) return rc;
    return cli_fail(CLI_SYSTEM, "decoding %d pictures at a time%s needs %s, more than the %s of --max-mem",
                    e.vae_batch_size, e.vae_tiled ? " in tiles" : "",
                    cli_bytes_text(e.vae_peak_bytes, need, sizeof need), cli_bytes_text(limit, most, sizeof most));
}

static int on_progress(void *user, const dydit_progress *now)
{
    sample_job *job = user;
    cli_progress_step(&job->progress, now);
    return cli_stop_asked();
}

int sample_decode(sample_job *job, dydit_result *r)
{
    dydit_decode_options o;
    cli_vae_options(&job->a.vae, job->a.max_mem, &o);
    o.progress = on_progress;
    o.user = job;
    cli_progress_next(&job->progress, "decoding", o.batch_size);
    const dydit_status st = cli_stop_asked() ? DYDIT_ERR_CANCELLED : dydit_result_decode(r, job->vae, &o);
    cli_progress_end(&job->progress);
    if (st == DYDIT_ERR_CANCELLED) {
        return cli_fail(CLI_STOPPED, "stopped while decoding, with %lld of %lld pictures done; no picture was written",
                        (long long)job->progress.last.images_done, (long long)job->n_images);
    }
    return st == DYDIT_OK ? CLI_OK : cli_fail_status(job->ctx, st);
}

int sample_estimate_decode(const sample_job *job, dydit_estimate *e)
{
    dydit_decode_options o;
    cli_vae_options(&job->a.vae, job->a.max_mem, &o);
    const int size = job->info.input_size;
    const uint64_t sampling = e->peak_bytes - e->weights_bytes;
    if (job->a.npz && !job->a.vae.tiling) o.tiling = DYDIT_TILING_OFF;
    const int64_t n = job->a.npz && e->batch_size < job->n_images ? e->batch_size : job->n_images;
    const dydit_status st = dydit_estimate_decode(job->vae, n, size, size, &o, e);
    if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
    const bool previews = job->a.preview_interval > 0 && job->a.preview_kind && strcmp(job->a.preview_kind, "vae") == 0;
    if (job->a.npz || previews) { /* between two batches or steps the memory of both is held */
        e->vae_peak_bytes += sampling;
        if (previews) e->vae_peak_bytes += (uint64_t)n * 3 * (uint64_t)job->side * (uint64_t)job->side * sizeof(float);
        if (e->vae_peak_bytes > e->peak_bytes) e->peak_bytes = e->vae_peak_bytes;
    }
    return CLI_OK;
}
