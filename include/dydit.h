/* SPDX-License-Identifier: MIT
 *
 * dydit: samples pictures from Diffusion Transformers whose computation changes with the timestep and the token.
 *
 *     dydit_options o;             dydit_options_init(&o, sizeof o);
 *     dydit_sample_options s;      dydit_sample_options_init(&s, sizeof s);
 *     dydit_ctx *ctx = NULL;       dydit_open(&ctx, &o);
 *     dydit_model *model = NULL;   dydit_model_open(ctx, &model, "models/glyphs.safetensors", NULL);
 *     int letters[3] = {0, 1, 2};  s.labels = letters;  s.n_images = 3;  s.steps = "ddim50";
 *     dydit_result *r = NULL;      dydit_sample(model, &s, &r);
 *     dydit_result_write_png(r, "abc.png", NULL);
 *     dydit_result_close(&r);      dydit_model_close(&model);      dydit_close(&ctx);
 *
 * Rules for every function:
 *  - Results: DYDIT_OK, or a negative status with one sentence in dydit_message(ctx). On failure out-parameters are
 * left
 *    NULL (handles, texts) or untouched (numbers, arrays), and no output file is left half written.
 *  - Ownership: "own" = the caller frees it; "borrow" = valid while the named object lives; inputs are copied unless a
 *    comment says borrowed for the call.
 *  - Threads: a context and everything made from it belong to one thread at a time; only dydit_cancel may be called
 * from
 *    another thread (or a signal handler). Separate contexts are independent. The library never exits, aborts or
 * prints.
 *  - Option structs begin with their size, set by their _init function; a struct that was not initialised is
 *    DYDIT_ERR_ARG. Fields are only ever added at the end. */
#ifndef DYDIT_H
#define DYDIT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DYDIT_VERSION_MAJOR 0
#define DYDIT_VERSION_MINOR 1
#define DYDIT_VERSION_PATCH 0

#if defined(__GNUC__)
#define DYDIT_API __attribute__((visibility("default")))
#else
#define DYDIT_API
#endif

typedef struct dydit_ctx dydit_ctx;       /* a backend, its threads, messages and callbacks */
typedef struct dydit_model dydit_model;   /* an opened checkpoint */
typedef struct dydit_plan dydit_plan;     /* what every step computes */
typedef struct dydit_result dydit_result; /* sampled images with everything known about the run */
typedef struct dydit_vae dydit_vae;       /* an opened decoder of latents */

typedef enum dydit_status {
    DYDIT_OK = 0,
    DYDIT_ERR_ARG = -1, /* an option or argument */
    DYDIT_ERR_NOMEM = -2,
    DYDIT_ERR_IO = -10,        /* the system refused to read or write */
    DYDIT_ERR_FORMAT = -11,    /* a file is malformed or contradicts itself or the model */
    DYDIT_ERR_NOT_FOUND = -12, /* an input file does not exist */
    DYDIT_ERR_UNSUPPORTED = -20,
    DYDIT_ERR_DEVICE = -30,
    DYDIT_ERR_CANCELLED = -40,
    DYDIT_ERR_INTERNAL = -50
} dydit_status;

typedef enum dydit_format { DYDIT_TEXT = 0, DYDIT_JSON = 1, DYDIT_SVG = 2 } dydit_format;
typedef enum dydit_log_level { DYDIT_WARN = 0, DYDIT_INFO = 1, DYDIT_DEBUG = 2 } dydit_log_level;
typedef enum dydit_seed_mode { DYDIT_SEED_PER_IMAGE = 0, DYDIT_SEED_BATCH = 1 } dydit_seed_mode;

DYDIT_API const char *dydit_version(void);                    /* "0.1.0" */
DYDIT_API const char *dydit_status_name(dydit_status status); /* "ERR_FORMAT" */
DYDIT_API void dydit_free(void *text_or_array);               /* frees what functions below hand over; NULL is fine */

/* ---- context ------------------------------------------------------------------------------------------------- */

