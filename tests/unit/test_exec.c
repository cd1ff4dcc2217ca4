/* SPDX-License-Identifier: MIT
 * What happens before anything runs: which nodes a plan row keeps, where buffers lie, what the tables hold, what a run
 * will take, and which ops a backend must have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/exec/lower.h"
#include "host/exec/memory.h"
#include "host/exec/structure.h"
#include "tests/unit/exec_rig.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))
#define MAX_NODES 64

/* ---- structure ------------------------------------------------------------------------------------------------ */

static dd_actions actions_of(rig *r)
{
    dd_actions a;
    rig_must(r, dd_actions_build(&a, r->plan, &r->err));
    return a;
}

static dd_structure structure_of(rig *r, int step)
{
    dd_structure s;
    dd_actions a = actions_of(r);
    rig_must(r, dd_structure_build(&s, r->model, &a, step, false, &r->err));
    dd_actions_free(&a);
    return s;
}

/* Of a row without stores and reuse: its nodes are those of the model. */
static int kept(rig *r, int step, bool *keep)
{
    int n = 0;
    dd_structure s = structure_of(r, step);
    assert_int_equal(s.n, r->model->body.n);
    assert_true(s.n <= MAX_NODES);
    for (int i = 0; i < s.n; i++) n += keep[i] = s.at[i].runs;
    dd_structure_free(&s);
    return n;
}

static bool same_structure(rig *r, int a, int b)
{
    dd_actions actions = actions_of(r);
    const bool same = dd_same_structure(r->plan, &actions, a, b);
    dd_actions_free(&actions);
    return same;
}

static void nodes_of_a_row(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, "ref");
    const dd_model *m = r.model;
    bool keep[MAX_NODES];
    assert_int_equal(m->body.n, 20); /* embed, (4 + 5) per block, 3 of the last layer */
    assert_int_equal(kept(&r, 0, keep), 20);
    for (int site = 0; site < m->n_sites; site++) { /* SKIP removes a site's nodes and no other */
        dd_cell *c = dd_plan_cell(r.plan, 1, site), full = *c;
        c->op = DD_CELL_SKIP;
        kept(&r, 1, keep);
        for (int i = 0; i < m->body.n; i++) assert_int_equal(keep[i], m->body.at[i].site != site);
        *c = full;
    }
    for (int site = 0; site < m->n_sites; site++) dd_plan_cell(r.plan, 1, site)->op = DD_CELL_SKIP;
    assert_int_equal(kept(&r, 1, keep), 4);
    assert_int_equal(kept(&r, 2, keep), 20);
    dd_cell *c = dd_plan_cell(r.plan, 2, 1); /* a router whose rows nobody asks for */
    assert_int_equal(c->rows, DD_ROWS_ROUTED);
    c->rows = DD_ROWS_ALL, c->router = -1;
    assert_int_equal(kept(&r, 2, keep), 19);
    for (int i = 0; i < m->body.n; i++)
        assert_int_equal(keep[i], !(m->body.at[i].op == DD_OP_route && m->body.at[i].site == 1));
    rig_close(&r);
}

static void runs_like(const dd_model *m, const bool *want)
{
    dd_actions none = {0};
    dd_structure s;
    assert_int_equal(dd_structure_build(&s, m, &none, 0, false, NULL), DD_OK);
    assert_int_equal(s.n, m->body.n);
    for (int i = 0; i < s.n; i++) assert_int_equal(s.at[i].runs, want[i]);
    dd_structure_free(&s);
}

