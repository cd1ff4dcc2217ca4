/* SPDX-License-Identifier: MIT
 * Runs in which sites inherit results of earlier steps, against tests/golden/inherit.py on every backend: the cells that the
 * texts of the policy make, every step, and the tokens after the blocks where part of them is dead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/exec_rig.h"

#include "support/golden.h"

#define GOLDENS "tests/golden/inherit.safetensors"
#define DIT "tests/golden/policy_dit_d32_h2_p2.safetensors"
#define DYDIT "tests/golden/policy_dydit_d32_h2_p2.safetensors"
#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

/* Of the largest magnitude: those of test_golden_policy.c, for runs of the same kind. */
#define TOLERANCE_X 1e-5
#define TOLERANCE_OUT 5e-5

typedef struct inherit_run {
    const char *file, *name, *policy;
    bool hidden; /* of steps 1 and 6 it is in the file */
} inherit_run;

static const inherit_run runs[] = {
    {DYDIT, "output", "inherit:mode=output,stride=3,sites=blocks.1.mlp", false},
    {DYDIT, "delta", "inherit:mode=delta,schedule=start,stride=2,sites=blocks.0-1+blocks.2.mlp", false},
    {DIT, "block", "inherit:mode=output,schedule=4-5,sites=blocks.1-2", true},
};

static float *values(const golden *g, const char *run, const char *what, size_t *n)
{
    char name[64];
    snprintf(name, sizeof name, "golden.%s%s%s", run, *run ? "." : "", what);
    return golden_values(g, name, n);
}

static void near_values(const golden *g, const char *run, const char *what, const float *got, size_t n,
                        double tolerance)
{
    char name[64];
    snprintf(name, sizeof name, "golden.%s.%s", run, what);
    golden_near_values(g, name, got, n, tolerance);
}

static void same_ops(const golden *g, const char *run, const dd_plan *plan)
{
    size_t n;
    float *ops = values(g, run, "ops0", &n);
    assert_int_equal(n, plan->n_steps * plan->n_sites);
    for (size_t i = 0; i < n; i++)
        if (plan->cells[i].op != (uint8_t)ops[i])
            fail_msg("%s: step %d, site %d: %s, expected %s", run, (int)i / plan->n_sites, (int)i % plan->n_sites,
                     dd_cell_op_name(plan->cells[i].op), dd_cell_op_name((int)ops[i]));
    free(ops);
}

static rig open_run(const inherit_run *run, const char *backend)
{
    static dd_schedule sch;
    rig r = rig_open(run->file, backend);
    rig_plan(&r, "10", 0, 999, true);
    rig_must(&r, dd_policy_named(r.plan, r.model, run->policy, "", &r.err));
    rig_must(&r, dd_schedule_build(&sch, "10", &r.err));
    r.spec.solver = DD_SOLVER_DDIM;
    rig_must(&r, dd_solver_coefs(r.coefs, &sch, r.spec.solver, 0, r.model->cfg.learn_sigma, &r.err));
    r.spec.max_images = 2;
    r.spec.cfg_scale = 2;
    r.spec.coefs = r.coefs;
    r.spec.want_hidden = run->hidden;
    rig_weights(&r);
    return r;
}

static void every_step(const inherit_run *run, const golden *g, rig *r)
{
    const size_t steps = (size_t)r->plan->n_steps, latents = 2 * (size_t)r->model->cfg.latent_count, outs = 2 * latents;
    const size_t tokens = 4 * (size_t)(r->model->cfg.depth * r->model->cfg.tokens * r->model->cfg.hidden_size);
    size_t n, traced = 0;
    float *start = values(g, "", "start", &n), *y = values(g, "", "y", &n);
    float *x = calloc(steps * latents, sizeof *x), *out = calloc((steps + 1) * outs, sizeof *out);
    float *hidden = calloc(3 * tokens, sizeof *hidden);
    const int labels[2] = {(int)y[0], (int)y[1]};
    assert_true(x && out && hidden);
    dd_session *s = rig_session(r);
    rig_must(r, dd_session_batch(s, 2, labels, &r->err));
    rig_must(r, dd_session_put(s, DD_IO_LATENTS, 2, start, &r->err));
    for (size_t t = 0; t < steps; t++) {
        rig_must(r, dd_session_step(s, (int)t, &r->err));
        rig_must(r, dd_session_get(s, DD_IO_OUT, 4, out + t * outs, &r->err)); /* the second half is overwritten */
        rig_must(r, dd_session_get(s, DD_IO_LATENTS, 2, x + t * latents, &r->err));
        if (!run->hidden || (t != 1 && t != 6)) continue;
        rig_must(r, dd_session_get(s, DD_IO_HIDDEN, 4, hidden + traced++ * tokens, &r->err));
    }
    near_values(g, run->name, "x", x, steps * latents, TOLERANCE_X);
    near_values(g, run->name, "out", out, steps * outs, TOLERANCE_OUT);
    if (run->hidden) near_values(g, run->name, "hidden", hidden, 2 * tokens, TOLERANCE_OUT);
    dd_session_close(&s);
    free(start), free(y), free(x), free(out), free(hidden);
}

static void all_runs(const char *backend)
{
    golden g = golden_open(GOLDENS);
    for (int i = 0; i < COUNT(runs); i++) {
        rig r = open_run(&runs[i], backend);
        same_ops(&g, runs[i].name, r.plan);
        every_step(&runs[i], &g, &r);
        r.spec.want_hidden = false; /* then more of it is dead */
        if (runs[i].hidden) every_step(&(inherit_run){.name = runs[i].name}, &g, &r);
        rig_close(&r);
    }
    golden_close(&g);
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
    return golden_backend() ? cmocka_run_group_tests(chosen, NULL, NULL) : cmocka_run_group_tests(tests, NULL, NULL);
}
