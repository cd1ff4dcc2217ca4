/* SPDX-License-Identifier: MIT
 * Formula: out = softmax(q kT / sqrt(E)) v for every row and active head.
 * Layout: qkv rows [a, 3, E], out rows [a, E], both compact. Threads: the (row, head) pairs. Budget: none; the softmax
 * is the one-pass form with a running maximum, since kernels have no memory for the scores.
 * Preconditions: ldq >= a ld_head, ldo >= aE. Precision: double; out is rounded once. */
#include <math.h>

#include "kernels/ref/check.h"
#include "kernels/ref/ref.h"
#include "kernels/ref/ref_format.h"

#define MAX_E 128

typedef struct job {
    const dd_attention_args *a;
    int64_t heads; /* active */
} job;

static void query(const dd_attention_args *g, int64_t heads, int64_t row, int64_t head, int64_t i)
{
    const int64_t e = g->e, first = row * g->s;
    const int64_t at = head * g->ld_head; /* q, then k, then v */
    double acc[MAX_E] = {0}, max = -HUGE_VAL, sum = 0;
    for (int64_t j = 0; j < g->s; j++) {
        double score = 0;
        for (int64_t x = 0; x < e; x++)
            score += (double)dd_ref_load(g->qkv, g->qkv_format, g->ldq, first + i, at + x) *
                     dd_ref_load(g->qkv, g->qkv_format, g->ldq, first + j, at + e + x);
        score /= sqrt((double)e);
        const double m = score > max ? score : max, old = max == m ? 1 : exp(max - m), p = exp(score - m);
        max = m;
        sum = sum * old + p;
        for (int64_t x = 0; x < e; x++)
            acc[x] = acc[x] * old + p * dd_ref_load(g->qkv, g->qkv_format, g->ldq, first + j, at + 2 * e + x);
    }
    for (int64_t x = 0; x < e; x++) dd_ref_store(g->out, g->out_format, g->ldo, first + i, head * e + x, acc[x] / sum);
    if (head == heads - 1) dd_ref_finish_row(g->out, g->out_format, g->ldo, first + i, heads * e);
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
    if (!dd_slices_ok(list, width, 3 * (int64_t)args->e)) return DD_ERR_ARG;
    const int64_t active = dd_slices_width(list, width);
    if (active % (3 * args->e) != 0 || args->ld_head < 3 * args->e) return DD_ERR_ARG;
    job j = {.a = args, .heads = active / (3 * args->e)};
    if (args->qkv_format == DD_FMT_BF16_BLOCKS || args->ldq < j.heads * args->ld_head) return DD_ERR_ARG;
    if (!dd_format_ok(args->out_format, args->ldo, active / 3)) return DD_ERR_ARG;
    const int64_t items = args->r * j.heads;
    if (items > INT32_MAX) return DD_ERR_ARG;
    if (exec->parallel_for != NULL) {
        exec->parallel_for(exec->pool, (int)items, attention_head, &j);
    } else {
        for (int i = 0; i < (int)items; i++) attention_head(&j, i, 0);
    }
    return DD_OK;
}
