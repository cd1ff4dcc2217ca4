/* SPDX-License-Identifier: MIT
 * What one op of a lowered program costs at a step: counted from its arguments, so that it is what runs.
 *
 * Bytes: every operand is read from memory once and every result written once, whatever caches hold. Bytes that do not
 * grow with the shapes (steps, counts, slice lists) are left out. MACs are those of GEMMs and attention; LayerNorm,
 * softmax and other work per element is not counted. */
#ifndef DD_HOST_EXEC_WORK_H
#define DD_HOST_EXEC_WORK_H

#include "host/exec/program.h"
#include "host/model/model.h"

/* What multiplies on a device. */
typedef enum dd_unit {
    DD_UNIT_FP32,    /* without tensor cores */
    DD_UNIT_TENSOR,  /* bf16 or fp16 operands */
    DD_UNIT_TF32,    /* half of that rate */
    DD_UNIT_TF32_X3, /* three products of TF32 for each: float32 on tensor cores */
} dd_unit;

typedef struct dd_work {
    uint64_t macs;
    uint64_t weights;       /* bytes read of weights, biases and constant tables */
    uint64_t read, written; /* bytes of activations and what else changes from step to step */
    uint64_t launches;      /* kernels of kernels/cuda */
    dd_unit unit;           /* of the MACs */
} dd_work;

typedef struct dd_work_at {
    const dd_model *model; /* that the op was lowered from */
    int32_t step;
    double tokens; /* share that token routers keep, as dd_cost_tokens takes it */
    int labels;    /* distinct ones of the batch, null included */
} dd_work_at;

/* The tables that the op's arguments point to (slice lists, coefficients) must lie in host memory; nothing else is
 * read. ERR_UNSUPPORTED names an op that cannot be counted. */
dd_status dd_op_work(dd_work *out, const dd_op *op, const dd_work_at *at, dd_err *err);

#endif
