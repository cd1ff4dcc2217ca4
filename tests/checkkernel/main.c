/* SPDX-License-Identifier: MIT
 * checkkernel: tests and times every op of every backend. README.md beside this file explains it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/checkkernel/options.h"

typedef struct tally {
    int passed, failed, skipped, mistrusted;
    double over_bound, over_naive;
    const char *why; /* of the skipped ones */
} tally;

static int list_cases(const ck_options *o)
{
    int n = 0;
    for (int op = 0; op < DD_OP_COUNT; op++) {
        if (!ck_wanted(o->op, ck_op_name((dd_op_id)op))) continue;
        ck_list l = ck_cases(o, ck_ops[op]);
        for (int i = 0; i < l.n; i++) printf("%s %s\n", ck_op_name((dd_op_id)op), l.entries[i].name);
        n += l.n;
        ck_list_free(&l);
    }
    return n ? 0 : 1;
}

static void print_outcome(const ck_options *o, const ck_case *c, const ck_impl *impl, const ck_result *r)
{
    static const char *const names[] = {"PASS", "FAIL", "SKIP", "MISTRUST"};
    const char *op = ck_op_name(c->op->id);
    if ((r->outcome == CK_PASS || r->outcome == CK_SKIP) && !o->verbose) return;
    printf("%-8s %s %s %s", names[r->outcome], op, impl->name, c->name);
    if (r->outcome == CK_PASS) printf(": %.3f of the bound, %.2f of naive\n", r->over_bound, r->over_naive);
    else printf(": %s%s%s\n", r->check ? r->check : "", r->check ? ": " : "", r->why);
    if (r->outcome == CK_FAIL || r->outcome == CK_MISTRUST)
        printf("  checkkernel --op=%s --impl=%s --case='%s' --seed=%llu\n", op, impl->name, c->name,
               (unsigned long long)o->seed);
}

static void count(tally *t, const ck_result *r)
{
    switch (r->outcome) {
    case CK_PASS: t->passed++; break;
    case CK_FAIL: t->failed++; break;
    case CK_SKIP: t->skipped++; break;
    case CK_MISTRUST: t->mistrusted++; break;
    }
    if (r->over_bound > t->over_bound) t->over_bound = r->over_bound;
    if (r->over_naive > t->over_naive) t->over_naive = r->over_naive;
}

static void check_op(const ck_options *o, const ck_op *op, const ck_impl *impls, int n_impls, ck_exec *execs,
                     tally *tallies)
{
    ck_list l = ck_cases(o, op);
    for (int i = 0; i < l.n; i++) {
        ck_case c = {.name = NULL};
        for (int k = 0; k < n_impls; k++) {
            const ck_impl *impl = &impls[k];
            if (impl->missing || !ck_wanted(o->impl, impl->name)) continue;
            const char *why = op->unsupported ? op->unsupported(impl, l.entries[i].params) : NULL;
            ck_result r = {.outcome = CK_SKIP};
            if (why == NULL && o->most && op->least_work && op->least_work(l.entries[i].params) > o->most)
                why = "too large";
            if (why == NULL) {
                if (c.name == NULL) ck_case_open(&c, op, &l.entries[i], o->seed);
                if (o->most && ck_case_work(&c) > o->most) why = "too large";
            }
            if (why == NULL) {
                r = ck_verify(&c, impl, execs);
                print_outcome(o, &c, impl, &r);
                if (r.outcome == CK_SKIP) why = "left to another one";
            }
            if (why) tallies[k].why = why;
            count(&tallies[k], &r);
        }
        if (c.name) ck_case_close(&c);
    }
    ck_list_free(&l);
}

static void print_tally(const char *op, const ck_impl *impl, const tally *t)
{
    printf("%-12s %-16s %5d passed", op, impl->name, t->passed);
    if (t->failed) printf(", %d failed", t->failed);
    if (t->mistrusted) printf(", %d mistrusted", t->mistrusted);
    if (t->skipped) printf(", %d skipped (%s)", t->skipped, t->why);
    if (t->over_bound > 0) printf(", at most %.3f of the bound", t->over_bound);
    if (t->over_naive > 0) printf(", %.2f x naive", t->over_naive);
    printf("\n");
}

int ck_run_checks(const ck_options *o)
{
    int n_impls, named = 0, available = 0, passed = 0, failed = 0, skipped = 0;
    const ck_impl *impls = ck_impls(&n_impls);
    ck_exec execs[CK_EXECS];
    printf("seed %llu, %s cases\n", (unsigned long long)o->seed, o->level == CK_FULL ? "all" : "quick");
    for (int k = 0; k < n_impls; k++) {
        if (!ck_wanted(o->impl, impls[k].name)) continue;
        named++;
        available += impls[k].missing == NULL;
        if (impls[k].emulated && !impls[k].missing) printf("%s is emulated\n", impls[k].name);
        if (impls[k].missing) printf("SKIP     all of %s: %s\n", impls[k].name, impls[k].missing);
    }
    if (named && !available) return 77;
    for (int t = 0; t < CK_EXECS; t++) ck_exec_open(&execs[t], t);
    for (int op = 0; op < DD_OP_COUNT; op++) {
        const char *name = ck_op_name((dd_op_id)op);
        tally tallies[CK_MAX_IMPLS] = {{0}};
        if (!ck_wanted(o->op, name)) continue;
        check_op(o, ck_ops[op], impls, n_impls, execs, tallies);
        for (int k = 0; k < n_impls; k++) {
            const tally *t = &tallies[k];
            if (t->passed + t->failed + t->mistrusted + t->skipped > 0) print_tally(name, &impls[k], t);
            passed += t->passed;
            failed += t->failed + t->mistrusted;
            skipped += t->skipped;
        }
    }
    for (int t = 0; t < CK_EXECS; t++) ck_exec_close(&execs[t]);
    if (passed + failed == 0) printf("no case was run\n");
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0 || passed == 0;
}

static uint64_t seed_now;

/* A read or write far outside a buffer. The state of the program is unknown: one line, and out. */
static void __attribute__((unused)) memory_fault(int signal)
{
    printf("FAIL     %s %s %s: memory: signal %d, outside a buffer\n", ck_op_name(ck_now_op), ck_now_impl, ck_now_case,
           signal);
    printf("  checkkernel --op=%s --impl=%s --case='%s' --seed=%llu\n", ck_op_name(ck_now_op), ck_now_impl, ck_now_case,
           (unsigned long long)seed_now);
    printf("0 passed, 1 failed, 0 skipped\n");
    fflush(stdout);
    _Exit(1);
}

int main(int argc, char **argv)
{
    ck_options o;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!ck_options_parse(&o, argc, argv)) return 2;
    seed_now = o.seed;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    signal(SIGSEGV, memory_fault);
    signal(SIGBUS, memory_fault);
#endif
    switch (o.mode) {
    case CK_MODE_LIST: return list_cases(&o);
    case CK_MODE_MUTANTS: return ck_run_mutants(&o);
    case CK_MODE_BENCH: return ck_run_bench(&o);
    case CK_MODE_CHECK: break;
    }
    return ck_run_checks(&o);
}
