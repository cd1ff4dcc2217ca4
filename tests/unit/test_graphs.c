/* SPDX-License-Identifier: MIT
 * What a session has its backend record: a program for every structure of steps, once for every batch size; that runs
 * replay it and are the same; and that nothing recorded is left behind. The backend cpu records nothing itself: here it
 * keeps copies of the ops. DYDIT_TEST_BACKEND names one that records. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/exec/lower.h"
#include "host/exec/sampler.h"
#include "tests/unit/exec_rig.h"

#define STEPS 6

static const char *backend = "cpu";

static struct {
    dd_backend real;
    int records, live; /* calls so far; programs recorded and not forgotten */
    int replays, runs; /* of programs that are, and are not */
    int fail_at;       /* this call of record fails; 0: none */
} recorder;

static dd_status copy_program(dd_program *program, dd_err *err)
{
    const size_t bytes = (size_t)program->n_ops * sizeof *program->ops;
    dd_program *copy = calloc(1, sizeof *copy);
    dd_op *ops = malloc(bytes + 1);
    if (!copy || !ops) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a copy");
    memcpy(ops, program->ops, bytes);
    *copy = (dd_program){.ops = ops, .n_ops = program->n_ops};
    program->recorded = copy;
    program->n_nodes = program->n_ops;
    return DD_OK;
}

static dd_status record(dd_backend *be, dd_program *program, dd_err *err)
{
    assert_null(program->recorded);
    if (++recorder.records == recorder.fail_at)
        return DD_FAIL(err, DD_ERR_NOMEM, "record %d refused on purpose", recorder.records);
    DD_TRY(recorder.real.record ? recorder.real.record(be, program, err) : copy_program(program, err));
    recorder.live++;
    return DD_OK;
}

static void forget(dd_backend *be, dd_program *program)
{
    dd_program *copy = program->recorded;
    assert_non_null(copy);
    recorder.live--;
    if (recorder.real.forget) {
        recorder.real.forget(be, program);
        return;
    }
    dd_program_free(copy);
    free(copy);
    program->recorded = NULL;
    program->n_nodes = 0;
}

static dd_status run(dd_backend *be, const dd_program *program, int32_t step, dd_err *err)
{
    if (program->recorded) recorder.replays++;
    else recorder.runs++;
    if (recorder.real.record || !program->recorded) return recorder.real.run(be, program, step, err);
    return recorder.real.run(be, program->recorded, step, err);
}

static rig open_rig(void)
{
    rig r = rig_open(MODEL_D64, backend);
    memset(&recorder, 0, sizeof recorder);
    recorder.real = *r.be;
    r.be->record = record;
    r.be->forget = forget;
    r.be->run = run;
    rig_weights(&r);
    return r;
}

/* The pattern of a cache that is refreshed at every third step, with SKIP where it would be read. */
static void refresh_every_third(rig *r)
{
    for (int step = 0; step < r->plan->n_steps; step++)
        for (int site = 0; step % 3 && site < r->plan->n_sites; site++)
            *dd_plan_cell(r->plan, step, site) = (dd_cell){.op = DD_CELL_SKIP, .units = 1, .router = -1};
}

static void start(rig *r, dd_session *s, int images, const int *labels, const float *x)
{
    rig_must(r, dd_session_batch(s, images, labels, &r->err));
    rig_must(r, dd_session_put(s, DD_IO_LATENTS, images, x, &r->err));
}

static void steps(rig *r, dd_session *s)
{
    for (int i = 0; i < r->plan->n_steps; i++) rig_must(r, dd_session_step(s, i, &r->err));
}

/* ---- counts --------------------------------------------------------------------------------------------------- */

static int ops_of_steps(dd_session *s, int n_steps)
{
    const dd_program *seen[STEPS];
    int n = 0, ops = 0;
    for (int i = 0; i < n_steps; i++) {
        dd_part part[DD_MAX_PARTS];
        const dd_program *p = part[dd_session_parts(s, i, part) - 1].program;
        int k = 0;
        while (k < n && seen[k] != p) k++;
        if (k < n) continue;
        seen[n++] = p;
        ops += p->n_ops;
    }
    return ops;
}

