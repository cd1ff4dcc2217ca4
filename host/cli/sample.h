/* SPDX-License-Identifier: MIT
 * `dydit sample` from its words to its files: flags, labels, estimate, previews and outputs are one file each. */
#ifndef CLI_SAMPLE_H
#define CLI_SAMPLE_H

#include "cli/common.h"
#include "cli/outputs.h"
#include "cli/progress.h"
#include "cli/switch.h"
#include "cli/vae.h"
#include "dydit.h"

typedef struct sample_args {
    cli_common common;
    cli_vae vae;
    cli_switch later;
    int image_size;
    const char *steps, *sampler;
    double eta, cfg_scale;
    int cfg_channels, cfg_interval[2];
    uint64_t seed;
    const char *seed_mode, *rng, *rng_device;
    int rng_sms, rng_threads_per_sm;
    int batch_size;
    const char *labels;
    int64_t n_samples;
    const char *latents_in, *noise_in, *in_prefix;
    const char *output, *sample_dir, *latents_out, *trajectory_out, *token_map, *plan_svg;
    int nrow, zoom, preview_interval;
    const char *preview_kind, *preview_path;
    const char *plan, *policy, *reuse_tokens, *cache_dtype, *progress;
    const char *npz, *fid_preset;
    bool resume;
    bool dense, compare_dense, dry_run, json;
    uint64_t max_mem;
} sample_args;

typedef struct sample_job {
    sample_args a;
    cli_args args;
    dydit_ctx *ctx;
    dydit_model *model;
    dydit_model_info info;
    dydit_vae *vae; /* NULL: pictures are what the model makes */
    int side;       /* pixels of a picture */
    dydit_plan *plan;
    int *parsed_labels, *own_labels; /* the library's memory, ours */
    const int *labels;               /* one of them, [n_images] */
    int64_t n_images;
    const char *picture; /* the grid's path, or NULL */
    const char *preview; /* where previews go, or NULL */
    bool preview_last;   /* and what is there in the end, for want of a picture */
    cli_outputs files;
    cli_folder folder;
    cli_progress progress;
    int previews;        /* written so far */
    char failure[1024];  /* why a file could not be written while sampling, else empty */
    dydit_status failed; /* its status, with --npz */
    dydit_set *set;      /* of --npz, while it is being written */
    char protocol[4352]; /* the JSON beside it */
    int preset_size;     /* pixels a side that --fid-preset wants, else 0 */
    char deviates[64];   /* how the run deviates from --fid-preset, else empty */
} sample_job;

/* sample_args.c. Both print what is wrong and return an exit code. */
int sample_parse(sample_job *job, int n_words, char **words);
void sample_help(void);
/* What can only be said once the model is known: sizes, and which files this model can make. */
int sample_check_model(sample_job *job);
/* Would the grid be a picture of sensible size? */
int sample_check_grid(const sample_job *job);
void sample_options(sample_job *job, dydit_sample_options *o);

/* sample_preset.c: --fid-preset as the flags it stands for. */
int sample_preset_apply(sample_job *job);

/* sample_set.c: what goes with --npz; batches into it (batch_done of the options); the run. */
int sample_set_check(const sample_job *job);
int sample_set_batch(void *job, dydit_result *r);
int sample_set_run(sample_job *job, dydit_sample_options *o);

/* sample_vae.c: opens the decoder of --vae and checks that it fits the model. */
int sample_open_vae(sample_job *job);
/* Does --max-mem suffice for decoding? */
int sample_check_decode(sample_job *job);
int sample_decode(sample_job *job, dydit_result *r);
/* Adds what decoding needs to the estimate of a run. */
int sample_estimate_decode(const sample_job *job, dydit_estimate *e);

/* sample_labels.c: fills job->labels and n_images. */
int sample_labels(sample_job *job);

/* sample_dry.c: memory and work of the run, on stdout. */
int sample_dry_run(sample_job *job);

/* sample_write.c */
int sample_check_outputs(sample_job *job);
/* Latents and trajectory, which need no decoding; pictures and the rest. */
int sample_write_latents(sample_job *job, const dydit_result *r);
int sample_write(sample_job *job, const dydit_result *r);
/* Picture i of the result into --sample-dir, under its number. */
dydit_status sample_write_one(const sample_job *job, const dydit_result *r, int64_t i, int64_t number);
void sample_png_options(const sample_job *job, dydit_png_options *png);
/* Figures and, in the end, the names of the files. */
int sample_report(sample_job *job, const dydit_result *r);
/* The set of --npz was whole already. */
int sample_report_whole(const sample_job *job);

/* sample_preview.c: which previews there are and where they go, once the model is known; writing one. */
int sample_preview_choose(sample_job *job);
int sample_preview_write(sample_job *job, const dydit_result *r);

#endif
