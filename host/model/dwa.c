/* SPDX-License-Identifier: MIT
 * Names, geometry and metadata of depth-weighted averages. An average after unit i has floor(i / k) + 1 weights, so that
 * each tensor leaves a range of dilations; that of all together must hold one. */
#include "host/model/dwa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ops.h"

typedef struct reader {
    const dd_tensors *file;
    const char *path;
    dd_dwa *dwa;
    int units;
    dd_err *err;
} reader;

static void name_of(const dd_dwa *d, int unit, char name[DD_DWA_NAME])
{
    const char *prefix = d->names == DD_DWA_PACKAGE ? "dwa_modules.alphas" : "weights";
    snprintf(name, DD_DWA_NAME, "%s.%d.weight", prefix, unit - 1);
}

/* A positive whole number of the metadata; 0: not there. */
static dd_status meta_number(const reader *r, const char *key, int *out)
{
    const char *text = dd_tensors_meta(r->file, key);
    *out = 0;
    if (!text) return DD_OK;
    char *end;
    const long v = strtol(text, &end, 10);
    if (end == text || *end || v < 1 || v > 1000000)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: metadata %s is '%.40s', expected a number from 1 on", r->path, key,
                       text);
    *out = (int)v;
    return DD_OK;
}

static const char *first_with(const dd_tensors *f, const char *prefix)
{
    for (int i = 0; i < dd_tensors_count(f); i++)
        if (strncmp(dd_tensors_at(f, i)->name, prefix, strlen(prefix)) == 0) return dd_tensors_at(f, i)->name;
    return NULL;
}

static dd_status read_names(reader *r, int depth)
{
    dd_dwa *d = r->dwa;
    const char *package = first_with(r->file, "dwa_modules."), *other = first_with(r->file, "weights.");
    if (package && other)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: tensors %s and %s are names of two kinds of averages", r->path,
                       package, other);
    d->names = package ? DD_DWA_PACKAGE : other ? DD_DWA_EXPERIMENTS : DD_DWA_NONE;
    d->span = 1;
    if (d->names == DD_DWA_EXPERIMENTS) {
        DD_TRY(meta_number(r, "increase_T_every", &d->span));
        if (d->span == 0) d->span = 2;
        if (depth % d->span)
            return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: tensor %s averages over every %d blocks, but there are %d",
                           r->path, other, d->span, depth);
    }
    r->units = depth / d->span;
    return DD_OK;
}

/* The period, from which tensors there are. */
static dd_status read_period(const reader *r)
{
    dd_dwa *d = r->dwa;
    char name[DD_DWA_NAME], first[DD_DWA_NAME];
    int said;
    DD_TRY(meta_number(r, "dwa_period", &said));
    d->period = d->names == DD_DWA_EXPERIMENTS ? 1 : said;
    for (int i = 1; d->period == 0 && i <= r->units; i++) {
        name_of(d, i, name);
        if (dd_tensors_find(r->file, name)) d->period = i;
    }
    if (d->period == 0) d->names = DD_DWA_NONE; /* no tensor of these names: whatever it is, it is refused later */
    if (said > 0 && said != d->period)
        return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: metadata dwa_period is %d, but the names of the averages have none",
                       r->path, said);
    if (d->period > 0) name_of(d, d->period, first);
    for (int i = 1; d->period > 0 && i <= r->units; i++) {
        name_of(d, i, name);
        const bool wanted = i % d->period == 0, there = dd_tensors_find(r->file, name) != NULL;
        if (wanted && !there)
            return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: tensor %s is missing: there is an average every %d (%s, ...)",
                           r->path, name, d->period, first);
        if (!wanted && there)
            return DD_FAIL(r->err, DD_ERR_FORMAT, "%s: tensor %s is no average of those that come every %d (%s, ...)",
                           r->path, name, d->period, first);
    }
    return DD_OK;
}