static void one_graph_per_structure(void **state)
{
    (void)state;
    static const struct {
        int lo, hi; /* of guidance */
        bool refresh;
        int programs;
    } plans[] = {{-1, -1, false, 1}, {0, 999, false, 1}, {300, 600, false, 2}, {-1, -1, true, 2}, {300, 600, true, 4}};
    static const int labels[2] = {1, 2};
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        rig r = open_rig();
        dd_footprint f;
        rig_plan(&r, "6", plans[i].lo, plans[i].hi, true);
        if (plans[i].refresh) refresh_every_third(&r);
        r.spec.coefs = r.coefs;
        r.spec.want_hidden = i % 2;
        if (i == 2) rig_draws(&r, 1, false);
        rig_must(&r, dd_footprint_compute(&f, &r.spec, r.be, &r.err));
        dd_session *s = rig_session(&r);
        rig_must(&r, dd_session_batch(s, 2, labels, &r.err));
        const dd_graphs g = dd_session_graphs(s);
        assert_int_equal(f.programs, plans[i].programs);
        assert_int_equal(g.programs, plans[i].programs);
        assert_int_equal(g.live, plans[i].programs);
        assert_int_equal(g.recorded, plans[i].programs);
        assert_int_equal(recorder.records, plans[i].programs);
        const int ops = ops_of_steps(s, STEPS);
        assert_int_equal(f.graph_ops, ops);
        assert_int_equal(f.graphs, ops * DD_GRAPH_NODE_BYTES);
        assert_true(recorder.real.record ? g.nodes >= ops : g.nodes == ops);
        dd_session_close(&s);
        assert_int_equal(recorder.live, 0);
        rig_close(&r);
    }
}

/* Recorded anew for another number of images; not for more steps, more batches, or other labels. */
static void recorded_once_per_batch_size(void **state)
{
    (void)state;
    static const int mixed[3] = {1, 2, 3}, equal[3] = {4, 4, 4};
    rig r = open_rig();
    rig_plan(&r, "6", 300, 600, true);
    dd_session *s = rig_session(&r);
    float *x = rig_noise(1, 3 * (size_t)r.model->cfg.latent_count);
    const struct {
        int images;
        const int *labels;
        int recorded;
    } batches[] = {{3, mixed, 2}, {3, mixed, 2}, {3, equal, 2}, {3, mixed, 2},
                   {1, mixed, 4}, {1, equal, 4}, {3, equal, 6}};
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        start(&r, s, batches[i].images, batches[i].labels, x);
        steps(&r, s);
        assert_int_equal(dd_session_graphs(s).recorded, batches[i].recorded);
        assert_int_equal(recorder.records, batches[i].recorded);
        assert_int_equal(recorder.live, 2);
        assert_int_equal(recorder.replays, (i + 1) * STEPS);
        assert_int_equal(recorder.runs, i + 1); /* the conditioning of all steps: once a batch, not worth a graph */
    }
    dd_session_close(&s);
    assert_int_equal(recorder.live, 0);
    free(x);
    rig_close(&r);
}

/* Who runs ops one by one has nothing recorded. */
static void op_by_op(void **state)
{
    (void)state;
    static const int labels[2] = {1, 2};
    atomic_int cancel = 0;
    dd_profile profile = {0};
    rig r = open_rig();
    r.spec.coefs = r.coefs;
    r.spec.want_hits = true;
    for (int i = 0; i < 2; i++) {
        dd_sample_out out;
        dd_sample_job job = {.spec = r.spec, .be = r.be, .weights = r.weights, .n_images = 2, .labels = labels};
        job.noise_rows = 1, job.noise_used = true, job.cancel = &cancel, job.profile = i ? NULL : &profile;
        rig_must(&r, dd_sampler_run(&job, &out, &r.err));
        assert_int_equal(out.graphs.programs, 1);
        assert_int_equal(out.graphs.recorded, i);
        assert_int_equal(recorder.replays > 0, i);
        dd_sample_out_fini(&out);
    }
    dd_footprint f;
    r.spec.op_by_op = true;
    rig_must(&r, dd_footprint_compute(&f, &r.spec, r.be, &r.err));
    assert_true(f.programs == 1 && f.graph_ops == 0 && f.graphs == 0);
    assert_int_equal(recorder.live, 0);
    rig_close(&r);
}

