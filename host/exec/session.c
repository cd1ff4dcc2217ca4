/* SPDX-License-Identifier: MIT
 * Allocation, batches and stepping of a session. */
#include "host/exec/session.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/sizes.h"
#include "host/exec/lower.h"
#include "host/exec/memory.h"
#include "host/exec/structure.h"

/* Steps that share a structure. */
typedef struct variant {
    int first_step;
    int64_t *offset; /* [n_buffers] places in the arena */
    dd_program program;
} variant;

struct dd_session {
    dd_run_spec spec;
    dd_backend *be;
    const dd_weight_store *weights;
    dd_tables tables;
    dd_actions actions;
    variant *variants;
    int n_variants;
    int *variant_of;       /* [steps] -1: of another weight set */
    dd_program *prologues; /* [n_chunks]: at the first chunk of those that compute the same */
    int *prologue_of;      /* [n_chunks] */
    dd_program start;
    size_t bytes;

    void *arena;
    void **persistent; /* of the model and slots */
    void **bound;      /* the same: scratch for lowering */
    void *d_ints, *d_temb, *d_coefs, *d_row_cond, *d_labels;
    void *d_streams;       /* [2, max_images], of the latents and of the steps; NULL: nothing is drawn */
    void *io[DD_IO_COUNT]; /* LATENTS and OUT are persistent buffers of the model */

    int images, n_labels;             /* of the current batch */
    int low_images, low_labels;       /* those that the programs were made for; 0: there are none */
    int recorded;                     /* programs, since the session opened */
    int cond_chunk;                   /* chunk of steps whose conditioning is in the table, -1: none */
    int32_t *host_rows, *host_labels; /* [2*max_images], [max_labels] */
    dd_noise_stream *host_streams;    /* [2, max_images] */
};

/* ---- footprint ------------------------------------------------------------------------------------------------ */

static size_t io_bytes(const dd_run_spec *spec, dd_io what, size_t images, size_t rows)
{
    const dd_config *c = &spec->model->cfg;
    const size_t latent = (size_t)c->latent_count * sizeof(float), tokens = rows * (size_t)c->tokens;
    const size_t routers = (size_t)spec->model->n_routers;
    switch (what) {
    case DD_IO_LATENTS:
    case DD_IO_NOISE:
    case DD_IO_X0: return images * latent;
    case DD_IO_KEPT_X: return (size_t)dd_spec_kept(spec) * images * latent;
    case DD_IO_OUT: return rows * latent / (size_t)c->in_channels * (size_t)c->out_channels;
    case DD_IO_MASK:
    case DD_IO_FORCED: return routers * tokens;
    case DD_IO_HITS: return tokens * sizeof(int32_t);
    case DD_IO_KEPT: return routers * (size_t)spec->plan->n_steps * sizeof(int32_t);
    case DD_IO_HIDDEN: return (size_t)c->depth * tokens * (size_t)c->hidden_size * sizeof(float);
    case DD_IO_COUNT: break;
    }
    return 0;
}

static bool io_wanted(const dd_run_spec *spec, dd_io what)
{
    switch (what) {
    case DD_IO_NOISE: return spec->coefs != NULL;
    case DD_IO_X0: return spec->want_x0;
    case DD_IO_KEPT_X: return dd_spec_kept(spec) > 0;
    case DD_IO_MASK:
    case DD_IO_KEPT: return spec->model->n_routers > 0;
    case DD_IO_FORCED: return spec->force_masks && spec->model->n_routers > 0;
    case DD_IO_HITS: return spec->want_hits;
    case DD_IO_HIDDEN: return spec->want_hidden;
    default: return false; /* LATENTS, OUT: buffers of the model */
    }
}

static size_t streams_bytes(const dd_run_spec *spec)
{
    return dd_spec_draws(spec) ? 2 * (size_t)spec->max_images * sizeof(dd_noise_stream) : 0;
}

