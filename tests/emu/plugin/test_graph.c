/* SPDX-License-Identifier: MIT
 * Recorded programs on the backend `emu`, through host/exec/backend.h. Prints `ok - NAME`, `not ok - NAME`.
 *     test_graph                        DYDIT_PLUGIN_PATH is the folder of libdydit-emu.so
 *     test_graph lost                   in a graph a kernel fails, in which the emulator leaves memory of its own behind
 *     test_graph fails NAME SENTENCE    EMU_FAIL=NAME:1: says SENTENCE, and the next attempt works */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/exec/plugin.h"

#define N 4 /* blocks of device memory that programs copy */

static int n_failed;

static void verdict(bool ok, const char *name, const dd_err *err)
{
    printf("%s - %s\n", ok ? "ok" : "not ok", name);
    if (!ok && err) printf("#   %s: %s\n", dd_status_name(err->status), err->text);
    n_failed += !ok;
}

typedef struct rig {
    dd_backend *be;
    float *block[N]; /* [1] on the device */
    dd_err err;
} rig;

static rig opened(void)
{
    rig r = {0};
    bool ok = dd_plugin_open(&r.be, "emu", 0, &r.err) == DD_OK;
    for (int i = 0; i < N && ok; i++) {
        void *p;
        ok = r.be->alloc(r.be, sizeof(float), &p, &r.err) == DD_OK;
        r.block[i] = p;
    }
    if (ok) return r;
    printf("not ok - the backend opens\n#   %s\n", r.err.text);
    exit(1);
}

static void closed(rig *r)
{
    for (int i = 0; i < N; i++) r->be->release(r->be, r->block[i]);
    dd_backend_close(&r->be);
}

static dd_op copy(const rig *r, int to, int from)
{
    dd_op op = {.id = DD_OP_copy, .site = -1, .label = "test.copy"};
    op.args.copy = (dd_copy_args){r->block[to], r->block[from], sizeof(float)};
    return op;
}

static bool put(rig *r, int i, float v) { return r->be->upload(r->be, r->block[i], &v, sizeof v, &r->err) == DD_OK; }

static bool holds(rig *r, int i, float want)
{
    float v = -1;
    return r->be->download(r->be, &v, r->block[i], sizeof v, &r->err) == DD_OK && v == want;
}

static bool runs(rig *r, const dd_program *p, int step) { return r->be->run(r->be, p, step, &r->err) == DD_OK; }

static bool records(rig *r, dd_program *p) { return r->be->record(r->be, p, &r->err) == DD_OK; }

static bool says(const rig *r, dd_status st, const char *part)
{
    return r->err.status == st && strstr(r->err.text, part) != NULL && !strchr(r->err.text, '\n');
}

/* ---- replay --------------------------------------------------------------------------------------------------- */

/* Values are those of the time of the run, and runs follow each other and the transfers between them. */
static void test_replay(void)
{
    rig r = opened();
    dd_op ops[2] = {copy(&r, 1, 0), copy(&r, 2, 1)};
    dd_program p = {.ops = ops, .n_ops = 2};
    bool ok = put(&r, 0, 1) && put(&r, 2, 0) && records(&r, &p) && p.recorded && p.n_nodes == 2;
    verdict(ok && holds(&r, 2, 0), "recording runs nothing", &r.err);
    for (int i = 0; i < 5; i++) ok = ok && put(&r, 0, (float)i + 10) && runs(&r, &p, i) && holds(&r, 2, (float)i + 10);
    for (int i = 0; i < 5; i++) ok = ok && put(&r, 0, (float)i + 20) && runs(&r, &p, i);
    verdict(ok && holds(&r, 2, 24), "a graph is replayed in order", &r.err);
    r.be->forget(r.be, &p);
    ok = !p.recorded && p.n_nodes == 0 && put(&r, 0, 7) && runs(&r, &p, 0) && holds(&r, 2, 7);
    verdict(ok, "what was forgotten runs op by op", &r.err);
    closed(&r);
}

