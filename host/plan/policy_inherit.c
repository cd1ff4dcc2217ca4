/* SPDX-License-Identifier: MIT
 * Feature inheritance of A-SDM (arXiv 2406.00210): at some steps sites, or whole blocks, take what an earlier step has
 * computed. What the paper keeps and when is not public; this definition is ours (docs/plan.md). */
#include "host/plan/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/plan/policy_reuse.h"
#include "host/plan/policy_steps.h"

typedef struct inherit {
    const dd_model *model;
    dd_policy_values *values;
    uint8_t op;  /* REUSE_DELTA or REUSE_OUTPUT */
    uint8_t *at; /* [n_sites] op, or COMPUTE where nothing is inherited */
    bool computes[DD_PLAN_MAX_STEPS];
} inherit;

static dd_status parse_mode(inherit *h, dd_err *err)
{
    const char *mode;
    DD_TRY(dd_policy_value_text(h->values, "mode", &mode, err));
    if (strcmp(mode, "delta") == 0) h->op = DD_CELL_REUSE_DELTA;
    else if (strcmp(mode, "output") == 0) h->op = DD_CELL_REUSE_OUTPUT;
    else return DD_FAIL(err, DD_ERR_ARG, "policy inherit: mode '%.40s' is neither delta nor output", mode);
    return DD_OK;
}

static bool ends_block(const dd_model *m, int site)
{
    return site + 1 == m->n_sites || m->sites[site + 1].block != m->sites[site].block;
}

/* A whole block: the output is that of its last site, and what comes before has no other reader; the change is the sum of
 * those of its sites. */
static bool belongs(const inherit *h, int site, const char *unit, size_t n)
{
    const dd_site *s = &h->model->sites[site];
    if (n == 0) return h->op == DD_CELL_REUSE_DELTA || ends_block(h->model, site);
    const char *name = s->kind == DD_SITE_ATTENTION ? "attn" : "mlp";
    return strlen(name) == n && strncmp(unit, name, n) == 0;
}

/* One of the list: blocks[.A[-B]][.attn|.mlp]. */
static dd_status take_sites(inherit *h, const char *item, size_t length, dd_err *err)
{
    const char *at = item, *end = item + length;
    const int blocks = h->model->cfg.depth;
    int first = 0, last = blocks - 1, taken = 0;
    bool form = length >= 6 && strncmp(at, "blocks", 6) == 0;
    at += form ? 6 : 0;
    if (form && end - at > 1 && at[0] == '.' && at[1] >= '0' && at[1] <= '9') {
        at++;
        form = dd_policy_range(&at, &first, &last) && at <= end;
    }
    form = form && (at == end || (*at++ == '.' && at < end));
    if (form && last >= blocks)
        return DD_FAIL(err, DD_ERR_ARG, "policy inherit: sites '%.*s': the last block is %d", (int)length, item,
                       blocks - 1);
    for (int i = 0; i < h->model->n_sites && form; i++) {
        const int block = h->model->sites[i].block;
        if (block < first || block > last || !belongs(h, i, at, (size_t)(end - at))) continue;
        h->at[i] = h->op;
        taken++;
    }
    if (taken == 0)
        return DD_FAIL(
            err, DD_ERR_ARG,
            "policy inherit: sites '%.*s' is not of the form blocks, blocks.3, blocks.2-5.mlp or blocks.attn",
            (int)(length < 80 ? length : 80), item);
    return DD_OK;
}

static dd_status parse_sites(inherit *h, dd_err *err)
{
    const char *list = dd_policy_value(h->values, "sites");
    if (!list) list = "blocks";
    h->at = calloc((size_t)h->model->n_sites, sizeof *h->at); /* COMPUTE */
    if (!h->at) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for policy inherit");
    for (size_t n;; list += n + 1) {
        n = strcspn(list, "+");
        DD_TRY(take_sites(h, list, n, err));
        if (!list[n]) return DD_OK;
    }
}

static void fill(const inherit *h, dd_reuse *r, int n_steps)
{
    for (int s = 0; s < n_steps; s++)
        for (int i = 0; i < r->n_sites; i++) {
            if (h->at[i] == DD_CELL_COMPUTE) continue;
            *dd_reuse_op(r, s, i) = h->computes[s] ? DD_CELL_COMPUTE_STORE : h->at[i];
        }
}

static dd_status parse(inherit *h, int n_steps, dd_err *err)
{
    DD_TRY(parse_mode(h, err));
    DD_TRY(parse_sites(h, err));
    DD_TRY(dd_policy_steps(h->computes, n_steps, h->values, err));
    return dd_policy_values_done(h->values, err);
}

dd_status dd_policy_inherit(dd_plan *plan, const dd_model *m, dd_policy_values *values, dd_err *err)
{
    inherit h = {.model = m, .values = values};
    dd_reuse r = {0};
    char label[32];
    dd_status st = parse(&h, plan->n_steps, err);
    if (st == DD_OK) st = dd_reuse_begin(&r, plan, m, "inherit", DD_REUSE_FROZEN, err);
    if (st == DD_OK) {
        fill(&h, &r, plan->n_steps);
        snprintf(label, sizeof label, "inherit:%s", h.op == DD_CELL_REUSE_DELTA ? "delta" : "output");
        st = dd_reuse_apply(&r, plan, m, label, err);
    }
    dd_reuse_fini(&r);
    free(h.at);
    return st;
}