/* Dilations lo to hi that fit the number of weights of an average; a number that none fits leaves none. */
static dd_status fit(const reader *r, int unit, int *lo, int *hi)
{
    char name[DD_DWA_NAME];
    name_of(r->dwa, unit, name);
    const dd_tensor *t = dd_tensors_find(r->file, name);
    if (t->rank != 2 || t->shape[0] != 1 || t->shape[1] < 1 || t->shape[1] > unit + 1)
        return DD_FAIL(r->err, DD_ERR_FORMAT,
                       "%s: tensor %s must be [1, n] with n from 1 to %d: one weight for each source", r->path, name,
                       unit + 1);
    if (t->shape[1] > DD_MAX_SOURCES)
        return DD_FAIL(r->err, DD_ERR_UNSUPPORTED, "%s: tensor %s averages over %lld outputs, at most %d are supported",
                       r->path, name, (long long)t->shape[1], DD_MAX_SOURCES);
    const int steps = (int)t->shape[1] - 1; /* floor(unit / k) */
    const int from = unit / (steps + 1) + 1, to = steps ? unit / steps : r->units + 1;
    const int was_lo = *lo, was_hi = *hi;
    if (from > *lo) *lo = from;
    if (to < *hi) *hi = to;
    if (*lo <= *hi) return DD_OK;
    return DD_FAIL(
        r->err, DD_ERR_FORMAT,
        "%s: tensor %s has %d weights, but of dilation %d to %d, which the metadata or the averages before it "
        "leave, it has %d to %d",
        r->path, name, steps + 1, was_lo, was_hi, unit / was_hi + 1, unit / was_lo + 1);
}

static dd_status read_dilation(const reader *r)
{
    dd_dwa *d = r->dwa;
    char name[DD_DWA_NAME];
    int said, lo = 1, hi = r->units + 1, last = 0;
    DD_TRY(meta_number(r, "dwa_dilation", &said));
    if (said > 0) lo = hi = said > r->units ? r->units + 1 : said; /* from there on all are the same */
    for (int i = d->period; i <= r->units; i += d->period) DD_TRY(fit(r, last = i, &lo, &hi));
    name_of(d, last, name);
    if (lo < hi && last / lo > 0)
        return DD_FAIL(r->err, DD_ERR_FORMAT,
                       "%s: tensor %s fits dilations %d to %d: metadata dwa_dilation must say which", r->path, name, lo,
                       hi);
    d->dilation = lo;
    return DD_OK;
}

dd_status dd_dwa_read(dd_dwa *out, const dd_tensors *file, int depth, dd_err *err)
{
    reader r = {.file = file, .path = dd_tensors_path(file), .dwa = out, .err = err};
    *out = (dd_dwa){0};
    DD_TRY(read_names(&r, depth));
    if (out->names != DD_DWA_NONE) DD_TRY(read_period(&r));
    if (out->names == DD_DWA_NONE) {
        *out = (dd_dwa){0};
        return DD_OK;
    }
    return read_dilation(&r);
}

const char *dd_dwa_names_text(dd_dwa_names names)
{
    return names == DD_DWA_PACKAGE ? "package" : names == DD_DWA_EXPERIMENTS ? "experiments" : "none";
}

int dd_dwa_units(const dd_config *c) { return c->dwa.names == DD_DWA_NONE ? 0 : c->depth / c->dwa.span; }

bool dd_dwa_averages(const dd_config *c, int unit)
{
    return unit > 0 && unit <= dd_dwa_units(c) && unit % c->dwa.period == 0;
}

int dd_dwa_weights(const dd_config *c, int unit) { return unit / c->dwa.dilation + 1; }

void dd_dwa_tensor(const dd_config *c, int unit, char name[DD_DWA_NAME]) { name_of(&c->dwa, unit, name); }

/* Does an average after `unit` or later read X_j? */
static bool read_from(const dd_config *c, int j, int unit)
{
    for (int i = unit; i <= dd_dwa_units(c); i++)
        if (dd_dwa_averages(c, i) && (i - j) % c->dwa.dilation == 0) return true;
    return false;
}

int dd_dwa_held(const dd_config *c)
{
    int most = 0;
    for (int unit = 1; unit <= dd_dwa_units(c); unit++) {
        int held = 0;
        for (int j = 0; j < unit; j++) held += read_from(c, j, unit);
        if (held > most) most = held;
    }
    return most;
}
