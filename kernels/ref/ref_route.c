/* SPDX-License-Identifier: MIT
 * Formula: logit = w2 . ReLU(W1 x + b1) + b2 per token; a token is kept where dd_logit_on.
 * Layout: x [R*S,D]; idx ascending, *count entries. Threads: one. Budget: none.
 * Preconditions: J and D of the weight agree with the arguments.
 * Precision: double, the logit rounded to float32 before the decision, so that the threshold means the same
 * everywhere. */
#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_pack.h"

static float logit_of(const dd_route_args *a, const float *x)
{
    double logit = 0;
    for (int64_t j = 0; j < a->j; j++) {
        const float *w = a->w1->data + j * a->d;
        double h = 0;
        for (int64_t k = 0; k < a->d; k++) h += (double)x[k] * w[k];
        h += a->b1[j];
        if (!(h <= 0)) logit += a->w2[j] * h; /* NaN goes through */
    }
    return (float)(logit + a->b2[0]);
}

dd_status dd_ref_route(const dd_exec *exec, const dd_route_args *args)
{
    if (!dd_exec_ok(exec) || args == NULL || args->idx == NULL || args->count == NULL || args->mask == NULL)
        return DD_ERR_ARG;
    if (args->r <= 0 || args->s <= 0 || (int64_t)args->r * args->s > INT32_MAX) return DD_ERR_ARG;
    if (args->forced == NULL) {
        if (!dd_ref_packed_ok(args->w1) || args->w1->n != args->j || args->w1->k != args->d) return DD_ERR_ARG;
        if (args->x == NULL || args->b1 == NULL || args->w2 == NULL || args->b2 == NULL) return DD_ERR_ARG;
    }
    int32_t n = 0;
    for (int32_t i = 0; i < args->r * args->s; i++) {
        const int on = args->forced ? args->forced[i] != 0
                                    : dd_logit_on(logit_of(args, args->x + (int64_t)i * args->d));
        args->mask[i] = (uint8_t)on;
        if (args->hits) args->hits[i] += on;
        if (on) args->idx[n++] = i;
    }
    *args->count = n;
    if (args->kept) args->kept[*exec->step] = n;
    return DD_OK;
}
