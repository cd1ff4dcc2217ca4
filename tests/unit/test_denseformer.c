/* SPDX-License-Identifier: MIT
 * Depth-weighted averages: names, dilation and period from files, contradictions; what is kept and for how long; weights
 * that change nothing; steps that skip and reuse. Values are held to goldens by test_golden_forward and test_golden_policy. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/base/str.h"
#include "host/exec/memory.h"
#include "host/model/convert.h"
#include "host/model/dwa.h"
#include "tests/unit/exec_rig.h"
#include "tests/unit/model_file.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

/* A model of narrow blocks; `weights` gives those of the average after a unit. */
typedef void fill_weights(int unit, int n, float *w);

static void ordinary(int unit, int n, float *w)
{
    for (int i = 0; i < n; i++) w[i] = (i == n - 1 ? 0.8f : 0.0f) + 0.01f * (float)((unit + 3 * i) % 5 - 6);
}

static void identity(int unit, int n, float *w)
{
    (void)unit;
    for (int i = 0; i < n; i++) w[i] = (float)(i == n - 1);
}

/* The first average alone changes something. */
static void identity_later(int unit, int n, float *w)
{
    if (unit > 1) identity(unit, n, w);
    else ordinary(unit, n, w);
}

static dd_model *narrow(int depth, dd_dwa dwa, fill_weights *weights)
{
    model_file f = model_tiny(true);
    dd_err err = {0};
    dd_model *m = NULL;
    dd_tensors *file = NULL;
    dd_key *keys;
    int n;
    f.cfg.depth = depth;
    f.cfg.dwa = dwa;
    f.dtype = DD_F32;
    const int units = dd_dwa_units(&f.cfg);
    if (dd_config_derive(&f.cfg, "test", &err) != DD_OK) fail_msg("%s", err.text);
    assert_int_equal(dd_dit_keys(&f.cfg, &keys, &n, &err), DD_OK);
    dd_tensor_entry *list = calloc((size_t)n, sizeof *list);
    assert_non_null(list);
    for (int i = 0; i < n; i++)
        list[i] = model_entry(&f, &keys[i], dd_hash(DD_HASH_INIT, keys[i].name, strlen(keys[i].name)));
    assert_int_equal(dd_tensors_new(&file, "narrow", list, n, NULL, 0, &err), DD_OK);
    for (int i = 0; i < n; i++) {
        const dd_tensor *t = dd_tensors_find(file, keys[i].name);
        memcpy(dd_tensors_fill(file, keys[i].name), list[i].data, (size_t)t->count * sizeof(float));
        free((void *)(uintptr_t)list[i].data);
    }
    for (int unit = 1; unit <= units; unit++) {
        char name[DD_DWA_NAME];
        if (!dd_dwa_averages(&f.cfg, unit)) continue;
        dd_dwa_tensor(&f.cfg, unit, name);
        weights(unit, dd_dwa_weights(&f.cfg, unit), dd_tensors_fill(file, name));
    }
    free(list);
    free(keys);
    if (dd_model_adopt(&m, file, NULL, &err) != DD_OK) fail_msg("%s", err.text);
    return m;
}

/* ---- what is kept --------------------------------------------------------------------------------------------- */

static bool is_copy(const dd_average *a) { return a->n == 1 && a->weight[0] == 1.0f; }

/* Outputs that averages read. One that its own average overwrites shares its buffer with those of later blocks. */
static int outputs_read(const dd_model *m)
{
    bool *read = calloc((size_t)m->n_buffers, sizeof *read);
    int n = 0;
    assert_non_null(read);
    for (int i = 0; i < m->body.n; i++) {
        const dd_node *node = &m->body.at[i];
        const dd_average *a = node->op == DD_OP_depth_average ? &m->averages[node->average] : NULL;
        for (int s = 0; a && s < a->n && !is_copy(a); s++) {
            n += a->src[s] == node->dst || !read[a->src[s]];
            if (a->src[s] != node->dst) read[a->src[s]] = true;
        }
    }
    free(read);
    return n;
}

/* Buffers of the residual stream that hold something at once, at most. */
static int streams_at_once(rig *r)
{
    dd_actions actions;
    dd_structure s;
    dd_use uses[DD_MAX_USES];
    int most = 0;
    rig_must(r, dd_actions_build(&actions, r->plan, &r->err));
    rig_must(r, dd_structure_build(&s, r->model, &actions, 0, false, &r->err));
    int *first = calloc((size_t)r->model->n_buffers * 2, sizeof *first), *last = first + r->model->n_buffers;
    assert_non_null(first);
    for (int i = 0; i < s.n; i++) {
        const int n = s.at[i].runs ? dd_node_uses(r->model, &s.at[i], uses) : 0;
        for (int u = 0; u < n; u++) {
            if (last[uses[u].buffer] == 0) first[uses[u].buffer] = i + 1;
            last[uses[u].buffer] = i + 1;
        }
    }
    for (int i = 1; i <= s.n; i++) {
        int live = 0;
        for (int b = 0; b < r->model->n_buffers; b++) {
            const char *name = r->model->buffers[b].name;
            live += (strcmp(name, "x") == 0 || strcmp(name, "history") == 0) && last[b] >= i && first[b] <= i &&
                    last[b];
        }
        if (live > most) most = live;
    }
    free(first);
    dd_structure_free(&s);
    dd_actions_free(&actions);
    return most;
}