static dd_limits limits_of(const dd_config *c)
{
    return (dd_limits){
        .tokens = c->tokens, .head_dim = c->head_dim, .router_hidden = c->router_hidden, .width = c->hidden_size};
}

static void find_variants(const dd_plan *plan, const dd_actions *actions, int *variant_of, int *first_step, int *n)
{
    *n = 0;
    for (int s = 0; s < plan->n_steps; s++) {
        int v = 0;
        variant_of[s] = -1;
        if (!dd_plan_owns(plan, s)) continue;
        while (v < *n && !dd_same_structure(plan, actions, first_step[v], s)) v++;
        if (v == *n) first_step[(*n)++] = s;
        variant_of[s] = v;
    }
}

/* Of the slots that the plan needs. */
static dd_status slots_bytes(const dd_run_spec *spec, const dd_actions *actions, size_t *sum, dd_err *err)
{
    *sum = 0;
    for (int b = spec->model->n_buffers; b < dd_buffer_count(spec->model); b++) {
        size_t bytes;
        if (!dd_slot_wanted(spec->model, actions, b)) continue;
        DD_TRY(dd_buffer_bytes(spec, b, &bytes, err));
        *sum += bytes;
    }
    return DD_OK;
}

static bool records(const dd_run_spec *spec, const dd_backend *be) { return be->record && !spec->op_by_op; }

dd_status dd_footprint_compute(dd_footprint *out, const dd_run_spec *spec, dd_backend *be, dd_err *err)
{
    const dd_model *m = spec->model;
    const dd_limits limits = limits_of(&m->cfg);
    const int steps = spec->plan->n_steps;
    dd_tables tables = {0};
    dd_actions actions = {0};
    dd_status st = DD_OK;
    memset(out, 0, sizeof *out);
    int *of = calloc((size_t)steps * 2, sizeof *of);
    int64_t *offset = calloc((size_t)m->n_buffers, sizeof *offset);
    if (!of || !offset) DD_TRY_GOTO(st, DD_FAIL(err, DD_ERR_NOMEM, "out of memory for an estimate"), done);
    DD_TRY_GOTO(st, dd_spec_actions(&actions, spec, err), done);
    DD_TRY_GOTO(st, slots_bytes(spec, &actions, &out->slots, err), done);
    find_variants(spec->plan, &actions, of, of + steps, &out->programs);
    for (int v = 0; v < out->programs; v++) {
        size_t bytes;
        int n_ops;
        DD_TRY_GOTO(st, dd_memory_place(spec, &actions, of[steps + v], offset, &bytes, err), done);
        if (bytes > out->activations) out->activations = bytes;
        DD_TRY_GOTO(st, dd_lower_count(&n_ops, spec, &actions, of[steps + v], err), done);
        if (records(spec, be)) out->graph_ops += n_ops;
    }
    out->graphs = (size_t)out->graph_ops * DD_GRAPH_NODE_BYTES;
    for (int b = 0; b < m->n_buffers; b++) {
        size_t bytes;
        if (!m->buffers[b].persistent) continue;
        DD_TRY_GOTO(st, dd_buffer_bytes(spec, b, &bytes, err), done);
        if (b == m->buf_cond || b == m->buf_cond_c) out->cond += bytes;
        else out->latents += bytes;
    }
    DD_TRY_GOTO(st, dd_tables_build(&tables, spec, &actions, 0, err), done);
    out->tables = dd_tables_bytes(&tables, spec) + streams_bytes(spec);
    for (int i = 0; i < DD_IO_COUNT; i++)
        if (io_wanted(spec, (dd_io)i))
            out->latents += io_bytes(spec, (dd_io)i, (size_t)spec->max_images, (size_t)dd_spec_max_rows(spec));
    out->scratch = be->scratch_bytes(be, &limits);
done:
    dd_tables_fini(&tables);
    dd_actions_free(&actions);
    free(of);
    free(offset);
    return st;
}

/* ---- opening -------------------------------------------------------------------------------------------------- */

