/* SPDX-License-Identifier: MIT
 * `dydit sample`: everything that can be refused is refused before the first step; then sampling, files, figures. */
#include <stdlib.h>
#include <string.h>

#include "cli/sample.h"
#include "cli/stop.h"

static int on_progress(void *user, const dydit_progress *now)
{
    sample_job *job = user;
    cli_progress_step(&job->progress, now);
    return cli_stop_asked();
}

static int on_preview(void *user, const dydit_result *r, int step)
{
    sample_job *job = user;
    (void)step;
    return sample_preview_write(job, r) != CLI_OK;
}

static int stopped(const sample_job *job)
{
    const dydit_progress *p = &job->progress.last;
    char done[64] = "", left[1200];
    if (p->images > job->progress.batch) {
        snprintf(done, sizeof done, " with %lld of %lld images done", (long long)p->images_done, (long long)p->images);
    }
    if (job->previews > 0) {
        snprintf(left, sizeof left, "the last preview is in %.1100s", job->preview);
    } else {
        snprintf(left, sizeof left, "nothing was written");
    }
    if (p->steps == 0) return cli_fail(CLI_STOPPED, "stopped before the first step; nothing was written");
    return cli_fail(CLI_STOPPED, "stopped at step %d of %d%s; %s", p->step, p->steps, done, left);
}

static int prepare(sample_job *job)
{
    int rc = sample_check_model(job);
    if (rc == CLI_OK) rc = cli_switch_open(&job->a.later, job->ctx);
    if (rc == CLI_OK) rc = sample_labels(job);
    if (rc == CLI_OK && !job->a.dry_run) rc = sample_check_grid(job);
    if (rc != CLI_OK) return rc;
    if (job->a.plan) {
        const dydit_status st = dydit_plan_read_switched(job->model, job->a.later.model, job->a.plan, &job->plan);
        if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
    }
    if (job->a.dry_run) return CLI_OK;
    rc = sample_check_decode(job);
    return rc == CLI_OK ? sample_check_outputs(job) : rc;
}

static int run(sample_job *job)
{
    dydit_sample_options o;
    dydit_result *r = NULL;
    sample_options(job, &o);
    o.progress = on_progress;
    if (job->a.preview_interval > 0) o.preview = on_preview;
    cli_progress_init(&job->progress, job->a.progress, job->a.common.quiet, job->a.batch_size);
    if (cli_stop_asked()) return stopped(job);
    if (job->a.npz) return sample_set_run(job, &o);
    const dydit_status st = dydit_sample(job->model, &o, &r);
    cli_progress_end(&job->progress);
    if (job->failure[0]) {
        dydit_result_close(&r);
        return cli_fail(CLI_SYSTEM, "%s", job->failure);
    }
    if (st == DYDIT_ERR_CANCELLED) return stopped(job);
    if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
    int rc = sample_write_latents(job, r);
    if (rc == CLI_OK && job->vae) rc = sample_decode(job, r);
    if (rc == CLI_OK) rc = sample_write(job, r);
    if (rc == CLI_OK) rc = sample_report(job, r);
    dydit_result_close(&r);
    return rc;
}

int cli_sample(int n_words, char **words)
{
    sample_job job;
    memset(&job, 0, sizeof job);
    int rc = sample_parse(&job, n_words, words);
    if (rc != CLI_OK) return rc;
    if (job.args.help) {
        sample_help();
        return CLI_OK;
    }
    cli_stop_watch();
    rc = cli_open(&job.a.common, &job.ctx, &job.model);
    if (rc == CLI_OK) rc = prepare(&job);
    if (rc == CLI_OK) rc = job.a.dry_run ? sample_dry_run(&job) : run(&job);
    if (rc != CLI_OK) cli_folder_undo(&job.folder);
    dydit_free(job.parsed_labels);
    free(job.own_labels);
    dydit_plan_close(&job.plan);
    dydit_vae_close(&job.vae);
    cli_switch_close(&job.a.later);
    cli_close(&job.ctx, &job.model);
    return rc;
}
