/* SPDX-License-Identifier: MIT
 * `dydit sample --npz`: pictures go into the set batch by batch, none is kept; a run that was stopped can be gone on with. */
#include <stdio.h>
#include <string.h>

#include "cli/sample.h"
#include "cli/stop.h"

int sample_set_check(const sample_job *job)
{
    const sample_args *a = &job->a;
    const char *flag = a->output                 ? "output"
                       : a->latents_out          ? "latents-out"
                       : a->trajectory_out       ? "trajectory-out"
                       : a->token_map            ? "token-map"
                       : a->preview_interval > 0 ? "preview-interval"
                       : a->preview_kind         ? "preview"
                                                 : NULL;
    if (!a->npz) {
        if (a->resume) return cli_fail(CLI_USAGE, "--resume needs --npz FILE");
        return a->fid_preset ? cli_fail(CLI_USAGE, "--fid-preset needs --npz FILE") : CLI_OK;
    }
    if (flag) {
        return cli_fail(CLI_USAGE, "--npz and --%s exclude each other: with --npz pictures are kept in files alone",
                        flag);
    }
    if (!a->vae.tiling && (cli_given(&job->args, "vae-tile-size") || cli_given(&job->args, "vae-tile-overlap"))) {
        return cli_fail(CLI_USAGE, "--npz with tiles needs --vae-tiling: a set is decoded whole otherwise");
    }
    if (a->latents_in || a->noise_in) {
        return cli_fail(CLI_USAGE, "--npz and --%s exclude each other: a set is drawn from its seed",
                        a->latents_in ? "latents-in" : "noise-in");
    }
    if (strcmp(a->seed_mode, "batch") == 0) {
        return cli_fail(CLI_USAGE,
                        "--npz and --seed-mode batch exclude each other: pictures of one random stream cannot "
                        "be gone on with");
    }
    return CLI_OK;
}

static void decode_options(const sample_job *job, dydit_decode_options *o)
{
    cli_vae_options(&job->a.vae, job->a.max_mem, o);
    if (!job->a.vae.tiling) o->tiling = DYDIT_TILING_OFF;
}

static int on_decoded(void *user, const dydit_progress *now)
{
    (void)user;
    (void)now;
    return cli_stop_asked();
}

static dydit_status decode(const sample_job *job, dydit_result *r)
{
    dydit_decode_options o;
    decode_options(job, &o);
    o.progress = on_decoded;
    return dydit_result_decode(r, job->vae, &o);
}

int sample_set_batch(void *user, dydit_result *r)
{
    sample_job *job = user;
    int64_t n = 0;
    const int64_t first = dydit_set_done(job->set);
    (void)dydit_result_latents(r, &n);
    dydit_status st = job->vae ? decode(job, r) : DYDIT_OK;
    for (int64_t i = 0; i < n && st == DYDIT_OK && job->a.sample_dir; i++) st = sample_write_one(job, r, i, first + i);
    if (st == DYDIT_OK) st = dydit_set_add(job->set, r);
    if (st == DYDIT_OK) return 0;
    job->failed = st;
    snprintf(job->failure, sizeof job->failure, "%s", dydit_message(job->ctx));
    return 1;
}

static int open_set(sample_job *job, const dydit_sample_options *o)
{
    dydit_set_options set;
    dydit_decode_options decoding;
    decode_options(job, &decoding);
    dydit_set_options_init(&set, sizeof set);
    set.npz = job->a.npz;
    set.resume = job->a.resume;
    set.preset = job->a.fid_preset;
    set.deviates = job->deviates[0] ? job->deviates : NULL;
    set.vae = job->vae;
    set.decode = &decoding;
    const dydit_status st = dydit_set_open(&job->set, job->model, o, &set);
    return st == DYDIT_OK ? CLI_OK : cli_fail_status(job->ctx, st);
}

/* What is left of a run that ended early. */
static int ended(const sample_job *job, dydit_status st)
{
    const int64_t done = dydit_set_done(job->set);
    if (st == DYDIT_ERR_CANCELLED && done == 0) {
        return cli_fail(CLI_STOPPED, "stopped before the first batch was done; nothing was written");
    }
    if (st == DYDIT_ERR_CANCELLED) {
        return cli_fail(CLI_STOPPED, "stopped with %lld of %lld pictures in %s.partial; --resume goes on with them",
                        (long long)done, (long long)job->n_images, job->a.npz);
    }
    const char *why = job->failure[0] ? job->failure : dydit_message(job->ctx);
    if (done == 0) return cli_fail(cli_exit_code(st), "%s", why);
    return cli_fail(cli_exit_code(st), "%s; %lld of %lld pictures are in %s.partial, --resume goes on with them", why,
                    (long long)done, (long long)job->n_images, job->a.npz);
}

static int commit(sample_job *job, const dydit_result *r)
{
    const dydit_status st = dydit_set_commit(job->set);
    if (st != DYDIT_OK) return ended(job, st);
    if (!r) return sample_report_whole(job);
    const int rc = sample_write(job, r);
    return rc == CLI_OK ? sample_report(job, r) : rc;
}

/* The pictures that are not in the set yet. */
static int draw(sample_job *job, dydit_sample_options *o)
{
    const int64_t done = dydit_set_done(job->set);
    dydit_result *r = NULL;
    o->image_first = done;
    o->labels += done;
    o->n_images -= done;
    dydit_status st = dydit_sample(job->model, o, &r);
    cli_progress_end(&job->progress);
    if (job->failure[0]) st = job->failed;
    const int rc = st == DYDIT_OK ? commit(job, r) : ended(job, st);
    dydit_result_close(&r);
    return rc;
}

int sample_set_run(sample_job *job, dydit_sample_options *o)
{
    int rc = open_set(job, o);
    if (rc == CLI_OK) rc = dydit_set_done(job->set) < job->n_images ? draw(job, o) : commit(job, NULL);
    dydit_set_close(&job->set);
    return rc;
}
