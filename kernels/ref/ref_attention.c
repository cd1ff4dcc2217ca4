/* SPDX-License-Identifier: MIT
 * Formula: out = softmax(q kT / sqrt(E)) v for every row and active head.
 * Layout: qkv rows [3, a, E], out rows [a, E], both compact. Threads: the (row, head) pairs. Budget: none; the softmax
 * is the one-pass form with a running maximum, since kernels have no memory for the scores.
 * Preconditions: ldq >= 3aE, ldo >= aE. Precision: double; out is rounded once. */
#include <math.h>

#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"

#define MAX_E 128

typedef struct job {
    const dd_attention_args *a;
    int64_t heads; /* active */
} job;

static void query(const dd_attention_args *g, int64_t heads, int64_t row, int64_t head, int64_t i)
{
    const int64_t e = g->e, first = row * g->s;
    const float *q = g->qkv + (first + i) * g->ldq + head * e;
    double acc[MAX_E] = {0}, max = -HUGE_VAL, sum = 0;
    for (int64_t j = 0; j < g->s; j++) {
        const float *k = g->qkv + (first + j) * g->ldq + (heads + head) * e, *v = k + heads * e;
        double score = 0;
        for (int64_t x = 0; x < e; x++) score += (double)q[x] * k[x];
        score /= sqrt((double)e);
        const double m = score > max ? score : max, old = max == m ? 1 : exp(max - m), p = exp(score - m);
        max = m;
        sum = sum * old + p;
        for (int64_t x = 0; x < e; x++) acc[x] = acc[x] * old + p * v[x];
    }
    float *out = g->out + (first + i) * g->ldo + head * e;
    for (int64_t x = 0; x < e; x++) out[x] = (float)(acc[x] / sum);
}

static void attention_head(void *arg, int item, int thread)
{
    (void)thread;
    const job *j = arg;
    for (int64_t i = 0; i < j->a->s; i++) query(j->a, j->heads, item / j->heads, item % j->heads, i);
}

dd_status dd_ref_attention(const dd_exec *exec, const dd_attention_args *args)
{
    if (!dd_exec_ok(exec) || args == NULL || args->qkv == NULL || args->out == NULL) return DD_ERR_ARG;
    if (args->r <= 0 || args->s <= 0 || args->h <= 0 || args->h > DD_MAX_UNITS) return DD_ERR_ARG;
    if (args->e <= 0 || args->e > MAX_E || args->e % DD_CHUNK != 0) return DD_ERR_ARG;
    const int64_t width = 3 * (int64_t)args->h * args->e;
    const int32_t *list = dd_slices_at(args->heads, *exec->step);
    if (!dd_slices_ok(list, width, args->e)) return DD_ERR_ARG;
    const int64_t active = dd_slices_width(list, width);
    if (active % (3 * args->e) != 0 || args->ldq < active || args->ldo < active / 3) return DD_ERR_ARG;
    job j = {.a = args, .heads = active / (3 * args->e)};
    const int64_t items = args->r * j.heads;
    if (items > INT32_MAX) return DD_ERR_ARG;
    if (exec->parallel_for != NULL) {
        exec->parallel_for(exec->pool, (int)items, attention_head, &j);
    } else {
        for (int i = 0; i < (int)items; i++) attention_head(&j, i, 0);
    }
    return DD_OK;
}
