/* SPDX-License-Identifier: MIT
 * What a session is to run: a model under a plan, with everything that lowering needs to know. */
#ifndef DD_HOST_EXEC_RUN_SPEC_H
#define DD_HOST_EXEC_RUN_SPEC_H

#include <stdbool.h>

#include "host/exec/slots.h"
#include "host/model/model.h"
#include "host/plan/plan.h"
#include "host/sample/philox.h"
#include "kernels/ops.h"

typedef struct dd_run_spec {
    const dd_model *model; /* borrowed */
    dd_format input;       /* format of GEMM inputs, which is the precision of the run */
    dd_format cache;       /* of kept branches and changes: float32 or bf16 */
    const dd_plan *plan;   /* borrowed */
    int max_images;        /* largest batch */
    float cfg_scale;       /* at guided rows of the plan */
    int cfg_channels;
    const float *coefs; /* [steps, DD_COEF_COUNT], borrowed; NULL: forward passes without a solver */
    dd_solver solver;
    bool want_x0;                  /* keep the predicted picture of every step */
    bool want_hits;                /* count how often each token was kept */
    bool want_hidden;              /* keep the tokens after every block */
    bool force_masks;              /* token decisions come from outside */
    bool op_by_op;                 /* ops are run one at a time, programs are not recorded */
    dd_draws draws;                /* whose numbers the op `noise` draws, where one of these is set: */
    bool draw_latents, draw_noise; /* the starting latents of a batch; the noise of every step */
} dd_run_spec;

/* The random stream is the backend's, not the host's. */
static inline bool dd_spec_draws(const dd_run_spec *s) { return s->draw_latents || s->draw_noise; }

/* Arrays of latents that the solver keeps from step to step: x0_1, x0_2, y_1 of the op `solve`. */
static inline int dd_spec_kept(const dd_run_spec *s)
{
    if (!s->coefs || !dd_solver_multistep(s->solver)) return 0;
    return s->solver == DD_SOLVER_UNIPC ? 3 : 1;
}

/* Attention reads rows, and of TF32 it knows nothing: there it computes in float32. */
static inline dd_format dd_spec_rows(const dd_run_spec *s)
{
    switch (s->input) {
    case DD_FMT_BF16:
    case DD_FMT_BF16_BLOCKS: return DD_FMT_BF16;
    case DD_FMT_F16: return DD_FMT_F16;
    default: return DD_FMT_F32;
    }
}

/* A buffer of the model, or behind these a slot (host/exec/slots.h). */
static inline dd_buffer dd_spec_buffer(const dd_run_spec *s, int buffer)
{
    const dd_model *m = s->model;
    if (buffer < m->n_buffers) return m->buffers[buffer];
    const dd_site *site = &m->sites[(buffer - m->n_buffers) / DD_SLOTS];
    const int slot = (buffer - m->n_buffers) % DD_SLOTS;
    dd_buffer b = {.name = site->name, .extent = DD_EXT_TOKEN, .width = 1, .dtype = DD_I32, .persistent = true};
    if (slot == DD_SLOT_COUNT) b.extent = DD_EXT_ONCE;
    else if (slot != DD_SLOT_IDX) b.width = m->buffers[site->out].width, b.dtype = DD_F32;
    return b;
}

/* Format of a buffer, and the elements from one row to the next. A kept OUTPUT is the residual stream, which is float32. */
static inline dd_format dd_spec_format(const dd_run_spec *s, int buffer)
{
    const int slot = buffer < s->model->n_buffers ? -1 : (buffer - s->model->n_buffers) % DD_SLOTS;
    if (slot == DD_SLOT_BRANCH || slot == DD_SLOT_CHANGE) return s->cache;
    switch (dd_spec_buffer(s, buffer).role) {
    case DD_ROLE_PLAIN: return DD_FMT_F32;
    case DD_ROLE_INPUT: return s->input;
    case DD_ROLE_ROWS: return dd_spec_rows(s);
    }
    return DD_FMT_F32;
}

/* Elements from one unit of a ROWS buffer to the next: of 16 bits, each begins a block of columns. */
static inline int64_t dd_spec_unit(const dd_run_spec *s, int buffer)
{
    const int64_t unit = dd_spec_buffer(s, buffer).unit;
    return dd_spec_rows(s) == DD_FMT_F32 ? unit : (unit + DD_BLOCK - 1) / DD_BLOCK * DD_BLOCK;
}

static inline int64_t dd_spec_ld(const dd_run_spec *s, int buffer)
{
    const dd_buffer b = dd_spec_buffer(s, buffer);
    if (b.unit) return b.width / b.unit * dd_spec_unit(s, buffer);
    if (dd_spec_format(s, buffer) != DD_FMT_BF16_BLOCKS) return b.width;
    return (b.width + DD_BLOCK - 1) / DD_BLOCK * DD_BLOCK;
}

/* What the steps do, where results are kept in the run's format. */
static inline dd_status dd_spec_actions(dd_actions *out, const dd_run_spec *s, dd_err *err)
{
    DD_TRY(dd_actions_build(out, s->plan, err));
    out->staged = s->cache != DD_FMT_F32;
    return DD_OK;
}

/* Rows of the largest batch: doubled if any step of these weights is guided. */
static inline int dd_spec_guided(const dd_run_spec *s)
{
    for (int i = 0; i < s->plan->n_steps; i++)
        if (s->plan->rows[i].guided && dd_plan_owns(s->plan, i)) return 1;
    return 0;
}

static inline int dd_spec_max_rows(const dd_run_spec *s) { return s->max_images * (dd_spec_guided(s) ? 2 : 1); }

/* Distinct labels of the largest batch, null included. */
static inline int dd_spec_max_labels(const dd_run_spec *s)
{
    const int classes = s->model->cfg.num_classes + 1;
    const int n = s->max_images + dd_spec_guided(s);
    return n < classes ? n : classes;
}

#endif
