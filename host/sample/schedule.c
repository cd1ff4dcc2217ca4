/* SPDX-License-Identifier: MIT
 * Builds the tables of the diffusion process. All in float64, in the order of operations of the public code, so that
 * the golden tables (tests/golden/schedule.safetensors) come out exactly. */
#include "host/sample/schedule.h"

#include <math.h>
#include <string.h>

#define BETA_FIRST 1e-4
#define BETA_LAST 0.02

/* A whole number of up to 4 digits, all of s; else -1. */
static int parse_count(const char *s)
{
    int n = 0;
    const size_t len = strlen(s);
    if (len == 0 || len > 4) return -1;
    for (; *s; s++) {
        if (*s < '0' || *s > '9') return -1;
        n = n * 10 + (*s - '0');
    }
    return n;
}

/* "ddimN": the smallest whole stride with exactly n positions. */
static dd_status pick_strided(dd_schedule *s, int n, const char *spec, dd_err *err)
{
    for (int stride = 1; stride < DD_TRAIN_STEPS; stride++) {
        if ((DD_TRAIN_STEPS + stride - 1) / stride != n) continue;
        for (int i = 0; i < n; i++) s->timestep[i] = i * stride;
        return DD_OK;
    }
    int below = n, above = n;
    for (int stride = 1; stride < DD_TRAIN_STEPS; stride++) {
        const int m = (DD_TRAIN_STEPS + stride - 1) / stride;
        if (m > n) above = m;
        if (m < n) {
            below = m;
            break;
        }
    }
    return DD_FAIL(err, DD_ERR_ARG,
                   "steps \"%s\": no whole stride takes exactly %d of %d steps; the nearest are ddim%d and ddim%d",
                   spec, n, DD_TRAIN_STEPS, below, above);
}

/* n positions from 0 to 999. The position is summed up, not multiplied, and rounded half to even. */
static void pick_even(dd_schedule *s, int n)
{
    const double stride = (double)(DD_TRAIN_STEPS - 1) / (double)(n - 1);
    double at = 0.0;
    for (int i = 0; i < n; i++) {
        s->timestep[i] = (int)nearbyint(at);
        at += stride;
    }
}

static dd_status pick_timesteps(dd_schedule *s, const char *spec, dd_err *err)
{
    if (!spec) return DD_FAIL(err, DD_ERR_ARG, "steps: no value given");
    const int strided = strncmp(spec, "ddim", 4) == 0;
    const int n = parse_count(strided ? spec + 4 : spec);
    if (n < 0)
        return DD_FAIL(err, DD_ERR_ARG, "steps \"%.40s\" is neither a whole number from 2 to %d nor ddimN", spec,
                       DD_TRAIN_STEPS);
    if (n < 2 || n > DD_TRAIN_STEPS)
        return DD_FAIL(err, DD_ERR_ARG, "steps \"%s\" is out of range: from 2 to %d steps are possible", spec,
                       DD_TRAIN_STEPS);
    s->n = n;
    if (strided) return pick_strided(s, n, spec, err);
    pick_even(s, n);
    return DD_OK;
}

/* "linspaceN": i * (999 / N), rounded half to even as numpy does; position 0 is where the last step ends. */
static void pick_linspace(dd_schedule *s, int n)
{
    const double stride = (double)(DD_TRAIN_STEPS - 1) / (double)n;
    for (int i = 0; i < n; i++) s->timestep[i] = (int)nearbyint((double)(i + 1) * stride);
    s->timestep[n - 1] = DD_TRAIN_STEPS - 1;
}

static void pick_leading(dd_schedule *s, int n)
{
    for (int i = 0; i < n; i++) s->timestep[i] = (i + 1) * (DD_TRAIN_STEPS / (n + 1));
}