typedef struct dydit_options {
    size_t size;
    const char *backend; /* "auto" (default): cuda where it can be used, else cpu; "cuda", "cpu", "ref", "emu" */
    int threads;         /* 0 (default): the CPUs this process may use */
    void (*log)(void *user, int level, const char *text); /* dydit_log_level; NULL (default): silent */
    void *log_user;
    const char *precision; /* "auto" (default): what is fastest here; "fp32"; "bf16": inputs of GEMMs and attention are
                              bfloat16, sums, statistics, routers and the residual stream stay float32; "fp16": the same
                              with binary16; "tf32": inputs of GEMMs have 11 bits. Not every backend has all of them */
    int device;            /* of backends with several; 0 (default) */
    int no_graph;          /* launch every op by itself; 0 (default): a step is replayed as one CUDA graph. A backend
                              without graphs warns and goes on */
    /* Who does GEMMs, on cuda: "own": kernels for every device, equal bits whatever the batch and the plan; "lt": cuBLASLt
     * those over all tokens; "wgmma": kernels for Hopper (compute capability 9.0); "auto" (default): of these three what
     * dydit_tune has measured fastest for the shape, else own. */
    const char *engine;
    const char *tune_cache; /* file of dydit_tune; NULL (default): $XDG_CACHE_HOME/dydit/tune.json, or below ~/.cache */
    const char *which;      /* state dict of a training checkpoint: "ema", "model"; "auto" (default): ema, else model */
    /* Numerics: "official", those of DiT's own code; "diffusers": frequencies of timesteps i/127, its epsilon before MLPs,
     * guidance on all channels, no learned variance; "auto" (default): what the file's metadata say, else official. */
    const char *compat;
    /* Who does the convolutions of VAEs, on cuda: "own" (default): kernels of this project, equal bits whatever the batch;
     * "cudnn": NVIDIA's cuDNN those it takes, ERR_UNSUPPORTED where it cannot be used; "auto": cuDNN those on tensor cores,
     * where it can be used. cuDNN needs a second or so to prepare each shape of a convolution. */
    const char *vae_engine;
} dydit_options;

DYDIT_API void dydit_options_init(dydit_options *options, size_t size);

/* options: NULL for defaults. On failure *ctx is still a context that only carries a message (or NULL when out of
 * memory): read it, then close it. */
DYDIT_API dydit_status dydit_open(dydit_ctx **ctx, const dydit_options *options);
DYDIT_API void dydit_close(dydit_ctx **ctx); /* after everything made from it; sets *ctx to NULL */

/* One sentence about the last failure; borrow, until the next call with this context. Never NULL. */
DYDIT_API const char *dydit_message(const dydit_ctx *ctx);

/* Asks a running dydit_sample, dydit_eval, dydit_tune, dydit_plan_search or decoding to stop at the next step with DYDIT_ERR_CANCELLED. Safe from other threads
 * and signal handlers. The request is forgotten when the next run starts. */
DYDIT_API void dydit_cancel(dydit_ctx *ctx);

/* Version, backends, devices, chosen instruction set, threads, libraries. format: TEXT or JSON. *text: own. */
DYDIT_API dydit_status dydit_info(dydit_ctx *ctx, dydit_format format, char **text);

/* Would writing path succeed (folder there and writable, path not a folder)? Writes nothing. */
DYDIT_API dydit_status dydit_check_output(dydit_ctx *ctx, const char *path);

/* Writes text as a whole file, or nothing. */
DYDIT_API dydit_status dydit_write_text(dydit_ctx *ctx, const char *path, const char *text);

/* ---- models -------------------------------------------------------------------------------------------------- */

/* What a file is: architecture, parameters, tensors, missing and unexpected keys. Works on files that
 * dydit_model_open refuses and says why they are refused. preset: see dydit_model_open. *text: own. */
DYDIT_API dydit_status dydit_inspect(dydit_ctx *ctx, const char *path, const char *preset, dydit_format format,
                                     char **text);

/* Maps and checks a checkpoint of a DiT or DyDiT: a safetensors file, or one of torch.save (.pt), in which nothing is
 * executed. preset: NULL to infer the geometry, or "DiT-XL/2",
 * "DyDiT-S/4", …; contradictions with the file are errors. *model: own; keep ctx open as long. */
DYDIT_API dydit_status dydit_model_open(dydit_ctx *ctx, dydit_model **model, const char *path, const char *preset);
DYDIT_API void dydit_model_close(dydit_model **model);

typedef struct dydit_convert_options {
    size_t size;
    const char *dtype; /* of the network's weights: "f32", "f16", "bf16". Routers, token selection and the timestep
                          embedder stay float32. NULL (default): every tensor keeps its bits */
    const char
        *layout; /* "official": one safetensors file (default, NULL). "diffusers": a folder that is not there yet or
                           empty, with config.json and diffusion_pytorch_model.safetensors; models without routers only */
    const char *preset; /* "DiT-XL/2": for the layout of diffusers, where the checkpoint does not tell its heads */
} dydit_convert_options;

DYDIT_API void dydit_convert_options_init(dydit_convert_options *options, size_t size);

/* Writes any checkpoint that can be read as one safetensors file or as a folder of diffusers, or nothing. options: NULL for
 * defaults. *text: own; what was written, its last line ends with the SHA-256 of the file of tensors. NULL: not wanted. */
