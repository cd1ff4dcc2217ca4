/* SPDX-License-Identifier: MIT
 * `dydit sample --dry-run`: what the run would need, the largest batch that fits, and what one more picture costs. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/sample.h"

typedef struct dry {
    dydit_estimate e;
    uint64_t limit; /* --max-mem, else what the machine has free now; 0: not known, or the device's is what counts */
    bool limit_given;
    uint64_t next_image; /* bytes of one more picture in a batch; 0: not known */
} dry;

/* MemAvailable of Linux, in bytes; 0 elsewhere. */
static uint64_t free_memory(void)
{
    char line[128];
    uint64_t kib = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && kib == 0 && fgets(line, sizeof line, f)) {
        if (sscanf(line, "MemAvailable: %" SCNu64, &kib) != 1) kib = 0;
    }
    if (f) fclose(f);
    return kib * 1024;
}

static int estimate(sample_job *job, const dydit_sample_options *o, dydit_estimate *e)
{
    memset(e, 0, sizeof *e);
    e->size = sizeof *e;
    const dydit_status st = dydit_estimate_sample(job->model, o, e);
    if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
    return job->vae ? sample_estimate_decode(job, e) : CLI_OK;
}

static bool on_device(const dry *d) { return d->e.max_device_batch >= 0; }

static int no_preview(void *user, const dydit_result *r, int step)
{
    (void)user, (void)r, (void)step;
    return 0;
}

static int measure(sample_job *job, dry *d)
{
    dydit_sample_options o;
    dydit_estimate one, two;
    sample_options(job, &o);
    if (job->a.preview_interval > 0) o.preview = no_preview; /* what is previewed needs memory */
    d->limit_given = job->a.max_mem > 0;
    d->limit = job->a.max_mem;
    d->next_image = 0;
    int rc = estimate(job, &o, &d->e);
    if (rc == CLI_OK && !d->limit_given && !on_device(d)) {
        o.max_mem = d->limit = free_memory();
        rc = estimate(job, &o, &d->e);
    }
    if (rc != CLI_OK || job->n_images < 2) return rc;
    o.batch_size = 1;
    rc = estimate(job, &o, &one);
    o.batch_size = 2;
    if (rc == CLI_OK) rc = estimate(job, &o, &two);
    if (rc == CLI_OK && two.peak_bytes > one.peak_bytes) d->next_image = two.peak_bytes - one.peak_bytes;
    return rc;
}

static void print_json(const sample_job *job, const dry *d)
{
    const dydit_estimate *e = &d->e;
    printf("{\n  \"images\": %" PRId64 ",\n  \"batch_size\": %d,\n", job->n_images, e->batch_size);
    if (d->limit > 0) printf("  \"limit_bytes\": %" PRIu64 ",\n  \"max_batch\": %d,\n", d->limit, e->max_batch);
    if (d->next_image > 0) printf("  \"bytes_per_batch_image\": %" PRIu64 ",\n", d->next_image);
    printf("  \"weights_bytes\": %" PRIu64 ",\n  \"activation_bytes\": %" PRIu64 ",\n  \"cond_bytes\": %" PRIu64 ",\n",
           e->weights_bytes, e->activation_bytes, e->cond_bytes);
    printf("  \"table_bytes\": %" PRIu64 ",\n  \"latent_bytes\": %" PRIu64 ",\n  \"scratch_bytes\": %" PRIu64 ",\n",
           e->table_bytes, e->latent_bytes, e->scratch_bytes);
    if (on_device(d)) {
        printf("  \"device_bytes\": %" PRIu64 ",\n  \"device_free_bytes\": %" PRIu64 ",\n  \"max_device_batch\": %d,\n",
               e->device_bytes, e->device_free, e->max_device_batch);
    }
    printf("  \"programs\": %d,\n  \"graph_ops\": %d,\n  \"graph_bytes_estimate\": %" PRIu64 ",\n", e->programs,
           e->graph_ops, e->graph_bytes);
    printf("  \"slot_bytes\": %" PRIu64 ",\n", e->slot_bytes);
    if (job->vae) {
        printf("  \"vae_batch_size\": %d,\n  \"vae_tiled\": %s,\n  \"vae_weights_bytes\": %" PRIu64 ",\n",
               e->vae_batch_size, e->vae_tiled ? "true" : "false", e->vae_weights_bytes);
        printf("  \"vae_activation_bytes\": %" PRIu64 ",\n  \"vae_picture_bytes\": %" PRIu64
               ",\n  \"vae_peak_bytes\": %" PRIu64 ",\n",
               e->vae_activation_bytes, e->vae_picture_bytes, e->vae_peak_bytes);
    }
    printf("  \"peak_bytes\": %" PRIu64 ",\n  \"file_bytes\": %" PRIu64 ",\n", e->peak_bytes, e->file_bytes);
    printf("  \"macs_dense\": %.17g,\n  \"macs_executed_at_most\": %.17g\n}\n", e->macs_dense, e->macs_executed);
}

