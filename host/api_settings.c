/* SPDX-License-Identifier: MIT
 * Sampling options: defaults, checks, and what they mean as plan, coefficients and run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/api_internal.h"
#include "host/exec/precision.h"
#include "host/plan/policy.h"
#include "host/sample/schedule.h"
#include "host/sample/solver.h"

#define DEFAULT_BATCH 32

void dydit_sample_options_init(dydit_sample_options *o, size_t size)
{
    const dydit_sample_options defaults = {.size = size,
                                           .sampler = "auto",
                                           .steps = "250",
                                           .cfg_scale = 4.0,
                                           .cfg_hi = DD_TRAIN_STEPS - 1,
                                           .rng = "torch-cpu"};
    dd_api_defaults(o, size, &defaults, sizeof defaults);
}

typedef struct sampler {
    const char *name;
    dd_solver solver;
} sampler;

static dd_status find_sampler(sampler *out, const char *name, const char *steps, dd_err *err)
{
    static const sampler all[] = {
        {"ddpm", DD_SOLVER_DDPM}, {"ddim", DD_SOLVER_DDIM}, {"dpmpp2m", DD_SOLVER_DPMPP2M}, {"unipc", DD_SOLVER_UNIPC}};
    if (strcmp(name, "auto") == 0) name = strncmp(steps, "ddim", 4) == 0 ? "ddim" : "ddpm";
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(name, all[i].name) != 0) continue;
        *out = all[i];
        return DD_OK;
    }
    return DD_FAIL(err, DD_ERR_ARG, "sampler '%.40s' is not known: ddpm, ddim, dpmpp2m or unipc", name);
}

/* Spacings that belong to other samplers. */
static dd_status check_steps(const char *steps, const sampler *s, dd_err *err)
{
    static const char *const multistep[] = {"linspace", "leading", "trailing"};
    if (dd_solver_multistep(s->solver) && strncmp(steps, "ddim", 4) == 0)
        return DD_FAIL(err, DD_ERR_ARG, "steps \"%s\" and the sampler %s contradict each other: give a number of steps",
                       steps, s->name);
    for (int i = 0; i < 3 && !dd_solver_multistep(s->solver); i++)
        if (strncmp(steps, multistep[i], strlen(multistep[i])) == 0)
            return DD_FAIL(err, DD_ERR_ARG,
                           "steps \"%s\" and the sampler %s contradict each other: this spacing is that of dpmpp2m and "
                           "unipc",
                           steps, s->name);
    return DD_OK;
}

static dd_status resolve_sampler(dd_settings *s, const dydit_sample_options *o, dd_err *err)
{
    const char *steps = o->steps ? o->steps : "250";
    sampler chosen = {0};
    DD_TRY(find_sampler(&chosen, o->sampler ? o->sampler : "auto", steps, err));
    if (strlen(steps) >= sizeof s->steps)
        return DD_FAIL(err, DD_ERR_ARG, "sampling steps '%.40s…' is no number of steps", steps);
    DD_TRY(check_steps(steps, &chosen, err));
    s->solver = chosen.solver;
    snprintf(s->sampler, sizeof s->sampler, "%s", chosen.name);
    snprintf(s->steps, sizeof s->steps, "%s", steps);
    if (!isfinite(o->eta) || o->eta < 0 || o->eta > 1)
        return DD_FAIL(err, DD_ERR_ARG, "eta %g is out of range: 0 to 1", o->eta);
    if (o->eta != 0 && s->solver != DD_SOLVER_DDIM)
        return DD_FAIL(err, DD_ERR_ARG, "eta %g has no meaning for the sampler %s", o->eta, s->sampler);
    s->eta = o->eta;
    s->noisy = s->solver == DD_SOLVER_DDPM || s->eta != 0;
    s->draws = !dd_solver_multistep(s->solver); /* upstream's loops draw always, those of diffusers do not */
    return DD_OK;
}

dd_status dd_settings_schedule(dd_schedule *out, const dd_settings *set, dd_err *err)
{
    if (dd_solver_multistep(set->solver)) return dd_schedule_build_multistep(out, set->steps, err);
    return dd_schedule_build(out, set->steps, err);
}

static dd_status resolve_guidance(dd_settings *s, const dydit_sample_options *o, const dd_config *c, dd_err *err)
{
    if (!isfinite(o->cfg_scale) || fabs(o->cfg_scale) > 1e6)
        return DD_FAIL(err, DD_ERR_ARG, "guidance scale %g is out of range", o->cfg_scale);
    if (o->cfg_channels < 0 || o->cfg_channels > c->in_channels)
        return DD_FAIL(err, DD_ERR_ARG, "cfg-channels %d is out of range: 1 to %d", o->cfg_channels, c->in_channels);
    if (o->cfg_lo < 0 || o->cfg_hi >= DD_TRAIN_STEPS || o->cfg_lo > o->cfg_hi)
        return DD_FAIL(err, DD_ERR_ARG, "cfg-interval %d %d is no interval of original timesteps 0 to %d", o->cfg_lo,
                       o->cfg_hi, DD_TRAIN_STEPS - 1);
    s->cfg_scale = o->cfg_scale;
    s->cfg_channels = o->cfg_channels ? o->cfg_channels : c->cfg_channels;
    s->own_channels = o->cfg_channels == 0;
    s->cfg_lo = o->cfg_lo;
    s->cfg_hi = o->cfg_hi;
    s->guided = o->cfg_scale > 1.0;
    return DD_OK;
}