static size_t arena(rig *r)
{
    dd_actions actions;
    size_t bytes;
    int64_t *offset = calloc((size_t)r->model->n_buffers, sizeof *offset);
    assert_non_null(offset);
    rig_must(r, dd_actions_build(&actions, r->plan, &r->err));
    rig_must(r, dd_memory_place(&r->spec, &actions, 0, offset, &bytes, &r->err));
    dd_actions_free(&actions);
    free(offset);
    return bytes;
}

static rig rig_of(dd_model *m, const char *backend)
{
    rig r = {.model = m};
    const dd_backend_choice choice = {.name = backend, .threads = 2};
    rig_must(&r, dd_backend_open(&r.be, &choice, NULL, &r.err));
    rig_plan(&r, "4", -1, -1, true);
    return r;
}

/* Counts of the paper's models: averages, weights, outputs that averages read, and how many are kept at most. */
static void what_is_kept(void **state)
{
    (void)state;
    static const struct {
        int depth, dilation, period, averages, weights, read, held;
    } want[] = {{28, 1, 1, 28, 434, 29, 28}, {28, 4, 1, 28, 119, 29, 25},  {28, 4, 5, 5, 22, 20, 11},
                {28, 4, 4, 7, 35, 8, 7},     {48, 1, 1, 48, 1224, 49, 48}, {48, 4, 5, 9, 62, 40, 30}};
    rig plain = rig_of(narrow(28, (dd_dwa){0}, NULL), "ref");
    const size_t x = 3 * 4 * 16 * sizeof(float), without = arena(&plain) - x;
    rig_close(&plain);
    for (int i = 0; i < COUNT(want); i++) {
        const dd_dwa dwa = {DD_DWA_PACKAGE, 1, want[i].dilation, want[i].period};
        rig r = rig_of(narrow(want[i].depth, dwa, ordinary), "ref");
        const dd_config *c = &r.model->cfg;
        int averages = 0, weights = 0;
        for (int a = 0; a < r.model->n_averages; a++) {
            averages += !is_copy(&r.model->averages[a]);
            weights += is_copy(&r.model->averages[a]) ? 0 : r.model->averages[a].n;
        }
        assert_memory_equal(&c->dwa, &dwa, sizeof dwa); /* found again from names and shapes */
        assert_int_equal(averages, want[i].averages);
        assert_int_equal(weights, want[i].weights);
        assert_int_equal(outputs_read(r.model), want[i].read);
        assert_int_equal(dd_dwa_held(c), want[i].held);
        assert_int_equal(streams_at_once(&r), want[i].held + 1);
        assert_int_equal(arena(&r), without + (size_t)(want[i].held + 1) * x);
        rig_close(&r);
    }
}

/* ---- weights that change nothing ------------------------------------------------------------------------------ */

static float *outputs(rig *r)
{
    static const int labels[2] = {1, 2};
    const size_t latents = 2 * (size_t)r->model->cfg.latent_count;
    float *x = rig_noise(3, latents), *out = calloc(2 * latents, sizeof *out);
    assert_non_null(out);
    r->spec.max_images = 2;
    rig_weights(r);
    dd_session *s = rig_session(r);
    rig_must(r, dd_session_batch(s, 2, labels, &r->err));
    rig_must(r, dd_session_put(s, DD_IO_LATENTS, 2, x, &r->err));
    for (int step = 0; step < r->plan->n_steps; step++) rig_must(r, dd_session_step(s, step, &r->err));
    rig_must(r, dd_session_get(s, DD_IO_OUT, 2, out, &r->err));
    dd_session_close(&s);
    free(x);
    return out;
}

static void changes_nothing(void **state)
{
    (void)state;
    static const char *const backends[] = {"ref", "cpu"};
    for (int i = 0; i < COUNT(backends); i++) {
        rig plain = rig_of(narrow(5, (dd_dwa){0}, NULL), backends[i]);
        rig same = rig_of(narrow(5, (dd_dwa){DD_DWA_PACKAGE, 1, 1, 1}, identity), backends[i]);
        rig copied = rig_of(narrow(5, (dd_dwa){DD_DWA_PACKAGE, 1, 2, 1}, identity_later), backends[i]);
        assert_int_equal(same.model->n_averages, 0);
        assert_int_equal(same.model->body.n, plain.model->body.n);
        assert_int_equal(copied.model->n_averages, 1);
        float *a = outputs(&plain), *b = outputs(&same), *c = outputs(&copied);
        const size_t bytes = 4 * (size_t)plain.model->cfg.latent_count * sizeof *a;
        assert_memory_equal(a, b, bytes);
        assert_true(memcmp(a, c, bytes) != 0);
        free(a), free(b), free(c);
        rig_close(&plain), rig_close(&same), rig_close(&copied);
    }
}