DYDIT_API dydit_status dydit_convert(dydit_ctx *ctx, const char *in, const char *out,
                                     const dydit_convert_options *options, char **text);

/* Writes the routers of Learning-to-Cache, as released (.pt) or as JSON, as JSON (docs/formats.md). threshold: NULL for the
 * file's, or else 0.1. *text: own; what was written, and how many branches the routers keep. NULL: not wanted. */
DYDIT_API dydit_status dydit_convert_router(dydit_ctx *ctx, const char *in, const char *out, const double *threshold,
                                            char **text);

/* A model with the shapes of a preset ("DyDiT-XL/2") and random weights, made in memory: for timing, it draws nothing.
 * input_size: of the latents; 0: 32. Equal seeds give equal weights. *model: own. */
DYDIT_API dydit_status dydit_model_random(dydit_ctx *ctx, dydit_model **model, const char *preset, int input_size,
                                          uint64_t seed);

typedef struct dydit_model_info {
    size_t size;
    const char *arch; /* borrow from the model */
    int input_size, patch_size, in_channels, hidden_size, depth, num_heads, num_classes, cfg_channels, tokens;
    int dynamic;    /* has DyDiT routers */
    int has_labels; /* label names are known */
    int is_latent;  /* needs a VAE to become pictures */
    int64_t parameters;
} dydit_model_info;

/* info->size must be set to sizeof(dydit_model_info) by the caller. */
DYDIT_API dydit_status dydit_model_get_info(const dydit_model *model, dydit_model_info *info);

/* Name of a class, or NULL if the file carries no names; borrow from the model. */
DYDIT_API const char *dydit_label_name(const dydit_model *model, int label);

/* "A,C-F,12": names, numbers and ranges of either. Unknown names list near matches. *labels [*n]: own. */
DYDIT_API dydit_status dydit_labels_parse(const dydit_model *model, const char *spec, int **labels, int64_t *n);

/* Uniform labels of images first .. first+n-1: a hash of (seed, image), whatever the batch size. out [n]. */
DYDIT_API dydit_status dydit_labels_random(const dydit_model *model, uint64_t seed, int64_t first, int64_t n, int *out);

/* ---- sampling ------------------------------------------------------------------------------------------------ */

typedef struct dydit_progress {
    int64_t images_done, images; /* images whose last step is done */
    int step, steps;             /* of the current batch */
    double seconds;              /* since sampling began */
    double images_per_s;         /* from the steps done so far; 0 while unknown */
    double seconds_left;         /* likewise */
} dydit_progress;

