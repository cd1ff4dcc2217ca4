/* SPDX-License-Identifier: MIT
 * Sizes and lives of a model's buffers. */
#include "host/exec/memory.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/sizes.h"
#include "host/exec/cond.h"
#include "host/exec/place.h"

static size_t extent(const dd_run_spec *spec, dd_extent e)
{
    const size_t rows = (size_t)dd_spec_max_rows(spec);
    switch (e) {
    case DD_EXT_IMAGE: return (size_t)spec->max_images;
    case DD_EXT_ROW: return rows;
    case DD_EXT_TOKEN: return rows * (size_t)spec->model->cfg.tokens;
    case DD_EXT_COND: return (size_t)dd_cond_slots(spec) * (size_t)dd_spec_max_labels(spec);
    case DD_EXT_STEP: return (size_t)spec->plan->n_steps;
    case DD_EXT_ONCE: return 1;
    }
    return 0;
}

dd_status dd_buffer_bytes(const dd_run_spec *spec, int b, size_t *bytes, dd_err *err)
{
    const dd_buffer buf = dd_spec_buffer(spec, b);
    const dd_format format = dd_spec_format(spec, b);
    const dd_dtype dtype = format == DD_FMT_F32 ? buf.dtype : dd_format_dtype(format);
    size_t n, rows = extent(spec, buf.extent);
    if ((format == DD_FMT_BF16_BLOCKS && !dd_align_size(rows, DD_BLOCK, &rows)) ||
        !dd_mul_size(rows, (size_t)dd_spec_ld(spec, b), &n) || !dd_mul_size(n, dd_dtype_bytes(dtype), &n) ||
        !dd_align_size(n, DD_ALIGN, bytes))
        return DD_FAIL(err, DD_ERR_ARG, "a batch of %d images overflows the size of buffer %s", spec->max_images,
                       buf.name);
    return DD_OK;
}

bool dd_slot_wanted(const dd_model *m, const dd_actions *actions, int b)
{
    const int i = b - m->n_buffers;
    return i >= 0 && actions->slots[i / DD_SLOTS] & DD_SLOT_BIT(i % DD_SLOTS);
}

static dd_life life_of(const dd_model *m, const dd_structure *s, int b)
{
    dd_life l = {.buffer = b, .first = -1, .offset = -1};
    for (int i = 0; i < s->n; i++) {
        dd_use uses[DD_MAX_USES];
        const int n = s->at[i].runs ? dd_node_uses(m, &s->at[i], uses) : 0;
        for (int u = 0; u < n; u++) {
            if (uses[u].buffer != b) continue;
            if (l.first < 0) l.first = i;
            l.last = i;
        }
    }
    return l;
}

static dd_status find_lives(const dd_run_spec *spec, const dd_actions *actions, int step, dd_life *lives, int *n_lives,
                            dd_err *err)
{
    const dd_model *m = spec->model;
    dd_structure s;
    DD_TRY(dd_structure_build(&s, m, actions, step, spec->want_hidden, err));
    dd_status st = DD_OK;
    *n_lives = 0;
    for (int b = 0; b < m->n_buffers; b++) {
        if (m->buffers[b].persistent) continue;
        dd_life l = life_of(m, &s, b);
        if (l.first < 0) continue;
        DD_TRY_GOTO(st, dd_buffer_bytes(spec, b, &l.bytes, err), done);
        lives[(*n_lives)++] = l;
    }
done:
    dd_structure_free(&s);
    return st;
}

dd_status dd_memory_place(const dd_run_spec *spec, const dd_actions *actions, int step, int64_t *offset,
                          size_t *arena_bytes, dd_err *err)
{
    const int n_buffers = spec->model->n_buffers;
    dd_life *lives = calloc((size_t)n_buffers, sizeof *lives);
    if (!lives) return DD_FAIL(err, DD_ERR_NOMEM, "out of memory while placing buffers");
    int n = 0;
    dd_status st;
    DD_TRY_GOTO(st, find_lives(spec, actions, step, lives, &n, err), done);
    dd_lives_place(lives, n, arena_bytes);
    for (int b = 0; b < n_buffers; b++) offset[b] = -1;
    for (int i = 0; i < n; i++) offset[lives[i].buffer] = lives[i].offset;
done:
    free(lives);
    return st;
}