/* Other programs in the memory of one that was recorded. */
static void test_reused_address(void)
{
    rig r = opened();
    dd_op op = copy(&r, 1, 0);
    dd_program p = {.ops = &op, .n_ops = 1};
    bool ok = put(&r, 0, 1) && put(&r, 3, 3) && records(&r, &p) && runs(&r, &p, 0) && holds(&r, 1, 1);
    const dd_program first = p;
    op = copy(&r, 2, 3);
    p = (dd_program){.ops = &op, .n_ops = 1};
    ok = ok && put(&r, 1, 0) && put(&r, 2, 0) && runs(&r, &p, 0);
    verdict(ok && holds(&r, 2, 3) && holds(&r, 1, 0), "a program at the same address is not replayed", &r.err);
    ok = put(&r, 2, 0) && records(&r, &p) && runs(&r, &p, 0);
    verdict(ok && holds(&r, 2, 3) && holds(&r, 1, 0), "recorded, it is its own graph", &r.err);
    ok = put(&r, 2, 0) && runs(&r, &first, 0);
    verdict(ok && holds(&r, 1, 1) && holds(&r, 2, 0), "and the first one is still the first", &r.err);
    dd_program old = first;
    r.be->forget(r.be, &old);
    r.be->forget(r.be, &p);
    closed(&r);
}

/* A table that the op looks up by the step: guide has none, cond reads temb [steps, D]. */
static void test_step(void)
{
    rig r = opened();
    enum { STEPS = 3, D = 64 };
    float temb[STEPS][D], emb[D] = {0}, want[D], got[STEPS][D];
    void *d_temb = NULL, *d_emb = NULL, *d_label = NULL, *d_c = NULL;
    for (int i = 0; i < STEPS * D; i++) temb[i / D][i % D] = (float)i * 0.01f;
    bool ok = r.be->alloc(r.be, sizeof temb, &d_temb, &r.err) == DD_OK &&
              r.be->alloc(r.be, sizeof emb, &d_emb, &r.err) == DD_OK &&
              r.be->alloc(r.be, sizeof(int32_t), &d_label, &r.err) == DD_OK &&
              r.be->alloc(r.be, sizeof want, &d_c, &r.err) == DD_OK &&
              r.be->upload(r.be, d_temb, temb, sizeof temb, &r.err) == DD_OK;
    dd_op op = {.id = DD_OP_cond, .site = -1, .label = "test.cond"};
    op.args.cond = (dd_cond_args){.temb = d_temb,
                                  .emb = d_emb,
                                  .labels = d_label,
                                  .c = d_c,
                                  .ldc = D,
                                  .slots = 1,
                                  .steps = STEPS,
                                  .n_cond = 1,
                                  .d = D};
    dd_program p = {.ops = &op, .n_ops = 1};
    ok = ok && records(&r, &p);
    for (int recorded = 0; recorded < 2 && ok; recorded++)
        for (int k = STEPS - 1; k >= 0 && ok; k--) {
            dd_program as = p;
            if (!recorded) as.recorded = NULL;
            ok = runs(&r, &as, k) && r.be->download(r.be, recorded ? want : got[k], d_c, sizeof want, &r.err) == DD_OK;
            if (recorded) ok = ok && memcmp(want, got[k], sizeof want) == 0;
        }
    ok = ok && memcmp(got[0], got[1], sizeof want) != 0 && memcmp(got[1], got[2], sizeof want) != 0;
    verdict(ok, "a replay sees its step", &r.err);
    r.be->forget(r.be, &p);
    void *const blocks[] = {d_temb, d_emb, d_label, d_c};
    for (int i = 0; i < 4; i++) r.be->release(r.be, blocks[i]);
    closed(&r);
}

/* ---- errors --------------------------------------------------------------------------------------------------- */

