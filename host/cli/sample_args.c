/* SPDX-License-Identifier: MIT
 * Flags of `dydit sample`: the table, and which of them go together. */
#include <string.h>

#include "cli/policy.h"
#include "cli/sample.h"

#define DEFAULT_PICTURE "sample.png"
#define GRID_PADDING 2
#define GRID_MAX_SIDE 100000
#define MAX_IMAGES 100000000

#define ROW(...) CLI_ROW(sample_args, __VA_ARGS__)

static const cli_option options[] = {
    CLI_MODEL_ROWS(sample_args),
    ROW(INT, "image-size", 0, image_size, "N", 0, 1, 65536, "checked against the model"),
    CLI_VAE_ROWS(sample_args),
    CLI_HEADING("what to draw"),
    ROW(TEXT, "class-labels", "l", labels, "LIST", 0, 0, 0, "names, numbers and ranges: A,C-F,12"),
    ROW(I64, "num-samples", "n,num-fid-samples", n_samples, "N", 0, 1, MAX_IMAGES,
        "pictures; the labels repeat, without labels they are random"),
    ROW(U64, "seed", "s,global-seed", seed, "N", "0", 0, 0, "picture i uses seed + i"),
    ROW(CHOICE, "seed-mode", 0, seed_mode, "per-image|batch", "per-image", 0, 0, "batch: one stream for all"),
    ROW(TEXT, "rng", 0, rng, "NAME", "torch-cpu", 0, 0,
        "whose random numbers: PyTorch's on the CPU, or torch-cuda,\n"
        "those of a CUDA device"),
    ROW(TEXT, "rng-device", 0, rng_device, "NAME", 0, 0, 0,
        "torch-cuda as on H100, H100-PCIe, A100, L40S, RTX4090, A10G,\n"
        "L4 or T4 (default: the card that samples; on the CPU A100)"),
    ROW(INT, "rng-sms", 0, rng_sms, "N", 0, 1, 65535, "or as on a card of N multiprocessors"),
    ROW(INT, "rng-threads-per-sm", 0, rng_threads_per_sm, "N", 0, 256, 65535, "with N threads each"),
    CLI_HEADING("how"),
    ROW(TEXT, "steps", "num-sampling-steps", steps, "SPEC", "250", 0, 0,
        "250, or ddim50 for DDIM; dpmpp2m and unipc take 10 to 25,\n"
        "also leading20 or trailing20 (docs/samplers.md)"),
    ROW(TEXT, "sampler", 0, sampler, "NAME", "auto", 0, 0, "ddpm, ddim, dpmpp2m or unipc; auto looks at --steps"),
    ROW(REAL, "eta", 0, eta, "X", "0", 0, 1, "noise added by DDIM"),
    ROW(REAL, "cfg-scale", 0, cfg_scale, "X", "4", 0, 1e6, "guidance; 1: none"),
    ROW(INT, "cfg-channels", 0, cfg_channels, "N", "0", 0, 4096, "channels guided; 0: what the model says"),
    ROW(PAIR, "cfg-interval", 0, cfg_interval, "LO HI", "0,999", 0, 999, "guide at timesteps LO..HI only"),
    ROW(TEXT, "plan", 0, plan, "FILE", 0, 0, 0, "run this plan (see dydit plan)"),
    CLI_POLICY_ROWS(sample_args),
    CLI_CACHE_ROW(sample_args),
    CLI_SWITCH_ROW(sample_args),
    ROW(FLAG, "dense", 0, dense, 0, 0, 0, 0, "compute everything, ask no router"),
    ROW(FLAG, "compare-dense", 0, compare_dense, 0, 0, 0, 0, "time the complete model as well"),
    ROW(TEXT, "latents-in", 0, latents_in, "FILE", 0, 0, 0, "start from `x` or `latents` of a safetensors file"),
    ROW(TEXT, "noise-in", 0, noise_in, "FILE", 0, 0, 0, "take every step's `noise` from a safetensors file"),
    ROW(TEXT, "in-prefix", 0, in_prefix, "TEXT", 0, 0, 0, "stands before these names"),
    CLI_HEADING("files"),
    ROW(TEXT, "output", "o", output, "FILE", 0, 0, 0,
        "the pictures as a grid, PNG (default " DEFAULT_PICTURE ", unless\n"
        "--sample-dir, --latents-out, --trajectory-out or --npz is given)"),
    ROW(TEXT, "sample-dir", 0, sample_dir, "DIR", 0, 0, 0, "one PNG per picture, 000000.png and on"),
    ROW(TEXT, "latents-out", 0, latents_out, "FILE", 0, 0, 0, "the latents, safetensors"),
    ROW(TEXT, "trajectory-out", 0, trajectory_out, "FILE", 0, 0, 0, "latents and decisions of every step, safetensors"),
    ROW(TEXT, "token-map", 0, token_map, "FILE", 0, 0, 0, "PNG: how often each token was computed"),
    ROW(TEXT, "plan-svg", 0, plan_svg, "FILE", 0, 0, 0, "drawing of what was computed"),
    ROW(INT, "nrow", 0, nrow, "N", 0, 1, 65536, "pictures in a row of the grid (default 8; 4 up to 8 pictures)"),
    ROW(INT, "zoom", 0, zoom, "N", "1", 1, 64, "enlarge every pixel to N x N"),
    ROW(CHOICE, "preview", 0, preview_kind, "none|linear|vae", 0, 0, 0,
        "of a latent model: linear, a pixel for each latent by a map,\n"
        "without --vae in the end of the result as well; vae, decoded"),
    ROW(INT, "preview-interval", 0, preview_interval, "N", "0", 0, 100000,
        "every N steps write what the pictures will be; 0: never"),
    ROW(TEXT, "preview-path", 0, preview_path, "FILE", 0, 0, 0,
        "previews go here (default: --output; of a latent model\n"
        "preview.png)"),
    CLI_HEADING("a set for an FID (docs/fid.md)"),
    ROW(TEXT, "npz", 0, npz, "FILE", 0, 0, 0,
        "all pictures as one array, written batch by batch; FILE with\n"
        ".json for .npz says how they were made"),
    ROW(FLAG, "resume", 0, resume, 0, 0, 0, 0, "go on with the --npz of a run that was stopped, if there is one"),
    ROW(CHOICE, "fid-preset", 0, fid_preset, "dit-256|dit-512", 0, 0, 0,
        "50000 pictures by 250 steps of ddpm, random labels, guidance\n"
        "1.5 on 3 channels; for --npz"),
    CLI_HEADING("machine"),
    CLI_MACHINE_ROWS(sample_args),
    ROW(INT, "batch-size", "b,per-proc-batch-size", batch_size, "N", 0, 1, 65536,
        "pictures at a time (default 32, or fewer pictures)"),
    ROW(BYTES, "max-mem", 0, max_mem, "BYTES", 0, 1, 9.2e18, "stay below, e.g. 4G, or do not start"),
    ROW(FLAG, "dry-run", 0, dry_run, 0, 0, 0, 0, "print memory and work, then stop"),
    CLI_HEADING("talk"),
    ROW(CHOICE, "progress", 0, progress, "bar|plain|none", 0, 0, 0, "(default bar on a terminal, else none)"),
    ROW(FLAG, "json", 0, json, 0, 0, 0, 0, "print the figures as one JSON object"),
    CLI_TALK_ROWS(sample_args),
    CLI_NOT_HERE("tf32", "no-tf32", "give --precision tf32 or fp32"),
    CLI_NOT_HERE("cache-mode", "cache-option", "give --policy fora:interval=N or l2c:router=FILE"),
    CLI_NOT_HERE("max-vram", 0, "give --max-mem BYTES"),
};

