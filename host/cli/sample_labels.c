/* SPDX-License-Identifier: MIT
 * Which label each picture gets. */
#include <stdlib.h>

#include "cli/sample.h"

#define IMAGENET_CLASSES 1000
#define SMALL_CLASSES 64

/* The eight that DiT's own sample.py draws. */
static const char *const imagenet_labels = "207,360,387,974,88,979,417,279";

static int new_labels(sample_job *job, int64_t n)
{
    job->own_labels = malloc((size_t)n * sizeof *job->own_labels);
    if (!job->own_labels) return cli_fail(CLI_SYSTEM, "out of memory for %lld labels", (long long)n);
    job->labels = job->own_labels;
    job->n_images = n;
    return CLI_OK;
}

static int parse_labels(sample_job *job, const char *text)
{
    const dydit_status st = dydit_labels_parse(job->model, text, &job->parsed_labels, &job->n_images);
    if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
    job->labels = job->parsed_labels;
    return CLI_OK;
}

/* The labels that were parsed, from the first again after the last. */
static int repeat_labels(sample_job *job, int64_t n)
{
    const int64_t n_parsed = job->n_images;
    const int rc = new_labels(job, n);
    if (rc != CLI_OK) return rc;
    for (int64_t i = 0; i < n; i++) job->own_labels[i] = job->parsed_labels[i % n_parsed];
    return CLI_OK;
}

static int random_labels(sample_job *job, int64_t n)
{
    const int rc = new_labels(job, n);
    if (rc != CLI_OK) return rc;
    const dydit_status st = dydit_labels_random(job->model, job->a.seed, 0, n, job->own_labels);
    return st == DYDIT_OK ? CLI_OK : cli_fail_status(job->ctx, st);
}

static int default_labels(sample_job *job)
{
    const int classes = job->info.num_classes;
    if (classes == IMAGENET_CLASSES) return parse_labels(job, imagenet_labels);
    if (classes > SMALL_CLASSES) {
        return cli_fail(CLI_USAGE, "%s has %d classes; give --class-labels LIST or --num-samples N", job->a.common.ckpt,
                        classes);
    }
    const int rc = new_labels(job, classes);
    if (rc != CLI_OK) return rc;
    for (int i = 0; i < classes; i++) job->own_labels[i] = i;
    return CLI_OK;
}

int sample_labels(sample_job *job)
{
    const sample_args *a = &job->a;
    if (a->labels) {
        const int rc = parse_labels(job, a->labels);
        return rc == CLI_OK && a->n_samples > 0 ? repeat_labels(job, a->n_samples) : rc;
    }
    return a->n_samples > 0 ? random_labels(job, a->n_samples) : default_labels(job);
}