/* in -> a -> out, in -> b -> c (nobody reads c), a += b would keep b: dead nodes go, and what only they read. */
static void dead_nodes_leave(void **state)
{
    (void)state;
    enum { IN, A, B, C, OUT };
    static dd_buffer buffers[] = {{"in", DD_EXT_ROW, 8, DD_F32, true, DD_ROLE_PLAIN, 0},
                                  {"a", DD_EXT_ROW, 8, DD_F32, false, DD_ROLE_PLAIN, 0},
                                  {"b", DD_EXT_ROW, 8, DD_F32, false, DD_ROLE_PLAIN, 0},
                                  {"c", DD_EXT_ROW, 8, DD_F32, false, DD_ROLE_PLAIN, 0},
                                  {"out", DD_EXT_ROW, 8, DD_F32, true, DD_ROLE_PLAIN, 0}};
    dd_node nodes[] = {{.src = IN, .dst = A},
                       {.src = IN, .dst = B},
                       {.src = B, .dst = C},
                       {.src = A, .dst = OUT},
                       {.src = OUT, .dst = A}};
    dd_model m = {.buffers = buffers, .n_buffers = COUNT(buffers), .body = {nodes, COUNT(nodes)}, .buf_cond = IN};
    for (int i = 0; i < COUNT(nodes); i++) nodes[i].site = -1, nodes[i].op = DD_OP_unpatchify;
    const bool want[] = {true, false, false, true, false}; /* the last one writes what is not read again */
    runs_like(&m, want);
    nodes[2].op = DD_OP_gemm, nodes[2].epilogue = DD_EPI_RESIDUAL, nodes[2].dst = A; /* a += b */
    const bool added[] = {true, true, true, true, false};
    runs_like(&m, added);
    nodes[2].epilogue = DD_EPI_BIAS; /* a = b: what was in a before is dead */
    const bool overwritten[] = {false, true, true, true, false};
    runs_like(&m, overwritten);
}

/* ---- what is kept --------------------------------------------------------------------------------------------- */

/* Nodes that run, by op. */
static void count_ops(rig *r, int step, int count[DD_OP_COUNT])
{
    dd_structure s = structure_of(r, step);
    memset(count, 0, DD_OP_COUNT * sizeof *count);
    for (int i = 0; i < s.n; i++) count[s.at[i].node.op] += s.at[i].runs;
    dd_structure_free(&s);
}

/* A step that reuses everything: patch embedding, sums, the last layer. They are one op, and no router runs. */
static void reused_branches(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, "ref");
    int count[DD_OP_COUNT], n;
    dd_footprint f, none;
    rig_must(&r, dd_footprint_compute(&none, &r.spec, r.be, &r.err));
    assert_int_equal(none.slots, 0);
    rig_must(&r, dd_policy_fora(r.plan, r.model, 4, DD_REUSE_FROZEN, &r.err)); /* 0 and 3 compute */
    dd_actions actions = actions_of(&r);
    count_ops(&r, 1, count);
    assert_int_equal(count[DD_OP_gated_add], 4);
    assert_int_equal(count[DD_OP_route] + count[DD_OP_attention], 0);
    assert_int_equal(count[DD_OP_gemm] + count[DD_OP_adaln], 2);
    rig_must(&r, dd_lower_count(&n, &r.spec, &actions, 1, &r.err));
    assert_int_equal(n, 5);
    count_ops(&r, 0, count);
    assert_int_equal(count[DD_OP_gated_add], 4);
    assert_int_equal(count[DD_OP_route], 2);
    assert_true(dd_same_structure(r.plan, &actions, 0, 3)); /* nobody reads what step 3 keeps: it may keep it */
    assert_true(dd_same_structure(r.plan, &actions, 1, 2));
    assert_false(dd_same_structure(r.plan, &actions, 0, 1));
    rig_must(&r, dd_footprint_compute(&f, &r.spec, r.be, &r.err));
    assert_int_equal(f.programs, 2);
    const size_t branch = 3 * 16 * 64 * 4, list = 3 * 16 * 4 + DD_ALIGN; /* the MLPs' rows and their number */
    assert_int_equal(f.slots, 4 * branch + 2 * list);
    assert_true(f.activations <= none.activations);
    dd_actions_free(&actions);
    rig_close(&r);
}

