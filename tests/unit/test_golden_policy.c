/* SPDX-License-Identifier: MIT
 * Plans that keep and reuse results, against the goldens on every backend: the op tables of FORA and Learning-to-Cache (from
 * files of routers), and every step of runs under these and under plan files with ops drawn at random, with and without
 * DyDiT's masks and depth-weighted averages. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/exec/sampler.h"
#include "tests/unit/exec_rig.h"
#include "tests/unit/scratch.h"

#include "support/golden.h"

#define DIT "tests/golden/policy_dit_d32_h2_p2.safetensors"
#define DYDIT "tests/golden/policy_dydit_d32_h2_p2.safetensors"
#define DENSE "tests/golden/denseformer_d32_h2_1x1.safetensors"
#define DENSE_PLANS "tests/golden/denseformer_plans.safetensors"
#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

/* Of the largest magnitude. The public code in float32 is up to 1.9e-6 and 1.4e-5 from the goldens. */
#define TOLERANCE_X 1e-5
#define TOLERANCE_OUT 5e-5

typedef struct policy_run {
    const char *file, *name, *steps;
    bool ddim;
    int interval;       /* of FORA; 0: another policy, by the metadata */
    const char *router; /* of Learning-to-Cache; NULL: written as JSON from the values of the run */
    dd_reuse_tokens tokens;
    int programs;
    float scale;
} policy_run;

/* Unless routers of other steps are asked, FORA has two programs: steps that compute, and steps that reuse. */
static const policy_run runs[] = {
    {DIT, "fora2", "10", false, 2, NULL, DD_REUSE_FROZEN, 2, 3},
    {DIT, "fora3", "10", false, 3, NULL, DD_REUSE_FROZEN, 2, 3},
    {DIT, "fora4", "10", true, 4, NULL, DD_REUSE_FROZEN, 2, 3},
    {DIT, "l2c1", "10", true, 0, NULL, DD_REUSE_FROZEN, 0, 3},
    {DIT, "l2c5", "10", true, 0, "tests/golden/torch_routers.pt", DD_REUSE_FROZEN, 0, 3},
    {DIT, "free", "8", false, 0, NULL, DD_REUSE_FROZEN, 0, 3},
    {DYDIT, "fora3", "10", false, 3, NULL, DD_REUSE_FROZEN, 2, 2},
    {DYDIT, "fora3_intersect", "10", false, 3, NULL, DD_REUSE_INTERSECT, 2, 2},
    {DYDIT, "fora3_fresh", "10", false, 3, NULL, DD_REUSE_FRESH, 3, 2},
    {DYDIT, "l2c5", "10", true, 0, NULL, DD_REUSE_FROZEN, 0, 2},
    {DYDIT, "free", "8", false, 0, NULL, DD_REUSE_FROZEN, 0, 2},
    {DENSE, "dense", "8", true, 0, NULL, DD_REUSE_FROZEN, 1, 2},
    {DENSE, "fora2", "8", false, 2, NULL, DD_REUSE_FROZEN, 2, 2},
    {DENSE_PLANS, "fora3_intersect", "10", true, 3, NULL, DD_REUSE_INTERSECT, 2, 2},
    {DENSE_PLANS, "fora3_fresh", "10", true, 3, NULL, DD_REUSE_FRESH, 3, 2},
    {DENSE_PLANS, "free", "10", true, 0, NULL, DD_REUSE_FROZEN, 0, 2},
};

static float *values(const golden *g, const policy_run *run, const char *what, size_t *n)
{
    char name[64];
    snprintf(name, sizeof name, "golden.%s.%s", run->name, what);
    return golden_values(g, name, n);
}

static void near_values(const golden *g, const policy_run *run, const char *what, const float *got, size_t n,
                        double tolerance)
{
    char name[64];
    snprintf(name, sizeof name, "golden.%s.%s", run->name, what);
    golden_near_values(g, name, got, n, tolerance);
}

