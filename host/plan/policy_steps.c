/* SPDX-License-Identifier: MIT
 * Schedules over the steps of a run. */
#include "host/plan/policy_steps.h"

#include <string.h>

#include "host/plan/plan.h"

static bool number(const char **text, int *out)
{
    int n = 0;
    if (**text < '0' || **text > '9') return false;
    for (; **text >= '0' && **text <= '9'; ++*text)
        if ((n = 10 * n + (**text - '0')) > 99999) return false;
    *out = n;
    return true;
}

bool dd_policy_range(const char **text, int *first, int *last)
{
    if (!number(text, first)) return false;
    *last = *first;
    if (**text != '-') return true;
    ++*text;
    return number(text, last) && *last >= *first;
}

static dd_status listed(bool *computes, int n_steps, const char *name, const char *list, dd_err *err)
{
    const char *at = list;
    int first, last;
    do {
        if (!dd_policy_range(&at, &first, &last) || (*at && *at != '+'))
            return DD_FAIL(err, DD_ERR_ARG,
                           "policy %.40s: schedule '%.80s' is none of uniform, start, end, and no list of steps such "
                           "as 0+7+14-16",
                           name, list);
        if (last >= n_steps)
            return DD_FAIL(err, DD_ERR_ARG, "policy %.40s: schedule '%.80s' names step %d, the last one is %d", name,
                           list, last, n_steps - 1);
        for (int s = first; s <= last; s++) computes[s] = true;
    } while (*at++);
    computes[0] = true;
    return DD_OK;
}

/* Step k of the n that compute, one of them at least behind `before`. */
static int dense_at_start(int k, int n, int n_steps, int before)
{
    const int step = (int)((int64_t)n_steps * k * k / ((int64_t)n * n));
    return step > before ? step : before + 1;
}

dd_status dd_policy_steps(bool *computes, int n_steps, dd_policy_values *v, dd_err *err)
{
    const char *schedule = dd_policy_value(v, "schedule");
    const bool start = schedule && strcmp(schedule, "start") == 0, end = schedule && strcmp(schedule, "end") == 0;
    int stride;
    memset(computes, 0, (size_t)n_steps * sizeof *computes);
    if (schedule && !start && !end && strcmp(schedule, "uniform") != 0) {
        if (dd_policy_value(v, "stride"))
            return DD_FAIL(err, DD_ERR_ARG, "policy %.40s: a schedule that lists its steps has no stride", v->name);
        return listed(computes, n_steps, v->name, schedule, err);
    }
    DD_TRY(dd_policy_value_int(v, "stride", 1, DD_PLAN_MAX_STEPS, &stride, err));
    const int n = (n_steps + stride - 1) / stride;
    for (int k = 0, step = -1; k < n; k++) {
        step = start || end ? dense_at_start(k, n, n_steps, step) : k * stride;
        computes[end && k > 0 ? n_steps - step : step] = true;
    }
    return DD_OK;
}