/* ---- steps that skip and reuse -------------------------------------------------------------------------------- */

static int count_runs(rig *r, int step, dd_op_id op, int *with_norm)
{
    dd_actions actions;
    dd_structure s;
    int n = 0;
    *with_norm = 0;
    rig_must(r, dd_actions_build(&actions, r->plan, &r->err));
    rig_must(r, dd_structure_build(&s, r->model, &actions, step, false, &r->err));
    for (int i = 0; i < s.n; i++) {
        if (!s.at[i].runs || s.at[i].node.op != op) continue;
        n++;
        *with_norm += s.at[i].norm != NULL;
    }
    dd_structure_free(&s);
    dd_actions_free(&actions);
    return n;
}

static void under_a_plan(void **state)
{
    (void)state;
    int joined;
    rig r = rig_open(MODEL_AVERAGES, "ref");
    /* three averages and a copy of the embedded tokens; of the LayerNorms those of the routed MLPs stay */
    assert_int_equal(count_runs(&r, 0, DD_OP_depth_average, &joined), 4);
    assert_int_equal(joined, 4);
    assert_int_equal(count_runs(&r, 0, DD_OP_adaln, &joined), 3);
    for (int u = 2; u < 4; u++) dd_plan_cell(r.plan, 1, u)->op = DD_CELL_SKIP; /* the second block */
    for (int u = 2; u < 4; u++) dd_plan_cell(r.plan, 1, u)->rows = DD_ROWS_ALL;
    assert_int_equal(count_runs(&r, 1, DD_OP_depth_average, &joined), 4);
    assert_int_equal(joined, 3); /* an average follows the other one */
    dd_plan_cell(r.plan, 0, 3)->op = DD_CELL_COMPUTE_STORE;
    dd_plan_cell(r.plan, 2, 3)->op = DD_CELL_REUSE_OUTPUT;
    dd_plan_cell(r.plan, 2, 3)->rows = DD_ROWS_ALL;
    /* what the stored result replaces is not computed; the outputs before it are, for the averages behind it */
    assert_int_equal(count_runs(&r, 2, DD_OP_depth_average, &joined), 3);
    assert_int_equal(count_runs(&r, 2, DD_OP_attention, &joined), 2);
    rig_close(&r);
}

/* ---- files ---------------------------------------------------------------------------------------------------- */

static model_file file_of(int depth, dd_dwa dwa)
{
    model_file f = model_tiny(false);
    static const dd_text_pair heads[] = {{"num_heads", "2"}};
    f.cfg.depth = depth;
    f.cfg.dwa = dwa;
    f.dtype = DD_F32;
    f.meta = heads;
    f.n_meta = 1;
    return f;
}

static void refused(const model_file *f, dd_status want, const char *part)
{
    dd_model *m = NULL;
    dd_err err = {0};
    const dd_status st = dd_model_open(&m, model_write("m.safetensors", f), NULL, &err);
    if (st != want) fail_msg("%s instead of: %s", dd_status_name(st), part);
    model_says(&err, part);
}

static const dd_dwa by_3 = {DD_DWA_PACKAGE, 1, 2, 3}, by_1 = {DD_DWA_PACKAGE, 1, 1, 1};