static void line(const char *name, uint64_t bytes, const char *what)
{
    char text[32];
    cli_outf("  %-12s %10s  %14" PRIu64 " bytes%s%s\n", name, cli_bytes_text(bytes, text, sizeof text), bytes,
             what[0] ? "  " : "", what);
}

/* CUDA does not say what a graph takes. */
static const char *graphs_text(const dydit_estimate *e, char *text, size_t size)
{
    snprintf(text, size, "(estimate: %d graph%s of %d ops, 16 KiB assumed for each op)", e->programs,
             e->programs == 1 ? "" : "s", e->graph_ops);
    return text;
}

/* Decoding comes after sampling, whose weights alone are still there. */
static void decoding_lines(const dydit_estimate *e)
{
    char text[64];
    snprintf(text, sizeof text, "(%d at a time%s)", e->vae_batch_size, e->vae_tiled ? ", in tiles" : "");
    line("VAE weights", e->vae_weights_bytes, "");
    line("VAE", e->vae_activation_bytes, text);
    line("pictures", e->vae_picture_bytes, "");
    line("decoding", e->vae_peak_bytes, "(with the model's weights, after sampling)");
}

static void print_text(const sample_job *job, const dry *d)
{
    const dydit_estimate *e = &d->e;
    char a[96], b[32];
    cli_outf("%" PRId64 " image%s, %d at a time, would need\n", job->n_images, job->n_images == 1 ? "" : "s",
             e->batch_size);
    line("weights", e->weights_bytes, "");
    line("activations", e->activation_bytes, "");
    line("conditioning", e->cond_bytes, "");
    line("tables", e->table_bytes, "");
    line("latents", e->latent_bytes, "");
    line("scratch", e->scratch_bytes, "");
    if (e->slot_bytes > 0) line("kept", e->slot_bytes, "(results for later steps)");
    if (e->graph_ops > 0) line("graphs", e->graph_bytes, graphs_text(e, a, sizeof a));
    if (job->vae) decoding_lines(e);
    line(job->vae ? "at most" : "together", e->peak_bytes, job->vae ? "(sampling or decoding)" : "");
    if (on_device(d)) line("on device", e->device_bytes, "(of these)");
    line("mapped file", e->file_bytes, "(not counted)");
    cli_outf("multiply-adds: at most %s, the complete model %s\n", cli_count_text(e->macs_executed, a, sizeof a),
             cli_count_text(e->macs_dense, b, sizeof b));
    if (d->next_image > 0) {
        cli_outf("each more image in a batch: %s\n", cli_bytes_text(d->next_image, a, sizeof a));
    }
    if (d->limit > 0) {
        cli_outf("largest batch within the %s %s: %d\n", cli_bytes_text(d->limit, a, sizeof a),
                 d->limit_given ? "of --max-mem" : "free now", e->max_batch);
    }
    if (on_device(d)) {
        cli_outf("largest batch within the %s free on the device: %d\n", cli_bytes_text(e->device_free, a, sizeof a),
                 e->max_device_batch);
    }
}

int sample_dry_run(sample_job *job)
{
    dry d;
    const int rc = measure(job, &d);
    if (rc != CLI_OK) return rc;
    if (job->a.json) {
        print_json(job, &d);
    } else {
        print_text(job, &d);
    }
    return CLI_OK;
}
