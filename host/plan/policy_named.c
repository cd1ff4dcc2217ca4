/* SPDX-License-Identifier: MIT
 * Policies as users write them: NAME:KEY=VALUE. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/plan/policy.h"

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

dd_status dd_policy_named(dd_plan *plan, const dd_model *m, const char *policy, const char *tokens, dd_err *err)
{
    static const char fora[] = "fora:interval=";
    dd_reuse_tokens reuse;
    char *end;
    DD_TRY(parse_tokens(&reuse, tokens, err));
    if (!*policy) {
        if (*tokens) return DD_FAIL(err, DD_ERR_ARG, "reuse-tokens %.40s without a policy: nothing is reused", tokens);
        return DD_OK;
    }
    if (strncmp(policy, fora, sizeof fora - 1) != 0)
        return DD_FAIL(err, DD_ERR_ARG, "policy '%.60s' is not known: fora:interval=N", policy);
    const char *number = policy + sizeof fora - 1;
    errno = 0;
    const long interval = strtol(number, &end, 10);
    if (*number < '0' || *number > '9' || *end || errno || interval < 1 || interval > DD_PLAN_MAX_STEPS)
        return DD_FAIL(err, DD_ERR_ARG, "policy fora: interval '%.40s' is no whole number from 1 to %d", number,
                       DD_PLAN_MAX_STEPS);
    if (reuse != DD_REUSE_FROZEN && m->n_routers == 0)
        return DD_FAIL(err, DD_ERR_ARG, "reuse-tokens %s: %s has no token routers", tokens, m->cfg.arch);
    return dd_policy_fora(plan, m, (int)interval, reuse, err);
}