typedef struct dydit_sample_options {
    size_t size;
    const char *sampler; /* "ddpm", "ddim", "dpmpp2m" (DPM-Solver++(2M)), "unipc", or "auto" (default): ddim if steps
                            begins with "ddim", else ddpm; docs/samplers.md */
    const char *steps;   /* respacing: "250" (default) or "ddim50"; of dpmpp2m and unipc "20", as diffusers spaces them
                            ("linspace20"), "leading20" or "trailing20" */
    double eta;          /* ddim noise, 0 (default) .. 1 */
    double cfg_scale;    /* 4 (default); 1 or less: no guidance */
    int cfg_channels;    /* 0 (default): what the model says */
    int cfg_lo, cfg_hi;  /* guidance only at original timesteps lo..hi; 0, 999 (default) */
    uint64_t seed;       /* 0 (default); image i uses seed + i in per-image mode */
    dydit_seed_mode seed_mode;
    const char *rng;   /* "torch-cpu" (default): torch.randn on the CPU, bit for bit; "torch-cuda": on a CUDA device, to
                          the rounding of sine and logarithm */
    int batch_size;    /* images at a time; 0 (default): 32, or fewer images */
    const int *labels; /* [n_images], borrowed for the call */
    int64_t n_images;
    const char *latents_in; /* safetensors with `x` or `latents` [n_images,C,S,S], or NULL */
    const char *noise_in;   /* safetensors with `noise` [steps,n_images,C,S,S], or NULL */
    const char *in_prefix;  /* before these names; NULL: none */
    int dense;              /* compute everything, routers not consulted */
    const dydit_plan *plan; /* execute this plan; its timesteps must be those of `steps`. NULL: DyDiT's own */
    int compare_dense;      /* run every step dense as well, on latents of its own, and time both */
    int keep_trajectory;    /* keep latents and token decisions of every step (dydit_result_write_trajectory) */
    int preview_interval;   /* call preview every so many steps; 0 (default): never */
    int (*progress)(void *user, const dydit_progress *p);        /* after every step; non-zero: cancel */
    int (*preview)(void *user, const dydit_result *r, int step); /* r: predicted pictures, for the write functions */
    void *user;
    uint64_t max_mem; /* bytes; 0 (default): no limit. More needed: DYDIT_ERR_NOMEM before anything is allocated */
    int profile;      /* time every op on its own, for the report; the run as a whole is no measurement then */
    /* Of "torch-cuda", whose numbers depend on the card once a draw is larger than it holds threads. One or the other: */
    const char *rng_device;          /* "H100", "H100-PCIe", "A100", "L40S", "RTX4090", "A10G", "L4", "T4"; NULL
                                        (default): the card that samples, on the CPU "A100" */
    int rng_sms, rng_threads_per_sm; /* multiprocessors, threads that each holds; 0 (default) */
    /* Caching over the plan that these options make (or `plan`, if it keeps nothing itself): "fora:interval=N" computes all
     * branches at the first step, wherever the respaced index is a multiple of N and where guidance changes; in between stored
     * branches are added with the gates of the step (arXiv 2407.01425). "l2c:router=FILE,threshold=X" does so at even respaced
     * indices for the branches that the routers of FILE do not keep at this threshold, 0.1 if left out (arXiv 2406.01733).
     * "inherit:mode=delta,stride=N,sites=blocks.2-5": at all but every N-th step these blocks add what they added then;
     * mode=output: their output is that of then, and nothing that only they read is computed (docs/plan.md). NULL (default):
     * none. */
    const char *policy;
    /* Which tokens get the stored result of an MLP whose tokens were routed: "frozen" (NULL, default): those of the step that
     * stored it; "intersect": of these, those that the router chooses now; "fresh": those that it chooses now. */
    const char *reuse_tokens;
    /* Number of the first picture, 0 (default): picture i of the call is drawn as picture image_first + i of a run that
     * begins at 0, its label being labels[i]. Per-image seeds only. */
    int64_t image_first;
    /* After every batch; non-zero: cancel. r: the pictures of this batch alone, to be decoded and written. Nothing is kept of
     * earlier ones, and the result of the run has figures, but no pictures. NULL (default): it has all of them. Excludes
     * preview and keep_trajectory. */
    int (*batch_done)(void *user, dydit_result *r);
    /* Steps with timesteps below switch_timestep, 0 to 1000, are made by switch_model: one of the same context with the same
     * latents and classes, of any depth, width and patches. It is borrowed like the model itself, by plans, results and sets
     * made with these options as well. 0 (default), or no step below it: never. All options count for both; nothing that
     * steps keep is read across the switch. NULL (default): none, or that of `plan`. */
    dydit_model *switch_model;
    int switch_timestep;
    /* Branches that steps keep for later steps: "f32"; "bf16", half the memory; "auto" (NULL, default): bf16 in runs whose
     * precision is bf16 or fp16, else f32. */
    const char *cache_dtype;
} dydit_sample_options;

DYDIT_API void dydit_sample_options_init(dydit_sample_options *options, size_t size);

/* Samples n_images pictures. *result: own. */
DYDIT_API dydit_status dydit_sample(dydit_model *model, const dydit_sample_options *options, dydit_result **result);
DYDIT_API void dydit_result_close(dydit_result **result);

typedef struct dydit_stats {
    size_t size;
    int64_t images;
    double seconds; /* spent stepping, noise included; loading and writing are not */
    double images_per_s;
    double macs_dense;            /* multiply-adds of the complete model for the same rows */
    double macs_executed;         /* of what ran, routers included */
    double mac_ratio;             /* macs_dense / macs_executed */
    double heads, groups, tokens; /* mean share that ran, 0..1 */
    double dense_seconds;         /* with compare_dense, else 0 */
    double speedup;               /* dense_seconds / seconds, else 0 */
    int64_t forward_rows;         /* rows through the network: images x steps, doubled where guided */
    uint64_t peak_bytes;          /* allocated by the run, weights included; memory of graphs is not known */
    int programs;                 /* structures of steps */
    int graphs, graph_nodes;      /* CUDA graphs that replay them, and their nodes; 0: steps were launched op by op */
    int graphs_recorded;          /* in the whole run: graphs are recorded anew for batches of another size */
    double decode_seconds;        /* of dydit_result_decode, else 0. Its memory is in peak_bytes */
    int decode_tiled;             /* it went tile by tile */
} dydit_stats;

/* stats->size must be set by the caller. */
DYDIT_API dydit_status dydit_result_stats(const dydit_result *result, dydit_stats *stats);
/* Settings and figures as text (a few lines) or one JSON object. *text: own. */
DYDIT_API dydit_status dydit_result_report(const dydit_result *result, dydit_format format, char **text);
/* Final latents [n_images,C,S,S]; borrow from the result. NULL where batch_done took them. */
DYDIT_API const float *dydit_result_latents(const dydit_result *result, int64_t *n_images);