/* What is replaced by a stored result is not computed, unless it is stored itself; stores that nobody reads are none. */
static void reused_results(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, "ref");
    int count[DD_OP_COUNT];
    dd_plan_cell(r.plan, 0, 0)->op = dd_plan_cell(r.plan, 0, 3)->op = DD_CELL_COMPUTE_STORE;
    dd_plan_cell(r.plan, 1, 3)->op = DD_CELL_REUSE_OUTPUT;
    dd_plan_cell(r.plan, 2, 0)->op = DD_CELL_COMPUTE_STORE;
    dd_plan_cell(r.plan, 2, 3)->op = DD_CELL_REUSE_OUTPUT;
    dd_plan_cell(r.plan, 3, 3)->op = DD_CELL_REUSE_OUTPUT;
    count_ops(&r, 0, count);
    assert_int_equal(count[DD_OP_copy], 1);
    assert_int_equal(count[DD_OP_gated_add], 0); /* of site 0 nothing is reused */
    count_ops(&r, 1, count);
    assert_int_equal(count[DD_OP_copy], 1);
    assert_int_equal(count[DD_OP_patch_embed] + count[DD_OP_attention] + count[DD_OP_route], 0);
    assert_true(same_structure(&r, 1, 2));
    dd_plan_cell(r.plan, 3, 0)->op = DD_CELL_REUSE_DELTA; /* now what step 2 stores is read */
    count_ops(&r, 2, count);
    assert_int_equal(count[DD_OP_patch_embed], 1);
    assert_int_equal(count[DD_OP_attention], 1);
    assert_int_equal(count[DD_OP_gated_add], 1);
    assert_int_equal(count[DD_OP_route], 0);
    rig_close(&r);
}

static void equal_structures(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, "ref");
    for (int a = 0; a < 4; a++) /* other timesteps, other units: the same program */
        for (int b = 0; b < 4; b++) assert_true(same_structure(&r, a, b));
    dd_plan_cell(r.plan, 1, 0)->units = 1;
    assert_true(same_structure(&r, 0, 1));
    for (int field = 0; field < 6; field++) {
        dd_plan_row *row = &r.plan->rows[1], old_row = *row;
        dd_cell *c = dd_plan_cell(r.plan, 1, 3), old = *c;
        switch (field) {
        case 0: row->guided = !row->guided; break;
        case 1: row->weight_set = 1; break;
        case 2: c->op = DD_CELL_SKIP; break;
        case 3: c->rows = DD_ROWS_ALL; break;
        case 4: c->router = 0; break;
        default: c->format = 1; break;
        }
        assert_false(same_structure(&r, 0, 1));
        assert_false(same_structure(&r, 1, 0));
        assert_true(same_structure(&r, 1, 1));
        *row = old_row, *c = old;
        assert_true(same_structure(&r, 0, 1));
    }
    rig_close(&r);
}

static void numbers_of_programs(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, "ref");
    static const struct {
        int lo, hi, programs;
        bool routed;
    } cases[] = {{-1, -1, 1, true}, {0, 999, 1, true}, {200, 700, 2, true}, {200, 700, 2, false}, {0, 999, 1, false}};
    dd_footprint f;
    for (int i = 0; i < COUNT(cases); i++) {
        rig_plan(&r, "20", cases[i].lo, cases[i].hi, cases[i].routed);
        rig_must(&r, dd_footprint_compute(&f, &r.spec, r.be, &r.err));
        assert_int_equal(f.programs, cases[i].programs);
    }
    dd_plan_cell(r.plan, 3, 0)->op = dd_plan_cell(r.plan, 9, 0)->op = DD_CELL_SKIP; /* one more, shared by two steps */
    rig_must(&r, dd_footprint_compute(&f, &r.spec, r.be, &r.err));
    assert_int_equal(f.programs, 2);
    rig_close(&r);
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

/* The arena in pieces of DD_ALIGN bytes, each with the buffer (+1) that wrote it last. */
typedef struct arena_map {
    rig *r;
    const int64_t *offset;
    int *owner;
} arena_map;

/* The pieces of a buffer. */
static int *pieces(const arena_map *m, const dd_step_node *node, int b, size_t *n)
{
    size_t bytes;
    if (m->offset[b] < 0) fail_msg("%s: buffer %s has no place", node->label, m->r->model->buffers[b].name);
    rig_must(m->r, dd_buffer_bytes(&m->r->spec, b, &bytes, &m->r->err));
    *n = bytes / DD_ALIGN;
    return m->owner + m->offset[b] / DD_ALIGN;
}

