/* SPDX-License-Identifier: MIT
 * A model as the rest of the program sees it: sites, buffers, weights with their slice maps, and a list of nodes (ops
 * over named buffers). Families (dit.c) build it; it knows no backend and no policy. */
#ifndef DD_HOST_MODEL_MODEL_H
#define DD_HOST_MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "host/base/status.h"
#include "host/io/tensors.h"
#include "host/model/config.h"
#include "kernels/ops.h"

/* A site is one skippable unit of computation, with `units` separately switchable parts. */
typedef enum dd_site_kind { DD_SITE_ATTENTION, DD_SITE_MLP } dd_site_kind;

typedef struct dd_site dd_site;
struct dd_site {
    char name[40]; /* "blocks.3.mlp": stable, used in plans and errors */
    int block;     /* label for reports */
    dd_site_kind kind;
    int units;     /* 1 .. DD_MAX_UNITS; unit 0 is always on in a trained DyDiT */
    bool residual; /* adds to its input, so that SKIP is defined */
    int in, out;   /* buffers */
    int router;    /* index of the token router (model.routers), or -1 */
    /* MACs of one row (image) with `units` of the units and `tokens` of the tokens */
    uint64_t (*macs)(const dd_config *cfg, int units, int64_t tokens);
    uint64_t cond_macs, gate_macs; /* per (step, label): of its adaLN vectors, and of its gate, which is one of them */
};

/* Timestep router of a site: logits of units 1.. from the timestep embedding. weight [units-1, D] float32. */
typedef struct dd_step_router {
    int site;
    const float *weight, *bias;
} dd_step_router;

/* How many elements a buffer has: width times this. */
typedef enum dd_extent {
    DD_EXT_IMAGE, /* images of a batch */
    DD_EXT_ROW,   /* rows of a batch: images, doubled by guidance */
    DD_EXT_TOKEN, /* rows x tokens */
    DD_EXT_COND,  /* steps of a chunk x distinct labels */
    DD_EXT_STEP,  /* steps of the run */
    DD_EXT_ONCE
} dd_extent;

/* What decides the format of a buffer of activations when a run is not in float32. */
typedef enum dd_role {
    DD_ROLE_PLAIN, /* always its dtype */
    DD_ROLE_INPUT, /* input of GEMMs: in the backend's dd_format */
    DD_ROLE_ROWS,  /* input of attention: row-major */
} dd_role;

typedef struct dd_buffer {
    const char *name;
    dd_extent extent;
    int64_t width; /* elements per unit of extent */
    dd_dtype dtype;
    bool persistent; /* lives across ops and steps: never shares memory */
    dd_role role;
    int64_t unit; /* ROWS: the width is whole units of this many, which formats of bf16 may space out */
} dd_buffer;

/* Which rows (or columns) of a packed weight belong to unit u of a site: u*unit_size .. + unit_size. In the file the
 * rows of a unit may lie in `parts` places (dd_weight_desc). */
typedef struct dd_slice_map {
    int site; /* -1: the axis is never sliced */
    int64_t unit_size;
    int64_t parts; /* 0 or 1: one */
} dd_slice_map;

typedef struct dd_weight {
    dd_weight_desc desc; /* name, data, dtype, n, k, n_unit; data lies in the mapped file */
    dd_slice_map n_map, k_map;
    bool operand; /* in the precision of the run; else float32, like routers */
} dd_weight;

/* A float32 vector or table that ops read as it is (bias, position table, embeddings). */
typedef struct dd_const {
    const char *name;
    const float *data; /* owned by the model */
    int64_t count;
} dd_const;

/* A weighted sum of buffers, in this order. */
typedef struct dd_average {
    int n;
    int src[DD_MAX_SOURCES];
    float weight[DD_MAX_SOURCES];
} dd_average;

/* One op over buffers. Unused fields are -1 (indices) or 0. */
typedef struct dd_node {
    dd_op_id op;
    char label[40];   /* "blocks.3.mlp.fc1" */
    int site;         /* -1: always runs */
    bool routed_only; /* runs only where the site's rows are ROUTED */
    int src, dst;     /* buffers */
    int weight;       /* index into weights */
    int bias;         /* index into consts */
    int aux[2];       /* further consts, by op: patch_embed {pos}, route {w2, b2}, cond {label table} */
    dd_epilogue epilogue;
    int64_t mod[2];  /* offsets in a row of the conditioning table: adaln {shift, scale}, gemm {gate} */
    float eps;       /* of adaln */
    int64_t dst_col; /* first column of dst that a gemm writes */
    int average;     /* depth_average: index into averages, which have its sources */
    int block_end;   /* index of the block whose output dst holds after this node, or -1 */
} dd_node;

/* The two node lists: `prologue` fills the conditioning table for a chunk of steps, `body` runs at every step. */
typedef struct dd_node_list {
    dd_node *at;
    int n;
} dd_node_list;

typedef struct dd_model {
    char *path;
    dd_tensors *file;
    dd_config cfg;
    dd_site *sites;
    int n_sites;
    dd_buffer *buffers;
    int n_buffers;
    dd_weight *weights;
    int n_weights;
    dd_const *consts;
    int n_consts;
    dd_node_list prologue, body;
    dd_average *averages;
    int n_averages;
    dd_step_router *step_routers;
    int n_step_routers;
    int n_routers; /* token routers */

    /* timestep embedder, float32 (freqs: host/model/temb.h) */
    const float *temb_w0, *temb_b0, *temb_w1, *temb_b1; /* [D,256], [D], [D,D], [D] */

    int64_t cond_width; /* elements of one row of the conditioning table */
    /* well-known buffers */
    int buf_latents, buf_out, buf_cond_c, buf_cond, buf_route_idx, buf_route_count;
    int buf_branch; /* [rows,S,D] result of a branch on its way into a slot */

    uint64_t fixed_macs_row;    /* per row and step outside the sites: patch embedding, last layer */
    uint64_t cond_macs;         /* per (step, label): adaLN linears, those of the sites included */
    uint64_t router_macs_token; /* per token and token router */
    uint64_t id;                /* hash of names, shapes and router values: names a plan's model */
    int64_t n_params;
    bool random; /* weights are made up: routers may be moved without doing harm */
} dd_model;

/* Opens, validates and builds. preset: see dd_config_from_file. */
dd_status dd_model_open(dd_model **out, const char *path, const char *preset, dd_err *err);
/* The same from an open file, which belongs to the model afterwards; on failure it is closed. */
dd_status dd_model_adopt(dd_model **out, dd_tensors *file, const char *preset, dd_err *err);
void dd_model_close(dd_model **model);

/* Index of a site by name, or -1. */
int dd_model_site(const dd_model *model, const char *name);

#endif