/* What latents look like that dydit_result_decode has not decoded. */
typedef enum dydit_preview {
    DYDIT_PREVIEW_NONE = 0,   /* an error instead of a picture */
    DYDIT_PREVIEW_LINEAR = 1, /* a pixel for each latent of 4 channels, by a map made for Stable Diffusion's VAE */
    DYDIT_PREVIEW_VAE = 2     /* decoded for this picture, by the VAE of the options */
} dydit_preview;

struct dydit_decode_options;

typedef struct dydit_png_options {
    size_t size;
    int64_t image;         /* -1 (default): all as a grid; else this image alone */
    int nrow;              /* pictures in a row of the grid; 0 (default): 8, or 4 up to 8 pictures */
    int padding;           /* pixels round each picture of the grid; 2 (default) */
    int zoom;              /* enlarge every pixel to zoom x zoom; 1 (default) */
    dydit_preview preview; /* of latents; NONE (default). Models of 1 or 3 channels make pictures in any case */
    dydit_vae *vae;        /* of DYDIT_PREVIEW_VAE, of the context of the result */
    const struct dydit_decode_options *decode; /* likewise; NULL for defaults */
} dydit_png_options;

DYDIT_API void dydit_png_options_init(dydit_png_options *options, size_t size);

/* PNG with the settings in text chunks: the pictures of dydit_result_decode, else the latents of models of 1 or 3
 * channels; of others as options->preview says. options: NULL for defaults. */
DYDIT_API dydit_status dydit_result_write_png(const dydit_result *result, const char *path,
                                              const dydit_png_options *options);
/* How often each token's MLP was computed, from never (dark) to always (bright), in the layout of the grid. */
DYDIT_API dydit_status dydit_result_write_token_map(const dydit_result *result, const char *path,
                                                    const dydit_png_options *options);
/* safetensors: `latents` [n,C,S,S], `labels` [n]. */
DYDIT_API dydit_status dydit_result_write_latents(const dydit_result *result, const char *path);
/* safetensors: `x` [steps,n,C,S,S] after each step, `t` [steps], `heads`, `groups` [steps,depth,H], `tokens`
 * [steps,depth,rows,N] (rows: conditional, then null where any step was guided). Needs keep_trajectory. */
DYDIT_API dydit_status dydit_result_write_trajectory(const dydit_result *result, const char *path);
/* The executed plan with the measured share of tokens: TEXT, JSON or SVG. *text: own. */
DYDIT_API dydit_status dydit_result_plan(const dydit_result *result, dydit_format format, char **text);

/* ---- evaluation sets ----------------------------------------------------------------------------------------- */

/* Pictures for an FID in one npz, which is written batch by batch and can be gone on with after any end of the process
 * (docs/fid.md). While it grows it is NPZ.partial with NPZ.state beside it. */
typedef struct dydit_set dydit_set;

typedef struct dydit_set_options {
    size_t size;
    const char *npz;      /* "OUT.npz"; required. OUT.json beside it says how the pictures were made */
    int resume;           /* go on with what an earlier run has left, if anything; 0 (default): that is an error */
    const char *preset;   /* name of the protocol that was asked for, recorded; NULL (default): none */
    const char *deviates; /* how the set deviates from it, recorded; NULL (default): it does not */
    dydit_vae *vae;       /* that decodes the results which are added; NULL (default): the model makes pictures */
    const struct dydit_decode_options
        *decode; /* with these options, recorded, not DYDIT_TILING_AUTO: what memory there is
                                                  would change the pictures. NULL (default): not in tiles */
} dydit_set_options;

DYDIT_API void dydit_set_options_init(dydit_set_options *options, size_t size);

/* A set of the pictures that dydit_sample draws with `whole` (all labels, image_first 0). DYDIT_ERR_ARG where what is to
 * be resumed was begun with other settings; the message names one. *set: own; keep model open as long. */
DYDIT_API dydit_status dydit_set_open(dydit_set **set, dydit_model *model, const dydit_sample_options *whole,
                                      const dydit_set_options *options);
/* Pictures that are whole on the disk. The next run draws from this one on (image_first). */
DYDIT_API int64_t dydit_set_done(const dydit_set *set);
/* Adds the pictures of a result, for use in batch_done; on the disk when this returns. */
DYDIT_API dydit_status dydit_set_add(dydit_set *set, const dydit_result *result);
/* All pictures are there: the files take their names. */
DYDIT_API dydit_status dydit_set_commit(dydit_set *set);
/* Keeps what can be resumed; a set without pictures leaves nothing behind. */
DYDIT_API void dydit_set_close(dydit_set **set);

