/* SPDX-License-Identifier: MIT
 * What the files of the public API share: the objects behind the handles. */
#ifndef DD_HOST_API_INTERNAL_H
#define DD_HOST_API_INTERNAL_H

#include <stdatomic.h>

#include <jansson.h>

#include "dydit.h"
#include "host/base/log.h"
#include "host/base/status.h"
#include "host/exec/backend.h"
#include "host/exec/decoder.h"
#include "host/exec/engine.h"
#include "host/exec/sampler.h"
#include "host/exec/weights.h"
#include "host/model/checkpoint.h"
#include "host/model/model.h"
#include "host/plan/plan.h"
#include "host/plan/policy_values.h"
#include "host/plan/report.h"
#include "host/sample/schedule.h"

struct dydit_ctx {
    dd_err err;
    dd_log log;
    dd_backend *be; /* NULL after a failed dydit_open */
    dd_checkpoint_choice choice;
    dd_format input; /* the precision: format of GEMM inputs */
    char backend_option[16];
    char engine[8], tune_cache[4096]; /* as asked for; empty: the default file */
    dd_gemm_by rest_by;               /* who does the GEMMs, where it can ... */
    int shapes_by[DD_BY_COUNT];       /* ... but for as many shapes, which were measured */
    dd_conv_by conv_by;               /* who does convolutions, where it can */
    char why[DD_ERR_TEXT];            /* why "auto" took cpu; empty where it did not, or was not asked */
    dd_log_level why_level;
    bool why_unsaid;      /* the first run says it */
    const char *remarked; /* what was last said of a policy, which is said once */
    atomic_int cancel;
};

struct dydit_model {
    dydit_ctx *ctx;
    dd_model *m;
    dd_weight_store *weights; /* packed at the first run */
};

struct dydit_vae {
    dydit_ctx *ctx;
    dd_vae *v;
    dd_decoder_weights *weights; /* packed when something is decoded first */
};

struct dydit_plan {
    dydit_model *model, *later; /* later: of weight set 1, NULL where the plan has none */
    dd_plan *plan;
};

/* Settings of a run, resolved and copied. */
typedef struct dd_settings {
    char sampler[8], steps[32], precision[8];
    char rng[192]; /* "torch-cuda as on A100 (108 x 2048)" */
    dd_card card;  /* that torch-cuda imitates, its name is in rng; sms 0: torch-cpu */
    dd_format input;
    dd_format cache;     /* of what steps keep */
    char cache_dtype[8]; /* as asked for; empty: by the precision */
    dd_solver solver;
    double eta, cfg_scale;
    int cfg_channels, cfg_lo, cfg_hi;
    int own_channels; /* none were asked for: every model guides its own */
    int guided;       /* cfg_scale above 1 */
    int noisy;        /* the solver adds noise */
    int draws;        /* numbers are drawn at each step, used or not */
    uint64_t seed;
    int batch_mode, batch_size, dense;
    char policy[DD_POLICY_MAX_TEXT], reuse_tokens[16]; /* as asked for; empty: none */
    dydit_model *later; /* borrowed, runs the steps below switch_timestep (0: those of the plan); NULL: none */
    int switch_timestep;
    char backend[176];
} dd_settings;

/* Pictures of a result, once they are decoded. */
typedef struct dd_decoded {
    uint8_t *pictures; /* [n,side,side,3], NULL: none */
    int side;
    double seconds;
    uint64_t peak_bytes; /* while decoding, all of the result and the model's weights included */
    int tiled;
} dd_decoded;

struct dydit_result {
    dydit_model *model;
    dd_settings set;
    dd_plan *plan;
    int64_t n, first; /* first: number of the first image */
    int *labels;
    dd_sample_out out; /* latents and hits NULL: handed out batch by batch */
    int steps_done;    /* of a preview, else all */
    uint64_t weight_bytes;
    int has_dense; /* dense steps were timed */
    int has_profile;
    dd_profile profile; /* seconds of every kind of op */
    dd_decoded decoded;
    int is_batch; /* of a run that goes on: borrows all but decoded */
};

/* Begins a call: forgets the last message. */
void dd_api_begin(dydit_ctx *ctx);

/* Defaults into a caller's struct of `size` bytes; a size we do not know is left for dd_api_options to refuse. */
void dd_api_defaults(void *dst, size_t size, const void *defaults, size_t full);

/* Copies a caller's options over defaults; sizes that cannot be are ERR_ARG. what: the struct's name. */
dd_status dd_api_options(void *dst, size_t dst_size, const void *src, const char *what, dd_err *err);