static dd_status device(dd_session *s, size_t bytes, const void *src, void **out, dd_err *err)
{
    DD_TRY(s->be->alloc(s->be, bytes, out, err));
    s->bytes += bytes;
    return src ? s->be->upload(s->be, *out, src, bytes, err) : DD_OK;
}

static dd_status alloc_host(dd_session *s, dd_err *err)
{
    const size_t steps = (size_t)s->spec.plan->n_steps, buffers = (size_t)dd_buffer_count(s->spec.model);
    s->variant_of = calloc(steps, sizeof *s->variant_of);
    s->variants = calloc(steps, sizeof *s->variants);
    s->persistent = calloc(buffers, sizeof *s->persistent);
    s->bound = calloc(buffers, sizeof *s->bound);
    s->host_rows = calloc((size_t)s->spec.max_images * 2, sizeof *s->host_rows);
    s->host_labels = calloc((size_t)dd_spec_max_labels(&s->spec), sizeof *s->host_labels);
    s->host_streams = calloc((size_t)s->spec.max_images * 2, sizeof *s->host_streams);
    if (!s->variant_of || !s->variants || !s->persistent || !s->bound || !s->host_rows || !s->host_labels ||
        !s->host_streams)
        return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a session of %zu steps", steps);
    return DD_OK;
}

static dd_status open_variants(dd_session *s, dd_err *err)
{
    const int steps = s->spec.plan->n_steps;
    size_t arena = 0, bytes = 0;
    int *first = calloc((size_t)steps, sizeof *first);
    if (!first) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a session");
    dd_status st = dd_spec_actions(&s->actions, &s->spec, err);
    if (st == DD_OK) find_variants(s->spec.plan, &s->actions, s->variant_of, first, &s->n_variants);
    for (int v = 0; v < s->n_variants && st == DD_OK; v++) {
        s->variants[v].first_step = first[v];
        s->variants[v].offset = calloc((size_t)s->spec.model->n_buffers, sizeof(int64_t));
        if (!s->variants[v].offset) st = DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a session");
        else st = dd_memory_place(&s->spec, &s->actions, first[v], s->variants[v].offset, &bytes, err);
        if (bytes > arena) arena = bytes;
    }
    free(first);
    DD_TRY(st);
    return device(s, arena, NULL, &s->arena, err);
}

static dd_status open_prologues(dd_session *s, dd_err *err)
{
    const int n = s->tables.cond.n_chunks;
    s->prologues = calloc((size_t)n, sizeof *s->prologues);
    s->prologue_of = calloc((size_t)n, sizeof *s->prologue_of);
    if (!s->prologues || !s->prologue_of) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a session");
    for (int i = 0; i < n; i++)
        while (!dd_cond_same(&s->tables.cond, s->prologue_of[i], i)) s->prologue_of[i]++;
    return DD_OK;
}

static dd_status open_buffers(dd_session *s, dd_err *err)
{
    const dd_model *m = s->spec.model;
    const size_t steps = (size_t)s->spec.plan->n_steps;
    for (int b = 0; b < dd_buffer_count(m); b++) {
        size_t bytes;
        if (b < m->n_buffers ? !m->buffers[b].persistent : !dd_slot_wanted(m, &s->actions, b)) continue;
        DD_TRY(dd_buffer_bytes(&s->spec, b, &bytes, err));
        DD_TRY(device(s, bytes, NULL, &s->persistent[b], err));
    }
    s->io[DD_IO_LATENTS] = s->persistent[m->buf_latents];
    s->io[DD_IO_OUT] = s->persistent[m->buf_out];
    for (int i = 0; i < DD_IO_COUNT; i++) {
        const size_t bytes = io_bytes(&s->spec, (dd_io)i, (size_t)s->spec.max_images,
                                      (size_t)dd_spec_max_rows(&s->spec));
        if (io_wanted(&s->spec, (dd_io)i)) DD_TRY(device(s, bytes, NULL, &s->io[i], err));
    }
    DD_TRY(dd_tables_build(&s->tables, &s->spec, &s->actions, 1, err));
    DD_TRY(open_prologues(s, err));
    DD_TRY(device(s, (size_t)s->tables.n_ints * sizeof(int32_t), s->tables.ints, &s->d_ints, err));
    DD_TRY(device(s, steps * (size_t)m->cfg.hidden_size * sizeof(float), s->tables.temb, &s->d_temb, err));
    if (s->spec.coefs) DD_TRY(device(s, steps * DD_COEF_COUNT * sizeof(float), s->spec.coefs, &s->d_coefs, err));
    if (streams_bytes(&s->spec)) DD_TRY(device(s, streams_bytes(&s->spec), NULL, &s->d_streams, err));
    DD_TRY(device(s, (size_t)s->spec.max_images * 2 * sizeof(int32_t), NULL, &s->d_row_cond, err));
    return device(s, (size_t)dd_spec_max_labels(&s->spec) * sizeof(int32_t), NULL, &s->d_labels, err);
}

