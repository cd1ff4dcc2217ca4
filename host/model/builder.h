/* SPDX-License-Identifier: MIT
 * What a family's builder uses to fill a dd_model: checked tensor lookup, float32 copies, lists of fixed capacity. */
#ifndef DD_HOST_MODEL_BUILDER_H
#define DD_HOST_MODEL_BUILDER_H

#include "host/model/keys.h"
#include "host/model/model.h"

typedef struct dd_builder {
    dd_model *m;
    dd_key *keys; /* expected tensors */
    int n_keys;
    dd_err *err;
    dd_status st; /* first failure; later calls do nothing and return -1 */
    dd_node sink; /* what dd_build_node hands out after a failure */
} dd_builder;

/* Each returns the index of the new object, or -1 after a failure. */
int dd_build_buffer(dd_builder *b, const char *name, dd_extent extent, int64_t width, dd_dtype dtype, bool persistent);
int dd_build_operand(dd_builder *b, const char *name, dd_extent extent, int64_t width, bool persistent);
int dd_build_rows(dd_builder *b, const char *name, dd_extent extent, int64_t width, int64_t unit);
int dd_build_const(dd_builder *b, const char *name); /* float32 copy of a tensor */
/* A matrix left in the mapping. rank 4 weights count as [n, k] with k = product of the rest. */
int dd_build_weight(dd_builder *b, const char *name, dd_slice_map n_map, dd_slice_map k_map);
void dd_build_float32(dd_builder *b, int weight);            /* this weight keeps float32 in every precision */
void dd_build_unit(dd_builder *b, int weight, int64_t unit); /* rows that slices along N never cut, of no site */
/* A vector with one value per row of a weight, in the order of the packed weight. */
int dd_build_bias(dd_builder *b, const char *name, int weight);
dd_node *dd_build_node(dd_builder *b, dd_node_list *list, dd_op_id op, int site, const char *fmt, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 5, 6)))
#endif
    ;

/* Float32 values of a const by index (NULL after a failure). */
const float *dd_build_values(const dd_builder *b, int index);

/* The one family so far. Fills sites, buffers, weights, consts and nodes of b->m from b->m->cfg. */
dd_status dd_dit_build(dd_builder *b);

#endif