/* NULL: empty. */
static dd_status keep_text(char *dst, size_t size, const char *what, const char *text, dd_err *err)
{
    if (text && strlen(text) >= size) return DD_FAIL(err, DD_ERR_ARG, "%s '%.40s…' is not known", what, text);
    snprintf(dst, size, "%s", text ? text : "");
    return DD_OK;
}

dd_status dd_settings_resolve(dd_settings *s, const dydit_model *model, const dydit_sample_options *o, dd_err *err)
{
    memset(s, 0, sizeof *s);
    DD_TRY(resolve_sampler(s, o, err));
    DD_TRY(resolve_guidance(s, o, &model->m->cfg, err));
    if (o->seed_mode != DYDIT_SEED_PER_IMAGE && o->seed_mode != DYDIT_SEED_BATCH)
        return DD_FAIL(err, DD_ERR_ARG, "seed mode %d is not known", (int)o->seed_mode);
    if (o->batch_size < 0 || o->batch_size > 65536)
        return DD_FAIL(err, DD_ERR_ARG, "batch size %d is out of range: 1 to 65536", o->batch_size);
    if (o->n_images < 0 || o->n_images > 1 << 30)
        return DD_FAIL(err, DD_ERR_ARG, "number of images %lld is out of range: 1 to %d", (long long)o->n_images,
                       1 << 30);
    if (o->preview_interval < 0)
        return DD_FAIL(err, DD_ERR_ARG, "preview interval %d is negative", o->preview_interval);
    s->seed = o->seed;
    s->batch_mode = o->seed_mode == DYDIT_SEED_BATCH;
    s->batch_size = o->batch_size ? o->batch_size : DEFAULT_BATCH;
    if (o->n_images > 0 && o->n_images < s->batch_size) s->batch_size = (int)o->n_images;
    s->dense = o->dense != 0;
    DD_TRY(keep_text(s->policy, sizeof s->policy, "policy", o->policy, err));
    DD_TRY(keep_text(s->reuse_tokens, sizeof s->reuse_tokens, "reuse-tokens", o->reuse_tokens, err));
    DD_TRY(dd_settings_switch(s, model, o, err));
    s->input = model->ctx->input;
    DD_TRY(keep_text(s->cache_dtype, sizeof s->cache_dtype, "cache-dtype", o->cache_dtype, err));
    DD_TRY(dd_cache_parse(&s->cache, s->cache_dtype, s->input, err));
    snprintf(s->precision, sizeof s->precision, "%s", dd_precision_name(s->input));
    char engine[80];
    if (!dd_api_engine_text(model->ctx, engine, sizeof engine)) engine[0] = 0;
    snprintf(s->backend, sizeof s->backend, "%s (%.79s%s%s)", model->ctx->be->name, model->ctx->be->detail,
             engine[0] ? "; " : "", engine);
    return dd_settings_rng(s, model, o, err);
}

/* A given plan must visit the timesteps of the sampler, since the solver's coefficients are made for these. */
static dd_status check_given(const dd_plan *given, const dd_plan *own, const dd_settings *set, const dd_model *m,
                             dd_err *err)
{
    DD_TRY(dd_plan_validate(given, m, "plan", err));
    if (given->n_steps != own->n_steps)
        return DD_FAIL(err, DD_ERR_FORMAT, "plan: it has %d steps, but %s takes %d", given->n_steps, set->steps,
                       own->n_steps);
    for (int i = 0; i < own->n_steps; i++) {
        if (given->rows[i].timestep != own->rows[i].timestep)
            return DD_FAIL(err, DD_ERR_FORMAT, "plan: step %d is at timestep %g, but %s is at %g there", i,
                           (double)given->rows[i].timestep, set->steps, (double)own->rows[i].timestep);
        if (given->rows[i].guided && !set->guided)
            return DD_FAIL(err, DD_ERR_FORMAT, "plan: step %d is guided, but the guidance scale %g means no guidance",
                           i, set->cfg_scale);
    }
    return dd_settings_check_sets(given, set, err);
}

/* The model's own plan at these timesteps, and behind the switch the other one's. */
static dd_status build_plan(dd_plan **own, const dd_settings *set, const dydit_model *model, const float *t,
                            const int *guided, int n, dd_err *err)
{
    dd_plan *other = NULL;
    DD_TRY(dd_plan_build(own, model->m, t, guided, n, err));
    if (!set->later || set->switch_timestep == 0) return DD_OK;
    DD_TRY(dd_plan_build(&other, set->later->m, t, guided, n, err));
    return dd_plan_switch(*own, other, set->switch_timestep, err);
}