/* api_settings.c: checks and resolves sampling options; builds the plan they ask for. */
dd_status dd_settings_resolve(dd_settings *out, const dydit_model *model, const dydit_sample_options *o, dd_err *err);
dd_status dd_settings_plan(dd_plan **plan, const dd_settings *set, const dydit_model *model, const dd_plan *given,
                           dd_err *err);
/* api_rng.c: whose random numbers, as on which card. After everything else of the settings is there. */
dd_status dd_settings_rng(dd_settings *set, const dydit_model *model, const dydit_sample_options *o, dd_err *err);
/* Which of the stream's numbers belong to which image. */
dd_noise_spec dd_settings_noise(const dd_settings *set, const dd_model *m, int batch);
/* The complete model on the timesteps and with the guidance of `plan`, to be timed beside it. */
dd_status dd_settings_dense(dd_plan **dense, const dd_settings *set, const dydit_model *model, const dd_plan *plan,
                            dd_err *err);
/* Timesteps and tables that the settings ask for. */
dd_status dd_settings_schedule(dd_schedule *out, const dd_settings *set, dd_err *err);
/* Of every model of the run; the caller frees them. */
dd_status dd_settings_coefs(float *coefs[DD_WEIGHT_SETS], const dd_settings *set, const dydit_model *model,
                            dd_err *err);
dd_run_spec dd_settings_spec(const dd_settings *set, const dd_model *m, const dd_plan *plan, const float *coefs,
                             int batch);

/* api_switch.c: runs of two models. Resolves what the options say about it, after the steps. */
dd_status dd_settings_switch(dd_settings *set, const dydit_model *model, const dydit_sample_options *o, dd_err *err);
/* Do the weight sets of a given plan agree with the settings? */
dd_status dd_settings_check_sets(const dd_plan *given, const dd_settings *set, dd_err *err);
/* The weight sets of a run; returns how many. coefs: NULL for none. */
int dd_settings_legs(dd_leg leg[DD_WEIGHT_SETS], const dd_settings *set, const dydit_model *model, const dd_plan *plan,
                     float *const *coefs, int batch);
dd_status dd_settings_weights(const dd_settings *set, dydit_model *model, const dd_plan *plan, dd_err *err);
/* {"timestep", "arch", "model"} of the switch, without timestep where the plan alone says it. */
json_t *dd_switch_doc(const dd_settings *set);
/* "below timestep 400", "where the plan says". Fills text and returns it. */
#define DD_SWITCH_TEXT 32
const char *dd_switch_text(const dd_settings *set, char text[DD_SWITCH_TEXT]);
/* ERR_UNSUPPORTED where the models of a run have different masks. */
dd_status dd_settings_trajectory(const dd_settings *set, const dydit_model *model, const dd_plan *plan, dd_err *err);

/* A run that has not begun: what its memory and work depend on. */
typedef struct dd_trial {
    const dydit_model *model;
    const dd_settings *set;
    const dydit_sample_options *o;
    const dd_plan *plan, *dense; /* dense: timed beside it, or NULL */
    float *const *coefs;         /* [DD_WEIGHT_SETS] */
} dd_trial;

/* What a run that has not begun needs with batches of `batch` images. It grows with the batch. */
typedef struct dd_need {
    dd_backend *be;
    uint64_t limit; /* of all its memory; 0: none */
    int batch;      /* that is wanted */
    /* *bytes: all of it; *device_bytes: what is still to be allocated on the device. */
    dd_status (*measure)(const void *run, int batch, uint64_t *bytes, uint64_t *device_bytes, dd_err *err);
    const void *run;
} dd_need;

typedef enum dd_memory_place { DD_MEM_ALL, DD_MEM_DEVICE } dd_memory_place;

/* api_memory.c: ERR_NOMEM where a run needs more than its limit, or more than the device has free. */
dd_status dd_memory_check(const dd_need *n, dd_err *err);
/* After an allocation failed in spite of that check: adds the batch that would fit to the sentence in err, where what is
 * free now tells. */
void dd_memory_say_what_fits(const dd_need *n, dd_err *err);
/* Largest batch whose need fits, by bisection; 0: none. */
dd_status dd_memory_largest_batch(const dd_need *n, dd_memory_place where, uint64_t limit, int *out, dd_err *err);

/* api_estimate.c: memory and work of a run. */
dd_status dd_api_estimate(const dd_trial *t, dydit_estimate *e, dd_err *err);
dd_need dd_trial_need(const dd_trial *t); /* borrows t */

/* api_sample.c: samples as dydit_sample does, moving token routers on the way if calibration is not NULL. */
dd_status dd_api_sample(dydit_model *model, const dydit_sample_options *options, dd_calibration *calibration,
                        dydit_result **out, dd_err *err);