dd_status dd_session_open(dd_session **out, const dd_run_spec *spec, dd_backend *be, const dd_weight_store *weights,
                          dd_err *err)
{
    const dd_limits limits = limits_of(&spec->model->cfg);
    dd_session *s = calloc(1, sizeof *s);
    dd_status st;
    *out = NULL;
    if (!s) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory for a session");
    s->spec = *spec;
    s->be = be;
    s->weights = weights;
    DD_TRY_GOTO(st, alloc_host(s, err), fail);
    DD_TRY_GOTO(st, open_variants(s, err), fail);
    DD_TRY_GOTO(st, open_buffers(s, err), fail);
    DD_TRY_GOTO(st, be->reserve(be, &limits, err), fail);
    *out = s;
    return DD_OK;
fail:
    dd_session_close(&s);
    return st;
}

static void free_program(dd_session *s, dd_program *p)
{
    if (p->recorded) s->be->forget(s->be, p);
    dd_program_free(p);
}

static void free_prologues(dd_session *s)
{
    for (int i = 0; s->prologues && i < s->tables.cond.n_chunks; i++) free_program(s, &s->prologues[i]);
}

static void free_programs(dd_session *s)
{
    for (int v = 0; v < s->n_variants; v++) free_program(s, &s->variants[v].program);
    free_prologues(s);
    free_program(s, &s->start);
}

void dd_session_close(dd_session **session)
{
    dd_session *s = *session;
    if (!s) return;
    dd_backend *be = s->be;
    (void)be->sync(be, NULL); /* a run that was stopped may still use what goes now */
    free_programs(s);
    for (int v = 0; v < s->n_variants; v++) free(s->variants[v].offset);
    for (int b = 0; s->persistent && b < dd_buffer_count(s->spec.model); b++) be->release(be, s->persistent[b]);
    for (int i = 0; i < DD_IO_COUNT; i++)
        if (i != DD_IO_LATENTS && i != DD_IO_OUT) be->release(be, s->io[i]);
    void *const blocks[] = {s->arena, s->d_ints, s->d_temb, s->d_coefs, s->d_row_cond, s->d_labels, s->d_streams};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) be->release(be, blocks[i]);
    dd_tables_fini(&s->tables);
    dd_actions_free(&s->actions);
    free(s->prologues);
    free(s->prologue_of);
    free(s->variant_of);
    free(s->variants);
    free(s->persistent);
    free(s->bound);
    free(s->host_rows);
    free(s->host_labels);
    free(s->host_streams);
    free(s);
    *session = NULL;
}

size_t dd_session_bytes(const dd_session *s) { return s->bytes; }

/* ---- batches and steps ---------------------------------------------------------------------------------------- */

/* Which entry of host_labels holds a label; appends it if it is new. */
static int32_t label_index(dd_session *s, int label)
{
    for (int i = 0; i < s->n_labels; i++)
        if (s->host_labels[i] == label) return i;
    s->host_labels[s->n_labels] = label;
    return s->n_labels++;
}