static void test_refused(void)
{
    rig r = opened();
    dd_op ops[2] = {copy(&r, 1, 0), {.id = DD_OP_guide, .site = -1, .label = "test.guide"}};
    dd_program p = {.ops = ops, .n_ops = 2};
    bool ok = r.be->record(r.be, &p, &r.err) == DD_ERR_INTERNAL && !p.recorded;
    verdict(ok && says(&r, DD_ERR_INTERNAL, "op test.guide (guide) refused its arguments on backend emu"),
            "an op that refuses is named", &r.err);
    dd_err_clear(&r.err);
    p.n_ops = 1;
    ok = r.be->sync(r.be, &r.err) == DD_OK && put(&r, 0, 5) && records(&r, &p) && runs(&r, &p, 0) && holds(&r, 1, 5);
    verdict(ok, "the capture has ended: the next program is recorded", &r.err);
    r.be->forget(r.be, &p);
    closed(&r);
}

/* A kernel of a graph that follows a pointer of the host; the graph goes with its context. */
static void test_lost(void)
{
    rig r = opened();
    float value = 1;
    dd_op op = {.id = DD_OP_guide, .site = -1, .label = "test.guide"}, later = copy(&r, 1, 0);
    op.args.guide = (dd_guide_args){.out = &value, .scale = 2, .b = 1, .co = 1, .channels = 1, .size = 1};
    dd_program p = {.ops = &op, .n_ops = 1}, q = {.ops = &later, .n_ops = 1};
    bool ok = records(&r, &p) && runs(&r, &p, 0) && r.be->sync(r.be, &r.err) == DD_ERR_DEVICE;
    verdict(ok && says(&r, DD_ERR_DEVICE, "illegal memory access"), "an illegal access is reported by the wait",
            &r.err);
    const dd_err first = r.err;
    dd_err_clear(&r.err);
    ok = r.be->run(r.be, &p, 1, &r.err) == DD_ERR_DEVICE && strcmp(first.text, r.err.text) == 0;
    dd_err_clear(&r.err);
    ok = ok && r.be->record(r.be, &q, &r.err) == DD_ERR_DEVICE && strcmp(first.text, r.err.text) == 0 && !q.recorded;
    verdict(ok, "every later call says the same", &r.err);
    r.be->forget(r.be, &p);
    verdict(!p.recorded, "a graph of a lost device is forgotten", NULL);
    closed(&r);
    test_replay();
}

/* EMU_FAIL makes the first call of NAME fail, which is part of a recording, or of a replay. */
static void test_fails(const char *name, const char *sentence)
{
    rig r = opened();
    dd_op ops[2] = {copy(&r, 1, 0), copy(&r, 2, 1)};
    dd_program p = {.ops = ops, .n_ops = 2};
    const bool replay = strcmp(name, "cudaGraphLaunch") == 0;
    const dd_status want = strcmp(name, "cudaGraphInstantiate") == 0 ? DD_ERR_NOMEM : DD_ERR_DEVICE;
    bool ok = records(&r, &p) == replay && !(replay && runs(&r, &p, 0));
    verdict(ok && says(&r, want, sentence), name, &r.err);
    verdict(replay == (p.recorded != NULL), "nothing half recorded is left", NULL);
    dd_err_clear(&r.err);
    ok = (replay || records(&r, &p)) && put(&r, 0, 9) && runs(&r, &p, 0) && holds(&r, 2, 9);
    verdict(ok, "the next attempt works", &r.err);
    r.be->forget(r.be, &p);
    closed(&r);
}

int main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "fails") == 0) {
        test_fails(argv[2], argv[3]);
        return n_failed != 0;
    }
    if (argc > 1 && strcmp(argv[1], "lost") == 0) {
        test_lost();
        return n_failed != 0;
    }
    test_replay();
    test_reused_address();
    test_step();
    test_refused();
    return n_failed != 0;
}