/* Memory and work of a run, before anything is allocated. */
typedef struct dydit_estimate {
    size_t size;
    uint64_t weights_bytes;           /* packed weights and constants */
    uint64_t activation_bytes;        /* one arena, shared by lifetime */
    uint64_t cond_bytes;              /* conditioning tables of a chunk of steps */
    uint64_t table_bytes;             /* per-step parameters */
    uint64_t latent_bytes;            /* latents, noise, predictions, results */
    uint64_t scratch_bytes;           /* of the threads */
    uint64_t peak_bytes;              /* sum */
    uint64_t file_bytes;              /* the mapped checkpoint; not counted above, the system can drop it */
    double macs_dense, macs_executed; /* whole run; routed tokens counted as all (upper bound) */
    int batch_size;                   /* in force */
    int max_batch;                    /* largest batch within options->max_mem; 0 if none fits, -1 without max_mem */
    uint64_t device_bytes; /* of peak_bytes, what is still to be allocated on the device; 0 where there is none */
    uint64_t device_free;  /* what the device has free now */
    int max_device_batch;  /* largest batch that fits there; 0 if none does, -1 without a device */
    int programs;          /* structures of steps: each is one CUDA graph where graphs are used */
    int graph_ops;         /* ops in these graphs; 0: none are used */
    uint64_t graph_bytes;  /* their device memory, part of peak_bytes: an assumption of 16 KiB per op, since CUDA cannot
                              be asked */
    uint64_t slot_bytes;   /* results that steps keep for later steps, part of peak_bytes */
    /* Of dydit_estimate_decode, else 0. Decoding follows sampling, whose activations are gone then; its weights are not. */
    uint64_t vae_weights_bytes;    /* packed weights of the decoder */
    uint64_t vae_activation_bytes; /* one arena, shared by lifetime */
    uint64_t vae_picture_bytes;    /* a batch of pictures, rows of tiles, all results */
    uint64_t vae_peak_bytes;       /* all memory while decoding */
    int vae_batch_size, vae_tiled; /* in force */
} dydit_estimate;

DYDIT_API dydit_status dydit_estimate_sample(dydit_model *model, const dydit_sample_options *options,
                                             dydit_estimate *estimate);

/* ---- pictures from latents ------------------------------------------------------------------------------------ */

/* Opens the decoder of an AutoencoderKL: a safetensors file in diffusers' layout, with new or old names, or in that of
 * CompVis (prefix first_stage_model., vae. or none), or a folder of diffusers (a VAE's, or a pipeline's with one). An encoder
 * in it is ignored. *vae: own; keep ctx open as long. */
DYDIT_API dydit_status dydit_vae_open(dydit_ctx *ctx, dydit_vae **vae, const char *path);
DYDIT_API void dydit_vae_close(dydit_vae **vae);

typedef struct dydit_vae_info {
    size_t size;
    const char *path, *layout;   /* borrow from the VAE: its file; "diffusers", "diffusers, old names", "CompVis" */
    int latent_channels, factor; /* a picture has factor x factor pixels for one of the latents */
    int tile_size;               /* latents along a side of a tile, by default */
    double scaling;              /* latents of the diffusion model by those of the VAE: 0.18215 */
    int64_t parameters;          /* of the decoder */
} dydit_vae_info;

/* info->size must be set by the caller. */
DYDIT_API dydit_status dydit_vae_get_info(const dydit_vae *vae, dydit_vae_info *info);

typedef enum dydit_tiling {
    DYDIT_TILING_AUTO = 0, /* whole pictures; once more in tiles if memory does not suffice, with a warning */
    DYDIT_TILING_OFF = 1,
    DYDIT_TILING_ON = 2 /* pictures larger than a tile in overlapping tiles, blended as diffusers does */
} dydit_tiling;

typedef struct dydit_decode_options {
    size_t size;
    int batch_size;      /* pictures at a time; 0 (default): 4, or fewer pictures */
    dydit_tiling tiling; /* DYDIT_TILING_AUTO (default) */
    int tile_size;       /* latents along a side of a tile; 0 (default): what the VAE says, 32 */
    double tile_overlap; /* share of a tile, 0 to 0.9; 0.25 (default) */
    uint64_t max_mem; /* bytes of all memory while decoding; 0 (default): no limit. More needed is like out of memory */
    int (*progress)(void *user, const dydit_progress *p); /* after every tile or batch; `step` counts the tiles of a
                                                             batch. Non-zero: cancel */
    void *user;
} dydit_decode_options;

DYDIT_API void dydit_decode_options_init(dydit_decode_options *options, size_t size);