/* numpy's arange(1000, 0, -1000/N): its step is the difference of its first two values. */
static void pick_trailing(dd_schedule *s, int n)
{
    const double first = DD_TRAIN_STEPS, step = first - (first - first / (double)n);
    for (int i = 0; i < n; i++) s->timestep[n - 1 - i] = (int)nearbyint(first - (double)i * step) - 1;
}

static dd_status pick_multistep(dd_schedule *s, const char *spec, dd_err *err)
{
    static const struct {
        const char *name;
        void (*pick)(dd_schedule *s, int n);
    } spacings[] = {{"linspace", pick_linspace}, {"leading", pick_leading}, {"trailing", pick_trailing}};
    void (*pick)(dd_schedule *, int) = pick_linspace;
    const char *number = spec;
    if (!spec) return DD_FAIL(err, DD_ERR_ARG, "steps: no value given");
    for (size_t i = 0; i < sizeof spacings / sizeof spacings[0]; i++) {
        const size_t len = strlen(spacings[i].name);
        if (strncmp(spec, spacings[i].name, len) != 0) continue;
        pick = spacings[i].pick;
        number = spec + len;
    }
    const int n = parse_count(number);
    if (n < 0)
        return DD_FAIL(err, DD_ERR_ARG,
                       "steps \"%.40s\" is neither a whole number from 2 to %d nor linspaceN, leadingN or trailingN",
                       spec, DD_TRAIN_STEPS - 1);
    if (n < 2 || n > DD_TRAIN_STEPS - 1)
        return DD_FAIL(err, DD_ERR_ARG, "steps \"%s\" is out of range: from 2 to %d steps are possible", spec,
                       DD_TRAIN_STEPS - 1);
    s->n = n;
    pick(s, n);
    return DD_OK;
}

/* The products of (1 - beta) over the training steps. */
static void train_alpha_bar(double *alpha_bar)
{
    const double step = (BETA_LAST - BETA_FIRST) / (double)(DD_TRAIN_STEPS - 1);
    double product = 1.0;
    for (int i = 0; i < DD_TRAIN_STEPS; i++) {
        const double beta = i == DD_TRAIN_STEPS - 1 ? BETA_LAST : (double)i * step + BETA_FIRST;
        product *= 1.0 - beta;
        alpha_bar[i] = product;
    }
}

/* The tables of the timesteps that were picked. */
static void fill_tables(dd_schedule *out)
{
    double train[DD_TRAIN_STEPS];
    train_alpha_bar(train);

    /* Betas that lead from one chosen step to the next; their products, rounded once more, are the alpha bars
     * in use. */
    double last = 1.0, product = 1.0;
    for (int i = 0; i < out->n; i++) {
        const double beta = 1.0 - train[out->timestep[i]] / last;
        last = train[out->timestep[i]];
        out->beta[i] = beta;
        out->alpha_bar_prev[i] = product;
        product *= 1.0 - beta;
        out->alpha_bar[i] = product;
    }
    for (int i = 0; i < out->n; i++) {
        const double beta = out->beta[i], ab = out->alpha_bar[i], prev = out->alpha_bar_prev[i];
        out->posterior_var[i] = beta * (1.0 - prev) / (1.0 - ab);
        out->posterior_mean_x0[i] = beta * sqrt(prev) / (1.0 - ab);
        out->posterior_mean_xt[i] = (1.0 - prev) * sqrt(1.0 - beta) / (1.0 - ab);
    }
    for (int i = 0; i < out->n; i++) out->posterior_log_var[i] = log(out->posterior_var[i > 0 ? i : 1]);
}

dd_status dd_schedule_build(dd_schedule *out, const char *spec, dd_err *err)
{
    memset(out, 0, sizeof *out);
    DD_TRY(pick_timesteps(out, spec, err));
    fill_tables(out);
    return DD_OK;
}

dd_status dd_schedule_build_multistep(dd_schedule *out, const char *spec, dd_err *err)
{
    memset(out, 0, sizeof *out);
    DD_TRY(pick_multistep(out, spec, err));
    fill_tables(out);
    return DD_OK;
}
