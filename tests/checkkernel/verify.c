/* SPDX-License-Identifier: MIT
 * Runs one case on one implementation: without a pool, again, on 1, 2 and 3 threads, then its variants. Around every run
 * stand the checks of status, guards, inputs and scratch; the first run is compared with the expectation, each further
 * one with the first, bit for bit. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/checkkernel/check.h"

const char *ck_now_case, *ck_now_impl;
dd_op_id ck_now_op;

typedef struct job {
    ck_case *c;
    const ck_impl *impl;
    ck_exec *execs;
    const dd_packed *w;
    size_t scratch;
    ck_result result;
} job;

static bool __attribute__((format(printf, 3, 4))) fail(job *j, const char *check, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    j->result.outcome = CK_FAIL;
    j->result.check = check;
    vsnprintf(j->result.why, sizeof j->result.why, fmt, args);
    va_end(args);
    return false;
}

/* One run, with everything that does not depend on what is expected. */
static bool run(job *j, const dd_op_args *args, int exec, const char *what)
{
    ck_case *c = j->c;
    dd_op_args a = *args;
    ck_exec *e = &j->execs[exec];
    for (int i = 0; i < c->n_tensors; i++) ck_tensor_restore(&c->tensors[i]);
    ck_exec_prepare(e, j->scratch, c->step);
    if (c->op->bind) c->op->bind(&a, j->w);
    const dd_status st = j->impl->call ? j->impl->call(c, &e->exec, &a)
                                       : ck_call(j->impl->ops, c->op->id, &e->exec, &a);
    if (st == DD_ERR_UNSUPPORTED && j->impl->partial) {
        j->result.outcome = CK_SKIP;
        snprintf(j->result.why, sizeof j->result.why, "left to another one");
        return false;
    }
    if (st != DD_OK) return fail(j, "status", "%s: %s", what, ck_status_name(st));
    for (int i = 0; i < c->n_tensors; i++) {
        const ck_tensor *t = &c->tensors[i];
        if (!ck_guards_hold(t)) return fail(j, "guard", "%s: wrote outside %s", what, t->name);
        if (!t->output && memcmp(t->p, t->initial, t->bytes) != 0)
            return fail(j, "input", "%s: changed its input %s", what, t->name);
    }
    if (!ck_exec_scratch_ok(e)) return fail(j, "scratch", "%s: wrote behind its scratch", what);
    const char *bad = c->op->post && args == &c->args ? c->op->post(c) : NULL;
    return bad ? fail(j, "value", "%s: %s", what, bad) : true;
}

static bool wrong_element(job *j, const ck_tensor *t, size_t i)
{
    static const char *const checks[] = {"kept", "value", "zero", "value", "value", "value"};
    const ck_expect *e = &t->expect[i];
    const double got = ck_value_at(t, t->p, i);
    if (e->kind == CK_KEEP) return fail(j, "kept", "%s[%zu] was written: %.9g", t->name, i, got);
    return fail(j, checks[e->kind], "%s[%zu] is %.9g, not %.9g: error %.3g, bound %.3g", t->name, i, got, e->want,
                fabs(got - e->want), e->bound);
}

static bool first_run(job *j)
{
    ck_case *c = j->c;
    size_t near = 0, zeros = 0;
    if (!run(j, &c->args, 0, "first run")) return false;
    for (int k = 0; k < c->n_tensors; k++) {
        ck_tensor *t = &c->tensors[k];
        if (!t->output) continue;
        double worst = 0, naive_worst = 0;
        for (size_t i = 0; i < t->n; i++) {
            if (!ck_element_ok(t, i)) return wrong_element(j, t, i);
            const ck_expect *e = &t->expect[i];
            if (e->kind != CK_NEAR || !dd_f32_finite((float)e->want)) continue;
            const double got = ck_value_at(t, t->p, i), err = fabs(got - e->want);
            near++;
            zeros += got == 0;
            worst = fmax(worst, err);
            if (dd_f32_finite(t->naive[i])) naive_worst = fmax(naive_worst, fabs((double)t->naive[i] - e->want));
            if (e->bound > 0 && t->dtype == DD_F32) j->result.over_bound = fmax(j->result.over_bound, err / e->bound);
        }
        if (naive_worst > 0) j->result.over_naive = fmax(j->result.over_naive, worst / naive_worst);
        memcpy(t->first, t->p, t->bytes);
    }
    if (near > 0 && zeros > near * 9 / 10 && !c->zeros_ok) {
        j->result.outcome = CK_MISTRUST;
        snprintf(j->result.why, sizeof j->result.why, "%zu of %zu results are zero", zeros, near);
    }
    return true;
}