static dd_status upload_labels(dd_session *s, int images, const int *labels, dd_err *err)
{
    const int null_label = s->spec.model->cfg.num_classes;
    s->n_labels = 0;
    for (int i = 0; i < images; i++) {
        if (labels[i] < 0 || labels[i] > null_label)
            return DD_FAIL(err, DD_ERR_ARG, "label %d is out of range: 0 to %d, %d is the null label", labels[i],
                           null_label, null_label);
        s->host_rows[i] = label_index(s, labels[i]);
    }
    if (dd_spec_guided(&s->spec)) {
        const int32_t null_index = label_index(s, null_label);
        for (int i = 0; i < images; i++) s->host_rows[images + i] = null_index;
    }
    DD_TRY(s->be->upload(s->be, s->d_row_cond, s->host_rows, (size_t)images * 2 * sizeof(int32_t), err));
    return s->be->upload(s->be, s->d_labels, s->host_labels, (size_t)s->n_labels * sizeof(int32_t), err);
}

static dd_binding binding(const dd_session *s)
{
    const dd_noise_stream *streams = s->d_streams;
    return (dd_binding){.spec = &s->spec,
                        .actions = &s->actions,
                        .ops = s->be->ops,
                        .backend_name = s->be->name,
                        .weights = s->weights,
                        .tables = &s->tables,
                        .ints = s->d_ints,
                        .temb = s->d_temb,
                        .coefs = s->d_coefs,
                        .buffer = s->bound,
                        .images = s->images,
                        .n_labels = s->n_labels,
                        .row_cond = s->d_row_cond,
                        .labels = s->d_labels,
                        .noise = s->io[DD_IO_NOISE],
                        .x0 = s->io[DD_IO_X0],
                        .kept_x = s->io[DD_IO_KEPT_X],
                        .streams = {streams, streams ? streams + s->spec.max_images : NULL},
                        .forced = s->io[DD_IO_FORCED],
                        .mask = s->io[DD_IO_MASK],
                        .kept = s->io[DD_IO_KEPT],
                        .hits = s->io[DD_IO_HITS],
                        .hidden = s->io[DD_IO_HIDDEN]};
}

/* Programs of the steps: they depend on the number of images. What runs once a step is worth being recorded. */
static dd_status lower_images(dd_session *s, dd_err *err)
{
    const dd_model *m = s->spec.model;
    const dd_binding b = binding(s);
    if (s->low_images && records(&s->spec, s->be)) DD_TRY(s->be->sync(s->be, err)); /* a replay may be under way */
    s->low_images = 0;
    for (int v = 0; v < s->n_variants; v++) {
        dd_program *program = &s->variants[v].program;
        free_program(s, program);
        for (int i = 0; i < dd_buffer_count(m); i++) {
            const int64_t at = i < m->n_buffers ? s->variants[v].offset[i] : -1;
            s->bound[i] = s->persistent[i] ? s->persistent[i] : at >= 0 ? (char *)s->arena + at : NULL;
        }
        DD_TRY(dd_lower_body(program, &b, s->variants[v].first_step, err));
        if (!records(&s->spec, s->be)) continue;
        DD_TRY(s->be->record(s->be, program, err));
        s->recorded++;
    }
    free_program(s, &s->start);
    DD_TRY(dd_lower_start(&s->start, &b, err));
    s->low_images = s->images;
    return DD_OK;
}

/* What depends on the number of distinct labels: the prologues, and where the conditioning of a step begins. */
static dd_status lower_labels(dd_session *s, dd_err *err)
{
    const dd_binding b = binding(s);
    const size_t steps = (size_t)s->spec.plan->n_steps;
    int32_t *slot = s->tables.ints + s->tables.slot_at;
    s->low_labels = 0;
    free_prologues(s);
    for (int i = 0; i < s->tables.cond.n_chunks; i++)
        if (s->prologue_of[i] == i) DD_TRY(dd_lower_prologue(&s->prologues[i], &b, i, err));
    for (size_t i = 0; i < steps; i++) slot[i] = s->tables.cond.place[i] * s->n_labels;
    DD_TRY(s->be->upload(s->be, (int32_t *)s->d_ints + s->tables.slot_at, slot, steps * sizeof *slot, err));
    s->low_labels = s->n_labels;
    return DD_OK;
}