/* ---- values --------------------------------------------------------------------------------------------------- */

/* Outputs of all steps of two batches of different sizes, the second of which has as many labels as the first. */
static void outputs(rig *r, float *out, size_t n)
{
    static const int labels[2][3] = {{1, 1, 2}, {5, 3, 0}};
    float *x = rig_noise(2, 3 * (size_t)r->model->cfg.latent_count);
    dd_session *s = rig_session(r);
    for (int b = 0; b < 2; b++) {
        start(r, s, 3 - b, labels[b], x);
        for (int i = 0; i < STEPS; i++, out += n) {
            const int rows = (3 - b) * (r->plan->rows[i].guided ? 2 : 1);
            rig_must(r, dd_session_step(s, i, &r->err));
            rig_must(r, dd_session_get(s, DD_IO_OUT, rows, out, &r->err));
        }
    }
    dd_session_close(&s);
    free(x);
}

/* Sessions one after the other: programs of the second lie where those of the first lay, as far as malloc does so. */
static void replay_is_the_same(void **state)
{
    (void)state;
    rig r = open_rig();
    const size_t n = 6 * (size_t)r.model->cfg.latent_count / (size_t)r.model->cfg.in_channels *
                     (size_t)r.model->cfg.out_channels;
    float *want = calloc(2 * STEPS * n, sizeof *want), *got = calloc(2 * STEPS * n, sizeof *got);
    assert_true(want && got);
    for (int refresh = 0; refresh < 2; refresh++) {
        rig_plan(&r, "6", 300, 600, true);
        if (refresh) refresh_every_third(&r);
        r.be->record = NULL;
        outputs(&r, want, n);
        const int replays = recorder.replays;
        r.be->record = record;
        outputs(&r, got, n);
        assert_int_equal(recorder.replays, replays + 2 * STEPS);
        assert_memory_equal(want, got, 2 * STEPS * n * sizeof *want);
        assert_memory_not_equal(got, got + n, n / 2 * sizeof *got);
    }
    free(want), free(got);
    rig_close(&r);
}

/* ---- failures ------------------------------------------------------------------------------------------------- */

static void a_failed_record(void **state)
{
    (void)state;
    static const int labels[3] = {1, 2, 3};
    for (int k = 1; k <= 4; k++) { /* two programs of a batch of 3, then of one of 2 */
        rig r = open_rig();
        char part[64];
        rig_plan(&r, "6", 300, 600, true);
        dd_session *s = rig_session(&r);
        float *x = rig_noise(1, 3 * (size_t)r.model->cfg.latent_count);
        recorder.fail_at = k;
        dd_status st = dd_session_batch(s, 3, labels, &r.err);
        if (k > 2) {
            rig_must(&r, st);
            st = dd_session_batch(s, 2, labels, &r.err);
        }
        snprintf(part, sizeof part, "record %d refused on purpose", k);
        rig_refused(&r, st, DD_ERR_NOMEM, part);
        start(&r, s, 2, labels, x); /* the session is none the worse */
        steps(&r, s);
        assert_int_equal(recorder.live, 2);
        assert_int_equal(recorder.replays, STEPS);
        dd_session_close(&s);
        assert_int_equal(recorder.live, 0);
        free(x);
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_graph_per_structure),
        cmocka_unit_test(recorded_once_per_batch_size),
        cmocka_unit_test(op_by_op),
        cmocka_unit_test(replay_is_the_same),
        cmocka_unit_test(a_failed_record),
    };
    const char *only = getenv("DYDIT_TEST_BACKEND");
    if (only) backend = only;
    return cmocka_run_group_tests_name("graphs", tests, NULL, NULL);
}
