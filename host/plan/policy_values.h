/* SPDX-License-Identifier: MIT
 * The text of a policy, NAME:KEY=VALUE,KEY=VALUE, taken apart. Values have no commas. */
#ifndef DD_HOST_PLAN_POLICY_VALUES_H
#define DD_HOST_PLAN_POLICY_VALUES_H

#include "host/base/status.h"

#define DD_POLICY_MAX_VALUES 8
#define DD_POLICY_MAX_TEXT 4096 /* with the terminating 0 */

typedef struct dd_policy_values {
    char text[DD_POLICY_MAX_TEXT]; /* what name, key and value point into */
    const char *name;
    struct {
        const char *key, *value;
        int asked;
    } at[DD_POLICY_MAX_VALUES];
    int n;
} dd_policy_values;

/* ERR_ARG: text too long, a part without '=', a key twice. */
dd_status dd_policy_values_parse(dd_policy_values *out, const char *text, dd_err *err);

/* The value of a key; NULL: it was not given. */
const char *dd_policy_value(dd_policy_values *v, const char *key);

/* A key that must be there. ERR_ARG names policy and key. */
dd_status dd_policy_value_text(dd_policy_values *v, const char *key, const char **out, dd_err *err);
dd_status dd_policy_value_int(dd_policy_values *v, const char *key, int lo, int hi, int *out, dd_err *err);
dd_status dd_policy_value_number(dd_policy_values *v, const char *key, double lo, double hi, double *out, dd_err *err);

/* ERR_ARG names a key that nobody asked for. */
dd_status dd_policy_values_done(const dd_policy_values *v, dd_err *err);

#endif
