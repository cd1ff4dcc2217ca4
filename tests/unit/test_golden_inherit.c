/* SPDX-License-Identifier: MIT
 * Runs in which sites inherit results of earlier steps, and which change the model on the way, against tests/golden/inherit.py on every backend: the cells that the
 * texts of the policy make, every step, and the tokens after the blocks where part of them is dead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/exec/relay.h"
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
    bool hidden;       /* of steps 1 and 6 it is in the file */
    const char *later; /* the model below timestep 400, or NULL */
} inherit_run;

static const inherit_run runs[] = {
    {DYDIT, "output", "inherit:mode=output,stride=3,sites=blocks.1.mlp", false, NULL},
    {DYDIT, "delta", "inherit:mode=delta,schedule=start,stride=2,sites=blocks.0-1+blocks.2.mlp", false, NULL},
    {DIT, "block", "inherit:mode=output,schedule=4-5,sites=blocks.1-2", true, NULL},
    {DIT, "switch", "", false, MODEL_D64},
    {DYDIT, "both", "inherit:mode=output,schedule=end,stride=3", false, MODEL_D64},
};

/* A run with what the rig has no room for: the second model. */
typedef struct two {
    rig r;
    dd_model *model;
    dd_weight_store *weights;
    float *coefs;
    dd_leg leg[DD_WEIGHT_SETS];
    int n;
} two;

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
    float *ops = values(g, run, plan->weight_set ? "ops1" : "ops0", &n);
    assert_int_equal(n, plan->n_steps * plan->n_sites);
    for (size_t i = 0; i < n; i++) {
        const int step = (int)i / plan->n_sites;
        if (dd_plan_owns(plan, step) && plan->cells[i].op != (uint8_t)ops[i])
            fail_msg("%s: step %d, site %d: %s, expected %s", run, step, (int)i % plan->n_sites,
                     dd_cell_op_name(plan->cells[i].op), dd_cell_op_name((int)ops[i]));
    }
    free(ops);
    if (plan->other) same_ops(g, run, plan->other);
}

/* DyDiT's cells, then the policy's. */
static void fill(two *t, dd_plan *part, const dd_model *m, const char *policy)
{
    rig_must(&t->r, dd_policy_dydit(part, m, NULL, &t->r.err));
    rig_must(&t->r, dd_policy_named(part, m, policy, "", &t->r.err));
    dd_plan_keep_own(part);
}

static float *ddim(rig *r, const dd_model *m)
{
    static dd_schedule sch;
    float *coefs = calloc(10 * DD_COEF_COUNT, sizeof *coefs);
    assert_non_null(coefs);
    rig_must(r, dd_schedule_build(&sch, "10", &r->err));
    rig_must(r, dd_solver_coefs(coefs, &sch, DD_SOLVER_DDIM, 0, m->cfg.learn_sigma, &r->err));
    return coefs;
}

/* The part of a model that runs at the end. */
static void open_later(two *t, const inherit_run *run)
{
    rig *r = &t->r;
    dd_plan *other = NULL;
    float timestep[10];
    int guided[10];
    for (int s = 0; s < 10; s++) timestep[s] = r->plan->rows[s].timestep, guided[s] = 1;
    rig_must(r, dd_model_open(&t->model, run->later, NULL, &r->err));
    rig_must(r, dd_plan_build(&other, t->model, timestep, guided, 10, &r->err));
    rig_must(r, dd_plan_switch(r->plan, other, 400, &r->err));
    fill(t, r->plan->other, t->model, run->policy);
    rig_must(r, dd_weights_load(&t->weights, t->model, r->be, DD_F32, &r->err));
    t->coefs = ddim(r, t->model);
}

static void open_run(two *t, const inherit_run *run, const char *backend)
{
    *t = (two){.r = rig_open(run->file, backend), .n = run->later ? 2 : 1};
    rig *r = &t->r;
    rig_plan(r, "10", 0, 999, false);
    if (run->later) open_later(t, run);
    fill(t, r->plan, r->model, run->policy);
    free(r->coefs);
    r->coefs = ddim(r, r->model);
    r->spec.solver = DD_SOLVER_DDIM;
    r->spec.max_images = 2;
    r->spec.cfg_scale = 2;
    r->spec.coefs = r->coefs;
    rig_weights(r);
    t->leg[0] = t->leg[1] = (dd_leg){r->spec, r->weights};
    if (!run->later) return;
    t->leg[1].weights = t->weights;
    t->leg[1].spec.model = t->model;
    t->leg[1].spec.plan = r->plan->other;
    t->leg[1].spec.coefs = t->coefs;
}

static void close_run(two *t)
{
    dd_weights_free(&t->weights);
    dd_model_close(&t->model);
    free(t->coefs);
    rig_close(&t->r);
}

static void every_step(const inherit_run *run, const golden *g, two *both)
{
    rig *r = &both->r;
    const size_t steps = (size_t)r->plan->n_steps, latents = 2 * (size_t)r->model->cfg.latent_count, outs = 2 * latents;
    const size_t tokens = 4 * (size_t)(r->model->cfg.depth * r->model->cfg.tokens * r->model->cfg.hidden_size);
    size_t n, traced = 0;
    float *start = values(g, "", "start", &n), *y = values(g, "", "y", &n);
    float *x = calloc(steps * latents, sizeof *x), *out = calloc((steps + 1) * outs, sizeof *out);
    float *hidden = calloc(3 * tokens, sizeof *hidden);
    const int labels[2] = {(int)y[0], (int)y[1]};
    dd_relay relay;
    assert_true(x && out && hidden);
    rig_must(r, dd_relay_open(&relay, both->leg, both->n, r->be, &r->err));
    rig_must(r, dd_relay_batch(&relay, 2, labels, &r->err));
    rig_must(r, dd_session_put(dd_relay_at(&relay, 0), DD_IO_LATENTS, 2, start, &r->err));
    for (size_t t = 0; t < steps; t++) {
        dd_session *s = dd_relay_at(&relay, (int)t);
        rig_must(r, dd_relay_enter(&relay, (int)t, &r->err));
        rig_must(r, dd_session_step(s, (int)t, &r->err));
        rig_must(r, dd_session_get(s, DD_IO_OUT, 4, out + t * outs, &r->err)); /* the second half is overwritten */
        rig_must(r, dd_session_get(s, DD_IO_LATENTS, 2, x + t * latents, &r->err));
        if (!both->leg[0].spec.want_hidden || (t != 1 && t != 6)) continue;
        rig_must(r, dd_session_get(s, DD_IO_HIDDEN, 4, hidden + traced++ * tokens, &r->err));
    }
    near_values(g, run->name, "x", x, steps * latents, TOLERANCE_X);
    near_values(g, run->name, "out", out, steps * outs, TOLERANCE_OUT);
    if (traced) near_values(g, run->name, "hidden", hidden, 2 * tokens, TOLERANCE_OUT);
    dd_relay_close(&relay);
    free(start), free(y), free(x), free(out), free(hidden);
}

static void all_runs(const char *backend)
{
    golden g = golden_open(GOLDENS);
    for (int i = 0; i < COUNT(runs); i++) {
        two t;
        open_run(&t, &runs[i], backend);
        same_ops(&g, runs[i].name, t.r.plan);
        every_step(&runs[i], &g, &t);
        t.leg[0].spec.want_hidden = runs[i].hidden; /* then less of it is dead */
        if (runs[i].hidden) every_step(&runs[i], &g, &t);
        close_run(&t);
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