static const cli_spec spec = {
    "sample",
    "--ckpt FILE [flags]",
    "Samples pictures from a DiT or DyDiT. The seed, the labels and all settings are kept in the PNG.",
    options,
    (int)(sizeof options / sizeof options[0]),
    NULL,
    "  dydit sample --ckpt models/glyphs.safetensors --steps ddim50 --cfg-scale 2 -o alphabet.png\n"
    "  dydit sample --ckpt models/glyphs.safetensors --class-labels A-E --seed 7 --compare-dense --token-map "
    "tokens.png\n"
    "  dydit sample --ckpt DyDiT-XL-2.safetensors --vae sd-vae-ft-ema --class-labels 207,360 -o dogs.png\n"};

void sample_help(void) { cli_help(&spec); }

static int check_rng(const sample_args *a)
{
    const char *flag = a->rng_device ? "rng-device" : a->rng_sms ? "rng-sms" : "rng-threads-per-sm";
    const bool named = a->rng_device, sized = a->rng_sms || a->rng_threads_per_sm;
    if ((named || sized) && strcmp(a->rng, "torch-cuda") != 0) {
        return cli_fail(CLI_USAGE, "--%s needs --rng torch-cuda", flag);
    }
    if (named && sized) {
        return cli_fail(CLI_USAGE, "--rng-device and --rng-%s exclude each other: both say which card",
                        a->rng_sms ? "sms" : "threads-per-sm");
    }
    if (!a->rng_sms != !a->rng_threads_per_sm) {
        return cli_fail(CLI_USAGE, "--%s needs --%s", flag, a->rng_sms ? "rng-threads-per-sm" : "rng-sms");
    }
    return CLI_OK;
}

