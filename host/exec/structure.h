/* SPDX-License-Identifier: MIT
 * The structure of a plan row: which nodes run, after those that the row's cells add (to keep and to reuse results) and
 * without those whose results nobody reads. Steps of equal structure share one program. */
#ifndef DD_HOST_EXEC_STRUCTURE_H
#define DD_HOST_EXEC_STRUCTURE_H

#include <stdbool.h>

#include "host/exec/slots.h"
#include "host/model/model.h"
#include "host/plan/plan.h"

/* Buffers of a run: those of the model, then DD_SLOTS of each site. */
static inline int dd_buffer_count(const dd_model *m) { return m->n_buffers + m->n_sites * DD_SLOTS; }
static inline int dd_slot_buffer(const dd_model *m, int site, dd_slot slot)
{
    return m->n_buffers + site * DD_SLOTS + (int)slot;
}

/* A node of the model as it runs at a step, or one that keeps or reuses a result. */
typedef struct dd_step_node {
    dd_node node;      /* gated_add: src is added to dst, with the gate at mod[0] (-1: none); copy: src to dst */
    const char *label; /* borrowed from the model */
    bool runs;
    int idx, count;      /* buffers of the rows it works on, or that a router writes; -1: all rows */
    int keep;            /* gated_add: buffer that gets src, or -1 */
    int change;          /* gated_add: buffer that gets what is added, or -1 */
    bool masked;         /* gated_add: by the mask of the site's router */
    const dd_node *norm; /* depth_average: the adaln of what it writes, which it does as well; NULL: none */
} dd_step_node;

typedef struct dd_structure {
    dd_step_node *at;
    int n;
} dd_structure;

/* One access of a node to a buffer. */
typedef struct dd_use {
    int buffer;
    bool read, write;
} dd_use;

#define DD_MAX_USES (8 + DD_MAX_SOURCES)
#define DD_MAX_VECTORS 2

/* Accesses of a node; returns how many (at most DD_MAX_USES). */
int dd_node_uses(const dd_model *model, const dd_step_node *node, dd_use *uses);

/* Offsets of the vectors that a node reads in a row of the conditioning table, at [DD_MAX_VECTORS]; returns how many. */
int dd_node_vectors(const dd_step_node *node, int64_t *at);

/* True if both steps run the same ops on the same number of rows. */
bool dd_same_structure(const dd_plan *plan, const dd_actions *actions, int step_a, int step_b);

/* Nodes of a step in order, with those that do not run. traced: the tokens after every block are read. */
dd_status dd_structure_build(dd_structure *out, const dd_model *model, const dd_actions *actions, int step, bool traced,
                             dd_err *err);
void dd_structure_free(dd_structure *s);

#endif
