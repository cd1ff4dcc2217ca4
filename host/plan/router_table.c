/* SPDX-License-Identifier: MIT
 * Routers as released: tensors "0.prob" to "{T-1}.prob" in the state dict `routers`, or in a file that is one itself. What is
 * beside it (optimizer, arguments) is passed over. */
#include "host/plan/router_table.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/model/checkpoint.h"
#include "host/plan/plan.h"

dd_status dd_router_alloc(dd_router_table *r, int64_t n_steps, int64_t n_sites, const char *what, dd_err *err)
{
    if (n_steps < 1 || n_steps > DD_PLAN_MAX_STEPS)
        return DD_FAIL(err, DD_ERR_FORMAT, "%s: routers of %" PRId64 " steps, a plan has 1 to %d", what, n_steps,
                       DD_PLAN_MAX_STEPS);
    if (n_sites < 2 || n_sites % 2 || n_sites / 2 > DD_ROUTER_MAX_DEPTH)
        return DD_FAIL(err, DD_ERR_FORMAT,
                       "%s: routers of %" PRId64 " values, but they have two for each of 1 to %d blocks", what, n_sites,
                       DD_ROUTER_MAX_DEPTH);
    r->n_steps = (int)n_steps;
    r->n_sites = (int)n_sites;
    r->threshold = DD_ROUTER_THRESHOLD;
    r->values = calloc((size_t)(n_steps * n_sites), sizeof *r->values);
    return r->values ? DD_OK : DD_FAIL(err, DD_ERR_NOMEM, "%s: out of memory for routers", what);
}

void dd_router_fini(dd_router_table *r)
{
    free(r->values);
    *r = (dd_router_table){0};
}

/* Every operation rounded to float32, as the decision was made when the routers were published. */
static float sigmoid(float x) { return 1.0f / (1.0f + (float)exp(-(double)x)); }

bool dd_router_keeps(const dd_router_table *r, int index, int site)
{
    const float v = r->values[(int64_t)index * r->n_sites + site];
    return (r->probabilities ? v : sigmoid(v)) > (float)r->threshold;
}

static dd_status take_rows(dd_router_table *r, const dd_tensors *file, dd_err *err)
{
    const char *path = dd_tensors_path(file);
    const int n = dd_tensors_count(file);
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.prob", i);
        const dd_tensor *t = dd_tensors_find(file, name);
        if (!t)
            return DD_FAIL(err, DD_ERR_FORMAT, "%s: %s is missing: the routers of %d steps are 0.prob to %d.prob", path,
                           name, n, n - 1);
        if (t->rank != 1)
            return DD_FAIL(err, DD_ERR_FORMAT, "%s: %s has rank %d, the router of a step has rank 1", path, name,
                           t->rank);
        if (i == 0) DD_TRY(dd_router_alloc(r, n, t->count, path, err));
        if (t->count != r->n_sites)
            return DD_FAIL(err, DD_ERR_FORMAT, "%s: %s has %" PRId64 " values, 0.prob has %d", path, name, t->count,
                           r->n_sites);
        if (i % 2 == 0) DD_TRY(dd_tensors_read_f32(file, t, r->values + (int64_t)i * r->n_sites, err));
    }
    return DD_OK;
}

static dd_status read_tensors(dd_router_table *r, const char *path, dd_err *err)
{
    dd_tensors *file = NULL;
    DD_TRY(dd_checkpoint_open(&file, path, &(dd_checkpoint_choice){.which = DD_WHICH_ROUTERS}, err));
    const dd_status st = take_rows(r, file, err);
    dd_tensors_close(&file);
    return st;
}

/* JSON begins with a bracket, files of tensors do not. */
static dd_status begins_as_json(const char *path, bool *json, dd_err *err)
{
    FILE *in = fopen(path, "rb");
    if (!in)
        return DD_FAIL(err, errno == ENOENT || errno == ENOTDIR ? DD_ERR_NOT_FOUND : DD_ERR_IO,
                       "%s cannot be opened: %s", path, strerror(errno));
    int c;
    do c = getc(in);
    while (c == ' ' || c == '\t' || c == '\n' || c == '\r');
    dd_status st = DD_OK;
    if (ferror(in)) st = DD_FAIL(err, DD_ERR_IO, "%s could not be read: %s", path, strerror(errno));
    fclose(in);
    *json = c == '{' || c == '[';
    return st;
}

dd_status dd_router_read(dd_router_table *out, const char *path, dd_err *err)
{
    bool json = false;
    *out = (dd_router_table){0};
    DD_TRY(begins_as_json(path, &json, err));
    const dd_status st = json ? dd_router_read_json(out, path, err) : read_tensors(out, path, err);
    if (st != DD_OK) dd_router_fini(out);
    return st;
}
