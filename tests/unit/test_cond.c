/* SPDX-License-Identifier: MIT
 * The conditioning of plans that reuse results: the vectors that a step reads have the bits of the complete table, the
 * others are not computed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/exec/cond.h"
#include "tests/unit/exec_rig.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

enum { STEPS = 40, IMAGES = 2, LABELS = 3 }; /* two chunks */

static const int labels[IMAGES] = {3, 7};
static const char *backends[] = {"ref", "cpu"};
static int n_backends = COUNT(backends);

/* What a step finds in the table, [STEPS, LABELS, width]; poison where nothing was written. */
static float *table_of(rig *r)
{
    const size_t width = (size_t)r->model->cond_width, row = LABELS * width;
    float *out = malloc(STEPS * row * sizeof *out), *chunk = malloc(DD_COND_MAX_SLOTS * row * sizeof *chunk);
    int32_t slot[STEPS];
    assert_true(out && chunk);
    dd_session *s = rig_session(r);
    rig_must(r, dd_session_batch(s, IMAGES, labels, &r->err));
    for (int step = 0; step < STEPS; step++) {
        dd_part part[DD_MAX_PARTS];
        const int n = dd_session_parts(s, step, part);
        const dd_program *body = part[n - 1].program;
        const dd_cond_table *t = NULL;
        for (int i = 0; i < body->n_ops; i++)
            if (body->ops[i].id == DD_OP_adaln) t = &body->ops[i].args.adaln.cond; /* the last layer's at least */
        assert_non_null(t);
        assert_int_equal(n, step % DD_COND_MAX_SLOTS == 0 ? 2 : 1);
        void *const table = (void *)(uintptr_t)t->table;
        const size_t bytes = DD_COND_MAX_SLOTS * row * sizeof *chunk;
        if (n == 2) {
            memset(chunk, 0xff, bytes);
            rig_must(r, r->be->upload(r->be, table, chunk, bytes, &r->err));
            rig_must(r, r->be->run(r->be, part[0].program, part[0].step, &r->err));
            rig_must(r, r->be->download(r->be, chunk, table, bytes, &r->err));
            rig_must(r, r->be->download(r->be, slot, t->slot, sizeof slot, &r->err));
        }
        memcpy(out + (size_t)step * row, chunk + (size_t)slot[step] * width, row * sizeof *out);
    }
    dd_session_close(&s);
    free(chunk);
    return out;
}

/* By the words of docs/plan.md: a site has shift, scale and gate; the last layer, behind them, shift and scale. */
static bool reads(const rig *r, int step, int vector)
{
    if (vector >= 3 * r->model->n_sites) return true;
    const dd_cell *c = dd_plan_cell(r->plan, step, vector / 3);
    return dd_cell_computes(c) || (c->op == DD_CELL_REUSE_BRANCH && vector % 3 == 2);
}

/* exact: nothing else is computed. */
static void same_where_read(const rig *r, const float *have, const float *want, bool exact)
{
    const int d = r->model->cfg.hidden_size, vectors = (int)(r->model->cond_width / d);
    int skipped = 0;
    for (int i = 0; i < STEPS * LABELS * vectors; i++) {
        const int step = i / vectors / LABELS, v = i % vectors;
        const float *a = have + (int64_t)i * d, *b = want + (int64_t)i * d;
        const bool poison = dd_f32_bits(a[0]) == 0xffffffffu && dd_f32_bits(a[d - 1]) == 0xffffffffu;
        if (reads(r, step, v) ? memcmp(a, b, (size_t)d * sizeof *a) != 0 : exact && !poison)
            fail_msg("step %d, vector %d: %g, complete %g", step, v, (double)a[0], (double)b[0]);
        skipped += poison;
    }
    assert_true(skipped > 0);
}

static void fora(rig *r) { rig_must(r, dd_policy_fora(r->plan, r->model, 3, DD_REUSE_FROZEN, &r->err)); }

/* Every site has its own steps; none reads a subset of another's. */
static void mixed(rig *r)
{
    static const uint8_t later[] = {DD_CELL_COMPUTE, DD_CELL_REUSE_BRANCH, DD_CELL_REUSE_BRANCH, DD_CELL_REUSE_DELTA,
                                    DD_CELL_SKIP};
    uint32_t random = 7;
    for (int s = 0; s < STEPS; s++)
        for (int i = 0; i < r->model->n_sites; i++) {
            dd_cell *c = dd_plan_cell(r->plan, s, i);
            random = random * 1664525u + 1013904223u;
            const uint8_t op = s ? later[(random >> 16) % COUNT(later)] : DD_CELL_COMPUTE_STORE;
            *c = (dd_cell){.units = dd_units_all(r->model->sites[i].units), .op = op, .router = -1};
        }
    rig_must(r, dd_plan_validate(r->plan, r->model, "mixed", &r->err));
}

static float *table_under(rig *r, dd_format input, void (*policy)(rig *r))
{
    rig_plan(r, "40", 0, 999, false);
    r->spec.input = input;
    r->spec.max_images = IMAGES;
    if (policy) policy(r);
    return table_of(r);
}

static void read_vectors_have_the_bits(void **state)
{
    (void)state;
    for (int b = 0; b < n_backends; b++)
        for (int bf16 = 0; bf16 < 2; bf16++) { /* where the backend has none, float32 again */
            rig r = rig_open(MODEL_D64, backends[b]);
            const dd_format input = bf16 ? r.be->bf16_input : DD_FMT_F32;
            rig_must(&r, dd_weights_load(&r.weights, r.model, r.be, dd_format_dtype(input), &r.err));
            float *complete = table_under(&r, input, NULL);
            float *reuse = table_under(&r, input, fora);
            same_where_read(&r, reuse, complete, true);
            free(reuse);
            reuse = table_under(&r, input, mixed);
            same_where_read(&r, reuse, complete, false);
            free(reuse);
            free(complete);
            rig_close(&r);
        }
}

/* Steps that compute come first, so that a weight's part is read once in a chunk. */
static void one_gemm_for_a_part(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, "cpu");
    rig_weights(&r);
    rig_plan(&r, "40", 0, 999, false);
    fora(&r);
    dd_session *s = rig_session(&r);
    rig_must(&r, dd_session_batch(s, IMAGES, labels, &r.err));
    for (int step = 0; step < STEPS; step += DD_COND_MAX_SLOTS) {
        dd_part part[DD_MAX_PARTS];
        assert_int_equal(dd_session_parts(s, step, part), 2);
        int computing = 0, all = step ? STEPS - DD_COND_MAX_SLOTS : DD_COND_MAX_SLOTS;
        for (int i = 0; i < all; i++) computing += dd_cell_computes(dd_plan_cell(r.plan, step + i, 0));
        const dd_program *p = part[0].program;
        assert_int_equal(p->n_ops, 1 + 4 * r.model->cfg.depth + 1);
        for (int i = 1; i < p->n_ops; i++) {
            const bool narrow = i < p->n_ops - 1 && i % 2 == 1; /* shift and scale, then the gate */
            assert_int_equal(p->ops[i].args.gemm.m, (narrow ? computing : all) * LABELS);
        }
    }
    dd_session_close(&s);
    rig_close(&r);
}

int main(void)
{
    const char *one = getenv("DYDIT_TEST_BACKEND");
    if (one) backends[0] = one, n_backends = 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(read_vectors_have_the_bits),
                                       cmocka_unit_test(one_gemm_for_a_part)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