/* Decodes the latents of a result of the same context: from then on the functions above write pictures. In bf16 where the
 * context is and the backend can, the residual stream in float32; else float32. options: NULL for defaults. dydit_cancel
 * stops it between batches and tiles. On failure the result keeps its latents alone. */
DYDIT_API dydit_status dydit_result_decode(dydit_result *result, dydit_vae *vae, const dydit_decode_options *options);
/* Decoded pictures, 8 bits, [n_images, side, side, 3]; NULL where there are none. Borrow from the result. */
DYDIT_API const uint8_t *dydit_result_pictures(const dydit_result *result, int64_t *n_images, int *side);

/* Decodes arrays borrowed for the call: latents [n, latent_channels, h, w] to out [n, 3, factor*h, factor*w], about -1 to 1. */
DYDIT_API dydit_status dydit_vae_decode(dydit_vae *vae, int64_t n, int h, int w, const float *latents,
                                        const dydit_decode_options *options, float *out);

/* Adds what decoding n latents of h x w needs to an estimate: one of dydit_estimate_sample, or zero but for its size. With
 * max_mem and DYDIT_TILING_AUTO as it will be decided. */
DYDIT_API dydit_status dydit_estimate_decode(dydit_vae *vae, int64_t n, int h, int w,
                                             const dydit_decode_options *options, dydit_estimate *estimate);

typedef struct dydit_decode_files {
    size_t size;
    const char *in;               /* safetensors with `latents` or `x` [n, latent_channels, h, w] */
    const char *in_prefix;        /* before these names; NULL: none */
    const char *png;              /* the pictures as a grid, or NULL */
    const char *out;              /* safetensors: `pictures` [n, 3, factor*h, factor*w], or NULL */
    const dydit_png_options *how; /* of png; NULL for defaults */
} dydit_decode_files;

DYDIT_API void dydit_decode_files_init(dydit_decode_files *files, size_t size);

/* Decodes a file of latents to files. */
DYDIT_API dydit_status dydit_vae_decode_file(dydit_vae *vae, const dydit_decode_files *files,
                                             const dydit_decode_options *options);

/* ---- plans --------------------------------------------------------------------------------------------------- */

/* The plan that dydit_sample would execute with these options (labels and images may be left out). *plan: own. */
DYDIT_API dydit_status dydit_plan_build(dydit_model *model, const dydit_sample_options *options, dydit_plan **plan);
/* Reads a JSON plan and checks it against the model. */
DYDIT_API dydit_status dydit_plan_read(dydit_model *model, const char *path, dydit_plan **plan);
/* The same for a plan of two models: steps of weight set 1 are of switch_model, which a plan of one model does not need.
 * Borrowed while the plan is open. NULL: as dydit_plan_read. */
DYDIT_API dydit_status dydit_plan_read_switched(dydit_model *model, dydit_model *switch_model, const char *path,
                                                dydit_plan **plan);
/* A plan of a wanted cost, for benchmarks, with the steps and guidance of `options`: widths (heads and MLP groups) rise
 * from noise to picture, and executed MACs are `ratio` of dense ones as nearly as whole units allow, conditioning left
 * out of both. tokens: share of tokens that the token routers are expected to keep, 0 < tokens; 1: routers are not
 * asked. DYDIT_ERR_ARG where no widths have the ratio; the message gives the range. *plan: own. */
DYDIT_API dydit_status dydit_plan_synthetic(dydit_model *model, const dydit_sample_options *options, double ratio,
                                            double tokens, dydit_plan **plan);

typedef struct dydit_search_options {
    size_t size;
    double budget; /* executed over dense multiply-adds, conditioning left out of both, above 0 and below 1; required */
    int (*progress)(void *user, double share); /* after every forward pass, 0..1 of them; non-zero: cancel */
    void *user;
} dydit_search_options;

DYDIT_API void dydit_search_options_init(dydit_search_options *options, size_t size);

/* A plan within a budget, by a method of this project (docs/search.md): the plan that `options` make, some of whose branches
 * are reused at later steps, chosen by errors that are measured on the pictures of `options`: n_images of them, 1 to 64, with
 * labels and seed. Tokens that routers keep are counted as on these pictures. The same options give the same plan.
 * DYDIT_ERR_ARG where the budget cannot be kept to; the message says what can. *plan: own. *report: own; JSON, the plans that
 * were measured on the way with cost and error. NULL: not wanted. dydit_cancel stops it. */
DYDIT_API dydit_status dydit_plan_search(dydit_model *model, const dydit_sample_options *options,
                                         const dydit_search_options *search, dydit_plan **plan, char **report);
