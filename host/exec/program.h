/* SPDX-License-Identifier: MIT
 * A program: a flat array of ops with resolved pointers. It stays the same for every step that shares a structure
 * (which ops run, formats, row count); what changes from step to step lies in tables that the ops index by the step
 * counter. */
#ifndef DD_HOST_EXEC_PROGRAM_H
#define DD_HOST_EXEC_PROGRAM_H

#include "kernels/ops.h"

typedef struct dd_op {
    dd_op_id id;
    int site;          /* -1: outside the sites */
    int weight;        /* index into the model's weights, -1: none */
    const char *label; /* borrowed from the model */
    dd_op_args args;
} dd_op;

typedef struct dd_program {
    dd_op *ops;
    int n_ops;
    void *recorded; /* the backend's, from record to forget: run replays it. NULL: run goes through the ops */
    int n_nodes;    /* of what was recorded */
} dd_program;

#endif