/* api_plan.c: a handle that owns plan; frees it on failure. later: of its other weight set, or NULL. */
dd_status dd_api_wrap_plan(dydit_plan **out, dydit_model *model, dydit_model *later, dd_plan *plan, dd_err *err);

/* api_engine.c: checks and keeps what the options say, then tells the backend who does its GEMMs. */
dd_status dd_api_engine_open(dydit_ctx *ctx, const char *engine, const char *tune_cache, dd_err *err);
/* Again, as measurements may be others now. */
dd_status dd_api_engine_apply(dydit_ctx *ctx, dd_err *err);
/* "own kernels", "cuBLASLt 13.1.0 where it can", "cuBLASLt 13.1.0 for 3 shapes, wgmma for 2, own kernels". False: own kernels
 * do all. */
bool dd_api_engine_text(const dydit_ctx *ctx, char *text, size_t size);

/* api_vae.c: the same for convolutions. Text: "cuDNN 9.19.0 where it can". */
dd_status dd_api_vae_engine_open(dydit_ctx *ctx, const char *engine, dd_err *err);
bool dd_api_vae_engine_text(const dydit_ctx *ctx, char *text, size_t size);

/* Packs the weights if that has not happened yet. */
dd_status dd_api_weights(dydit_model *model, dd_err *err);

/* The executed plan with the measured shares of kept tokens (1 where rows are ALL). */
typedef struct dd_executed {
    dd_report part[DD_WEIGHT_SETS]; /* the first one is the report */
    double *kept[DD_WEIGHT_SETS];
} dd_executed;
/* out is released by dd_executed_fini also after a failure. */
dd_status dd_executed_init(dd_executed *out, const dydit_result *r, dd_err *err);
void dd_executed_fini(dd_executed *e);

/* ERR_ARG where batch_done took the pictures of the run. */
dd_status dd_result_has_pictures(const dydit_result *r, const char *what, dd_err *err);

/* api_rgb.c: what becomes of results as plain colours. ERR_UNSUPPORTED where this model makes no pictures. */
dd_status dd_rgb_check(const dydit_model *model, const dydit_vae *vae, const char *what, dd_err *err);
int dd_rgb_side(const dydit_model *model, const dydit_vae *vae); /* of its pictures, in pixels */
/* All pictures of the result, [n,side,side,3]; gray ones have three equal channels. ERR_ARG where its latents are of a VAE
 * and were not decoded. */
dd_status dd_rgb_pictures(const dydit_result *r, const dydit_vae *vae, uint8_t *rgb, dd_err *err);

/* api_set_doc.c: all that the pictures of a set depend on, as a JSON object. */
dd_status dd_set_settings(json_t **out, const dydit_model *model, const dydit_sample_options *o,
                          const dydit_set_options *set, dd_err *err);
/* api_view.c: how latents become pixels. */
typedef struct dd_view {
    int channels;                                                  /* of a pixel */
    void (*pixel)(const float *x, size_t plane, uint8_t *channel); /* x: a place in the first plane */
    const char *name;                                              /* of a preview; NULL: it is the picture */
} dd_view;
dd_status dd_view_choose(dd_view *out, const dd_config *c, dydit_preview preview, const char *path, dd_err *err);
extern const dd_view dd_view_rgb; /* of pictures in planes of red, green and blue */
/* clamp(127.5 x + 128, 0, 255), truncated: the conversion of upstream's scripts. */
uint8_t dd_api_to_byte(float v);

/* Pictures, or latents, in planes. */
typedef struct dd_pictures {
    int64_t n;
    int h, w;
    const float *values; /* [n,3,h,w], about -1 to 1; latents: [n,C,h,w] */
} dd_pictures;

/* api_picture.c. Can there be such a picture? */
dd_status dd_api_check_pictures(const dd_pictures *pictures, const char *path, const dydit_png_options *options,
                                dd_err *err);
dd_status dd_api_write_pictures(const dd_pictures *pictures, const char *path, const dydit_png_options *options,
                                dd_err *err);

/* api_decode.c. Of the result's context, for its latents? */
dd_status dd_api_vae_fits(const dydit_vae *vae, const dydit_model *model, dd_err *err);
/* dydit_vae_decode without the beginning of a call. others: bytes that are held beside it, of options->max_mem. */
dd_status dd_api_decode(dydit_vae *vae, const dd_pictures *latents, const dydit_decode_options *options,
                        uint64_t others, float *out, dd_err *err);

/* api_stats.c: the settings as members of o. */
void dd_settings_put(json_t *o, const dd_settings *set);
/* Figures of a run. */
dd_status dd_result_figures(const dydit_result *r, dydit_stats *s, dd_err *err);

#endif