DYDIT_API void dydit_plan_close(dydit_plan **plan);
/* TEXT: table per step. JSON: the plan. SVG: heads and groups per timestep and block, cost per step. *text: own. */
DYDIT_API dydit_status dydit_plan_report(const dydit_plan *plan, dydit_format format, char **text);

typedef struct dydit_bound_options {
    size_t size;
    const char *device;      /* "H100", "H200", "A100", "RTX4090", "L4"; required. It needs not be there */
    const char *precision;   /* "auto" (default): bf16; "fp16", "tf32"; "fp32", without tensor cores */
    int batch_size;          /* images at a time; 1 (default) */
    double tokens;           /* share that token routers are assumed to keep, above 0; 1 (default): all */
    double launch_us;        /* assumed microseconds from the start of one kernel to the next; 2 (default), 0: none */
    const char *cache_dtype; /* of branches that steps keep, as for dydit_sample_options */
} dydit_bound_options;

DYDIT_API void dydit_bound_options_init(dydit_bound_options *options, size_t size);

/* What a batch costs at least on a device, by its data sheet and op by op: a bound and no measurement. The plan and the
 * complete model side by side: kernels, bytes and MACs per kind of op, and the largest of bytes / bandwidth, MACs / peak
 * and launches, summed over ops and steps (docs/plan.md). format: TEXT or JSON. *text: own. */
DYDIT_API dydit_status dydit_plan_bound(const dydit_plan *plan, const dydit_bound_options *options, dydit_format format,
                                        char **text);

/* ---- benchmarks ---------------------------------------------------------------------------------------------- */

/* Moves the token routers of a random model, so that runs with these options (plan included) keep about `share` of the
 * tokens, 0 < share < 1; samples the images of `options` up to three times. What a run kept is in its statistics.
 * DYDIT_ERR_ARG for models from files: their routers are left alone. */
DYDIT_API dydit_status dydit_model_calibrate(dydit_model *model, const dydit_sample_options *options, double share);

/* What the backend's threads reach together right now, about 40 ms and half a second: multiply-adds per second in
 * registers, by the instruction set and in the precision in use; bytes per second read from memory. DYDIT_ERR_UNSUPPORTED where the backend
 * has no such probe. */
DYDIT_API dydit_status dydit_measure_macs(dydit_ctx *ctx, double *macs_per_s);
DYDIT_API dydit_status dydit_measure_read(dydit_ctx *ctx, double *bytes_per_s);

/* Tells a profiler that waits for it (nsys --capture-range=cudaProfilerApi, ncu --profile-from-start off) to record from
 * here (on = 1), or up to here (0). Without one, or on a backend without devices, nothing happens. */
DYDIT_API dydit_status dydit_profiler(dydit_ctx *ctx, int on);

/* Times every GEMM of the complete model and of a run with these options (batch size, steps, guidance, plan; images and
 * labels may be left out; dense: the complete model alone) by the own kernels, cuBLASLt and wgmma, medians of events on the
 * device, and adds the times to options.tune_cache, keyed by device and versions; takes them into account from then on.
 * text, TEXT or JSON: what was measured; own. DYDIT_ERR_UNSUPPORTED where the backend has one engine only. dydit_cancel
 * stops it. */
DYDIT_API dydit_status dydit_tune(dydit_model *model, const dydit_sample_options *options, dydit_format format,
                                  char **text);

/* ---- forward passes ------------------------------------------------------------------------------------------ */

typedef struct dydit_eval_options {
    size_t size;
    const char *in;        /* safetensors with `x` [B,C,S,S], `t` [B], `y` [B] */
    const char *in_prefix; /* before these names; NULL: none */
    const char *out;       /* safetensors: `out`, and what the flags below add */
    int dense;
    double cfg_scale;         /* not 0: also `cfg_out` [2B,...], guided */
    int cfg_channels;         /* 0: the model's */
    int trace;                /* also `hidden` [depth,B,N,D], `heads`, `groups` [depth,B,H], `tokens` [depth,B,N] */
    const char *token_masks;  /* safetensors with `tokens` [depth,B,N]: decisions to take instead of the routers' */
    const char *masks_prefix; /* before `tokens`; NULL: in_prefix */
} dydit_eval_options;

DYDIT_API void dydit_eval_options_init(dydit_eval_options *options, size_t size);
DYDIT_API dydit_status dydit_eval(dydit_model *model, const dydit_eval_options *options);

/* One forward pass on arrays borrowed for the call: x [n,C,S,S], t [n] (0..999), y [n] (num_classes = null label),
 * out [n,Cout,S,S] with Cout = 2C for learned variance. */
DYDIT_API dydit_status dydit_forward(dydit_model *model, int64_t n, const float *x, const float *t, const int *y,
                                     int dense, float *out);

#ifdef __cplusplus
}
#endif

#endif