static int check_pairs(const sample_job *job)
{
    const sample_args *a = &job->a;
    if (a->plan && cli_given(&job->args, "cfg-interval")) {
        return cli_fail(CLI_USAGE,
                        "--plan and --cfg-interval exclude each other: the plan says which steps are guided");
    }
    if (a->plan && a->dense) {
        return cli_fail(CLI_USAGE, "--plan and --dense exclude each other: the plan says what is computed");
    }
    if (a->dense && a->compare_dense && !a->policy) {
        return cli_fail(CLI_USAGE, "--dense and --compare-dense exclude each other: there would be nothing to compare");
    }
    if (a->preview_path && a->preview_interval == 0 && (!a->preview_kind || strcmp(a->preview_kind, "none") == 0)) {
        return cli_fail(CLI_USAGE, "--preview-path needs --preview-interval N or --preview linear");
    }
    if (a->in_prefix && !a->latents_in && !a->noise_in) {
        return cli_fail(CLI_USAGE, "--in-prefix needs --latents-in or --noise-in");
    }
    return check_rng(a);
}

int sample_parse(sample_job *job, int n_words, char **words)
{
    sample_args *a = &job->a;
    int rc = cli_parse(&spec, n_words, words, a, sizeof *a, &job->args);
    if (rc != CLI_OK || job->args.help) return rc;
    rc = check_pairs(job);
    if (rc == CLI_OK) rc = cli_switch_parse(&a->later);
    if (rc == CLI_OK) rc = cli_vae_check(&a->vae, &job->args);
    if (rc == CLI_OK) rc = sample_set_check(job);
    if (rc == CLI_OK) rc = sample_preset_apply(job);
    if (rc != CLI_OK) return rc;
    job->picture = a->output;
    if (!a->output && !a->sample_dir && !a->latents_out && !a->trajectory_out && !a->npz)
        job->picture = DEFAULT_PICTURE;
    return CLI_OK;
}

/* The first flag that asks for a picture, or NULL. */
static const char *picture_flag(const sample_args *a)
{
    return a->output ? "--output" : a->npz ? "--npz" : a->sample_dir ? "--sample-dir" : NULL;
}

