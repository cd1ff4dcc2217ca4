/* SPDX-License-Identifier: MIT
 * Files and figures of a finished run. */
#include <stdio.h>
#include <string.h>

#include "cli/sample.h"
#include "cli/stop.h"

#define PATH_LEN 4352

int sample_check_outputs(sample_job *job)
{
    const sample_args *a = &job->a;
    cli_outputs *f = &job->files;
    cli_outputs_in(f, "--ckpt", a->common.ckpt);
    cli_outputs_in(f, "--switch", a->later.path);
    cli_outputs_in(f, "--vae", a->vae.path);
    cli_outputs_in(f, "--latents-in", a->latents_in);
    cli_outputs_in(f, "--noise-in", a->noise_in);
    cli_outputs_in(f, "--plan", a->plan);
    cli_outputs_in_policy(f, a->policy);
    cli_outputs_out(f, "--output", job->picture);
    cli_outputs_out(f, "--token-map", a->token_map);
    cli_outputs_out(f, "--latents-out", a->latents_out);
    cli_outputs_out(f, "--trajectory-out", a->trajectory_out);
    cli_outputs_out(f, "--plan-svg", a->plan_svg);
    cli_outputs_out(f, "--npz", a->npz);
    if (a->npz && strlen(a->npz) > 4) {
        snprintf(job->protocol, sizeof job->protocol, "%.*s.json", (int)strlen(a->npz) - 4, a->npz);
        cli_outputs_out(f, "--npz", job->protocol);
    }
    if (job->preview != job->picture) cli_outputs_out(f, "--preview-path", job->preview);
    const int rc = cli_outputs_check(f, job->ctx);
    return rc == CLI_OK && a->sample_dir ? cli_folder_make(&job->folder, a->sample_dir) : rc;
}

void sample_png_options(const sample_job *job, dydit_png_options *png)
{
    dydit_png_options_init(png, sizeof *png);
    png->nrow = job->a.nrow;
    png->zoom = job->a.zoom;
}

dydit_status sample_write_one(const sample_job *job, const dydit_result *r, int64_t i, int64_t number)
{
    dydit_png_options png;
    char path[PATH_LEN];
    sample_png_options(job, &png);
    png.image = i;
    snprintf(path, sizeof path, "%s/%06lld.png", job->a.sample_dir, (long long)number);
    return dydit_result_write_png(r, path, &png);
}

static int write_each(sample_job *job, const dydit_result *r)
{
    for (int64_t i = 0; i < job->n_images; i++) {
        const dydit_status st = sample_write_one(job, r, i, i);
        if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
        if (cli_stop_asked() && i + 1 < job->n_images) {
            return cli_fail(CLI_STOPPED, "stopped after %lld of %lld pictures were written to %s", (long long)i + 1,
                            (long long)job->n_images, job->a.sample_dir);
        }
    }
    return CLI_OK;
}

static int write_svg(sample_job *job, const dydit_result *r)
{
    char *text = NULL;
    dydit_status st = dydit_result_plan(r, DYDIT_SVG, &text);
    if (st == DYDIT_OK) st = dydit_write_text(job->ctx, job->a.plan_svg, text);
    dydit_free(text);
    return st == DYDIT_OK ? CLI_OK : cli_fail_status(job->ctx, st);
}

int sample_write_latents(sample_job *job, const dydit_result *r)
{
    const sample_args *a = &job->a;
    dydit_status st = DYDIT_OK;
    if (a->latents_out) st = dydit_result_write_latents(r, a->latents_out);
    if (st == DYDIT_OK && a->trajectory_out) st = dydit_result_write_trajectory(r, a->trajectory_out);
    return st == DYDIT_OK ? CLI_OK : cli_fail_status(job->ctx, st);
}

int sample_write(sample_job *job, const dydit_result *r)
{
    const sample_args *a = &job->a;
    dydit_png_options png;
    sample_png_options(job, &png);
    dydit_status st = DYDIT_OK;
    if (job->picture) st = dydit_result_write_png(r, job->picture, &png);
    if (st == DYDIT_OK && a->token_map) st = dydit_result_write_token_map(r, a->token_map, &png);
    if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
    if (job->preview_last) {
        const int rc = sample_preview_write(job, r);
        if (rc != CLI_OK) return cli_fail(rc, "%s", job->failure);
    }
    if (a->plan_svg) {
        const int rc = write_svg(job, r);
        if (rc != CLI_OK) return rc;
    }
    return a->sample_dir && !a->npz ? write_each(job, r) : CLI_OK;
}

static void put_json_string(const char *text)
{
    putchar('"');
    for (const char *p = text; *p; p++) {
        const unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') putchar('\\');
        if (c < 0x20) {
            printf("\\u%04x", c);
        } else {
            putchar(c);
        }
    }
    putchar('"');
}

/* The library's JSON object with the names of the files added at its end. */
static void print_json(const sample_job *job, const char *text)
{
    const char *brace = strrchr(text, '}');
    size_t n = brace ? (size_t)(brace - text) : 0;
    while (n > 0 && strchr(" \t\r\n", text[n - 1])) n--;
    printf("%.*s,\n  \"files\": [", (int)n, text);
    for (int i = 0; i < job->files.n_out; i++) {
        if (i > 0) fputs(", ", stdout);
        put_json_string(job->files.out[i].path);
    }
    fputs("]", stdout);
    if (job->a.sample_dir) {
        fputs(",\n  \"sample_dir\": ", stdout);
        put_json_string(job->a.sample_dir);
    }
    fputs("\n}\n", stdout);
}

int sample_report(sample_job *job, const dydit_result *r)
{
    char *text = NULL;
    if (job->a.common.quiet && !job->a.json) return CLI_OK;
    const dydit_status st = dydit_result_report(r, job->a.json ? DYDIT_JSON : DYDIT_TEXT, &text);
    if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
    if (job->a.json) {
        print_json(job, text);
        dydit_free(text);
        return CLI_OK;
    }
    cli_out_free(text, DYDIT_TEXT);
    for (int i = 0; i < job->files.n_out; i++) {
        cli_outf("wrote %s\n", job->files.out[i].path);
    }
    if (job->a.sample_dir) {
        cli_outf("wrote %lld pictures to %s\n", (long long)job->n_images, job->a.sample_dir);
    }
    return CLI_OK;
}

int sample_report_whole(const sample_job *job)
{
    if (job->a.json) print_json(job, "{\n  \"images\": 0\n}");
    else if (!job->a.common.quiet) cli_outf("%s has all its %lld pictures\n", job->a.npz, (long long)job->n_images);
    return CLI_OK;
}