static void run_node(const arena_map *m, const dd_step_node *node, const dd_use *uses, int n)
{
    const dd_buffer *buffers = m->r->model->buffers;
    size_t count;
    for (int u = 0; u < n; u++) {
        const int b = uses[u].buffer;
        if (buffers[b].persistent || !uses[u].read) continue;
        const int *at = pieces(m, node, b, &count);
        for (size_t i = 0; i < count; i++)
            if (at[i] != b + 1)
                fail_msg("%s reads %s, but piece %zu was written by %s", node->label, buffers[b].name, i,
                         at[i] ? buffers[at[i] - 1].name : "nobody");
    }
    for (int u = 0; u < n; u++) { /* read or written: it is this buffer's now */
        if (buffers[uses[u].buffer].persistent) continue;
        int *at = pieces(m, node, uses[u].buffer, &count);
        for (size_t i = 0; i < count; i++) at[i] = uses[u].buffer + 1;
    }
    for (int u = 0; u < n; u++) { /* and none of the node's own lies on another */
        if (buffers[uses[u].buffer].persistent) continue;
        const int *at = pieces(m, node, uses[u].buffer, &count);
        for (size_t i = 0; i < count; i++)
            if (at[i] != uses[u].buffer + 1) fail_msg("%s: two of its buffers overlap", node->label);
    }
}

/* Runs the step's nodes over the map: whatever a node reads must still be there. */
static void run_on_map(rig *r, int step, const int64_t *offset, size_t arena)
{
    const dd_model *m = r->model;
    const arena_map map = {r, offset, calloc(arena / DD_ALIGN + 1, sizeof(int))};
    dd_structure s = structure_of(r, step);
    size_t sum = 0, largest = 0;
    assert_non_null(map.owner);
    for (int b = 0; b < m->n_buffers; b++) {
        size_t bytes;
        rig_must(r, dd_buffer_bytes(&r->spec, b, &bytes, &r->err));
        if (offset[b] < 0) continue;
        assert_false(m->buffers[b].persistent);
        assert_true(offset[b] % DD_ALIGN == 0 && bytes % DD_ALIGN == 0 && (size_t)offset[b] + bytes <= arena);
        sum += bytes;
    }
    for (int i = 0; i < s.n; i++) {
        dd_use uses[DD_MAX_USES];
        size_t at_once = 0;
        const dd_step_node *node = &s.at[i];
        const int n = node->runs ? dd_node_uses(m, node, uses) : 0;
        assert_true(n <= DD_MAX_USES);
        run_node(&map, node, uses, n);
        for (int u = 0; u < n; u++) {
            size_t count = 0;
            if (!m->buffers[uses[u].buffer].persistent) pieces(&map, node, uses[u].buffer, &count);
            at_once += count * DD_ALIGN;
        }
        if (at_once > largest) largest = at_once;
    }
    assert_true(largest > 0 && arena >= largest);
    if (!(arena < sum)) fail_msg("%zu bytes of arena for %zu of buffers", arena, sum);
    free(map.owner);
    dd_structure_free(&s);
}

static void place(rig *r, int step, int64_t *offset, size_t *arena)
{
    dd_actions a = actions_of(r);
    rig_must(r, dd_memory_place(&r->spec, &a, step, offset, arena, &r->err));
    dd_actions_free(&a);
}

static void placements_never_overlap(void **state)
{
    (void)state;
    static const char *const models[] = {MODEL_D64, MODEL_D128};
    for (int f = 0; f < 2; f++) {
        rig r = rig_open(models[f], "ref");
        int64_t offset[32];
        size_t arena;
        assert_true(r.model->n_buffers <= 32);
        rig_plan(&r, "4", 300, 999, true);
        dd_plan_cell(r.plan, 1, 0)->op = DD_CELL_SKIP;
        dd_plan_cell(r.plan, 1, 3)->op = DD_CELL_SKIP;
        dd_plan_cell(r.plan, 2, 1)->rows = DD_ROWS_ALL;
        for (int i = 0; i < r.model->n_sites; i += 2) dd_plan_cell(r.plan, 3, i)->op = DD_CELL_SKIP;
        for (int images = 1; images <= 5; images += 2)
            for (int step = 0; step < 4; step++) {
                r.spec.max_images = images;
                place(&r, step, offset, &arena);
                run_on_map(&r, step, offset, arena);
            }
        for (int i = 1; i < r.model->n_sites; i += 2) dd_plan_cell(r.plan, 3, i)->op = DD_CELL_SKIP;
        place(&r, 3, offset, &arena); /* what nobody uses has no place */
        for (int b = 0; b < r.model->n_buffers; b++) {
            const char *name = r.model->buffers[b].name;
            const bool used = strcmp(name, "x") == 0 || strcmp(name, "h") == 0 || strcmp(name, "fin") == 0;
            assert_int_equal(offset[b] >= 0, used);
        }
        rig_close(&r);
    }
}

