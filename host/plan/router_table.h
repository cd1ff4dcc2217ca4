/* SPDX-License-Identifier: MIT
 * The routers of Learning-to-Cache (arXiv 2406.01733): one value per site and respaced step, as released (.pt of torch.save)
 * or as JSON (docs/formats.md). Only the values of even respaced indices mean anything; the others are not read. */
#ifndef DD_HOST_PLAN_ROUTER_TABLE_H
#define DD_HOST_PLAN_ROUTER_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/base/status.h"

#define DD_ROUTER_THRESHOLD 0.1 /* of the published results */
#define DD_ROUTER_MAX_DEPTH 1024

typedef struct dd_router_table {
    int n_steps, n_sites; /* two sites per block: attention, MLP */
    bool probabilities;   /* the values are sigmoids already */
    double threshold;     /* the file's; DD_ROUTER_THRESHOLD where it has none */
    float *values;        /* [n_steps, n_sites] by respaced index, 0 is the least noisy step; odd rows are 0 */
} dd_router_table;

/* Nothing of the file is executed. On failure *out is empty. */
dd_status dd_router_read(dd_router_table *out, const char *path, dd_err *err);
void dd_router_fini(dd_router_table *r);

/* Zeroed values. ERR_FORMAT where the counts cannot be; what: the file. */
dd_status dd_router_alloc(dd_router_table *r, int64_t n_steps, int64_t n_sites, const char *what, dd_err *err);

/* Whether a value keeps its site at even indices: float32 sigmoid above the float32 threshold. */
bool dd_router_keeps(const dd_router_table *r, int index, int site);

/* The JSON form; the caller frees the text. Values read back equal bit for bit. */
dd_status dd_router_to_json(const dd_router_table *r, char **out, dd_err *err);
dd_status dd_router_read_json(dd_router_table *out, const char *path, dd_err *err);

#endif
