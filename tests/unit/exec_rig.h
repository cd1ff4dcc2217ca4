/* SPDX-License-Identifier: MIT
 * Fixture of the tests of host/exec: a golden model on a backend with a plan of some respacing, and a backend whose
 * allocations are counted and made to fail. */
#ifndef DD_TESTS_UNIT_EXEC_RIG_H
#define DD_TESTS_UNIT_EXEC_RIG_H

/* The including file includes cmocka.h first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/exec/backend.h"
#include "host/exec/run_spec.h"
#include "host/exec/session.h"
#include "host/exec/weights.h"
#include "host/plan/policy.h"
#include "host/sample/rng.h"
#include "host/sample/schedule.h"
#include "host/sample/solver.h"

#define MODEL_D64 "tests/golden/model_d64_h4_p2.safetensors"   /* 2 blocks, 4 units, 16 tokens */
#define MODEL_D128 "tests/golden/model_d128_h4_p4.safetensors" /* 3 blocks, 4 units, 64 tokens */

#define MODEL_AVERAGES "tests/golden/denseformer_d32_h2_1x1.safetensors" /* 3 blocks, 2 units, 16 tokens */

typedef struct rig {
    dd_model *model;
    dd_backend *be;
    dd_weight_store *weights;
    dd_plan *plan;
    float *coefs;
    dd_run_spec spec; /* a forward pass under the plan; tests add what they want */
    dd_err err;
} rig;

/* Ends the test with the sentence of the failure. */
static inline void rig_must(rig *r, dd_status st)
{
    if (st != DD_OK) fail_msg("%s: %s", dd_status_name(st), r->err.text);
}

static inline void rig_refused(rig *r, dd_status st, dd_status want, const char *part)
{
    if (st != want) fail_msg("%s instead of: %s", dd_status_name(st), part);
    if (!strstr(r->err.text, part)) fail_msg("\"%s\" is not in: %s", part, r->err.text);
    dd_err_clear(&r->err);
}

/* Timesteps and coefficients of a respacing (DDPM); guided where lo <= timestep <= hi; routed: DyDiT's own cells. */
static inline void rig_plan(rig *r, const char *steps, int lo, int hi, bool routed)
{
    static dd_schedule sch;
    static float t[DD_TRAIN_STEPS];
    static int guided[DD_TRAIN_STEPS];
    rig_must(r, dd_schedule_build(&sch, steps, &r->err));
    for (int i = 0; i < sch.n; i++) {
        const int step = sch.timestep[sch.n - 1 - i];
        t[i] = (float)step;
        guided[i] = step >= lo && step <= hi;
    }
    dd_plan_free(&r->plan);
    rig_must(r, dd_plan_build(&r->plan, r->model, t, guided, sch.n, &r->err));
    if (routed) rig_must(r, dd_policy_dydit(r->plan, r->model, NULL, &r->err));
    free(r->coefs);
    r->coefs = calloc((size_t)sch.n * DD_COEF_COUNT, sizeof *r->coefs);
    assert_non_null(r->coefs);
    rig_must(r, dd_solver_coefs(r->coefs, &sch, DD_SOLVER_DDPM, 0, r->model->cfg.learn_sigma, &r->err));
    r->spec = (dd_run_spec){.model = r->model,
                            .plan = r->plan,
                            .max_images = 3,
                            .cfg_scale = 4,
                            .cfg_channels = r->model->cfg.cfg_channels,
                            .solver = DD_SOLVER_DDPM};
}

/* Model, backend and an unguided DyDiT plan of 4 steps; the weights are loaded by rig_weights. */
static inline rig rig_open(const char *path, const char *backend)
{
    rig r = {0};
    rig_must(&r, dd_model_open(&r.model, path, NULL, &r.err));
    const dd_backend_choice choice = {.name = backend, .threads = 2};
    rig_must(&r, dd_backend_open(&r.be, &choice, NULL, &r.err));
    rig_plan(&r, "4", -1, -1, true);
    return r;
}

static inline void rig_weights(rig *r) { rig_must(r, dd_weights_load(&r->weights, r->model, r->be, DD_F32, &r->err)); }

static inline void rig_close(rig *r)
{
    dd_weights_free(&r->weights);
    dd_backend_close(&r->be);
    dd_plan_free(&r->plan);
    free(r->coefs);
    dd_model_close(&r->model);
}

static inline dd_session *rig_session(rig *r)
{
    dd_session *s = NULL;
    rig_must(r, dd_session_open(&s, &r->spec, r->be, r->weights, &r->err));
    return s;
}

/* Latents and noise are drawn on the backend, as on a card whose threads do not suffice for an image. */
static inline void rig_draws(rig *r, uint64_t seed, bool batch_mode)
{
    r->spec.draws = (dd_draws){.images = {.seed = seed,
                                          .batch_mode = batch_mode,
                                          .latent_count = r->model->cfg.latent_count,
                                          .rows = 2,
                                          .max_images = r->spec.max_images},
                               .steps = r->plan->n_steps,
                               .card = {"small", 1, 256}};
    r->spec.draw_latents = r->spec.draw_noise = true;
}

static inline float *rig_noise(uint64_t seed, size_t n)
{
    static dd_torch_rng g;
    float *x = malloc(n * sizeof *x + 1);
    assert_non_null(x);
    dd_torch_seed(&g, seed);
    dd_torch_randn(&g, x, n);
    return x;
}

/* ---- counted backend ------------------------------------------------------------------------------------------ */

static struct {
    dd_backend real;      /* the functions that do the work */
    int live;             /* blocks not yet released */
    int calls;            /* allocations, uploads, packings and reservations */
    int fail_at;          /* this call fails; 0: none */
    size_t allocs, bytes; /* since the counting began */
} tally;

static inline dd_status tally_event(dd_err *err)
{
    if (++tally.calls != tally.fail_at) return DD_OK;
    return DD_FAIL(err, DD_ERR_DEVICE, "call %d refused on purpose", tally.calls);
}

static inline dd_status tally_alloc(dd_backend *be, size_t bytes, void **out, dd_err *err)
{
    *out = NULL;
    DD_TRY(tally_event(err));
    DD_TRY(tally.real.alloc(be, bytes, out, err));
    tally.live++, tally.allocs++, tally.bytes += bytes;
    return DD_OK;
}

static inline void tally_release(dd_backend *be, void *p)
{
    tally.live -= p != NULL;
    tally.real.release(be, p);
}

static inline dd_status tally_upload(dd_backend *be, void *dst, const void *src, size_t bytes, dd_err *err)
{
    DD_TRY(tally_event(err));
    return tally.real.upload(be, dst, src, bytes, err);
}

static inline dd_status tally_pack(dd_backend *be, const dd_weight_desc *desc, void *storage, dd_packed **out,
                                   dd_err *err)
{
    DD_TRY(tally_event(err));
    return tally.real.pack(be, desc, storage, out, err);
}

static inline dd_status tally_reserve(dd_backend *be, const dd_limits *limits, dd_err *err)
{
    DD_TRY(tally_event(err));
    return tally.real.reserve(be, limits, err);
}

/* From here on the backend counts. */
static inline void tally_begin(dd_backend *be)
{
    memset(&tally, 0, sizeof tally);
    tally.real = *be;
    be->alloc = tally_alloc;
    be->release = tally_release;
    be->upload = tally_upload;
    be->pack = tally_pack;
    be->reserve = tally_reserve;
}

#endif