static const char *write_file(const char *name, char *text)
{
    const char *path = scratch(name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    free(text);
    return path;
}

/* The ops of the golden over DyDiT's cells, as a plan file that is read back. Frozen: reuse asks no router. */
static void take_ops(rig *r, const float *ops)
{
    char *text = NULL;
    for (int i = 0; i < r->plan->n_steps * r->plan->n_sites; i++) {
        dd_cell *c = &r->plan->cells[i];
        c->op = (uint8_t)ops[i];
        if (!dd_cell_computes(c)) c->rows = DD_ROWS_ALL, c->router = -1;
    }
    rig_must(r, dd_plan_to_json(r->plan, r->model, NULL, &text, &r->err));
    dd_plan_free(&r->plan);
    rig_must(r, dd_plan_read(&r->plan, r->model, NULL, write_file("plan.json", text), &r->err));
    r->spec.plan = r->plan;
}

/* The logits of a run as JSON. */
static const char *router_file(const golden *g, const policy_run *run, rig *r)
{
    size_t n;
    char *text = NULL;
    float *logits = values(g, run, "router", &n);
    const dd_router_table t = {.n_steps = r->plan->n_steps, .n_sites = r->plan->n_sites, .values = logits};
    assert_int_equal(n, t.n_steps * t.n_sites);
    rig_must(r, dd_router_to_json(&t, &text, &r->err));
    free(logits);
    return write_file("router.json", text);
}

static void same_ops(const rig *r, const float *ops)
{
    for (int i = 0; i < r->plan->n_steps * r->plan->n_sites; i++)
        if (r->plan->cells[i].op != (uint8_t)ops[i])
            fail_msg("step %d, site %d: %s, expected %s", i / r->plan->n_sites, i % r->plan->n_sites,
                     dd_cell_op_name(r->plan->cells[i].op), dd_cell_op_name((int)ops[i]));
}

/* Which step stored what a cell reads. */
static void same_sources(const golden *g, const policy_run *run, const rig *r)
{
    size_t n;
    float *want = values(g, run, "sources", &n);
    for (int i = 0; i < r->plan->n_sites; i++)
        for (int s = 0, stored = -1; s < r->plan->n_steps; s++) {
            const int op = dd_plan_cell(r->plan, s, i)->op, source = (int)want[s * r->plan->n_sites + i];
            const bool reads = !dd_cell_op_computes(op) && op != DD_CELL_SKIP;
            if (source != (reads ? stored : -1))
                fail_msg("%s: step %d, site %d: not of step %d", run->name, s, i, source);
            if (op == DD_CELL_COMPUTE_STORE) stored = s;
        }
    free(want);
}

/* By the method that the metadata names: "fora 3", "l2c 0.5" or "free". */
static void make_plan(const golden *g, const policy_run *run, rig *r, const float *ops)
{
    char key[64], policy[1200];
    double threshold;
    snprintf(key, sizeof key, "%s.plan", run->name);
    const char *method = dd_tensors_meta(g->file, key);
    if (run->interval) {
        rig_must(r, dd_policy_fora(r->plan, r->model, run->interval, run->tokens, &r->err));
    } else if (method && sscanf(method, "l2c %lf", &threshold) == 1) {
        snprintf(policy, sizeof policy, "l2c:router=%s,threshold=%g",
                 run->router ? run->router : router_file(g, run, r), threshold);
        rig_must(r, dd_policy_named(r->plan, r->model, policy, "", &r->err));
    } else {
        assert_true(!method || strcmp(method, "free") == 0 || strcmp(method, "dense") == 0);
        take_ops(r, ops);
    }
    same_ops(r, ops);
    same_sources(g, run, r);
}

/* Which units the cells run, against heads or groups [T,L,H] of the file; sites alternate. */
static void same_units(const golden *g, const policy_run *run, const rig *r, const char *what, int first)
{
    size_t n;
    float *want = values(g, run, what, &n);
    const int heads = r->model->cfg.num_heads, depth = r->model->cfg.depth;
    for (size_t i = 0; i < n; i++) {
        const int u = (int)i % heads, block = (int)i / heads % depth, step = (int)i / heads / depth;
        const dd_cell *c = dd_plan_cell(r->plan, step, 2 * block + first);
        const int on = dd_cell_computes(c) && c->units >> u & 1;
        if (on != (int)want[i]) fail_msg("%s, %s: step %d, block %d, unit %d", run->name, what, step, block, u);
    }
    free(want);
}

static rig open_run(const policy_run *run, const golden *g, const char *backend)
{
    rig r = rig_open(run->file, backend);
    static dd_schedule sch;
    size_t n;
    float *ops = values(g, run, "ops", &n);
    rig_plan(&r, run->steps, 0, 999, true);
    assert_int_equal(n, r.plan->n_steps * r.plan->n_sites);
    make_plan(g, run, &r, ops);
    if (r.model->cfg.dynamic) {
        same_units(g, run, &r, "heads", 0);
        same_units(g, run, &r, "groups", 1);
    }
    rig_must(&r, dd_schedule_build(&sch, run->steps, &r.err));
    r.spec.solver = run->ddim ? DD_SOLVER_DDIM : DD_SOLVER_DDPM;
    rig_must(&r, dd_solver_coefs(r.coefs, &sch, r.spec.solver, 0, r.model->cfg.learn_sigma, &r.err));
    r.spec.max_images = 2;
    r.spec.cfg_scale = run->scale;
    r.spec.coefs = r.coefs;
    rig_weights(&r);
    free(ops);
    return r;
}

/* `golden.RUN.y` as labels. */
static void labels_of(const golden *g, const policy_run *run, int labels[2])
{
    size_t n;
    float *y = values(g, run, "y", &n);
    assert_int_equal(n, 2);
    for (int i = 0; i < 2; i++) labels[i] = (int)y[i];
    free(y);
}

/* Step by step: the guided output of the conditional rows, and the latents. */
static void every_step(const policy_run *run, const golden *g, rig *r)
{
    int labels[2];
    size_t n, latents = 2 * (size_t)r->model->cfg.latent_count;
    const size_t steps = (size_t)r->plan->n_steps, outs = 2 * latents;
    float *start = values(g, run, "start", &n), *noise = run->ddim ? NULL : values(g, run, "noise", &n);
    float *x = calloc(steps * latents, sizeof *x), *out = calloc((steps + 1) * outs, sizeof *out);
    assert_true(x && out);
    labels_of(g, run, labels);
    dd_session *s = rig_session(r);
    if (run->programs) assert_int_equal(dd_session_graphs(s).programs, run->programs);
    rig_must(r, dd_session_batch(s, 2, labels, &r->err));
    rig_must(r, dd_session_put(s, DD_IO_LATENTS, 2, start, &r->err));
    for (size_t t = 0; t < steps; t++) {
        if (noise) rig_must(r, dd_session_put(s, DD_IO_NOISE, 2, noise + t * latents, &r->err));
        rig_must(r, dd_session_step(s, (int)t, &r->err));
        rig_must(r, dd_session_get(s, DD_IO_OUT, 4, out + t * outs, &r->err)); /* the second half is overwritten */
        rig_must(r, dd_session_get(s, DD_IO_LATENTS, 2, x + t * latents, &r->err));
    }
    near_values(g, run, "x", x, steps * latents, TOLERANCE_X);
    near_values(g, run, "out", out, steps * outs, TOLERANCE_OUT);
    dd_session_close(&s);
    free(start), free(noise), free(x), free(out);
}

/* Is what a site adds at this step replaced by a result that a later site reuses? Then nothing decides about its tokens. */
static bool replaced(const rig *r, int step, int site)
{
    if (dd_plan_cell(r->plan, step, site)->op == DD_CELL_COMPUTE)
        for (int i = site + 1; i < r->plan->n_sites; i++)
            if (dd_plan_cell(r->plan, step, i)->op == DD_CELL_REUSE_OUTPUT) return true;
    return false;
}

static void same_tokens(const golden *g, const policy_run *run, const rig *r, const dd_sample_out *out)
{
    size_t n, compared = 0;
    float *want = values(g, run, "tokens", &n);
    const size_t tokens = 4 * (size_t)r->model->cfg.tokens, depth = (size_t)r->model->cfg.depth;
    for (size_t i = 0; i < n; i++) {
        const int step = (int)(i / tokens / depth), block = (int)(i / tokens % depth);
        if (out->tokens[i] == 0 && replaced(r, step, 2 * block + 1)) continue;
        if (want[i] != (float)out->tokens[i])
            fail_msg("%s: step %d, block %d: %d for token %zu", run->name, step, block, out->tokens[i], i % tokens);
        compared++;
    }
    assert_true(compared > n / 2);
    free(want);
}

/* The sampler's record: the same latents, and which tokens got the term of each step. */
static void whole_run(const policy_run *run, const golden *g, rig *r)
{
    static atomic_int cancel;
    int labels[2];
    size_t n;
    float *start = values(g, run, "start", &n), *noise = run->ddim ? NULL : values(g, run, "noise", &n);
    dd_sample_out out;
    labels_of(g, run, labels);
    r->spec.want_hits = r->model->n_routers > 0;
    r->spec.max_images = 1; /* in two batches: nothing that is kept may leak into the next one */
    const dd_sample_job job = {.spec = r->spec,
                               .be = r->be,
                               .weights = r->weights,
                               .n_images = 2,
                               .labels = labels,
                               .noise_rows = 2,
                               .noise_used = !run->ddim,
                               .latents_in = start,
                               .noise_in = noise,
                               .keep_trajectory = true,
                               .cancel = &cancel};
    rig_must(r, dd_sampler_run(&job, &out, &r->err));
    near_values(g, run, "x", out.trajectory, (size_t)(2 * r->plan->n_steps) * (size_t)r->model->cfg.latent_count,
                TOLERANCE_X);
    if (r->model->n_routers > 0) same_tokens(g, run, r, &out);
    dd_sample_out_fini(&out);
    free(start), free(noise);
}

static void all_runs(const char *backend)
{
    for (int i = 0; i < COUNT(runs); i++) {
        golden g = golden_open(runs[i].file);
        rig r = open_run(&runs[i], &g, backend);
        every_step(&runs[i], &g, &r);
        whole_run(&runs[i], &g, &r);
        rig_close(&r);
        golden_close(&g);
    }
}

static void on_ref(void **state)
{
    (void)state;
    all_runs("ref");
}

static void on_cpu(void **state)
{
    (void)state;
    all_runs("cpu");
}

static void on_chosen(void **state)
{
    (void)state;
    all_runs(golden_backend());
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(on_ref), cmocka_unit_test(on_cpu)};
    const struct CMUnitTest chosen[] = {cmocka_unit_test(on_chosen)};
    return golden_backend() ? cmocka_run_group_tests(chosen, scratch_setup, scratch_teardown)
                            : cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
