/* SPDX-License-Identifier: MIT
 * A model's weights on a backend: matrices packed once, vectors uploaded once, shared by all sessions. */
#ifndef DD_HOST_EXEC_WEIGHTS_H
#define DD_HOST_EXEC_WEIGHTS_H

#include "host/exec/backend.h"
#include "host/model/model.h"

typedef struct dd_weight_store {
    dd_backend *be;
    int n_weights, n_consts;
    void **storage;     /* [n_weights] */
    dd_packed **packed; /* [n_weights] */
    float **consts;     /* [n_consts] on the backend */
    size_t bytes;
    dd_dtype operand;
} dd_weight_store;

/* operand: storage of the weights that take part in the run's precision, dd_format_dtype of its GEMM inputs. */
dd_status dd_weights_load(dd_weight_store **out, const dd_model *model, dd_backend *be, dd_dtype operand, dd_err *err);
void dd_weights_free(dd_weight_store **ws);

/* What dd_weights_load will allocate. */
size_t dd_weights_bytes(const dd_model *model, dd_backend *be, dd_dtype operand);

#endif