static void contradictions(void **state)
{
    (void)state;
    model_file f = file_of(6, by_3);
    f.drop = "dwa_modules.alphas.5.weight";
    refused(&f, DD_ERR_FORMAT, "tensor dwa_modules.alphas.5.weight is missing: there is an average every 3");
    f = file_of(6, by_3);
    f.extra = "dwa_modules.alphas.3.weight";
    refused(&f, DD_ERR_FORMAT, "tensor dwa_modules.alphas.3.weight is no average of those that come every 3");
    f.extra = "weights.0.weight";
    refused(&f, DD_ERR_FORMAT, "and weights.0.weight are names of two kinds of averages");
    f.extra = "dwa_modules.alphas.6.weight";
    refused(&f, DD_ERR_FORMAT, "tensor dwa_modules.alphas.6.weight does not belong to");
    f = file_of(6, by_3);
    f.wide = "dwa_modules.alphas.5.weight", f.wide_axis = 1;
    refused(&f, DD_ERR_FORMAT, "tensor dwa_modules.alphas.5.weight has 5 weights, but of dilation 2 to 3");
    f.wide_axis = 0;
    refused(&f, DD_ERR_FORMAT, "tensor dwa_modules.alphas.5.weight must be [1, n] with n from 1 to 7");
    f = file_of(6, by_3);
    f.poison = "dwa_modules.alphas.2.weight";
    refused(&f, DD_ERR_FORMAT, "tensor dwa_modules.alphas.2.weight: element 0 is not finite");
    f = file_of(3, by_3);
    refused(&f, DD_ERR_FORMAT,
            "tensor dwa_modules.alphas.2.weight fits dilations 2 to 3: metadata dwa_dilation must say");
    f = file_of(70, by_1);
    refused(&f, DD_ERR_UNSUPPORTED, "averages over 65 outputs, at most 64 are supported");
    f = file_of(5, (dd_dwa){DD_DWA_EXPERIMENTS, 1, 1, 1});
    refused(&f, DD_ERR_FORMAT, "tensor weights.0.weight averages over every 2 blocks, but there are 5");
    f = file_of(4, (dd_dwa){DD_DWA_EXPERIMENTS, 2, 1, 1});
    f.drop = "weights.1.weight";
    refused(&f, DD_ERR_FORMAT, "tensor weights.1.weight is missing");
}

static void metadata(void **state)
{
    (void)state;
    static const struct {
        dd_text_pair more;
        const char *part; /* NULL: it is fine */
    } cases[] = {{{"dwa_dilation", "2"}, NULL},
                 {{"dwa_period", "3"}, NULL},
                 {{"dwa_dilation", "3"}, "tensor dwa_modules.alphas.5.weight has 4 weights, but of dilation 3 to 3"},
                 {{"dwa_period", "2"}, "tensor dwa_modules.alphas.1.weight is missing"},
                 {{"dwa_dilation", "two"}, "metadata dwa_dilation is 'two', expected a number from 1 on"},
                 {{"dwa_period", "0"}, "metadata dwa_period is '0', expected a number from 1 on"}};
    for (int i = 0; i < COUNT(cases); i++) {
        model_file f = file_of(6, by_3);
        const dd_text_pair meta[] = {{"num_heads", "2"}, cases[i].more};
        dd_model *m = NULL;
        dd_err err = {0};
        f.meta = meta, f.n_meta = 2;
        if (cases[i].part) {
            refused(&f, DD_ERR_FORMAT, cases[i].part);
            continue;
        }
        if (dd_model_open(&m, model_write("m.safetensors", &f), NULL, &err) != DD_OK) fail_msg("%s", err.text);
        assert_memory_equal(&m->cfg.dwa, &by_3, sizeof by_3);
        dd_model_close(&m);
    }
    model_file f = file_of(6, (dd_dwa){DD_DWA_EXPERIMENTS, 3, 1, 1});
    const dd_text_pair meta[] = {{"num_heads", "2"}, {"increase_T_every", "3"}};
    dd_model *m = NULL;
    dd_err err = {0};
    f.meta = meta, f.n_meta = 2;
    if (dd_model_open(&m, model_write("m.safetensors", &f), NULL, &err) != DD_OK) fail_msg("%s", err.text);
    assert_int_equal(m->cfg.dwa.names, DD_DWA_EXPERIMENTS);
    assert_int_equal(m->cfg.dwa.span, 3);
    dd_model_close(&m);
}

static void conversion_keeps_weights(void **state)
{
    (void)state;
    static const dd_dwa kinds[] = {{DD_DWA_PACKAGE, 1, 2, 3}, {DD_DWA_EXPERIMENTS, 2, 1, 1}};
    for (int i = 0; i < COUNT(kinds); i++) {
        model_file f = file_of(6, kinds[i]);
        char name[DD_DWA_NAME];
        dd_convert_report report;
        dd_tensors *file = NULL;
        dd_err err = {0};
        f.fine = true;
        dd_dwa_tensor(&f.cfg, 3, name);
        const char *in = model_write("m.safetensors", &f), *out = scratch("out.safetensors");
        const dd_convert_spec spec = {.in = in, .out = out, .dtype = "bf16"};
        if (dd_convert(&spec, &report, &err) != DD_OK) fail_msg("%s", err.text);
        assert_int_equal(dd_safetensors_open(&file, out, &err), DD_OK);
        assert_int_equal(dd_tensors_find(file, name)->dtype, DD_F32);
        assert_int_equal(dd_tensors_find(file, "blocks.0.mlp.fc1.weight")->dtype, DD_BF16);
        dd_tensors_close(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept),   cmocka_unit_test(changes_nothing), cmocka_unit_test(under_a_plan),
        cmocka_unit_test(contradictions), cmocka_unit_test(metadata),        cmocka_unit_test(conversion_keeps_weights),
    };
    return cmocka_run_group_tests_name("denseformer", tests, scratch_setup, scratch_teardown);
}
