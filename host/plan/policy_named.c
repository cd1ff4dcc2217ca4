/* SPDX-License-Identifier: MIT
 * Policies as users write them: NAME:KEY=VALUE,KEY=VALUE. One row here for each that can be named. */
#include <stdio.h>
#include <string.h>

#include "host/plan/policy.h"
#include "host/plan/policy_values.h"

static dd_status parse_tokens(dd_reuse_tokens *out, const char *text, dd_err *err)
{
    static const char *const names[] = {"frozen", "intersect", "fresh"};
    *out = DD_REUSE_FROZEN;
    if (!*text) return DD_OK;
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (dd_reuse_tokens)i;
            return DD_OK;
        }
    return DD_FAIL(err, DD_ERR_ARG, "reuse-tokens '%.40s' is none of frozen, intersect, fresh", text);
}

static dd_status named_fora(dd_plan *plan, const dd_model *m, dd_policy_values *v, dd_reuse_tokens tokens, dd_err *err)
{
    int interval;
    DD_TRY(dd_policy_value_int(v, "interval", 1, DD_PLAN_MAX_STEPS, &interval, err));
    DD_TRY(dd_policy_values_done(v, err));
    return dd_policy_fora(plan, m, interval, tokens, err);
}

static dd_status named_l2c(dd_plan *plan, const dd_model *m, dd_policy_values *v, dd_reuse_tokens tokens, dd_err *err)
{
    const char *path;
    double threshold = 0;
    dd_router_table routers;
    const bool given = dd_policy_value(v, "threshold");
    DD_TRY(dd_policy_value_text(v, "router", &path, err));
    if (given) DD_TRY(dd_policy_value_number(v, "threshold", -1e6, 1e6, &threshold, err));
    DD_TRY(dd_policy_values_done(v, err));
    DD_TRY(dd_router_read(&routers, path, err));
    if (given) routers.threshold = threshold;
    const dd_status st = dd_policy_l2c(plan, m, &routers, path, tokens, err);
    dd_router_fini(&routers);
    return st;
}

static dd_status named_inherit(dd_plan *plan, const dd_model *m, dd_policy_values *v, dd_reuse_tokens tokens,
                               dd_err *err)
{
    if (tokens != DD_REUSE_FROZEN)
        return DD_FAIL(err, DD_ERR_ARG,
                       "policy inherit asks no token router when it reuses: reuse-tokens frozen alone");
    return dd_policy_inherit(plan, m, v, err);
}

static const struct {
    const char *name, *form;
    dd_status (*apply)(dd_plan *plan, const dd_model *m, dd_policy_values *v, dd_reuse_tokens tokens, dd_err *err);
    const char *dynamic; /* to be said over a plan with masks or routed tokens, or NULL */
} policies[] = {
    {"fora", "fora:interval=N", named_fora, NULL},
    {"l2c", "l2c:router=FILE,threshold=X", named_l2c,
     "policy l2c: routers are trained for the complete model; with the masks of a dynamic one they are untested"},
    {"inherit", "inherit:mode=delta|output,stride=N", named_inherit, NULL},
};

dd_status dd_policy_named(dd_plan *plan, const dd_model *m, const char *policy, const char *tokens, dd_err *err)
{
    dd_reuse_tokens reuse;
    dd_policy_values v;
    char forms[256] = "";
    DD_TRY(parse_tokens(&reuse, tokens, err));
    if (!*policy) {
        if (*tokens) return DD_FAIL(err, DD_ERR_ARG, "reuse-tokens %.40s without a policy: nothing is reused", tokens);
        return DD_OK;
    }
    if (reuse != DD_REUSE_FROZEN && m->n_routers == 0)
        return DD_FAIL(err, DD_ERR_ARG, "reuse-tokens %s: %s has no token routers", tokens, m->cfg.arch);
    DD_TRY(dd_policy_values_parse(&v, policy, err));
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        if (strcmp(v.name, policies[i].name) == 0) return policies[i].apply(plan, m, &v, reuse, err);
        snprintf(forms + strlen(forms), sizeof forms - strlen(forms), "%s%s", i ? ", " : "", policies[i].form);
    }
    return DD_FAIL(err, DD_ERR_ARG, "policy '%.40s' is not known: %s", v.name, forms);
}

const char *dd_policy_remark(const dd_plan *plan, const char *policy)
{
    const size_t n = strcspn(policy, ":");
    bool dynamic = false;
    for (int i = 0; i < plan->n_steps * plan->n_sites; i++) {
        const dd_cell *c = &plan->cells[i];
        if (!dd_cell_computes(c)) continue;
        dynamic = dynamic || c->rows != DD_ROWS_ALL || c->units != dd_units_all(plan->site_units[i % plan->n_sites]);
    }
    for (size_t i = 0; i < sizeof policies / sizeof *policies && dynamic; i++)
        if (strlen(policies[i].name) == n && strncmp(policies[i].name, policy, n) == 0) return policies[i].dynamic;
    return NULL;
}