dd_status dd_session_batch(dd_session *s, int images, const int *labels, dd_err *err)
{
    if (images < 1 || images > s->spec.max_images)
        return DD_FAIL(err, DD_ERR_INTERNAL, "a batch of %d images in a session of at most %d", images,
                       s->spec.max_images);
    DD_TRY(upload_labels(s, images, labels, err));
    s->images = images;
    s->cond_chunk = -1;
    if (images != s->low_images) DD_TRY(lower_images(s, err));
    if (s->n_labels != s->low_labels) DD_TRY(lower_labels(s, err));
    const int rows = dd_spec_max_rows(&s->spec);
    for (int i = DD_IO_HITS; i <= DD_IO_KEPT; i++)
        if (s->io[i]) DD_TRY(s->be->clear(s->be, s->io[i], dd_session_io_bytes(s, (dd_io)i, rows), err));
    return DD_OK;
}

dd_status dd_session_seed(dd_session *s, int64_t first, dd_err *err)
{
    dd_noise_stream *steps = s->host_streams + s->spec.max_images;
    dd_draws_streams(&s->spec.draws, first, s->images, s->host_streams, steps);
    DD_TRY(s->be->upload(s->be, s->d_streams, s->host_streams, streams_bytes(&s->spec), err));
    return s->be->run(s->be, &s->start, 0, err);
}

size_t dd_session_io_bytes(const dd_session *s, dd_io what, int rows)
{
    return io_bytes(&s->spec, what, (size_t)s->images, (size_t)rows);
}

void *dd_session_io(const dd_session *s, dd_io what) { return s->io[what]; }

dd_status dd_session_put(dd_session *s, dd_io what, int rows, const void *src, dd_err *err)
{
    return s->be->upload(s->be, s->io[what], src, dd_session_io_bytes(s, what, rows), err);
}

dd_status dd_session_get(dd_session *s, dd_io what, int rows, void *dst, dd_err *err)
{
    return s->be->download(s->be, dst, s->io[what], dd_session_io_bytes(s, what, rows), err);
}

int dd_session_parts(dd_session *s, int step, dd_part *part)
{
    const int slots = s->tables.cond.slots, chunk = step / slots;
    int n = 0;
    if (chunk != s->cond_chunk) part[n++] = (dd_part){&s->prologues[s->prologue_of[chunk]], chunk * slots};
    s->cond_chunk = chunk;
    part[n++] = (dd_part){&s->variants[s->variant_of[step]].program, step};
    return n;
}

bool dd_session_routes(const dd_session *s, int step, int site)
{
    const dd_program *p = &s->variants[s->variant_of[step]].program;
    for (int i = 0; i < p->n_ops; i++)
        if (p->ops[i].id == DD_OP_route && p->ops[i].site == site) return true;
    return false;
}

dd_backend *dd_session_backend(const dd_session *s) { return s->be; }

const dd_weight_store *dd_session_weights(const dd_session *s) { return s->weights; }

const dd_run_spec *dd_session_spec(const dd_session *s) { return &s->spec; }

dd_graphs dd_session_graphs(const dd_session *s)
{
    dd_graphs g = {.programs = s->n_variants, .recorded = s->recorded};
    for (int v = 0; v < s->n_variants; v++) {
        g.live += s->variants[v].program.recorded != NULL;
        g.nodes += s->variants[v].program.n_nodes;
    }
    return g;
}

dd_status dd_session_step(dd_session *s, int step, dd_err *err)
{
    dd_part part[DD_MAX_PARTS];
    const int n = dd_session_parts(s, step, part);
    for (int i = 0; i < n; i++) DD_TRY(s->be->run(s->be, part[i].program, part[i].step, err));
    return DD_OK;
}
