/* SPDX-License-Identifier: MIT
 * Sizes of buffers, and their places in one arena by lifetime: buffers that are never alive together share memory. */
#ifndef DD_HOST_EXEC_MEMORY_H
#define DD_HOST_EXEC_MEMORY_H

#include <stddef.h>

#include "host/exec/run_spec.h"
#include "host/exec/structure.h"

#define DD_ALIGN 64

/* Bytes of buffer b, of the model or a slot, for the largest batch. ERR_ARG where they overflow. */
dd_status dd_buffer_bytes(const dd_run_spec *spec, int b, size_t *bytes, dd_err *err);

/* Places the non-persistent buffers that the program of `step` touches: offset [n_buffers] (-1: not in the arena). */
dd_status dd_memory_place(const dd_run_spec *spec, const dd_actions *actions, int step, int64_t *offset,
                          size_t *arena_bytes, dd_err *err);

/* Is buffer b a slot that the plan needs? */
bool dd_slot_wanted(const dd_model *model, const dd_actions *actions, int b);

#endif
