/* SPDX-License-Identifier: MIT
 * Splits the text of a policy in place; every complaint names the policy. */
#include "host/plan/policy_values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static dd_status add_value(dd_policy_values *v, char *part, dd_err *err)
{
    char *eq = strchr(part, '=');
    if (!eq || eq == part || !eq[1])
        return DD_FAIL(err, DD_ERR_ARG, "policy %.40s: '%.80s' is not KEY=VALUE", v->name, part);
    *eq = '\0';
    const char *colon = strchr(part, ':');
    if (colon)
        return DD_FAIL(err, DD_ERR_ARG, "policies %.40s and %.*s exclude each other: one decides what is reused",
                       v->name, colon - part < 40 ? (int)(colon - part) : 40, part);
    for (int i = 0; i < v->n; i++)
        if (strcmp(v->at[i].key, part) == 0)
            return DD_FAIL(err, DD_ERR_ARG, "policy %.40s: %.40s is given twice", v->name, part);
    if (v->n == DD_POLICY_MAX_VALUES)
        return DD_FAIL(err, DD_ERR_ARG, "policy %.40s: more than %d values", v->name, DD_POLICY_MAX_VALUES);
    v->at[v->n].key = part;
    v->at[v->n].value = eq + 1;
    v->at[v->n++].asked = 0;
    return DD_OK;
}

dd_status dd_policy_values_parse(dd_policy_values *out, const char *text, dd_err *err)
{
    const size_t n = strlen(text);
    out->n = 0;
    if (n >= sizeof out->text)
        return DD_FAIL(err, DD_ERR_ARG, "policy '%.40s...' is longer than %d characters", text, DD_POLICY_MAX_TEXT - 1);
    memcpy(out->text, text, n + 1);
    out->name = out->text;
    char *part = strchr(out->text, ':');
    if (!part) return DD_OK;
    *part++ = '\0';
    while (part) {
        char *comma = strchr(part, ',');
        if (comma) *comma = '\0';
        DD_TRY(add_value(out, part, err));
        part = comma ? comma + 1 : NULL;
    }
    return DD_OK;
}

const char *dd_policy_value(dd_policy_values *v, const char *key)
{
    for (int i = 0; i < v->n; i++) {
        if (strcmp(v->at[i].key, key) != 0) continue;
        v->at[i].asked = 1;
        return v->at[i].value;
    }
    return NULL;
}

dd_status dd_policy_value_text(dd_policy_values *v, const char *key, const char **out, dd_err *err)
{
    *out = dd_policy_value(v, key);
    return *out ? DD_OK : DD_FAIL(err, DD_ERR_ARG, "policy %.40s needs %s=", v->name, key);
}

dd_status dd_policy_value_int(dd_policy_values *v, const char *key, int lo, int hi, int *out, dd_err *err)
{
    const char *text;
    char *end;
    DD_TRY(dd_policy_value_text(v, key, &text, err));
    errno = 0;
    const long n = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || n < lo || n > hi)
        return DD_FAIL(err, DD_ERR_ARG, "policy %.40s: %s '%.40s' is no whole number from %d to %d", v->name, key, text,
                       lo, hi);
    *out = (int)n;
    return DD_OK;
}

dd_status dd_policy_value_number(dd_policy_values *v, const char *key, double lo, double hi, double *out, dd_err *err)
{
    const char *text;
    char *end;
    DD_TRY(dd_policy_value_text(v, key, &text, err));
    *out = strtod(text, &end);
    if (end == text || *end || !(*out >= lo && *out <= hi))
        return DD_FAIL(err, DD_ERR_ARG, "policy %.40s: %s '%.40s' is no number from %g to %g", v->name, key, text, lo,
                       hi);
    return DD_OK;
}

dd_status dd_policy_values_done(const dd_policy_values *v, dd_err *err)
{
    for (int i = 0; i < v->n; i++)
        if (!v->at[i].asked)
            return DD_FAIL(err, DD_ERR_ARG, "policy %.40s has no value '%.40s'", v->name, v->at[i].key);
    return DD_OK;
}