/* Fills the cells of one weight set, those of a given plan by the policy alone. */
static dd_status apply_policies(dd_plan *part, const dd_settings *set, const dd_model *m, bool given, dd_err *err)
{
    if (!given && !set->dense) DD_TRY(dd_policy_dydit(part, m, NULL, err));
    DD_TRY(dd_policy_named(part, m, set->policy, set->reuse_tokens, err));
    dd_plan_keep_own(part);
    return DD_OK;
}

static void remark(dydit_ctx *ctx, const char *text)
{
    if (!text || text == ctx->remarked) return;
    ctx->remarked = text;
    dd_log_write(&ctx->log, DD_LOG_WARN, "%s", text);
}

dd_status dd_settings_plan(dd_plan **plan, const dd_settings *set, const dydit_model *model, const dd_plan *given,
                           dd_err *err)
{
    dd_schedule sch;
    float t[DD_TRAIN_STEPS];
    int guided[DD_TRAIN_STEPS];
    dd_plan *own = NULL;
    DD_TRY(dd_settings_schedule(&sch, set, err));
    for (int i = 0; i < sch.n; i++) {
        const int step = sch.timestep[sch.n - 1 - i];
        t[i] = (float)step;
        guided[i] = set->guided && step >= set->cfg_lo && step <= set->cfg_hi;
    }
    *plan = NULL;
    dd_status st = build_plan(&own, set, model, t, guided, sch.n, err);
    if (st == DD_OK && given) {
        st = check_given(given, own, set, model->m, err);
        dd_plan_free(&own);
        if (st == DD_OK) st = dd_plan_copy(&own, given, err);
    }
    if (st == DD_OK) st = apply_policies(own, set, model->m, given != NULL, err);
    if (st == DD_OK && own->other) st = apply_policies(own->other, set, set->later->m, given != NULL, err);
    if (st == DD_OK) remark(model->ctx, dd_policy_remark(own, set->policy));
    if (st != DD_OK) dd_plan_free(&own);
    *plan = own;
    return st;
}

dd_status dd_settings_dense(dd_plan **dense, const dd_settings *set, const dydit_model *model, const dd_plan *plan,
                            dd_err *err)
{
    dd_settings complete = *set;
    complete.dense = 1;
    complete.policy[0] = complete.reuse_tokens[0] = 0;
    complete.later = NULL;
    DD_TRY(dd_settings_plan(dense, &complete, model, NULL, err));
    memcpy((*dense)->rows, plan->rows, (size_t)plan->n_steps * sizeof *plan->rows);
    if (!plan->other) return DD_OK;
    DD_TRY(dd_settings_plan(&(*dense)->other, &complete, set->later, NULL, err));
    memcpy((*dense)->other->rows, plan->rows, (size_t)plan->n_steps * sizeof *plan->rows);
    (*dense)->other->weight_set = plan->other->weight_set;
    return DD_OK;
}

static dd_status coefs_of(float **coefs, const dd_settings *set, const dd_model *m, dd_err *err)
{
    dd_schedule sch;
    DD_TRY(dd_settings_schedule(&sch, set, err));
    *coefs = calloc((size_t)sch.n * DD_COEF_COUNT, sizeof **coefs);
    if (!*coefs) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for the solver's coefficients");
    const dd_status st = dd_solver_coefs(*coefs, &sch, set->solver, set->eta, m->cfg.learn_sigma && !m->cfg.diffusers,
                                         err);
    if (st == DD_OK) return DD_OK;
    free(*coefs);
    *coefs = NULL;
    return st;
}

dd_status dd_settings_coefs(float *coefs[DD_WEIGHT_SETS], const dd_settings *set, const dydit_model *model, dd_err *err)
{
    DD_TRY(coefs_of(&coefs[0], set, model->m, err));
    return set->later ? coefs_of(&coefs[1], set, set->later->m, err) : DD_OK;
}

dd_run_spec dd_settings_spec(const dd_settings *set, const dd_model *m, const dd_plan *plan, const float *coefs,
                             int batch)
{
    dd_run_spec spec = {.model = m,
                        .input = set->input,
                        .cache = set->cache,
                        .plan = plan,
                        .max_images = batch,
                        .cfg_scale = (float)set->cfg_scale,
                        .cfg_channels = set->own_channels ? m->cfg.cfg_channels : set->cfg_channels,
                        .coefs = coefs,
                        .solver = set->solver,
                        .want_hits = m->n_routers > 0};
    if (set->card.sms == 0) return spec;
    spec.draws = (dd_draws){
        .images = dd_settings_noise(set, m, batch), .steps = set->draws ? plan->n_steps : 0, .card = set->card};
    spec.draw_latents = true;
    spec.draw_noise = set->noisy;
    return spec;
}