static int check_latent_model(sample_job *job)
{
    const sample_args *a = &job->a;
    if (!job->info.is_latent || job->vae || a->dry_run) return CLI_OK;
    const int channels = job->info.in_channels;
    if (picture_flag(a)) {
        return cli_fail(CLI_USAGE,
                        "%s: %s is a latent model (%d channels) and needs a VAE to become pictures; give --vae FILE",
                        picture_flag(a), a->common.ckpt, channels);
    }
    job->picture = NULL;
    if (a->latents_out || a->trajectory_out || job->preview) return CLI_OK;
    return cli_fail(CLI_USAGE,
                    "%s is a latent model (%d channels) and needs a VAE to become pictures; give --vae FILE, "
                    "--latents-out FILE or --preview linear",
                    a->common.ckpt, channels);
}

/* The library refuses larger grids, but only when they are written. */
int sample_check_grid(const sample_job *job)
{
    const sample_args *a = &job->a;
    const int64_t n = job->n_images, wanted = a->nrow > 0 ? a->nrow : n <= 8 ? 4 : 8, nrow = wanted < n ? wanted : n;
    const int64_t cell = job->side + GRID_PADDING, rows = (n + nrow - 1) / nrow;
    const int64_t longest = (cell * (rows > nrow ? rows : nrow) + GRID_PADDING) * a->zoom;
    if ((!job->picture && !a->token_map && !job->preview) || longest <= GRID_MAX_SIDE) return CLI_OK;
    return cli_fail(CLI_USAGE, "a grid of %lld pictures, %lld pixels long, is too large; use --sample-dir DIR",
                    (long long)n, (long long)longest);
}

int sample_check_model(sample_job *job)
{
    job->info.size = sizeof job->info;
    const dydit_status st = dydit_model_get_info(job->model, &job->info);
    if (st != DYDIT_OK) return cli_fail_status(job->ctx, st);
    int rc = sample_open_vae(job);
    if (rc != CLI_OK) return rc;
    const int pixels = job->vae || !job->info.is_latent ? job->side : job->side * CLI_PIXELS_PER_LATENT;
    if (job->a.image_size > 0 && job->a.image_size != pixels) {
        return cli_fail(CLI_USAGE, "--image-size %d: the pictures of %s have %d x %d pixels", job->a.image_size,
                        job->a.common.ckpt, pixels, pixels);
    }
    if (job->preset_size > 0 && job->preset_size != pixels) {
        return cli_fail(CLI_USAGE, "--fid-preset %s: the pictures of %s have %d x %d pixels", job->a.fid_preset,
                        job->a.common.ckpt, pixels, pixels);
    }
    rc = sample_preview_choose(job);
    return rc == CLI_OK ? check_latent_model(job) : rc;
}

void sample_options(sample_job *job, dydit_sample_options *o)
{
    const sample_args *a = &job->a;
    dydit_sample_options_init(o, sizeof *o);
    o->sampler = a->sampler;
    o->steps = a->steps;
    o->eta = a->eta;
    o->cfg_scale = a->cfg_scale;
    o->cfg_channels = a->cfg_channels;
    o->cfg_lo = a->cfg_interval[0];
    o->cfg_hi = a->cfg_interval[1];
    o->seed = a->seed;
    o->seed_mode = strcmp(a->seed_mode, "batch") == 0 ? DYDIT_SEED_BATCH : DYDIT_SEED_PER_IMAGE;
    o->rng = a->rng;
    o->rng_device = a->rng_device;
    o->rng_sms = a->rng_sms;
    o->rng_threads_per_sm = a->rng_threads_per_sm;
    o->batch_size = a->batch_size;
    o->labels = job->labels;
    o->n_images = job->n_images;
    o->latents_in = a->latents_in;
    o->noise_in = a->noise_in;
    o->in_prefix = a->in_prefix;
    o->dense = a->dense;
    o->policy = a->policy;
    o->reuse_tokens = a->reuse_tokens;
    o->cache_dtype = a->cache_dtype;
    o->plan = job->plan;
    cli_switch_options(&a->later, o);
    o->compare_dense = a->compare_dense;
    o->keep_trajectory = a->trajectory_out != NULL;
    o->preview_interval = a->preview_interval;
    if (a->npz) o->batch_done = sample_set_batch;
    o->user = job;
    o->max_mem = a->max_mem;
}