static void sizes_of_buffers(void **state)
{
    (void)state;
    rig r = rig_open(MODEL_D64, "ref");
    size_t bytes, guided;
    const int x = r.model->sites[0].out, latents = r.model->buf_latents, cond = r.model->buf_cond;
    rig_must(&r, dd_buffer_bytes(&r.spec, x, &bytes, &r.err));
    assert_int_equal(bytes, 3 * 16 * 64 * 4);
    rig_must(&r, dd_buffer_bytes(&r.spec, cond, &bytes, &r.err));
    assert_int_equal(dd_cond_slots(&r.spec), 4); /* all steps of the plan */
    assert_int_equal(bytes, 4 * 3 * r.model->cond_width * 4);
    rig_plan(&r, "100", 500, 500 + 10, true); /* one guided step is enough for rows and labels of all */
    rig_must(&r, dd_buffer_bytes(&r.spec, x, &guided, &r.err));
    assert_int_equal(guided, 2 * 3 * 16 * 64 * 4);
    rig_must(&r, dd_buffer_bytes(&r.spec, latents, &bytes, &r.err));
    assert_int_equal(bytes, 3 * 4 * 64 * 4);
    assert_int_equal(dd_spec_max_labels(&r.spec), 4);
    assert_int_equal(dd_cond_slots(&r.spec), DD_COND_MAX_SLOTS);
    r.spec.max_images = 1000; /* no more labels than there are: 10 and the null label */
    assert_int_equal(dd_spec_max_labels(&r.spec), 11);
    dd_model wide = *r.model;
    wide.cond_width = (int64_t)(DD_COND_BYTES / sizeof(float) / 11 / 5);
    r.spec.model = &wide;
    assert_int_equal(dd_cond_slots(&r.spec), 5);
    wide.cond_width *= 1000;
    assert_int_equal(dd_cond_slots(&r.spec), 1);
    dd_buffer huge = {"huge", DD_EXT_TOKEN, INT64_MAX / 2, DD_F32, true, DD_ROLE_PLAIN, 0};
    wide.buffers = &huge;
    rig_refused(&r, dd_buffer_bytes(&r.spec, 0, &bytes, &r.err), DD_ERR_ARG,
                "a batch of 1000 images overflows the size of buffer huge");
    rig_close(&r);
}

/* ---- tables --------------------------------------------------------------------------------------------------- */

/* The chunks of an axis of `extent` elements that belong to units of `mask`, found chunk by chunk. */
static int chunks_of(const dd_slice_map *map, int units, uint64_t mask, int64_t extent, int32_t *out)
{
    int n = 0;
    for (int64_t c = 0; c < extent / DD_CHUNK; c++)
        if (c * DD_CHUNK < units * map->unit_size && mask >> (c * DD_CHUNK / map->unit_size) & 1) out[n++] = (int32_t)c;
    return n;
}

static uint64_t mask_at(const rig *r, int step, int site)
{
    const dd_cell *c = dd_plan_cell(r->plan, step, site);
    return c->op == DD_CELL_COMPUTE || c->op == DD_CELL_COMPUTE_STORE ? c->units : 0;
}