static bool same_as_first(job *j, const char *check, const char *what)
{
    for (int k = 0; k < j->c->n_tensors; k++) {
        const ck_tensor *t = &j->c->tensors[k];
        if (!t->output) continue;
        for (size_t i = 0; i < t->n; i++)
            if (t->expect[i].kind != CK_FREE && ck_bits_at(t, t->p, i) != ck_bits_at(t, t->first, i))
                return fail(j, check, "%s: %s[%zu] is %.9g, at first %.9g", what, t->name, i, ck_value_at(t, t->p, i),
                            ck_value_at(t, t->first, i));
    }
    return true;
}

static bool variant_holds(job *j, const char *what)
{
    bool mapped = false;
    for (int k = 0; k < j->c->n_tensors; k++) {
        const ck_tensor *t = &j->c->tensors[k];
        if (!t->output) continue;
        for (size_t i = 0; i < t->n; i++) {
            const bool stays = mapped && !j->c->variant_map_all;
            const int64_t from = stays ? CK_UNTOUCHED : j->c->variant_map[i];
            if (from == CK_UNSEEN || (stays && t->expect[i].kind == CK_FREE)) continue;
            const uint32_t want = from == CK_UNTOUCHED ? ck_bits_at(t, t->initial, i)
                                                       : ck_bits_at(t, t->first, (size_t)from);
            if (ck_bits_at(t, t->p, i) != want)
                return fail(j, "subset", "%s: %s[%zu] is %.9g, in the whole %.9g", what, t->name, i,
                            ck_value_at(t, t->p, i),
                            ck_value_at(t, from < 0 ? t->initial : t->first, (size_t)(from < 0 ? (int64_t)i : from)));
        }
        mapped = true;
    }
    return true;
}

static bool all_runs(job *j)
{
    char what[64];
    if (!first_run(j)) return false;
    if (!run(j, &j->c->args, 0, "second run") || !same_as_first(j, "repeat", "second run")) return false;
    for (int t = 1; t < (j->impl->call ? 1 : CK_EXECS); t++) {
        snprintf(what, sizeof what, "%d thread%s", t, t > 1 ? "s" : "");
        if (!run(j, &j->c->args, t, what) || !same_as_first(j, "threads", what)) return false;
    }
    for (int v = 0; !j->impl->order_by_shape && j->c->op->variant && j->c->op->variant(j->c, v); v++) {
        snprintf(what, sizeof what, "variant %d", v);
        if (!run(j, &j->c->variant_args, v % CK_EXECS, what) || !variant_holds(j, what)) return false;
    }
    return true;
}

ck_result ck_verify(ck_case *c, const ck_impl *impl, ck_exec *execs)
{
    job j = {.c = c, .impl = impl, .execs = execs, .result = {.outcome = CK_PASS}};
    void *storage = NULL;
    ck_now_case = c->name;
    ck_now_impl = impl->name;
    ck_now_op = c->op->id;
    j.scratch = impl->scratch_bytes(impl, c->tokens, c->head_dim, c->hidden);
    if (c->weight.desc.n) {
        dd_packed *w = NULL;
        const size_t bytes = impl->packed_bytes(impl, &c->weight.desc);
        storage = ck_alloc(bytes + 64);
        memset((char *)storage + bytes, 0xd9, 64);
        const dd_status st = impl->pack(impl, &c->weight.desc, storage, &w);
        if (st != DD_OK || bytes == 0) fail(&j, "status", "pack: %s", ck_status_name(st));
        for (int i = 0; i < 64; i++)
            if (((unsigned char *)storage)[bytes + (size_t)i] != 0xd9)
                fail(&j, "guard", "pack wrote behind its storage");
        j.w = w;
    }
    if (j.result.outcome == CK_PASS) (void)all_runs(&j);
    if (impl->release) impl->release();
    free(storage);
    return j.result;
}