static void check_axis(const rig *r, const dd_tables *t, const dd_slice_map *map, const dd_axis_table *axis,
                       int64_t extent, int64_t *used)
{
    const int steps = r->plan->n_steps;
    bool whole = true;
    if (map->site >= 0)
        for (int s = 0; s < steps; s++) {
            const uint64_t all = dd_units_all(r->model->sites[map->site].units);
            whole = whole && (mask_at(r, s, map->site) == all || mask_at(r, s, map->site) == 0);
        }
    assert_int_equal(axis->list_at < 0, whole);
    assert_int_equal(axis->offset_at < 0, whole);
    if (whole) return;
    *used += steps;
    for (int s = 0; s < steps; s++) {
        int32_t want[512];
        const uint64_t mask = mask_at(r, s, map->site);
        const int n = chunks_of(map, r->model->sites[map->site].units, mask, extent, want);
        const int32_t *list = t->ints + axis->list_at + t->ints[axis->offset_at + s];
        assert_int_equal(list[0], n);
        assert_memory_equal(list + 1, want, (size_t)n * sizeof *want);
        int first = 0; /* equal masks share one list */
        while (mask_at(r, first, map->site) != mask) first++;
        if (first < s) assert_int_equal(t->ints[axis->offset_at + s], t->ints[axis->offset_at + first]);
        else *used += 1 + n;
    }
}

static void lists_of_slices(void **state)
{
    (void)state;
    static const char *const models[] = {MODEL_D64, MODEL_D128};
    for (int f = 0; f < 2; f++) {
        rig r = rig_open(models[f], "ref");
        rig_plan(&r, "50", -1, -1, true);
        uint32_t random = 12345;
        for (int s = 0; s < 50; s++)
            for (int i = 0; i < r.model->n_sites; i++) {
                dd_cell *c = dd_plan_cell(r.plan, s, i);
                random = random * 1664525u + 1013904223u;
                c->units = i == 0 ? 15 : 1 + (random >> 16) % 15; /* site 0 is whole wherever it computes */
                if (s % 7 == 2 && i % 2 == 0) c->op = DD_CELL_COMPUTE_STORE;
                if (s % 7 == 3) c->op = i % 2 ? DD_CELL_SKIP : DD_CELL_REUSE_BRANCH, c->units = i == 0 ? 1 : c->units;
            }
        dd_tables t;
        dd_actions actions = actions_of(&r);
        rig_must(&r, dd_tables_build(&t, &r.spec, &actions, 1, &r.err));
        /* slots; of the conditioning, parts: two vectors, one, three */
        int64_t used = 50 + 50 + 3 + (int64_t)6 * r.model->cfg.hidden_size / DD_CHUNK;
        for (int s = 0, first = 0, last = 0; s < 50; s++) { /* what computes comes first, in order */
            if (s == 32) first = last = 0;
            const int n = s < 32 ? 32 - 5 : 18 - 2;
            assert_int_equal(t.ints[t.slot_at + s], s % 7 == 3 ? n + last++ : first++);
        }
        for (int w = 0; w < r.model->n_weights; w++) {
            const dd_weight *weight = &r.model->weights[w];
            check_axis(&r, &t, &weight->n_map, &t.n_axis[w], weight->desc.n, &used);
            check_axis(&r, &t, &weight->k_map, &t.k_axis[w], weight->desc.k, &used);
        }
        assert_int_equal(t.n_ints, used);
        dd_tables sizes;
        rig_must(&r, dd_tables_build(&sizes, &r.spec, &actions, 0, &r.err));
        assert_null(sizes.temb);
        assert_non_null(t.temb);
        assert_int_equal(dd_tables_bytes(&sizes, &r.spec), dd_tables_bytes(&t, &r.spec));
        dd_tables_fini(&sizes);
        dd_actions_free(&actions);
        dd_tables_fini(&t);
        dd_tables_fini(&t);
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_of_a_row),           cmocka_unit_test(dead_nodes_leave),
        cmocka_unit_test(reused_branches),          cmocka_unit_test(reused_results),
        cmocka_unit_test(equal_structures),         cmocka_unit_test(numbers_of_programs),
        cmocka_unit_test(placements_never_overlap), cmocka_unit_test(sizes_of_buffers),
        cmocka_unit_test(lists_of_slices),
    };
    return cmocka_run_group_tests_name("exec", tests, NULL, NULL);
}
